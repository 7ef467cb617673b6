"""Improving a domain's prompt from its rejections: propose a note, measure it on fresh draws, keep what wins.

A note is a line added to the domain's graph prompt. Old and new prompt plan the same fresh requests; the difference
must be larger than chance would make it (a sign test over the requests that only one of them got right).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import comb

from pydantic import Field

from gatling_sid.models import GoldTrace
from gatling_sid.oracle.claude.answers import BadAnswerError, Said, read, schema_of
from gatling_sid.oracle.claude.asks import Ask
from gatling_sid.oracle.claude.oracle import Asked, ClaudeOracle, Judge
from gatling_sid.oracle.claude.phases import Phases, plans_of, trace_in
from gatling_sid.oracle.claude.prompts import Notes
from gatling_sid.oracle.claude.settings import Setting
from gatling_sid.oracle.protocol import Failure, Task
from gatling_sid.schemas.domain import Domain

CHANCE = 0.05
_MOST_SHOWN = 12


class Proposed(Said):
    """Answer of the tuning phase: lines that a prompt lacks."""

    notes: list[str] = Field(max_length=8)


@dataclass(frozen=True)
class Measured:
    """Which of the fresh requests were gold at once, and what the others were rejected for."""

    gold: tuple[bool, ...]
    findings: tuple[str, ...]

    @property
    def rate(self) -> float:
        """Raw pass rate."""
        return sum(self.gold) / max(1, len(self.gold))


@dataclass(frozen=True)
class Trial:
    """A note and what it was worth; `chance` is how likely luck alone does as well."""

    note: str
    before: float
    after: float
    chance: float

    @property
    def wins(self) -> bool:
        """Whether it is kept."""
        return self.after > self.before and self.chance < CHANCE

    def __str__(self) -> str:
        """One line."""
        verdict = "kept" if self.wins else "not kept"
        return f"{verdict}: {self.before:.1%} -> {self.after:.1%} (by luck: {self.chance:.1%}): {self.note}"


class Tuning:
    """Trials of notes on one domain's graph prompt; `first` is the index of the first fresh task."""

    def __init__(self, oracle: ClaudeOracle, asked: Asked, judge: Judge, domain: Domain, *, first: int) -> None:
        """Draws from the validation split only, so that no tuned prompt has seen what train and test are made of."""
        self._oracle = oracle
        self._asked = asked
        self._judge = judge
        self._domain = domain
        self._next = first

    def tried(self, notes: Notes, number: int, rounds: int) -> tuple[Notes, list[Trial]]:
        """Notes with those that won, and every trial; each is measured on `number` requests not seen before."""
        trials: list[Trial] = []
        lines = list(notes.notes.get("graph", []))
        for _ in range(rounds):
            phases = self._phases(lines)
            base = self.measured(phases, self.fresh(number))
            for note in self.proposals(phases, base):
                trial = self.trial(lines, note, number)
                trials.append(trial)
                if trial.wins:
                    lines.append(note)
        kept = [str(each) for each in trials if each.wins]
        return (
            notes.model_copy(
                update={
                    "version": notes.version + bool(kept),
                    "notes": {**notes.notes, "graph": lines},
                    "measured": [*notes.measured, *kept],
                }
            ),
            trials,
        )

    def fresh(self, number: int) -> list[tuple[Task, str, Setting]]:
        """Requests that nothing was tuned on."""
        tasks = [Task(self._domain, "validation", self._next + at) for at in range(number)]
        self._next += number
        texts = zip(tasks, self._oracle.texts(tasks), strict=True)
        return [(task, text, self._oracle.setting(task)) for task, text in texts if not isinstance(text, Failure)]

    def trial(self, lines: Sequence[str], note: str, number: int) -> Trial:
        """One note against none, on the same fresh requests."""
        requests = self.fresh(number)
        before = self.measured(self._phases(lines), requests)
        after = self.measured(self._phases([*lines, note]), requests)
        return Trial(note, before.rate, after.rate, luck(before.gold, after.gold))

    def measured(self, phases: Phases, requests: Sequence[tuple[Task, str, Setting]]) -> Measured:
        """How requests fare when planned with these prompts, without repair."""
        asks = [phases.graphs([(text, setting)]) for _, text, setting in requests]
        gold: list[bool] = []
        findings: list[str] = []
        for (task, text, setting), answer in zip(requests, self._asked.answers(asks), strict=True):
            plan = plans_of(answer, 1)[0]
            trace = plan if isinstance(plan, Failure) else trace_in(plan, text, setting, self._oracle.identity(task))
            found = (
                [str(each) for each in self._judge.findings(trace)] if isinstance(trace, GoldTrace) else [trace.detail]
            )
            gold.append(not found)
            findings += [f"{text} -> {found[0]}"] if found else []
        return Measured(tuple(gold), tuple(findings))

    def proposals(self, phases: Phases, base: Measured) -> list[str]:
        """Lines that might have helped, by Claude's own account of what went wrong; none if nothing did."""
        if not base.findings:
            return []
        common = Counter(each.partition(" -> ")[2].partition(":")[0] for each in base.findings)
        user = "\n".join(
            [
                "Plans by these instructions were rejected for:",
                *(f"- {each}" for each in base.findings[:_MOST_SHOWN]),
                f"In all: {json.dumps(dict(common.most_common()))}.",
                "Which one or two general lines, added to the instructions, would have prevented most of them? They must",
                "hold for every request of this domain and name no single record. Each is one sentence.",
            ]
        )
        schema = schema_of(Proposed)
        system = phases.systems["graph"]
        digest = blake2b(json.dumps([phases.model, system, user]).encode(), digest_size=14).hexdigest()
        ask = Ask(
            f"tuning-{self._domain.slug}"[:35] + f"-{digest}", "tuning", self._domain.slug, system, user, schema, 600
        )
        answer = self._asked.answers([ask])[0]
        try:
            return [" ".join(note.split()) for note in read(Proposed, answer.text or "").notes if note.strip()][:2]
        except BadAnswerError:
            return []

    def _phases(self, lines: Sequence[str]) -> Phases:
        return self._oracle.phases(self._domain).noted("graph", lines)


def luck(before: Sequence[bool], after: Sequence[bool]) -> float:
    """How likely at least so many of the differing requests would be won if each were a coin's toss."""
    won = sum(new and not old for old, new in zip(before, after, strict=True))
    differing = won + sum(old and not new for old, new in zip(before, after, strict=True))
    return float(sum(comb(differing, each) for each in range(won, differing + 1)) / 2**differing)
