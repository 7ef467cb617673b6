"""Measures over rows, over all of them or by group."""

from __future__ import annotations

from typing import Any

import pytest

from gatling_sid.schemas.domain import Domain
from gatling_sid.simulator.execution import tools_of
from gatling_sid.simulator.measures import measure_rows
from gatling_sid.simulator.operations import CallResult, MeasuredRows, State, operate
from gatling_sid.simulator.world import Row, World


@pytest.fixture(scope="module")
def world(library: Domain) -> World:
    """One library on one day."""
    return World(library, 1, "train-0")


def loans(world: World, state: str) -> list[Row]:
    """Loans in a state."""
    return [row for row in world.tables["loan"].values() if row["state"] == state]


def count_loans(world: World, **arguments: Any) -> CallResult:
    """The result of `count_loans` with these arguments."""
    return operate(tools_of(world.domain)["library.count_loans"], arguments, State(world))


def test_count(world: World) -> None:
    """Without a measure, the rows that match the filters are counted."""
    late = loans(world, state="overdue")
    result = count_loans(world, state="overdue")
    assert result.value == {"count": len(late), "value": len(late)}
    assert result.fields == ()
    assert result.measured_rows is not None
    assert (set(result.measured_rows.rows), result.measured_rows.values) == (
        {r["loan_id"] for r in late},
        ((None, len(late)),),
    )


def test_groups(world: World) -> None:
    """Groups come in the order of their values, the largest first and ties by name, up to the limit."""
    by_state = {
        state: sum(r["renewals"] for r in loans(world, state=state)) for state in ("out", "overdue", "returned")
    }
    ranked = sorted(by_state.items(), key=lambda each: (-each[1], each[0]))[:2]
    result = count_loans(world, measure="sum", measured_field="renewals", group_by="state", limit=2)
    assert result.value == {"count": 150, "groups": [{"group": group, "value": value} for group, value in ranked]}
    assert result.fields == ("renewals", "state")
    assert result.measured_rows == MeasuredRows(
        "sum", "renewals", "state", tuple(key for key, _ in result.rows), tuple(ranked)
    )


ROWS: list[Row] = [{"v": 3, "g": "b"}, {"v": None, "g": "a"}, {"v": 4, "g": "a"}, {"v": 3.5, "g": "b"}]


@pytest.mark.parametrize(
    ("measure", "field", "group", "top", "values"),
    [
        ("count", None, None, None, ((None, 4),)),
        ("count", None, "g", None, (("a", 2), ("b", 2))),
        ("sum", "v", None, None, ((None, 10.5),)),
        ("average", "v", None, None, ((None, 3.5),)),
        ("minimum", "v", None, None, ((None, 3),)),
        ("maximum", "v", None, None, ((None, 4),)),
        ("sum", "v", "g", None, (("b", 6.5), ("a", 4))),
        ("sum", "v", "g", 1, (("b", 6.5),)),
        ("average", "v", "g", None, (("a", 4), ("b", 3.25))),
    ],
)
def test_measures(measure: str, field: str | None, group: str | None, top: int | None, values: Any) -> None:
    """Rows without a value are left out by every measure except the count."""
    assert measure_rows(ROWS, measure, field, group, top) == values


def test_no_rows(world: World) -> None:
    """Over no rows, a count is 0 and a sum has no value."""
    assert count_loans(world, state="lost").value == {"count": 0, "value": 0}
    nothing = count_loans(world, state="lost", measure="sum", measured_field="renewals")
    assert nothing.value == {"count": 0, "value": None}
