"""The closed set of kinds of constraints, and the parameters of each.

A rule of a policy is a sentence for readers and one of these for machines. Tools are named by full id in a trace and
by bare name in a domain file. `roles: null` binds everyone; `tools: null` means every tool.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gatling_sid.models import Constraint, Effect, SensitivityTier, SystemPolicy, TrustTier


class Parameters(BaseModel):
    """Parameters of one constraint: whom and which tools it binds; each kind adds its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)

    roles: frozenset[str] | None = None
    tools: frozenset[str] | None = None

    def concerns(self, role: str | None, tools: AbstractSet[str]) -> bool:
        """Whether the constraint binds this role at any of these tools, given by their plain names."""
        return self._binds_role(role) and (self.tools is None or not _plain_names(self.tools).isdisjoint(tools))

    def binds(self, role: str | None, tool_id: str) -> bool:
        """Whether the constraint binds this role when it calls this tool."""
        return (self.tools is None or plain_name(tool_id) in _plain_names(self.tools)) and self._binds_role(role)

    def _binds_role(self, role: str | None) -> bool:
        return self.roles is None or (role is not None and plain_name(role) in _plain_names(self.roles))


@lru_cache(maxsize=65536)
def plain_name(name: str) -> str:
    """A role's name or a tool's id in lower case and stripped, so that another spelling does not evade a rule."""
    return name.strip().casefold()


@lru_cache(maxsize=65536)
def _plain_names(names: frozenset[str]) -> frozenset[str]:
    return frozenset(map(plain_name, names))


class RowLimit(Parameters):
    """No call may ask for or return more than `max_rows` rows; the groups of a measure do not count as rows."""

    max_rows: int


class TimeRange(Parameters):
    """No call that names a period may reach more than `max_days` days back or ahead; one without an end reaches its rows."""

    max_days: int


class SensitivityCeiling(Parameters):
    """No call may read, write, filter or sort by a field above `max_tier`; with `entity`, only of that entity."""

    max_tier: SensitivityTier
    entity: str | None = None


class ExportTargets(Parameters):
    """Exports go to one of `allowed` only."""

    allowed: list[str]


class ExportSensitivity(Parameters):
    """An export to one of `targets` holds no field above `max_tier`."""

    targets: list[str]
    max_tier: SensitivityTier


class MayNotCall(Parameters):
    """The tools must not be called at all."""


class Precondition(Parameters):
    """A change of a row of `entity`, or a message about it, is allowed only after an earlier call has shown certain fields.

    So is the creation of a row that refers to it.
    """

    entity: str

    @property
    @abstractmethod
    def evidence(self) -> tuple[str, ...]:
        """The fields that an earlier call must have shown."""

    def concerns_effect(self, effect: Effect) -> bool:
        """Whether an effect needs the look-up, if it is on rows of `entity`; a new row counts by the rows it refers to."""
        return effect.kind in ("update", "delete", "send", "create")


class FieldPrecondition(Precondition):
    """A precondition whose look-up must have shown the one `field` that decides."""

    field: str

    @property
    def evidence(self) -> tuple[str, ...]:
        """The fields that an earlier call must have shown."""
        return (self.field,)


class ReadBeforeChange(Precondition):
    """A row of `entity` may be changed only after an earlier call of the plan returned it with `fields`."""

    fields: list[str]

    @property
    def evidence(self) -> tuple[str, ...]:
        """The fields that an earlier call must have shown."""
        return tuple(self.fields)


class StateBeforeChange(FieldPrecondition):
    """A row may be changed only while its `field` is one of `allowed`, and an earlier call must have shown that."""

    allowed: list[Any]


class AmountLimit(FieldPrecondition):
    """The changed row's `field` is at most `max_value`, and an earlier call must have shown it."""

    max_value: float


class ApprovedBy(FieldPrecondition):
    """The changed row's `field` names who approved it, and that is not the principal's own `attribute` (four eyes).

    An earlier call must have shown the field.
    """

    attribute: str


DECIMALS_OF_SHARE = 6
"""Decimals of a share of an amount, so that 57 is at most 0.57 of 100 although the product of floats is a little less."""


