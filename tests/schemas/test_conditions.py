"""The one table of conditions: what it declares, under the names that tools, draws and answers use."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from gatling_sid.schemas.catalogue import EntityField, Match
from gatling_sid.schemas.conditions import (
    CONDITION_OF_MATCH,
    CONDITION_OF_TEST,
    CONDITIONS,
    DAY_MATCHES,
    ConditionTest,
    Operand,
)

HOLDS: dict[str, tuple[Any, list[Any], list[Any]]] = {
    "equals": ("a", ["a"], ["A", None]),
    "not": ("a", ["A", None], ["a"]),
    "in": (["a", "b"], ["a", "b"], ["c", None]),
    "not_in": (["a", "b"], ["c", None], ["a", "b"]),
    "contains": ("THE", ["the sea", "Athena"], ["tea", None]),
    "at_most": (2, [1, 2], [3, None]),
    "at_least": (2, [2, 3], [1, None]),
    "above": (2, [3], [2, None]),
    "below": (2, [1], [2, None]),
    "within_days": (("2026-03-01", "2026-03-31"), ["2026-03-01", "2026-03-31"], ["2026-02-28", "2026-04-01", None]),
    "older_than_days": (("2026-03-01", "2026-03-31"), ["2026-02-28"], ["2026-03-01", "2026-04-01", None]),
    "next_days": (("2026-03-01", "2026-03-31"), ["2026-03-01", "2026-03-31"], ["2026-02-28", "2026-04-01", None]),
    "is_set": (True, ["a", 0, False], [None]),
    "also_in": (["a", "b"], ["a", "b"], ["c", None]),
    "also_at_most": (2, [1, 2], [3, None]),
    "allowed_dates": (
        ("2026-03-02", "2026-03-09", True),
        ["2026-03-02", "2026-03-06", "2026-03-09"],
        ["2026-03-01", "2026-03-07", "2026-03-08", "2026-03-10", None],
    ),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_holds(name: str) -> None:
    """Each condition holds for some values and not for others; only the negative ones for a field without a value."""
    operand, some, others = HOLDS[name]
    assert [CONDITIONS[name].holds(value, operand) for value in some] == [True] * len(some)
    assert [CONDITIONS[name].holds(value, operand) for value in others] == [False] * len(others)


def test_each_name_is_of_one_condition() -> None:
    """Every match of a tool and every test of an answer is a condition, and no condition has another's."""
    assert sorted(match for each in CONDITIONS.values() for match in each.matches) == sorted(get_args(Match))
    assert CONDITION_OF_MATCH.keys() == set(get_args(Match))
    assert [*CONDITION_OF_TEST] == [*get_args(ConditionTest)]
    unsaid = {name for name, each in CONDITIONS.items() if CONDITION_OF_TEST[each.answer_name] is not each}
    assert unsaid == {"allowed_dates", "also_in", "also_at_most"}
    assert CONDITIONS["allowed_dates"].matches == ()


def test_days_reach_back_or_ahead() -> None:
    """A condition has a reach exactly if it counts days."""
    assert {each.name for each in CONDITIONS.values() if each.operand == "days"} == {
        each.name for each in CONDITIONS.values() if each.reach is not None
    }
    assert {"within_days", "next_days"} == DAY_MATCHES


FITS: dict[str, list[tuple[str, Any, bool]]] = {
    "value": [("money", 2.5, True), ("money", None, True), ("money", "2", False), ("flag", True, True)],
    "values": [("text", ["a", "$x.y"], True), ("text", [], False), ("text", "a", False), ("integer", [1, "a"], False)],
    "bound": [
        ("date", "2026-02-28", True),
        ("date", "2026-02-30", False),
        ("integer", True, False),
        ("time", "09:30", True),
        ("time", "9:30", False),
        ("time", "24:00", False),
        ("time", "09:30\n", False),
        ("time", "٠٩:٣٠", False),
    ],
    "days": [
        ("date", 7, True),
        ("date", -1, False),
        ("date", 36_501, False),
        ("date", True, False),
        ("text", 7, False),
    ],
    "text": [("text", "a", True), ("text", 1, False)],
    "flag": [("date", False, True), ("date", 0, False)],
}


@pytest.mark.parametrize("operand", get_args(Operand))
def test_fits(operand: Operand) -> None:
    """A domain file may compare a field with operands of the condition's kind and of the field's type, no others."""
    condition = next(each for each in CONDITIONS.values() if each.operand == operand)
    for field_type, value, fits in FITS[operand]:
        field = EntityField.model_validate({"type": field_type, "populate": None})
        assert condition.fits(field, value) is fits
