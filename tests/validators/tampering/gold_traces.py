"""Gold traces to tamper with, and what the catalogue says about them: domain, world, tools, execution."""

from __future__ import annotations

import random
from datetime import UTC, datetime

from gatling_sid.models import GoldTrace, ToolCall
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import SPLITS, Domain
from gatling_sid.seeding import stream
from gatling_sid.simulator.compiled_tools import CompiledTool
from gatling_sid.simulator.execution import Execution, execute, tools_of
from gatling_sid.simulator.world import World, world_of
from gatling_sid.validators import TraceValidator

REGISTRY = DomainRegistry()
VALIDATOR = TraceValidator(REGISTRY)
MOMENT = datetime(2027, 6, 1, tzinfo=UTC)
"""When the traces are made: after the last day that any world has."""
ORACLE = ScenarioOracle(7, MOMENT)
_NEAR = 400


def gold(domain: Domain, number: int) -> str | None:
    """The `number`-th gold trace of a domain as JSON, with splits and attempts in turn; None if that one is rejected."""
    task = Task(domain, split_of(number), stream("tampering", domain.slug, number).randrange(4000), attempt=number % 3)
    trace = ORACLE.trace(task)
    return trace.model_dump_json() if isinstance(trace, GoldTrace) and is_validated(trace) else None


def split_of(number: int) -> str:
    """The split of a number: three of four numbers are train, the fourth is each split in turn."""
    return SPLITS[number // 4 % len(SPLITS)] if number % 4 == 3 else "train"


def is_validated(trace: GoldTrace) -> bool:
    """Whether a trace is judged gold after it was written to JSON and read again."""
    read_again = GoldTrace.model_validate_json(trace.model_dump_json())
    return bool(VALIDATOR.validate_trace(read_again)[1]["validated"])


def another(trace: GoldTrace, rng: random.Random, *, domain: Domain | None = None) -> GoldTrace:
    """A trace of another scenario of the same domain, or of any scenario of the `domain` given."""
    for index in iter(lambda: rng.randrange(_NEAR), None):
        other = ORACLE.trace(Task(domain or domain_of(trace), "train", index))
        if isinstance(other, GoldTrace) and (domain or other.metadata["scenario"] != trace.metadata["scenario"]):
            return other.model_copy(deep=True)
    raise AssertionError


def another_slug(slug: str, rng: random.Random) -> str:
    """The slug of one of the three domains after this one, so that a test does not load the whole catalogue."""
    slugs = REGISTRY.slugs()
    at = slugs.index(slug)
    return rng.choice((slugs[at + 1 :] + slugs[:at])[:3])


def another_domain(trace: GoldTrace, rng: random.Random) -> Domain:
    """One of the three domains after that of a trace."""
    return REGISTRY.domain(another_slug(domain_of(trace).slug, rng))


def domain_of(trace: GoldTrace) -> Domain:
    """The domain of a trace."""
    return REGISTRY.domain(trace.request.domain)


def world_here(trace: GoldTrace) -> World:
    """The world of a trace."""
    return world_of(domain_of(trace), trace.metadata["seed"], trace.metadata["world"])


def tools_here(trace: GoldTrace) -> dict[str, CompiledTool]:
    """The tools of the domain of a trace, by id."""
    return tools_of(domain_of(trace))


def tool_of(trace: GoldTrace, call: ToolCall) -> CompiledTool:
    """The compiled tool of a call."""
    return tools_here(trace)[call.tool_id]


def operation(trace: GoldTrace, call: ToolCall) -> str:
    """The operation of a call: `list`, `get`, `update`, ..."""
    return tool_of(trace, call).tool.operation


def execution_of(trace: GoldTrace) -> Execution:
    """The execution of the plan of a trace in its world."""
    by_id = {call.call_id: call for call in trace.graph.calls}
    return execute([by_id[call_id] for call_id in trace.graph.execution_order], world_here(trace))


def with_operation(trace: GoldTrace, operations: tuple[str, ...]) -> list[ToolCall]:
    """The calls of a trace that do one of these operations."""
    return [call for call in trace.graph.calls if operation(trace, call) in operations]


def does(trace: GoldTrace, call: ToolCall, argument: str) -> str:
    """The role of an argument: `filter`, `key`, `set`, ..."""
    return tool_of(trace, call).tool.parameters[argument].does


def match_of(trace: GoldTrace, call: ToolCall, argument: str) -> str:
    """The comparison of a filter: `equals`, `contains`, `within_days`, ..."""
    return tool_of(trace, call).tool.parameters[argument].match


def tools_alike(trace: GoldTrace, call: ToolCall, kind: str) -> list[CompiledTool]:
    """The tools of an operation that act on the same entity as a call."""
    entity = tool_of(trace, call).entity
    return [each for each in tools_here(trace).values() if each.entity == entity and each.tool.operation == kind]
