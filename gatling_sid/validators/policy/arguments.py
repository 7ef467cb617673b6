"""Which values arguments may have: one function per kind of constraint on arguments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from gatling_sid.models import ToolCall
from gatling_sid.schemas import constraints as k
from gatling_sid.simulator.operations import State, select_rows
from gatling_sid.validators.trace_context import TraceContext

_FIRST_DAY_OF_WEEKEND = 5
"""Saturday, as `date.weekday` counts from Monday, which is 0."""
_DATE_LENGTH = len("2025-01-31")


def argument_max(limit: k.ArgumentMax, context: TraceContext) -> Iterator[str]:
    """The argument, or each element of a list, is at most the limit."""
    for call in context.bound_calls(limit):
        for number in numbers_in(context.argument_value(call, limit.argument)):
            if not number <= limit.max_value:
                yield f"{call.call_id} has {limit.argument} {number}; at most {limit.max_value:g} is allowed"


def at_most_own(limit: k.AtMostOwn, context: TraceContext) -> Iterator[str]:
    """The argument, or each element of a list, is at most a number of the principal, such as their authority."""
    principal = context.trace.request.principal
    own = principal.attributes.get(limit.attribute) if principal is not None else None
    for call in context.bound_calls(limit):
        for number in numbers_in(context.argument_value(call, limit.argument)):
            if isinstance(own, bool) or not isinstance(own, (int, float)):
                yield f"{call.call_id} has {limit.argument} {number}, but the principal has no number {limit.attribute}"
            elif not number <= own:
                yield f"{call.call_id} has {limit.argument} {number}; the {limit.attribute} of the principal is {own:g}"


def argument_values(limit: k.ArgumentValues, context: TraceContext) -> Iterator[str]:
    """The argument, or each element of a list, is one of the allowed values."""
    for call in context.bound_calls(limit):
        for value in _elements(context.argument_value(call, limit.argument)):
            if value not in limit.allowed:
                yield f"{call.call_id} has {limit.argument} {value!r}; allowed are {', '.join(map(str, limit.allowed))}"


def argument_required(required: k.ArgumentRequired, context: TraceContext) -> Iterator[str]:
    """The argument is given and not blank; a default counts as given."""
    for call in context.bound_calls(required):
        if _is_blank(context.argument_value(call, required.argument)):
            yield f"{call.call_id} has no {required.argument}, which is required"


def argument_days(span: k.ArgumentDays, context: TraceContext) -> Iterator[str]:
    """The date, or each date of a list, is as many days from today as allowed and, if the rule says so, on a workday."""
    today = date_today(context)
    if today is None:
        return
    for call in context.bound_calls(span):
        for value in _elements(context.argument_value(call, span.argument)):
            day = _date(value)
            for problem in _problems_of_day(span, day, (day - today).days) if day else ():
                yield f"{call.call_id} has {span.argument} {value}, {problem}"


def date_today(context: TraceContext) -> date | None:
    """Today in the world of the trace or, without a replay, the date that the trace states; None if it states none."""
    return context.world.today if context.execution is not None else context.today


def _problems_of_day(span: k.ArgumentDays, day: date, days: int) -> Iterator[str]:
    if span.min_days is not None and days < span.min_days:
        yield f"which is {days} days from today; at least {span.min_days} are required"
    if span.max_days is not None and days > span.max_days:
        yield f"which is {days} days from today; at most {span.max_days} are allowed"
    if span.workdays_only and day.weekday() >= _FIRST_DAY_OF_WEEKEND:
        yield f"which is a {day:%A}; only Monday to Friday are allowed"


def narrowed_by(filters: k.NarrowedBy, context: TraceContext) -> Iterator[str]:
    """At least one of the filters is given and excludes some rows."""
    for call in context.bound_calls(filters):
        if not any(_narrows(context, call, name) for name in filters.arguments):
            yield f"{call.call_id} has no filter that excludes rows; give one of {', '.join(filters.arguments)}"


def _narrows(context: TraceContext, call: ToolCall, argument: str) -> bool:
    """Whether a filter is given and, if the call was replayed, excludes at least one row of the world."""
    value = context.argument_value(call, argument)
    tool = context.tools.get(call.tool_id)
    if _is_blank(value):
        return False
    if tool is None or call.call_id not in context.results or argument not in {each for each, _, _ in tool.filters}:
        return True
    return len(select_rows(tool, {argument: value}, State(context.world))) < len(context.world.tables[tool.entity])


def _elements(value: Any) -> list[Any]:
    """The elements of a list, the value itself, or nothing for None."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _is_blank(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def numbers_in(value: Any) -> list[float]:
    """The numbers that an argument is or, if it is a list, has; also those that are written as text."""
    return [number for each in _elements(value) if (number := _number(each)) is not None]


def _date(value: Any) -> date | None:
    """The day of a date, or of a date with a time; None for any other value."""
    try:
        return date.fromisoformat(value[:_DATE_LENGTH]) if isinstance(value, str) else None
    except ValueError:
        return None


def _number(value: Any) -> float | None:
    """A number, also if it is written as text; None for any other value."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None
