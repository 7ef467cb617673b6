"""Composed tasks: draws, goal and plan of each operation follow from the shape of a task and from the rules."""

from __future__ import annotations

from typing import Any

import pytest

from gatling_sid.models import GoldTrace
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.composition.shape_types import Group, Shape, Target, Use
from gatling_sid.schemas.composition.tasks import ComposedTask, build_task
from gatling_sid.schemas.domain import Domain
from gatling_sid.validators import TraceValidator
from tests.support.repairs import (
    BY_KEY,
    CUSTOMER,
    DEAR,
    DONE,
    MINE,
    NAME,
    OWN_ENTRY,
    RECENT,
    WAITING,
    filtered,
    searched,
)

ONE = searched(NAME, WAITING)
FIND_ONE = "a_find = list_repairs(customer_name: $request.a_customer_name, status: $request.a_status)"
FIND_WAITING = "a_find = list_repairs(status: $request.a_status)"
KEY, KEYS = "$a_find.items[0].repair_id", "$a_find.items[*].repair_id"


def composed(domain: Domain, target: Target | None, *uses: Use, role: str = "manager") -> ComposedTask:
    """The task of a shape with one group."""
    return build_task(domain, Shape(role, (Group(target, uses),), (), ""))


def plan_of_task(scenario: c.Scenario) -> list[str]:
    """The steps of a plan, one line each: step, tool, arguments, and on what it depends."""
    lines = []
    for step in scenario.plan:
        arguments = ", ".join(f"{name}: {value}" for name, value in step.arguments.items())
        earlier = [*step.after, *(f"{each} if {', '.join(rules)}" for each, rules in step.after_when.items())]
        after = f" after {', '.join(earlier)}" if earlier else ""
        when = f" when {', '.join(step.when)}" if step.when else ""
        lines.append(f"{step.step} = {step.tool}({arguments}){after}{when}")
    return lines


def goal_of_task(scenario: c.Scenario) -> dict[str, Any]:
    """The parts of a goal that are not empty, as plain data."""
    goal = scenario.goal.model_dump(exclude_defaults=True)
    return {name: value for name, value in goal.items() if value not in ([], None)}


