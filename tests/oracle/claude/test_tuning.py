"""A note is kept if it wins on fresh requests by more than luck would."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from gatling_sid.oracle.claude.asks import Ask
from gatling_sid.oracle.claude.oracle import ClaudeOracle
from gatling_sid.oracle.claude.prompts import Notes
from gatling_sid.oracle.claude.running import running
from gatling_sid.oracle.claude.settings import Setting
from gatling_sid.oracle.claude.tuning import Tuning, luck
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas.domain import Domain
from gatling_sid.validators import TraceValidator
from tests.claude_model import Model
from tests.conftest import CREATED_AT

HELPS, USELESS = "Name no call that nothing needs.", "Be careful."
FIRST, NUMBER = 500, 20


class Learner(Model):
    """Plans well only if its instructions hold the note that helps; proposes that one and another."""

    def _text(self, ask: Ask) -> str:
        if ask.phase == "tuning":
            return json.dumps({"notes": [USELESS, HELPS]})
        text = super()._text(ask)
        return text if ask.phase != "graph" or f"- {HELPS}" in ask.system else '{"items": []}'


def test_only_what_wins_is_kept(library: Domain, validator: TraceValidator) -> None:
    """The useless note stays out; the one that helps is kept with its figures, and the notes get a new version."""
    known: list[Setting] = []

    def settings() -> Sequence[Setting]:
        return known

    model = Learner(settings)
    asked = running(model)
    oracle = ClaudeOracle(asked, validator, seed=7, created_at=CREATED_AT)
    known += [oracle.setting(Task(library, "validation", FIRST + at)) for at in range(6 * NUMBER)]
    tuning = Tuning(oracle, asked, validator, library, first=FIRST)
    tuned, trials = tuning.tried(Notes(version=3, notes={"requests": ["Speak."]}), NUMBER, 1)
    assert [(each.note, each.wins) for each in trials] == [(USELESS, False), (HELPS, True)]
    assert tuned.version == 4
    assert tuned.notes == {"requests": ["Speak."], "graph": [HELPS]}
    assert tuned.measured == [str(trials[1])]
    assert trials[1].after > 0.8 > trials[1].before == 0.0
    asks = [ask.user for ask in model.asked if ask.phase == "requests"]
    assert len(asks) == len(set(asks))


@pytest.mark.parametrize(
    ("before", "after", "chance"),
    [("0000", "0000", 1.0), ("0000", "0001", 0.5), ("0000000", "0111110", 1 / 32), ("1000", "0111", 5 / 16)],
)
def test_luck_counts_what_differs(before: str, after: str, chance: float) -> None:
    """A sign test: what both got right, or neither, tells nothing."""
    old, new = ([each == "1" for each in text] for text in (before, after))
    assert luck(old, new) == pytest.approx(chance)
