"""How a field may be filled: the closed set of declarations that make believable records."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gatling_sid.schemas.strict import Scalar, Strict, one_form_of


class SequenceFill(Strict):
    """Keys such as INV-10412: rising from `start` by 1 to `gap`."""

    sequence: str
    start: int = 1000
    gap: int = Field(default=1, ge=1)


class PoolFill(Strict):
    """One of a shared pool (by name) or of a list."""

    pool: str | list[Scalar]
    unique: bool = False


class TemplateFill(Strict):
    """Text with `{pool_name}` and `{own_field}` filled in."""

    template: str
    unique: bool = False


class ChoiceFill(Strict):
    """One of the keys, by weight."""

    choice: dict[str, float]


class IntegerFill(Strict):
    """A whole number from low to high."""

    integer: tuple[int, int]


class MoneyFill(Strict):
    """An amount from low to high, small ones more often (log-uniform), rounded to `round`."""

    money: tuple[float, float]
    round: float = 0.01


class DaysAgoFill(Strict):
    """A date this many days before today."""

    days_ago: tuple[int, int]


class DaysAheadFill(Strict):
    """A date this many days after today."""

    days_ahead: tuple[int, int]


class DaysAfterFill(Strict):
    """A date this many days after another of the row's dates; with `by_today`, never in the future."""

    days_after: str
    days: tuple[int, int]
    by_today: bool = False


class ReferenceFill(Strict):
    """The key of some row of another entity (declared earlier), of those that match `where`."""

    ref: str
    where: dict[str, Scalar] = Field(default_factory=dict)


class CopyFill(Strict):
    """A field of the row that one of this row's references points to: `vendor_id.name`."""

    copy_of: str = Field(alias="copy")


class ChanceFill(Strict):
    """True with this probability."""

    chance: float = Field(ge=0, le=1)


class ConstantFill(Strict):
    """Always this value."""

    value: Scalar


class EmailFill(Strict):
    """An address made of some of the row's fields."""

    email: list[str]
    at: str


class FractionFill(Strict):
    """A share of another of the row's amounts."""

    fraction_of: str
    between: tuple[float, float]
    round: float = 0.01


class ByFieldFill(Strict):
    """Filled by the case of another of the row's fields."""

    by: str
    cases: dict[str, Populate | None]
    otherwise: Populate | None = None


class IfPastFill(Strict):
    """Filled by whether another of the row's dates lies before today."""

    if_past: str
    then: Populate | None
    otherwise: Populate | None = None


Populate = Annotated[
    SequenceFill | PoolFill | TemplateFill | ChoiceFill | IntegerFill | MoneyFill | DaysAgoFill | DaysAheadFill | DaysAfterFill | ReferenceFill | CopyFill | ChanceFill
    | ConstantFill | EmailFill | FractionFill | ByFieldFill | IfPastFill,
    one_form_of({
        "sequence": SequenceFill, "pool": PoolFill, "template": TemplateFill, "choice": ChoiceFill, "integer": IntegerFill, "money": MoneyFill,
        "days_ago": DaysAgoFill, "days_ahead": DaysAheadFill, "days_after": DaysAfterFill, "ref": ReferenceFill, "copy": CopyFill,
        "chance": ChanceFill, "value": ConstantFill, "email": EmailFill, "fraction_of": FractionFill, "by": ByFieldFill, "if_past": IfPastFill,
    }),
]  # fmt: skip
