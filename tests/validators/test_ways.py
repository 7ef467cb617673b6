"""A plan cannot evade a policy by an indirect path; the paths are data."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatling_sid.models import (
    Constraint,
    Goal,
    GoldTrace,
    Principal,
    SystemPolicy,
    ToolCall,
    ToolCallGraph,
    UserRequest,
)
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.constraints import KINDS, Recipients
from gatling_sid.schemas.references import references_in
from gatling_sid.schemas.yaml_loading import load_yaml
from gatling_sid.simulator.world import Row, World, world_of
from gatling_sid.validators import TraceValidator
from gatling_sid.validators.checks import findings_of_check
from gatling_sid.validators.trace_context import TraceContext

HERE = Path(__file__).parent
WAYS: list[dict[str, Any]] = yaml.safe_load((HERE / "ways.yaml").read_text(encoding="utf-8"))
MORE_FIELDS = {
    "loan": {
        "note": "{type: text, populate: null}",
        "fee": "{type: money, populate: null}",
        "agreed": "{type: flag, populate: null}",
        "card": "{type: text, sensitivity: restricted, populate: {copy: member_id.card_number}}",
    },
    "reminder": {
        "member_id": "{type: id, populate: {copy: loan_id.member_id}}",
        "loan_note": "{type: text, populate: {copy: loan_id.note}}",
        "author": "{type: id, populate: null}",
    },
}
KEYS = "loan_ids: {does: keys, required: true, description: Which.}"
MORE_TOOLS = f"""
find_members:
  {{operation: list, entity: member, description: Finds., returns: [member_id, first_name], parameters: {{
    name: {{does: filter, field: name, match: contains, description: Name.}},
    min_fines: {{does: filter, field: fines, match: at_least, description: Owes so much.}},
    limit: {{does: limit, description: Most.}}, fields: {{does: select, description: Fields.}}}}}}
worst_payers:
  {{operation: list, entity: member, description: Debtors., returns: [member_id], order: -fines, parameters: {{
    limit: {{does: limit, description: Most.}}}}}}
count_members:
  {{operation: aggregate, entity: member, description: Counts., parameters: {{
    group_by: {{does: group, values: [job, card_number], description: By what.}}}}}}
search_loans:
  {{operation: list, entity: loan, description: Finds., returns: [loan_id, state], parameters: {{
    since: {{does: filter, field: lent_on, match: since, description: First day.}},
    until: {{does: filter, field: lent_on, match: until, description: Last day.}},
    card: {{does: filter, field: card, description: Whose card.}},
    loan_ids: {{does: keys, description: These.}}, fields: {{does: select, description: Fields.}}}}}}
count_some: {{operation: aggregate, entity: loan, description: Counts., parameters: {{{KEYS}}}}}
sum_fees:
  {{operation: aggregate, entity: loan, description: Sums., parameters: {{{KEYS},
    measure: {{does: measure, values: [sum], default: sum, description: Which.}},
    field: {{does: measured, values: [fee], default: fee, description: Of what.}}}}}}
note_loans:
  {{operation: update, entity: loan, description: Notes., returns: [loan_id], parameters: {{{KEYS},
    note: {{does: set, field: note, required: true, description: The note.}}}}}}
charge_loan:
  {{operation: update, entity: loan, description: Charges., returns: [loan_id, fee], parameters: {{
    loan_id: {{does: key, required: true, description: Which.}},
    fee: {{does: set, field: fee, default: 5, description: How much.}}}}}}
charge_all:
  {{operation: update, entity: loan, description: Charges., returns: [loan_id], parameters: {{{KEYS},
    fee: {{does: set, field: fee, required: true, description: How much.}}}}}}
agree_loans:
  {{operation: update, entity: loan, description: Agrees., returns: [loan_id], sets: {{agreed: true}}, parameters: {{{KEYS}}}}}
waive_fee:
  {{operation: update, entity: loan, description: Waives., returns: [loan_id], sets: {{fee: 0}}, parameters: {{
    loan_id: {{does: key, required: true, description: Which.}}}}}}
list_reminders:
  {{operation: list, entity: reminder, description: Lists., returns: [loan_id, text, loan_note], order: author, parameters: {{
    loan_id: {{does: filter, field: loan_id, description: For which loan.}}}}}}
file_loans:
  {{operation: export, entity: loan, description: Files., returns: [loan_id], parameters: {{
    loan_ids: {{does: keys, description: Which.}},
    agreed: {{does: filter, field: agreed, description: Agreed or not.}},
    fields: {{does: select, description: Fields.}},
    target: {{does: target, values: [archive, council], required: true, description: Where to.}}}}}}
