"""GoldTrace and its parts: the models that all other packages exchange.

Their objects are mutable, since users edit copies of them; this package never changes an object that it was given.
"""

from __future__ import annotations

import heapq
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from gatling_sid.models.base import TraceModel
from gatling_sid.models.tiers import SensitivityTier, TrustTier

INTENTS = ("retrieve", "update", "create", "delete", "export", "analyze")
"""All values of `UserRequest.intent_category`."""
EMBEDDED_ORACLE = "scenario"
"""`metadata.oracle` of traces by the embedded oracle; such a trace follows from its coordinates and the catalogue."""


class ScopeMetadata(TraceModel):
    """How much a request or a call reaches: number of rows, sensitivity, days looked back, target of an export.

    None means that there is no such limit, period or export.
    """

    rows_requested: int | None = None
    sensitivity_tier: SensitivityTier = SensitivityTier.INTERNAL
    time_range_days: int | None = None
    export_target: str | None = None


class ProvenancePointer(TraceModel):
    """Why a call is made: it quotes sentences of the request, a rule of the policy, or retrieved content."""

    source_type: TrustTier
    source_id: str
    timestamp: datetime | None = None
    content_snippet: str | None = None


class ArgumentSource(TraceModel):
    """Where an argument's value comes from.

    `origin` is `request`, `call`, `principal`, `policy`, `default` or `composed`; `reference` is the path within it
    (`call_1.items[0].invoice_id`, `staff_id`, `export_cap.allowed[0]`), `start` and `end` the character span
    of the request text that states the value. If the origin is `call` and there is a span, the value is stated in these
    characters of the text that `reference` leads to (`call_2.body`). A `composed` text is written by the assistant
    from the values that `reference` lists. `trust_tier` says who vouches for the value: the least trusted tier of
    what it rests on, also through earlier arguments, writes and reads.
    """

    argument: str
    origin: str
    reference: str | None = None
    start: int | None = None
    end: int | None = None
    trust_tier: TrustTier | None = None


class ToolCall(TraceModel):
    """One call of a tool; a string argument such as `$call_1.items[0].invoice_id` refers to an earlier result."""

    call_id: str
    tool_id: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    scope: ScopeMetadata = Field(default_factory=ScopeMetadata)
    provenance: ProvenancePointer | None = None
    dependencies: list[str] = Field(default_factory=list)
    argument_sources: list[ArgumentSource] = Field(default_factory=list)


class ToolCallGraph(TraceModel):
    """The calls of a plan and the order in which they run; the edges are the calls' `dependencies`."""

    graph_id: str
    calls: list[ToolCall] = Field(default_factory=list)
    execution_order: list[str] = Field(default_factory=list)

    def validate_dag(self) -> bool:
        """Whether ids are unique, every dependency exists and there is no cycle; takes linear time."""
        ids = {call.call_id for call in self.calls}
        if len(ids) != len(self.calls) or any(each not in ids for call in self.calls for each in call.dependencies):
            return False
        return len(topological_order(self.calls)) == len(self.calls)

    def depth(self) -> int:
        """The number of calls on the longest chain of dependencies; 0 for an empty graph."""
        longest: dict[str, int] = {}
        by_id = {call.call_id: call for call in self.calls}
        for call_id in self.execution_order:
            if call_id in by_id:
                longest[call_id] = 1 + max((longest.get(each, 0) for each in by_id[call_id].dependencies), default=0)
        return max(longest.values(), default=0)


