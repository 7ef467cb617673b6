"""How a field is filled: the closed set of declarations with which believable rows are made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from gatling_sid.schemas.clock import is_time
from gatling_sid.schemas.strict import Scalar, StrictModel, choose_model_by_key

MAX_DAYS = 36_500
"""100 years: no date of a domain is farther from today."""
_MAX_DIGITS = 12
"""Digits to which a sequence may pad its numbers; keys are no longer than people can read out."""
_SEQUENCE = re.compile(r"[^{}]*\{(?::(?:0(\d+))?[dx])?\}[^{}]*", re.ASCII)
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def _check_sequence(text: str) -> str:
    match = _SEQUENCE.fullmatch(text)
    if match is None or int(match.group(1) or 0) > _MAX_DIGITS:
        raise ValueError(f"{text!r} needs one number such as {{:04d}}, of at most {_MAX_DIGITS} digits")
    return text


def _check_time(text: str) -> str:
    if not is_time(text):
        raise ValueError(f"{text!r} is not a time such as 09:30")
    return text


Days = tuple[
    Annotated[int, Field(ge=-MAX_DAYS, le=MAX_DAYS)],
    Annotated[int, Field(ge=-MAX_DAYS, le=MAX_DAYS)],
]
"""The fewest and the most days."""
Time = Annotated[str, AfterValidator(_check_time)]


class SequenceFill(StrictModel):
    """Keys such as INV-10412: a prefix and a number that begins a little above `start` and grows by 1 to `gap` per row."""

    sequence: Annotated[str, AfterValidator(_check_sequence)]
    start: int = Field(default=1000, ge=0)
    gap: int = Field(default=1, ge=1)


class PoolFill(StrictModel):
    """A value of a pool (by name) or of a list; with `unique`, no two rows have the same."""

    pool: str | list[Scalar]
    unique: bool = False


class TemplateFill(StrictModel):
    """Text with `{pool_name}` and `{earlier_field}` filled in; with `unique`, no two rows have the same."""

    template: str
    unique: bool = False


class ProseFill(StrictModel):
    """A text of several lines, each a template with `{pool_name}` and `{earlier_field}`, as people write it.

    The texts of pools may name pools and fields themselves. Fields are put into words: "4 March", "$1,200". A line that
    is empty in the end is left out, so that `{pool_name?}` stands in half of the texts.
    """

    prose: list[str] = Field(min_length=1)


class ChoiceFill(StrictModel):
    """One of the keys, drawn by weight."""

    choice: dict[str, float]


class IntegerFill(StrictModel):
    """A whole number from low to high, both included."""

    integer: tuple[int, int]


class MoneyFill(StrictModel):
    """An amount from low to high, small ones more often (log-uniform), rounded to `round`."""

    money: tuple[float, float]
    round: float = Field(default=0.01, gt=0)


class DaysAgoFill(StrictModel):
    """A date this many days before today; with `workdays`, from Monday to Friday."""

    days_ago: Days
    workdays: bool = False


class DaysAheadFill(StrictModel):
    """A date this many days after today; with `workdays`, from Monday to Friday."""

    days_ahead: Days
    workdays: bool = False


class DaysAfterFill(StrictModel):
    """A date this many days after another of the row's dates; with `by_today`, never in the future.

    With `workdays`, it is from Monday to Friday.
    """

    days_after: str
    days: Days
    by_today: bool = False
    workdays: bool = False


class TimeFill(StrictModel):
    """A time of day from the first to the last, in steps of so many minutes."""

    time: tuple[Time, Time]
    step: int = Field(default=15, ge=1, le=720)


class MinutesAfterFill(StrictModel):
    """A time this many minutes after another of the row's times, in steps; never past midnight, but 23:59 instead."""

    minutes_after: str
    minutes: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(le=1440)]]
    step: int = Field(default=15, ge=1, le=720)


class ReferenceFill(StrictModel):
    """The key of a random row of an entity declared above, among those whose fields equal `where`."""

    ref: str
    where: dict[str, Scalar] = Field(default_factory=dict)


class CopyFill(StrictModel):
    """A copy of a field of the row that a reference of this row points to, such as `vendor_id.name`."""

    copy_of: str = Field(alias="copy")


