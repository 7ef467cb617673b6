"""The embedded oracle: no key, no network, the same trace for the same (catalogue, seed, domain, split, index)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, time
from functools import lru_cache
from typing import Any, NamedTuple

from gatling_sid.models import (
    ArgumentSource,
    Goal,
    GoldTrace,
    Principal,
    ProvenancePointer,
    ScopeMetadata,
    SystemPolicy,
    ToolCall,
    ToolCallGraph,
    TrustTier,
    UserRequest,
    trusted,
)
from gatling_sid.oracle.drawing import NoDrawError, draw, draw_principal, evaluated
from gatling_sid.oracle.goals import goal_of
from gatling_sid.oracle.protocol import Failure, Task
from gatling_sid.oracle.speech import Said, say, wording_of
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.references import follow, parse_reference
from gatling_sid.seeding import stream
from gatling_sid.simulator.execution import execute, tools_of
from gatling_sid.simulator.scope import scope_of_call, scope_of_goal
from gatling_sid.simulator.world import World, world_of

WORLD_SIZE = 4096
"""Traces that share a world; the next ones live in another, with other people and records."""
WORDINGS = 9
"""How often a case (who asks for what under which policy, and the plan) is put into words, each time in others."""
_APART = 5
"""Wordings of a case are this many uses of the scenario apart, so that a batch seldom holds two."""
_POLICIES = 48
_DRAWS = 200
_SPARE_WORLDS = 8


class ScenarioOracle:
    """Draws a goal from a scenario of the catalogue, derives the plan, executes it, then puts it into words."""

    name = "scenario"
    max_attempts = 40

    def __init__(self, seed: int, created_at: datetime) -> None:
        """`seed` and `created_at` are the run's; nothing else enters what is proposed."""
        self.seed = seed
        self.created_at = created_at

    def propose(self, tasks: Sequence[Task]) -> Iterable[GoldTrace | Failure]:
        """One trace per task, independent of the others."""
        return (self.trace(task) for task in tasks)

    def trace(self, task: Task) -> GoldTrace | Failure:
        """The trace of a task: a pure function of the task, the seed and the catalogue."""
        domain, split, index = task.domain, task.split, task.index
        scenario_id, use = dealt(domain, self.seed, split, index)
        case = case_of(use)
        for spare in range(_SPARE_WORLDS + 1):
            world = world_of(domain, self.seed, world_name(split, index, spare))
            cast = cast_of(world, scenario_id, case, task.attempt)
            if cast is not None:
                break
        else:
            return Failure(
                "no_draw", f"{scenario_id}: nothing fits in {world.name} or {_SPARE_WORLDS} worlds before it"
            )
        rng = stream(domain.digest, self.seed, task.trace_id, task.attempt)
        said = say(domain, scenario_id, split, use, cast.slots, world.today, rng)
        moment = datetime.combine(world.today, time(rng.randrange(7, 20), rng.randrange(60)), tzinfo=UTC)
        request_id = f"{task.trace_id}_request"
        request = {
            "request_id": request_id,
            "domain": domain.name,
            "text": said.text,
            "intent_category": domain.file.scenarios[scenario_id].intent,
            "expected_scope": cast.scope,
            "trust_tier": TrustTier.USER,
            "principal": cast.principal,
        }
        graph = {
            "graph_id": f"{task.trace_id}_graph",
            "calls": [_call(each, cast, said, request_id, moment) for each in cast.plan],
            "execution_order": cast.order,
        }
        metadata = {
            "oracle": self.name,
            "scenario": scenario_id,
            "case": case,
            "attempt": task.attempt,
            "catalogue": domain.digest,
            "seed": self.seed,
            "world": world.name,
            "today": world.today.isoformat(),
        }
        fields = {
            "trace_id": task.trace_id,
            "request": trusted(UserRequest, request),
            "policy": cast.policy,
            "graph": trusted(ToolCallGraph, graph),
            "metadata": metadata,
            "created_at": self.created_at,
            "validated": False,
            "goal": cast.goal,
        }
        return trusted(GoldTrace, fields)


# --- dealing ---------------------------------------------------------------------------------------------------


def dealt(domain: Domain, seed: int, split: str, index: int) -> tuple[str, int]:
    """The scenario of the `index`-th trace, and how often it came before in this split.

    Scenarios are dealt from a deck that holds each as often as its weight, shuffled anew for every round.
    """
    round_, place = divmod(index, _deck_size(domain))
    scenario, rank, weight = _deck(domain, seed, split, round_)[place]
    return scenario, round_ * weight + rank


