"""The loop that makes traces: an oracle proposes them, and a judge decides which are gold and which are rejected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from gatling_sid.models import Finding, GoldTrace, Verdict, replace_fields
from gatling_sid.oracle.protocol import Failure, Judge, Oracle, Task


class Rejection(NamedTuple):
    """A proposal that is not gold.

    `reason` is the rule that it breaks or the reason of its failure, and `message` explains it. If it is not repairable,
    the next attempt of the task must make another request.
    """

    trace_id: str
    attempt: int
    scenario: str
    reason: str
    message: str
    is_repairable: bool = True


@dataclass
class GenerationResult:
    """The result of some tasks: gold traces in the order of the tasks, all rejections, and the abandoned tasks."""

    traces: list[GoldTrace] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    abandoned_tasks: list[Task] = field(default_factory=list)


def generate(tasks: Sequence[Task], oracle: Oracle, judge: Judge) -> GenerationResult:
    """Makes a gold trace for every task.

    A task whose proposal is rejected is given to the oracle again, with the findings, until it has had
    `oracle.max_attempts` attempts; then it is abandoned. A trace that could be judged only in part is kept, but its
    `validated` is false.
    """
    gold: dict[int, GoldTrace] = {}
    result = GenerationResult()
    pending = list(enumerate(tasks))
    while pending:
        retries: list[tuple[int, Task]] = []
        proposals = list(oracle.propose([task for _, task in pending]))
        for (place, task), proposal, verdict in zip(pending, proposals, _verdicts_on(proposals, judge), strict=True):
            findings = verdict.findings
            if isinstance(proposal, GoldTrace) and not findings:
                gold[place] = replace_fields(proposal, validated=verdict.is_gold)
                continue
            result.rejections.append(_rejection_of(task, proposal, findings[0]))
            if task.attempt + 1 < oracle.max_attempts:
                previous = proposal if isinstance(proposal, GoldTrace) else None
                messages = tuple(map(str, findings))
                retries.append((place, replace(task, attempt=task.attempt + 1, previous=previous, findings=messages)))
            else:
                result.abandoned_tasks.append(task)
        pending = retries
    result.traces = [gold[place] for place in sorted(gold)]
    return result


def _verdicts_on(proposals: Sequence[GoldTrace | Failure], judge: Judge) -> Iterator[Verdict]:
    verdicts = iter(judge.verdicts([each for each in proposals if isinstance(each, GoldTrace)]))
    for each in proposals:
        yield next(verdicts) if isinstance(each, GoldTrace) else _verdict_of_failure(each)


def _verdict_of_failure(failure: Failure) -> Verdict:
    return Verdict([Finding("oracle", failure.reason, failure.detail)], [])


def _rejection_of(task: Task, proposal: GoldTrace | Failure, finding: Finding) -> Rejection:
    if isinstance(proposal, Failure):
        return Rejection(task.trace_id, task.attempt, "", finding.rule, finding.message, proposal.is_repairable)
    scenario = str(proposal.metadata.get("scenario", ""))
    return Rejection(task.trace_id, task.attempt, scenario, finding.rule, finding.message)