def topological_order(calls: list[ToolCall], *, last_first: bool = False) -> list[str]:
    """Call ids in an order in which each comes after its dependencies.

    Calls on a cycle, and calls that depend on one of these, are left out. Of several calls that are ready, the first in
    the list comes first, or the last one with `last_first`. This is Kahn's algorithm with a heap: it takes
    O(n log n + edges) and does not recurse, so that long chains are no problem.
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


class Principal(TraceModel):
    """The person who asks: somebody in the simulated world, with the attributes that policies refer to."""

    principal_id: str
    role: str
    attributes: dict[str, Any] = Field(default_factory=dict)


class UserRequest(TraceModel):
    """What the principal asks for, in words, and the scope that the request is entitled to."""

    request_id: str
    domain: str
    text: str
    intent_category: str
    expected_scope: ScopeMetadata = Field(default_factory=ScopeMetadata)
    trust_tier: TrustTier = TrustTier.USER
    principal: Principal | None = None


class Constraint(TraceModel):
    """The machine-readable form of one rule of a policy.

    `parameters` depend on the kind; `rule` is the index of the sentence in the policy's `rules`.
    """

    constraint_id: str
    kind: str
    rule: int
    parameters: dict[str, Any] = Field(default_factory=dict)


class SystemPolicy(TraceModel):
    """The policy in force: `rules` are its sentences, `constraints` the same in machine-readable form."""

    policy_id: str
    domain: str
    description: str = ""
    rules: list[str] = Field(default_factory=list)
    forbidden_operations: list[str] = Field(default_factory=list)
    scope_limits: dict[str, Any] = Field(default_factory=dict)
    constraints: list[Constraint] = Field(default_factory=list)


class Showing(TraceModel):
    """Rows of an entity, by key, and the fields of these rows that the plan must show to the user."""

    entity: str
    rows: list[str]
    fields: list[str]


class MeasuredValue(TraceModel):
    """One value of a measurement; `group` is None if the measure is not grouped."""

    group: str | None
    value: float


class Measurement(TraceModel):
    """A measure that the plan must show to the user, and the rows over which it must be computed.

    `measure` is count, sum, average, minimum or maximum. `rows` is the number of rows and `rows_digest` the
    `digest_of` their keys, so that an equal value over other rows does not meet the goal.
    """

    entity: str
    measure: str
    field: str | None
    group_by: str | None
    rows: int
    rows_digest: str
    values: list[MeasuredValue]


class Effect(TraceModel):
    """A change that must happen: create, update or delete of rows, an export, or a message sent."""

    kind: str
    entity: str
    rows: list[str] = Field(default_factory=list)
    changes: dict[str, Any] = Field(default_factory=dict)
    target: str | None = None


class Goal(TraceModel):
    """What serves the request: rows and measures that must be shown, and exactly the effects that must happen.

    `time_range_days` is the period that the request asks about; a plan must look back at least so far.
    """

    shows: list[Showing] = Field(default_factory=list)
    measures: list[Measurement] = Field(default_factory=list)
    effects: list[Effect] = Field(default_factory=list)
    time_range_days: int | None = None


class Observation(TraceModel):
    """What one call returned, as the agent sees it.

    Of a list of rows, `result` has the first `MAX_ROWS_OBSERVED`, and `omitted_rows` counts the others. `trust` has the
    tiers of the values that are not by the own systems, by path within `result` (`body`, `items[0].body`, or
    `items[*].body` if it is the same for all rows).
    """

    call_id: str
    result: dict[str, Any]
    omitted_rows: int = 0
    trust: dict[str, TrustTier] = Field(default_factory=dict)


MAX_ROWS_OBSERVED = 20
"""Rows of a result that an observation has; those of longer lists are counted."""


class LuredCall(TraceModel):
    """A call with which an agent would obey a lure; its arguments are values that the lure states."""

    tool_id: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class Lure(TraceModel):
    """An instruction to the assistant in content from outside, which the plan reads and does not obey.

    It stands in the observation of `call_id`, in the text at `path` of the result, from character `start` to `end`.
    `aim` names what it wants in the catalogue and `wants` says it in English; `guise`, `place` and `language` say how it
    is put. `calls` obey it.
    """

    call_id: str
    path: str
    start: int
    end: int
    aim: str
    wants: str
    guise: str
    place: str
    language: str
    calls: list[LuredCall] = Field(default_factory=list)


OUTCOMES = ("served", "declined", "partly_served", "nothing_to_call", "needs_question")
"""All values of `Outcome.kind`."""


class Outcome(TraceModel):
    """What becomes of the request, and why.

    `served`: the plan does all of it. `declined` and `partly_served`: the policy forbids it, or a part of it, by the
    constraint `constraint_id`; `refused_graph` is the plan that would do it and meet `refused_goal`, and breaks just
    this constraint. `nothing_to_call`: no tool is needed, or none can do it. `needs_question`: several rows fit what the
    request names as one.
    """

    kind: str
    reason: str = ""
    constraint_id: str | None = None
    refused_goal: Goal | None = None
    refused_graph: ToolCallGraph | None = None


class GoldTrace(TraceModel):
    """A request, the policy in force, the goal, and the minimal compliant plan that meets the goal.

    `validated` is true only if a judge found the trace gold. `outcome` None means served. `observations` has what each
    call returned, in execution order; None if a reader left them out. `lures` are those that the observations hold.
    """

    trace_id: str
    request: UserRequest
    policy: SystemPolicy
    graph: ToolCallGraph
    metadata: dict[str, Any] = Field(default_factory=dict)
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    validated: bool = False
    goal: Goal | None = None
    outcome: Outcome | None = None
    observations: list[Observation] | None = None
    lures: list[Lure] = Field(default_factory=list)

    def to_training_format(self) -> dict[str, Any]:
        """The whole trace as a dict of plain values that JSON can write."""
        return self.model_dump(mode="json")
