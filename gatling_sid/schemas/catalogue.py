"""The schema of a domain file, `domains/<slug>.yaml`.

Each part is explained at its class; CONTRIBUTING.md shows step by step how to add a domain.
Expressions start with `$` and name a drawn value, the principal, the policy, a slot of the request or an earlier
step (`$vendor.name`, `$principal.staff_id`, `$policy.max_rows`, `$request.vendor`, `$find.items[0].invoice_id`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from gatling_sid.models import SensitivityTier
from gatling_sid.schemas.population import Populate
from gatling_sid.schemas.strict import Scalar, StrictModel, choose_model_by_key

FieldType = Literal[
    "id", "text", "person", "email", "phone", "money", "integer", "number", "date", "choice", "flag", "ref"
]
MAX_DAYS = 36_500
"""100 years: no date of a domain is farther from today."""
JSON_TYPES: dict[str, str] = {"money": "number", "number": "number", "integer": "integer", "flag": "boolean"}
"""The JSON type of each field type that is not a string."""


class EntityField(StrictModel):
    """One typed field; `words` gives the wordings of each value of a choice, `called` those of the field's name."""

    type: FieldType
    sensitivity: SensitivityTier = SensitivityTier.INTERNAL
    populate: Populate | None
    words: dict[str, list[str]] = Field(default_factory=dict)
    called: list[str] = Field(default_factory=list)


class Entity(StrictModel):
    """A kind of row; a world has `count` rows of it, identified by the field `key`."""

    description: str = ""
    key: str
    count: int = Field(ge=1, le=5000)
    fields: dict[str, EntityField]


# --- tools -----------------------------------------------------------------------------------------------------

Operation = Literal["list", "get", "create", "update", "delete", "export", "aggregate", "send"]
Match = Literal["equals", "contains", "one_of", "at_least", "at_most", "within_days", "next_days", "since", "until"]
ParameterPurpose = Literal[
    "filter", "key", "keys", "set", "limit", "select", "target", "format", "measure", "measured", "group",
    "recipient", "about", "content", "attachment",
]  # fmt: skip


Measure = Literal["count", "sum", "average", "minimum", "maximum"]


class Parameter(StrictModel):
    """One parameter of a tool.

    `does` is its role in the operation, `field` the field it concerns, and `match` the condition that a filter tests.
    JSON type and allowed values follow from the field unless they are given.
    """

    does: ParameterPurpose
    description: str
    field: str | None = None
    match: Match = "equals"
    type: Literal["string", "integer", "number", "boolean", "array"] | None = None
    required: bool = False
    default: Scalar = None
    minimum: float | None = None
    maximum: float | None = None
    values: list[Scalar] | None = None


class Tool(StrictModel):
    """An operation on an entity, with its own parameters.

    `returns` are the fields of a returned row unless the call selects others. Rows are sorted by the field `order`
    (`-issued_on`: descending). `sets` are values that the tool itself writes. `requires` lists, by field, the values
    that a row must have to be changed. `addressee` lists the fields with the allowed recipients: a message about a row may
    go only to an address in that row; a message about no row may go to such an address in any row. Without `addressee`,
    any recipient is allowed.
    """

    operation: Operation
    entity: str
    description: str
    parameters: dict[str, Parameter]
    returns: list[str] = Field(default_factory=list)
    order: str | None = None
    sets: dict[str, Scalar] = Field(default_factory=dict)
    requires: dict[str, list[Scalar]] = Field(default_factory=dict)
    addressee: list[str] = Field(default_factory=list)
    requires_auth: bool = True


# --- roles and policy ------------------------------------------------------------------------------------------


class RoleDeclaration(StrictModel):
    """A role of the people in `entity` who match `where`; `attributes` are the fields that the principal has."""

    description: str
    entity: str
    where: dict[str, Any] = Field(default_factory=dict)
    attributes: list[str]


class Rule(StrictModel):
    """One rule: its sentence, in which `{axis}` becomes the member's value, and the constraint that enforces it.

    A rule with `sometimes` is in force in some members of the family only; the default member has all rules.
    """

    says: str
    kind: str
    parameters: dict[str, Any] = Field(default_factory=dict, alias="with")
    sometimes: bool = False


class PolicySection(StrictModel):
    """A family of policies: a member takes one value of every axis of `vary`, the default member the first of each."""

    description: str
    vary: dict[str, list[Any]] = Field(default_factory=dict)
    rules: dict[str, Rule]


