"""A trace on trial: what the checks need to know of it, worked out once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date
from functools import cached_property
from typing import Any

from gatling_sid.errors import OracleError
from gatling_sid.models import SCENARIO, GoldTrace, ToolCall, ToolCallGraph, construct_trusted
from gatling_sid.scenarios.instances import TaskInstance, instance_at
from gatling_sid.scenarios.scheduled_request import ScheduledRequest, scheduled_request_at, split_and_index
from gatling_sid.schemas.constraints import Parameters, plain_name, read_constraints
from gatling_sid.schemas.domain import SPLITS, Domain
from gatling_sid.schemas.references import Reference, references_in
from gatling_sid.schemas.registry import DomainRegistry
from gatling_sid.simulator.execution import Execution, execute, tools_of
from gatling_sid.simulator.operations import CallResult, CompiledTool
from gatling_sid.simulator.scope import days_of_period
from gatling_sid.simulator.world import World, world_of

Uses = dict[str, dict[str, set[str]]]
"""By call: the fields used of each row, by key."""
MOST_CALLS_REPLAYED = 64
MOST_ATTEMPTS = 1000
"""More draws than any oracle makes for one trace."""


class TraceContext:
    """One trace and, as far as the catalogue knows its domain, the world it plays in and what happens there."""

    def __init__(self, trace: GoldTrace, registry: DomainRegistry) -> None:
        """Looks up what is cheap; the world and what happens in it are worked out when first asked for."""
        self.trace = trace
        self.registry = registry
        name = trace.request.domain
        self.domain: Domain | None = registry.domain(name) if registry.has_domain(name) else None
        """The catalogue's domain, if it knows the one that the request names."""
        self.tools: Mapping[str, CompiledTool] = tools_of(self.domain) if self.domain else {}
        """The domain's tools by id; none for a domain the catalogue does not know."""
        self.role = trace.request.principal.role if trace.request.principal else None
        """The role of the one who asks."""
        self.without_call: dict[str, TraceContext] = {}
        """The case without each call, as far as it was worked out."""
        self.uses: Uses | None = None
        """What is needed of the rows that calls return, once it was worked out."""

    @cached_property
    def by_id(self) -> dict[str, ToolCall]:
        """Calls by id; of several with one id, the last."""
        return {call.call_id: call for call in self.trace.graph.calls}

    @cached_property
    def ordered_calls(self) -> list[ToolCall]:
        """The calls in execution order, as far as the order names them."""
        return [self.by_id[call_id] for call_id in self.trace.graph.execution_order if call_id in self.by_id]

    @cached_property
    def why_not_replayable(self) -> str | None:
        """Why the trace cannot be replayed, or None."""
        metadata, domain = self.trace.metadata, self.domain
        if domain is None:
            return f"the catalogue has no domain {self.trace.request.domain!r}"
        if self.trace.goal is None:
            return "the trace states no goal"
        made_with = metadata.get("catalogue")
        if made_with is None:
            return "the trace names no simulated world"
        if made_with != domain.digest:
            return f"the trace was made with catalogue {made_with}, this is {domain.digest}"
        if type(metadata.get("seed")) is not int or not _is_world(metadata.get("world")):
            return "the trace names no simulated world"
        if len(self.trace.graph.calls) > MOST_CALLS_REPLAYED:
            return f"the graph has more than {MOST_CALLS_REPLAYED} calls"
        return None

    @property
    def claims_family(self) -> bool:
        """Whether the policy claims, by its id, to be a member of the domain's family."""
        return self.domain is not None and self.trace.policy.policy_id.partition("-")[0] == self.domain.slug

    @cached_property
    def has_published_policy(self) -> bool:
        """Whether the policy is the domain's own record of one of its family, sound since the domain was loaded."""
        policy = self.trace.policy
        return self.domain is not None and self.domain.family.own_record(policy) is policy

    @cached_property
    def world(self) -> World:
        """The world the trace plays in; only for traces that can be replayed."""
        assert self.domain is not None
        return world_of(self.domain, self.trace.metadata["seed"], self.trace.metadata["world"])

    @cached_property
    def execution(self) -> Execution | None:
        """What the plan does, executed again; None if it cannot be replayed."""
        return None if self.why_not_replayable else execute(self.ordered_calls, self.world)

    @property
    def results(self) -> Mapping[str, CallResult]:
        """Outcomes of the calls that ran."""
        return self.execution.results if self.execution else {}

    @cached_property
    def today(self) -> date | None:
        """The day the trace plays on, as it states it."""
        try:
            return date.fromisoformat(self.trace.metadata["today"])
        except (KeyError, TypeError, ValueError):
            return None

    @cached_property
    def constraints(self) -> list[tuple[str, str, Parameters]]:
        """(constraint id, kind, parameters) of every well-formed constraint that speaks of this role and these tools."""
        tools = {plain_name(call.tool_id) for call in self.ordered_calls}
        return [
            (constraint_id, kind, each)
            for constraint_id, kind, each in self._parsed
            if not isinstance(each, str) and each.concerns(self.role, tools)
        ]

    @cached_property
    def malformed_constraints(self) -> list[str]:
        """What is wrong with the constraints that are not well formed."""
        return [each for _, _, each in self._parsed if isinstance(each, str)]

    @cached_property
    def _parsed(self) -> list[tuple[str, str, Parameters | str]]:
        published = (
            self.domain.family.parameters_of(self.trace.policy) if self.domain and self.has_published_policy else None
        )
        return read_constraints(self.trace.policy) if published is None else published

    @property
    def is_embedded(self) -> bool:
        """Whether the trace claims to be the embedded oracle's, so that its words follow from its coordinates."""
        return self.trace.metadata.get("oracle") == SCENARIO

    @cached_property
    def attempt(self) -> int | None:
        """Which draw of the embedded oracle a trace of its own claims to be; None for any other trace."""
        attempt = self.trace.metadata.get("attempt")
        replayable = self.is_embedded and self.domain is not None and self.why_not_replayable is None
        return attempt if replayable and type(attempt) is int and 0 <= attempt < MOST_ATTEMPTS else None

    @cached_property
    def instance(self) -> TaskInstance | None:
        """The case of a scenario that a trace of the embedded oracle names, or None if its world holds no such case."""
        scenario, case = self.trace.metadata.get("scenario"), self.trace.metadata.get("case")
        if self.domain is None or self.attempt is None or type(case) is not int or case < 0:
            return None
        known = isinstance(scenario, str) and scenario in self.domain.file.scenarios
        return instance_at(self.world, scenario, case, self.attempt) if known else None

    @cached_property
    def scheduled_request(self) -> ScheduledRequest | None:
        """What the embedded oracle asks at the coordinates of a trace of its own; None for any other trace."""
        place = split_and_index(self.trace.trace_id, self.domain) if self.domain else None
        if self.domain is None or self.attempt is None or place is None:
            return None
        with suppress(OracleError):  # beyond what the domain can word
            return scheduled_request_at(self.domain, self.trace.metadata["seed"], *place, self.attempt)
        return None

    @cached_property
    def references_used(self) -> list[tuple[ToolCall, str, Reference]]:
        """(call, argument, reference) of all that calls take from other calls' results."""
        return [(call, name, reference) for call in self.ordered_calls for name, reference in references_of_call(call)]

    @property
    def succeeds(self) -> bool:
        """Whether the plan was executed, every call of it, and none was refused."""
        execution = self.execution
        return execution is not None and execution.refusal is None and execution.results.keys() == self.by_id.keys()

    def with_plan(self, calls: list[ToolCall], execution: Execution) -> TraceContext:
        """The case of another plan for the same request, already executed."""
        order = [call.call_id for call in calls]
        graph = construct_trusted(
            ToolCallGraph, {**self.trace.graph.__dict__, "calls": calls, "execution_order": order}
        )
        other = TraceContext(construct_trusted(GoldTrace, {**self.trace.__dict__, "graph": graph}), self.registry)
        other.why_not_replayable, other.world, other.execution = None, self.world, execution
        other.constraints = self.constraints
        return other

    def bound_calls(self, parameters: Parameters) -> list[ToolCall]:
        """The calls that a constraint speaks of."""
        return [call for call in self.ordered_calls if parameters.binds(self.role, call.tool_id)]

    def argument_value(self, call: ToolCall, name: str) -> Any:
        """An argument's value: resolved if the plan was replayed, the tool's default if left out; None without one."""
        resolved = self.execution.arguments.get(call.call_id) if self.execution else None
        value = (resolved or call.arguments).get(name)
        tool = self.tools.get(call.tool_id)
        return tool.defaults.get(name) if value is None and tool is not None else value

    def days(self, call: ToolCall) -> int | None:
        """How many days a call looks back, by its arguments if the tool is known, else as it declares."""
        arguments = self.execution.arguments.get(call.call_id) if self.execution else None
        if arguments is None or call.tool_id not in self.tools:
            return call.scope.time_range_days
        return days_of_period(self.tools[call.tool_id], arguments, self.world.today)

    @cached_property
    def _ancestors(self) -> dict[str, set[str]]:
        """What `ancestors` found before."""
        return {}

    def ancestors(self, call_id: str) -> set[str]:
        """Ids of all calls that must have run before this one, in any order the graph allows."""
        if call_id not in self._ancestors:
            self._ancestors[call_id] = self._find_ancestors(call_id)
        return self._ancestors[call_id]

    def _find_ancestors(self, call_id: str) -> set[str]:
        found: set[str] = set()
        waiting = [call_id]
        while waiting:
            call = self.by_id.get(waiting.pop())
            for each in call.dependencies if call else ():
                if each not in found:
                    found.add(each)
                    waiting.append(each)
        return found


def references_of_call(call: ToolCall) -> Iterator[tuple[str, Reference]]:
    """(argument name, reference) of every argument that refers to another call's result, in a list or by itself."""
    for name, value in call.arguments.items():
        for reference in references_in(value):
            yield name, reference


_WORLD_NAME = re.compile(rf"({'|'.join(SPLITS)})-\d{{1,9}}(\.\d{{1,3}})?", re.ASCII)


def _is_world(name: object) -> bool:
    return isinstance(name, str) and _WORLD_NAME.fullmatch(name) is not None
