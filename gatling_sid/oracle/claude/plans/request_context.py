"""What a request is drawn with: who asks, under which policy, in which world, about which records, in which manner.

Sampling temperature is gone from the API, so variety comes from here: every condition is drawn in code, from the
task alone.
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
from gatling_sid.seeding import stream
from gatling_sid.simulator.execution import execute
from gatling_sid.simulator.world import Row, World, world_of

DEFAULT_BLOCK = 10
"""Tasks whose requests are written in one call; they share a policy."""
_ROWS = 3
_TOOLS = 4
RecordsByEntity = dict[str, list[Row]]


@dataclass(frozen=True)
class RequestContext:
    """The scene of one request; `records` are the rows that Claude is shown."""

    world: World
    policy: SystemPolicy
    principal: Principal
    intent: str
    tools: tuple[str, ...]
    records: RecordsByEntity
    manner: tuple[tuple[str, str], ...]

    @property
    def domain(self) -> Domain:
        """The domain the world belongs to."""
        return self.world.domain

    def with_principal(self, principal: Principal, intent: str) -> RequestContext:
        """The same scene with somebody else asking."""
        return replace(self, principal=principal, intent=intent)


def draw_context(task: Task, seed: int, manners: Mapping[str, list[str]], block: int = DEFAULT_BLOCK) -> RequestContext:
    """The scene of a task at its attempt.

    Raises:
        OracleError: nobody of the world may do anything, which is a fault of the domain file.

    """
    domain = task.domain
    world = world_of(domain, seed, world_name(task.split, task.index, 0))
    policy = domain.family.policy(_member(task, seed, block))
    rng = stream(domain.digest, seed, task.trace_id, "claude", task.attempt)
    for _ in range(50):
        role = rng.choice(list(domain.file.roles))
        allowed = [name for name in domain.file.tools if may_call(role, domain, name, policy)]
        intents = [each for each in INTENTS if any(_serves(domain, name, each) for name in allowed)]
        try:
            person = draw_principal(world, domain.file.roles[role], rng)
        except NoDrawError:
            continue
        if intents:
            principal = principal_of(domain, role, person)
            intent = rng.choice(intents)
            tools = _tools(domain, [name for name in allowed if _serves(domain, name, intent)], allowed, rng)
            records = _records(world, policy, principal, tools, rng)
            manner = tuple((name, rng.choice(ways)) for name, ways in manners.items())
            return RequestContext(world, policy, principal, intent, tools, records, manner)
    raise OracleError(f"{domain.slug}: no role of its policy {policy.policy_id} may call a tool")


def principal_of(domain: Domain, role: str, person: Row) -> Principal:
    """A row of the world as the one who asks."""
    definition = domain.file.roles[role]
    attributes = {name: person[name] for name in definition.attributes}
    return Principal(principal_id=person[domain.file.entities[definition.entity].key], role=role, attributes=attributes)


def context_of_trace(trace: GoldTrace, domain: Domain) -> RequestContext:
    """The scene that a trace of ours was made in; its records are those that its plan reads."""
    principal = trace.request.principal
    if principal is None or not isinstance(trace.metadata.get("seed"), int) or "world" not in trace.metadata:
        raise OracleError(f"{trace.trace_id} names no principal or no simulated world, so its scene is unknown")
    world = world_of(domain, trace.metadata["seed"], str(trace.metadata["world"]))
    records: RecordsByEntity = {}
    for outcome in execute(trace.graph.calls, world).results.values():
        kept = records.setdefault(outcome.entity, [])
        kept += [row for _, row in outcome.rows if row not in kept][: _ROWS - len(kept)]
    tools = tuple(dict.fromkeys(call.tool_id.partition(".")[2] for call in trace.graph.calls))
    return RequestContext(world, trace.policy, principal, trace.request.intent_category, tools, records, ())


def _member(task: Task, seed: int, block: int) -> tuple[int, ...]:
    """One policy for a block of tasks, so that it need be printed once in a call."""
    domain = task.domain
    rng = stream(domain.digest, seed, domain.slug, task.split, "claude policy", task.index // block)
    return tuple(map(rng.randrange, domain.family.axis_sizes))


# --- tools -----------------------------------------------------------------------------------------------------


def _serves(domain: Domain, tool: str, intent: str) -> bool:
    return domain.file.tools[tool].operation in OPERATIONS_OF_INTENT[intent]


def may_call(role: str, domain: Domain, tool: str, policy: SystemPolicy) -> bool:
    """Whether no rule of the policy keeps a role from a tool altogether."""
    tool_id = f"{domain.slug}.{tool}"
    for each in policy.constraints:
        roles, tools = each.parameters.get("roles"), each.parameters.get("tools")
        if each.kind == "may_not_call" and (roles is None or role in roles) and (tools is None or tool_id in tools):
            return False
    return True


def _tools(domain: Domain, leading: list[str], allowed: list[str], rng: random.Random) -> tuple[str, ...]:
    """A tool that serves the intent, and some that go with it: as in a scenario's plan, or else of near entities."""
    lead = rng.choice(leading)
    plans = [{step.tool for step in s.plan} for s in domain.file.scenarios.values()]
    together = sorted({name for plan in plans if lead in plan for name in plan} & set(allowed) - {lead})
    near = [name for name in allowed if name != lead and name not in together and _near(domain, lead, name)]
    rng.shuffle(together)
    rng.shuffle(near)
    return (lead, *(together + near)[: _TOOLS - 1])


def _near(domain: Domain, one: str, other: str) -> bool:
    entities = domain.file.tools[one].entity, domain.file.tools[other].entity
    return entities[0] == entities[1] or entities[1] in _referred(domain, entities[0])


def _referred(domain: Domain, entity: str) -> dict[str, str]:
    """Entities that an entity refers to, by the field that does."""
    spec = domain.file.entities[entity]
    return {domain.referenced_entity(spec, name): name for name, field in spec.fields.items() if field.type == "ref"}


# --- records ---------------------------------------------------------------------------------------------------


def _records(
    world: World, policy: SystemPolicy, principal: Principal, tools: tuple[str, ...], rng: random.Random
) -> RecordsByEntity:
    """Some rows of the entities in play that the one who asks may touch, with the rows that they refer to."""
    domain, records = world.domain, RecordsByEntity()
    for name in tools[:3]:
        tool = domain.file.tools[name]
        if tool.entity in records:
            continue
        rows = list(world.tables[tool.entity].values())
        for fits in _wishes(f"{domain.slug}.{name}", tool, policy, principal):
            rows = [row for row in rows if fits(row)] or rows
        records[tool.entity] = rng.sample(rows, min(_ROWS if not records else 2, len(rows)))
    for entity in list(records):
        for other, field in _referred(domain, entity).items():
            if other not in records:
                keys = dict.fromkeys(row[field] for row in records[entity][:2] if row[field] is not None)
                records[other] = [world.tables[other][key] for key in keys]
    return {entity: rows for entity, rows in records.items() if rows}


def _wishes(tool_id: str, tool: c.Tool, policy: SystemPolicy, principal: Principal) -> Iterator[Any]:
    """Tests that rows should pass, so that what is asked for can be granted."""
    for field, states in tool.requires.items():
        yield lambda row, field=field, states=states: row[field] in states
    for each in policy.constraints:
        p = each.parameters
        tools, roles = p.get("tools"), p.get("roles")
        bound = (tools is None or tool_id in tools) and (roles is None or principal.role in roles)
        if not bound or p.get("entity") != tool.entity:
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
