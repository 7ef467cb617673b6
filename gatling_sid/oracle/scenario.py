"""The embedded oracle: no key, no network, the same trace for the same (catalogue, seed, domain, split, index)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from gatling_sid.oracle.drawing import Bindings, NoDrawError, draw, draw_principal, evaluated
from gatling_sid.oracle.goals import goal_of
from gatling_sid.oracle.protocol import Failure, Task
from gatling_sid.oracle.speech import Said, say, wording_of
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.references import Reference, follow, parse_reference
from gatling_sid.seeding import stream
from gatling_sid.simulator.execution import execute, tools_of
from gatling_sid.simulator.scope import scope_of_call, scope_of_goal
from gatling_sid.simulator.world import World, world_of

WORLD_SIZE = 1024
"""Traces that share a world; the next ones live in another, with other people and records."""
_DRAWS = 200


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
        world = world_of(domain, self.seed, f"{split}-{index // WORLD_SIZE}")
        rng = stream(domain.digest, self.seed, task.trace_id, task.attempt)
        cast = _cast(domain.file.scenarios[scenario_id], world, rng)
        if cast is None:
            return Failure("no_draw", f"{scenario_id}: nothing in world {world.name} fits after {_DRAWS} draws")
        said = say(domain, scenario_id, split, use, cast.slots, world.today, rng)
        return self._told(task, scenario_id, world, cast, said, rng)

    def _told(
        self, task: Task, scenario_id: str, world: World, cast: _Cast, said: Said, rng: random.Random
    ) -> GoldTrace:
        trace_id, domain = task.trace_id, task.domain
        scenario = domain.file.scenarios[scenario_id]
        moment = datetime.combine(world.today, time(rng.randrange(7, 20), rng.randrange(60)), tzinfo=UTC)
        request_id = f"{trace_id}_request"
        calls = _calls(scenario, domain, cast, said, request_id, moment)
        execution = execute(calls, world)
        if execution.refusal is not None:
            return self._trace(task, scenario_id, world, cast, said, calls)
        tools = tools_of(domain)
        scoped = [
            trusted(ToolCall, {**call.__dict__, "scope": scope})
            for call in calls
            for scope in (
                scope_of_call(
                    tools[call.tool_id], execution.arguments[call.call_id], execution.outcomes[call.call_id], world.today
                ),
            )
        ]
        return self._trace(task, scenario_id, world, cast, said, scoped)

    def _trace(
        self, task: Task, scenario_id: str, world: World, cast: _Cast, said: Said, calls: list[ToolCall]
    ) -> GoldTrace:
        trace_id, domain = task.trace_id, task.domain
        request = {
            "request_id": f"{trace_id}_request",
            "domain": domain.name,
            "text": said.text,
            "intent_category": domain.file.scenarios[scenario_id].intent,
            "expected_scope": scope_of_goal(cast.goal, domain),
            "trust_tier": TrustTier.USER,
            "principal": cast.principal,
        }
        graph = {
            "graph_id": f"{trace_id}_graph",
            "calls": calls,
            "execution_order": [call.call_id for call in calls],
        }
        fields = {
            "trace_id": trace_id,
            "request": trusted(UserRequest, request),
            "policy": cast.policy,
            "graph": trusted(ToolCallGraph, graph),
            "metadata": {
                "oracle": self.name,
                "scenario": scenario_id,
                "catalogue": domain.digest,
                "seed": self.seed,
                "world": world.name,
                "today": world.today.isoformat(),
                "attempt": task.attempt,
            },
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


def capacity(domain: Domain, split: str) -> int:
    """How many traces a split can hold before a scenario would have to repeat its words."""
    rounds = min(
        wording_of(domain, name, split).capacity() // scenario.weight for name, scenario in domain.file.scenarios.items()
    )
    return rounds * _deck_size(domain)


# --- casting ---------------------------------------------------------------------------------------------------


class _Cast(NamedTuple):
    """Who, under which policy, about what: all that is drawn for one trace."""

    principal: Principal
    policy: SystemPolicy
    rules: frozenset[str]
    bindings: Bindings
    goal: Goal
    slots: dict[str, Any]


def _cast(scenario: c.Scenario, world: World, rng: random.Random) -> _Cast | None:
    domain = world.domain
    for _ in range(_DRAWS):
        member = tuple(map(rng.randrange, domain.axis_sizes))
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
        return _Cast(principal, domain.policy(member), rules, bindings, goal, slots)
    return None


# --- planning --------------------------------------------------------------------------------------------------


def _calls(
    scenario: c.Scenario, domain: Domain, cast: _Cast, said: Said, request_id: str, moment: datetime
) -> list[ToolCall]:
    steps = [step for step in scenario.plan if step.stands(cast.rules)]
    ids = {step.step: f"call_{number}" for number, step in enumerate(steps, start=1)}
    return [_call(step, ids, domain, cast, said, request_id, moment) for step in steps]


def _call(
    step: c.Step, ids: Mapping[str, str], domain: Domain, cast: _Cast, said: Said, request_id: str, moment: datetime
) -> ToolCall:
    arguments: dict[str, Any] = {}
    sources: list[ArgumentSource] = []
    needs = [ids[name] for name in step.after if name in ids]
    for name, expression in step.arguments.items():
        reference = parse_reference(expression)
        assert reference is not None, expression
        arguments[name], source = _argument(name, reference, ids, cast, said)
        sources.append(source)
        if source.origin == "call" and ids[reference.root] not in needs:
            needs.append(ids[reference.root])
    fields = {
        "call_id": ids[step.step],
        "tool_id": f"{domain.slug}.{step.tool}",
        "arguments": arguments,
        "scope": _UNKNOWN_SCOPE,
        "provenance": _provenance(step, cast, said, sources, request_id, moment),
        "dependencies": sorted(needs, key=lambda call_id: int(call_id[5:])),
        "argument_sources": sources,
    }
    return trusted(ToolCall, fields)


_UNKNOWN_SCOPE = ScopeMetadata()


def _argument(
    name: str, reference: Reference, ids: Mapping[str, str], cast: _Cast, said: Said
) -> tuple[Any, ArgumentSource]:
    start = end = None
    match reference.root:
        case "request":
            slot = str(reference.path[0])
            value, origin, where = cast.slots[slot], "request", None
            start, end = said.spans[slot]
        case "principal":
            value, origin = follow(reference.path, cast.principal.attributes), "principal"
            where = reference.below[1:]
        case "policy":
            constraint = next(each for each in cast.policy.constraints if each.constraint_id == reference.path[0])
            value, origin = follow(reference.path[1:], constraint.parameters), "policy"
            where = reference.below[1:]
        case step:
            origin, where = "call", f"{ids[step]}{reference.below}"
            value = f"${where}"
    fields = {"argument": name, "origin": origin, "reference": where, "start": start, "end": end}
    return value, trusted(ArgumentSource, fields)


def _provenance(
    step: c.Step, cast: _Cast, said: Said, sources: Iterable[ArgumentSource], request_id: str, moment: datetime
) -> ProvenancePointer:
    """A step that is there because of a rule points to the rule, any other to the words that ask for it."""
    if step.when:
        rule = next(each.rule for each in cast.policy.constraints if each.constraint_id in step.when)
        pointer = (TrustTier.SYSTEM, cast.policy.policy_id, cast.policy.rules[rule])
    else:
        spans = [(each.start, each.end) for each in sources if each.start is not None and each.end is not None]
        pointer = (TrustTier.USER, request_id, _clause(said, spans))
    source_type, source_id, snippet = pointer
    fields = {"source_type": source_type, "source_id": source_id, "timestamp": moment, "content_snippet": snippet}
    return trusted(ProvenancePointer, fields)


def _clause(said: Said, spans: Sequence[tuple[int, int]]) -> str:
    """The sentences of the request that hold these spans; without spans, all that it asks."""
    start, end = said.core
    if spans:
        first, last = min(each[0] for each in spans), max(each[1] for each in spans)
        for at in _sentence_ends(said.text, start, end):
            if at <= first:
                start = at
            elif at >= last:
                end = at
                break
    return said.text[start:end].strip()


def _sentence_ends(text: str, start: int, end: int) -> Iterator[int]:
    for at in range(start, end - 1):
        if text[at] in ".!?" and text[at + 1] == " ":
            yield at + 1
