"""Checks arguments against a tool's schema without a JSON Schema library, which would be too slow.

A test checks that the result agrees with the published JSON Schema of the tool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from typing import Any

from gatling_sid.models import ToolParameter
from gatling_sid.schemas.clock import TIME_PATTERN, is_time
from gatling_sid.schemas.references import references_in
from gatling_sid.simulator.compiled_tools import CompiledTool

_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())
    ),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def has_json_type(value: Any, json_type: str) -> bool:
    """Whether a value has a JSON Schema type; an unknown type allows any value."""
    test = _TYPES.get(json_type)
    return test is None or test(value)


def argument_problems(
    tool: CompiledTool, arguments: Mapping[str, Any], *, open_references: bool = False
) -> Iterator[str]:
    """Yields what is wrong with a call's arguments; `open_references` allows references that are not resolved yet."""
    parameters, required = _signature_of(tool.domain, tool.tool_id)
    yield from signature_problems(parameters, required, arguments, open_references=open_references)


@lru_cache(maxsize=4096)
def _signature_of(domain: Any, tool_id: str) -> tuple[dict[str, ToolParameter], tuple[str, ...]]:
    schema = next(each for each in domain.schemas if each.tool_id == tool_id)
    return {p.name: p for p in schema.parameters}, tuple(p.name for p in schema.parameters if p.required)


def signature_problems(
    parameters: Mapping[str, ToolParameter],
    required: tuple[str, ...],
    arguments: Mapping[str, Any],
    *,
    open_references: bool = False,
) -> Iterator[str]:
    """Yields what is wrong with arguments, given a tool's parameters by name and which of them are required."""
    for name in required:
        if name not in arguments:
            yield f"{name} is required"
    for name, value in arguments.items():
        parameter = parameters.get(name)
        if parameter is None:
            yield f"there is no parameter {name!r}; the tool has {', '.join(parameters) or 'none'}"
        elif not (open_references and references_in(value)):
            problem = value_problem(value, parameter.type, parameter.constraints)
            if problem:
                yield f"{name} {problem}"


def value_problem(value: Any, json_type: str, constraints: Mapping[str, Any]) -> str | None:
    """Why a value does not fit a type and JSON Schema keywords, or None if it fits.

    It checks only the keywords that a domain publishes: enum, minimum, maximum, minLength, format `date`, the pattern of
    a time, and those of lists.
    """
    if not has_json_type(value, json_type):
        return f"must be {json_type}, not {type(value).__name__}"
    if not constraints:
        return None
    if "enum" in constraints and value not in constraints["enum"]:
        return f"must be one of {', '.join(map(str, constraints['enum']))}, not {str(value)[:60]!r}"
    if "minimum" in constraints and value < constraints["minimum"]:
        return f"must be at least {constraints['minimum']}, not {value}"
    if "maximum" in constraints and value > constraints["maximum"]:
        return f"must be at most {constraints['maximum']}, not {value}"
    if len(value) < constraints.get("minLength", 0) if isinstance(value, str) else False:
        return "must not be empty"
    if constraints.get("format") == "date" and not _is_date(value):
        return f"must be a date such as 2026-03-14, not {value[:60]!r}"
    if constraints.get("pattern") == TIME_PATTERN and not is_time(value):
        return f"must be a time such as 09:30, not {value[:60]!r}"
    return _list_problem(value, constraints) if isinstance(value, list) else None


def _list_problem(values: list[Any], constraints: Mapping[str, Any]) -> str | None:
    if len(values) < constraints.get("minItems", 0):
        return "must not be empty"
    if constraints.get("uniqueItems") and len({repr(each) for each in values}) < len(values):
        return "must not repeat an element"
    items = dict(constraints.get("items", {}))
    json_type = items.pop("type", "any")
    return next((f"[{at}] {p}" for at, each in enumerate(values) if (p := value_problem(each, json_type, items))), None)


def _is_date(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False