# --- scenarios -------------------------------------------------------------------------------------------------


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

    Either only the `first` few are taken, or their number must lie within `count`. With `distinct`, no two of them may
    have the same value in that field.
    """

    all: str
    where: dict[str, Any] = Field(default_factory=dict)
    count: Annotated[tuple[int | str, int | str], Ordered] = (1, 10)
    order: str | None = None
    first: int | str | None = None
    distinct: str | None = None


class RowByKeyDraw(StrictModel):
    """The row of an entity that has a certain key."""

    row: str
    key: str


class ChoiceDraw(StrictModel):
    """One of the values of `choose`.

    The value differs from `but_not`, is at most `at_most` and is in `among`; each of these is an expression or missing.
    Texts may contain `{binding.field}`.
    """

    choose: list[Any] = Field(min_length=1)
    but_not: str | None = None
    at_most: str | None = None
    among: str | None = None


class NumberDraw(StrictModel):
    """A whole number from low to high, both included."""

    number: Annotated[tuple[int, int], Ordered]


class AmountDraw(StrictModel):
    """A multiple of `step` from low to high; either end may be an expression."""

    amount: Annotated[tuple[float | str, float | str], Ordered]
    step: float = Field(default=10, gt=0)


class DateDraw(StrictModel):
    """A date this many days from today (negative: before)."""

    days_from_today: Annotated[tuple[Annotated[int, Field(ge=-MAX_DAYS)], Annotated[int, Field(le=MAX_DAYS)]], Ordered]


class AgeDraw(StrictModel):
    """The number of days between the date that the expression `age` gives and today."""

    age: str


Draw = Annotated[
    OneRowDraw | AllRowsDraw | RowByKeyDraw | ChoiceDraw | NumberDraw | AmountDraw | DateDraw | AgeDraw,
    choose_model_by_key({
        "one": OneRowDraw, "all": AllRowsDraw, "row": RowByKeyDraw, "choose": ChoiceDraw, "number": NumberDraw,
        "amount": AmountDraw, "days_from_today": DateDraw, "age": AgeDraw,
    }),
]  # fmt: skip


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
    """Drawn rows must get the values of `set`.

    With `when`, the effect is demanded only if that rule is in force; this holds for all effects.
    """

    update: str
    set: dict[str, Any]
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
    """A message must reach an address, about a drawn row or rows, or about none."""

    send: str
    about: str | None = None
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


class Step(StrictModel):
    """One call of the plan; each argument is an expression or a list of them, so that every value has a source.

    The step is left out unless one of the rules of `when` is in force (if it names any), and none of `unless`.
    """

    step: str
    tool: str
    arguments: dict[str, str | list[str]] = Field(default_factory=dict)
    after: list[str] = Field(default_factory=list)
    when: list[str] = Field(default_factory=list)
    unless: list[str] = Field(default_factory=list)

    def is_in_force(self, rules: frozenset[str]) -> bool:
        """Whether the step is part of the plan where these rules are in force."""
        return (not self.when or not rules.isdisjoint(self.when)) and rules.isdisjoint(self.unless)


class Scenario(StrictModel):
    """Something users ask for: its draws, goal, plan and phrasings.

    `given` names axes of the policy, and the values under which it can be asked for. A rule that is in force only
    sometimes is such an axis: `given: {legal_hold: [false]}`.
    """

    intent: Literal["retrieve", "update", "create", "delete", "export", "analyze"]
    roles: list[str] = Field(min_length=1)
    given: dict[str, list[Any]] = Field(default_factory=dict)
    weight: int = Field(default=1, ge=1, le=12)
    draw: dict[str, Draw] = Field(default_factory=dict)
    slots: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict)
    goal: ScenarioGoal
    plan: list[Step]
    phrasings: list[str]
    reasons: list[str] = Field(default_factory=list)


class Voice(StrictModel):
    """The texts that people of this domain put before a request (openings) and after it (closings)."""

    openings: list[str]
    closings: list[str]


class DomainFile(StrictModel):
    """The content of a domain file."""

    name: str
    description: str
    organisation: str
    pools: dict[str, list[str]] = Field(default_factory=dict)
    entities: dict[str, Entity]
    tools: dict[str, Tool]
    roles: dict[str, RoleDeclaration]
    policy: PolicySection
    voice: Voice
    scenarios: dict[str, Scenario]
