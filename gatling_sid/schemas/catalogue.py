"""The schema of a domain file, `domains/<slug>.yaml`.

Each part is explained at its class; CONTRIBUTING.md shows step by step how to add a domain.
Expressions start with `$` and name a drawn value, the principal, the policy, a slot of the request or an earlier
step (`$vendor.name`, `$principal.staff_id`, `$policy.max_rows`, `$request.vendor`, `$find.items[0].invoice_id`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from gatling_sid.models import SensitivityTier, TrustTier
from gatling_sid.schemas.draws import (  # noqa: F401 - the form names its draws
    AddressDraw,
    AgeDraw,
    AllRowsDraw,
    AmountDraw,
    ChoiceDraw,
    ComposedDraw,
    DateDraw,
    DaysUntilDraw,
    Draw,
    MentionDraw,
    NearDraw,
    NumberDraw,
    OneRowDraw,
    RowByKeyDraw,
    ShareDraw,
)
from gatling_sid.schemas.goal_form import (  # noqa: F401 - the form names its goals
    CreateEffect,
    DeleteEffect,
    ExportEffect,
    GoalEffect,
    GoalMeasure,
    GoalShowing,
    Measure,
    ScenarioGoal,
    SendEffect,
    UpdateEffect,
)
from gatling_sid.schemas.language.alternatives import expanded
from gatling_sid.schemas.language.currencies import CurrencyCode
from gatling_sid.schemas.outside import LureAim, RowOfLure, Unserved  # noqa: F401 - the form names what outsiders write
from gatling_sid.schemas.population import Consistency, Populate
from gatling_sid.schemas.strict import Scalar, StrictModel

FieldType = Literal[
    "id", "text", "person", "email", "phone", "money", "integer", "number", "date", "time", "choice", "flag", "ref"
]
JSON_TYPES: dict[str, str] = {"money": "number", "number": "number", "integer": "integer", "flag": "boolean"}
"""The JSON type of each field type that is not a string."""


class TrustByField(StrictModel):
    """Who writes a field depends on the value of the field `by`: it is `cases[value]` if present, else `otherwise`."""

    by: str
    cases: dict[str, TrustTier]
    otherwise: TrustTier = TrustTier.SYSTEM


class EntityField(StrictModel):
    """One typed field; `words` gives the wordings of each value of a choice, `called` those of the field's name.

    `said` gives the phrases with which people say a condition on the field, such as `"overdue ~"` or `"~ from {}"`; see
    `language/noun_phrases.py` for their notation. It is a list for a value that the field equals or contains. Else it
    is a mapping, whose keys are values of a choice, matches of a filter such as `at_least`, fields of the row that a
    reference points to, or `mine`.
    `currency` is that of money. `trust` says who writes the field: own systems, users, verified partners or outsiders.
    `stated_in` names a text of the row that states the value in words, if no tool returns the field itself: "please move
    it to {asked_on}". `lures` lists the places in which a text of outsiders may hold an instruction to the assistant.
    """

    type: FieldType
    currency: CurrencyCode = "USD"
    sensitivity: SensitivityTier = SensitivityTier.INTERNAL
    trust: TrustTier | TrustByField = TrustTier.SYSTEM
    stated_in: str | None = None
    lures: list[str] = Field(default_factory=list)
    populate: Populate | None
    words: dict[str, list[str]] = Field(default_factory=dict)
    called: list[str] = Field(default_factory=list)
    said: dict[str, list[str]] | list[str] = Field(default_factory=list)

    @property
    def kind(self) -> str:
        """The kind of wording (see `wordings`) of the field's values."""
        return self.currency if self.type == "money" else self.type


class Entity(StrictModel):
    """A kind of row; a world has `count` rows of it, identified by the field `key`.

    `noun` gives what people call a row: each singular with its plural. `pronoun` stands for one row (`it` or `them`).
    No two rows have the same values in the fields of `unique_by`. In every row, the values in each list of `ordered`
    never decrease, and each statement of `consistent` is true; see `simulator/world_lint.py`.
    """

    description: str = ""
    key: str
    count: int = Field(ge=1, le=5000)
    noun: dict[str, str] = Field(default_factory=dict)
    pronoun: Literal["it", "them"] = "it"
    fields: dict[str, EntityField]
    unique_by: list[str] = Field(default_factory=list)
    ordered: list[list[str]] = Field(default_factory=list)
    consistent: list[Consistency] = Field(default_factory=list)


# --- tools -----------------------------------------------------------------------------------------------------

Operation = Literal["list", "get", "create", "update", "delete", "export", "aggregate", "send"]
Match = Literal["equals", "contains", "one_of", "at_least", "at_most", "within_days", "next_days", "since", "until"]
ParameterPurpose = Literal[
    "filter", "key", "keys", "set", "add", "subtract", "limit", "sort", "select", "target", "format", "measure",
    "measured", "group", "recipient", "about", "content", "attachment",
]  # fmt: skip


