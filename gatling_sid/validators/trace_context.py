"""What the checks need to know about a trace; each part is computed once."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date
from functools import cached_property
from itertools import chain
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from gatling_sid.errors import OracleError
from gatling_sid.models import EMBEDDED_ORACLE, GoldTrace, ToolCall, replace_fields
from gatling_sid.scenarios.instances import Instance, instance_at
from gatling_sid.scenarios.scheduled_request import ScheduledRequest, scheduled_request_at, split_and_index
from gatling_sid.schemas.constraints import Parameters, plain_name, read_constraints
from gatling_sid.schemas.domain import SPLITS, Domain
from gatling_sid.schemas.references import Reference, references_in
from gatling_sid.schemas.registry import DomainRegistry
from gatling_sid.simulator.compiled_tools import CompiledTool
from gatling_sid.simulator.execution import Execution, execute, tools_of
from gatling_sid.simulator.operations import CallResult
from gatling_sid.simulator.scope import days_of_period
from gatling_sid.simulator.trust import PlanTrust, references_of_source
from gatling_sid.simulator.world import World, world_of

MAX_CALLS_REPLAYED = 64
"""Calls of a plan that is replayed: far more than any scenario needs; some checks execute a plan for every pair of calls."""
MAX_ATTEMPTS = 1000
"""Attempts that a trace may state: more than any oracle makes for one task."""

_WORLD_NAME = re.compile(rf"({'|'.join(SPLITS)})-\d{{1,9}}", re.ASCII)
"""The name of a world: its split and its number."""

_ORIGINS_IN_RESULTS = ("call", "composed")
"""Origins of values that rest on the results of earlier calls."""

_ArgumentsP = ParamSpec("_ArgumentsP")
_ValueT = TypeVar("_ValueT")


class _Replay(NamedTuple):
    """What is already known for the context of another plan, so that it is not computed."""

    world: World
    constraints: list[tuple[str, str, Parameters]]
    execution: Execution


class TraceContext:
    """One trace and, if the catalogue has its domain, its world and the execution of its plan there."""

    def __init__(
        self,
        trace: GoldTrace,
        registry: DomainRegistry,
        *,
        is_published: bool | None = None,
        _replay: _Replay | None = None,
    ) -> None:
        """Looks up the domain and its tools; the world and the execution are computed when they are first used.

        A caller that has just compared the policy with the catalogue's own says so with `is_published`.
        """
        self.trace = trace
        self.registry = registry
        name = trace.request.domain
        self.domain: Domain | None = registry.domain(name) if registry.has_domain(name) else None
        """The domain that the request names, or None if the catalogue does not have it."""
        self.tools: Mapping[str, CompiledTool] = tools_of(self.domain) if self.domain else {}
        """The domain's tools by id; empty if the catalogue does not have the domain."""
        self.role = trace.request.principal.role if trace.request.principal else None
        """The role of the principal."""
        self._is_published = is_published
        self._replay = _replay
        self._ancestors: dict[str, set[str]] = {}
        self._remembered: dict[tuple[Hashable, ...], Any] = {}

    def compute_once(
        self,
        function: Callable[Concatenate[TraceContext, _ArgumentsP], _ValueT],
        *args: _ArgumentsP.args,
        **kwargs: _ArgumentsP.kwargs,
    ) -> _ValueT:
        """The result of a function of this context, computed once; used for results that several rules of a module share."""
        key = (function, *args, *kwargs.items())
        if key not in self._remembered:
            self._remembered[key] = function(self, *args, **kwargs)
        value: _ValueT = self._remembered[key]
        return value

    @cached_property
    def by_id(self) -> dict[str, ToolCall]:
        """Calls by id; of several calls with the same id, the last."""
        return {call.call_id: call for call in self.trace.graph.calls}

    @cached_property
    def ordered_calls(self) -> list[ToolCall]:
        """The calls in execution order, as far as the order names them."""
        return [self.by_id[call_id] for call_id in self.trace.graph.execution_order if call_id in self.by_id]

    @cached_property
    def why_not_replayable(self) -> str | None:
        """Why the trace cannot be replayed, or None."""
        metadata, domain = self.trace.metadata, self.domain
        if self._replay is not None:
            return None
        if domain is None:
            return f"the catalogue has no domain {self.trace.request.domain!r}"
        if self.trace.goal is None:
            return "the trace has no goal"
        catalogue = metadata.get("catalogue")
        if catalogue is None:
            return "metadata.catalogue is missing, so the world of the trace is unknown"
        changed = domain.version.changed_parts(str(catalogue))
        if changed:
            parts = " and ".join(changed)
            made_with, current = f"another version of the domain's {parts}: {catalogue}", domain.digest
            return f"the trace was made with {made_with}; this catalogue has {current}"
        if type(metadata.get("seed")) is not int or not _is_world(metadata.get("world")):
            return "metadata.seed or metadata.world is missing or invalid, so the world of the trace is unknown"
        if len(self.trace.graph.calls) > MAX_CALLS_REPLAYED:
            return f"the graph has more than {MAX_CALLS_REPLAYED} calls"
        return None

    @property
    def claims_family(self) -> bool:
        """Whether the policy claims, by its id, to be a member of the domain's family."""
        return self.domain is not None and self.trace.policy.policy_id.partition("-")[0] == self.domain.slug

    @cached_property
    def has_published_policy(self) -> bool:
        """Whether the policy is the domain's own object for a member of its family, which was checked when it was loaded."""
        if self._is_published is not None:
            return self._is_published
        policy = self.trace.policy
        return self.domain is not None and self.domain.family.own_record(policy) is policy

    @cached_property
    def world(self) -> World:
        """The world of the trace; only for traces that can be replayed."""
        if self._replay is not None:
            return self._replay.world
        assert self.domain is not None
        return world_of(self.domain, self.trace.metadata["seed"], self.trace.metadata["world"])

    @cached_property
    def execution(self) -> Execution | None:
        """The execution of the plan; None if it cannot be replayed."""
        if self._replay is not None:
            return self._replay.execution
        return None if self.why_not_replayable else execute(self.ordered_calls, self.world)

    @property
    def results(self) -> Mapping[str, CallResult]:
        """The results of the calls that ran, by call id; empty if the plan was not executed."""
        return self.execution.results if self.execution else {}

    @cached_property
    def trust(self) -> PlanTrust:
        """The tiers of what the plan reads and passes on; only for traces that can be replayed."""
        assert self.domain is not None
        return PlanTrust(self.ordered_calls, self.results, self.domain)

    @cached_property
    def today(self) -> date | None:
        """Today's date in the world, as the trace states it; None if it states no valid date."""
        try:
            return date.fromisoformat(self.trace.metadata["today"])
        except (KeyError, TypeError, ValueError):
            return None

    @cached_property
    def constraints(self) -> list[tuple[str, str, Parameters]]:
        """(constraint id, kind, parameters) of every well-formed constraint that concerns this role and these tools."""
        if self._replay is not None:
            return self._replay.constraints
        return list(self._that_concern(self._parsed))

    def constraints_of_kinds(self, kinds: Collection[str]) -> list[tuple[str, str, Parameters]]:
        """Those of `constraints` that are of these kinds; the others are not looked at if the policy is published."""
        if self.domain is not None and self.has_published_policy:
            family, policy = self.domain.family, self.trace.policy
            return list(self._that_concern(chain.from_iterable(family.parsed_of_kind(policy, kind) for kind in kinds)))
        return list(self._that_concern(each for each in self._parsed if each[1] in kinds))

    def _that_concern(
        self, parsed: Iterable[tuple[str, str, Parameters | str]]
    ) -> Iterator[tuple[str, str, Parameters]]:
        for constraint_id, kind, each in parsed:
            if not isinstance(each, str) and each.concerns(self.role, self._plain_tools):
                yield constraint_id, kind, each

    @cached_property
    def _plain_tools(self) -> set[str]:
        return {plain_name(call.tool_id) for call in self.ordered_calls}

    @cached_property
    def malformed_constraints(self) -> list[tuple[str, str, str]]:
        """(constraint id, kind, what is wrong) of every constraint that is not well formed."""
        return [(constraint_id, kind, each) for constraint_id, kind, each in self._parsed if isinstance(each, str)]

    @cached_property
    def _parsed(self) -> list[tuple[str, str, Parameters | str]]:
        """(constraint id, kind, parameters or what is wrong with them) of every constraint of the policy."""
        published = (
            self.domain.family.parsed_constraints(self.trace.policy)
            if self.domain and self.has_published_policy
            else None
        )
        return read_constraints(self.trace.policy) if published is None else published

    @property
    def is_embedded(self) -> bool:
        """Whether the trace claims to be by the embedded oracle, so that its words must follow from its coordinates."""
        return self.trace.metadata.get("oracle") == EMBEDDED_ORACLE

    @cached_property
    def attempt(self) -> int | None:
        """The attempt that a trace of the embedded oracle states; None for other traces or an impossible number."""
        attempt = self.trace.metadata.get("attempt")
        replayable = self.is_embedded and self.domain is not None and self.why_not_replayable is None
        return attempt if replayable and type(attempt) is int and 0 <= attempt < MAX_ATTEMPTS else None

    @cached_property
    def instance(self) -> Instance | None:
        """The instance of a scenario that a trace of the embedded oracle names; None if its world has no such instance."""
        scenario, index = self.trace.metadata.get("scenario"), self.trace.metadata.get("instance")
        if self.domain is None or self.attempt is None or type(index) is not int or index < 0:
            return None
        is_known = isinstance(scenario, str) and scenario in self.world.scenarios
        return instance_at(self.world, scenario, index, self.attempt) if is_known else None

    @cached_property
    def scheduled_request(self) -> ScheduledRequest | None:
        """The request that the embedded oracle makes at the coordinates of its trace; None for any other trace."""
        coordinates = split_and_index(self.trace.trace_id, self.domain) if self.domain else None
        if self.domain is None or self.attempt is None or coordinates is None:
            return None
        with suppress(OracleError):  # the index is beyond the requests that the domain can express
            return scheduled_request_at(self.domain, self.trace.metadata["seed"], *coordinates, self.attempt)
        return None

    @cached_property
    def references_used(self) -> list[tuple[ToolCall, str, Reference]]:
        """(call, argument name, reference) of every reference in an argument to another call's result."""
        return [(call, name, reference) for call in self.ordered_calls for name, reference in references_of_call(call)]

    @property
    def succeeds(self) -> bool:
        """Whether every call of the plan was executed, and none was refused."""
        execution = self.execution
        return execution is not None and execution.refusal is None and execution.results.keys() == self.by_id.keys()

    def with_plan(self, calls: list[ToolCall], execution: Execution) -> TraceContext:
        """The context of another plan, already executed, for the same request in the same world.

        All constraints that concern this plan's tools apply to it, even if the other plan does not call them.
        """
        graph = replace_fields(self.trace.graph, calls=calls, execution_order=[call.call_id for call in calls])
        replay = _Replay(self.world, self.constraints, execution)
        return TraceContext(replace_fields(self.trace, graph=graph), self.registry, _replay=replay)

    def bound_calls(self, parameters: Parameters) -> list[ToolCall]:
        """The calls that a constraint binds, in execution order."""
        return [call for call in self.ordered_calls if parameters.binds(self.role, call.tool_id)]

    def argument_value(self, call: ToolCall, name: str) -> Any:
        """An argument's value, with references resolved if the plan was replayed; if missing, the default or None."""
        resolved = self.execution.arguments.get(call.call_id) if self.execution else None
        value = (resolved or call.arguments).get(name)
        tool = self.tools.get(call.tool_id)
        return tool.defaults.get(name) if value is None and tool is not None else value

    def principal_value(self, attribute: str) -> Any:
        """An attribute of the principal; None if there is no principal, or if they do not have it."""
        principal = self.trace.request.principal
        return principal.attributes.get(attribute) if principal else None

    def days(self, call: ToolCall) -> int | None:
        """How many days a call looks back: by its arguments if it was executed, else as it declares."""
        arguments = self.execution.arguments.get(call.call_id) if self.execution else None
        if arguments is None or call.tool_id not in self.tools:
            return call.scope.time_range_days
        return days_of_period(self.tools[call.tool_id], arguments, self.world.today)

    def ancestors(self, call_id: str) -> set[str]:
        """Ids of all calls that run before this one in every order that the graph allows."""
        if call_id not in self._ancestors:
            self._ancestors[call_id] = self._find_ancestors(call_id)
        return self._ancestors[call_id]

    def _find_ancestors(self, call_id: str) -> set[str]:
        found: set[str] = set()
        to_visit = [call_id]
        while to_visit:
            call = self.by_id.get(to_visit.pop())
            for each in call.dependencies if call else ():
                if each not in found:
                    found.add(each)
                    to_visit.append(each)
        return found


def references_of_call(call: ToolCall) -> Iterator[tuple[str, Reference]]:
    """(argument name, reference) of every reference to another call's result, whether it is in a list or not.

    A value that was read in a text, or composed by the assistant, refers to what its source names.
    """
    for name, value in call.arguments.items():
        for reference in references_in(value):
            yield name, reference
    for source in call.argument_sources[: len(call.arguments)]:
        if source.origin in _ORIGINS_IN_RESULTS and not references_in(call.arguments.get(source.argument)):
            for reference in references_of_source(source):
                yield source.argument, reference


def _is_world(name: object) -> bool:
    return isinstance(name, str) and _WORLD_NAME.fullmatch(name) is not None
