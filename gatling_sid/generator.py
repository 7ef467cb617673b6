"""The straight line: an oracle proposes, the validator judges, gold and rejections come out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from gatling_sid.models import Finding, GoldTrace, Verdict, construct_trusted
from gatling_sid.oracle.protocol import Failure, Judge, Oracle, Task


class Rejection(NamedTuple):
    """A proposal that is not gold: which trace at which attempt, by which rule, and what was wrong."""

    trace_id: str
    attempt: int
    scenario: str
    reason: str
    message: str


@dataclass
class GenerationResult:
    """What became of some tasks: gold in the order of the tasks, every rejection, tasks given up."""

    traces: list[GoldTrace] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    given_up: list[Task] = field(default_factory=list)


def generate(tasks: Sequence[Task], oracle: Oracle, judge: Judge) -> GenerationResult:
    """Gold for every task, trying again what was rejected as often as the oracle allows."""
    gold: dict[int, GoldTrace] = {}
    result = GenerationResult()
    waiting = list(enumerate(tasks))
    while waiting:
        again: list[tuple[int, Task]] = []
        proposals = list(oracle.propose([task for _, task in waiting]))
        for (place, task), proposal, verdict in zip(waiting, proposals, _verdicts(proposals, judge), strict=True):
            found = verdict.findings
            if isinstance(proposal, GoldTrace) and not found:
                gold[place] = construct_trusted(GoldTrace, {**proposal.__dict__, "validated": verdict.is_gold})
                continue
            result.rejections.append(_rejection(task, proposal, found[0]))
            if task.attempt + 1 < oracle.max_attempts:
                previous = proposal if isinstance(proposal, GoldTrace) else None
                messages = tuple(map(str, found))
                again.append((place, replace(task, attempt=task.attempt + 1, previous=previous, findings=messages)))
            else:
                result.given_up.append(task)
        waiting = again
    result.traces = [gold[place] for place in sorted(gold)]
    return result


def _verdicts(proposals: Sequence[GoldTrace | Failure], judge: Judge) -> Iterator[Verdict]:
    judged = iter(judge.verdicts([each for each in proposals if isinstance(each, GoldTrace)]))
    for each in proposals:
        yield next(judged) if isinstance(each, GoldTrace) else _verdict_of_failure(each)


def _verdict_of_failure(failure: Failure) -> Verdict:
    return Verdict([Finding("oracle", failure.reason, failure.detail)], [])


def _rejection(task: Task, proposal: GoldTrace | Failure, finding: Finding) -> Rejection:
    scenario = str(proposal.metadata.get("scenario", "")) if isinstance(proposal, GoldTrace) else ""
    return Rejection(task.trace_id, task.attempt, scenario, finding.rule, finding.message)
