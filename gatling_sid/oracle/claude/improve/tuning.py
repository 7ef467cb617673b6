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
from gatling_sid.oracle.claude.messages.llm_request import Answer, Ask, Asked, work_id_of
from gatling_sid.oracle.claude.oracle import ClaudeOracle
from gatling_sid.oracle.claude.plans.answers import BadAnswerError, Said, read, schema_of
from gatling_sid.oracle.claude.prompts.phases import Phases, plans_of, texts_of, trace_in
from gatling_sid.oracle.claude.prompts.system_prompts import Notes
from gatling_sid.oracle.protocol import Failure, Judge, Task
from gatling_sid.scenarios.schedule import WORLD_SIZE
from gatling_sid.schemas.domain import Domain

CHANCE = 0.05
"""How likely a run may keep a note that is worth nothing."""
PROPOSED = 2
TUNED = {
    "graph": "Plans by these instructions were rejected for:",
    "requests": "Requests written by these instructions got no valid plan. What was found:",
}
"""The phases whose prompts can be tuned, and how their rejections are told."""
_MOST_SHOWN = 12
Report = Callable[[int, str], None]
"""Is told how many asks have been answered, and what is done next."""


class Proposed(Said):
    """Answer of the tuning phase: lines that a prompt lacks."""

    notes: list[str] = Field(max_length=8)


class Rejected(NamedTuple):
    """A request that did not become gold at once, and the first finding."""

    text: str
    why: str


@dataclass(frozen=True)
class Measured:
    """Which of the fresh tasks were gold at once, and what the others were rejected for, once they had a text."""

    gold: tuple[bool, ...]
    rejected: tuple[Rejected, ...]

    @property
    def rate(self) -> float:
        """Raw pass rate."""
        return sum(self.gold) / max(1, len(self.gold))


@dataclass(frozen=True)
class Trial:
    """A note and what it was worth; `chance` is how likely luck alone does as well, `level` what it must be below."""

    phase: str
    note: str
    before: float
    after: float
    chance: float
    level: float

    @property
    def wins(self) -> bool:
        """Whether it is kept."""
        return self.after > self.before and self.chance < self.level

    def __str__(self) -> str:
        """One line."""
        verdict = "kept" if self.wins else "not kept"
        worth = f"{self.before:.1%} -> {self.after:.1%} (by luck: {self.chance:.2%}, needed: {self.level:.2%})"
        return f"{self.phase}, {verdict}: {worth}: {self.note}"


