"""GoldTrace and its parts: the records that every other room passes on.

Public models are mutable, since callers edit copies; our own code never edits one it was given.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

INTENTS = ("retrieve", "update", "create", "delete", "export", "analyze")
SCENARIO = "scenario"
"""`metadata.oracle` of a trace whose words, goal and person follow from its coordinates and the catalogue."""


class SensitivityTier(str, Enum):
    """How much harm a leak of the data would do, in four steps."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    RESTRICTED = "restricted"

    @property
    def level(self) -> int:
        """1 public … 4 restricted."""
        return _LEVELS[self]


_LEVELS = {tier: level for level, tier in enumerate(SensitivityTier, start=1)}


class TrustTier(str, Enum):
    """Who vouches for a piece of content."""

    SYSTEM = "system"
    USER = "user"
    VERIFIED_RAG = "verified_rag"
    UNVERIFIED_RAG = "unverified_rag"

    @property
    def tier(self) -> int:
        """1 own systems and users, 2 signed partner, 3 public web."""
        return {"verified_rag": 2, "unverified_rag": 3}.get(self.value, 1)


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_assignment=False, allow_inf_nan=False)


class ToolParameter(_Record):
    """One parameter of a tool; `constraints` holds JSON Schema keywords (`minimum`, `enum`, …)."""

    name: str
    type: str
    description: str = ""
    required: bool = False
    default: Any = None
    constraints: dict[str, Any] = Field(default_factory=dict)


class ToolSchema(_Record):
    """One tool; `returns` says what it gives back: a JSON Schema, or a sentence."""

    tool_id: str
    domain: str
    name: str
    description: str = ""
    parameters: list[ToolParameter] = Field(default_factory=list)
    returns: dict[str, Any] | str = Field(default_factory=dict)
    sensitivity: SensitivityTier = SensitivityTier.INTERNAL
    requires_auth: bool = True

    def json_schema(self) -> dict[str, Any]:
        """The parameters as one JSON Schema object."""
        properties = {
            each.name: {
                "type": each.type,
                "description": each.description,
                **each.constraints,
                **({} if each.default is None else {"default": each.default}),
            }
            for each in self.parameters
        }
        required = [each.name for each in self.parameters if each.required]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


class ScopeMetadata(_Record):
    """How much a request or a call touches: rows, sensitivity, days looked back, where data leaves to."""

    rows_requested: int | None = None
    sensitivity_tier: SensitivityTier = SensitivityTier.INTERNAL
    time_range_days: int | None = None
    export_target: str | None = None


class ProvenancePointer(_Record):
    """What asked for a call: a span of the request, a rule of the policy, or retrieved content."""

    source_type: TrustTier
    source_id: str
    timestamp: datetime | None = None
    content_snippet: str | None = None


class ArgumentSource(_Record):
    """Where an argument's value comes from.

    `origin` is `request`, `call`, `principal`, `policy` or `default`; `reference` is the path within it
    (`call_1.items[0].invoice_id`, `staff_id`, `export_cap.allowed[0]`), `start` and `end` the character span
    of the request text that says the value.
    """

    argument: str
    origin: str
    reference: str | None = None
    start: int | None = None
    end: int | None = None


class ToolCall(_Record):
    """One call of a tool; a string argument such as `$call_1.items[0].invoice_id` refers to an earlier result."""

    call_id: str
    tool_id: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    scope: ScopeMetadata = Field(default_factory=ScopeMetadata)
    provenance: ProvenancePointer | None = None
    dependencies: list[str] = Field(default_factory=list)
    argument_sources: list[ArgumentSource] = Field(default_factory=list)


class ToolCallGraph(_Record):
    """Calls and the order they run in; edges are the calls' `dependencies`."""

    graph_id: str
    calls: list[ToolCall] = Field(default_factory=list)
    execution_order: list[str] = Field(default_factory=list)

    def validate_dag(self) -> bool:
        """True if ids are unique, every dependency exists and no call waits for itself; linear time."""
        ids = {call.call_id for call in self.calls}
        if len(ids) != len(self.calls) or any(each not in ids for call in self.calls for each in call.dependencies):
            return False
        return len(topological_order(self.calls)) == len(self.calls)

    def depth(self) -> int:
        """Calls on the longest chain of dependencies, in execution order; 0 for an empty graph."""
        longest: dict[str, int] = {}
        by_id = {call.call_id: call for call in self.calls}
        for call_id in self.execution_order:
            if call_id in by_id:
                longest[call_id] = 1 + max((longest.get(each, 0) for each in by_id[call_id].dependencies), default=0)
        return max(longest.values(), default=0)


