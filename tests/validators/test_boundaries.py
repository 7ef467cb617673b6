"""Every rule of a domain at its boundary: a trace that just keeps it, and one that breaks it by exactly one step.

The plans are those of gold traces. For each kind of constraint, a function sets its values to what such a plan just
meets, then one step further; or it removes the look-up, the message or the owner that the rule demands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain, islice, product
from typing import Any, NamedTuple

import pytest

from gatling_sid.models import GoldTrace, SensitivityTier, ToolCall, TrustTier
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.scenarios.schedule import WORLD_SIZE
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.constraints import KINDS, PRECONDITION_KINDS, Precondition, parameters_of
from gatling_sid.schemas.domain import Domain
from gatling_sid.simulator.compiled_tools import CompiledTool
from gatling_sid.simulator.operations import CallResult
from gatling_sid.validators import TraceValidator
from gatling_sid.validators.checks import run_checks
from gatling_sid.validators.policy.look_ups import rows_to_look_up
from gatling_sid.validators.trace_context import TraceContext
from gatling_sid.views.obeying import obey
from tests.conftest import CREATED_AT
from tests.support.domain_sample import sampled_slugs

REGISTRY = DomainRegistry()
VALIDATOR = TraceValidator(REGISTRY)
WORLD, WORLDS = range(0, WORLD_SIZE, 7), 8
"""Indexes of one world, far enough apart to hold many cases; and the worlds that are looked at until a case is found."""
RULES = [
    pytest.param(slug, name, marks=pytest.mark.catalogue, id=f"{slug}-{name}")
    for slug in sampled_slugs()
    for name in REGISTRY.domain(slug).file.policy.rules
]
LOOK_UPS = PRECONDITION_KINDS
BINDING_FEW_PLANS = ("trusted_source", "system_of_record")
"""Kinds whose rules bind so few plans that some worlds have none at their boundary; `constraints.yaml` has theirs."""

RARE = ("database_management.signed_only", "real_estate.accounts_stay_in", "supply_chain.no_bank_data_out")
"""Rules of shipped domains that no plan of the sample meets and then breaks alone."""


class Pair(NamedTuple):
    """A trace that just keeps the rule, and one that breaks it by one step."""

    keeps: GoldTrace
    breaks: GoldTrace


class Situation(NamedTuple):
    """A gold trace, one rule of its policy, and the calls that the rule binds."""

    context: TraceContext
    rule: str
    given: dict[str, Any]
    """The rule's parameters in this trace's policy."""
    bound: list[tuple[ToolCall, CompiledTool, CallResult]]

    @property
    def trace(self) -> GoldTrace:
        """The gold trace."""
        return self.context.trace

    def under(self, trace: GoldTrace | None = None, **parameters: Any) -> GoldTrace:
        """The trace, or another one, with other parameters of the rule."""
        trace = trace or self.trace
        constraints = [
            each.model_copy(update={"parameters": {**each.parameters, **parameters}})
            if each.constraint_id == self.rule
            else each
            for each in trace.policy.constraints
        ]
        return trace.model_copy(update={"policy": trace.policy.model_copy(update={"constraints": constraints})})

    def alone(self) -> GoldTrace:
        """The trace without the other rules that demand a look-up, since one look-up may satisfy several."""
        policy = self.trace.policy
        kept = [each for each in policy.constraints if each.constraint_id == self.rule or each.kind not in LOOK_UPS]
        rules = [policy.rules[each.rule] for each in kept]
        constraints = [each.model_copy(update={"rule": at}) for at, each in enumerate(kept)]
        fewer = policy.model_copy(update={"rules": rules, "constraints": constraints})
        return self.trace.model_copy(update={"policy": fewer})

    def arguments(self, call: ToolCall) -> dict[str, Any]:
        """The arguments of a call, with references resolved."""
        assert self.context.execution is not None
        return self.context.execution.arguments[call.call_id]


Boundary = Callable[[Situation], Iterator[Pair]]


def with_calls(trace: GoldTrace, calls: list[ToolCall]) -> GoldTrace:
    """A trace with these calls as its plan, executed in this order."""
    graph = trace.graph.model_copy(update={"calls": calls, "execution_order": [each.call_id for each in calls]})
    return trace.model_copy(update={"graph": graph})


def with_call(trace: GoldTrace, call: ToolCall, instead: ToolCall) -> GoldTrace:
    """A trace with one call replaced."""
    return with_calls(trace, [instead if each is call else each for each in trace.graph.calls])


def asked_by(trace: GoldTrace, **principal: Any) -> GoldTrace:
    """A trace with another principal."""
    assert trace.request.principal is not None
    other = trace.request.principal.model_copy(update=principal)
    return trace.model_copy(update={"request": trace.request.model_copy(update={"principal": other})})


def people(context: TraceContext, role: str) -> Iterator[dict[str, Any]]:
    """The attributes of every person who has a role."""
    assert context.domain is not None
    definition = context.domain.file.roles[role]
    for row in context.world.tables[definition.entity].values():
        if all(row[field] == value for field, value in definition.where.items()):
            yield {name: row[name] for name in definition.attributes}


def people_concerned(context: TraceContext, role: str) -> list[dict[str, Any]]:
    """The attributes of those who have a role and are named in a row that a call reads, or else of the first one."""
    texts = {each for result in context.results.values() for _, row in result.rows for each in row.values() if each}
    everybody = [*people(context, role)]
    return [each for each in everybody if texts.intersection(each.values())] or everybody[:1]


# --- what calls ask for ----------------------------------------------------------------------------------------


def one_row_less(at: Situation) -> Iterator[Pair]:
    """As many rows as the largest call requests or returns, then one less; measures request none."""
    records = [(call, outcome) for call, _, outcome in at.bound if outcome.measured_rows is None]
    rows = max((max(call.scope.rows_requested or 0, len(outcome.rows)) for call, outcome in records), default=0)
    if rows:
        yield Pair(at.under(max_rows=rows), at.under(max_rows=rows - 1))


def one_day_less(at: Situation) -> Iterator[Pair]:
    """As many days as the longest period, then one less."""
    days = max((call.scope.time_range_days or 0 for call, _, _ in at.bound), default=0)
    if days:
        yield Pair(at.under(max_days=days), at.under(max_days=days - 1))


def one_tier_lower(at: Situation) -> Iterator[Pair]:
    """The highest tier that a call reads, or exports to the targets, then the one below."""
    entity, targets = at.given.get("entity"), at.given.get("targets")
    scopes = [call.scope for call, tool, _ in at.bound if entity in (None, tool.entity)]
    levels = [each.sensitivity_tier.rank for each in scopes if targets is None or each.export_target in targets]
    highest = max(levels, default=1)
    if highest > 1:
        order = list(SensitivityTier)
        yield Pair(at.under(max_tier=order[highest - 1].value), at.under(max_tier=order[highest - 2].value))


def target_not_allowed(at: Situation) -> Iterator[Pair]:
    """Only the targets of the plan are allowed, then all others."""
    for call, tool, _ in at.bound:
        target = call.scope.export_target
        if target is not None:
            others = [
                each for each in tool.tool.parameters[tool.parameter_for["target"]].values or [] if each != target
            ]
            yield Pair(at.under(allowed=[target]), at.under(allowed=others))


def tool_forbidden(at: Situation) -> Iterator[Pair]:
    """A principal who may not call some tools calls none of them, then one of them."""
    called = {call.tool_id for call in at.trace.graph.calls}
    if at.given.get("roles") is None:
        for tool_id in at.given["tools"]:
            one_more = ToolCall(call_id="one_more", tool_id=tool_id, provenance=at.trace.graph.calls[0].provenance)
            yield Pair(at.trace, with_calls(at.trace, [*at.trace.graph.calls, one_more]))
        return
    free, forbidden = sorted(set(at.given["tools"]) - called), sorted(called.intersection(at.given["tools"]))
    for tool_id, role in product(forbidden, at.given["roles"]):
        for attributes in people_concerned(at.context, role):
            other = asked_by(at.trace, role=role, attributes=attributes)
            yield Pair(at.under(other, tools=free), at.under(other, tools=[*free, tool_id]))


def tier_not_trusted(at: Situation) -> Iterator[Pair]:
    """The tier that an argument rests on is trusted, then only better ones are."""
    for call, _, _ in at.bound:
        for name in {*at.given["arguments"]} & {*call.arguments}:
            tier = at.context.trust.arguments[call.call_id, name]
            better = [each for each in TrustTier if each is not tier and tier.is_at_most(each)]
            if better:
                yield Pair(at.under(least=tier.value), at.under(least=better[-1].value))


def other_record(at: Situation) -> Iterator[Pair]:
    """The argument comes from the system of record, then another field is the record."""
    assert at.context.domain is not None
    key = at.context.domain.file.entities[at.given["entity"]].key
    sources = [each for call, _, _ in at.bound for each in call.argument_sources]
    if any(each.argument == at.given["argument"] and each.origin == "call" for each in sources):
        yield Pair(at.trace, at.under(field=key))


def lure_obeyed(at: Situation) -> Iterator[Pair]:
    """A plan that has read a lure, then one that obeys it."""
    yield from (Pair(at.trace, obey(at.trace, lure)) for lure in at.trace.lures)


def argument_one_less(at: Situation) -> Iterator[Pair]:
    """The largest value that is passed, then one less."""
    for call, _, _ in at.bound:
        value = at.arguments(call).get(at.given["argument"])
        if value is not None:
            yield Pair(at.under(max_value=value), at.under(max_value=value - 1))


def own_number_one_less(at: Situation) -> Iterator[Pair]:
    """The principal has just the value that is passed, then one less."""
    for call, _, _ in at.bound:
        value, name = at.arguments(call).get(at.given["argument"]), at.given["attribute"]
        if value is not None and at.trace.request.principal is not None:
            own = at.trace.request.principal.attributes
            yield Pair(*(asked_by(at.trace, attributes={**own, name: each}) for each in (value, value - 1)))


def value_not_allowed(at: Situation) -> Iterator[Pair]:
    """Only the value that is passed is allowed, then all others that the rule allowed."""
    for call, _, _ in at.bound:
        value = at.arguments(call).get(at.given["argument"])
        if value is not None:
            yield Pair(at.under(allowed=[value]), at.under(allowed=[v for v in at.given["allowed"] if v != value]))


def argument_not_given(at: Situation) -> Iterator[Pair]:
    """The rule demands an argument that is given, then one that is not; if all are given, the one it demands is left out."""
    for call, tool, _ in at.bound:
        left_out = [name for name in tool.tool.parameters if name not in call.arguments and name not in tool.defaults]
        if call.arguments and left_out:
            yield Pair(at.under(argument=next(iter(call.arguments))), at.under(argument=left_out[0]))
        elif at.given["argument"] in call.arguments:
            others = {name: value for name, value in call.arguments.items() if name != at.given["argument"]}
            yield Pair(at.trace, with_call(at.trace, call, call.model_copy(update={"arguments": others})))


def filter_does_not_count(at: Situation) -> Iterator[Pair]:
    """Only the filter that is given counts, then all others."""
    for call, _, _ in at.bound:
        given = [name for name in at.given["arguments"] if name in call.arguments]
        others = [name for name in at.given["arguments"] if name not in given]
        if len(given) == 1:
            yield Pair(at.under(arguments=given), at.under(arguments=others))


def date_one_day_off(at: Situation) -> Iterator[Pair]:
    """Only the days from today to the date that is passed, then one day less or one more."""
    for call, _, _ in at.bound:
        value = at.arguments(call).get(at.given["argument"])
        if value is not None:
            days = -at.context.world.age(value)
            for other in (days - 1, days + 1):
                keeps = at.under(min_days=days, max_days=days)
                yield Pair(keeps, at.under(min_days=other, max_days=other))


def hour_not_allowed(at: Situation) -> Iterator[Pair]:
    """Only the hour at which the calls happen, then all hours before it or after it."""
    for call, _, _ in at.bound:
        assert call.provenance is not None
        assert call.provenance.timestamp is not None
        hour = call.provenance.timestamp.hour
        keeps = at.under(from_hour=hour, to_hour=hour + 1)
        yield Pair(keeps, at.under(from_hour=0, to_hour=hour))
        yield Pair(keeps, at.under(from_hour=hour + 1, to_hour=24))


def one_field_less(at: Situation) -> Iterator[Pair]:
    """As many fields as the call with the most shows, then one less; measures show none."""
    most = max((len(outcome.fields) for _, _, outcome in at.bound if outcome.measured_rows is None), default=0)
    if most:
        yield Pair(at.under(max_fields=most), at.under(max_fields=most - 1))


# --- what calls do ---------------------------------------------------------------------------------------------


def changed(at: Situation) -> Iterator[tuple[ToolCall, list[dict[str, Any]]]]:
    """Bound calls that change rows of the rule's entity, or create what refers to them, with those rows as they were."""
    rule = next((each for name, _, each in at.context.constraints if name == at.rule), None)
    for call, _, outcome in at.bound:
        if outcome.effects and outcome.rows and outcome.entity == at.given["entity"]:
            yield call, [row for _, row in outcome.rows]
        elif outcome.created_rows and isinstance(rule, Precondition):
            rows = [row for _, row in rows_to_look_up(rule, at.context, call)]
            yield from [(call, rows)] if rows else []


