"""The closed set of operations: what each returns, changes and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatling_sid.models import Effect
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.yaml_loading import load_yaml
from gatling_sid.simulator.execution import tools_of
from gatling_sid.simulator.operations import CallRefusedError, CallResult, RefusalReason, State, operate
from gatling_sid.simulator.world import Row, World

SOURCE = Path(__file__).parent.parent / "catalogue" / "library.yaml"


def run(world: World, tool: str, *, within: State | None = None, **arguments: Any) -> CallResult:
    """What one call of a tool does to the world, or to a state of it."""
    return operate(tools_of(world.domain)[f"library.{tool}"], arguments, within or State(world))


def loans(world: World, **where: Any) -> list[Row]:
    """Loans with these values, newest first, ties by number: the order of the library's lists."""
    found = [row for row in world.tables["loan"].values() if all(row[name] == value for name, value in where.items())]
    return sorted(sorted(found, key=lambda row: row["loan_id"]), key=lambda row: row["lent_on"], reverse=True)


def shown(rows: list[Row], *fields: str) -> dict[str, Any]:
    """The result of listing these fields of rows."""
    return {"items": [{name: row[name] for name in fields} for row in rows], "count": len(rows)}


@pytest.fixture(scope="module")
def world(library: Domain) -> World:
    """One library on one day."""
    return World(library, 1, "train-0")


