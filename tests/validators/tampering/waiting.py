"""Calls depend on too many or too few other calls."""

from __future__ import annotations

import random

from gatling_sid.models import Effect, GoldTrace, Showing, ToolCall
from gatling_sid.simulator.compiled_tools import CompiledTool
from tests.validators.tampering.edits import (
    Offer,
    add,
    new_id,
    quote,
    references_of,
    roots_of,
    set_argument,
    update_scopes,
)
from tests.validators.tampering.gold_traces import does, execution_of, tools_alike, with_operation

# --- waiting ---------------------------------------------------------------------------------------------------


def add_needless_dependency(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    order = trace.graph.execution_order
    by_id = {each.call_id: each for each in trace.graph.calls}
    found = [(a, b) for at, b in enumerate(order) for a in order[:at] if a not in by_id[b].dependencies]
    found = [(a, b) for a, b in found if not _waits(trace, b, a) and not _conflict(trace, a, b)]
    if not found:
        return None
    first, second = rng.choice(found)
    by_id[second].dependencies = [*by_id[second].dependencies, first]
    return trace


def _waits(trace: GoldTrace, call_id: str, other: str) -> bool:
    call = next(each for each in trace.graph.calls if each.call_id == call_id)
    return any(each == other or _waits(trace, each, other) for each in call.dependencies)


def _conflict(trace: GoldTrace, one: str, other: str) -> bool:
    """Whether either of two calls changes an entity that the other touches."""
    results = execution_of(trace).results
    entities = {each: results[each].entity for each in (one, other)}
    changes = any(_writes(effect) for each in (one, other) for effect in results[each].effects)
    return changes and entities[one] == entities[other]


def _writes(effect: Effect) -> bool:
    return effect.kind in ("create", "update", "delete")


def remove_needed_dependency(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    found = [(call, each) for call in trace.graph.calls for each in call.dependencies if each not in roots_of(call)]
    if not found:
        return None
    call, each = rng.choice(found)
    call.dependencies = [other for other in call.dependencies if other != each]
    return trace


def read_without_order_to_change(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    for call in with_operation(trace, ("update",)):
        keys = [n for n in call.arguments if does(trace, call, n) in ("key", "keys") and n in references_of(call)]
        changed_fields = set(execution_of(trace).results[call.call_id].effects[0].changes)
        for tool in [*tools_alike(trace, call, "get"), *tools_alike(trace, call, "list")]:
            into = tool.parameter_for.get("key") or tool.parameter_for.get("keys")
            if keys and into and changed_fields & set(tool.tool.returns):
                done = _read_beside(trace, call, keys[0], tool, into, sorted(changed_fields & set(tool.tool.returns)))
                if done is not None:
                    return done
    return None


def _read_beside(
    trace: GoldTrace, call: ToolCall, key: str, tool: CompiledTool, into: str, fields: list[str]
) -> GoldTrace | None:
    other = trace.model_copy(deep=True)
    path = str(references_of(call)[key])
    read = ToolCall(call_id=new_id(other), tool_id=tool.tool_id)
    read.provenance = call.provenance.model_copy() if call.provenance else None
    set_argument(read, into, Offer(f"${path}", None, "call", path))
    quote(other, read)
    add(other, read, before=call.call_id)
    execution = execution_of(other)
    if execution.refusal is not None or other.goal is None:
        return None
    rows = [row for row, _ in execution.results[read.call_id].rows]
    other.goal.shows.append(Showing(entity=tool.entity, rows=rows, fields=fields))
    return update_scopes(other)


WAITING = {
    each.__name__: each
    for each in (
        add_needless_dependency,
        remove_needed_dependency,
        read_without_order_to_change,
    )
}