def state_not_allowed(at: Situation) -> Iterator[Pair]:
    """Only the states of the changed rows are allowed, then all others that the rule allowed."""
    for _, rows in changed(at):
        states = {row[at.given["field"]] for row in rows}
        others = [each for each in at.given["allowed"] if each not in states]
        yield Pair(at.under(allowed=sorted(states)), at.under(allowed=others))


def amount_one_cent_less(at: Situation) -> Iterator[Pair]:
    """The largest amount among the changed rows, then a cent less."""
    for _, rows in changed(at):
        most = max(row[at.given["field"]] for row in rows)
        yield Pair(at.under(max_value=most), at.under(max_value=most - 0.01))


def approved_by_oneself(at: Situation) -> Iterator[Pair]:
    """The changed rows were approved by others, then by the principal."""
    principal = at.trace.request.principal
    assert principal is not None
    for _, rows in changed(at):
        approver = {**principal.attributes, at.given["attribute"]: rows[0][at.given["field"]]}
        yield Pair(at.trace, asked_by(at.trace, attributes=approver))


def share_too_small(at: Situation) -> Iterator[Pair]:
    """The share of the looked-up amount that the call passes, then a thousandth less."""
    for call, _, _ in at.bound:
        amount = at.context.argument_value(call, at.given["argument"])
        for most in looked_up(at, call):
            if amount and most:
                yield Pair(at.under(share=amount / most), at.under(share=amount / most - 0.001))


