"""Whose rows a call may use: only those of the principal, or only those of others."""

from __future__ import annotations

from collections.abc import Iterator

from gatling_sid.schemas import constraints as k
from gatling_sid.validators.policy.changes import changed_rows
from gatling_sid.validators.trace_context import TraceContext


def own_records(own: k.OwnRecords, context: TraceContext) -> Iterator[str]:
    """Rows that are read, changed, created or written about belong to the principal; a row without an owner does not."""
    owner = context.principal_value(own.attribute)
    for call in context.bound_calls(own):
        result = context.results.get(call.call_id)
        if result is not None and result.entity == own.entity:
            for key, row in (*result.rows, *result.created_rows):
                if owner is None or row.get(own.field) != owner:
                    yield f"{call.call_id} uses {own.entity} {key}, whose {own.field} is not the principal's ({owner!r})"


def not_own(own: k.NotOwn, context: TraceContext) -> Iterator[str]:
    """Rows that are changed do not belong to the principal."""
    owner = context.principal_value(own.attribute)
    for call in context.bound_calls(own):
        for key, row in changed_rows(context, call, own.entity):
            if row.get(own.field) == owner:
                yield f"{call.call_id} changes {own.entity} {key}, which belongs to the principal ({own.field})"