PLANS: dict[str, tuple[Target | None, tuple[Use, ...], list[str], dict[str, Any]]] = {
    "list": (
        searched(WAITING, is_many=True), (Use("see_repairs", ("price", "deposit")),),
        ["a_find = list_repairs(status: $request.a_status, fields: $request.a1_columns)"],
        {"shows": [{"rows": "a_rows", "fields": ["price", "deposit"]}]},
    ),
    "list the first": (
        searched(WAITING, is_many=True, order="-price"), (Use("see_repairs"),),
        ["a_find = list_repairs(status: $request.a_status, limit: $request.a_first, sort: $request.a_order)"],
        {"shows": [{"rows": "a_rows", "fields": ["repair_id", "bicycle", "status", "brought_on"]}]},
    ),
    "list by what a reference points to": (
        searched(CUSTOMER, is_many=True), (Use("see_repairs"),),
        [
            "a_customer_id_find = list_customers(name: $request.a_customer_id)",
            "a_find = list_repairs(customer_id: $a_customer_id_find.items[0].customer_id)",
        ],
        {"shows": [{"rows": "a_rows", "fields": ["repair_id", "bicycle", "status", "brought_on"]}]},
    ),
    "get": (
        ONE, (Use("open_repair", ("price",)),),
        [FIND_ONE, f"a1_do = get_repair(repair_id: {KEY}, fields: $request.a1_columns)"],
        {"shows": [{"rows": "a_seed", "fields": ["price"]}]},
    ),
    "get by key": (
        BY_KEY, (Use("open_repair", ("price",)),),
        ["a1_do = get_repair(repair_id: $request.a_key, fields: $request.a1_columns)"],
        {"shows": [{"rows": "a_seed", "fields": ["price"]}]},
    ),
    "get one's own": (
        Target("person", None, (OWN_ENTRY,), is_many=False), (Use("own_entry", ("wage",)),),
        ["a1_do = get_person(person_id: $principal.person_id, fields: $request.a1_columns)"],
        {"shows": [{"rows": "a_seed", "fields": ["wage"]}]},
    ),
    "aggregate": (
        filtered(RECENT, DONE),
        (Use("figures", (), (("measure", "sum"), ("measured_field", "price"), ("group_by", "bicycle"))),),
        [
            ("a1_do = measure_repairs(days: $request.a_brought_on, status: $request.a_status, measure: $request.a1_measure, "
            "measured_field: $request.a1_measured_field, group_by: $request.a1_group_by)")
        ],
        {
            "measures": [{"rows": "a_rows", "measure": "sum", "field": "price", "group_by": "bicycle"}],
            "time_range": "$a_brought_on",
        },
    ),
    "update many": (
        searched(WAITING, is_many=True), (Use("set_status", (), (("status", "started"),)),),
        [FIND_WAITING, f"a1_do = set_status(repair_ids: {KEYS}, status: $request.a1_status)"],
        {"effects": [{"update": "a_rows", "set": {"status": "started"}}]},
    ),
    "update one of a tool that takes many": (
        ONE, (Use("set_status", (), (("status", "started"),)),),
        [FIND_ONE, f"a1_do = set_status(repair_ids: ['{KEY}'], status: $request.a1_status)"],
        {"effects": [{"update": "a_seed", "set": {"status": "started"}}]},
    ),
    "update with a look-up and a notice that rules demand": (
        ONE, (Use("reprice"),),
        [
            FIND_ONE,
            f"a_check = get_repair(repair_id: {KEY}) when deposit_seen, customer_told",
            f"a1_do = change_repair(repair_id: {KEY}, price: $request.a1_price) after a_check, a_check if deposit_seen",
            (f"a_notify_customer_told = write_customer(recipient: $a_check.customer_email, repair_id: {KEY}) after a1_do"
            " when customer_told"),
        ],
        {
            "effects": [
                {"update": "a_seed", "set": {"price": "$a1_price"}},
                {"send": "$a_seed.customer_email", "about": "a_seed", "when": "customer_told"},
            ]
        },
    ),
    "create": (
        ONE, (Use("note_down"),),
        [FIND_ONE, f"a1_do = add_note(repair_id: {KEY}, text: $request.a1_text)"],
        {"effects": [{"create": "note", "set": {"repair_id": "$a_seed.repair_id", "text": "$a1_text"}}]},
    ),
    "send, with a look-up of the address": (
        ONE, (Use("write_customer"),),
        [
            FIND_ONE,
            f"a_check = get_repair(repair_id: {KEY})",
            f"a1_do = write_customer(recipient: $a_check.customer_email, repair_id: {KEY}, message: $request.a1_message)",
        ],
        {"effects": [{"send": "$a_seed.customer_email", "about": "a_seed", "contents": {"message": "$a1_message"}}]},
    ),
    "delete, without a look-up of what the search shows": (
        searched(DONE, is_many=True), (Use("drop_repairs"),),
        [FIND_WAITING, f"a1_do = delete_repairs(repair_ids: {KEYS})"],
        {"effects": [{"delete": "a_rows"}]},
    ),
    "delete by key, with a look-up": (
        BY_KEY, (Use("drop_repairs"),),
        [
            "a_check = get_repair(repair_id: $request.a_key) when state_seen",
            "a1_do = delete_repairs(repair_ids: ['$request.a_key']) after a_check if state_seen",
        ],
        {"effects": [{"delete": "a_seed"}]},
    ),
    "export": (
        filtered(DONE), (Use("export_repairs", ("price", "ready_on")),),
        ["a1_do = export_repairs(status: $request.a_status, fields: $request.a1_columns, target: $request.a1_target)"],
        {"effects": [{"export": "a_rows", "fields": ["price", "ready_on"], "target": "$a1_target"}]},
    ),
    "two parts about the same rows": (
        searched(DONE, is_many=True), (Use("export_repairs", ("price",)), Use("drop_repairs")),
        [
            FIND_WAITING,
            f"a1_do = export_repairs(repair_ids: {KEYS}, fields: $request.a1_columns, target: $request.a1_target)",
            f"a2_do = delete_repairs(repair_ids: {KEYS}) after a1_do",
        ],
        {"effects": [{"export": "a_rows", "fields": ["price"], "target": "$a1_target"}, {"delete": "a_rows"}]},
    ),
    "one look-up for several needs": (
        BY_KEY, (Use("reprice"), Use("write_customer")),
        [
            "a_check = get_repair(repair_id: $request.a_key)",
            "a1_do = change_repair(repair_id: $request.a_key, price: $request.a1_price) after a_check, a_check if deposit_seen",
            ("a2_do = write_customer(recipient: $a_check.customer_email, repair_id: $request.a_key, "
            "message: $request.a2_message) after a1_do"),
        ],
        {
            "effects": [
                {"update": "a_seed", "set": {"price": "$a1_price"}},
                {"send": "$a_seed.customer_email", "about": "a_seed", "contents": {"message": "$a2_message"}},
            ]
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANS)
def test_plan_and_goal_follow_from_the_shape(workshop: Domain, name: str) -> None:
    """Each operation has its steps and its part of the goal; look-ups and notices are there where a rule demands them."""
    target, uses, plan, goal = PLANS[name]
    scenario = composed(workshop, target, *uses).scenario
    assert plan_of_task(scenario) == plan
    assert goal_of_task(scenario) == goal


def test_every_operation_is_in_the_table(workshop: Domain) -> None:
    """The table has a plan for each operation that parts of the small domain do."""
    parts = {use.part for _, uses, _, _ in PLANS.values() for use in uses}
    operations = {workshop.file.tools[workshop.file.parts[name].tool].operation for name in parts}
    assert operations == {tool.operation for tool in workshop.file.tools.values()}


@pytest.mark.parametrize(
    ("target", "draws", "slots"),
    [
        (
            searched(NAME, WAITING),
            {
                "a_seed": {"one": "repair", "where": {"customer_name": {"is_set": True}, "status": "waiting"}},
                "a_customer_name": {"mention": "$a_seed.customer_name", "may_be_short": True},
                "a_rows": {
                    "all": "repair",
                    "where": {"customer_name": {"contains": "$a_customer_name"}, "status": "waiting"},
                    "count": (1, 1), "limits": ["$limits.list_repairs.rows"], "order": "-brought_on",
                },
            },
            {"a_customer_name": "$a_customer_name", "a_status": "waiting"},
        ),
        (
            searched(RECENT, MINE, is_many=True),
            {
                "a_seed": {"one": "repair", "where": {"brought_on": {"is_set": True}, "person_id": "$principal.person_id"}},
                "a_brought_on_days": {"age": "$a_seed.brought_on"},
                "a_rows": {
                    "all": "repair",
                    "where": {"brought_on": {"within_days": "$a_brought_on"}, "person_id": "$principal.person_id"},
                    "count": (2, 25), "limits": ["$limits.list_repairs.rows"], "order": "-brought_on",
                },
            },
            {"a_brought_on": "$a_brought_on"},
        ),
        (
            searched(DEAR, is_many=True, order="price"),
            {
                "a_seed": {"one": "repair", "where": {"price": {"is_set": True}}},
                "a_price": {"near": "$a_seed.price", "side": "below"},
                "a_rows": {
                    "all": "repair", "where": {"price": {"at_least": "$a_price"}}, "count": (2, 25),
                    "limits": ["$limits.list_repairs.rows"], "order": "price", "first": "$a_first",
                },
            },
            {"a_price": "$a_price", "a_first": "$a_first", "a_order": "price"},
        ),
        (
            BY_KEY,
            {"a_seed": {"one": "repair"}},
            {"a_key": "$a_seed.repair_id"},
        ),
    ],
    ids=str,
)  # fmt: skip
def test_draws_follow_from_the_conditions(
    workshop: Domain, target: Target, draws: dict[str, Any], slots: dict[str, Any]
) -> None:
    """One row is drawn, from which the values of the conditions follow, and then all rows that meet these."""
    scenario = composed(workshop, target, Use("see_repairs" if not target.by_key else "open_repair")).scenario
    dumped = {name: each.model_dump() for name, each in scenario.draw.items()}
    plain = {name: {key: each[key] for key in draws[name]} for name, each in dumped.items() if name in draws}
    assert plain == draws
    assert scenario.slots == slots


def test_rows_are_such_as_rules_allow(workshop: Domain) -> None:
    """A row to be changed is in a state that the tool takes, and belongs to the principal if a rule demands it."""
    scenario = composed(workshop, BY_KEY, Use("reprice"), role="mechanic").scenario
    seed = scenario.draw["a_seed"].model_dump()["where"]
    assert seed == {
        "person_id": "$principal.person_id",
        "status": {"in": ["waiting", "started"]},
    }


def test_arguments_are_drawn_within_limits(workshop: Domain) -> None:
    """What a rule limits is drawn with that limit, and a target among those that are allowed."""
    drawn = [
        composed(workshop, target, Use(part)).scenario.draw[slot].model_dump()
        for target, part, slot in (
            (BY_KEY, "reprice", "a1_price"),
            (BY_KEY, "move_pick_up", "a1_ready_on"),
            (filtered(DONE), "export_repairs", "a1_target"),
        )
    ]
    assert [drawn[0]["limits"], drawn[1]["limits"], drawn[2]["among"]] == [
        ["$limits.change_repair.most.price"],
        ["$limits.change_repair.dates.ready_on"],
        "$limits.export_repairs.allowed.target",
    ]


# --- traces ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def traces(workshop: Domain, oracle: ScenarioOracle) -> list[GoldTrace]:
    """The traces of a world's scenarios."""
    indexes = range(len(workshop.scenarios_of("train-0")))
    proposed = [oracle.trace(Task(workshop, "train", index)) for index in indexes]
    return [trace for trace in proposed if isinstance(trace, GoldTrace)]


def test_composed_traces_are_gold(workshop: Domain, traces: list[GoldTrace], validator: TraceValidator) -> None:
    """At least 99 % of a world's scenarios give a gold trace at the first attempt, whatever they consist of."""
    problems = [(trace.metadata["scenario"], found) for trace in traces if (found := validator.findings(trace))]
    assert len(traces) - len(problems) >= 0.99 * len(workshop.scenarios_of("train-0")), problems


def test_rules_in_force_decide_the_plan(traces: list[GoldTrace]) -> None:
    """A change has its look-up and its notice exactly if a rule in force demands it, and these calls quote the rule."""
    seen = set()
    for trace in traces:
        tools = [call.tool_id.removeprefix("workshop.") for call in trace.graph.calls]
        name = trace.metadata["scenario"]
        if "change_repair" not in tools or any(each in name for each in ("open_repair", "write_customer", ";")):
            continue
        rules = {each.constraint_id for each in trace.policy.constraints} & {"deposit_seen", "customer_told"}
        assert ("get_repair" in tools) == bool(rules), name
        assert ("write_customer" in tools) == ("customer_told" in rules), name
        quoted = {
            p.content_snippet
            for call in trace.graph.calls
            if (p := call.provenance) and p.source_type.value == "system"
        }
        assert len(quoted) == len(rules)
        seen.add(frozenset(rules))
    assert len(seen) == 4


def test_nothing_is_looked_up_that_the_search_shows(traces: list[GoldTrace]) -> None:
    """Repairs that were searched are deleted without a look-up, since the list shows their status."""
    deleting = [
        [call.tool_id.removeprefix("workshop.") for call in trace.graph.calls]
        for trace in traces
        if trace.metadata["scenario"].startswith("manager: drop_repairs for many")
        and ";" not in trace.metadata["scenario"]
    ]
    assert deleting
    assert all("get_repair" not in tools for tools in deleting)


def test_steps_are_in_the_order_of_the_words(workshop: Domain) -> None:
    """Whoever asks for a figure and then for the rows gets the figure first."""
    figure = Use("count_repairs", (), (("measure", "count"),))
    task = composed(workshop, searched(WAITING, is_many=True), figure, Use("see_repairs"))
    assert [each.tool for each in task.scenario.plan] == ["measure_repairs", "list_repairs"]


def test_every_stated_value_is_written_as_its_parameter_says(workshop: Domain) -> None:
    """Whatever becomes of a request, a parameter says what kind of value each of its slots is: no column reads `due_on`."""
    scenarios = workshop.scenarios_of("train-0").values()
    kinds = {each.variant.kind if each.variant else "served" for each in scenarios}

    assert kinds >= {"served", "declined", "needs_question"}
    for scenario in scenarios:
        assert scenario.slots.keys() <= workshop.slot_parameters(scenario).keys()
