"""The scope that a goal needs and the scope that a call takes."""

from __future__ import annotations

from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatling_sid.models import Constraint, Goal, ScopeMetadata, SensitivityTier, SystemPolicy, ToolCall
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.constraints import KINDS
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.yaml_loading import load_yaml
from gatling_sid.simulator.execution import execute, tools_of
from gatling_sid.simulator.scope import at_least_internal, days_of_period, scope_of_call, scope_of_request
from gatling_sid.simulator.world import World

SOURCE = Path(__file__).parent.parent / "catalogue" / "library.yaml"
NO_RULES = SystemPolicy(policy_id="none", domain="Library")
PUBLIC, INTERNAL, CONFIDENTIAL, RESTRICTED = SensitivityTier
Scope = tuple[int | None, SensitivityTier, int | None, str | None]


def four(scope: ScopeMetadata) -> Scope:
    """A scope as a tuple: rows, tier, days, export target."""
    return scope.rows_requested, scope.sensitivity_tier, scope.time_range_days, scope.export_target


def shows(entity: str, rows: list[str], *fields: str) -> dict[str, Any]:
    """A showing of these rows, as plain data."""
    return {"entity": entity, "rows": rows, "fields": list(fields)}


def effect(kind: str, entity: str, rows: list[str], target: str | None = None, **changes: Any) -> dict[str, Any]:
    """An effect of a goal, as plain data."""
    return {"kind": kind, "entity": entity, "rows": rows, "changes": changes, "target": target}


def measure(entity: str, field: str | None, group_by: str | None, values: int) -> dict[str, Any]:
    """A measurement with so many values, as plain data."""
    numbers = [{"group": str(at), "value": at} for at in range(values)]
    return {
        "entity": entity, "measure": "sum", "field": field, "group_by": group_by, "rows": 99, "rows_digest": "x",
        "values": numbers,
    }  # fmt: skip