def looked_up(at: Situation, call: ToolCall) -> Iterator[Any]:
    """The values of the rule's field that calls showed before this one."""
    for each in at.context.ancestors(call.call_id):
        outcome = at.context.results[each]
        if outcome.entity == at.given["entity"] and at.given["field"] in outcome.fields:
            yield from (row[at.given["field"]] for _, row in outcome.rows)


def step_not_allowed(at: Situation) -> Iterator[Pair]:
    """Only the steps of the plan are allowed, then all others that the rule allowed."""
    field = at.given["field"]
    for _, _, outcome in at.bound:
        for effect in outcome.effects if outcome.entity == at.given["entity"] else ():
            if effect.kind == "update" and field in effect.changes:
                after = effect.changes[field]
                steps = {row[field]: [after] for key, row in outcome.rows if key in effect.rows}
                others = {
                    before: [each for each in allowed if each != after]
                    for before, allowed in at.given["allowed"].items()
                }
                yield Pair(at.under(allowed=steps), at.under(allowed=others))


def without_consent(at: Situation) -> Iterator[Pair]:
    """The rows have the flag, then another field of theirs counts, which is no flag or is not true."""
    for _, _, outcome in at.bound:
        if outcome.effects and outcome.rows and outcome.entity == at.given["entity"]:
            _, row = outcome.rows[0]
            for other in (name for name, value in row.items() if value is not True):
                yield Pair(at.trace, at.under(field=other))


