"""Do arguments stay within what rules allow: one small function per kind of constraint on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gatling_sid.models import ToolCall
from gatling_sid.schemas import constraints as k
from gatling_sid.simulator.operations import State, select_rows
from gatling_sid.validators.trace_context import TraceContext


def argument_max(limit: k.ArgumentMax, case: TraceContext) -> Iterator[str]:
    """The argument is no larger than allowed."""
    for call in case.bound_calls(limit):
        for value in _elements(case.argument_value(call, limit.argument)):
            number = _number(value)
            if number is not None and not number <= limit.max_value:
                yield f"{call.call_id} has {limit.argument} {value}; at most {limit.max_value:g} is allowed"


def argument_values(allowed: k.ArgumentValues, case: TraceContext) -> Iterator[str]:
    """The argument is one of those allowed."""
    for call in case.bound_calls(allowed):
        for value in _elements(case.argument_value(call, allowed.argument)):
            if value not in allowed.allowed:
                yield f"{call.call_id} has {allowed.argument} {value!r}; allowed are {', '.join(map(str, allowed.allowed))}"


def argument_required(required: k.ArgumentRequired, case: TraceContext) -> Iterator[str]:
    """The argument is given."""
    for call in case.bound_calls(required):
        if _is_blank(case.argument_value(call, required.argument)):
            yield f"{call.call_id} does not give {required.argument}"


def narrowed_by(filters: k.NarrowedBy, case: TraceContext) -> Iterator[str]:
    """At least one of the filters is given, and lets not all rows through."""
    for call in case.bound_calls(filters):
        if not any(_narrows(case, call, name) for name in filters.arguments):
            yield f"{call.call_id} is narrowed by none of {', '.join(filters.arguments)}"


def _narrows(case: TraceContext, call: ToolCall, name: str) -> bool:
    """Whether a filter is given and, as far as that can be seen, some row of the world does not pass it."""
    value = case.argument_value(call, name)
    tool = case.tools.get(call.tool_id)
    if _is_blank(value):
        return False
    if tool is None or call.call_id not in case.results or name not in {each for each, _, _ in tool.filters}:
        return True
    return len(select_rows(tool, {name: value}, State(case.world))) < len(case.world.tables[tool.entity])


def _elements(value: Any) -> list[Any]:
    """The values that an argument gives: those of a list, itself, or none if it is not given."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _is_blank(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def _number(value: Any) -> float | None:
    """The number that a value is or, as text, spells; None if it is none."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None