class AtMostField(FieldPrecondition):
    """The numeric `argument` is at most `share` times the `field` of the row that is changed or that a new row refers to.

    An earlier call must have shown the field. Example: a refund is at most what was paid.
    """

    argument: str
    share: float = 1.0


class Transitions(FieldPrecondition):
    """A call that writes `field` moves it only along the allowed steps: `allowed` lists for each value those that may follow.

    An earlier call must have shown the value before the step. A value that is not listed is kept, even if it is missing.
    """

    allowed: dict[str, list[str]]

    def concerns_effect(self, effect: Effect) -> bool:
        """Whether an effect needs the look-up: only one that writes the field."""
        return effect.kind == "update" and self.field in effect.changes


class Consent(FieldPrecondition):
    """Rows of `entity` are changed, exported or written about only if their flag `field` is true.

    An earlier call must have shown the flag; an export may instead select rows by a filter that demands it.
    """

    def concerns_effect(self, effect: Effect) -> bool:
        """Whether an effect needs the look-up; an export does too."""
        return super().concerns_effect(effect) or effect.kind == "export"


class ArgumentMax(Parameters):
    """The numeric `argument`, or each number in it, is at most `max_value`."""

    argument: str
    max_value: float


class AtMostOwn(Parameters):
    """The numeric `argument`, or each number in it, is at most the number that the principal has as `attribute`."""

    argument: str
    attribute: str


class ArgumentValues(Parameters):
    """The `argument`, or each element of it, is one of `allowed`."""

    argument: str
    allowed: list[Any]


class ArgumentRequired(Parameters):
    """The `argument` must be given, and not be blank."""

    argument: str


class ArgumentDays(Parameters):
    """A date in the `argument` lies between `min_days` and `max_days` days from today (negative: in the past).

    With `workdays_only`, it is also a Monday, Tuesday, Wednesday, Thursday or Friday.
    """

    argument: str
    min_days: int | None = None
    max_days: int | None = None
    workdays_only: bool = False


class Hours(Parameters):
    """The tools are called only at or after `from_hour` and before `to_hour`, full hours of the day in UTC."""

    from_hour: int = Field(ge=0, le=23)
    to_hour: int = Field(ge=1, le=24)

    def allows(self, hour: int) -> bool:
        """Whether calls may happen within this hour of the day, from 0 to 23."""
        return self.from_hour <= hour < self.to_hour


class FieldLimit(Parameters):
    """A call shows at most `max_fields` fields of a row: those that it selects, or else all that the tool returns."""

    max_fields: int


class NarrowedBy(Parameters):
    """At least one of `arguments` must be given and leave some rows out, so that nobody reads everything."""

    arguments: list[str]


class OwnRecords(Parameters):
    """Every row of `entity` that is read, counted, changed, created or written about has `field` equal to `attribute`.

    The attribute is the principal's; a row without a value in the field is nobody's own.
    """

    entity: str
    field: str
    attribute: str


class NotOwn(Parameters):
    """No changed row of `entity` has `field` equal to the principal's `attribute` (separation of duties)."""

    entity: str
    field: str
    attribute: str


class NotifyAfter(Parameters):
    """After a change of a row of `entity`, a later call of `notify` about it reaches the address in `recipient_field`.

    If the rule names tools that read or export rows, each row that these return must be notified about too. With
    `unless_own`, rows whose `recipient_field` equals this attribute of the principal need no notice.
    """

    entity: str
    notify: str
    recipient_field: str
    unless_own: str | None = None


class NoFlow(Parameters):
    """Nothing read from `fields` of `entity`, or copies of them, may reach the tools, through calls and records."""

    entity: str
    fields: list[str]


class TrustedSource(Parameters):
    """The `arguments` rest on content of the tier `least` or a more trusted one: text of strangers does not fill them."""

    arguments: list[str]
    least: TrustTier


class SystemOfRecord(Parameters):
    """The `argument`, unless the request states it, is the `field` of a row of `entity`, wherever it is also written."""

    argument: str
    entity: str
    field: str


class OnlyAsAsked(Parameters):
    """Once content of the tier `of` or a less trusted one was read, calls change and send only what the request asks for.

    So nothing is done because the content says so. What a rule of the policy demands is part of what is asked for.
    """

    of: TrustTier = TrustTier.UNVERIFIED_RAG