def topological_order(calls: list[ToolCall], *, last_first: bool = False) -> list[str]:
    """Call ids, dependencies first, ties by position (or reversed); calls on or behind a cycle are left out.

    Kahn's algorithm with a heap, O(n log n + edges), no recursion: long chains are fine.
    """
    position = {call.call_id: at for at, call in enumerate(calls)}
    if not last_first and all(
        position.get(each, -1) < at for at, call in enumerate(calls) for each in call.dependencies
    ):
        return list(position)
    sign = -1 if last_first else 1
    position = {call.call_id: sign * index for index, call in enumerate(calls)}
    waiting = {call.call_id: len({*call.dependencies} & position.keys()) for call in calls}
    dependents: dict[str, list[str]] = {call_id: [] for call_id in position}
    for call in calls:
        for each in {*call.dependencies} & position.keys():
            dependents[each].append(call.call_id)
    ready = [(position[call_id], call_id) for call_id, count in waiting.items() if not count]
    heapq.heapify(ready)
    order = []
    while ready:
        _, call_id = heapq.heappop(ready)
        order.append(call_id)
        for each in dependents[call_id]:
            waiting[each] -= 1
            if not waiting[each]:
                heapq.heappush(ready, (position[each], each))
    return order


class Principal(_Record):
    """Who asks: a person of the simulated world, with the attributes that policies refer to."""

    principal_id: str
    role: str
    attributes: dict[str, Any] = Field(default_factory=dict)


class UserRequest(_Record):
    """What is asked, in the words of the one who asks."""

    request_id: str
    domain: str
    text: str
    intent_category: str
    expected_scope: ScopeMetadata = Field(default_factory=ScopeMetadata)
    trust_tier: TrustTier = TrustTier.USER
    principal: Principal | None = None


class Constraint(_Record):
    """The machine-readable form of one rule: `parameters` carry its boundary values, `rule` its sentence's index."""

    constraint_id: str
    kind: str
    rule: int
    parameters: dict[str, Any] = Field(default_factory=dict)


class SystemPolicy(_Record):
    """The policy in force: sentences for readers, `constraints` for machines."""

    policy_id: str
    domain: str
    description: str = ""
    rules: list[str] = Field(default_factory=list)
    forbidden_operations: list[str] = Field(default_factory=list)
    scope_limits: dict[str, Any] = Field(default_factory=dict)
    constraints: list[Constraint] = Field(default_factory=list)


class Showing(_Record):
    """Rows of an entity, by key, and the fields of them that the user must end up seeing."""

    entity: str
    rows: list[str]
    fields: list[str]


class MeasuredValue(_Record):
    """One number of a measurement; `group` is None when nothing was grouped."""

    group: str | None
    value: float


class Measurement(_Record):
    """A figure the user must end up seeing, and the rows it must have been taken over.

    `measure` is count, sum, average, minimum or maximum; `rows_digest` is `digest_of(keys)`, so that a figure that
    is right by chance over other rows does not pass.
    """

    entity: str
    measure: str
    field: str | None
    group_by: str | None
    rows: int
    rows_digest: str
    values: list[MeasuredValue]


class Effect(_Record):
    """A change that must happen: create, update or delete of rows, an export, or a message sent."""

    kind: str
    entity: str
    rows: list[str] = Field(default_factory=list)
    changes: dict[str, Any] = Field(default_factory=dict)
    target: str | None = None


class Goal(_Record):
    """What serving the request means: these rows and figures seen, exactly these effects, this far looked back."""

    shows: list[Showing] = Field(default_factory=list)
    measures: list[Measurement] = Field(default_factory=list)
    effects: list[Effect] = Field(default_factory=list)
    time_range_days: int | None = None


class GoldTrace(_Record):
    """A request, the policy in force, and the minimal compliant graph of calls that serves it."""

    trace_id: str
    request: UserRequest
    policy: SystemPolicy
    graph: ToolCallGraph
    metadata: dict[str, Any] = Field(default_factory=dict)
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    validated: bool = False
    goal: Goal | None = None

    def to_training_format(self) -> dict[str, Any]:
        """The full record as a plain, JSON-serialisable dict."""
        return self.model_dump(mode="json")


RecordT = TypeVar("RecordT", bound=BaseModel)
_set = object.__setattr__
_new = object.__new__


@lru_cache(maxsize=64)
def _all_fields(model: type[BaseModel]) -> set[str]:
    """Shared by the records of a model: it names every field, so nothing can ever be added to it."""
    return set(model.model_fields)


def construct_trusted(model: type[RecordT], fields: Mapping[str, Any]) -> RecordT:
    """A record from values already known to be valid; `fields` must name every field of `model`.

    Validating costs 84 µs a trace and `model_construct` more; this is 1 µs a record. Only the embedded oracle uses
    it, and a test validates its output in full.
    """
    record = _new(model)
    _set(record, "__dict__", fields)
    _set(record, "__pydantic_fields_set__", _all_fields(model))
    _set(record, "__pydantic_extra__", None)
    _set(record, "__pydantic_private__", None)
    return record
