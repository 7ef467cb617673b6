"""The closed set of conditions on one field of a row: one table for tools, draws, checks and Claude's answers.

A condition has up to three names. `name` is used in the `where` of a draw or role, `matches` in the `match` of a tool's
filter, and `answer_name` in Claude's answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

from gatling_sid.schemas.catalogue import EntityField, Match
from gatling_sid.schemas.clock import is_time
from gatling_sid.schemas.population import MAX_DAYS
from gatling_sid.schemas.references import reference_in

ConditionTest = Literal[
    "is", "is_not", "in", "not_in", "contains", "at_most", "at_least", "above", "below", "within_days",
    "older_than_days", "next_days", "is_set",
]  # fmt: skip
"""The names of the conditions in Claude's answers. Keep their order: it is part of the JSON schema in the prompts."""
Operand = Literal["value", "values", "bound", "days", "text", "flag"]
"""What a field is compared with: a value or null, a list of values, a bound, a number of days, a text, true or false."""
_SATURDAY = 5
PLAIN = "equals"
"""The condition that a `where` expresses by a plain value, without a name."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A test of one field's value.

    `holds` takes the field's value and the operand. Where days are counted, it takes the first and last ISO date of the
    period of that many days instead, since ISO dates sort as text. A field without a value meets no comparison.
    """

    name: str
    operand: Operand
    holds: Callable[[Any, Any], bool]
    answer_name: ConditionTest
    matches: tuple[Match, ...] = ()
    reach: Literal["back", "ahead", "dates"] | None = None
    """The side of today on which the days lie, or `dates` for two ends; None unless the condition counts days."""
    end: Literal["first", "last"] | None = None
    """The end of a range that the operand is; None unless the condition sets an inclusive bound."""

    def fits(self, field: EntityField, operand: Any) -> bool:
        """Whether a domain file may compare the field with this operand; expressions in a list are allowed."""
        return _FITS[self.operand](field, operand)


# Each comparison is written out, so that a row costs one function call.
_TABLE = (
    Condition(PLAIN, "value", lambda value, operand: value == operand, "is", ("equals",)),
    Condition("not", "value", lambda value, operand: value != operand, "is_not"),
    Condition("in", "values", lambda value, operand: value in operand, "in", ("one_of",)),
    Condition("not_in", "values", lambda value, operand: value not in operand, "not_in"),
    Condition(
        "contains",
        "text",
        lambda value, operand: value is not None and str(operand).casefold() in str(value).casefold(),
        "contains",
        ("contains",),
    ),
    Condition(
        "at_most",
        "bound",
        lambda value, operand: value is not None and value <= operand,
        "at_most",
        ("at_most", "until"),
        end="last",
    ),
    Condition(
        "at_least",
        "bound",
        lambda value, operand: value is not None and value >= operand,
        "at_least",
        ("at_least", "since"),
        end="first",
    ),
    Condition("above", "bound", lambda value, operand: value is not None and value > operand, "above"),
    Condition("below", "bound", lambda value, operand: value is not None and value < operand, "below"),
    Condition(
        "within_days",
        "days",
        lambda value, operand: value is not None and operand[0] <= value <= operand[1],
        "within_days",
        ("within_days",),
        reach="back",
    ),
    Condition(
        "older_than_days",
        "days",
        lambda value, operand: value is not None and value < operand[0],
        "older_than_days",
        reach="back",
    ),
    Condition(
        "next_days",
        "days",
        lambda value, operand: value is not None and operand[0] <= value <= operand[1],
        "next_days",
        ("next_days",),
        reach="ahead",
    ),
    Condition("is_set", "flag", lambda value, operand: (value is not None) == operand, "is_set"),
)
_ALLOWED_DATES = Condition(
    "allowed_dates",
    "days",
    lambda value, operand: (
        value is not None
        and operand[0] <= value <= operand[1]
        and not (operand[2] and date.fromisoformat(value).weekday() >= _SATURDAY)
    ),
    "is",
    reach="dates",
)
"""Whether a policy allows a date; only composed tasks have it, with `$limits.<tool>.dates.<argument>`."""
_ALSO = [replace(each, name=f"also_{each.name}", matches=()) for each in _TABLE if each.name in ("in", "at_most")]
"""A second list of values or bound, where one of the two is an expression, so that they cannot be made one."""
CONDITIONS: Mapping[str, Condition] = {each.name: each for each in (*_TABLE, _ALLOWED_DATES, *_ALSO)}
"""Every condition, by name."""
CONDITION_OF_MATCH: Mapping[str, Condition] = {match: each for each in _TABLE for match in each.matches}
"""The condition that each `match` of a tool's filter tests."""
CONDITION_OF_TEST: Mapping[str, Condition] = {each.answer_name: each for each in _TABLE}
"""The condition of each test in Claude's answers."""
DAY_MATCHES = frozenset(match for match, each in CONDITION_OF_MATCH.items() if each.reach is not None)
"""The matches whose argument is a number of days."""


def value_fits(field: EntityField, value: Any) -> bool:
    """Whether a value could stand in the field."""
    if field.type in ("money", "number", "integer"):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if field.type == "date":
        return _is_date(value)
    if field.type == "time":
        return is_time(value)
    return isinstance(value, bool if field.type == "flag" else str)


def is_expression(value: Any) -> bool:
    """Whether a value of a domain file is an expression such as `$invoice.vendor_id`."""
    return reference_in(value) is not None


def _is_date(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(date.fromisoformat(value))
    except ValueError:
        return False


def _days_fit(field: EntityField, value: Any) -> bool:
    return field.type == "date" and isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_DAYS


def _values_fit(field: EntityField, values: Any) -> bool:
    return isinstance(values, list) and bool(values) and all(is_expression(v) or value_fits(field, v) for v in values)


_FITS: Mapping[Operand, Callable[[EntityField, Any], bool]] = {
    "value": lambda field, value: value is None or value_fits(field, value),
    "values": _values_fit,
    "bound": value_fits,
    "days": _days_fit,
    "text": lambda _, value: isinstance(value, str),
    "flag": lambda _, value: isinstance(value, bool),
}
