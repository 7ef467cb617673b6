"""The plan reaches the goal with more calls than needed, or takes values by a longer way than needed."""

from __future__ import annotations

import random

from gatling_sid.models import GoldTrace, ToolCall
from gatling_sid.simulator.compiled_tools import CompiledTool
from gatling_sid.simulator.execution import Execution
from tests.validators.tampering.edits import (
    Offer,
    add,
    before,
    copy_of_call,
    is_used,
    leave_out,
    new_id,
    point_elsewhere,
    quote,
    references_of,
    roots_of,
    said_arguments,
    same_call,
    set_argument,
    source_of,
    update_goal,
    update_scopes,
)
from tests.validators.tampering.feeding import call_of, candidates
from tests.validators.tampering.gold_traces import (
    does,
    domain_of,
    execution_of,
    operation,
    tool_of,
    tools_alike,
    tools_here,
    with_operation,
)
from tests.validators.tampering.reduced import keep_parts, parts_of

Argument = tuple[ToolCall, str]

# --- calls -----------------------------------------------------------------------------------------------------


def detour_said_value(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    found = [(c, s.argument) for c, s in said_arguments(trace) if isinstance(c.arguments[s.argument], str)]
    for call, name in rng.sample(found, len(found)):
        source = source_of(call, name)
        value = call.arguments[name]
        for listing in (t for t in tools_here(trace).values() if t.tool.operation == "list"):
            field = tool_of(trace, call).tool.parameters[name].field
            for parameter, of, _ in listing.filters:
                if of == field and of in listing.tool.returns:
                    offer = Offer(value, value, "request", None, source.start, source.end)
                    done = _with_call_between(trace, call, name, listing, {parameter: offer}, f"items[0].{of}")
                    if done is not None:
                        return done
    return None


def detour_requesters_value(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    principal, domain = trace.request.principal, domain_of(trace)
    assert principal is not None
    entity = domain.file.roles[principal.role].entity
    key_field = domain.file.entities[entity].key
    for call, name in _with_origin(trace, rng, "principal"):
        attribute = source_of(call, name).reference or ""
        for tool in (
            t for t in tools_here(trace).values() if t.entity == entity and t.tool.operation in ("get", "list")
        ):
            key = tool.parameter_for.get("key") or next(
                (n for n, f, _ in tool.filters if f in principal.attributes), None
            )
            path = attribute if tool.tool.operation == "get" else f"items[0].{attribute}"
            if key is not None and attribute in tool.tool.returns:
                known = key_field if "key" in tool.parameter_for else tool.tool.parameters[key].field or ""
                value = principal.attributes.get(known)
                done = _with_call_between(trace, call, name, tool, {key: Offer(value, value, "principal", known)}, path)
                if done is not None:
                    return done
    return None


def _with_origin(trace: GoldTrace, rng: random.Random, origin: str) -> list[Argument]:
    found = [(c, s.argument) for c in trace.graph.calls for s in c.argument_sources if s.origin == origin]
    return rng.sample(found, len(found))


def detour_result(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    execution = execution_of(trace)
    for call, name in _with_origin(trace, rng, "call"):
        if (reference := references_of(call).get(name)) is None:
            continue  # a list of several
        origin = next(each for each in trace.graph.calls if each.call_id == reference.root)
        field = str(reference.path[-1])
        row = f"{reference.root}.items[0]" if "items" in reference.path else reference.root
        if "*" in reference.path or not execution.results[origin.call_id].rows:
            continue
        for tool in [*tools_alike(trace, origin, "get"), *tools_alike(trace, origin, "list")]:
            shown = execution.results[origin.call_id].fields
            key = tool.parameter_for.get("key") or next(
                (n for n, f, m in tool.filters if m == "equals" and f in shown), None
            )
            if key is None or field not in tool.tool.returns:
                continue
            by = tool.key_field if "key" in tool.parameter_for else tool.tool.parameters[key].field
            path = field if "key" in tool.parameter_for else f"items[0].{field}"
            offer = Offer(f"${row}.{by}", None, "call", f"{row}.{by}")
            if by in shown and (done := _with_call_between(trace, call, name, tool, {key: offer}, path)) is not None:
                return done
    return None


def _with_call_between(
    trace: GoldTrace, call: ToolCall, name: str, tool: CompiledTool, arguments: dict[str, Offer], path: str
) -> GoldTrace | None:
    """The trace with one more call, from which a call's argument is now taken, at `path` of the result."""
    other = trace.model_copy(deep=True)
    mine = same_call(other, call)
    between = ToolCall(call_id=new_id(other), tool_id=tool.tool_id)
    between.provenance = mine.provenance.model_copy() if mine.provenance else None
    for argument, offer in arguments.items():
        set_argument(between, argument, offer)
    add(other, between, before=mine.call_id)
    where = f"{between.call_id}.{path}"
    set_argument(mine, name, Offer(f"${where}", None, "call", where))
    quote(other, mine)
    quote(other, between)
    same = (
        execution_of(other).arguments.get(mine.call_id, {}).get(name)
        == execution_of(trace).arguments[mine.call_id][name]
    )
    return update_scopes(other) if same else None


def take_said_value_from_record(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _take_from_result(trace, [(c, s.argument) for c, s in said_arguments(trace)], rng)


def take_requesters_value_from_record(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _take_from_result(trace, _with_origin(trace, rng, "principal"), rng)


def _take_from_result(trace: GoldTrace, arguments: list[Argument], rng: random.Random) -> GoldTrace | None:
    for call, name in rng.sample(arguments, len(arguments)):
        alike = [each for each in before(trace, call, "call") if each.resolved == call.arguments[name]]
        if alike:
            set_argument(call, name, rng.choice(alike))
            quote(trace, call)
            return update_scopes(trace)
    return None


def read_again_for_each_user(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    for call in with_operation(trace, ("list", "get")):
        users = [u for u in trace.graph.calls if call.call_id in roots_of(u)]
        if len(users) > 1:
            user = rng.choice(users[1:])
            second_call = add(trace, copy_of_call(trace, call), before=user.call_id)
            point_elsewhere(trace, call.call_id, second_call.call_id, users=[user])
            return update_scopes(trace)
    return None


def add_unused_read(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    for call in candidates(trace, ("list", "get"), rng):
        other = trace.model_copy(deep=True)
        add(other, call)
        if (done := update_scopes(other)) is not None:
            return done
    return None


def add_unused_read_with_dependent(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    for tool in (each for each in tools_here(trace).values() if each.tool.operation in ("list", "get")):
        other = trace.model_copy(deep=True)
        call = call_of(trace, tool, Execution({}, {}, None), rng)
        if call is not None:
            first = other.graph.execution_order[0]
            add(other, call, before=first)
            waiting = next(each for each in other.graph.calls if each.call_id == first)
            waiting.dependencies = [*waiting.dependencies, call.call_id]
            if (done := update_scopes(other)) is not None:
                return done
    return None


def make_call_twice(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    calls = with_operation(trace, ("list", "get", "aggregate"))
    if not calls:
        return None
    add(trace, copy_of_call(trace, rng.choice(calls)))
    return update_scopes(trace)


def split_call_by_fields(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    for call, source in said_arguments(trace):
        name, value = source.argument, call.arguments[source.argument]
        if does(trace, call, name) == "select" and operation(trace, call) in ("list", "get") and len(value) > 1:
            parts = parts_of(trace, call, name)
            if parts is None or is_used(trace, call):
                return None
            at = rng.randrange(1, len(parts))
            second_call = add(trace, copy_of_call(trace, call))
            keep_parts(trace, second_call, name, parts[at:])
            keep_parts(trace, call, name, parts[:at])
            return update_scopes(trace)
    return None


def split_call_by_rows(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    execution = execution_of(trace)
    for call in trace.graph.calls:
        for name, reference in references_of(call).items():
            if does(trace, call, name) == "keys" and "*" in reference.path and not is_used(trace, call):
                for at in reversed(range(len(execution.arguments[call.call_id][name]))):
                    path = str(reference).replace("[*]", f"[{at}]")
                    one = call if at == 0 else add(trace, copy_of_call(trace, call))
                    set_argument(one, name, Offer([f"${path}"], None, "call", path))
                return update_scopes(trace) if len(trace.graph.calls) > len(execution.results) else None
    return None


def split_change_by_fields(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    for call in with_operation(trace, ("update",)):
        sets = [name for name in call.arguments if does(trace, call, name) == "set"]
        if len(sets) > 1:
            second_call = add(trace, copy_of_call(trace, call), before=call.call_id)
            call.dependencies = [*call.dependencies, second_call.call_id]
            leave_out(second_call, sets[0])
            for name in sets[1:]:
                leave_out(call, name)
            quote(trace, call)
            quote(trace, second_call)
            update_goal(trace)
            return update_scopes(trace)
    return None


NEEDLESS_CALLS = {
    each.__name__: each
    for each in (
        detour_said_value,
        detour_requesters_value,
        detour_result,
        take_said_value_from_record,
        take_requesters_value_from_record,
        read_again_for_each_user,
        add_unused_read,
        add_unused_read_with_dependent,
        make_call_twice,
        split_call_by_fields,
        split_call_by_rows,
        split_change_by_fields,
    )
}
