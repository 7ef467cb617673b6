"""Improves the prompts of a domain: propose a note from rejections, measure it on fresh tasks, keep it if it helps.

A note is a line added to the prompt of one phase. For the same fresh tasks, requests are written and planned with the
note and without it. A note to the graph prompt leaves the requests as they are: the same work ids, paid once.

A note is kept only if its effect is significant. If a note changes nothing, the gain of each API call is as likely to be
a loss. The p-value is the share of all combinations of signs for which the gains add up to at least the measured sum. The
unit is one API call, which is one plan, or all requests written in one answer, since those succeed or fail together. Over
plans, this is the sign test. A run tests several notes, so the threshold for each is `SIGNIFICANCE` divided by the number
of experiments that the run may make (Bonferroni): at most one of twenty runs keeps a useless note. Holm's method would
need all experiments at once, but here each one builds on the result of the last.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from gatling_sid.errors import OracleError
from gatling_sid.models import GoldTrace
from gatling_sid.novelty import Novelty
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, LLMResponse, SyncClient, work_id_of
from gatling_sid.oracle.claude.oracle import ClaudeOracle
from gatling_sid.oracle.claude.plans.answers import BadAnswerError, NotesAnswer, parse_answer
from gatling_sid.oracle.claude.prompts.answer_schemas import answer_schema
from gatling_sid.oracle.claude.prompts.phases import DomainPrompts, plans_of, texts_of, trace_or_failure
from gatling_sid.oracle.claude.prompts.system_prompts import PromptNotes
from gatling_sid.oracle.protocol import Failure, Judge, Task
from gatling_sid.scenarios.schedule import WORLD_SIZE
from gatling_sid.schemas.domain import Domain

SIGNIFICANCE = 0.05
"""The probability that a run keeps a useless note; 5 % is usual in statistics."""
NOTES_PER_ROUND = 2
"""More notes would need a stricter threshold for each, and so more requests to pay."""
INTRODUCTIONS = {
    "graph": "Plans by these instructions were rejected for:",
    "requests": "Requests written by these instructions got no valid plan. What was found:",
}
"""The phases whose prompts can be tuned, with the sentence that introduces the rejections in the prompt."""
# Rejections that the prompt shows: enough to see what they have in common.
_MAX_REJECTIONS = 12
ReportProgress = Callable[[int, str], None]
"""Receives the number of requests with a response so far, and the next step."""


class RejectedRequest(NamedTuple):
    """A request whose first plan was not gold, and the first finding about it."""

    text: str
    finding: str


@dataclass(frozen=True)
class PassResult:
    """Which of the fresh tasks were gold at the first plan; `rejected` holds the others that had a text."""

    gold: tuple[bool, ...]
    rejected: tuple[RejectedRequest, ...]

    @property
    def rate(self) -> float:
        """The raw pass rate, from 0 to 1."""
        return sum(self.gold) / max(1, len(self.gold))


@dataclass(frozen=True)
class NoteExperiment:
    """A note and its effect on the pass rate; it is kept if `p_value` is below `threshold`."""

    phase: str
    note: str
    before: float
    after: float
    p_value: float
    threshold: float

    @property
    def is_kept(self) -> bool:
        """Whether the note is kept."""
        return self.after > self.before and self.p_value < self.threshold

    def __str__(self) -> str:
        """The result of the experiment in one line."""
        decision = "kept" if self.is_kept else "not kept"
        rates = f"{self.before:.1%} -> {self.after:.1%} (p-value {self.p_value:.2%}, threshold {self.threshold:.2%})"
        return f"{self.phase}, {decision}: {rates}: {self.note}"


class PromptTuner:
    """Runs experiments with notes in the prompt of one phase of a domain."""

    def __init__(
        self,
        oracle: ClaudeOracle,
        client: SyncClient,
        judge: Judge,
        domain: Domain,
        phase: str = "graph",
        *,
        first_index: int,
        report: ReportProgress = lambda _count, _step: None,
    ) -> None:
        """Tasks are taken from the validation split, from `first_index` on; so no prompt is tuned on train or test.

        Raises:
            OracleError: the prompt of this phase cannot be tuned.

        """
        if phase not in INTRODUCTIONS:
            raise OracleError(f"the prompt of phase {phase!r} cannot be tuned; known are {', '.join(INTRODUCTIONS)}")
        self._oracle = oracle
        self._client = client
        self._judge = judge
        self._domain = domain
        self._phase = phase
        self._next_index = first_index
        self._report = report
        self._answered_ids: set[str] = set()

    def run_experiments(
        self, notes: PromptNotes, task_count: int, rounds: int
    ) -> tuple[PromptNotes, list[NoteExperiment]]:
        """The notes with those that were kept, and every experiment; each one is measured on `task_count` new requests.

        Raises:
            OracleError: a request got no response, or `task_count` is too small to show that any note helps.

        """
        threshold = SIGNIFICANCE / (NOTES_PER_ROUND * rounds)
        self._check_power(task_count, rounds, threshold)
        experiments: list[NoteExperiment] = []
        for each in range(1, rounds + 1):
            current = add_kept_notes(notes, experiments)
            self._report_step(f"round {each} of {rounds}: measuring the prompt without new notes")
            base = self.measure(self._prompts_with(current), self.fresh_tasks(task_count))
            self._report_step(f"round {each} of {rounds}: asking for notes")
            known = [*current.notes.get(self._phase, []), *(experiment.note for experiment in experiments)]
            for note in self.propose_notes(self._prompts_with(current), base.rejected, known):
                self._report_step(f"round {each} of {rounds}: with {note!r:.60}")
                experiments.append(self.run_experiment(add_kept_notes(notes, experiments), note, task_count, threshold))
        return add_kept_notes(notes, experiments), experiments

    def fresh_tasks(self, task_count: int) -> list[Task]:
        """Tasks that no experiment has used before."""
        tasks = [Task(self._domain, "validation", self._next_index + at) for at in range(task_count)]
        self._next_index += task_count
        return tasks

    def run_experiment(self, notes: PromptNotes, note: str, task_count: int, threshold: float) -> NoteExperiment:
        """Compares the prompt with a note and without it, on the same fresh tasks."""
        tasks = self.fresh_tasks(task_count)
        before = self.measure(self._prompts_with(notes), tasks)
        after = self.measure(self._prompts_with(notes, note), tasks)
        gains: Counter[tuple[int, ...]] = Counter()
        for task, new, old in zip(tasks, after.gold, before.gold, strict=True):
            gains[self._call_key(task)] += new - old
        return NoteExperiment(
            self._phase, note, before.rate, after.rate, sign_test_p_value([*gains.values()]), threshold
        )

    def measure(self, prompts: DomainPrompts, tasks: Sequence[Task]) -> PassResult:
        """Which tasks are gold when they are written and planned with these prompts, without repair."""
        texts = self.write_requests(prompts, tasks)
        drafts = [(task, text) for task, text in zip(tasks, texts, strict=True) if isinstance(text, str)]
        remaining = iter(self.findings(prompts, drafts))
        findings = [next(remaining) if isinstance(text, str) else None for text in texts]
        return PassResult(
            tuple(finding == "" for finding in findings),
            tuple(RejectedRequest(str(text), each) for text, each in zip(texts, findings, strict=True) if each),
        )

    def write_requests(self, prompts: DomainPrompts, tasks: Sequence[Task]) -> list[str | Failure]:
        """The text of a request for every task, or a failure."""
        blocks = [list(each) for _, each in groupby(tasks, self._block_key)]
        responses = self._complete(
            [prompts.requests_prompt([*map(self._oracle.request_context, block)]) for block in blocks]
        )
        return [text for block, each in zip(blocks, responses, strict=True) for text in texts_of(each, len(block))]

    def findings(self, prompts: DomainPrompts, drafts: Sequence[tuple[Task, str]]) -> list[str]:
        """The first finding about the plan of each text, or "" for gold; a near-copy of another text is a finding too."""
        contexts = [self._oracle.request_context(task) for task, _ in drafts]
        requests = [
            prompts.plans_prompt([(text, context)]) for (_, text), context in zip(drafts, contexts, strict=True)
        ]
        novelty, found = Novelty(), []
        for (task, text), context, response in zip(drafts, contexts, self._complete(requests), strict=True):
            plan = plans_of(response, 1)[0]
            trace = (
                plan
                if isinstance(plan, Failure)
                else trace_or_failure(plan, text, context, self._oracle.identity(task))
            )
            finding = self._first_finding(trace)
            copies = self._phase == "requests" and not finding and not novelty.add_if_new(text)
            found.append("near_copy: the request is a near-copy of another one" if copies else finding)
        return found

    def propose_notes(
        self, prompts: DomainPrompts, rejected: Sequence[RejectedRequest], known: Sequence[str]
    ) -> list[str]:
        """Notes that Claude proposes after seeing the rejections; none if nothing was rejected or its answer is malformed."""
        if not rejected:
            return []
        response = self._complete([self.notes_request(prompts, rejected)])[0]
        try:
            notes = [" ".join(note.split()) for note in parse_answer(NotesAnswer, response.text or "").notes]
        except BadAnswerError:
            return []
        return [note for note in dict.fromkeys(notes) if note and note not in known][:NOTES_PER_ROUND]

    def notes_request(self, prompts: DomainPrompts, rejected: Sequence[RejectedRequest]) -> LLMRequest:
        """A request for new notes; it shows the prompt itself and the rejections."""
        common = Counter(each.finding.partition(":")[0] for each in rejected)
        lines = [
            INTRODUCTIONS[self._phase],
            *(f"- {each.text} -> {each.finding}" for each in rejected[:_MAX_REJECTIONS]),
            f"In all: {json.dumps(dict(common.most_common()))}.",
            "Which one or two general lines, added to the instructions, would have prevented most of them? They must",
            "hold for every request of this domain and name no single record. Each is one sentence.",
        ]
        system, user, schema = prompts.system_prompts[self._phase], "\n".join(lines), answer_schema("tuning")
        slug = self._domain.slug
        work_id = work_id_of("tuning", slug, prompts.model, system, user, schema)
        return LLMRequest(work_id, "tuning", slug, system, user, schema, max_tokens=600)

    def _first_finding(self, trace: GoldTrace | Failure) -> str:
        if isinstance(trace, Failure):
            return f"{trace.reason}: {trace.detail}"
        return next(map(str, self._judge.findings(trace)), "")

    def _check_power(self, task_count: int, rounds: int, threshold: float) -> None:
        """Raises if there are so few requests that no note could be kept, even if every API call gained from it."""
        items = self._oracle.block_size if self._phase == "requests" else 1
        needed = math.floor(-math.log2(threshold)) + 1
        if math.ceil(task_count / items) < needed:
            least = (needed - 1) * items + 1
            raise OracleError(
                f"{task_count} requests are too few to show that a note helps; "
                f"with {rounds} round{'s' if rounds > 1 else ''} use --requests {least} or more"
            )

    def _prompts_with(self, notes: PromptNotes, *more: str) -> DomainPrompts:
        """The domain's prompts with these notes, and with `more` in the prompt that is tuned."""
        prompts = self._oracle.prompts_of(self._domain)
        for phase in INTRODUCTIONS:
            lines = [*notes.notes.get(phase, []), *(more if phase == self._phase else ())]
            prompts = prompts.with_notes(phase, lines)
        return prompts

    def _call_key(self, task: Task) -> tuple[int, ...]:
        """Returns a key; tasks with equal keys share an API call of the tuned phase."""
        return self._block_key(task) if self._phase == "requests" else (task.index,)

    def _block_key(self, task: Task) -> tuple[int, ...]:
        """Returns a key; tasks with equal keys share policy and world, so their requests are written in one API call."""
        return task.index // self._oracle.block_size, task.index // WORLD_SIZE

    def _complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        """Returns one response per request, in the same order; equal requests are sent once.

        Raises:
            OracleError: a request got no response, so nothing can be measured.

        """
        unique = {request.work_id: request for request in requests}
        responses = {each.work_id: each for each in self._client.complete([*unique.values()])}
        lost = [each.problem for each in responses.values() if not each.has_arrived]
        if lost:
            raise OracleError(
                f"{len(lost)} of {len(unique)} requests got no response ({lost[0]}), so nothing can be measured; "
                "run the same command again to continue"
            )
        self._answered_ids |= unique.keys()
        return [responses[request.work_id] for request in requests]

    def _report_step(self, step: str) -> None:
        self._report(len(self._answered_ids), step)


def add_kept_notes(notes: PromptNotes, experiments: Sequence[NoteExperiment]) -> PromptNotes:
    """The notes together with those that the experiments kept, by phase; the version is raised if any was kept."""
    kept = [each for each in experiments if each.is_kept]
    lines = dict(notes.notes)
    for each in kept:
        lines[each.phase] = [*lines.get(each.phase, []), each.note]
    measured = [*notes.measured, *map(str, kept)]
    return PromptNotes(version=notes.version + bool(kept), notes=lines, measured=measured)


def sign_test_p_value(gains: Sequence[int]) -> float:
    """The probability that these gains, each with a random sign, add up to at least their real sum."""
    counts = Counter({0: 1})
    for gain in gains:
        signed: Counter[int] = Counter()
        for total, count in counts.items():
            signed[total + gain] += count
            signed[total - gain] += count
        counts = signed
    return sum(count for total, count in counts.items() if total >= sum(gains)) / counts.total()
