"""Improving a domain's prompt from its rejections: propose a note, measure it on fresh draws, keep what wins.

A note is a line added to the prompt of one phase. For the same fresh tasks, requests are written and planned with the
note and without it; a note to the graph prompt leaves the requests as they are (same words, asked and paid once).

What is called a win must be more than luck. If a note changes nothing, what a call gained might as well have been
lost: `luck` is the share of all such signs with which the gains add up to at least as much. A call is a plan, or all
the requests written in one answer, as those share their luck; over plans this is the sign test. Every note of a run
could win by luck, so each is held to `CHANCE` divided by the number of trials that the run may make (Bonferroni): of
twenty runs, at most one keeps a useless note. Holm's steps need all trials at once; here each builds on the last.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from pydantic import Field

from gatling_sid.errors import OracleError
from gatling_sid.models import GoldTrace
from gatling_sid.novelty import Novelty
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, LLMResponse, SyncClient, work_id_of
from gatling_sid.oracle.claude.oracle import ClaudeOracle
from gatling_sid.oracle.claude.plans.answers import AnswerModel, BadAnswerError, answer_schema, parse_answer
from gatling_sid.oracle.claude.prompts.phases import DomainPrompts, plans_of, texts_of, trace_or_failure
from gatling_sid.oracle.claude.prompts.system_prompts import PromptNotes
from gatling_sid.oracle.protocol import Failure, Judge, Task
from gatling_sid.scenarios.schedule import WORLD_SIZE
from gatling_sid.schemas.domain import Domain

CHANCE = 0.05
"""How likely a run may keep a note that is worth nothing."""
PROPOSED = 2
INTRODUCTIONS = {
    "graph": "Plans by these instructions were rejected for:",
    "requests": "Requests written by these instructions got no valid plan. What was found:",
}
"""The phases whose prompts can be tuned, and how their rejections are told."""
_MOST_SHOWN = 12
ReportProgress = Callable[[int, str], None]
"""Is told how many asks have been answered, and what is done next."""


class NotesAnswer(AnswerModel):
    """Answer of the tuning phase: lines that a prompt lacks."""

    notes: list[str] = Field(max_length=8)


class RejectedRequest(NamedTuple):
    """A request that did not become gold at once, and the first finding."""

    text: str
    why: str


@dataclass(frozen=True)
class PassRecord:
    """Which of the fresh tasks were gold at once, and what the others were rejected for, once they had a text."""

    gold: tuple[bool, ...]
    rejected: tuple[RejectedRequest, ...]

    @property
    def rate(self) -> float:
        """Raw pass rate."""
        return sum(self.gold) / max(1, len(self.gold))


@dataclass(frozen=True)
class NoteExperiment:
    """A note and what it was worth; `chance` is how likely luck alone does as well, `level` what it must be below."""

    phase: str
    note: str
    before: float
    after: float
    chance: float
    level: float

    @property
    def is_kept(self) -> bool:
        """Whether it is kept."""
        return self.after > self.before and self.chance < self.level

    def __str__(self) -> str:
        """One line."""
        verdict = "kept" if self.is_kept else "not kept"
        worth = f"{self.before:.1%} -> {self.after:.1%} (by luck: {self.chance:.2%}, needed: {self.level:.2%})"
        return f"{self.phase}, {verdict}: {worth}: {self.note}"


class PromptTuner:
    """Trials of notes on the prompt of one phase of a domain; `first` is the index of the first fresh task."""

    def __init__(
        self,
        oracle: ClaudeOracle,
        asked: SyncClient,
        judge: Judge,
        domain: Domain,
        phase: str = "graph",
        *,
        first: int,
        report: ReportProgress = lambda _done, _doing: None,
    ) -> None:
        """Draws from the validation split only, so that no tuned prompt has seen what train and test are made of."""
        if phase not in INTRODUCTIONS:
            raise OracleError(f"the prompt of phase {phase!r} cannot be tuned; known are {', '.join(INTRODUCTIONS)}")
        self._oracle = oracle
        self._asked = asked
        self._judge = judge
        self._domain = domain
        self._phase = phase
        self._next = first
        self._report = report
        self._answered: set[str] = set()

    def run_experiments(self, notes: PromptNotes, number: int, rounds: int) -> tuple[PromptNotes, list[NoteExperiment]]:
        """Notes with those that won, and every trial; each is measured on `number` requests not seen before.

        Raises:
            OracleError: the run cannot go on, or so few requests could not tell any note from luck.

        """
        level = CHANCE / (PROPOSED * rounds)
        self._check(number, level)
        trials: list[NoteExperiment] = []
        for each in range(1, rounds + 1):
            current = add_kept_notes(notes, trials)
            self._say(f"round {each} of {rounds}: the prompt as it is")
            base = self.measure(self._phases(current), self.fresh_tasks(number))
            self._say(f"round {each} of {rounds}: what might help?")
            known = [*current.notes.get(self._phase, []), *(trial.note for trial in trials)]
            for note in self.proposals(self._phases(current), base.rejected, known):
                self._say(f"round {each} of {rounds}: with {note!r:.60}")
                trials.append(self.run_experiment(add_kept_notes(notes, trials), note, number, level))
        return add_kept_notes(notes, trials), trials

    def fresh_tasks(self, number: int) -> list[Task]:
        """Tasks that nothing was tuned on."""
        tasks = [Task(self._domain, "validation", self._next + at) for at in range(number)]
        self._next += number
        return tasks

    def run_experiment(self, notes: PromptNotes, note: str, number: int, level: float) -> NoteExperiment:
        """One note against none, on the same fresh tasks."""
        tasks = self.fresh_tasks(number)
        before = self.measure(self._phases(notes), tasks)
        after = self.measure(self._phases(notes, note), tasks)
        gains: Counter[tuple[int, ...]] = Counter()
        for task, new, old in zip(tasks, after.gold, before.gold, strict=True):
            gains[self._call_of(task)] += new - old
        return NoteExperiment(self._phase, note, before.rate, after.rate, sign_test_p_value([*gains.values()]), level)

    def measure(self, phases: DomainPrompts, tasks: Sequence[Task]) -> PassRecord:
        """How tasks fare when written and planned with these prompts, without repair."""
        texts = self.write_requests(phases, tasks)
        drafts = [(task, text) for task, text in zip(tasks, texts, strict=True) if isinstance(text, str)]
        found = iter(self.findings(phases, drafts))
        whys = [next(found) if isinstance(text, str) else None for text in texts]
        return PassRecord(
            tuple(why == "" for why in whys),
            tuple(RejectedRequest(str(text), why) for text, why in zip(texts, whys, strict=True) if why),
        )

    def write_requests(self, phases: DomainPrompts, tasks: Sequence[Task]) -> list[str | Failure]:
        """A request's text for every task, or why there is none."""
        blocks = [list(each) for _, each in groupby(tasks, self._block_of)]
        answers = self._answers(
            [phases.requests_prompt([*map(self._oracle.request_context, block)]) for block in blocks]
        )
        return [text for block, answer in zip(blocks, answers, strict=True) for text in texts_of(answer, len(block))]

    def findings(self, phases: DomainPrompts, drafts: Sequence[tuple[Task, str]]) -> list[str]:
        """The first finding about each text's plan, or "" for gold; a request that copies another is none."""
        settings = [self._oracle.request_context(task) for task, _ in drafts]
        asks = [phases.plans_prompt([(text, setting)]) for (_, text), setting in zip(drafts, settings, strict=True)]
        said, found = Novelty(), []
        for (task, text), setting, answer in zip(drafts, settings, self._answers(asks), strict=True):
            plan = plans_of(answer, 1)[0]
            trace = (
                plan
                if isinstance(plan, Failure)
                else trace_or_failure(plan, text, setting, self._oracle.identity(task))
            )
            finding = self._first_finding(trace)
            copies = self._phase == "requests" and not finding and not said.add(text)
            found.append("near_copy: another request says nearly the same" if copies else finding)
        return found

    def proposals(self, phases: DomainPrompts, rejected: Sequence[RejectedRequest], known: Sequence[str]) -> list[str]:
        """New lines that might have helped, by Claude's own account of what went wrong; none if nothing did."""
        if not rejected:
            return []
        answer = self._answers([self.proposal_request(phases, rejected)])[0]
        try:
            notes = [" ".join(note.split()) for note in parse_answer(NotesAnswer, answer.text or "").notes]
        except BadAnswerError:
            return []
        return [note for note in dict.fromkeys(notes) if note and note not in known][:PROPOSED]

    def proposal_request(self, phases: DomainPrompts, rejected: Sequence[RejectedRequest]) -> LLMRequest:
        """The ask for such lines: the prompt itself, and what came of it."""
        common = Counter(each.why.partition(":")[0] for each in rejected)
        lines = [
            INTRODUCTIONS[self._phase],
            *(f"- {each.text} -> {each.why}" for each in rejected[:_MOST_SHOWN]),
            f"In all: {json.dumps(dict(common.most_common()))}.",
            "Which one or two general lines, added to the instructions, would have prevented most of them? They must",
            "hold for every request of this domain and name no single record. Each is one sentence.",
        ]
        system, user, schema, slug = (
            phases.systems[self._phase],
            "\n".join(lines),
            answer_schema(NotesAnswer),
            self._domain.slug,
        )
        work_id = work_id_of("tuning", slug, phases.model, system, user, schema)
        return LLMRequest(work_id, "tuning", slug, system, user, schema, max_tokens=600)

    def _first_finding(self, trace: GoldTrace | Failure) -> str:
        if isinstance(trace, Failure):
            return f"{trace.reason}: {trace.detail}"
        return next(map(str, self._judge.findings(trace)), "")

    def _check(self, number: int, level: float) -> None:
        """Even if every call gained by a note, luck might do as well: then nothing is worth paying for."""
        items = self._oracle.block if self._phase == "requests" else 1
        needed = math.floor(-math.log2(level)) + 1
        if math.ceil(number / items) < needed:
            least = (needed - 1) * items + 1
            raise OracleError(
                f"{number} requests cannot tell a note from luck; in so many rounds take at least {least}"
            )

    def _phases(self, notes: PromptNotes, *more: str) -> DomainPrompts:
        """The domain's prompts with these notes, and more in the one that is tuned."""
        phases = self._oracle.phases(self._domain)
        for phase in INTRODUCTIONS:
            lines = [*notes.notes.get(phase, []), *(more if phase == self._phase else ())]
            phases = phases.with_notes(phase, lines)
        return phases

    def _call_of(self, task: Task) -> tuple[int, ...]:
        """Tasks with the same share a call of the phase that is tuned."""
        return self._block_of(task) if self._phase == "requests" else (task.index,)

    def _block_of(self, task: Task) -> tuple[int, ...]:
        """Tasks written in one call share policy and world."""
        return task.index // self._oracle.block, task.index // WORLD_SIZE

    def _answers(self, asks: Sequence[LLMRequest]) -> list[LLMResponse]:
        """In the order of the asks, of which some may have the same words."""
        once = {ask.work_id: ask for ask in asks}
        answers = {each.work_id: each for each in self._asked.complete([*once.values()])}
        lost = [each.problem for each in answers.values() if each.problem and each.problem.startswith("error:")]
        if lost:
            raise OracleError(
                f"{len(lost)} of {len(once)} asks got no answer ({lost[0]}), so nothing can be measured; "
                "the same command goes on from here"
            )
        self._answered |= once.keys()
        return [answers[ask.work_id] for ask in asks]

    def _say(self, doing: str) -> None:
        self._report(len(self._answered), doing)


def add_kept_notes(notes: PromptNotes, trials: Sequence[NoteExperiment]) -> PromptNotes:
    """The notes with those that won, under their phase; a new version if any did."""
    winners = [each for each in trials if each.is_kept]
    lines = dict(notes.notes)
    for each in winners:
        lines[each.phase] = [*lines.get(each.phase, []), each.note]
    measured = [*notes.measured, *map(str, winners)]
    return PromptNotes(version=notes.version + bool(winners), notes=lines, measured=measured)


def sign_test_p_value(gains: Sequence[int]) -> float:
    """How likely gains add up to at least as much as these if each might as well have been a loss."""
    ways = Counter({0: 1})
    for gain in gains:
        signed: Counter[int] = Counter()
        for total, count in ways.items():
            signed[total + gain] += count
            signed[total - gain] += count
        ways = signed
    return sum(count for total, count in ways.items() if total >= sum(gains)) / ways.total()
