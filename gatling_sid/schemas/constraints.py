"""The closed set of constraint kinds, and the parameters each carries.

A rule of a policy is a sentence for readers and one of these for machines. Tools are named by full id in a trace and
by bare name in a domain file. `roles: null` binds everyone; `tools: null` means every tool.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Set as AbstractSet
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from gatling_sid.models import Constraint, SensitivityTier, SystemPolicy


class Parameters(BaseModel):
    """Boundary values of one constraint."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)

    roles: frozenset[str] | None = None
    tools: frozenset[str] | None = None

    def concerns(self, role: str | None, tool_ids: AbstractSet[str]) -> bool:
        """Whether the constraint speaks of this role and of any of these tools."""
        return (self.roles is None or role in self.roles) and (
            self.tools is None or not self.tools.isdisjoint(tool_ids)
        )

    def binds(self, role: str | None, tool_id: str) -> bool:
        """Whether the constraint speaks of this role calling this tool."""
        return (self.roles is None or role in self.roles) and (self.tools is None or tool_id in self.tools)


class RowLimit(Parameters):
    """No call may ask for or return more than `max_rows` rows."""

    max_rows: int


class TimeRange(Parameters):
    """No call may look back more than `max_days` days."""

    max_days: int


class SensitivityCeiling(Parameters):
    """No call may read or write a field above `max_tier`; with `entity`, only that entity's fields count."""

    max_tier: SensitivityTier
    entity: str | None = None


class ExportTargets(Parameters):
    """Exports go to one of `allowed` only."""

    allowed: list[str]


class ExportSensitivity(Parameters):
    """What leaves to one of `targets` holds no field above `max_tier`."""

    targets: list[str]
    max_tier: SensitivityTier


class MayNotCall(Parameters):
    """The tools are not to be called."""


class Informed(Parameters):
    """Kinds that condition a change of a row of `entity` on what an earlier call showed of it."""

    entity: str

    @property
    @abstractmethod
    def evidence(self) -> tuple[str, ...]:
        """The fields that must have been read."""


class ReadBeforeChange(Informed):
    """A row of `entity` may be changed only after an earlier call of the plan returned it with `fields`."""

    fields: list[str]

    @property
    def evidence(self) -> tuple[str, ...]:
        """The fields that must have been read."""
        return tuple(self.fields)


class StateBeforeChange(Informed):
    """A row may be changed only while its `field` is one of `allowed`, and an earlier call must have shown that."""

    field: str
    allowed: list[Any]

    @property
    def evidence(self) -> tuple[str, ...]:
        """The fields that must have been read."""
        return (self.field,)


class AmountLimit(Informed):
    """The changed row's `field` is at most `max_value`, and an earlier call must have shown it."""

    field: str
    max_value: float

    @property
    def evidence(self) -> tuple[str, ...]:
        """The fields that must have been read."""
        return (self.field,)


class ArgumentMax(Parameters):
    """The numeric `argument` is at most `max_value`."""

    argument: str
    max_value: float


class ArgumentValues(Parameters):
    """The `argument` is one of `allowed`."""

    argument: str
    allowed: list[Any]


class ArgumentRequired(Parameters):
    """The `argument` must be given."""

    argument: str


class NarrowedBy(Parameters):
    """At least one of `arguments` must be given: no reading without a filter."""

    arguments: list[str]


class OwnRecords(Parameters):
    """Every row of `entity` that is read or changed has `field` equal to the principal's `attribute`."""

    entity: str
    field: str
    attribute: str


class NotOwn(Parameters):
    """No changed row of `entity` has `field` equal to the principal's `attribute` (separation of duties)."""

    entity: str
    field: str
    attribute: str


class NotifyAfter(Parameters):
    """After a change of a row of `entity`, a later call of `notify` about it reaches the address in `recipient_field`."""

    entity: str
    notify: str
    recipient_field: str


class NoFlow(Parameters):
    """Nothing read from `fields` of `entity` may be passed to the tools, directly or through other calls."""

    entity: str
    fields: list[str]


class Recipients(Parameters):
    """Messages go only to addresses that end with one of `endings`."""

    endings: list[str]


class BatchLimit(Parameters):
    """One plan changes at most `max_records` rows by these tools."""

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
    "argument_max": ArgumentMax,
    "argument_values": ArgumentValues,
    "argument_required": ArgumentRequired,
    "narrowed_by": NarrowedBy,
    "own_records": OwnRecords,
    "not_own": NotOwn,
    "notify_after": NotifyAfter,
    "no_flow": NoFlow,
    "recipients": Recipients,
    "batch_limit": BatchLimit,
}


def read_constraints(policy: SystemPolicy) -> list[tuple[str, str, Parameters | str]]:
    """(constraint id, kind, parameters, or what is wrong with them) of every constraint of a policy."""
    return [(each.constraint_id, each.kind, _read(each)) for each in policy.constraints]


def _read(constraint: Constraint) -> Parameters | str:
    """Typed parameters, or what is wrong; parsed once, since the traces of a policy member all carry the same ones."""
    key = (constraint.constraint_id, constraint.kind, repr(constraint.parameters))
    if key not in _PARSED:
        if len(_PARSED) >= _MOST_PARSED:
            _PARSED.clear()
        try:
            _PARSED[key] = parameters_of(constraint)
        except ValueError as error:
            _PARSED[key] = str(error)
    return _PARSED[key]


_PARSED: dict[tuple[str, str, str], Parameters | str] = {}
_MOST_PARSED = 50_000


def parameters_of(constraint: Constraint) -> Parameters:
    """The constraint's parameters, typed by its kind.

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