write_anybody:
  {{operation: send, entity: loan, description: Writes., parameters: {{
    recipient: {{does: recipient, required: true, description: Address.}},
    loan_ids: {{does: about, type: array, required: true, description: About which.}},
    message: {{does: content, description: What to say.}},
    lines: {{does: content, type: array, description: What else to say.}}}}}}
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> DomainRegistry:
    """The catalogue of the library domain, with more fields and tools."""
    content = deepcopy(load_yaml(HERE.parent / "catalogue" / "library.yaml"))
    for entity, fields in MORE_FIELDS.items():
        content["entities"][entity]["fields"] |= {name: yaml.safe_load(text) for name, text in fields.items()}
    author = {"does": "set", "field": "author", "description": "By whom."}
    content["tools"]["write_reminder"]["parameters"]["author"] = author
    content["tools"] |= yaml.safe_load(MORE_TOOLS)
    for scenario in content["scenarios"].values():
        for step in scenario["plan"]:
            if step["tool"] == "find_members":
                step["arguments"] = {"name": "$request.who"}
    folder = tmp_path_factory.mktemp("ways")
    (folder / "library.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return DomainRegistry(folder)


@pytest.fixture(scope="module")
def world(registry: DomainRegistry) -> World:
    """A world of the library domain."""
    return world_of(registry.domain("library"), 1, "train-0")


@pytest.fixture(scope="module")
def me(world: World) -> Row:
    """A member who has at least two loans out."""
    return next(m for m in world.tables["member"].values() if len(out(world, member_id=m["member_id"])) > 1)


def out(world: World, **where: Any) -> list[Row]:
    """Loans in state `out` with these values, the latest first."""
    rows = world.sorted_rows("loan", "-lent_on")
    return [row for row in rows if row["state"] == "out" and all(row[name] == value for name, value in where.items())]


@pytest.fixture(scope="module")
def names(world: World, me: Row) -> dict[str, str]:
    """The values that words in angle brackets stand for in ways.yaml."""
    loans = world.sorted_rows("loan", "-lent_on")
    mine = [row["loan_id"] for row in out(world, member_id=me["member_id"])]
    theirs = [row["loan_id"] for row in out(world) if row["member_id"] != me["member_id"]]
    renewed = {row["renewals"]: row["loan_id"] for row in loans}
    days = {f"{n} days ago": -n for n in (30, 31, 90, 91)} | {"today": 0, "in 30 days": 30, "in 31 days": 31}
    return {
        "me": me["member_id"], "my name": me["name"], "my address": me["email"], "mine": mine[0], "my other": mine[1],
        "theirs": theirs[0], "their other": theirs[1], "newest": loans[0]["loan_id"],
        "never renewed": renewed[0], "once renewed": renewed[1],
        "overdue": next(row["loan_id"] for row in loans if row["state"] == "overdue"),
        **{name: (world.today + timedelta(days=n)).isoformat() for name, n in days.items()},
    }  # fmt: skip


def fill(value: Any, names: dict[str, str]) -> Any:
    """Replaces words in angle brackets by the values that they stand for."""
    if isinstance(value, list):
        return [fill(each, names) for each in value]
    return names[value[1:-1]] if isinstance(value, str) and value.startswith("<") else value


def call_of_step(number: int, tool: str, arguments: dict[str, Any], after: list[str]) -> ToolCall:
    """A step as a call that depends on the calls it refers to and on those in `after`."""
    roots = [reference.root for value in arguments.values() for reference in references_in(value)]
    needs = list(dict.fromkeys([*roots, *after]))
    return ToolCall(call_id=f"call_{number}", tool_id=f"library.{tool}", arguments=arguments, dependencies=needs)


def trace(rule: dict[str, Any], steps: list[list[Any]], me: Row, world: World, names: dict[str, str]) -> GoldTrace:
    """A trace of these steps under a policy of one rule; the principal is `me`."""
    calls = []
    for number, (tool, arguments, *after) in enumerate(steps, start=1):
        values = {name: fill(value, names) for name, value in arguments.items()}
        calls.append(call_of_step(number, tool, values, *(after or [[]])))
    parameters = {name: value for name, value in rule.items() if name != "kind"}
    if "tools" in parameters:
        parameters["tools"] = [f"library.{tool}" for tool in parameters["tools"]]
    if "notify" in parameters:
        parameters["notify"] = f"library.{parameters['notify']}"
    constraint = Constraint(constraint_id="it", kind=rule["kind"], rule=0, parameters=parameters)
    attributes = {name: me[name] for name in ("member_id", "name", "email")}
    return GoldTrace(
        trace_id="one",
        request=UserRequest(
            request_id="r",
            domain="Library",
            text="Please.",
            intent_category="update",
            principal=Principal(principal_id=me["member_id"], role="librarian", attributes=attributes),
        ),
        policy=SystemPolicy(policy_id="own", domain="Library", rules=["It."], constraints=[constraint]),
        graph=ToolCallGraph(graph_id="g", calls=calls, execution_order=[call.call_id for call in calls]),
        metadata={"catalogue": world.domain.digest, "seed": 1, "world": world.name},
        goal=Goal(),
    )


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way['rule']['kind']}: {way['way']}")
def test_rule_holds_along_the_way(
    way: dict[str, Any], registry: DomainRegistry, world: World, me: Row, names: dict[str, str]
) -> None:
    """Of two plans that differ in one respect and both run, one keeps the rule and the other breaks it."""
    validator = TraceValidator(registry)
    for which, kept in (("keeps", True), ("breaks", False)):
        plan = trace(way["rule"], way[which], me, world, names)
        context = TraceContext(plan, registry)
        execution = context.execution
        assert execution is not None
        assert execution.refusal is None
        holds, messages = validator.validate_policy_compliance(plan)
        assert holds is kept, (which, messages)
        assert {each.constraint_id for each in findings_of_check(context, "policy")} == (set() if kept else {"it"})