REQUIRED_PURPOSES = ("key", "keys", "recipient", "target")
"""Purposes of parameters without which a call makes no sense; keys, where filters cannot select the rows instead."""
OPERATIONS_ON_MANY = ("list", "aggregate", "export")
"""Operations that do not need keys, because filters can select the rows."""
PURPOSES_WITH_FIELD = ("filter", "set", "add", "subtract")


class Parameter(StrictModel):
    """One parameter of a tool.

    `does` is its role in the operation, `field` the field it concerns, by default the one of its own name, and `match` the
    condition that a filter tests. Keys, recipients and targets are `required` without saying so. A
    `description` that says no more than these may be left out; see `descriptions.py`. JSON type and allowed values
    follow from the field unless they are given. The number of `add` or `subtract` changes that of the field, unless the
    result would be lower than `keeps_at_least`. The `values` of `sort` are fields, with `-` before those that descend.
    `words` gives the wordings of each value of a parameter that concerns no field; those of `sort` are as `first_said`.
    """

    does: ParameterPurpose
    description: str = ""
    field: str | None = None
    match: Match = "equals"
    type: Literal["string", "integer", "number", "boolean", "array"] | None = None
    required: bool = False
    default: Scalar = None
    minimum: float | None = None
    maximum: float | None = None
    keeps_at_least: float | None = None
    values: list[Scalar] | None = None
    words: dict[str, list[str]] = Field(default_factory=dict)


