"""Goal and plan both do more than the request says; every scope, source and dependency agrees with them."""

from __future__ import annotations

import random

from gatling_sid.models import GoldTrace, Showing, ToolCall
from gatling_sid.schemas.conditions import DAY_MATCHES
from gatling_sid.simulator.operations import CallResult
from tests.validators.tampering.edits import (
    Offer,
    add,
    append,
    before,
    copy_of_call,
    days_of,
    is_used,
    offers,
    quote,
    said_arguments,
    same_call,
    say_instead,
    set_argument,
    source_of,
    update_goal,
    update_scopes,
    words_of,
)
from tests.validators.tampering.feeding import candidates, fits
from tests.validators.tampering.gold_traces import (
    does,
    domain_of,
    execution_of,
    operation,
    tool_of,
    with_operation,
    world_here,
)


def _with_one_more(trace: GoldTrace, operations: tuple[str, ...], rng: random.Random) -> GoldTrace | None:
    """The trace with a call of one of these operations added, and its effects or rows to the goal."""
    for call in candidates(trace, operations, rng):
        other = trace.model_copy(deep=True)
        add(other, call)
        execution = execution_of(other)
        if execution.refusal is None and other.goal is not None:
            result = execution.results[call.call_id]
            other.goal.effects += [each.model_copy(deep=True) for each in result.effects]
            if not result.effects:
                _show(other, result)
            if (done := update_scopes(other)) is not None:
                return done
    return None


def _show(trace: GoldTrace, result: CallResult) -> None:
    """Adds all that a call returned to the goal."""
    assert trace.goal is not None
    rows = [key for key, _ in result.rows]
    trace.goal.shows.append(Showing(entity=result.entity, rows=rows, fields=list(result.fields)))


