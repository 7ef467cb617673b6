"""A trace on trial: what the checks need to know of it, worked out once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cached_property

from gatling_sid.models import Constraint, GoldTrace, ToolCall
from gatling_sid.schemas.constraints import Parameters, parameters_of
from gatling_sid.schemas.domain import SPLITS, Domain
from gatling_sid.schemas.references import Reference, reference_in
from gatling_sid.schemas.registry import DomainRegistry
from gatling_sid.simulator.execution import Execution, execute, tools_of
from gatling_sid.simulator.operations import CompiledTool, Outcome
from gatling_sid.simulator.scope import days_asked
from gatling_sid.simulator.world import World, world_of

MOST_CALLS_REPLAYED = 64


class Case:
    """One trace and, as far as the catalogue knows its domain, the world it plays in and what happens there."""

    def __init__(self, trace: GoldTrace, registry: DomainRegistry) -> None:
        """Looks up what is cheap; the world and what happens in it are worked out when first asked for."""
        self.trace = trace
        self.registry = registry
        self.by_id: dict[str, ToolCall] = {call.call_id: call for call in trace.graph.calls}
        """Calls by id; of several with one id, the last."""
        name = trace.request.domain
        self.domain: Domain | None = registry.domain(name) if registry.knows(name) else None
        """The catalogue's domain, if it knows the one that the request names."""
        self.tools: Mapping[str, CompiledTool] = tools_of(self.domain) if self.domain else {}
        """The domain's tools by id; none for a domain the catalogue does not know."""
        self.ordered = [self.by_id[call_id] for call_id in trace.graph.execution_order if call_id in self.by_id]
        """The calls in execution order, as far as the order names them."""
        self.role = trace.request.principal.role if trace.request.principal else None
        """The role of the one who asks."""

    @cached_property
    def unreplayable(self) -> str | None:
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
        if not isinstance(metadata.get("seed"), int) or not _is_world(metadata.get("world")):
            return "the trace names no simulated world"
        if len(self.trace.graph.calls) > MOST_CALLS_REPLAYED:
            return f"the graph has more than {MOST_CALLS_REPLAYED} calls"
        return None

    @property
    def of_the_family(self) -> bool:
        """Whether the policy claims, by its id, to be a member of the domain's family."""
        return self.domain is not None and self.trace.policy.policy_id.partition("-")[0] == self.domain.slug

    @cached_property
    def world(self) -> World:
        """The world the trace plays in; only for traces that can be replayed."""
        assert self.domain is not None
        return world_of(self.domain, self.trace.metadata["seed"], self.trace.metadata["world"])

    @cached_property
    def execution(self) -> Execution | None:
        """What the plan does, executed again; None if it cannot be replayed."""
        return None if self.unreplayable else execute(self.ordered, self.world)

    @property
    def outcomes(self) -> Mapping[str, Outcome]:
        """Outcomes of the calls that ran."""
        return self.execution.outcomes if self.execution else {}

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
        tool_ids = {call.tool_id for call in self.ordered}
        return [
            (constraint_id, kind, each)
            for constraint_id, kind, each in self._parsed
            if isinstance(each, Parameters) and each.concerns(self.role, tool_ids)
        ]

    @cached_property
    def malformed(self) -> list[str]:
        """What is wrong with the constraints that are not well formed."""
        return [each for _, _, each in self._parsed if isinstance(each, str)]

    @cached_property
    def _parsed(self) -> list[tuple[str, str, Parameters | str]]:
        published = self.domain.parameters_of(self.trace.policy) if self.domain else None
        if published is not None:
            return published
        return [(each.constraint_id, each.kind, _parameters(each)) for each in self.trace.policy.constraints]

    def days(self, call: ToolCall) -> int | None:
        """How many days a call looks back, by its arguments if the tool is known, else as it declares."""
        arguments = self.execution.arguments.get(call.call_id) if self.execution else None
        if arguments is None or call.tool_id not in self.tools:
            return call.scope.time_range_days
        return days_asked(self.tools[call.tool_id], arguments, self.world.today)

    @cached_property
    def _ancestors(self) -> dict[str, set[str]]:
        """What `ancestors` found before."""
        return {}

    def ancestors(self, call_id: str) -> set[str]:
        """Ids of all calls that must have run before this one, in any order the graph allows."""
        if call_id not in self._ancestors:
            self._ancestors[call_id] = self._found_before(call_id)
        return self._ancestors[call_id]

    def _found_before(self, call_id: str) -> set[str]:
        found: set[str] = set()
        waiting = [call_id]
        while waiting:
            call = self.by_id.get(waiting.pop())
            for each in call.dependencies if call else ():
                if each not in found:
                    found.add(each)
                    waiting.append(each)
        return found


def _parameters(constraint: Constraint) -> Parameters | str:
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


def references(call: ToolCall) -> Iterator[tuple[str, Reference]]:
    """(argument name, reference) of every argument that refers to another call's result."""
    for name, value in call.arguments.items():
        reference = reference_in(value)
        if reference is not None:
            yield name, reference


_WORLD_NAME = re.compile(rf"({'|'.join(SPLITS)})-\d{{1,9}}(\.\d{{1,3}})?", re.ASCII)


def _is_world(name: object) -> bool:
    if not isinstance(name, str):
        return False
    return _WORLD_NAME.fullmatch(name) is not None
