"""How a field is filled: the closed set of declarations with which believable rows are made."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gatling_sid.schemas.strict import Scalar, StrictModel, choose_model_by_key


class SequenceFill(StrictModel):
    """Keys such as INV-10412: a prefix and a number that begins a little above `start` and grows by 1 to `gap` per row."""

    sequence: str
    start: int = 1000
    gap: int = Field(default=1, ge=1)


class PoolFill(StrictModel):
    """A value of a pool (by name) or of a list; with `unique`, no two rows have the same."""

    pool: str | list[Scalar]
    unique: bool = False


class TemplateFill(StrictModel):
    """Text with `{pool_name}` and `{earlier_field}` filled in; with `unique`, no two rows have the same."""

    template: str
    unique: bool = False


class ChoiceFill(StrictModel):
    """One of the keys, drawn by weight."""

    choice: dict[str, float]


class IntegerFill(StrictModel):
    """A whole number from low to high, both included."""

    integer: tuple[int, int]


class MoneyFill(StrictModel):
    """An amount from low to high, small ones more often (log-uniform), rounded to `round`."""

    money: tuple[float, float]
    round: float = 0.01


class DaysAgoFill(StrictModel):
    """A date this many days before today."""

    days_ago: tuple[int, int]


class DaysAheadFill(StrictModel):
    """A date this many days after today."""

    days_ahead: tuple[int, int]


class DaysAfterFill(StrictModel):
    """A date this many days after another of the row's dates; with `by_today`, never in the future."""

    days_after: str
    days: tuple[int, int]
    by_today: bool = False


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
    round: float = 0.01


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
    SequenceFill | PoolFill | TemplateFill | ChoiceFill | IntegerFill | MoneyFill | DaysAgoFill | DaysAheadFill
    | DaysAfterFill | ReferenceFill | CopyFill | ChanceFill | ConstantFill | EmailFill | FractionFill | ByFieldFill
    | IfPastFill,
    choose_model_by_key({
        "sequence": SequenceFill, "pool": PoolFill, "template": TemplateFill, "choice": ChoiceFill,
        "integer": IntegerFill, "money": MoneyFill, "days_ago": DaysAgoFill, "days_ahead": DaysAheadFill,
        "days_after": DaysAfterFill, "ref": ReferenceFill, "copy": CopyFill, "chance": ChanceFill,
        "value": ConstantFill, "email": EmailFill, "fraction_of": FractionFill, "by": ByFieldFill,
        "if_past": IfPastFill,
    }),
]  # fmt: skip
