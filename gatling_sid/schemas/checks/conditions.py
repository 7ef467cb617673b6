"""Checks the conditions by which a role or a draw selects rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.checks.problems import FileProblem, find_impossible_choices, find_unknown
from gatling_sid.schemas.conditions import CONDITIONS, PLAIN, is_expression

_NAMED = {name: condition for name, condition in CONDITIONS.items() if name != PLAIN}
"""The conditions that a file names; the other one is written as a plain value."""


def check_conditions(
    where: str, fields: Mapping[str, c.EntityField], conditions: Mapping[str, Any]
) -> Iterator[FileProblem]:
    """Yields conditions that do not exist, and values that their field cannot be compared with; skips unknown fields."""
    for name, condition in conditions.items():
        if name not in fields:
            continue
        here, field = f"{where}.{name}", fields[name]
        if isinstance(condition, Mapping):
            yield from _check_named_conditions(here, field, condition)
            continue
        if not (is_expression(condition) or CONDITIONS[PLAIN].fits(field, condition)):
            yield here, f"{condition!r} is not a value of type {field.type}"
        yield from find_impossible_choices(here, field, [condition])


def _check_named_conditions(where: str, field: c.EntityField, operands: Mapping[str, Any]) -> Iterator[FileProblem]:
    yield from find_unknown(where, operands, _NAMED, "condition")
    for name, operand in operands.items():
        if name in _NAMED and not is_expression(operand) and not _NAMED[name].fits(field, operand):
            yield where, f"{name} {operand!r} cannot be compared with a field of type {field.type}"
