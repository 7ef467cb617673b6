"""What a scenario of a domain file must show, measure and change, in terms of what it draws."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from gatling_sid.schemas.strict import StrictModel, choose_model_by_key

Measure = Literal["count", "sum", "average", "minimum", "maximum"]


class GoalShowing(StrictModel):
    """A drawn row or rows, and which of their fields the user must see."""

    rows: str
    fields: list[str] | str


class GoalMeasure(StrictModel):
    """A measure over drawn rows; with `group_by`, of each group, cut to the `top` ones."""

    rows: str
    measure: Measure
    field: str | None = None
    group_by: str | None = None
    top: str | None = None


class UpdateEffect(StrictModel):
    """Drawn rows must get the values of `set`; numbers of `add` and `subtract` change those of the rows' fields.

    With `when`, the effect is demanded only if that rule is in force; this holds for all effects.
    """

    update: str
    set: dict[str, Any] = Field(default_factory=dict)
    add: dict[str, Any] = Field(default_factory=dict)
    subtract: dict[str, Any] = Field(default_factory=dict)
    when: str | None = None


class CreateEffect(StrictModel):
    """A row of an entity must be created with the values of `set`."""

    create: str
    set: dict[str, Any]
    when: str | None = None


class DeleteEffect(StrictModel):
    """A drawn row or rows must be deleted."""

    delete: str
    when: str | None = None


class ExportEffect(StrictModel):
    """These fields of drawn rows must be exported to a target."""

    export: str
    fields: list[str] | str
    target: str
    format: str | None = None
    when: str | None = None


class SendEffect(StrictModel):
    """A message must reach an address, about a drawn row or rows, or about none.

    `of` is the entity of the tool that sends a message about no row; it may be left out if the plan has one such tool.
    """

    send: str
    about: str | None = None
    of: str | None = None
    contents: dict[str, Any] = Field(default_factory=dict)
    when: str | None = None


GoalEffect = Annotated[
    UpdateEffect | CreateEffect | DeleteEffect | ExportEffect | SendEffect,
    choose_model_by_key({
        "update": UpdateEffect, "create": CreateEffect, "delete": DeleteEffect, "export": ExportEffect,
        "send": SendEffect,
    }),
]  # fmt: skip


class ScenarioGoal(StrictModel):
    """What must be shown, measured and changed, in terms of what was drawn."""

    shows: list[GoalShowing] = Field(default_factory=list)
    measures: list[GoalMeasure] = Field(default_factory=list)
    effects: list[GoalEffect] = Field(default_factory=list)
    time_range: str | None = None