def field_not_read(at: Situation) -> Iterator[Pair]:
    """The rule demands all fields that were looked up before the change, then one more."""
    for call, _ in changed(at):
        entity = at.given["entity"]
        earlier = [at.context.results[each] for each in at.context.ancestors(call.call_id)]
        read = {
            field for outcome in earlier if outcome.entity == entity and not outcome.effects for field in outcome.fields
        }
        assert at.context.domain is not None
        unread = [each for each in at.context.domain.file.entities[entity].fields if each not in read]
        yield from [Pair(at.under(fields=sorted(read)), at.under(fields=[*sorted(read), each])) for each in unread[:1]]


def look_up_not_before(at: Situation) -> Iterator[Pair]:
    """The change depends on its look-up, then no longer."""
    fields = {at.given["field"]} if "field" in at.given else set(at.given["fields"])
    for call, _ in changed(at):
        entity = at.given["entity"]
        shows = {i for i, o in at.context.results.items() if o.entity == entity and fields.intersection(o.fields)}
        freed = call.model_copy(update={
            "arguments": at.arguments(call),
            "dependencies": [
                each for each in call.dependencies if not {each, *at.context.ancestors(each)} & shows
            ],
        })  # fmt: skip
        yield Pair(at.alone(), with_call(at.alone(), call, freed))


