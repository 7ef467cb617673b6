"""Which rows a precondition concerns, and what earlier calls of the plan have shown of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from gatling_sid.models import ToolCall
from gatling_sid.schemas.constraints import Precondition
from gatling_sid.simulator.operations import CallResult
from gatling_sid.simulator.scope import references_of
from gatling_sid.simulator.world import Row
from gatling_sid.validators.trace_context import TraceContext


class ConcernedRow(NamedTuple):
    """A row that a call may use only after a look-up: as it was before the call, and the views of it that came earlier.

    A view holds the fields that a call returned, with the values that they had then.
    """

    call: ToolCall
    key: str
    row: Row
    views: list[Row]

    def is_shown(self, field: str) -> bool:
        """Whether some view shows the field's present value; a view of an older value does not count."""
        value = self.row.get(field)
        return any(field in view and view[field] == value for view in self.views)


def concerned_rows(rule: Precondition, context: TraceContext) -> Iterator[ConcernedRow]:
    """Every row that the bound calls may use only after a look-up, with what earlier calls showed of it."""
    for call in context.bound_calls(rule):
        rows = rows_to_look_up(rule, context, call)
        views = _views(context, call.call_id, rule.entity) if rows else {}
        for key, row in rows:
            yield ConcernedRow(call, key, row, views.get(key, []))


def rows_to_look_up(rule: Precondition, context: TraceContext, call: ToolCall) -> list[tuple[str, Row]]:
    """(key, row before the call) of every row that a call may use only after a look-up.

    These are the rows on which the call has an effect; for a new row, those that it refers to.
    """
    result = context.results.get(call.call_id)
    if result is None or not any(map(rule.concerns_effect, result.effects)):
        return []
    if result.created_rows:
        return _referred_rows(rule.entity, context, call, result)
    return list(result.rows) if result.entity == rule.entity else []


def _referred_rows(entity: str, context: TraceContext, call: ToolCall, result: CallResult) -> list[tuple[str, Row]]:
    """(key, row) of every row of an entity that the rows created by a call refer to."""
    fields = [name for name, of in references_of(context.world.domain, result.entity).items() if of == entity]
    keys = dict.fromkeys(row[field] for _, row in result.created_rows for field in fields)
    rows = ((key, _row_before(context, call, entity, key)) for key in keys)
    return [(key, row) for key, row in rows if row is not None]


def _row_before(context: TraceContext, call: ToolCall, entity: str, key: Any) -> Row | None:
    """A row of the world with the changes of the calls before this one; None if there is no such row."""
    row = context.world.tables[entity].get(key)
    for earlier in context.ordered_calls[: context.ordered_calls.index(call)]:
        result = context.results.get(earlier.call_id)
        if result is not None and result.entity == entity:
            row = dict(result.created_rows).get(key, row)
            if row is not None:
                row = {**row, **values_written(result).get(key, {})}
    return row


def _views(context: TraceContext, before: str, entity: str) -> dict[str, list[Row]]:
    """For each key, the views of the row that calls returned which must run before this one."""
    views: dict[str, list[Row]] = {}
    for call_id in context.ancestors(before):
        result = context.results.get(call_id)
        if result is None or result.entity != entity or result.measured_rows is not None:
            continue
        if any(effect.kind == "export" for effect in result.effects):
            continue
        values_by_key = values_written(result)
        for key, row in result.rows:
            changes = values_by_key.get(key, {})
            views.setdefault(key, []).append({field: changes.get(field, row[field]) for field in result.fields})
    return views


def values_written(result: CallResult) -> dict[str, Row]:
    """By key of each row that a call updated: the values that it wrote."""
    return {key: effect.changes for effect in result.effects if effect.kind == "update" for key in effect.rows}
