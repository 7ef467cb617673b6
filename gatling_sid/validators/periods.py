"""How far from today the periods reach that a call names, in days or by dates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gatling_sid.models import ToolCall
from gatling_sid.validators.case import Case

_ENDS: Mapping[str, str] = {"since": "first", "at_least": "first", "until": "last", "at_most": "last"}
"""By way of matching a date: the end of a period that it sets."""


def days_reached(case: Case, call: ToolCall) -> int:
    """Days from today to the farthest day that a call's periods reach, back or ahead; 0 if it names none."""
    return max(call.scope.time_range_days or 0, case.days(call) or 0, *map(abs, _ages(case, call)))


def _ages(case: Case, call: ToolCall) -> Iterator[int]:
    """How many days ago the dates were that begin and end a period; one without an end reaches all its rows."""
    outcome = case.outcomes.get(call.call_id)
    for field, dates in _ends(case, call).items():
        reached = [row[field] for _, row in outcome.rows] if outcome is not None and len(dates) == 1 else []
        yield from map(case.world.age, [*dates.values(), *reached])


def _ends(case: Case, call: ToolCall) -> dict[str, dict[str, str]]:
    """The dates that a replayed call's filters set as first and last day, by field."""
    tool = case.tools.get(call.tool_id)
    ends: dict[str, dict[str, str]] = {}
    if tool is None or call.call_id not in case.outcomes:
        return ends
    fields = tool.domain.file.entities[tool.entity].fields
    for name, field, match in tool.filters:
        date = case.argument(call, name)
        if match in _ENDS and fields[field].type == "date" and date is not None:
            ends.setdefault(field, {})[_ENDS[match]] = date
    return ends