def somebody_elses(at: Situation) -> Iterator[Pair]:
    """The records are the principal's own; then the principal is another, or a call takes another person's record."""
    principal = at.trace.request.principal
    assert principal is not None
    if any(outcome.rows or outcome.created_rows for _, _, outcome in at.bound if outcome.entity == at.given["entity"]):
        for person in islice(people(at.context, principal.role), 5):
            if person[at.given["attribute"]] != principal.attributes[at.given["attribute"]]:
                yield Pair(at.trace, asked_by(at.trace, attributes=person))
        for call, tool, _ in at.bound:
            yield from taking_anothers(at, call, tool)


def created_for_another(at: Situation) -> Iterator[Pair]:
    """A record is created in the principal's own name, then in another person's."""
    for call, tool, outcome in at.bound:
        if outcome.created_rows and outcome.entity == at.given["entity"]:
            yield from taking_anothers(at, call, tool)


def taking_anothers(at: Situation, call: ToolCall, tool: CompiledTool) -> Iterator[Pair]:
    """One argument of a call has the value that it would have for another person's record."""
    principal = at.trace.request.principal
    assert principal is not None
    mine = principal.attributes[at.given["attribute"]]
    others = [row for row in at.context.world.tables[at.given["entity"]].values() if row[at.given["field"]] != mine]
    for name in call.arguments if tool.entity == at.given["entity"] else ():
        for row in others[:3]:
            value = row.get(tool.tool.parameters[name].field or tool.key_field)
            other = call.model_copy(update={"arguments": {**call.arguments, name: value}})
            yield Pair(at.trace, with_call(at.trace, call, other))


def ones_own(at: Situation) -> Iterator[Pair]:
    """The changed records belong to others, then to the principal."""
    principal = at.trace.request.principal
    assert principal is not None
    for _, rows in changed(at):
        owner = {**principal.attributes, at.given["attribute"]: rows[0][at.given["field"]]}
        yield Pair(at.trace, asked_by(at.trace, attributes=owner))


def message_not_sent(at: Situation) -> Iterator[Pair]:
    """The plan sends the message that the rule demands, then it does not."""
    for each in at.context.ordered_calls:
        if each.tool_id == at.given["notify"] and at.bound:
            yield Pair(at.trace, with_calls(at.trace, [call for call in at.context.ordered_calls if call is not each]))


def address_not_allowed(at: Situation) -> Iterator[Pair]:
    """Only the host of the recipient is allowed, then all others."""
    for _, _, outcome in at.bound:
        host = f"@{str(outcome.effects[0].target).partition('@')[2]}"
        others = [each for each in at.given["endings"] if not host.endswith(each)] or ["@elsewhere.example"]
        yield Pair(at.under(endings=[host]), at.under(endings=others))


