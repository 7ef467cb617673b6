"""The trace is no graph, or its values are not of the form that its tools take."""

from __future__ import annotations

import random
from collections.abc import Callable

from gatling_sid.models import GoldTrace, ToolCall
from tests.validators.tampering.edits import Offer, add, copy_of_call, references_of, roots_of, set_argument
from tests.validators.tampering.gold_traces import another_domain, execution_of

# --- the graph -------------------------------------------------------------------------------------------------


def repeat_id(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    trace.graph.calls.append(rng.choice(trace.graph.calls).model_copy(deep=True))
    return trace


def depend_on_no_call(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    rng.choice(trace.graph.calls).dependencies.append("call_99")
    return trace


def depend_in_a_circle(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    waiting = [each for each in trace.graph.calls if each.dependencies]
    if not waiting:
        return None
    call = rng.choice(waiting)
    first = next(each for each in trace.graph.calls if each.call_id == call.dependencies[0])
    first.dependencies = [*first.dependencies, call.call_id]
    return trace


def depend_on_itself(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    call = rng.choice(trace.graph.calls)
    call.dependencies = [*call.dependencies, call.call_id]
    return trace


def remove_dependency_of_reference(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    calls = [each for each in trace.graph.calls if roots_of(each)]
    if not calls:
        return None
    call = rng.choice(calls)
    root = rng.choice(sorted(roots_of(call)))
    call.dependencies = [each for each in call.dependencies if each != root]
    return trace


def leave_call_out_of_order(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    trace.graph.execution_order.remove(rng.choice(trace.graph.execution_order))
    return trace


def repeat_call_in_order(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    trace.graph.execution_order.append(rng.choice(trace.graph.execution_order))
    return trace


def order_against_dependencies(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    order = trace.graph.execution_order
    waiting = [each for each in trace.graph.calls if each.dependencies]
    if not waiting:
        return None
    call = rng.choice(waiting)
    order.remove(call.call_id)
    order.insert(order.index(call.dependencies[0]), call.call_id)
    return trace


def refer_to_another_row(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    found = [(c, n) for c in trace.graph.calls for n, r in references_of(c).items() if 0 in r.path]
    if not found:
        return None
    call, name = rng.choice(found)
    before = execution_of(trace).arguments[call.call_id][name]
    path = call.arguments[name][1:].replace("[0]", "[1]")
    set_argument(call, name, Offer(f"${path}", None, "call", path))
    return None if execution_of(trace).arguments.get(call.call_id, {}).get(name) == before else trace


def claim_call_as_checked(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    add(trace, copy_of_call(trace, rng.choice(trace.graph.calls)))
    trace.validated = True
    return trace


# --- values ----------------------------------------------------------------------------------------------------


def add_unknown_argument(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    rng.choice(trace.graph.calls).arguments["colour"] = "red"
    return trace


def use_tool_of_another_domain(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    tools = list(another_domain(trace, rng).tools)
    rng.choice(trace.graph.calls).tool_id = rng.choice(tools)
    return trace


def write_tool_in_capitals(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    call = rng.choice(trace.graph.calls)
    call.tool_id = call.tool_id.upper()
    return trace


def _of_type(*types: type) -> Callable[[GoldTrace, random.Random], tuple[ToolCall, str] | None]:
    def find(trace: GoldTrace, rng: random.Random) -> tuple[ToolCall, str] | None:
        found = [(c, n) for c in trace.graph.calls for n, v in c.arguments.items() if type(v) in types]
        return rng.choice(found) if found else None

    return find


def _change_type(
    find: Callable[[GoldTrace, random.Random], tuple[ToolCall, str] | None], change: Callable[[object], object]
) -> Callable[[GoldTrace, random.Random], GoldTrace | None]:
    """A kind that gives one argument of a type a similar value of another type."""

    def tamper(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
        found = find(trace, rng)
        if found is None:
            return None
        call, name = found
        call.arguments[name] = change(call.arguments[name])
        return trace

    return tamper


def write_flag_as_number(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _change_type(_of_type(bool), lambda value: 1 if value else 0)(trace, rng)


def write_number_as_text(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _change_type(_of_type(int, float), str)(trace, rng)


def write_number_as_flag(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _change_type(_of_type(int, float), bool)(trace, rng)


def wrap_value_in_list(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _change_type(_single, lambda value: [value])(trace, rng)


def _single(trace: GoldTrace, rng: random.Random) -> tuple[ToolCall, str] | None:
    """An argument with one value, since a reference to a list means the same alone as in a list."""
    found = _of_type(str, int, float)(trace, rng)
    return None if found is None or "[*]" in str(found[0].arguments[found[1]]) else found


def write_list_as_text(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _change_type(_of_type(list), lambda value: ", ".join(map(str, value)))(trace, rng)  # type: ignore[call-overload]


def repeat_element(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _change_type(_of_type(list), lambda value: [*value, value[0]])(trace, rng)  # type: ignore[index, misc]


def remove_value(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _change_type(_of_type(str, int, float, list), lambda _: None)(trace, rng)


def write_number_of_goal_as_text(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    effects = trace.goal.effects if trace.goal else []
    found = [(e, n) for e in effects for n, v in e.changes.items() if type(v) in (int, float)]
    if not found:
        return None
    effect, name = rng.choice(found)
    effect.changes[name] = str(effect.changes[name])
    return trace


FORMS = {
    each.__name__: each
    for each in (
        repeat_id,
        depend_on_no_call,
        depend_in_a_circle,
        depend_on_itself,
        remove_dependency_of_reference,
        leave_call_out_of_order,
        repeat_call_in_order,
        order_against_dependencies,
        refer_to_another_row,
        claim_call_as_checked,
        add_unknown_argument,
        use_tool_of_another_domain,
        write_tool_in_capitals,
        write_flag_as_number,
        write_number_as_text,
        write_number_as_flag,
        wrap_value_in_list,
        write_list_as_text,
        repeat_element,
        remove_value,
        write_number_of_goal_as_text,
    )
}
