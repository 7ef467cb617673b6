"""New calls all of whose arguments have a source: the words, the principal, the policy or an earlier result."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from gatling_sid.models import GoldTrace, ToolCall, TrustTier
from gatling_sid.schemas import catalogue as c
from gatling_sid.simulator.arguments import value_problem
from gatling_sid.simulator.compiled_tools import CompiledTool
from gatling_sid.simulator.execution import Execution
from gatling_sid.simulator.world import World
from tests.validators.tampering.edits import Offer, new_id, offers, quote, set_argument
from tests.validators.tampering.gold_traces import domain_of, execution_of, tools_here, world_here

_BY_ITSELF = ("filter", "limit", "select", "measure", "measured", "group", "format", "attachment")
"""What a call can do without."""


def candidates(trace: GoldTrace, operations: tuple[str, ...], rng: random.Random) -> Iterator[ToolCall]:
    """Calls that could be added, one for each tool of these operations whose required arguments have a source."""
    execution = execution_of(trace)
    tools = [each for each in tools_here(trace).values() if each.tool.operation in operations]
    for tool in rng.sample(tools, len(tools)):
        call = call_of(trace, tool, execution, rng)
        if call is not None:
            yield call


def call_of(trace: GoldTrace, tool: CompiledTool, execution: Execution, rng: random.Random) -> ToolCall | None:
    """A call of a tool with its required arguments, or with one optional one if it has none; None without sources.

    An export gets an optional one too, since policies allow few rows.
    """
    call = ToolCall(call_id=new_id(trace), tool_id=tool.tool_id)
    parameters = tool.tool.parameters
    needed = [name for name, each in parameters.items() if each.required]
    if not needed or tool.tool.operation == "export":
        wanted = ("keys", "filter") if tool.tool.operation in ("list", "export", "aggregate") else ("set",)
        open_ones = [name for name, each in parameters.items() if each.does in wanted]
        needed += rng.sample(open_ones, min(1, len(open_ones)))
    for name in needed:
        offer = offer_for(trace, tool, parameters[name], execution, rng)
        if offer is None:
            return None
        set_argument(call, name, offer)
    call.provenance = next((p.model_copy() for each in trace.graph.calls if (p := each.provenance)), None)
    if call.provenance is not None:
        call.provenance.source_type = TrustTier.USER
        call.provenance.source_id = trace.request.request_id
        quote(trace, call)
    return call


def offer_for(
    trace: GoldTrace, tool: CompiledTool, parameter: c.Parameter, execution: Execution, rng: random.Random
) -> Offer | None:
    """An offer that fits a parameter, or None."""
    fitting = [each for each in offers(trace, execution) if fits(trace, tool, parameter, each)]
    return rng.choice(fitting) if fitting else None


def fits(trace: GoldTrace, tool: CompiledTool, parameter: c.Parameter, offer: Offer) -> bool:
    """Whether an offer has the type of a parameter and is of the field that the parameter is about."""
    value, domain, world = offer.resolved, domain_of(trace), world_here(trace)
    if value is None or value_problem(value, *domain.json_type(tool.tool, parameter)) is not None:
        return False
    field = domain.field_of(tool.tool, parameter)
    if parameter.does in ("key", "keys", "about"):
        return _are_keys(value, tool.entity, world)
    if parameter.does == "recipient":
        return "@" in value
    if field is not None and field.type == "ref":
        return _are_keys(
            value, domain.referenced_entity(domain.file.entities[tool.entity], parameter.field or ""), world
        )
    if field is not None and field.type == "email":
        return "@" in value
    return offer.origin != "principal" or parameter.does != "filter" or (offer.reference or "") == parameter.field


def _are_keys(value: Any, entity: str, world: World) -> bool:
    return all(each in world.tables[entity] for each in ([value] if isinstance(value, str) else value))
