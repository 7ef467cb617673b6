"""How much a call may take: rows, days and sensitivity, by its declaration and, if it was replayed, by its result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard

from gatling_sid.models import SensitivityTier, ToolCall
from gatling_sid.schemas import constraints as k
from gatling_sid.validators.policy.periods import days_reached
from gatling_sid.validators.trace_context import TraceContext


def row_limit(limit: k.RowLimit, context: TraceContext) -> Iterator[str]:
    """No call asks for or returns more rows than the limit."""
    for call in context.bound_calls(limit):
        rows = _rows_taken(context, call)
        if rows > limit.max_rows:
            yield f"{call.call_id} takes {rows} rows; at most {limit.max_rows} are allowed"


def _rows_taken(context: TraceContext, call: ToolCall) -> float:
    """The largest of the rows that a call declares, asks for and returned; 0 for a measure, which returns groups."""
    tool, result = context.tools.get(call.tool_id), context.results.get(call.call_id)
    if tool is not None and tool.tool.operation == "aggregate":
        return 0
    limit = call.arguments.get(tool.parameter_for.get("limit", "")) if tool is not None else None
    rows_returned = len(result.rows) if result is not None else 0
    return max(call.scope.rows_requested or 0, limit if is_number(limit) else 0, rows_returned)


def field_limit(limit: k.FieldLimit, context: TraceContext) -> Iterator[str]:
    """No call shows more fields of a row than the limit; a measure shows none."""
    for call in context.bound_calls(limit):
        result = context.results.get(call.call_id)
        fields = set(result.fields) if result is not None and result.measured_rows is None else set()
        if len(fields) > limit.max_fields:
            yield f"{call.call_id} shows {len(fields)} fields; at most {limit.max_fields} are allowed"


def time_range(limit: k.TimeRange, context: TraceContext) -> Iterator[str]:
    """No period of a call reaches further from today than the limit."""
    for call in context.bound_calls(limit):
        days = days_reached(context, call)
        if days > limit.max_days:
            yield f"{call.call_id} reaches {days} days from today; at most {limit.max_days} are allowed"


def sensitivity_ceiling(ceiling: k.SensitivityCeiling, context: TraceContext) -> Iterator[str]:
    """No call reads, writes, filters by or sorts by a field above the tier."""
    for call in context.bound_calls(ceiling):
        tool = context.tools.get(call.tool_id)
        if ceiling.entity is not None and (tool is None or tool.entity != ceiling.entity):
            continue
        tier = _higher_tier(tier_taken(context, call), _tier_of_selection(context, call))
        if tier.rank > ceiling.max_tier.rank:
            yield f"{call.call_id} uses {tier.value} data; at most {ceiling.max_tier.value} is allowed"


def tier_taken(context: TraceContext, call: ToolCall) -> SensitivityTier:
    """The highest tier that a call declares or, if it was replayed, shows or writes."""
    tool, result = context.tools.get(call.tool_id), context.results.get(call.call_id)
    if tool is None or result is None:
        return call.scope.sensitivity_tier
    changes = [name for each in result.effects if each.kind in ("create", "update") for name in each.changes]
    return _higher_tier(call.scope.sensitivity_tier, tool.sensitivity((*result.fields, *changes)))


def _tier_of_selection(context: TraceContext, call: ToolCall) -> SensitivityTier:
    """The highest tier of the fields by which a call filters and sorts rows, since its result reveals something about them."""
    tool = context.tools.get(call.tool_id)
    if tool is None:
        return SensitivityTier.PUBLIC
    filters = [field for name, field, _ in tool.filters if name in call.arguments or name in tool.defaults]
    order = str(tool.order(call.arguments) or "").removeprefix("-")
    is_known = order in tool.domain.file.entities[tool.entity].fields
    return tool.sensitivity((*filters, order) if is_known else tuple(filters))


def _higher_tier(one: SensitivityTier, other: SensitivityTier) -> SensitivityTier:
    return one if one.rank > other.rank else other


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is an integer or a float; true and false are not numbers."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