def one_record_less(at: Situation) -> Iterator[Pair]:
    """As many records as the plan changes, then one less."""
    records = sum(len(effect.rows) for _, _, outcome in at.bound for effect in outcome.effects)
    if records:
        yield Pair(at.under(max_records=records), at.under(max_records=records - 1))


# --- data flow -------------------------------------------------------------------------------------------------


def field_flows(at: Situation) -> Iterator[Pair]:
    """Another field of a record reaches the tool, then the one that must not: as a column, or through a look-up."""
    for call, tool, _ in at.bound:
        yield from field_selected(at, call, tool)
        yield from field_passed_on(at, call, tool)


def field_selected(at: Situation, call: ToolCall, tool: CompiledTool) -> Iterator[Pair]:
    """The tool exports the same columns, then one more."""
    select = tool.parameter_for.get("select")
    if select is not None and tool.entity == at.given["entity"]:
        columns = at.arguments(call).get(select, tool.tool.returns)
        more = call.model_copy(update={"arguments": {**call.arguments, select: [*columns, at.given["fields"][0]]}})
        yield Pair(at.trace, with_call(at.trace, call, more))


def field_passed_on(at: Situation, call: ToolCall, tool: CompiledTool) -> Iterator[Pair]:
    """A record is read, and the tool gets its key, then the field that must not reach it."""
    entity, field = at.given["entity"], at.given["fields"][0]
    readers = [each for each in at.context.tools.values() if each.entity == entity and each.tool.operation == "get"]
    opening = [each for each in readers if "select" in each.parameter_for]
    texts = [name for name, each in tool.tool.parameters.items() if each.does in ("set", "content") and not each.values]
    seen = dict.fromkeys(
        key for outcome in at.context.results.values() if outcome.entity == entity for key, _ in outcome.rows
    )
    for reader, text, key in product(opening, texts, seen):
        columns = [reader.key_field, field]
        asked = {reader.parameter_for["key"]: key, reader.parameter_for["select"]: columns}
        read_call = ToolCall(call_id="read_call", tool_id=reader.tool_id, arguments=asked)
        passing = [passed_on(call, text, read_call, column) for column in columns]
        plans = [with_call(at.trace, call, each) for each in passing]
        yield Pair(*(with_calls(plan, [read_call, *plan.graph.calls]) for plan in plans))


def passed_on(call: ToolCall, name: str, read_call: ToolCall, column: str) -> ToolCall:
    """A call with an argument that refers to a field of the record that was read."""
    arguments = {**call.arguments, name: f"${read_call.call_id}.{column}"}
    return call.model_copy(update={"arguments": arguments, "dependencies": [*call.dependencies, read_call.call_id]})


BOUNDARIES: dict[str, tuple[Boundary, ...]] = {
    "row_limit": (one_row_less,),
    "time_range": (one_day_less,),
    "sensitivity_ceiling": (one_tier_lower,),
    "export_targets": (target_not_allowed,),
    "export_sensitivity": (one_tier_lower,),
    "may_not_call": (tool_forbidden,),
    "argument_max": (argument_one_less,),
    "at_most_own": (own_number_one_less,),
    "argument_values": (value_not_allowed,),
    "argument_required": (argument_not_given,),
    "narrowed_by": (filter_does_not_count,),
    "read_before_change": (field_not_read, look_up_not_before),
    "state_before_change": (state_not_allowed, look_up_not_before),
    "amount_limit": (amount_one_cent_less, look_up_not_before),
    "approved_by": (approved_by_oneself, look_up_not_before),
    "at_most_field": (share_too_small,),
    "transitions": (step_not_allowed, look_up_not_before),
    "consent": (without_consent,),
    "argument_days": (date_one_day_off,),
    "hours": (hour_not_allowed,),
    "field_limit": (one_field_less,),
    "own_records": (somebody_elses, created_for_another),
    "not_own": (ones_own,),
    "notify_after": (message_not_sent,),
    "no_flow": (field_flows,),
    "recipients": (address_not_allowed,),
    "trusted_source": (tier_not_trusted,),
    "system_of_record": (other_record,),
    "only_as_asked": (lure_obeyed,),
    "batch_limit": (one_record_less,),
}
"""The functions of each kind; each must give a pair for every rule of the kind."""