class ChanceFill(StrictModel):
    """True with this probability, else false."""

    chance: float = Field(ge=0, le=1)


class ConstantFill(StrictModel):
    """The same value in every row."""

    value: Scalar


class EmailFill(StrictModel):
    """An email address at `at`, made of the texts in some of the row's fields."""

    email: list[str]
    at: str


class FractionFill(StrictModel):
    """A share of the amount in another of the row's fields, rounded to a multiple of `round`."""

    fraction_of: str
    between: tuple[float, float]
    round: float = Field(default=0.01, gt=0)


class ByFieldFill(StrictModel):
    """The fill depends on the value of the field `by`: it is `cases[value]` if present, else `otherwise`."""

    by: str
    cases: dict[str, Populate | None]
    otherwise: Populate | None = None


class IfPastFill(StrictModel):
    """Filled by `then` if another of the row's dates lies before today, else by `otherwise`."""

    if_past: str
    then: Populate | None
    otherwise: Populate | None = None


Populate = Annotated[
    SequenceFill | PoolFill | TemplateFill | ProseFill | ChoiceFill | IntegerFill | MoneyFill | DaysAgoFill | DaysAheadFill
    | DaysAfterFill | TimeFill | MinutesAfterFill | ReferenceFill | CopyFill | ChanceFill | ConstantFill | EmailFill
    | FractionFill | ByFieldFill | IfPastFill,
    choose_model_by_key({
        "sequence": SequenceFill, "pool": PoolFill, "template": TemplateFill, "prose": ProseFill, "choice": ChoiceFill,
        "integer": IntegerFill, "money": MoneyFill, "days_ago": DaysAgoFill, "days_ahead": DaysAheadFill,
        "days_after": DaysAfterFill, "time": TimeFill, "minutes_after": MinutesAfterFill, "ref": ReferenceFill,
        "copy": CopyFill, "chance": ChanceFill, "value": ConstantFill, "email": EmailFill,
        "fraction_of": FractionFill, "by": ByFieldFill, "if_past": IfPastFill,
    }),
]  # fmt: skip


class Consistency(StrictModel):
    """Rows that meet the conditions of `when` must meet those of `then`, as in the `where` of a draw.

    `$field` stands for the value of another field of the row.
    """

    when: dict[str, Any] = Field(default_factory=dict)
    then: dict[str, Any] = Field(min_length=1)


PLACEHOLDER_IN_PROSE = re.compile(r"\{(\w+)(\??)\}")
"""A name in a text, and `?` if it stands in half of the texts only."""


def names_in_prose(texts: Iterable[str]) -> Iterator[str]:
    """The names of pools and fields in some texts of prose."""
    for text in texts:
        yield from (name for name, _ in PLACEHOLDER_IN_PROSE.findall(text))


def simple_fills(fill: Populate | None) -> Iterator[Populate]:
    """The fill or, if it chooses among others, these; none for a field that stays empty."""
    for each in _nested_fills(fill):
        yield from simple_fills(each)
    if fill is not None and not isinstance(fill, (ByFieldFill, IfPastFill)):
        yield fill


def _nested_fills(fill: Populate | None) -> tuple[Populate | None, ...]:
    """The fills among which a fill chooses by another field of the row; none for most fills."""
    match fill:
        case ByFieldFill():
            return (*fill.cases.values(), fill.otherwise)
        case IfPastFill():
            return (fill.then, fill.otherwise)
    return ()


def fields_read(fill: Populate | None) -> Iterator[str]:
    """The other fields of the row on which a filled value depends; pools of a template may be among the names."""
    match fill:
        case DaysAfterFill(days_after=name) | MinutesAfterFill(minutes_after=name) | FractionFill(fraction_of=name):
            yield name
        case ByFieldFill(by=name) | IfPastFill(if_past=name):
            yield name
        case CopyFill(copy_of=path):
            yield path.partition(".")[0]
        case EmailFill():
            yield from (*fill.email, fill.at)
        case TemplateFill():
            yield from _PLACEHOLDER.findall(fill.template)
        case ProseFill():
            yield from names_in_prose(fill.prose)
    for each in _nested_fills(fill):
        yield from fields_read(each)
