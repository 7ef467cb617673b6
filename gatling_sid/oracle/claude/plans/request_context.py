"""The context of a request: principal, policy, world, rows and manner.

The API has no sampling temperature any more, so the variety of requests is made here: everything is drawn in code and
depends on the task alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gatling_sid.errors import OracleError
from gatling_sid.models import INTENTS, GoldTrace, Principal, SystemPolicy
from gatling_sid.oracle.protocol import Task
from gatling_sid.scenarios.drawing import NoDrawError, draw_principal
from gatling_sid.scenarios.schedule import world_name
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.intents import OPERATIONS_OF_INTENT
from gatling_sid.schemas.tool_ids import tool_id_of, tool_name_in
from gatling_sid.seeding import stream
from gatling_sid.simulator.execution import execute
from gatling_sid.simulator.world import Row, World, world_of

DEFAULT_BLOCK_SIZE = 10
"""Tasks whose requests are written in one API call; they share a policy."""
# Rows per entity: enough to choose from; every row costs tokens.
_MAX_ROWS = 3
# Tools that are named with a request; most plans need fewer.
_MAX_TOOLS = 4
# Draws of a role, since one may have no rows or no allowed tools; there are far fewer roles.
_MAX_DRAWS = 50
RowsByEntity = dict[str, list[Row]]


@dataclass(frozen=True)
class RequestContext:
    """What one request is written for; `rows` are those that the prompt shows."""

    world: World
    policy: SystemPolicy
    principal: Principal
    intent: str
    tools: tuple[str, ...]
    rows: RowsByEntity
    manner: tuple[tuple[str, str], ...]

    @property
    def domain(self) -> Domain:
        """The domain the world belongs to."""
        return self.world.domain

    def with_principal(self, principal: Principal, intent: str) -> RequestContext:
        """The same context with another person who asks, and another intent."""
        return replace(self, principal=principal, intent=intent)


def draw_context(
    task: Task, seed: int, manners: Mapping[str, list[str]], block_size: int = DEFAULT_BLOCK_SIZE
) -> RequestContext:
    """The context of a task at its attempt.

    Raises:
        OracleError: no role may call any tool, which is a mistake in the domain file.

    """
    domain = task.domain
    world = world_of(domain, seed, world_name(task.split, task.index))
    policy = domain.family.policy(_policy_member_of(task, seed, block_size))
    rng = stream(seed, task.trace_id, "claude", task.attempt)
    for _ in range(_MAX_DRAWS):
        role = rng.choice(list(domain.file.roles))
        allowed = [name for name in domain.file.tools if may_call(role, domain, name, policy)]
        intents = [each for each in INTENTS if any(_serves_intent(domain, name, each) for name in allowed)]
        try:
            person = draw_principal(world, domain.file.roles[role], rng)
        except NoDrawError:
            continue
        if intents:
            principal = principal_of(domain, role, person)
            intent = rng.choice(intents)
            tools = _choose_tools(
                domain, [name for name in allowed if _serves_intent(domain, name, intent)], allowed, rng
            )
            rows = _choose_rows(world, policy, principal, tools, rng)
            manner = tuple((name, rng.choice(ways)) for name, ways in manners.items())
            return RequestContext(world, policy, principal, intent, tools, rows, manner)
    raise OracleError(f"{domain.slug}: no role of its policy {policy.policy_id} may call a tool")


def principal_of(domain: Domain, role: str, person: Row) -> Principal:
    """The principal that a row of the world describes."""
    definition = domain.file.roles[role]
    attributes = {name: person[name] for name in definition.attributes}
    return Principal(principal_id=person[domain.file.entities[definition.entity].key], role=role, attributes=attributes)


def context_of_trace(trace: GoldTrace, domain: Domain) -> RequestContext:
    """The context of a trace that was made in a simulated world; the rows are those that its plan reads.

    Raises:
        OracleError: the trace names no principal, or no simulated world.

    """
    principal = trace.request.principal
    if principal is None or not isinstance(trace.metadata.get("seed"), int) or "world" not in trace.metadata:
        raise OracleError(f"{trace.trace_id} names no principal or no simulated world, so its context is unknown")
    world = world_of(domain, trace.metadata["seed"], str(trace.metadata["world"]))
    rows_by_entity: RowsByEntity = {}
    for result in execute(trace.graph.calls, world).results.values():
        rows = rows_by_entity.setdefault(result.entity, [])
        rows += [row for _, row in result.rows if row not in rows][: _MAX_ROWS - len(rows)]
    tools = tuple(dict.fromkeys(tool_name_in(domain.slug, call.tool_id) for call in trace.graph.calls))
    return RequestContext(world, trace.policy, principal, trace.request.intent_category, tools, rows_by_entity, ())


def _policy_member_of(task: Task, seed: int, block_size: int) -> tuple[int, ...]:
    """The policy of a task; tasks of a block share it, so that a prompt states it once."""
    domain = task.domain
    rng = stream(seed, domain.slug, task.split, "claude policy", task.index // block_size)
    return tuple(map(rng.randrange, domain.family.axis_sizes))


# --- tools -----------------------------------------------------------------------------------------------------


def _serves_intent(domain: Domain, tool: str, intent: str) -> bool:
    return domain.file.tools[tool].operation in OPERATIONS_OF_INTENT[intent]


def may_call(role: str, domain: Domain, tool: str, policy: SystemPolicy) -> bool:
    """Whether no rule of the policy forbids a tool to a role in every case."""
    tool_id = tool_id_of(domain.slug, tool)
    for each in policy.constraints:
        roles, tools = each.parameters.get("roles"), each.parameters.get("tools")
        if each.kind == "may_not_call" and (roles is None or role in roles) and (tools is None or tool_id in tools):
            return False
    return True


def _choose_tools(domain: Domain, serving: list[str], allowed: list[str], rng: random.Random) -> tuple[str, ...]:
    """A tool that serves the intent, then tools that scenarios call together with it, then tools of related entities."""
    main = rng.choice(serving)
    plans = [{step.tool for step in each.plan} for each in domain.file.scenarios.values()]
    plans += [{each.tool, each.found_by or each.tool} for each in domain.file.parts.values()]
    companions = sorted({name for plan in plans if main in plan for name in plan} & set(allowed) - {main})
    related = [name for name in allowed if name != main and name not in companions and _is_related(domain, main, name)]
    rng.shuffle(companions)
    rng.shuffle(related)
    return (main, *(companions + related)[: _MAX_TOOLS - 1])


def _is_related(domain: Domain, one: str, other: str) -> bool:
    entities = domain.file.tools[one].entity, domain.file.tools[other].entity
    return entities[0] == entities[1] or entities[1] in _references_of(domain, entities[0])


def _references_of(domain: Domain, entity: str) -> dict[str, str]:
    """The entities that an entity refers to, each with the field that does so."""
    spec = domain.file.entities[entity]
    return {domain.referenced_entity(spec, name): name for name, field in spec.fields.items() if field.type == "ref"}


# --- rows ------------------------------------------------------------------------------------------------------


def _choose_rows(
    world: World, policy: SystemPolicy, principal: Principal, tools: tuple[str, ...], rng: random.Random
) -> RowsByEntity:
    """Rows of the tools' entities, if possible those that the principal may use, and rows that they refer to."""
    domain, chosen = world.domain, RowsByEntity()
    for name in tools[:3]:
        tool = domain.file.tools[name]
        if tool.entity in chosen:
            continue
        rows = list(world.tables[tool.entity].values())
        for is_preferred in _row_preferences(tool_id_of(domain.slug, name), tool, policy, principal):
            rows = [row for row in rows if is_preferred(row)] or rows
        chosen[tool.entity] = rng.sample(rows, min(_MAX_ROWS if not chosen else 2, len(rows)))
    for entity in list(chosen):
        for other, field in _references_of(domain, entity).items():
            if other not in chosen:
                keys = dict.fromkeys(row[field] for row in chosen[entity][:2] if row[field] is not None)
                chosen[other] = [world.tables[other][key] for key in keys]
    return {entity: rows for entity, rows in chosen.items() if rows}


def _row_preferences(tool_id: str, tool: c.Tool, policy: SystemPolicy, principal: Principal) -> Iterator[Any]:
    """Tests that rows should pass, so that a request about them is allowed."""
    for field, states in tool.requires.items():
        yield lambda row, field=field, states=states: row[field] in states
    for each in policy.constraints:
        p = each.parameters
        tools, roles = p.get("tools"), p.get("roles")
        applies = (tools is None or tool_id in tools) and (roles is None or principal.role in roles)
        if not applies or p.get("entity") != tool.entity:
            continue
        match each.kind:
            case "own_records":
                yield lambda row, p=p: row[p["field"]] == principal.attributes.get(p["attribute"])
            case "not_own":
                yield lambda row, p=p: row[p["field"]] != principal.attributes.get(p["attribute"])
            case "state_before_change":
                yield lambda row, p=p: row[p["field"]] in p["allowed"]
            case "amount_limit":
                yield lambda row, p=p: row[p["field"]] is not None and row[p["field"]] <= p["max_value"]
