"""The draws of a scenario: how rows and values are drawn from a world."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from gatling_sid.schemas.population import MAX_DAYS
from gatling_sid.schemas.strict import StrictModel, choose_model_by_key


def _check_order(ends: tuple[Any, Any]) -> tuple[Any, Any]:
    low, high = ends
    if not isinstance(low, str) and not isinstance(high, str) and low > high:
        raise ValueError(f"the range {low} to {high} is empty; the lower end comes first")
    return ends


Ordered = AfterValidator(_check_order)


class OneRowDraw(StrictModel):
    """One row that matches `where`; with `alone_by`, no other row has the same values in those fields."""

    one: str
    where: dict[str, Any] = Field(default_factory=dict)
    alone_by: list[str] = Field(default_factory=list)


class AllRowsDraw(StrictModel):
    """All rows that match `where`, sorted by `order`.

    Either only the `first` few are taken, or their number must lie within `count` and be at most each of `limits`. With
    `without_tie`, the last of the first and the row after it differ in the order. All must meet the conditions of `each`.
    With `distinct`, no two of them may have the same value in that field.
    """

    all: str
    where: dict[str, Any] = Field(default_factory=dict)
    each: dict[str, Any] = Field(default_factory=dict)
    count: Annotated[tuple[int | str, int | str], Ordered] = (1, 10)
    limits: list[str] = Field(default_factory=list)
    order: str | None = None
    first: int | str | None = None
    without_tie: bool = False
    distinct: str | None = None


class RowByKeyDraw(StrictModel):
    """The row of an entity that has a certain key."""

    row: str
    key: str


class ChoiceDraw(StrictModel):
    """One of the values of `choose`.

    The value differs from `but_not`, is at least `at_least`, at most `at_most` and in `among`; each of these is an
    expression or missing. It is also at most each of `limits`; with `edge`, the lowest of them itself is drawn in a third
    of the cases, unless it is above `edge_below`. Texts may contain `{binding.field}`. With `beyond`, the value is not one
    of those that a rule allows.
    """

    choose: list[Any] = Field(min_length=1)
    but_not: str | None = None
    at_least: str | None = None
    at_most: str | None = None
    limits: list[str] = Field(default_factory=list)
    among: str | None = None
    edge: bool = False
    edge_below: float | None = None
    beyond: str | None = None


class NumberDraw(StrictModel):
    """A whole number from low to high, both included, and at most each of `limits`; above `beyond`, if that is given."""

    number: Annotated[tuple[int, int], Ordered]
    limits: list[str] = Field(default_factory=list)
    beyond: str | None = None


class AmountDraw(StrictModel):
    """A multiple of `step` from low to high and at most each of `limits`; either end may be an expression.

    With `beyond`, it is above the limit that this gives.
    """

    amount: Annotated[tuple[float | str, float | str], Ordered]
    step: float = Field(default=10, gt=0)
    limits: list[str] = Field(default_factory=list)
    beyond: str | None = None


class DateDraw(StrictModel):
    """A date this many days from today (negative: before), with `workdays` on no weekend; `limits` may give further bounds.

    With `beyond`, it is a date that these bounds do not allow.
    """

    days_from_today: Annotated[tuple[Annotated[int, Field(ge=-MAX_DAYS)], Annotated[int, Field(le=MAX_DAYS)]], Ordered]
    workdays: bool = False
    limits: list[str] = Field(default_factory=list)
    beyond: str | None = None


class AgeDraw(StrictModel):
    """The number of days between the date that the expression `age` gives and today."""

    age: str


class DaysUntilDraw(StrictModel):
    """The number of days between today and the later date that the expression `days_until` gives."""

    days_until: str


class NearDraw(StrictModel):
    """A round figure, or the first or last day of a month, near the value of an expression: not above or not below it."""

    near: str
    side: Literal["below", "above"]


class MentionDraw(StrictModel):
    """What people say of a name or title: all of it or, if it may be short, its first word."""

    mention: str
    may_be_short: bool = False


class AddressDraw(StrictModel):
    """An e-mail address, if the rule about recipients that an expression gives allows it."""

    address: str
    allowed_by: str


class ComposedDraw(StrictModel):
    """A text that tells these fields of the drawn row `of`, as the assistant writes it; see `scenarios/composed_text.py`."""

    composed: list[str] = Field(min_length=1)
    of: str
    entity: str


class ShareDraw(StrictModel):
    """The part `share` of a number, to the last of six decimals, as the rule `at_most_field` counts it."""

    share_of: str
    share: float | str


Draw = Annotated[
    OneRowDraw | AllRowsDraw | RowByKeyDraw | ChoiceDraw | NumberDraw | AmountDraw | DateDraw | AgeDraw | DaysUntilDraw
    | NearDraw | MentionDraw | AddressDraw | ComposedDraw | ShareDraw,
    choose_model_by_key({
        "one": OneRowDraw, "all": AllRowsDraw, "row": RowByKeyDraw, "choose": ChoiceDraw, "number": NumberDraw,
        "amount": AmountDraw, "days_from_today": DateDraw, "age": AgeDraw, "days_until": DaysUntilDraw,
        "near": NearDraw, "mention": MentionDraw, "address": AddressDraw, "composed": ComposedDraw,
        "share_of": ShareDraw,
    }),
]  # fmt: skip
