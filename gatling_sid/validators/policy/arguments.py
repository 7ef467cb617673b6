"""Which values arguments may have: one function per kind of constraint on arguments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gatling_sid.models import ToolCall
from gatling_sid.schemas import constraints as k
from gatling_sid.simulator.operations import State, select_rows
from gatling_sid.validators.trace_context import TraceContext


def argument_max(limit: k.ArgumentMax, context: TraceContext) -> Iterator[str]:
    """The argument, or each element of a list, is at most the limit."""
    for call in context.bound_calls(limit):
        for value in _elements(context.argument_value(call, limit.argument)):
            number = _number(value)
            if number is not None and not number <= limit.max_value:
                yield f"{call.call_id} has {limit.argument} {value}; at most {limit.max_value:g} is allowed"


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


def _number(value: Any) -> float | None:
    """A number, also if it is written as text; None for any other value."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None
