"""Running a graph of calls, and comparing what happened with a goal."""

from __future__ import annotations

from copy import deepcopy
from itertools import permutations
from typing import Any

import pytest

from gatling_sid.models import ToolCall
from gatling_sid.schemas.domain import Domain
from gatling_sid.simulator.execution import Execution, Refusal, execute
from gatling_sid.simulator.operations import CallResult, RefusalReason
from gatling_sid.simulator.world import Row, World

GONE, NOBODY = "L-0000", "nobody@elm.example"


@pytest.fixture(scope="module")
def world(library: Domain) -> World:
    """One library on one day."""
    return World(library, 1, "train-0")


def plan(*steps: tuple[str, dict[str, Any]]) -> list[ToolCall]:
    """Calls `call_1`, `call_2`, … of these tools with these arguments."""
    return [
        ToolCall(call_id=f"call_{at}", tool_id=f"library.{tool}", arguments=arguments)
        for at, (tool, arguments) in enumerate(steps, start=1)
    ]


def loan(world: World, state: str, at: int = 0) -> Row:
    """The newest, or next newest, loan in a state."""
    return [row for row in world.sorted_rows("loan", "-lent_on") if row["state"] == state][at]


def refusal_text(world: World, *steps: tuple[str, dict[str, Any]]) -> str:
    """The text of the refusal that ends a plan, or an empty text."""
    return str(execute(plan(*steps), world).refusal or "")


# --- running ---------------------------------------------------------------------------------------------------


def test_references_are_resolved(world: World) -> None:
    """A reference is replaced by the value at its path; with `[*]`, by a list of the values in all elements."""
    execution = execute(
        plan(
            ("list_loans", {"state": "out", "limit": 2}),
            ("get_loan", {"loan_id": "$call_1.items[1].loan_id"}),
            ("close_loans", {"loan_ids": "$call_1.items[*].loan_id"}),
            ("mail_member", {"recipient": "$call_2.member_email", "loan_id": "$call_2.loan_id", "message": "$5 due"}),
        ),
        world,
    )
    first, second = loan(world, "out"), loan(world, "out", 1)
    assert execution.refusal is None
    assert execution.arguments == {
        "call_1": {"state": "out", "limit": 2},
        "call_2": {"loan_id": second["loan_id"]},
        "call_3": {"loan_ids": [first["loan_id"], second["loan_id"]]},
        "call_4": {"recipient": second["member_email"], "loan_id": second["loan_id"], "message": "$5 due"},
    }
    assert execution.results["call_2"].value["title"] == second["title"]
    assert execution.results["call_3"].value["count"] == 2


REFUSED: dict[str, tuple[tuple[str, dict[str, Any]], str]] = {
    "unknown_tool": (("burn_loan", {}), "there is no tool 'library.burn_loan'"),
    "invalid_argument": (("list_loans", {"limit": 0}), "limit must be at least 1, not 0"),
    "missing_reference": (("get_loan", {"loan_id": "$call_9.id"}), "loan_id refers to call_9, which has no result yet"),
    "not_found": (("get_loan", {"loan_id": GONE}), f"there is no loan '{GONE}'"),
    "wrong_state": (("delete_loan", {"loan_id": "<out>"}), "loan <out> has state 'out'; allowed are returned"),
    "already_exists": (("write_reminder", {"loan_id": "<out>", "text": "soon"}), ""),
    "unknown_recipient": (
        ("mail_member", {"recipient": NOBODY, "loan_id": "<out>"}),
        f"no row has the address '{NOBODY}'",
    ),
    "wrong_recipient": (
        ("mail_member", {"recipient": "<other>", "loan_id": "<out>"}),
        "'<other>' is not the member_email of loan <out>",
    ),
}


