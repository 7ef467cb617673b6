"""Could two calls of one tool be one: by their keys, by what they are about, or by the fields they ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from gatling_sid.models import ToolCall, construct_trusted, topological_order
from gatling_sid.schemas.references import ALL, Reference, references_in
from gatling_sid.simulator.operations import CompiledTool
from gatling_sid.validators.ablation import serves_request
from gatling_sid.validators.trace_context import TraceContext


def no_two_calls_could_be_one(case: TraceContext) -> Iterator[str]:
    """No two calls of one tool can be made as one that meets the goal and keeps the policy."""
    for first, second in combinations(case.ordered_calls if case.succeeds else (), 2):
        if first.tool_id != second.tool_id or first.call_id in case.ancestors(second.call_id):
            continue
        merged = _merge(case.tools[first.tool_id], first, second)
        if merged is not None and _serves_merged(case, first, second, merged):
            yield f"{first.call_id} and {second.call_id} ({first.tool_id}) could be one call"


def _merge(tool: CompiledTool, first: ToolCall, second: ToolCall) -> dict[str, Any] | None:
    """The arguments of one call for two, or None where they differ in more than what one call can take together."""
    names = first.arguments.keys() | second.arguments.keys()
    differing = [name for name in names if first.arguments.get(name) != second.arguments.get(name)]
    if not differing:
        return dict(first.arguments)
    together = {tool.by_role.get(role) for role in ("keys", "about", "select")}
    if (
        len(differing) > 1
        or differing[0] not in together
        or not names == first.arguments.keys() == second.arguments.keys()
    ):
        return None
    name = differing[0]
    if name == tool.by_role.get("about") and not (_is_many(first.arguments[name]) and _is_many(second.arguments[name])):
        return None
    parts = [_as_list(each.arguments[name]) for each in (first, second)]
    return {**first.arguments, name: [*parts[0], *(each for each in parts[1] if each not in parts[0])]}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_many(value: Any) -> bool:
    """Whether a value is a list, or a reference that leads to one."""
    return isinstance(value, list) or any(ALL in each.path for each in references_in(value))


def _serves_merged(case: TraceContext, first: ToolCall, second: ToolCall, arguments: dict[str, Any]) -> bool:
    """Whether the plan with one call for two still does; what the two returned is looked up in the one's result."""
    rows = {call.call_id: len(case.results[call.call_id].rows) for call in (first, second)}
    shift = 0 if _same_rows(case, first, second) else rows[first.call_id]
    starts = {first.call_id: (0, rows[first.call_id]), second.call_id: (shift, rows[second.call_id])}
    needs = {*first.dependencies, *second.dependencies} - {first.call_id, second.call_id}
    merged = construct_trusted(ToolCall, {**first.__dict__, "arguments": arguments, "dependencies": sorted(needs)})
    others = [
        _redirect(each, first.call_id, starts)
        for each in case.ordered_calls
        if each is not first and each is not second
    ]
    calls = [merged, *others]
    order = topological_order(calls)
    if len(order) < len(calls):
        return False
    by_id = {call.call_id: call for call in calls}
    return serves_request(case, [by_id[call_id] for call_id in order])


def _same_rows(case: TraceContext, first: ToolCall, second: ToolCall) -> bool:
    """Whether the two differ only in fields, so that row by row their results are one."""
    keys = [[key for key, _ in case.results[call.call_id].rows] for call in (first, second)]
    return keys[0] == keys[1]


def _redirect(call: ToolCall, to: str, starts: Mapping[str, tuple[int, int]]) -> ToolCall:
    """A call that takes from the merged call what it took from one of the two."""
    if starts.keys().isdisjoint(call.dependencies):
        return call
    arguments = {name: _move_reference(value, to, starts) for name, value in call.arguments.items()}
    needs = list(dict.fromkeys(to if each in starts else each for each in call.dependencies))
    return construct_trusted(ToolCall, {**call.__dict__, "arguments": arguments, "dependencies": needs})


def _move_reference(value: Any, to: str, starts: Mapping[str, tuple[int, int]]) -> Any:
    found = references_in(value)
    if not any(each.root in starts for each in found):
        return value
    moved = [place for each in found for place in _places(each, to, starts)]
    return moved if isinstance(value, list) or ALL in found[0].path else moved[0]


def _places(reference: Reference, to: str, starts: Mapping[str, tuple[int, int]]) -> list[str]:
    """Where in the merged call's result stands what a reference took: one reference per row."""
    if reference.root not in starts:
        return [f"${reference}"]
    start, count = starts[reference.root]
    match reference.path:
        case ("items", step, *rest) if step == ALL:
            rows = range(start, start + count)
        case ("items", int(at), *rest):
            rows = range(start + at, start + at + 1)
        case _:
            return [f"${reference._replace(root=to)}"]
    return [f"${Reference(to, ('items', at, *rest))}" for at in rows]
