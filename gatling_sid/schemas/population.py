"""How a field may be filled: the closed set of declarations that make believable records."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gatling_sid.schemas.strict import Scalar, Strict, form


class Sequence(Strict):
    """Keys such as INV-10412: rising from `start` by 1 to `gap`."""

    sequence: str
    start: int = 1000
    gap: int = Field(default=1, ge=1)


class Pool(Strict):
    """One of a shared pool (by name) or of a list."""

    pool: str | list[Scalar]
    unique: bool = False


class Template(Strict):
    """Text with `{pool_name}` and `{own_field}` filled in."""

    template: str
    unique: bool = False


class Choice(Strict):
    """One of the keys, by weight."""

    choice: dict[str, float]


class Integer(Strict):
    """A whole number from low to high."""

    integer: tuple[int, int]


class Money(Strict):
    """An amount from low to high, small ones more often (log-uniform), rounded to `round`."""

    money: tuple[float, float]
    round: float = 0.01


class DaysAgo(Strict):
    """A date this many days before today."""

    days_ago: tuple[int, int]


class DaysAhead(Strict):
    """A date this many days after today."""

    days_ahead: tuple[int, int]


class DaysAfter(Strict):
    """A date this many days after another of the row's dates; with `by_today`, never in the future."""

    days_after: str
    days: tuple[int, int]
    by_today: bool = False


class Ref(Strict):
    """The key of some row of another entity (declared earlier), of those that match `where`."""

    ref: str
    where: dict[str, Scalar] = Field(default_factory=dict)


class Copy(Strict):
    """A field of the row that one of this row's references points to: `vendor_id.name`."""

    copy_of: str = Field(alias="copy")


class Chance(Strict):
    """True with this probability."""

    chance: float = Field(ge=0, le=1)


class Constant(Strict):
    """Always this value."""

    value: Scalar


class Email(Strict):
    """An address made of some of the row's fields."""

    email: list[str]
    at: str


class Fraction(Strict):
    """A share of another of the row's amounts."""

    fraction_of: str
    between: tuple[float, float]
    round: float = 0.01


class By(Strict):
    """Filled by the case of another of the row's fields."""

    by: str
    cases: dict[str, Populate | None]
    otherwise: Populate | None = None


class IfPast(Strict):
    """Filled by whether another of the row's dates lies before today."""

    if_past: str
    then: Populate | None
    otherwise: Populate | None = None


Populate = Annotated[
    Sequence | Pool | Template | Choice | Integer | Money | DaysAgo | DaysAhead | DaysAfter | Ref | Copy | Chance
    | Constant | Email | Fraction | By | IfPast,
    form({
        "sequence": Sequence, "pool": Pool, "template": Template, "choice": Choice, "integer": Integer, "money": Money,
        "days_ago": DaysAgo, "days_ahead": DaysAhead, "days_after": DaysAfter, "ref": Ref, "copy": Copy,
        "chance": Chance, "value": Constant, "email": Email, "fraction_of": Fraction, "by": By, "if_past": IfPast,
    }),
]  # fmt: skip