class Tuning:
    """Trials of notes on the prompt of one phase of a domain; `first` is the index of the first fresh task."""

    def __init__(
        self,
        oracle: ClaudeOracle,
        asked: Asked,
        judge: Judge,
        domain: Domain,
        phase: str = "graph",
        *,
        first: int,
        report: Report = lambda _done, _doing: None,
    ) -> None:
        """Draws from the validation split only, so that no tuned prompt has seen what train and test are made of."""
        if phase not in TUNED:
            raise OracleError(f"the prompt of phase {phase!r} cannot be tuned; known are {', '.join(TUNED)}")
        self._oracle = oracle
        self._asked = asked
        self._judge = judge
        self._domain = domain
        self._phase = phase
        self._next = first
        self._report = report
        self._answered: set[str] = set()

    def tried(self, notes: Notes, number: int, rounds: int) -> tuple[Notes, list[Trial]]:
        """Notes with those that won, and every trial; each is measured on `number` requests not seen before.

        Raises:
            OracleError: the run cannot go on, or so few requests could not tell any note from luck.

        """
        level = CHANCE / (PROPOSED * rounds)
        self._check(number, level)
        trials: list[Trial] = []
        for each in range(1, rounds + 1):
            current = with_winners(notes, trials)
            self._say(f"round {each} of {rounds}: the prompt as it is")
            base = self.measured(self._phases(current), self.fresh(number))
            self._say(f"round {each} of {rounds}: what might help?")
            known = [*current.notes.get(self._phase, []), *(trial.note for trial in trials)]
            for note in self.proposals(self._phases(current), base.rejected, known):
                self._say(f"round {each} of {rounds}: with {note!r:.60}")
                trials.append(self.trial(with_winners(notes, trials), note, number, level))
        return with_winners(notes, trials), trials

    def fresh(self, number: int) -> list[Task]:
        """Tasks that nothing was tuned on."""
        tasks = [Task(self._domain, "validation", self._next + at) for at in range(number)]
        self._next += number
        return tasks

    def trial(self, notes: Notes, note: str, number: int, level: float) -> Trial:
        """One note against none, on the same fresh tasks."""
        tasks = self.fresh(number)
        before = self.measured(self._phases(notes), tasks)
        after = self.measured(self._phases(notes, note), tasks)
        gains: Counter[tuple[int, ...]] = Counter()
        for task, new, old in zip(tasks, after.gold, before.gold, strict=True):
            gains[self._call_of(task)] += new - old
        return Trial(self._phase, note, before.rate, after.rate, luck([*gains.values()]), level)

    def measured(self, phases: Phases, tasks: Sequence[Task]) -> Measured:
        """How tasks fare when written and planned with these prompts, without repair."""
        texts = self.written(phases, tasks)
        drafts = [(task, text) for task, text in zip(tasks, texts, strict=True) if isinstance(text, str)]
        found = iter(self.findings(phases, drafts))
        whys = [next(found) if isinstance(text, str) else None for text in texts]
        return Measured(
            tuple(why == "" for why in whys),
            tuple(Rejected(str(text), why) for text, why in zip(texts, whys, strict=True) if why),
        )

    def written(self, phases: Phases, tasks: Sequence[Task]) -> list[str | Failure]:
        """A request's text for every task, or why there is none."""
        blocks = [list(each) for _, each in groupby(tasks, self._block_of)]
        answers = self._answers([phases.requests([*map(self._oracle.setting, block)]) for block in blocks])
        return [text for block, answer in zip(blocks, answers, strict=True) for text in texts_of(answer, len(block))]

    def findings(self, phases: Phases, drafts: Sequence[tuple[Task, str]]) -> list[str]:
        """The first finding about each text's plan, or "" for gold; a request that copies another is none."""
        settings = [self._oracle.setting(task) for task, _ in drafts]
        asks = [phases.graphs([(text, setting)]) for (_, text), setting in zip(drafts, settings, strict=True)]
        said, found = Novelty(), []
        for (task, text), setting, answer in zip(drafts, settings, self._answers(asks), strict=True):
            plan = plans_of(answer, 1)[0]
            trace = plan if isinstance(plan, Failure) else trace_in(plan, text, setting, self._oracle.identity(task))
            finding = self._first_finding(trace)
            copies = self._phase == "requests" and not finding and not said.add(text)
            found.append("near_copy: another request says nearly the same" if copies else finding)
        return found

    def proposals(self, phases: Phases, rejected: Sequence[Rejected], known: Sequence[str]) -> list[str]:
        """New lines that might have helped, by Claude's own account of what went wrong; none if nothing did."""
        if not rejected:
            return []
        answer = self._answers([self.question(phases, rejected)])[0]
        try:
            notes = [" ".join(note.split()) for note in read(Proposed, answer.text or "").notes]
        except BadAnswerError:
            return []
        return [note for note in dict.fromkeys(notes) if note and note not in known][:PROPOSED]

    def question(self, phases: Phases, rejected: Sequence[Rejected]) -> Ask:
        """The ask for such lines: the prompt itself, and what came of it."""
        common = Counter(each.why.partition(":")[0] for each in rejected)
        lines = [
            TUNED[self._phase],
            *(f"- {each.text} -> {each.why}" for each in rejected[:_MOST_SHOWN]),
            f"In all: {json.dumps(dict(common.most_common()))}.",
            "Which one or two general lines, added to the instructions, would have prevented most of them? They must",
            "hold for every request of this domain and name no single record. Each is one sentence.",
        ]
        system, user, schema, slug = (
            phases.systems[self._phase],
            "\n".join(lines),
            schema_of(Proposed),
            self._domain.slug,
        )
        work_id = work_id_of("tuning", slug, phases.model, system, user, schema)
        return Ask(work_id, "tuning", slug, system, user, schema, max_tokens=600)

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

    def _phases(self, notes: Notes, *more: str) -> Phases:
        """The domain's prompts with these notes, and more in the one that is tuned."""
        phases = self._oracle.phases(self._domain)
        for phase in TUNED:
            lines = [*notes.notes.get(phase, []), *(more if phase == self._phase else ())]
            phases = phases.noted(phase, lines)
        return phases

    def _call_of(self, task: Task) -> tuple[int, ...]:
        """Tasks with the same share a call of the phase that is tuned."""
        return self._block_of(task) if self._phase == "requests" else (task.index,)

    def _block_of(self, task: Task) -> tuple[int, ...]:
        """Tasks written in one call share policy and world."""
        return task.index // self._oracle.block, task.index // WORLD_SIZE

    def _answers(self, asks: Sequence[Ask]) -> list[Answer]:
        """In the order of the asks, of which some may have the same words."""
        once = {ask.work_id: ask for ask in asks}
        answers = {each.work_id: each for each in self._asked.answers([*once.values()])}
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


def with_winners(notes: Notes, trials: Sequence[Trial]) -> Notes:
    """The notes with those that won, under their phase; a new version if any did."""
    winners = [each for each in trials if each.wins]
    lines = dict(notes.notes)
    for each in winners:
        lines[each.phase] = [*lines.get(each.phase, []), each.note]
    measured = [*notes.measured, *map(str, winners)]
    return Notes(version=notes.version + bool(winners), notes=lines, measured=measured)


def luck(gains: Sequence[int]) -> float:
    """How likely gains add up to at least as much as these if each might as well have been a loss."""
    ways = Counter({0: 1})
    for gain in gains:
        signed: Counter[int] = Counter()
        for total, count in ways.items():
            signed[total + gain] += count
            signed[total - gain] += count
        ways = signed
    return sum(count for total, count in ways.items() if total >= sum(gains)) / ways.total()
