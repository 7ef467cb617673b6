"""At which times of the day calls may happen, by their provenance timestamps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC

from gatling_sid.schemas import constraints as k
from gatling_sid.validators.trace_context import TraceContext


def hours(window: k.Hours, context: TraceContext) -> Iterator[str]:
    """Every call has a provenance timestamp within the hours; one without a time zone counts as UTC."""
    allowed = f"allowed is from {window.from_hour}:00 to before {window.to_hour}:00"
    for call in context.bound_calls(window):
        moment = call.provenance.timestamp if call.provenance else None
        if moment is None:
            yield f"{call.call_id} has no provenance timestamp, so its time is unknown; {allowed}"
            continue
        in_utc = moment.astimezone(UTC) if moment.tzinfo else moment
        if not window.allows(in_utc.hour):
            yield f"{call.call_id} happens at {in_utc:%H:%M}; {allowed}"
