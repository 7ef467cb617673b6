"""Where traces play: gold to tamper with, and what the catalogue knows of it."""

from __future__ import annotations

import random
from datetime import UTC, datetime

from gatling_sid.models import GoldTrace, ToolCall
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import SPLITS, Domain
from gatling_sid.seeding import stream
from gatling_sid.simulator.execution import Execution, execute, tools_of
from gatling_sid.simulator.operations import CompiledTool
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
    """Three of four numbers are of train, the fourth of each split in turn."""
    return SPLITS[number // 4 % len(SPLITS)] if number % 4 == 3 else "train"


def is_validated(trace: GoldTrace) -> bool:
    """The verdict on a trace, read from the bytes that hold it."""
    read_again = GoldTrace.model_validate_json(trace.model_dump_json())
    return bool(VALIDATOR.validate_trace(read_again)[1]["validated"])


def another(trace: GoldTrace, rng: random.Random, *, domain: Domain | None = None) -> GoldTrace:
    """A trace of another scenario, of the same domain unless given one."""
    for index in iter(lambda: rng.randrange(_NEAR), None):
        other = ORACLE.trace(Task(domain or domain_of(trace), "train", index))
        if isinstance(other, GoldTrace) and (domain or other.metadata["scenario"] != trace.metadata["scenario"]):
            return other.model_copy(deep=True)
    raise AssertionError


def domain_of(trace: GoldTrace) -> Domain:
    """The domain a trace is of."""
    return REGISTRY.domain(trace.request.domain)


def world_here(trace: GoldTrace) -> World:
    """The world a trace plays in."""
    return world_of(domain_of(trace), trace.metadata["seed"], trace.metadata["world"])


def tools_here(trace: GoldTrace) -> dict[str, CompiledTool]:
    """The tools of a trace's domain by id."""
    return tools_of(domain_of(trace))


def tool_of(trace: GoldTrace, call: ToolCall) -> CompiledTool:
    """The tool that a call calls."""
    return tools_here(trace)[call.tool_id]


def operation(trace: GoldTrace, call: ToolCall) -> str:
    """What kind of operation a call is: `list`, `get`, `update` and the like."""
    return tool_of(trace, call).tool.operation


def executed(trace: GoldTrace) -> Execution:
    """What the plan does."""
    by_id = {call.call_id: call for call in trace.graph.calls}
    return execute([by_id[call_id] for call_id in trace.graph.execution_order], world_here(trace))


def with_operation(trace: GoldTrace, operations: tuple[str, ...]) -> list[ToolCall]:
    """The calls of a trace that do one of these operations."""
    return [call for call in trace.graph.calls if operation(trace, call) in operations]


def does(trace: GoldTrace, call: ToolCall, argument: str) -> str:
    """What an argument does for its call: `filter`, `key`, `set` and the like."""
    return tool_of(trace, call).tool.parameters[argument].does


def match_of(trace: GoldTrace, call: ToolCall, argument: str) -> str:
    """How a filter compares: `equals`, `contains`, `within_days` and the like."""
    return tool_of(trace, call).tool.parameters[argument].match


def tools_alike(trace: GoldTrace, call: ToolCall, kind: str) -> list[CompiledTool]:
    """The tools of an operation that act on the same entity as a call."""
    entity = tool_of(trace, call).entity
    return [each for each in tools_here(trace).values() if each.entity == entity and each.tool.operation == kind]