class Tool(StrictModel):
    """An operation on an entity, with its own parameters.

    `returns` are the fields of a returned row unless the call selects others. Rows are sorted by the field `order`
    (`-issued_on`: descending). `sets` are values that the tool itself writes. `requires` lists, by field, the values
    that a row must have to be changed. `addressee` lists the fields with the allowed recipients: a message about a row may
    go only to an address in that row; a message about no row may go to such an address in any row. Without `addressee`,
    any recipient is allowed. `first_said` are words for the first rows in the tool's order, such as "most recently filed",
    or "~ filed last", which stands after the noun.
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
    first_said: list[str] = Field(default_factory=list)
    requires_auth: bool = True

    @field_validator("parameters", mode="after")
    @classmethod
    def _complete(cls, parameters: dict[str, Parameter], info: ValidationInfo) -> dict[str, Parameter]:
        """Adds what parameters need not say."""
        on_many = info.data.get("operation") in OPERATIONS_ON_MANY
        completed: dict[str, Parameter] = {}
        for name, each in parameters.items():
            is_required = each.does in REQUIRED_PURPOSES and not (each.does == "keys" and on_many)
            derived: dict[str, Any] = {}
            if is_required and "required" not in each.model_fields_set:
                derived["required"] = True
            if each.field is None and each.does in PURPOSES_WITH_FIELD:
                derived["field"] = name
            completed[name] = each.model_copy(update=derived) if derived else each
        return completed


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


class Step(StrictModel):
    """One call of the plan; each argument is an expression or a list of them, so that every value has a source.

    The step is left out unless one of the rules of `when` is in force (if it names any), and none of `unless`. The call
    quotes the rule that demands it: one of `quotes`, or of `when` if `quotes` is left out. It comes after the steps of
    `after`, and after a step of `after_when` if one of the rules given there is in force.
    """

    step: str
    tool: str
    arguments: dict[str, str | list[str]] = Field(default_factory=dict)
    after: list[str] = Field(default_factory=list)
    after_when: dict[str, list[str]] = Field(default_factory=dict)
    when: list[str] = Field(default_factory=list)
    unless: list[str] = Field(default_factory=list)
    quotes: list[str] | None = None

    def quoted_rule(self, rules: Iterable[str]) -> str | None:
        """The first of these rules, which are in force, that demands the call; None if none does."""
        demanding = self.when if self.quotes is None else self.quotes
        return next((each for each in rules if each in demanding), None)

    def is_in_force(self, rules: frozenset[str]) -> bool:
        """Whether the step is part of the plan where these rules are in force."""
        return (not self.when or not rules.isdisjoint(self.when)) and rules.isdisjoint(self.unless)


TELLS = "tells"
"""The key of an argument that is a text of the assistant, in the `with` of a part."""


class Part(StrictModel):
    """A piece of a task: one tool that is applied to rows which the request describes, and how people say it.

    Tasks are composed of parts: which rows (`schemas/composition/targets.py`), what is done with them, and the
    sentences (`schemas/composition/sentences.py`). Goal and plan follow from the tool. `of` is the entity of the rows,
    if it is not the tool's own; a part that creates something without rows has none. The rows are searched with the
    tool `found_by`, by filters among `by` (all that can be said, if left out), always including those of `must_say`.
    `where` are facts about the rows that nobody says. `with` gives the arguments: a list of values or a draw, which
    the request states; or an expression such as `$found.email`; or `{tells: {when: [due_on]}}` for a text that the
    assistant writes, which tells the fields of one of the entries; then `by_value` names the argument.
    `columns` lists the fields that may be asked for.
    `says` are verb phrases with `{it}` for the rows and `{argument}` for stated values, `asks` whole questions. Either
    may be a mapping from the values of one argument to its phrases; then `by_value` names that argument.
    """

    tool: str
    roles: list[str] = Field(min_length=1)
    weight: int = Field(default=1, ge=1, le=100)
    of: str | None = None
    number: Literal["one", "many", "both"] = "both"
    found_by: str | None = None
    by: list[str] | None = None
    must_say: list[str] = Field(default_factory=list)
    where: dict[str, Any] = Field(default_factory=dict)
    arguments: dict[str, Any] = Field(default_factory=dict, alias="with")
    by_value: str | None = None
    columns: list[str] = Field(default_factory=list)
    says: dict[str, list[str]] | list[str] = Field(default_factory=list)
    asks: dict[str, list[str]] | list[str] = Field(default_factory=list)

    @field_validator("arguments", mode="after")
    @classmethod
    def _expand_values(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        """`["[your|the] order is on its way"]` stands for two values."""
        return {name: expanded(value) if isinstance(value, list) else value for name, value in arguments.items()}


class Variant(StrictModel):
    """Why a scenario is not simply served: `kind` is an outcome, see `models.trace.Outcome`.

    `rule` forbids what `goal` and `plan` would do. If no tool is needed, `reason` says why; `{value}` is the attribute `own`.
    `asked` has the steps that wait for the answer to a question: they say what kinds of values the request states.
    """

    kind: Literal["declined", "partly_served", "nothing_to_call", "needs_question"]
    rule: str | None = None
    goal: ScenarioGoal | None = None
    plan: list[Step] = Field(default_factory=list)
    asked: list[Step] = Field(default_factory=list)
    reason: str = ""
    own: str | None = None


class Scenario(StrictModel):
    """Something users ask for: its draws, goal, plan and phrasings.

    `given` names axes of the policy, and the values under which it can be asked for. A rule that is in force only
    sometimes is such an axis: `given: {legal_hold: [false]}`.
    """

    intent: Literal["retrieve", "update", "create", "delete", "export", "analyze"]
    roles: list[str] = Field(min_length=1)
    given: dict[str, list[Any]] = Field(default_factory=dict)
    weight: int = Field(default=1, ge=1, le=100)
    draw: dict[str, Draw] = Field(default_factory=dict)
    slots: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict)
    goal: ScenarioGoal
    plan: list[Step]
    phrasings: list[str]
    reasons: list[str] = Field(default_factory=list)
    variant: Variant | None = None

    def slots_of_goal(self) -> frozenset[str]:
        """The slots whose values are part of the goal."""
        values = set(_texts_in(self.goal.model_dump()))
        return frozenset(slot for slot, each in self.slots.items() if str(each).startswith("$") and each in values)


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts_in(each)


class Voice(StrictModel):
    """Texts that people of this domain add to a request, beside those of the shared voice.

    `openings` stand before it, `closings` after it, and `reasons` say why; each is a sentence of its own.
    """

    openings: list[str] = Field(default_factory=list)
    closings: list[str] = Field(default_factory=list)
    reasons: list[str] = Field(default_factory=list)


class DomainFile(StrictModel):
    """The content of a domain file.

    `borrows` names tools of other domains by their slugs, `calendar: [create_event]`; parts and rules here call such a
    tool `calendar.create_event`. See `borrowing.py`.
    """

    name: str
    description: str
    organisation: str
    borrows: dict[str, list[str]] = Field(default_factory=dict)
    pools: dict[str, Annotated[list[str], AfterValidator(expanded)]] = Field(default_factory=dict)
    entities: dict[str, Entity]
    tools: dict[str, Tool]
    roles: dict[str, RoleDeclaration]
    policy: PolicySection
    voice: Voice = Field(default_factory=Voice)
    parts: dict[str, Part] = Field(default_factory=dict)
    scenarios: dict[str, Scenario] = Field(default_factory=dict)
    lures: dict[str, LureAim] = Field(default_factory=dict)
    unserved: dict[str, Unserved] = Field(default_factory=dict)


CONTINUED = ("pools", "lures", "unserved")
"""The sections that a domain file may continue in `outside/<slug>.yaml`: what outsiders write, and what no tool does."""