@pytest.fixture(scope="module")
def matching(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A library with more tools: `search` filters in every way, `first` has a default limit, `lend` creates, `tell` sends."""
    content = deepcopy(load_yaml(SOURCE))
    ways = {
        "at_least": "renewals",
        "at_most": "renewals",
        "since": "lent_on",
        "until": "lent_on",
        "next_days": "due_on",
    }
    search = {way: {"does": "filter", "field": field, "match": way, "description": "x"} for way, field in ways.items()}
    common = {"operation": "list", "entity": "loan", "description": "x", "returns": ["loan_id"], "order": "-lent_on"}
    content["tools"]["search"] = {**common, "parameters": search}
    content["tools"]["first"] = {**common, "parameters": {"n": {"does": "limit", "default": 2, "description": "x"}}}
    lend = {field: {"does": "set", "field": field, "description": "x"} for field in ("member_id", "book_id", "title")}
    content["tools"]["lend"] = {"operation": "create", "entity": "loan", "description": "x", "parameters": lend}
    publisher = {"type": "email", "populate": {"email": ["title"], "at": "press.example"}}
    content["entities"]["book"]["fields"]["publisher"] = publisher
    tell = {
        "recipient": {"does": "recipient", "required": True, "description": "To."},
        "loans": {"does": "about", "type": "array", "description": "x"},
    }
    common = {"operation": "send", "entity": "loan", "description": "x", "addressee": ["member_email"]}
    content["tools"]["tell"] = {**common, "parameters": tell}
    folder = tmp_path_factory.mktemp("catalogue")
    (folder / "library.yaml").write_text(
        yaml.safe_dump(json.loads(json.dumps(content)), sort_keys=False), encoding="utf-8"
    )
    return World(DomainRegistry(folder).domain("library"), 1, "train-0")


# --- list and get ----------------------------------------------------------------------------------------------


def test_list_returns_its_fields_in_its_order(world: World) -> None:
    """A list shows the fields that the tool returns, in the tool's order; its rows are complete."""
    result = run(world, "list_loans")
    assert result.value == shown(loans(world), "loan_id", "title", "due_on", "state")
    assert result.rows == tuple((row["loan_id"], row) for row in loans(world))
    assert (result.entity, result.fields) == ("loan", ("loan_id", "title", "due_on", "state"))
    assert (result.effects, result.measured_rows) == ((), None)


def test_select_and_limit(world: World) -> None:
    """A call may select fields, whatever the tool returns, and take only the first rows."""
    result = run(world, "list_loans", fields=["renewals", "member_email"], limit=3)
    assert result.value == shown(loans(world)[:3], "renewals", "member_email")
    assert result.fields == ("renewals", "member_email")
    assert run(world, "list_loans", limit=1000).value["count"] == 150


@pytest.mark.parametrize(
    ("arguments", "fits"),
    [
        ({"state": "overdue"}, lambda row, _: row["state"] == "overdue"),
        ({"states": ["out", "returned"]}, lambda row, _: row["state"] != "overdue"),
        ({"title": "THE "}, lambda row, _: "the " in row["title"].casefold()),
        ({"days": 30}, lambda row, today: row["lent_on"] >= (today - timedelta(days=30)).isoformat()),
        ({"state": "out", "title": "e", "days": 15}, lambda row, today: row["state"] == "out" and "e" in
            row["title"].casefold() and row["lent_on"] >= (today - timedelta(days=15)).isoformat()),
        ({"member_id": "nobody"}, lambda _row, _today: False),
    ],
)  # fmt: skip
def test_filters(world: World, arguments: dict[str, Any], fits: Callable[..., bool]) -> None:
    """A row is found if it matches all filters of a call, before its table was changed and after."""
    expected = [row for row in loans(world) if fits(row, world.today)]
    assert run(world, "list_loans", **arguments).rows == tuple((row["loan_id"], row) for row in expected)
    state = State(world)
    state.write(
        "loan", "L-new", {**loans(world)[0], "loan_id": "L-new", "state": "lost", "title": "-", "lent_on": "1999-01-01"}
    )
    assert run(world, "list_loans", within=state, **arguments).rows == tuple((row["loan_id"], row) for row in expected)


def test_every_way_to_match(matching: World) -> None:
    """Lower and upper bounds are inclusive, and the next days begin with today."""
    every, today = loans(matching), matching.today
    middle = every[len(every) // 2]["lent_on"]
    soon = (today + timedelta(days=5)).isoformat()
    for arguments, expected in (
        ({"at_least": 2}, [row for row in every if row["renewals"] >= 2]),
        ({"at_most": 1}, [row for row in every if row["renewals"] <= 1]),
        ({"since": middle}, [row for row in every if row["lent_on"] >= middle]),
        ({"until": middle}, [row for row in every if row["lent_on"] <= middle]),
        ({"next_days": 5}, [row for row in every if today.isoformat() <= row["due_on"] <= soon]),
    ):
        assert 0 < len(expected) < len(every)
        assert run(matching, "search", **arguments).value == shown(expected, "loan_id")


def test_defaults(matching: World) -> None:
    """A parameter without an argument has its default value."""
    assert run(matching, "first").value == shown(loans(matching)[:2], "loan_id")
    assert run(matching, "first", n=3).value == shown(loans(matching)[:3], "loan_id")


def test_get(world: World) -> None:
    """A get returns the fields of one row, without a list around them."""
    loan = loans(world)[5]
    result = run(world, "get_loan", loan_id=loan["loan_id"])
    assert result.value == {
        name: loan[name] for name in ("loan_id", "title", "due_on", "state", "renewals", "member_email")
    }
    assert result.rows == ((loan["loan_id"], loan),)


# --- changes ---------------------------------------------------------------------------------------------------


def test_update(world: World) -> None:
    """An update writes its arguments and returns the new row; its result also holds the row as it was."""
    state, loan = State(world), loans(world, state="out")[0]
    result = run(world, "renew_loan", within=state, loan_id=loan["loan_id"], due_on="2030-01-01")
    assert result.value == {"loan_id": loan["loan_id"], "due_on": "2030-01-01", "member_email": loan["member_email"]}
    assert result.rows == ((loan["loan_id"], loan),)
    effect = Effect(kind="update", entity="loan", rows=[loan["loan_id"]], changes={"due_on": "2030-01-01"})
    assert result.effects == (effect,)
    assert state.row("loan", loan["loan_id"]) == {**loan, "due_on": "2030-01-01"}


def test_update_of_several(world: World) -> None:
    """A tool that takes several keys changes each row, and writes the values that the tool itself sets."""
    state, keys = State(world), [row["loan_id"] for row in loans(world, state="out")[:2]]
    result = run(world, "close_loans", within=state, loan_ids=keys)
    assert result.value == {"items": [{"loan_id": key, "state": "returned"} for key in keys], "count": 2}
    assert result.effects == (Effect(kind="update", entity="loan", rows=keys, changes={"state": "returned"}),)


def test_create(world: World) -> None:
    """The key of a created row depends only on its content, and the row can be read by it."""
    state, wanted = State(world), {"loan_id": loans(world)[0]["loan_id"], "text": "bring it"}
    result = run(world, "write_reminder", within=state, **wanted)
    key = result.value["reminder_id"]
    assert result.value == run(world, "write_reminder", **wanted).value == {"reminder_id": key}
    assert result.effects == (Effect(kind="create", entity="reminder", changes=wanted),)
    assert state.row("reminder", key) == {"reminder_id": key, **wanted}
    assert run(world, "write_reminder", within=state, **{**wanted, "text": "now"}).value != result.value
    assert run(World(world.domain, 1, "train-1"), "write_reminder", **wanted).value != result.value


@pytest.mark.parametrize(
    ("given", "copied"),
    [
        ({"member_id": "<member>", "book_id": "<book>"}, {"member_email", "title"}),
        ({"member_id": "<member>", "title": "Another"}, {"member_email"}),
        ({"member_id": "nobody", "book_id": "<book>"}, {"title"}),
        ({"title": "Another"}, set()),
    ],
)
def test_a_created_record_copies_from_those_it_refers_to(
    matching: World, given: dict[str, str], copied: set[str]
) -> None:
    """A new record copies the same fields as others from the records it refers to, unless they are given or missing."""
    member, book = (matching.sorted_rows(entity, None)[0] for entity in ("member", "book"))
    named = {"<member>": member["member_id"], "<book>": book["book_id"]}
    given = {name: named.get(value, value) for name, value in given.items()}
    result = run(matching, "lend", **given)
    ((key, row),) = result.created_rows
    expected = {"member_email": member["email"], "title": book["title"]}
    filled = {name: value for name, value in row.items() if value is not None}
    assert filled == {"loan_id": key, **{name: expected[name] for name in copied}, **given}
    assert result.effects[0].changes == given


def test_delete(world: World) -> None:
    """A deleted row is no longer in the state; the result holds the row as it was."""
    state, loan = State(world), loans(world, state="returned")[0]
    result = run(world, "delete_loan", within=state, loan_id=loan["loan_id"])
    assert result.value == {"deleted": [loan["loan_id"]], "count": 1}
    assert (result.rows, result.fields) == (((loan["loan_id"], loan),), ())
    assert result.effects == (Effect(kind="delete", entity="loan", rows=[loan["loan_id"]]),)
    assert state.row("loan", loan["loan_id"]) is None


def test_export(world: World) -> None:
    """An export returns its target and the number of rows; its effect holds the keys and fields."""
    keys = [row["loan_id"] for row in loans(world)[:3]]
    result = run(world, "export_loans", loan_ids=keys, fields=["title", "due_on"], target="council")
    assert result.value == {"export_id": result.value["export_id"], "target": "council", "count": 3}
    effect = Effect(
        kind="export", entity="loan", rows=sorted(keys), changes={"fields": ["due_on", "title"]}, target="council"
    )
    assert result.effects == (effect,)
    assert (
        result.value
        == run(world, "export_loans", loan_ids=keys[::-1], fields=["due_on", "title"], target="council").value
    )
    late = run(world, "export_loans", state="overdue", target="archive")
    assert (late.value["count"], late.fields) == (len(loans(world, state="overdue")), ("loan_id", "title", "due_on"))


def test_send(world: World) -> None:
    """A message goes to an address that exists, about rows that exist."""
    loan = loans(world)[0]
    result = run(world, "mail_member", recipient=loan["member_email"], loan_id=loan["loan_id"], message="soon")
    assert result.value == {"message_id": result.value["message_id"], "recipient": loan["member_email"]}
    assert (result.rows, result.fields) == (((loan["loan_id"], loan),), ())
    assert result.effects == (
        Effect(
            kind="send", entity="loan", rows=[loan["loan_id"]], changes={"message": "soon"}, target=loan["member_email"]
        ),
    )


def test_a_message_reaches_its_addressee_alone(matching: World) -> None:
    """A message about records goes to the addressee of all of them; one about no record, to the addressee of any."""
    rows = loans(matching)
    first = rows[0]
    same = [row["loan_id"] for row in rows if row["member_id"] == first["member_id"]]
    other = next(row for row in rows if row["member_id"] != first["member_id"])
    publisher = next(iter(matching.tables["book"].values()))["publisher"]
    assert run(matching, "tell", recipient=first["member_email"], loans=same).effects[0].rows == sorted(same)
    assert run(matching, "tell", recipient=first["member_email"]).effects[0].rows == []
    for recipient, about, text in (
        (publisher, {}, f"'{publisher}' is not the member_email of any loan"),
        (publisher, {"loans": same}, f"'{publisher}' is not the member_email of loan {same[0]}"),
        (
            first["member_email"],
            {"loans": [*same, other["loan_id"]]},
            f"'{first['member_email']}' is not the member_email of loan {other['loan_id']}",
        ),
    ):
        with pytest.raises(CallRefusedError) as refused:
            run(matching, "tell", recipient=recipient, **about)
        assert (refused.value.reason, refused.value.detail) == (RefusalReason.WRONG_RECIPIENT, text)
    described = matching.domain.schemas[-1].parameters[0].description
    assert described == "To. Only member_email of the loan it is about, or of any if it is about none."