class Recipients(Parameters):
    """Messages go only to addresses that end with one of `endings`; a host that only looks alike does not."""

    endings: list[str]

    def allows(self, address: str) -> bool:
        """Whether a message may go to an address: `elm.example` allows `a@b.elm.example`, but not `a@helm.example`."""
        return any(_ends_with(address, each) for each in self.endings)


def _ends_with(address: str, ending: str) -> bool:
    address, ending = (each.strip().rstrip(".").casefold() for each in (address, ending))
    if not ending:
        return False
    suffixes = ending if ending[0] in "@." else (f"@{ending}", f".{ending}")
    return address == ending or (address.count("@") == 1 and address.endswith(suffixes))


class BatchLimit(Parameters):
    """One plan changes at most `max_records` different rows by these tools; each record created counts, and each message."""

    max_records: int


KINDS: dict[str, type[Parameters]] = {
    "row_limit": RowLimit,
    "time_range": TimeRange,
    "sensitivity_ceiling": SensitivityCeiling,
    "export_targets": ExportTargets,
    "export_sensitivity": ExportSensitivity,
    "may_not_call": MayNotCall,
    "read_before_change": ReadBeforeChange,
    "state_before_change": StateBeforeChange,
    "amount_limit": AmountLimit,
    "approved_by": ApprovedBy,
    "at_most_field": AtMostField,
    "transitions": Transitions,
    "consent": Consent,
    "argument_max": ArgumentMax,
    "at_most_own": AtMostOwn,
    "argument_values": ArgumentValues,
    "argument_required": ArgumentRequired,
    "argument_days": ArgumentDays,
    "hours": Hours,
    "field_limit": FieldLimit,
    "narrowed_by": NarrowedBy,
    "own_records": OwnRecords,
    "not_own": NotOwn,
    "notify_after": NotifyAfter,
    "no_flow": NoFlow,
    "trusted_source": TrustedSource,
    "system_of_record": SystemOfRecord,
    "only_as_asked": OnlyAsAsked,
    "recipients": Recipients,
    "batch_limit": BatchLimit,
}


PRECONDITION_KINDS = frozenset(kind for kind, parameters in KINDS.items() if issubclass(parameters, Precondition))
"""The kinds that allow a change, a message or an export only after a look-up."""


def read_constraints(
    policy: SystemPolicy, kinds: Collection[str] | None = None
) -> list[tuple[str, str, Parameters | str]]:
    """(constraint id, kind, parameters or what is wrong with them) of each constraint of a policy, or only of some kinds."""
    return [
        (each.constraint_id, each.kind, _parse_constraint(each))
        for each in policy.constraints
        if kinds is None or each.kind in kinds
    ]


_PARAMETERS: dict[tuple[str, str, str], Parameters | str] = {}
_MAX_PARAMETERS = 50_000
"""Number of constraints whose parameters are kept: more than all families have. The limit bounds the memory that traces
from other sources can take."""


def _parse_constraint(constraint: Constraint) -> Parameters | str:
    """The typed parameters, or what is wrong with them; memoised, since all traces of a policy have the same constraints."""
    key = (constraint.constraint_id, constraint.kind, repr(constraint.parameters))
    if key not in _PARAMETERS:
        if len(_PARAMETERS) >= _MAX_PARAMETERS:
            _PARAMETERS.clear()
        try:
            _PARAMETERS[key] = parameters_of(constraint)
        except ValueError as error:
            _PARAMETERS[key] = str(error)
    return _PARAMETERS[key]


def parameters_of(constraint: Constraint) -> Parameters:
    """Parses the constraint's parameters by its kind.

    Raises:
        ValueError: unknown kind, or parameters that do not fit it.

    """
    kind = KINDS.get(constraint.kind)
    if kind is None:
        raise ValueError(f"constraint {constraint.constraint_id!r} is of unknown kind {constraint.kind!r}")
    try:
        return kind.model_validate(constraint.parameters)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(
            f"constraint {constraint.constraint_id!r} ({constraint.kind}): {where}: {first['msg']}"
        ) from None