@lru_cache(maxsize=256)
def _deck_size(domain: Domain) -> int:
    return sum(each.weight for each in domain.file.scenarios.values())


@lru_cache(maxsize=256)
def _deck(domain: Domain, seed: int, split: str, round_: int) -> list[tuple[str, int, int]]:
    cards = [(name, rank, s.weight) for name, s in domain.file.scenarios.items() for rank in range(s.weight)]
    stream(domain.digest, seed, domain.slug, split, "deck", round_).shuffle(cards)
    return cards


def world_name(split: str, index: int, spare: int) -> str:
    """The world a trace plays in, or a spare one where that holds nothing that fits: `train-3`, `train-3.1`."""
    return f"{split}-{index // WORLD_SIZE}" + (f".{spare}" if spare else "")


def case_of(use: int) -> int:
    """The case that the `use`-th request of a scenario puts into words; every case has `WORDINGS` uses."""
    group, place = divmod(use, WORDINGS * _APART)
    return group * _APART + place % _APART


def capacity(domain: Domain, split: str) -> int:
    """How many traces a split can hold before a scenario would have to repeat its words."""
    rounds = min(
        wording_of(domain, name, split).capacity() // scenario.weight
        for name, scenario in domain.file.scenarios.items()
    )
    return rounds * _deck_size(domain)


# --- casting ---------------------------------------------------------------------------------------------------


class Planned(NamedTuple):
    """A call of a plan, as far as it does not depend on how the request is worded.

    Arguments that the request says are named in `spoken`, with the slot that says them; `rule` is the sentence that
    demands the call, if a rule does.
    """

    call_id: str
    tool_id: str
    arguments: dict[str, Any]
    dependencies: list[str]
    sources: list[ArgumentSource]
    spoken: tuple[tuple[str, str], ...]
    rule: str | None
    scope: ScopeMetadata


class Cast(NamedTuple):
    """A case: who asks, under which policy, what it means, and the plan that serves it."""

    principal: Principal
    policy: SystemPolicy
    goal: Goal
    scope: ScopeMetadata
    slots: dict[str, Any]
    plan: list[Planned]
    order: list[str]


@lru_cache(maxsize=8)
def _members(world: World) -> list[tuple[int, ...]]:
    """The policies of one world: an organisation has some dozens, not the whole family."""
    rng = stream(world.domain.digest, world.seed, world.domain.slug, "policies", world.name)
    return [tuple(map(rng.randrange, world.domain.axis_sizes)) for _ in range(_POLICIES)]


@lru_cache(maxsize=1024)
def cast_of(world: World, scenario_id: str, case: int, attempt: int) -> Cast | None:
    """The `case`-th case of a scenario in a world, or None if nothing in the world fits."""
    domain, members = world.domain, _members(world)
    scenario = domain.file.scenarios[scenario_id]
    rng = stream(domain.digest, world.seed, domain.slug, world.name, scenario_id, case, attempt)
    for _ in range(_DRAWS):
        member = rng.choice(members)
        role = rng.choice(scenario.roles)
        definition = domain.file.roles[role]
        rules = domain.in_force(member)
        try:
            person = draw_principal(world, definition, rng)
            attributes = {name: person[name] for name in definition.attributes}
            bindings = draw(scenario, world, {"principal": attributes, "policy": domain.axes(member)}, rng)
            goal = goal_of(scenario, domain, bindings, rules)
            slots = {name: evaluated(value, bindings) for name, value in scenario.slots.items()}
        except NoDrawError:
            continue
        key = domain.file.entities[definition.entity].key
        principal = trusted(Principal, {"principal_id": person[key], "role": role, "attributes": attributes})
        policy = domain.policy(member)
        plan = _scoped(_plan(scenario, domain, policy, rules, principal, slots), world)
        return Cast(principal, policy, goal, scope_of_goal(goal, domain), slots, plan, [each.call_id for each in plan])
    return None


# --- planning --------------------------------------------------------------------------------------------------

_UNKNOWN_SCOPE = ScopeMetadata()


def _plan(
    scenario: c.Scenario,
    domain: Domain,
    policy: SystemPolicy,
    rules: frozenset[str],
    principal: Principal,
    slots: Mapping[str, Any],
) -> list[Planned]:
    steps = [step for step in scenario.plan if step.stands(rules)]
    ids = {step.step: f"call_{number}" for number, step in enumerate(steps, start=1)}
    return [_planned(step, ids, domain, policy, principal, slots) for step in steps]


