"""How many days from today the periods of a call reach, whether they are given in days or by dates."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from gatling_sid.models import ToolCall
from gatling_sid.schemas.conditions import CONDITION_OF_MATCH
from gatling_sid.schemas.domain import Domain
from gatling_sid.validators.trace_context import TraceContext


class PeriodEnd(NamedTuple):
    """A parameter that sets the first or the last day of a period that a date field must lie in."""

    parameter: str
    field: str
    end: str


def days_reached(context: TraceContext, call: ToolCall) -> int:
    """Days from today to the farthest day in a call's periods, back or ahead; 0 if it has no period."""
    return max(call.scope.time_range_days or 0, context.days(call) or 0, *map(abs, _ages(context, call)))


def _ages(context: TraceContext, call: ToolCall) -> Iterator[int]:
    """How many days ago the first and last days of the periods are; an open period reaches to the dates of its rows."""
    result, tool = context.results.get(call.call_id), context.tools.get(call.tool_id)
    if result is None or tool is None or not (ends := _period_ends(tool.domain, call.tool_id)):
        return
    dates_by_field: dict[str, dict[str, str]] = {}
    for parameter, field, end in ends:
        date = context.argument_value(call, parameter)
        if date is not None:
            dates_by_field.setdefault(field, {})[end] = date
    for field, dates in dates_by_field.items():
        dates_of_rows = [row[field] for _, row in result.rows] if len(dates) == 1 else []
        yield from map(context.world.age, [*dates.values(), *dates_of_rows])


@lru_cache(maxsize=4096)
def _period_ends(domain: Domain, tool_id: str) -> tuple[PeriodEnd, ...]:
    tool = domain.tools[tool_id]
    fields = domain.file.entities[tool.entity].fields
    filters = [(name, each.field or "", each.match) for name, each in tool.parameters.items() if each.does == "filter"]
    ends = [PeriodEnd(name, field, end) for name, field, match in filters if (end := CONDITION_OF_MATCH[match].end)]
    return tuple(each for each in ends if fields[each.field].type == "date")
