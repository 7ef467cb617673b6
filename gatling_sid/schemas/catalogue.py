"""What a domain file may say: the strict shape of `domains/<slug>.yaml`.

The words of the catalogue are explained where they are declared; CONTRIBUTING.md shows a whole domain being added.
Expressions start with `$` and name a drawn value, the principal, the policy, a slot of the request or an earlier
step (`$vendor.name`, `$principal.staff_id`, `$policy.max_rows`, `$request.vendor`, `$find.items[0].invoice_id`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from gatling_sid.models import SensitivityTier
from gatling_sid.schemas.population import Populate
from gatling_sid.schemas.strict import Scalar, Strict, one_form_of

FieldType = Literal[
    "id", "text", "person", "email", "phone", "money", "integer", "number", "date", "choice", "flag", "ref"
]
MOST_DAYS = 36_500
"""A century; farther than that no date of a domain lies from today."""
JSON_TYPES: dict[str, str] = {"money": "number", "number": "number", "integer": "integer", "flag": "boolean"}


class EntityField(Strict):
    """One typed field. `words` gives the ways a choice's values are said, `called` the ways to name the field."""

    type: FieldType
    sensitivity: SensitivityTier = SensitivityTier.INTERNAL
    populate: Populate | None
    words: dict[str, list[str]] = Field(default_factory=dict)
    called: list[str] = Field(default_factory=list)


class Entity(Strict):
    """A kind of record: `count` rows, identified by `key`."""

    description: str = ""
    key: str
    count: int = Field(ge=1, le=5000)
    fields: dict[str, EntityField]


# --- tools -----------------------------------------------------------------------------------------------------

Operation = Literal["list", "get", "create", "update", "delete", "export", "aggregate", "send"]
Match = Literal["equals", "contains", "one_of", "at_least", "at_most", "within_days", "next_days", "since", "until"]
ParameterRole = Literal[
    "filter", "key", "keys", "set", "limit", "select", "target", "format", "measure", "measured", "group",
    "recipient", "about", "content", "attachment",
]  # fmt: skip


Measure = Literal["count", "sum", "average", "minimum", "maximum"]


class Parameter(Strict):
    """One parameter: `does` says what the operation does with it, `field` which field it concerns.

    JSON type and allowed values follow from the field unless given.
    """

    does: ParameterRole
    description: str
    field: str | None = None
    match: Match = "equals"
    type: Literal["string", "integer", "number", "boolean", "array"] | None = None
    required: bool = False
    default: Scalar = None
    minimum: float | None = None
    maximum: float | None = None
    values: list[Scalar] | None = None