def _planned(
    step: c.Step,
    ids: Mapping[str, str],
    domain: Domain,
    policy: SystemPolicy,
    principal: Principal,
    slots: Mapping[str, Any],
) -> Planned:
    arguments: dict[str, Any] = {}
    sources: list[ArgumentSource] = []
    spoken: list[tuple[str, str]] = []
    needs = {ids[name] for name in step.after if name in ids}
    for name, expression in step.arguments.items():
        reference = parse_reference(expression)
        assert reference is not None, expression
        match reference.root:
            case "request":
                spoken.append((name, str(reference.path[0])))
                arguments[name] = slots[str(reference.path[0])]
                continue
            case "principal":
                value, origin, where = follow(reference.path, principal.attributes), "principal", reference.below[1:]
            case "policy":
                limits = {each.constraint_id: each.parameters for each in policy.constraints}
                value, origin, where = follow(reference.path, limits), "policy", reference.below[1:]
            case root:
                origin, where = "call", f"{ids[root]}{reference.below}"
                value = f"${where}"
                needs.add(ids[root])
        arguments[name] = value
        sources.append(_source(name, origin, where))
    rule = next((policy.rules[each.rule] for each in policy.constraints if each.constraint_id in step.when), None)
    order = sorted(needs, key=lambda call_id: int(call_id[5:]))
    tool_id = f"{domain.slug}.{step.tool}"
    return Planned(ids[step.step], tool_id, arguments, order, sources, tuple(spoken), rule, _UNKNOWN_SCOPE)


def _source(
    argument: str, origin: str, reference: str | None, start: int | None = None, end: int | None = None
) -> ArgumentSource:
    fields = {"argument": argument, "origin": origin, "reference": reference, "start": start, "end": end}
    return trusted(ArgumentSource, fields)


def _scoped(plan: list[Planned], world: World) -> list[Planned]:
    """The plan with the scope each call turns out to take; unchanged if the backend refuses one of them."""
    calls = [
        trusted(ToolCall, {**_NO_WORDS, "call_id": each.call_id, "tool_id": each.tool_id, "arguments": each.arguments})
        for each in plan
    ]
    execution, tools = execute(calls, world), tools_of(world.domain)
    if execution.refusal is not None:
        return plan
    return [
        each._replace(
            scope=scope_of_call(
                tools[each.tool_id], execution.arguments[each.call_id], execution.outcomes[each.call_id], world.today
            )
        )
        for each in plan
    ]


_NO_WORDS: dict[str, Any] = {"scope": _UNKNOWN_SCOPE, "provenance": None, "dependencies": [], "argument_sources": []}


# --- wording ---------------------------------------------------------------------------------------------------


def _call(planned: Planned, cast: Cast, said: Said, request_id: str, moment: datetime) -> ToolCall:
    spoken = [_source(name, "request", None, *said.spans[slot]) for name, slot in planned.spoken]
    fields = {
        "call_id": planned.call_id,
        "tool_id": planned.tool_id,
        "arguments": planned.arguments,
        "scope": planned.scope,
        "provenance": _provenance(planned, cast, said, request_id, moment),
        "dependencies": planned.dependencies,
        "argument_sources": spoken + planned.sources,
    }
    return trusted(ToolCall, fields)


def _provenance(planned: Planned, cast: Cast, said: Said, request_id: str, moment: datetime) -> ProvenancePointer:
    """A call that is there because of a rule points to the rule, any other to the words that ask for it."""
    if planned.rule is not None:
        source_type, source_id, snippet = TrustTier.SYSTEM, cast.policy.policy_id, planned.rule
    else:
        spans = [said.spans[slot] for _, slot in planned.spoken]
        source_type, source_id, snippet = TrustTier.USER, request_id, _clause(said, spans)
    fields = {"source_type": source_type, "source_id": source_id, "timestamp": moment, "content_snippet": snippet}
    return trusted(ProvenancePointer, fields)


def _clause(said: Said, spans: Sequence[tuple[int, int]]) -> str:
    """The sentences of the request that hold these spans; without spans, all that it asks."""
    start, end = said.core
    if spans:
        first, last = min(each[0] for each in spans), max(each[1] for each in spans)
        for match in _SENTENCE_END.finditer(said.text, start, end):
            if match.end() <= first:
                start = match.end()
            elif match.end() >= last:
                end = match.end()
                break
    return said.text[start:end].strip()


_SENTENCE_END = re.compile(r"[.!?](?= )")
