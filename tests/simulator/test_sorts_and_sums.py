"""Tools whose calls ask for an order, and tools that add to a number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from gatling_sid.models import Effect
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.yaml_loading import load_yaml
from gatling_sid.simulator.arguments import argument_problems
from gatling_sid.simulator.execution import tools_of
from gatling_sid.simulator.operations import CallRefusedError, CallResult, RefusalReason, State, operate
from gatling_sid.simulator.world import Row, World

SOURCE = Path(__file__).parent.parent / "catalogue" / "library.yaml"
TOOLS = """
rank_loans: {operation: list, entity: loan, description: x, returns: [loan_id], order: -lent_on, parameters: {
  loan_ids: {does: keys, description: x}, state: {does: filter, field: state, description: x},
  order: {does: sort, description: x, values: [renewals, -renewals, due_on], words: {renewals: [least renewed],
    -renewals: [most renewed, top], due_on: [first due]}}, limit: {does: limit, description: x}}}
rank_exports: {operation: export, entity: loan, description: x, returns: [loan_id], order: loan_id, parameters: {
  order: {does: sort, description: x, values: [due_on], words: {due_on: [first due]}},
  target: {does: target, required: true, values: [archive], words: {archive: [the attic]}, description: x}}}
charge: {operation: update, entity: member, description: x, returns: [member_id, fines], parameters: {
  member_ids: {does: keys, required: true, description: x}, amount: {does: add, field: fines, minimum: -50, description: x}}}
pay: {operation: update, entity: member, description: x, returns: [fines], sets: {job: reader}, parameters: {
  member_id: {does: key, required: true, description: x},
  amount: {does: subtract, field: fines, keeps_at_least: 0, required: true, description: x}}}
set_time: {operation: update, entity: loan, description: x, returns: [loan_id], parameters: {
  loan_id: {does: key, required: true, description: x}, at: {does: set, field: at, required: true, description: x}}}
late_loans: {operation: list, entity: loan, description: x, returns: [loan_id], parameters: {
  since: {does: filter, field: at, match: at_least, description: x}}}
"""


@pytest.fixture(scope="module")
def ranking(tmp_path_factory: pytest.TempPathFactory) -> Domain:
    """The library with tools that sort, tools that add, and a time for every loan."""
    content = load_yaml(SOURCE)
    content["tools"] |= yaml.safe_load(TOOLS)
    content["entities"]["loan"]["fields"]["at"] = {"type": "time", "populate": {"time": ["09:00", "17:00"]}}
    folder = tmp_path_factory.mktemp("catalogue")
    (folder / "library.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return DomainRegistry(folder).domain("library")


@pytest.fixture(scope="module")
def world(ranking: Domain) -> World:
    """One library on one day."""
    return World(ranking, 1, "train-0")


def run(world: World, tool: str, *, within: State | None = None, **arguments: Any) -> CallResult:
    """What one call of a tool does to the world, or to a state of it."""
    return operate(tools_of(world.domain)[f"library.{tool}"], arguments, within or State(world))


def keys(rows: list[Row], name: str = "loan_id") -> list[str]:
    """The keys of rows."""
    return [row[name] for row in rows]


def test_a_call_may_ask_for_an_order(world: World) -> None:
    """Rows come in the order that a call asks for, ties by key, and otherwise in the tool's; a limit takes the first."""
    loans = sorted(world.tables["loan"].values(), key=lambda row: row["loan_id"])
    by_renewals = sorted(loans, key=lambda row: row["renewals"])
    most = sorted(loans, key=lambda row: -row["renewals"])
    assert keys(run(world, "rank_loans", order="renewals").value["items"]) == keys(by_renewals)
    assert keys(run(world, "rank_loans", order="-renewals", limit=3).value["items"]) == keys(most[:3])
    assert run(world, "rank_loans").value == run(world, "list_loans", fields=["loan_id"]).value
    out = [row for row in by_renewals if row["state"] == "out"]
    assert keys(run(world, "rank_loans", order="renewals", state="out").value["items"]) == keys(out)
    some = keys(by_renewals[::-30])
    assert keys(run(world, "rank_loans", loan_ids=some).value["items"]) == some
    assert keys(run(world, "rank_loans", loan_ids=some, order="renewals").value["items"]) == some[::-1]
    exported = run(world, "rank_exports", order="due_on", target="archive").rows
    assert [key for key, _ in exported] == keys(sorted(loans, key=lambda row: row["due_on"]))