def test_every_way_is_listed_once() -> None:
    """No way is listed twice, and each tries to evade a known kind of rule."""
    assert len({(way["rule"]["kind"], way["way"]) for way in WAYS}) == len(WAYS)
    assert {way["rule"]["kind"] for way in WAYS} <= KINDS.keys()


@pytest.mark.parametrize(
    ("address", "ending", "ends"),
    [
        ("ann@elm.example", "@elm.example", True),
        ("Ann@Elm.Example", "@elm.example", True),
        ("ann@elm.example.", "@elm.example", True),
        ("ann@elm.example", "elm.example", True),
        ("ann@post.elm.example", "elm.example", True),
        ("ann@elm.example", "ann@elm.example", True),
        ("ann@post.elm.example", "@elm.example", False),
        ("ann@helm.example", "elm.example", False),
        ("ann@evil-elm.example", "elm.example", False),
        ("ann@elm.example.evil.example", "@elm.example", False),
        ("mary-ann@elm.example", "ann@elm.example", False),
        ("ann@evil.example,bob@elm.example", "@elm.example", False),
        ("ann@evil.example", "", False),
        ("front desk", "Front desk", True),
    ],
)
def test_addresses_end_at_an_at_or_a_dot(address: str, ending: str, ends: bool) -> None:
    """Case and a trailing dot do not change a host; a similar name is another host."""
    assert Recipients(endings=[ending]).allows(address) is ends


@pytest.mark.parametrize(
    ("rule", "value", "holds"),
    [
        ({"kind": "argument_max", "argument": "amount", "max_value": 9}, 9, True),
        ({"kind": "argument_max", "argument": "amount", "max_value": 9}, "9.0", True),
        ({"kind": "argument_max", "argument": "amount", "max_value": 9}, "nine", True),
        ({"kind": "argument_max", "argument": "amount", "max_value": 9}, "9.5", False),
        ({"kind": "argument_max", "argument": "amount", "max_value": 9}, "nan", False),
        ({"kind": "argument_max", "argument": "amount", "max_value": 9}, [1, 10], False),
        ({"kind": "argument_values", "argument": "amount", "allowed": [1, 2]}, [1, 2], True),
        ({"kind": "argument_values", "argument": "amount", "allowed": [1, 2]}, [1, 3], False),
        ({"kind": "argument_required", "tools": ["bank.pay"], "argument": "amount"}, 0, True),
        ({"kind": "argument_required", "tools": ["bank.pay"], "argument": "amount"}, [], False),
        ({"kind": "may_not_call", "tools": ["bank.wire"]}, 0, True),
        ({"kind": "may_not_call", "tools": ["bank.pay"]}, 0, False),
        ({"kind": "may_not_call", "roles": ["clerk"], "tools": ["bank.pay"]}, 0, False),
    ],
)
def test_rules_hold_where_nothing_is_known(rule: dict[str, Any], value: Any, holds: bool) -> None:
    """Without a catalogue, a number written as text is compared as a number, and names ignore case and spaces."""
    assert TraceValidator().validate_policy_compliance(payment(rule, value))[0] is holds


def payment(rule: dict[str, Any], amount: Any) -> GoldTrace:
    """Two calls in a domain that no catalogue knows, under a policy of one rule."""
    look_up = ToolCall(call_id="a", tool_id="bank.look_up")
    pay = ToolCall(call_id="b", tool_id="Bank.PAY ", arguments={"amount": amount}, dependencies=["a"])
    parameters = {name: each for name, each in rule.items() if name != "kind"}
    constraint = Constraint(constraint_id="it", kind=rule["kind"], rule=0, parameters=parameters)
    principal = Principal(principal_id="p", role="Clerk")
    return GoldTrace(
        trace_id="one",
        request=UserRequest(request_id="r", domain="Bank", text="Pay.", intent_category="update", principal=principal),
        policy=SystemPolicy(policy_id="own", domain="Bank", rules=["It."], constraints=[constraint]),
        graph=ToolCallGraph(graph_id="g", calls=[look_up, pay], execution_order=["a", "b"]),
    )


@pytest.mark.parametrize(
    ("amount", "skipped"), [(5, None), ("$a.total", "constraints that only a replay can judge: it")]
)
def test_constraints_that_need_a_replay_are_skipped(amount: Any, skipped: str | None) -> None:
    """Without a replay, an argument that refers to another call's result is reported as skipped, not as compliant."""
    rule = {"kind": "argument_max", "argument": "amount", "max_value": 9}
    report = TraceValidator().validate_trace(payment(rule, amount))[1]
    assert report["overall_valid"]
    assert report["checks"]["policy"].get("skipped") == skipped
