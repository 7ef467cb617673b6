"""Checks that no two calls of the same tool could be one call with the keys, subjects or selected fields of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from gatling_sid.models import ToolCall, replace_fields, topological_order
from gatling_sid.schemas.references import ALL_ELEMENTS, Reference, references_in
from gatling_sid.simulator.compiled_tools import CompiledTool
from gatling_sid.validators.ablation import serves_request
from gatling_sid.validators.trace_context import TraceContext


def no_two_calls_could_be_one(context: TraceContext) -> Iterator[str]:
    """No two calls of the same tool can be replaced by one call so that the plan still serves the request."""
    for first, second in combinations(context.ordered_calls if context.succeeds else (), 2):
        if first.tool_id != second.tool_id or first.call_id in context.ancestors(second.call_id):
            continue
        arguments = _merge(context.tools[first.tool_id], first, second)
        if arguments is not None and _serves_merged(context, first, second, arguments):
            yield f"{first.call_id} and {second.call_id} ({first.tool_id}) could be one call; merge them"


def _merge(tool: CompiledTool, first: ToolCall, second: ToolCall) -> dict[str, Any] | None:
    """The arguments of a call that replaces two calls, or None if they differ in arguments that cannot be combined."""
    names = first.arguments.keys() | second.arguments.keys()
    different = [name for name in names if first.arguments.get(name) != second.arguments.get(name)]
    if not different:
        return dict(first.arguments)
    mergeable = {tool.parameter_for.get(role) for role in ("keys", "about", "select")}
    if (
        len(different) > 1
        or different[0] not in mergeable
        or not names == first.arguments.keys() == second.arguments.keys()
    ):
        return None
    name = different[0]
    if name == tool.parameter_for.get("about") and not (
        _is_many(first.arguments[name]) and _is_many(second.arguments[name])
    ):
        return None
    values = [_as_list(each.arguments[name]) for each in (first, second)]
    return {**first.arguments, name: [*values[0], *(each for each in values[1] if each not in values[0])]}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_many(value: Any) -> bool:
    """Whether a value is a list, or a reference that resolves to one."""
    return isinstance(value, list) or any(ALL_ELEMENTS in each.path for each in references_in(value))


def _serves_merged(context: TraceContext, first: ToolCall, second: ToolCall, arguments: dict[str, Any]) -> bool:
    """Whether the plan still serves the request if a merged call replaces two; references to these refer to it."""
    rows = {call.call_id: len(context.results[call.call_id].rows) for call in (first, second)}
    shift = 0 if _same_rows(context, first, second) else rows[first.call_id]
    starts = {first.call_id: (0, rows[first.call_id]), second.call_id: (shift, rows[second.call_id])}
    needs = {*first.dependencies, *second.dependencies} - {first.call_id, second.call_id}
    merged_call = replace_fields(first, arguments=arguments, dependencies=sorted(needs))
    others = [
        _redirect(each, first.call_id, starts)
        for each in context.ordered_calls
        if each is not first and each is not second
    ]
    calls = [merged_call, *others]
    order = topological_order(calls)
    if len(order) < len(calls):
        return False
    by_id = {call.call_id: call for call in calls}
    return serves_request(context, [by_id[call_id] for call_id in order])


def _same_rows(context: TraceContext, first: ToolCall, second: ToolCall) -> bool:
    """Whether both calls return the same rows in the same order, so that they differ only in the fields."""
    keys = [[key for key, _ in context.results[call.call_id].rows] for call in (first, second)]
    return keys[0] == keys[1]


def _redirect(call: ToolCall, merged_id: str, starts: Mapping[str, tuple[int, int]]) -> ToolCall:
    """The call with its references to, and dependencies on, the two calls replaced by ones to the merged call."""
    if starts.keys().isdisjoint(call.dependencies):
        return call
    arguments = {name: _redirect_value(value, merged_id, starts) for name, value in call.arguments.items()}
    needs = list(dict.fromkeys(merged_id if each in starts else each for each in call.dependencies))
    return replace_fields(call, arguments=arguments, dependencies=needs)


def _redirect_value(value: Any, merged_id: str, starts: Mapping[str, tuple[int, int]]) -> Any:
    found = references_in(value)
    if not any(each.root in starts for each in found):
        return value
    redirected = [new for each in found for new in _references_into_merged(each, merged_id, starts)]
    return redirected if isinstance(value, list) or ALL_ELEMENTS in found[0].path else redirected[0]


def _references_into_merged(reference: Reference, merged_id: str, starts: Mapping[str, tuple[int, int]]) -> list[str]:
    """The references to the merged call's result, one per row, that give the values of a reference to one of the two calls."""
    if reference.root not in starts:
        return [f"${reference}"]
    start, count = starts[reference.root]
    match reference.path:
        case ("items", step, *rest) if step == ALL_ELEMENTS:
            rows = range(start, start + count)
        case ("items", int(at), *rest):
            rows = range(start + at, start + at + 1)
        case _:
            return [f"${reference._replace(root=merged_id)}"]
    return [f"${Reference(merged_id, ('items', at, *rest))}" for at in rows]
