"""Under which values of the policy's axes a role may make a call, so that a task is asked for where it is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from gatling_sid.schemas.composition.givens import givens_for, merge_givens
from gatling_sid.schemas.domain import Domain

SHOWN = ("repair_id", "bicycle", "status")


@pytest.mark.parametrize(
    ("role", "tool", "shown", "others", "choices", "givens"),
    [
        ("manager", "list_repairs", SHOWN[:2], (), (), {}),
        ("manager", "list_repairs", SHOWN, (), (), {"columns": [4, 5]}),
        ("manager", "list_repairs", (*SHOWN, "price", "deposit"), (), (), {"columns": [5]}),
        ("manager", "list_repairs", (*SHOWN, "price", "deposit", "ready_on"), (), (), None),
        ("manager", "get_repair", (*SHOWN, "price", "deposit", "ready_on"), (), (), {}),
        ("manager", "export_repairs", SHOWN, (), (), {"quiet_hours": [False]}),
        ("manager", "export_repairs", SHOWN, (), (("target", "tax_drive"),),
         {"quiet_hours": [False], "targets": [["office_drive", "tax_drive"]]}),
        ("manager", "export_repairs", SHOWN, (), (("target", "office_drive"),), {"quiet_hours": [False]}),
        ("manager", "change_repair", (), ("price",), (("price", 100),), {}),
        ("manager", "change_repair", (), ("price",), (("price", 200),), {"top_price": [400, 250]}),
        ("manager", "change_repair", (), ("price",), (("price", 500),), None),
        ("manager", "delete_repairs", (), (), (), {}),
        ("mechanic", "delete_repairs", (), (), (), None),
    ],
)  # fmt: skip
def test_values_under_which_a_call_is_allowed(
    workshop: Domain, role: str, tool: str, shown: tuple[str, ...], others: tuple[str, ...], choices: Any, givens: Any
) -> None:
    """Axes that matter are listed with the values that allow the call; None if no member of the family allows it."""
    assert givens_for(workshop, role, tool, shown, others, choices) == givens


@pytest.mark.parametrize(("tier", "givens"), [("restricted", {}), ("confidential", {}), ("internal", None)])
def test_a_ceiling_allows_what_it_shows(library: Domain, tier: str, givens: Any) -> None:
    """A call that shows or filters by a field above the role's ceiling is never allowed."""
    role, field = ("librarian", "fines") if tier == "internal" else ("director", "fines")
    assert givens_for(library, role, "find_members", ("first_name", field)) == givens
    assert givens_for(library, role, "find_members", ("first_name",), (field,)) == givens


@pytest.mark.parametrize(
    ("found", "merged"),
    [
        ([], ()),
        ([{}, {}], ()),
        ([{"a": [1, 2]}, {"b": [True]}], (("a", (1, 2)), ("b", (True,)))),
        ([{"a": [1, 2]}, {"a": [2, 3]}], (("a", (2,)),)),
        ([{"a": [1]}, {"a": [2]}], None),
        ([{"a": [1]}, None], None),
    ],
)
def test_all_calls_must_be_allowed(found: Any, merged: Any) -> None:
    """Of several calls, the values remain that allow each of them."""
    assert merge_givens(found) == merged