GOALS: dict[str, tuple[dict[str, Any], Scope]] = {
    "nothing": ({}, (1, INTERNAL, None, None)),
    "public rows are internal, as other fields of them may be returned": (
        {"shows": [shows("book", ["B1", "B2"], "title")]}, (2, INTERNAL, None, None),
    ),
    "the highest tier counts": (
        {"shows": [shows("member", ["M1"], "first_name", "fines"), shows("book", ["B1"], "title")]},
        (2, CONFIDENTIAL, None, None),
    ),
    "a row shown twice is one": (
        {"shows": [shows("book", ["B1", "B2"], "title"), shows("book", ["B2"], "price")]},
        (2, INTERNAL, None, None),
    ),
    "the same key of two entities is two": (
        {"shows": [shows("book", ["1"], "title"), shows("member", ["1"], "first_name")]},
        (2, INTERNAL, None, None),
    ),
    "one row per figure": (
        {"measures": [measure("member", "fines", "job", 3)], "time_range_days": 30},
        (3, CONFIDENTIAL, 30, None),
    ),
    "rows and figures": (
        {"shows": [shows("book", ["B1"], "title")], "measures": [measure("book", None, None, 1)]},
        (2, INTERNAL, None, None),
    ),
    "changed rows": ({"effects": [effect("update", "loan", ["L1", "L2"], due_on="x")]}, (2, INTERNAL, None, None)),
    "a change is internal at least": ({"effects": [effect("create", "book", [], title="x")]}, (1, INTERNAL, None, None)),
    "a written tier counts": ({"effects": [effect("update", "member", ["M1"], card_number="x")]}, (1, RESTRICTED, None, None)),
    "what is shown and what is changed add up": (
        {"shows": [shows("book", ["B1"], "title")], "effects": [effect("delete", "loan", ["L1", "L2", "L3"])]},
        (4, INTERNAL, None, None),
    ),
    "a change and a message about one row are of one row": (
        {"effects": [effect("update", "loan", ["L1"], due_on="x"), effect("send", "loan", ["L1"], "a@b.example")]},
        (1, INTERNAL, None, None),
    ),
    "a row that a change names counts": (
        {"effects": [effect("update", "loan", ["L1"], loan_id="L2")]}, (2, INTERNAL, None, None),
    ),
    "a new row, and a message about none, are one each": (
        {
            "effects": [
                effect("update", "loan", ["L1", "L2"], due_on="x"),
                effect("create", "reminder", [], text="x"),
                effect("send", "loan", [], "a@b.example"),
            ]
        },
        (4, INTERNAL, None, None),
    ),
    "exported rows": (
        {"effects": [effect("export", "member", ["M1", "M2"], "archive", fields=["fines", "name"])]},
        (2, CONFIDENTIAL, None, "archive"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOALS)
def test_scope_of_a_goal(library: Domain, name: str) -> None:
    """A request is entitled to what its goal shows, measures, changes, exports and writes about."""
    goal, scope = GOALS[name]
    assert four(scope_of_request(Goal.model_validate(goal), library, NO_RULES, "director")) == scope


def test_look_ups_of_rules_are_within_the_scope(library: Domain) -> None:
    """A rule that demands a look-up before a change adds its fields to the scope of those it binds."""
    goal = Goal.model_validate({"effects": [effect("update", "loan", ["L1"], due_on="x")]})
    rule = {"constraint_id": "seen", "kind": "read_before_change", "rule": 0}
    given = {"roles": ["director"], "tools": ["library.renew_loan"], "entity": "loan", "fields": ["renewals"]}
    policy = NO_RULES.model_copy(update={"constraints": [Constraint.model_validate({**rule, "parameters": given})]})
    file = library.file.entities["loan"].fields["renewals"].model_copy(update={"sensitivity": CONFIDENTIAL})
    secret = Domain("library", _with_field(library, "loan", "renewals", file), library.pools, library.voice)

    assert four(scope_of_request(goal, secret, policy, "director")) == (1, CONFIDENTIAL, None, None)
    assert four(scope_of_request(goal, secret, policy, "librarian")) == (1, INTERNAL, None, None)


@pytest.mark.parametrize(
    ("kind", "effects", "tier"),
    [
        ("at_most_field", [effect("create", "reminder", [], loan_id="L1", text="2")], CONFIDENTIAL),
        ("at_most_field", [effect("create", "member", [], name="x")], INTERNAL),
        ("approved_by", [effect("create", "reminder", [], loan_id="L1", text="2")], CONFIDENTIAL),
        ("approved_by", [effect("send", "loan", ["L1"], "a@b.example")], CONFIDENTIAL),
        ("transitions", [effect("update", "loan", ["L1"], renewals=2)], CONFIDENTIAL),
        ("transitions", [effect("update", "loan", ["L1"], due_on="x")], INTERNAL),
        ("consent", [effect("export", "loan", ["L1"], "archive", fields=["title"])], CONFIDENTIAL),
        ("approved_by", [effect("export", "loan", ["L1"], "archive", fields=["title"])], INTERNAL),
    ],
)
def test_look_ups_before_effects_of_each_kind(
    library: Domain, kind: str, effects: list[dict[str, Any]], tier: SensitivityTier
) -> None:
    """A rule's field is in the scope before the effects that the rule concerns; a new row counts by what it refers to."""
    known = {"entity": "loan", "field": "renewals", "attribute": "email", "argument": "text", "allowed": {"1": ["2"]}}
    given = {name: value for name, value in known.items() if name in KINDS[kind].model_fields}
    rule = Constraint(constraint_id="seen", kind=kind, rule=0, parameters=given)
    policy = NO_RULES.model_copy(update={"constraints": [rule]})
    file = library.file.entities["loan"].fields["renewals"].model_copy(update={"sensitivity": CONFIDENTIAL})
    secret = Domain("library", _with_field(library, "loan", "renewals", file), library.pools, library.voice)
    goal = Goal.model_validate({"effects": effects})

    assert scope_of_request(goal, secret, policy, "director").sensitivity_tier is tier


def _with_field(domain: Domain, entity: str, name: str, field: Any) -> Any:
    """The domain's file with another declaration of one field."""
    known = domain.file.entities[entity]
    changed = known.model_copy(update={"fields": {**known.fields, name: field}})
    return domain.file.model_copy(update={"entities": {**domain.file.entities, entity: changed}})


@pytest.mark.parametrize(("row_limits", "rows"), [([], 1), ([5], 5), ([1, 3], 3)])
def test_a_number_that_the_request_names_is_within_the_scope(library: Domain, row_limits: list[int], rows: int) -> None:
    """A request for the last five is entitled to five rows, even if there are fewer."""
    goal = Goal.model_validate({"shows": [shows("book", ["B1"], "title")]})
    assert scope_of_request(goal, library, NO_RULES, "director", row_limits).rows_requested == rows


def call_scope(world: World, tool: str, **arguments: Any) -> Scope:
    """The scope that one call takes when it is executed."""
    call = ToolCall(call_id="one", tool_id=f"{world.domain.slug}.{tool}", arguments=arguments)
    execution = execute([call], world)
    assert execution.refusal is None
    compiled = tools_of(world.domain)[call.tool_id]
    return four(scope_of_call(compiled, execution.arguments["one"], execution.results["one"], world.today))


@pytest.fixture(scope="module")
def world(library: Domain) -> World:
    """One library on one day."""
    return World(library, 1, "train-0")


def test_scope_of_reading_calls(world: World) -> None:
    """The rows are the call's limit or else those returned, at least one; the tier is the highest one shown."""
    overdue = sum(row["state"] == "overdue" for row in world.tables["loan"].values())
    assert call_scope(world, "list_loans") == (150, INTERNAL, None, None)
    assert call_scope(world, "list_loans", state="overdue", days=30)[1:] == (INTERNAL, 30, None)
    assert call_scope(world, "list_loans", state="overdue") == (overdue, INTERNAL, None, None)
    assert call_scope(world, "list_loans", state="overdue", limit=100) == (100, INTERNAL, None, None)
    assert call_scope(world, "list_loans", title="no such title") == (1, INTERNAL, None, None)
    assert call_scope(world, "find_members", fields=["first_name"], limit=1) == (1, PUBLIC, None, None)
    assert call_scope(world, "find_members", fields=["first_name", "fines"])[:2] == (40, CONFIDENTIAL)
    assert call_scope(world, "find_members", fields=["card_number"], limit=2)[:2] == (2, RESTRICTED)


def test_scope_of_measures(world: World) -> None:
    """A measure takes one row per group, over however many rows it is computed."""
    assert call_scope(world, "count_loans") == (1, PUBLIC, None, None)
    assert call_scope(world, "count_loans", group_by="state") == (3, INTERNAL, None, None)
    assert call_scope(world, "count_loans", group_by="title", limit=5, days=90) == (5, INTERNAL, 90, None)


def test_scope_of_changes(world: World) -> None:
    """A change takes the rows that it changes and is at least internal; an export has a target."""
    rows = world.sorted_rows("loan", "-lent_on")
    out = [row["loan_id"] for row in rows if row["state"] == "out"]
    gone = next(row["loan_id"] for row in rows if row["state"] == "returned")
    assert call_scope(world, "renew_loan", loan_id=out[0], due_on="2030-01-01") == (1, INTERNAL, None, None)
    assert call_scope(world, "close_loans", loan_ids=out[:3]) == (3, INTERNAL, None, None)
    assert call_scope(world, "delete_loan", loan_id=gone) == (1, INTERNAL, None, None)
    assert call_scope(world, "write_reminder", loan_id=gone, text="x") == (1, INTERNAL, None, None)
    reader = world.tables["loan"][gone]["member_email"]
    assert call_scope(world, "mail_member", loan_id=gone, recipient=reader) == (1, INTERNAL, None, None)
    assert call_scope(world, "export_loans", loan_ids=out[:2], target="council") == (2, INTERNAL, None, "council")


@pytest.mark.parametrize(
    ("parameters", "arguments", "days"),
    [
        ({}, {}, None),
        ({"a": "within_days"}, {}, None),
        ({"a": "within_days"}, {"a": 30}, 30),
        ({"a": "within_days", "b": "next_days"}, {"a": 30, "b": 45}, 45),
        ({"a": "since"}, {"a": "2026-02-28"}, 10),
        ({"a": "since"}, {"a": "2026-04-01"}, 0),
        ({"a": "since", "b": "within_days"}, {"a": "2026-02-28", "b": 7}, 10),
        ({"a": "until"}, {"a": "2020-01-01"}, None),
    ],
)
def test_days_asked(tmp_path: Path, parameters: dict[str, str], arguments: dict[str, Any], days: int | None) -> None:
    """Of several periods of a call the longest counts; a call without a period has no days."""
    domain = with_search(tmp_path, {name: {"match": match} for name, match in parameters.items()})
    assert days_of_period(tools_of(domain)["library.search"], arguments, date(2026, 3, 10)) == days


def test_a_default_period_counts(tmp_path: Path) -> None:
    """The default period of a tool counts, whether the call names it or not."""
    world = World(with_search(tmp_path, {"days": {"match": "within_days", "default": 90}}), 1, "train-0")
    assert call_scope(world, "search")[2] == call_scope(world, "search", days=90)[2] == 90


def with_search(folder: Path, parameters: dict[str, dict[str, Any]]) -> Domain:
    """The library with a list `search` that filters loans by lending date in these ways."""
    content = deepcopy(load_yaml(SOURCE))
    common = {"does": "filter", "field": "lent_on", "description": "x"}
    content["tools"]["search"] = {
        "operation": "list", "entity": "loan", "description": "x", "returns": ["loan_id"],
        "parameters": {name: {**common, **more} for name, more in parameters.items()},
    }  # fmt: skip
    (folder / "library.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return DomainRegistry(folder).domain("library")


@pytest.mark.parametrize(
    ("tier", "least"),
    [(PUBLIC, INTERNAL), (INTERNAL, INTERNAL), (CONFIDENTIAL, CONFIDENTIAL), (RESTRICTED, RESTRICTED)],
)
def test_at_least_internal(tier: SensitivityTier, least: SensitivityTier) -> None:
    """Public becomes internal, and the higher tiers stay as they are."""
    assert at_least_internal(tier) is least
