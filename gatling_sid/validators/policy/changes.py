"""Which rows a plan may change: after a look-up, in an allowed state, up to an amount, and how many in all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gatling_sid.models import ToolCall
from gatling_sid.schemas import constraints as k
from gatling_sid.simulator.operations import CallResult
from gatling_sid.simulator.world import Row
from gatling_sid.validators.policy.reads import is_number
from gatling_sid.validators.trace_context import TraceContext


def read_before_change(look_up: k.ReadBeforeChange, context: TraceContext) -> Iterator[str]:
    """Calls that had to run before a change returned the row with these fields."""
    for call, key, _, views in _changes_and_views(look_up, context):
        if not {field for view in views for field in view}.issuperset(look_up.fields):
            yield f"{call.call_id} changes {look_up.entity} {key}, but no earlier call read its {', '.join(look_up.fields)}"


def state_before_change(state: k.StateBeforeChange, context: TraceContext) -> Iterator[str]:
    """A changed row is in an allowed state, and an earlier call showed that state."""
    for call, key, row, views in _changes_and_views(state, context):
        value = row.get(state.field)
        if value not in state.allowed:
            allowed = ", ".join(map(str, state.allowed))
            yield f"{call.call_id} changes {state.entity} {key}, whose {state.field} is {value!r}; allowed are {allowed}"
        elif not _is_shown(views, state.field, value):
            yield f"{call.call_id} changes {state.entity} {key}, but no earlier call read its {state.field}"


def amount_limit(limit: k.AmountLimit, context: TraceContext) -> Iterator[str]:
    """The amount of a changed row is within the limit, and an earlier call showed that amount."""
    for call, key, row, views in _changes_and_views(limit, context):
        amount = row.get(limit.field)
        if is_number(amount) and amount > limit.max_value:
            where = f"{limit.entity} {key}, whose {limit.field} is {amount}"
            yield f"{call.call_id} changes {where}; at most {limit.max_value:g} is allowed"
        elif not _is_shown(views, limit.field, amount):
            yield f"{call.call_id} changes {limit.entity} {key}, but no earlier call read its {limit.field}"


def batch_limit(limit: k.BatchLimit, context: TraceContext) -> Iterator[str]:
    """All calls together change, create and send no more than the limit."""
    results = [(call, context.results.get(call.call_id)) for call in context.bound_calls(limit)]
    changes = {each for call, result in results if result for each in _distinct_changes(call, result)}
    if len(changes) > limit.max_records:
        yield f"the plan changes {len(changes)} rows (new rows and messages count too); at most {limit.max_records} are allowed"


def changed_rows(context: TraceContext, call: ToolCall, entity: str) -> Iterator[tuple[str, Row]]:
    """(key, row before the change) of every row of an entity that a call changes."""
    result = context.results.get(call.call_id)
    if result is not None and result.entity == entity and result.effects and result.effects[0].kind != "export":
        yield from result.rows


def _changes_and_views(
    rule: k.ReadBeforeChange | k.StateBeforeChange | k.AmountLimit, context: TraceContext
) -> Iterator[tuple[ToolCall, str, Row, list[Row]]]:
    """(call, key, row before the change, earlier views of the row) of every row that the bound calls change."""
    for call in context.bound_calls(rule):
        rows = list(changed_rows(context, call, rule.entity))
        views = _views(context, call.call_id, rule.entity) if rows else {}
        for key, row in rows:
            yield call, key, row, views.get(key, [])


def _views(context: TraceContext, before: str, entity: str) -> dict[str, list[Row]]:
    """For each key, the views of the row that earlier calls returned: its fields, with the values they had then."""
    views: dict[str, list[Row]] = {}
    for call_id in context.ancestors(before):
        result = context.results.get(call_id)
        if result is None or result.entity != entity or result.measured_rows is not None:
            continue
        if any(effect.kind == "export" for effect in result.effects):
            continue
        changes = next((effect.changes for effect in result.effects if effect.kind == "update"), {})
        for key, row in result.rows:
            views.setdefault(key, []).append({field: changes.get(field, row[field]) for field in result.fields})
    return views


def _is_shown(views: list[Row], field: str, value: Any) -> bool:
    """Whether some view shows this value; a view of an older value does not count."""
    return any(field in view and view[field] == value for view in views)


def _distinct_changes(call: ToolCall, result: CallResult) -> Iterator[tuple[str, str, str]]:
    """One key per change that counts: a row that is changed twice counts once, each new row and each message counts once."""
    for effect in result.effects:
        is_existing = effect.kind in ("update", "delete")
        for key in effect.rows or [""]:
            yield ("row", effect.entity, key) if is_existing else (effect.kind, call.call_id, key)
