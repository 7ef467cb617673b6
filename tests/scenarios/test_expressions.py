"""Expressions of the catalogue, evaluated in what was drawn."""

from __future__ import annotations

from typing import Any

import pytest

from gatling_sid.scenarios.drawing import NoDrawError, evaluate

BINDINGS = {"loan": {"id": "L1", "tags": ["a"]}, "rows": [{"id": "L1"}, {"id": "L2"}], "n": 3}


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("$loan.id", "L1"), ("$rows.id", ["L1", "L2"]), ("$rows[*].id", ["L1", "L2"]), ("$rows[1].id", "L2"),
        ("$rows.count", 2), ("$n", 3), ("$loan.tags[0]", "a"), ("plain", "plain"), ("$50", "$50"), (7, 7), (["$n"], ["$n"]),
    ],
)  # fmt: skip
def test_evaluated(value: Any, result: Any) -> None:
    """An expression is what it leads to, over a list what it leads to in each; anything else is itself."""
    assert evaluate(value, BINDINGS) == result


@pytest.mark.parametrize("value", ["$nobody.id", "$loan.age", "$rows.age", "$rows[5].id", "$n.id"])
def test_what_leads_nowhere_is_no_draw(value: str) -> None:
    """An expression that leads nowhere in what was drawn draws nothing, and names itself."""
    with pytest.raises(NoDrawError, match=r"^\$"):
        evaluate(value, BINDINGS)
