"""How far from today the periods reach that a call names, in days or by dates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from gatling_sid.models import ToolCall
from gatling_sid.schemas.domain import Domain
from gatling_sid.validators.trace_context import TraceContext

_ENDS: Mapping[str, str] = {"since": "first", "at_least": "first", "until": "last", "at_most": "last"}
"""By way of matching a date: the end of a period that it sets."""


class PeriodEnd(NamedTuple):
    """A parameter that sets the first or the last day of a period, over the days in a field."""

    parameter: str
    field: str
    end: str


def days_reached(case: TraceContext, call: ToolCall) -> int:
    """Days from today to the farthest day that a call's periods reach, back or ahead; 0 if it names none."""
    return max(call.scope.time_range_days or 0, case.days(call) or 0, *map(abs, _ages(case, call)))


def _ages(case: TraceContext, call: ToolCall) -> Iterator[int]:
    """How many days ago the dates were that begin and end a period; one without an end reaches all its rows."""
    outcome, tool = case.results.get(call.call_id), case.tools.get(call.tool_id)
    if outcome is None or tool is None or not (ends := _ends(tool.domain, call.tool_id)):
        return
    given: dict[str, dict[str, str]] = {}
    for parameter, field, end in ends:
        date = case.argument_value(call, parameter)
        if date is not None:
            given.setdefault(field, {})[end] = date
    for field, dates in given.items():
        reached = [row[field] for _, row in outcome.rows] if len(dates) == 1 else []
        yield from map(case.world.age, [*dates.values(), *reached])


@lru_cache(maxsize=4096)
def _ends(domain: Domain, tool_id: str) -> tuple[PeriodEnd, ...]:
    tool = domain.tools[tool_id]
    filters = [(name, each.field or "", each.match) for name, each in tool.parameters.items() if each.does == "filter"]
    fields = domain.file.entities[tool.entity].fields
    dated = [each for each in filters if each[2] in _ENDS and fields[each[1]].type == "date"]
    return tuple(PeriodEnd(name, field, _ENDS[match]) for name, field, match in dated)