def test_orders_are_arguments_with_words(ranking: Domain) -> None:
    """An order is one of the declared values, and is said in the words of the parameter; so is a target."""
    tool = ranking.tools["library.rank_loans"]
    assert ranking.json_type(tool, tool.parameters["order"]) == (
        "string",
        {"enum": ["renewals", "-renewals", "due_on"]},
    )
    compiled = tools_of(ranking)["library.rank_loans"]
    assert list(argument_problems(compiled, {"order": "-renewals"})) == []
    assert list(argument_problems(compiled, {"order": "title"})) == [
        "order must be one of renewals, -renewals, due_on, not 'title'"
    ]
    assert ranking.wording_kind(tool, tool.parameters["order"]) == "choice"
    words = {"renewals": ("least renewed",), "-renewals": ("most renewed", "top"), "due_on": ("first due",)}
    assert ranking.wordings_to_render(tool, "order") == ranking.wordings_to_parse(tool, "order") == words
    export = ranking.tools["library.rank_exports"]
    assert ranking.wordings_to_render(export, "target") == {"archive": ("the attic",)}


def test_numbers_are_added_row_by_row(world: World) -> None:
    """A number is added to what each row has, and each row has an effect with its new value."""
    state, members = State(world), list(world.tables["member"].values())[:2]
    result = run(world, "charge", within=state, member_ids=keys(members, "member_id"), amount=2.5)
    sums = [(row["member_id"], row["fines"] + 2.5) for row in members]
    assert result.value["items"] == [{"member_id": key, "fines": after} for key, after in sums]
    assert result.effects == tuple(
        Effect(kind="update", entity="member", rows=[key], changes={"fines": after}) for key, after in sums
    )
    assert [(key, (state.row("member", key) or {})["fines"]) for key, _ in sums] == sums
    back = run(world, "charge", within=state, member_ids=keys(members, "member_id"), amount=-2.5)
    assert [item["fines"] for item in back.value["items"]] == [row["fines"] for row in members]
    assert [effect.changes for effect in run(world, "charge", member_ids=keys(members, "member_id")).effects] == [
        {},
        {},
    ]


def test_no_more_is_taken_than_is_there(world: World) -> None:
    """A number is subtracted to exactly what must be left; one step more is refused, and so is a row without a number."""
    member = next(iter(world.tables["member"].values()))
    key, fines = member["member_id"], member["fines"]
    paid = run(world, "pay", member_id=key, amount=fines)
    assert paid.value == {"fines": 0}
    assert paid.effects[0].changes == {"job": "reader", "fines": 0}
    with pytest.raises(CallRefusedError) as caught:
        run(world, "pay", member_id=key, amount=fines + 0.01)
    assert (caught.value.reason, caught.value.detail) == (
        RefusalReason.WRONG_STATE,
        f"member {key} has fines {fines}; -0.01 would be left, and at least 0 must",
    )
    state = State(world)
    state.write("member", key, {**member, "fines": None})
    with pytest.raises(CallRefusedError) as caught:
        run(world, "pay", within=state, member_id=key, amount=1)
    assert (caught.value.reason, caught.value.detail) == (RefusalReason.WRONG_STATE, f"member {key} has no fines")


def test_the_bounds_of_an_addition_are_those_of_its_argument(ranking: Domain) -> None:
    """`minimum` bounds the number that is added, which may be negative."""
    charge = tools_of(ranking)["library.charge"]
    assert list(argument_problems(charge, {"member_ids": ["M"], "amount": -50})) == []
    assert list(argument_problems(charge, {"member_ids": ["M"], "amount": -51})) == [
        "amount must be at least -50, not -51"
    ]


TIMES = ["00:00", "09:30", "23:59", "24:00", "9:30", "09:60", "", "09:30:00", "٠٩:٣٠", 930, None]


@pytest.mark.parametrize("time", TIMES)
def test_times_are_judged_as_json_schema_does(ranking: Domain, time: Any) -> None:
    """The simulator takes a time exactly if the published schema of the tool does."""
    schema = next(each for each in ranking.schemas if each.name == "set_time").json_schema()
    arguments = {"loan_id": "L-1", "at": time}
    fits = jsonschema.Draft202012Validator(schema).is_valid(arguments)
    problems = list(argument_problems(tools_of(ranking)["library.set_time"], arguments))
    assert fits is (problems == []) is (time in TIMES[:3])


def test_times_are_compared(world: World) -> None:
    """A filter finds the rows from a time on."""
    found = [key for key, _ in run(world, "late_loans", since="13:00").rows]
    assert sorted(found) == sorted(key for key, row in world.tables["loan"].items() if row["at"] >= "13:00")
    assert 0 < len(found) < 150


def test_problem_of_a_time(ranking: Domain) -> None:
    """The message says what a time looks like."""
    tool = tools_of(ranking)["library.set_time"]
    assert list(argument_problems(tool, {"loan_id": "L-1", "at": "9:30"})) == [
        "at must be a time such as 09:30, not '9:30'"
    ]
