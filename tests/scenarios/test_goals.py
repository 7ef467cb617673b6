"""Goals in terms of drawn rows: numbers that are added give each row its own value."""

from __future__ import annotations

from typing import Any

import pytest

from gatling_sid.models import Effect
from gatling_sid.scenarios.drawing import NoDrawError
from gatling_sid.scenarios.goals import goal_of
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.domain import Domain
from gatling_sid.simulator.world import Row

DRAWS = {"debtors": c.AllRowsDraw(all="member"), "amount": c.NumberDraw(number=(1, 9))}


def effects(library: Domain, rows: list[Row], **update: Any) -> list[Effect]:
    """The effects of updating these members, of whom the amount is 5."""
    goal = c.ScenarioGoal(effects=[c.UpdateEffect(update="debtors", **update)])
    scenario = c.Scenario(intent="update", roles=["librarian"], draw=DRAWS, goal=goal, plan=[], phrasings=[])
    return goal_of(scenario, library, {"debtors": rows, "amount": 5}, frozenset()).effects


def test_numbers_are_added_row_by_row(library: Domain) -> None:
    """Each row has an effect with what it had plus and minus the numbers, and with the values that are set."""
    rows = [{"member_id": "M-1", "fines": 2.5}, {"member_id": "M-2", "fines": 10}]
    found = effects(library, rows, set={"job": "reader"}, add={"fines": "$amount"})
    assert [(each.rows, each.changes) for each in found] == [
        (["M-1"], {"job": "reader", "fines": 7.5}),
        (["M-2"], {"job": "reader", "fines": 15}),
    ]
    assert [each.changes for each in effects(library, rows, subtract={"fines": "$amount"})] == [
        {"fines": -2.5},
        {"fines": 5},
    ]
    assert [each.rows for each in effects(library, rows, set={"job": "reader"})] == [["M-1", "M-2"]]


def test_nothing_is_added_to_no_number(library: Domain) -> None:
    """A row without a number in the field cannot be drawn."""
    with pytest.raises(NoDrawError, match=r"^no fines to add to$"):
        effects(library, [{"member_id": "M-1", "fines": None}], add={"fines": "$amount"})


def test_nothing_is_set_to_what_it_is(library: Domain) -> None:
    """A row that has the new value already cannot be drawn, since nobody asks for it."""
    rows = [{"member_id": "M-1", "job": "visitor"}, {"member_id": "M-2", "job": "reader"}]
    with pytest.raises(NoDrawError, match=r"^a row has the new value already$"):
        effects(library, rows, set={"job": "reader"})