class Tool(Strict):
    """An operation on an entity, with parameters of its own.

    `returns` are the fields a row comes back with unless the call selects others, `order` the field rows are sorted
    by (`-issued_on`: descending), `sets` what the tool itself writes, `requires` the states it refuses to leave.
    `addressee` names the fields of a record that hold the only addresses a message about it may go to (about none: those
    of any record); without it, a message may go to anybody.
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


class RoleDeclaration(Strict):
    """A role people of `entity` matching `where` have, and the attributes of theirs that the session carries."""

    description: str
    entity: str
    where: dict[str, Any] = Field(default_factory=dict)
    attributes: list[str]


class Rule(Strict):
    """One rule: its sentence (with `{axis}` filled from the member) and the constraint that enforces it.

    A rule that is in force only sometimes is drawn per member; the default member has all rules.
    """

    says: str
    kind: str
    parameters: dict[str, Any] = Field(default_factory=dict, alias="with")
    sometimes: bool = False


class PolicySection(Strict):
    """A family of policies: a member takes one value of every axis of `vary`, the default the first of each."""

    description: str
    vary: dict[str, list[Any]] = Field(default_factory=dict)
    rules: dict[str, Rule]


# --- scenarios -------------------------------------------------------------------------------------------------


def _ordered(ends: tuple[Any, Any]) -> tuple[Any, Any]:
    low, high = ends
    if not isinstance(low, str) and not isinstance(high, str) and low > high:
        raise ValueError(f"from {low} to {high} there is nothing; the lower end comes first")
    return ends


Ordered = AfterValidator(_ordered)


class OneRowDraw(Strict):
    """One row that matches `where`; with `alone_by`, no other row has the same values in those fields."""

    one: str
    where: dict[str, Any] = Field(default_factory=dict)
    alone_by: list[str] = Field(default_factory=list)


class AllRowsDraw(Strict):
    """All rows that match `where`, their number within `count`; sorted by `order`, cut to the `first` few.

    With `distinct`, no two of them have the same value in that field.
    """

    all: str
    where: dict[str, Any] = Field(default_factory=dict)
    count: Annotated[tuple[int | str, int | str], Ordered] = (1, 10)
    order: str | None = None
    first: int | str | None = None
    distinct: str | None = None


class RowByKeyDraw(Strict):
    """The row of an entity with a certain key."""

    row: str
    key: str


class ChoiceDraw(Strict):
    """One of these values, of those that are none of / at most / among what an expression gives.

    Text may hold `{binding.field}`.
    """

    choose: list[Any] = Field(min_length=1)
    but_not: str | None = None
    at_most: str | None = None
    among: str | None = None


class NumberDraw(Strict):
    """A whole number from low to high."""

    number: Annotated[tuple[int, int], Ordered]


class AmountDraw(Strict):
    """An amount from low to high in steps; either end may be an expression."""

    amount: Annotated[tuple[float | str, float | str], Ordered]
    step: float = Field(default=10, gt=0)


class DateDraw(Strict):
    """A date this many days from today (negative: before)."""

    days_from_today: Annotated[
        tuple[Annotated[int, Field(ge=-MOST_DAYS)], Annotated[int, Field(le=MOST_DAYS)]], Ordered
    ]


class AgeDraw(Strict):
    """How many days ago a drawn date is."""

    age: str


Draw = Annotated[
    OneRowDraw | AllRowsDraw | RowByKeyDraw | ChoiceDraw | NumberDraw | AmountDraw | DateDraw | AgeDraw,
    one_form_of({
        "one": OneRowDraw, "all": AllRowsDraw, "row": RowByKeyDraw, "choose": ChoiceDraw, "number": NumberDraw, "amount": AmountDraw,
        "days_from_today": DateDraw, "age": AgeDraw,
    }),
]  # fmt: skip


class GoalShowing(Strict):
    """Drawn row or rows, and the fields of theirs the user must see."""

    rows: str
    fields: list[str] | str


class GoalMeasure(Strict):
    """A figure over drawn rows."""

    rows: str
    measure: Measure
    field: str | None = None
    group_by: str | None = None
    top: str | None = None


class UpdateEffect(Strict):
    """Drawn row or rows get new values."""

    update: str
    set: dict[str, Any]
    when: str | None = None


class CreateEffect(Strict):
    """A row of an entity comes to be."""

    create: str
    set: dict[str, Any]
    when: str | None = None


class DeleteEffect(Strict):
    """Drawn row or rows cease to be."""

    delete: str
    when: str | None = None


class ExportEffect(Strict):
    """Drawn rows leave to a target."""

    export: str
    fields: list[str] | str
    target: str
    format: str | None = None
    when: str | None = None


class SendEffect(Strict):
    """A message reaches an address, about drawn row or rows (or about none)."""

    send: str
    about: str | None = None
    contents: dict[str, Any] = Field(default_factory=dict)
    when: str | None = None


GoalEffect = Annotated[
    UpdateEffect | CreateEffect | DeleteEffect | ExportEffect | SendEffect,
    one_form_of({
        "update": UpdateEffect, "create": CreateEffect, "delete": DeleteEffect, "export": ExportEffect,
        "send": SendEffect,
    }),
]  # fmt: skip


class ScenarioGoal(Strict):
    """What serving the request means, in terms of what was drawn."""

    shows: list[GoalShowing] = Field(default_factory=list)
    measures: list[GoalMeasure] = Field(default_factory=list)
    effects: list[GoalEffect] = Field(default_factory=list)
    time_range: str | None = None


class Step(Strict):
    """One call of the plan; every argument is an expression or a list of them, so that no value comes from nowhere.

    `when` names rules of which one must be in force for the step to be there, `unless` rules of which none may be.
    """

    step: str
    tool: str
    arguments: dict[str, str | list[str]] = Field(default_factory=dict)
    after: list[str] = Field(default_factory=list)
    when: list[str] = Field(default_factory=list)
    unless: list[str] = Field(default_factory=list)

    def is_in_force(self, rules: frozenset[str]) -> bool:
        """Whether the step is part of the plan when these rules are in force."""
        return (not self.when or not rules.isdisjoint(self.when)) and rules.isdisjoint(self.unless)


class Scenario(Strict):
    """Something users ask for: what is drawn, what it means, how it is planned, how it is said.

    `given` names axes of the policy and the values of them under which it can be asked for; a rule that is in force
    only sometimes is such an axis: `given: {legal_hold: [false]}`.
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


class Voice(Strict):
    """What people of this domain put around a request: openings before it, closings after it."""

    openings: list[str]
    closings: list[str]


class DomainFile(Strict):
    """A whole domain."""

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