@pytest.mark.parametrize("reason", RefusalReason)
def test_every_refusal_reason(world: World, reason: RefusalReason) -> None:
    """Each reason of a refusal ends the execution; the results of the calls before it are kept."""
    key, other = loan(world, "out")["loan_id"], loan(world, "out", 1)["member_email"]
    (tool, arguments), detail = REFUSED[reason]
    arguments = {name: {"<out>": key, "<other>": other}.get(value, value) for name, value in arguments.items()}
    before = (tool, arguments) if reason is RefusalReason.ALREADY_EXISTS else ("get_loan", {"loan_id": key})
    execution = execute(plan(before, (tool, arguments), ("list_loans", {})), world)
    if reason is RefusalReason.ALREADY_EXISTS:
        detail = f"reminder {execution.results['call_1'].value['reminder_id']} exists already"
    assert execution.refusal == Refusal("call_2", reason, detail.replace("<out>", key).replace("<other>", other))
    assert str(execution.refusal) == f"call_2 was refused ({reason}): {execution.refusal.detail}"
    assert list(execution.results) == list(execution.arguments) == ["call_1"]


@pytest.mark.parametrize(
    ("tool", "arguments", "text"),
    [
        ("get_loan", {}, "invalid_argument): loan_id is required"),
        ("get_loan", {"loan_id": 5}, "invalid_argument): loan_id must be string, not int"),
        ("get_loan", {"id": "x"}, "invalid_argument): loan_id is required"),
        ("find_members", {"name": "x"}, "invalid_argument): there is no parameter 'name'; the tool has first_name, limit, fields"),
        ("list_loans", {"state": "lost"}, "invalid_argument): state must be one of out, overdue, returned, not 'lost'"),
        (
            "renew_loan",
            {"loan_id": GONE, "due_on": "soon"},
            "invalid_argument): due_on must be a date such as 2026-03-14, not 'soon'",
        ),
        ("count_loans", {"measure": "sum"}, "invalid_argument): sum needs a field to measure"),
        ("renew_loan", {"loan_id": GONE, "due_on": "2026-01-01"}, f"not_found): there is no loan '{GONE}'"),
        ("close_loans", {"loan_ids": [GONE]}, f"not_found): there is no loan '{GONE}'"),
        ("delete_loan", {"loan_id": GONE}, f"not_found): there is no loan '{GONE}'"),
        ("export_loans", {"loan_ids": [GONE], "target": "archive"}, f"not_found): there is no loan '{GONE}'"),
        ("mail_member", {"recipient": "<email>", "loan_id": GONE}, f"not_found): there is no loan '{GONE}'"),
        (
            "renew_loan",
            {"loan_id": "<returned>", "due_on": "2026-01-01"},
            "wrong_state): loan <returned> has state 'returned'; allowed are out, overdue",
        ),
        (
            "get_loan",
            {"loan_id": "$call_1.items[9].loan_id"},
            "missing_reference): loan_id refers to $call_1.items[9].loan_id, but there is no 9",
        ),
        (
            "get_loan",
            {"loan_id": "$call_1.count[*].x"},
            "missing_reference): loan_id refers to $call_1.count[*].x, but [*] needs a list",
        ),
        ("get_loan", {"loan_id": "$call_2"}, "missing_reference): loan_id refers to call_2, which has no result yet"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_refusals(world: World, tool: str, arguments: dict[str, Any], text: str) -> None:
    """A refusal names the call, the reason and the value at fault."""
    returned = loan(world, "returned")
    known = {"<returned>": returned["loan_id"], "<email>": returned["member_email"]}
    given = {name: known.get(value, value) if isinstance(value, str) else value for name, value in arguments.items()}
    expected = text.replace("<returned>", returned["loan_id"])
    assert refusal_text(world, ("list_loans", {"limit": 1}), (tool, given)) == f"call_2 was refused ({expected}"


def test_changes_stay_on_an_overlay(world: World) -> None:
    """Whatever a plan changes, the world stays as it was, and the next plan starts from it."""
    before = deepcopy(world.tables)
    out, returned = loan(world, "out")["loan_id"], loan(world, "returned")["loan_id"]
    steps: tuple[tuple[str, dict[str, Any]], ...] = (
        ("renew_loan", {"loan_id": out, "due_on": "2030-01-01"}),
        ("close_loans", {"loan_ids": [out]}),
        ("delete_loan", {"loan_id": returned}),
        ("write_reminder", {"loan_id": out, "text": "soon"}),
        ("list_loans", {}),
    )
    first, second = execute(plan(*steps), world), execute(plan(*steps), world)
    assert first.refusal is None
    assert first == second
    assert world.tables == before
    assert execute(plan(("list_loans", {})), world).results["call_1"].value["count"] == 150


def test_a_read_after_a_change_sees_it(world: World) -> None:
    """Lists, gets and measures see what earlier calls wrote, and nothing that they deleted."""
    out, returned = loan(world, "out")["loan_id"], loan(world, "returned")["loan_id"]
    counted = ("count_loans", {"group_by": "state"})
    execution = execute(
        plan(
            counted,
            ("get_loan", {"loan_id": out}),
            ("close_loans", {"loan_ids": [out]}),
            ("delete_loan", {"loan_id": returned}),
            counted,
            ("get_loan", {"loan_id": out}),
            ("list_loans", {"state": "returned"}),
            ("get_loan", {"loan_id": returned}),
        ),
        world,
    )
    values = {call_id: result.value for call_id, result in execution.results.items()}
    before, after = ({g["group"]: g["value"] for g in values[call_id]["groups"]} for call_id in ("call_1", "call_5"))
    assert after == {**before, "out": before["out"] - 1}
    assert (values["call_2"]["state"], values["call_6"]["state"]) == ("out", "returned")
    listed = [item["loan_id"] for item in values["call_7"]["items"]]
    assert (out in listed, returned in listed) == (True, False)
    assert execution.refusal == Refusal("call_8", RefusalReason.NOT_FOUND, f"there is no loan '{returned}'")


def test_every_allowed_order_ends_alike(world: World) -> None:
    """In every order that respects the dependencies, all calls have the same results."""
    calls = plan(
        ("list_loans", {"state": "out", "limit": 2}),
        ("renew_loan", {"loan_id": "$call_1.items[0].loan_id", "due_on": "2030-01-01"}),
        ("close_loans", {"loan_ids": ["<other>"]}),
        ("write_reminder", {"loan_id": "$call_1.items[1].loan_id", "text": "soon"}),
        ("mail_member", {"recipient": "$call_2.member_email", "loan_id": "$call_2.loan_id"}),
        ("get_loan", {"loan_id": "$call_2.loan_id"}),
    )
    calls[2].arguments = {"loan_ids": [loan(world, "overdue")["loan_id"]]}
    needs = {
        "call_2": ["call_1"],
        "call_3": ["call_1"],
        "call_4": ["call_1"],
        "call_5": ["call_2"],
        "call_6": ["call_2"],
    }
    orders = [
        order
        for order in permutations(calls)
        if all(
            order.index(calls[int(each[5:]) - 1]) < at
            for at, c in enumerate(order)
            for each in needs.get(c.call_id, ())
        )
    ]
    usual = execute(calls, world)
    assert (len(orders), usual.refusal) == (40, None)
    for order in orders:
        assert execute(order, world).results == usual.results


def test_known_results_and_replaced_arguments(world: World) -> None:
    """Calls with known results do not run again, and replaced arguments are the ones that are used."""
    calls = plan(("list_loans", {"limit": 2}), ("get_loan", {"loan_id": "$call_1.items[0].loan_id"}))
    usual = execute(calls, world)
    made_up = CallResult(value={"items": [{"loan_id": loan(world, "overdue")["loan_id"]}]}, entity="loan")
    assert execute(calls, world, known_results={"call_1": made_up}).results["call_2"].value["state"] == "overdue"
    fewer = execute(calls, world, replaced_arguments={"call_1": {"limit": 1}})
    assert (fewer.results["call_1"].value["count"], usual.results["call_1"].value["count"]) == (1, 2)
    assert execute([], world) == Execution({}, {}, None)
