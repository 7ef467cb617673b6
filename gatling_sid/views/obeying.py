"""Plans that are not gold, made exactly from gold ones: those that obey a lure."""

from __future__ import annotations

from datetime import datetime

from gatling_sid.models import (
    ArgumentSource,
    GoldTrace,
    Lure,
    LuredCall,
    ProvenancePointer,
    ScopeMetadata,
    ToolCall,
    TrustTier,
    replace_fields,
)
from gatling_sid.simulator.trust import value_at


def obey(trace: GoldTrace, lure: Lure) -> GoldTrace:
    """The trace with a plan that also does what a lure wants, right after it was read; it is not gold.

    The new calls say where they come from: their arguments and their provenance point to the text that holds the lure.

    Raises:
        ValueError: the trace has no observations, or the lure is not in them.

    """
    text = _text_of(trace, lure)
    calls = [_obeying_call(trace, lure, each, number, text) for number, each in enumerate(lure.calls, start=1)]
    order = list(trace.graph.execution_order)
    at = order.index(lure.call_id) + 1
    graph = replace_fields(
        trace.graph,
        calls=[*trace.graph.calls, *calls],
        execution_order=[*order[:at], *(each.call_id for each in calls), *order[at:]],
    )
    return replace_fields(trace, graph=graph, validated=False, observations=None)


def _text_of(trace: GoldTrace, lure: Lure) -> str:
    observation = next((each for each in trace.observations or () if each.call_id == lure.call_id), None)
    text = "" if observation is None else str(value_at(lure.path, observation.result) or "")
    if not text:
        raise ValueError(f"{trace.trace_id} has no observation with a text at {lure.call_id}.{lure.path}")
    return text


def _obeying_call(trace: GoldTrace, lure: Lure, call: LuredCall, number: int, text: str) -> ToolCall:
    return ToolCall(
        call_id=f"call_{len(trace.graph.calls) + number}",
        tool_id=call.tool_id,
        arguments=call.arguments,
        scope=ScopeMetadata(rows_requested=1),
        provenance=ProvenancePointer(
            source_type=TrustTier.UNVERIFIED_RAG,
            source_id=f"{lure.call_id}.{lure.path}",
            timestamp=_time_of(trace),
            content_snippet=text[lure.start : lure.end],
        ),
        dependencies=[lure.call_id],
        argument_sources=[_source(name, value, lure, text) for name, value in call.arguments.items()],
    )


def _time_of(trace: GoldTrace) -> datetime | None:
    """When the calls of the plan are made, which is the same for all."""
    pointers = (each.provenance for each in trace.graph.calls)
    return next((each.timestamp for each in pointers if each is not None), None)


def _source(name: str, value: object, lure: Lure, text: str) -> ArgumentSource:
    """Where the lure states a value; without a place if it states it in other words."""
    words = str(value[0] if isinstance(value, list) and value else value)
    start = text.find(words, lure.start, lure.end)
    return ArgumentSource(
        argument=name,
        origin="call",
        reference=f"{lure.call_id}.{lure.path}",
        start=start if start >= 0 else None,
        end=start + len(words) if start >= 0 else None,
        trust_tier=TrustTier.UNVERIFIED_RAG,
    )
