"""Changes that do not change the meaning, so that gold stays gold."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from gatling_sid.models import GoldTrace
from gatling_sid.schemas.references import reference_in


def reorder_calls_legally(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    waiting = {call.call_id: set(call.dependencies) for call in trace.graph.calls}
    order: list[str] = []
    while waiting:
        ready = sorted(each for each, needs in waiting.items() if needs <= set(order))
        order.append(rng.choice(ready))
        del waiting[order[-1]]
    if order == trace.graph.execution_order:
        return None
    trace.graph.execution_order = order
    return trace


def list_calls_in_another_order(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    if len(trace.graph.calls) == 1:
        return None
    trace.graph.calls.reverse()
    return trace


def rename_calls(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    letters = rng.sample("abcdefghjkmnpqrstuvwxyz", len(trace.graph.calls))
    ids = {call.call_id: f"step_{letter}" for call, letter in zip(trace.graph.calls, letters, strict=True)}
    for call in trace.graph.calls:
        call.call_id = ids[call.call_id]
        call.dependencies = [ids[each] for each in call.dependencies]
        call.arguments = {name: _rename_references(value, ids) for name, value in call.arguments.items()}
        for source in call.argument_sources:
            if source.origin in ("call", "composed") and source.reference:
                named = [_rename_references(f"${each}", ids)[1:] for each in source.reference.split(", ")]
                source.reference = ", ".join(named)
    trace.graph.execution_order = [ids[each] for each in trace.graph.execution_order]
    return trace


def _rename_references(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_rename_references(each, ids) for each in value]
    reference = reference_in(value)
    return f"${ids[reference.root]}{reference.path_text}" if reference and reference.root in ids else value


def write_whole_numbers_with_point(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    changed = False
    for call in trace.graph.calls:
        for name, value in call.arguments.items():
            if type(value) is int:
                call.arguments[name], changed = float(value), True
    return trace if changed else None


def reorder_keys(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    trace.metadata = _shuffle(trace.metadata, rng)
    trace.policy.scope_limits = _shuffle(trace.policy.scope_limits, rng)
    if trace.request.principal:
        trace.request.principal.attributes = _shuffle(trace.request.principal.attributes, rng)
    for call in trace.graph.calls:
        call.arguments = _shuffle(call.arguments, rng)
    return trace


def _shuffle(mapping: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    return {name: mapping[name] for name in rng.sample(list(mapping), len(mapping))}


def reorder_sources(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    calls = [each for each in trace.graph.calls if len(each.argument_sources) > 1]
    for call in calls:
        call.argument_sources.reverse()
    return trace if calls else None


def reorder_dependencies(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    calls = [each for each in trace.graph.calls if len(each.dependencies) > 1]
    for call in calls:
        call.dependencies.reverse()
    return trace if calls else None


def rename_request_and_graph(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    refused = trace.outcome.refused_graph if trace.outcome else None
    for call in (*trace.graph.calls, *(refused.calls if refused else ())):
        if call.provenance and call.provenance.source_id == trace.request.request_id:
            call.provenance.source_id = "the_request"
    trace.request.request_id, trace.graph.graph_id = "the_request", "the_graph"
    return trace


def add_note_to_metadata(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    trace.metadata["looked_at_by"] = "a reviewer"
    return trace


def set_later_created_at(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    trace.created_at += timedelta(days=400)
    return trace


def turn_flag(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    trace.validated = not trace.validated
    return trace


INTACT = {
    each.__name__: each
    for each in (
        reorder_calls_legally,
        list_calls_in_another_order,
        rename_calls,
        write_whole_numbers_with_point,
        reorder_keys,
        reorder_sources,
        reorder_dependencies,
        rename_request_and_graph,
        add_note_to_metadata,
        set_later_created_at,
        turn_flag,
    )
}
