"""Observations of a plan, made by executing it; for tests of what reads them."""

from __future__ import annotations

from typing import Any

from gatling_sid.models import MAX_ROWS_OBSERVED, GoldTrace, Observation, replace_fields
from gatling_sid.schemas import DomainRegistry
from gatling_sid.validators.trace_context import TraceContext


def observe(trace: GoldTrace, registry: DomainRegistry, max_rows: int = MAX_ROWS_OBSERVED) -> GoldTrace:
    """The trace with what each of its calls returned, of lists only the first rows."""
    context = TraceContext(trace, registry)
    validated = GoldTrace.model_validate(trace.model_dump())
    observations = [
        bounded(call.call_id, context.results[call.call_id].value, max_rows) for call in context.ordered_calls
    ]
    return replace_fields(validated, observations=observations)


def bounded(call_id: str, result: dict[str, Any], max_rows: int) -> Observation:
    """The observation of a result with at most so many rows."""
    items = result.get("items")
    if not isinstance(items, list) or len(items) <= max_rows:
        return Observation(call_id=call_id, result=result)
    return Observation(
        call_id=call_id, result={**result, "items": items[:max_rows]}, omitted_rows=len(items) - max_rows
    )