def add_read(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _with_one_more(trace, ("list", "get"), rng)


def add_change(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _with_one_more(trace, ("update",), rng)


def add_deletion(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _with_one_more(trace, ("delete",), rng)


def add_message(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _with_one_more(trace, ("send",), rng)


def add_export(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _with_one_more(trace, ("export",), rng)


def add_creation(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _with_one_more(trace, ("create",), rng)


def make_change_twice(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    calls = with_operation(trace, ("update", "send"))
    if not calls:
        return None
    call = rng.choice(calls)
    second_call = add(trace, copy_of_call(trace, call))
    second_call.dependencies = [*second_call.dependencies, call.call_id]
    update_goal(trace)
    return update_scopes(trace)


def add_measure(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    found = [(c, s) for c, s in said_arguments(trace) if does(trace, c, s.argument) == "measure"]
    if not found or trace.goal is None or not trace.goal.measures:
        return None
    call, source = rng.choice(found)
    second_call = add(trace, copy_of_call(trace, call))
    values = tool_of(trace, call).tool.parameters[source.argument].values or []
    others = [str(each) for each in values if each != call.arguments[source.argument]]
    if not others:
        return None
    measure = rng.choice(others)
    append(trace, f"And the {measure} as well.")
    start = trace.request.text.rindex(measure)
    set_argument(second_call, source.argument, Offer(measure, measure, "request", None, start, start + len(measure)))
    quote(trace, second_call)
    trace.goal.measures.append(trace.goal.measures[0].model_copy(deep=True, update={"measure": measure}))
    update_goal(trace)
    return update_scopes(trace)


# --- to whom, and what -----------------------------------------------------------------------------------------


def send_to_requester(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _to(trace, rng, "principal")


def send_to_address_of_another_field(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _to(trace, rng, "call")


def _to(trace: GoldTrace, rng: random.Random, origin: str) -> GoldTrace | None:
    """Sends a message to another address that the trace contains."""
    sends, execution = with_operation(trace, ("send",)), execution_of(trace)
    for call in rng.sample(sends, len(sends)):
        name = tool_of(trace, call).parameter_for["recipient"]
        old = execution.arguments[call.call_id][name]
        for offer in before(trace, call, origin):
            if isinstance(offer.resolved, str) and "@" in offer.resolved and offer.resolved != old:
                other = trace.model_copy(deep=True)
                set_argument(same_call(other, call), name, offer)
                update_goal(other)
                return update_scopes(other) or other  # most tools refuse it themselves
    return None


def put_record_in_message(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _from_a_record(trace, rng, ("send",), "content")


def put_record_in_change(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _from_a_record(trace, rng, ("update", "create"), "set")


def _from_a_record(trace: GoldTrace, rng: random.Random, operations: tuple[str, ...], role: str) -> GoldTrace | None:
    calls = with_operation(trace, operations)
    for call in rng.sample(calls, len(calls)):
        tool = tool_of(trace, call)
        open_ones = [n for n, p in tool.tool.parameters.items() if p.does == role]
        names = [n for n in open_ones if role == "content" or n not in call.arguments]
        for name in rng.sample(names, len(names)):
            found = [o for o in before(trace, call, "call") if fits(trace, tool, tool.tool.parameters[name], o)]
            for offer in rng.sample(found, min(4, len(found))):
                other = trace.model_copy(deep=True)
                set_argument(same_call(other, call), name, offer)
                update_goal(other)
                if (done := update_scopes(other)) is not None:
                    return done
    return None


def take_target_of_policy(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    exports = with_operation(trace, ("export",))
    for call in exports:
        tool = tool_of(trace, call)
        name = tool.parameter_for["target"]
        found = [o for o in offers(trace, execution_of(trace)) if o.origin == "policy" and "[" in (o.reference or "")]
        found = [o for o in found if fits(trace, tool, tool.tool.parameters[name], o)]
        found = [o for o in found if o.resolved != call.arguments[name]]
        if found:
            set_argument(call, name, rng.choice(found))
            update_goal(trace)
            return update_scopes(trace)
    return None


# --- how much --------------------------------------------------------------------------------------------------


def take_look_back_of_policy(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _as_allowed(trace, rng, "time_range", "max_days")


def take_limit_of_policy(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _as_allowed(trace, rng, "row_limit", "max_rows")


def _as_allowed(trace: GoldTrace, rng: random.Random, kind: str, name: str) -> GoldTrace | None:
    limits = [each for each in trace.policy.constraints if each.kind == kind]
    found = [(c, s) for c, s in said_arguments(trace) if _counts(trace, c, s.argument, kind)]
    if not limits or not found:
        return None
    call, source = rng.choice(found)
    value = min(each.parameters[name] for each in limits)
    limit = next(each for each in limits if each.parameters[name] == value)
    if call.arguments[source.argument] == value:
        return None
    set_argument(call, source.argument, Offer(value, value, "policy", f"{limit.constraint_id}.{name}"))
    update_goal(trace)
    return update_scopes(trace)


def _counts(trace: GoldTrace, call: ToolCall, argument: str, kind: str) -> bool:
    parameter = tool_of(trace, call).tool.parameters[argument]
    return parameter.does == "limit" if kind == "row_limit" else parameter.match in DAY_MATCHES


def show_returned_fields(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    if trace.goal is None:
        return None
    results = [each for each in execution_of(trace).results.values() if not each.measured_rows and not each.effects]
    grown = False
    for showing in trace.goal.shows:
        for result in results:
            keys = {key for key, _ in result.rows}
            if result.entity == showing.entity and keys >= set(showing.rows):
                more = [each for each in result.fields if each not in showing.fields]
                showing.fields, grown = showing.fields + more, grown or bool(more)
    return update_scopes(trace) if grown else None


def show_look_up(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    execution = execution_of(trace)
    shown = {(each.entity, key) for each in (trace.goal.shows if trace.goal else []) for key in each.rows}
    found = [
        execution.results[call.call_id]
        for call in with_operation(trace, ("list", "get"))
        if is_used(trace, call)
        and not any(
            (execution.results[call.call_id].entity, key) in shown for key, _ in execution.results[call.call_id].rows
        )
    ]
    if not found:
        return None
    _show(trace, rng.choice(found))
    return update_scopes(trace)


def state_look_back(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    execution = execution_of(trace)
    if trace.goal is None or any(days_of(trace, call, execution) is not None for call in trace.graph.calls):
        return None
    trace.goal.time_range_days = 365
    return update_scopes(trace)


# --- the words grow too ----------------------------------------------------------------------------------------


def use_another_record_throughout(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    for call, source in said_arguments(trace):
        tool = tool_of(trace, call)
        parameter = tool.tool.parameters[source.argument]
        value = call.arguments[source.argument]
        if operation(trace, call) != "list" or parameter.match != "contains" or words_of(trace, source) != value:
            continue
        table = world_here(trace).tables[tool.entity]
        others = sorted({str(row[parameter.field or ""]) for row in table.values()} - {value})
        for words in rng.sample(others, min(8, len(others))):
            other = trace.model_copy(deep=True)
            say_instead(other, source, words, words)
            before = other.goal.model_dump() if other.goal else None
            update_goal(other)
            if (done := update_scopes(other)) is not None and done.goal and done.goal.model_dump() != before:
                return done
    return None


def add_field_throughout(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    found = [(c, s) for c, s in said_arguments(trace) if tool_of(trace, c).parameter_for.get("select") == s.argument]
    if not found or trace.goal is None:
        return None
    call, source = rng.choice(found)
    field = say_one_more_field(trace, call, source.argument, rng)
    entity = tool_of(trace, call).entity
    for showing in trace.goal.shows:
        if field is not None and showing.entity == entity:
            showing.fields = [*showing.fields, field]
    update_goal(trace)
    return update_scopes(trace) if field is not None else None


def say_one_more_field(trace: GoldTrace, call: ToolCall, argument: str, rng: random.Random) -> str | None:
    """Selects one more field and says so within the span that says the others; returns the field."""
    tool, source = tool_of(trace, call), source_of(call, argument)
    chosen = call.arguments[argument]
    known = domain_of(trace).wordings_to_render(tool.tool, argument)
    names = [each for each in tool.domain.file.entities[tool.entity].fields if each not in chosen and each in known]
    if not names or not isinstance(chosen, list):
        return None
    field = rng.choice(names)
    words = words_of(trace, source).replace(" and ", ", ") + " and " + known[field][0]
    say_instead(trace, source, words, [*chosen, field])
    return field


ENLARGED = {
    each.__name__: each
    for each in (
        add_read,
        add_change,
        add_deletion,
        add_message,
        add_export,
        add_creation,
        make_change_twice,
        add_measure,
        send_to_requester,
        send_to_address_of_another_field,
        put_record_in_message,
        put_record_in_change,
        take_target_of_policy,
        take_look_back_of_policy,
        take_limit_of_policy,
        show_returned_fields,
        show_look_up,
        state_look_back,
        use_another_record_throughout,
        add_field_throughout,
    )
}