def situations(slug: str, rule: str) -> Iterator[Situation]:
    """Yields the situations of a rule in gold traces of its domain."""
    for world in range(WORLDS):
        yield from filter(None, (situation(context, rule) for context in contexts(slug, world)))


@cache
def contexts(slug: str, world: int) -> list[TraceContext]:
    """The contexts of gold traces of a world, one wording of each instance."""
    oracle, domain = ScenarioOracle(5, CREATED_AT), REGISTRY.domain(slug)
    proposed = (oracle.trace(Task(domain, "train", world * WORLD_SIZE + at)) for at in WORLD)
    traces = {(t.metadata["scenario"], t.metadata["instance"]): t for t in proposed if isinstance(t, GoldTrace)}
    found = [TraceContext(trace, REGISTRY) for trace in traces.values()]
    return [context for context in found if context.succeeds and context.trace.graph.calls]


def situation(context: TraceContext, rule: str) -> Situation | None:
    """The situation of a rule in a trace; None if it is not in force there, or binds no call (unless it forbids tools)."""
    constraint = next((each for each in context.trace.policy.constraints if each.constraint_id == rule), None)
    if constraint is None:
        return None
    calls = [call for call in context.ordered_calls if parameters_of(constraint).binds(context.role, call.tool_id)]
    if not calls and constraint.kind != "may_not_call":
        return None
    bound = [(call, context.tools[call.tool_id], context.results[call.call_id]) for call in calls]
    return Situation(context, rule, constraint.parameters, bound)


def creates_what_it_binds(domain: Domain, rule: str) -> bool:
    """Whether a rule about own records binds a part that creates such records."""
    given = domain.file.policy.rules[rule].parameters
    for part in domain.file.parts.values():
        tool = domain.file.tools[part.tool]
        is_bound = part.tool in (given.get("tools") or domain.file.tools) and {*part.roles} & {
            *given.get("roles", part.roles)
        }
        if is_bound and tool.operation == "create" and tool.entity == given["entity"]:
            return True
    return False


def verdict(trace: GoldTrace) -> set[str]:
    """The ids of the constraints that a trace breaks, and the full text of other findings about its policy.

    Findings about forbidden operations are left out, since they repeat those of a constraint.
    """
    found = run_checks(TraceContext(trace, REGISTRY), ("length", "size", "structure", "policy", "policy_wording"))
    return {
        each.constraint_id if each.constraint_id and each.rule.endswith("constraints_hold") else str(each)
        for each in found
        if each.rule != "forbidden_operations_are_absent"
    }


def test_no_kind_of_rule_goes_without_a_boundary() -> None:
    """Every kind of constraint has a function that moves it to its boundary."""
    assert BOUNDARIES.keys() == KINDS.keys()


@pytest.mark.parametrize(("slug", "rule"), RULES)
def test_rule_holds_up_to_its_boundary(slug: str, rule: str) -> None:
    """Some plan just keeps the rule; one step further, it breaks this rule and no other."""
    domain = REGISTRY.domain(slug)
    kind = domain.file.policy.rules[rule].kind
    functions = [
        each for each in BOUNDARIES[kind] if each is not created_for_another or creates_what_it_binds(domain, rule)
    ]
    for boundary in functions:
        pairs = chain.from_iterable(boundary(each) for each in situations(slug, rule))
        if (set(), {rule}) in ((verdict(keeps), verdict(breaks)) for keeps, breaks in pairs):
            return
    names = ", ".join(each.__name__ for each in functions)
    assert kind in BINDING_FEW_PLANS or f"{slug}.{rule}" in RARE, (
        f"{names}: no plan of {slug} meets and then breaks {rule} alone"
    )
