"""The embedded oracle: no key, no network, the same trace for the same (catalogue, seed, domain, split, index)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from gatling_sid.models import (
    SCENARIO,
    ArgumentSource,
    GoldTrace,
    ProvenancePointer,
    ScopeMetadata,
    ToolCall,
    ToolCallGraph,
    TrustTier,
    UserRequest,
    trusted,
)
from gatling_sid.oracle.protocol import Failure, Task
from gatling_sid.scenarios.asking import SPARE_WORLDS, Asking, asking_at, clause_of
from gatling_sid.scenarios.instances import TaskInstance, instance_at
from gatling_sid.scenarios.schedule import dealt
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.references import Reference, follow, parse_reference, written
from gatling_sid.simulator.execution import execute, tools_of
from gatling_sid.simulator.scope import scope_of_call, scope_of_request
from gatling_sid.simulator.world import World


class ScenarioOracle:
    """Plans what is asked at a trace's coordinates: the plan follows from the scenario and the rules in force."""

    name = SCENARIO
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
        domain = task.domain
        asking = asking_at(domain, self.seed, task.split, task.index, task.attempt)
        if asking is None:
            scenario, _ = dealt(domain, self.seed, task.split, task.index)
            return Failure("no_draw", f"{scenario}: nothing fits in its world or {SPARE_WORLDS} others")
        return self._worded(task, asking, plan_of(asking.world, asking.scenario, asking.case, task.attempt))

    def _worded(self, task: Task, asking: Asking, plan: Plan) -> GoldTrace:
        """The record of a plan for a request in these words."""
        domain, instance, request_id = task.domain, asking.instance, f"{task.trace_id}_request"
        request = {
            "request_id": request_id,
            "domain": domain.name,
            "text": asking.said.text,
            "intent_category": domain.file.scenarios[asking.scenario].intent,
            "expected_scope": plan.scope,
            "trust_tier": TrustTier.USER,
            "principal": instance.principal,
        }
        graph = {
            "graph_id": f"{task.trace_id}_graph",
            "calls": [_call(each, asking, request_id) for each in plan.calls],
            "execution_order": plan.order,
        }
        metadata = {
            "oracle": self.name,
            "scenario": asking.scenario,
            "case": asking.case,
            "attempt": task.attempt,
            "catalogue": domain.digest,
            "seed": self.seed,
            "world": asking.world.name,
            "today": asking.world.today.isoformat(),
        }
        fields = {
            "trace_id": task.trace_id,
            "request": trusted(UserRequest, request),
            "policy": instance.policy,
            "graph": trusted(ToolCallGraph, graph),
            "metadata": metadata,
            "created_at": self.created_at,
            "validated": False,
            "goal": instance.goal,
        }
        return trusted(GoldTrace, fields)


# --- planning --------------------------------------------------------------------------------------------------


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


class Plan(NamedTuple):
    """The calls that serve a case, their order, and the scope that the case is entitled to."""

    calls: list[Planned]
    order: list[str]
    scope: ScopeMetadata


@lru_cache(maxsize=1024)
def plan_of(world: World, scenario_id: str, case: int, attempt: int) -> Plan:
    """The plan for a case that its world holds; kept for its other wordings."""
    instance = instance_at(world, scenario_id, case, attempt)
    assert instance is not None
    domain = world.domain
    calls = _scoped(_plan(domain.file.scenarios[scenario_id], domain, instance), world)
    said = [limit for each in calls if (limit := _said_limit(each, domain)) is not None]
    scope = scope_of_request(instance.goal, domain, instance.policy, instance.principal.role, said)
    return Plan(calls, [each.call_id for each in calls], scope)


def _said_limit(planned: Planned, domain: Domain) -> int | None:
    """The number of rows that the request itself names for a call."""
    limit = tools_of(domain)[planned.tool_id].by_role.get("limit")
    return int(planned.arguments[limit]) if limit in dict(planned.spoken) else None


_UNKNOWN_SCOPE = ScopeMetadata()


def _plan(scenario: c.Scenario, domain: Domain, instance: TaskInstance) -> list[Planned]:
    steps = [step for step in scenario.plan if step.stands(instance.rules)]
    ids = {step.step: f"call_{number}" for number, step in enumerate(steps, start=1)}
    return [_planned(step, ids, domain, instance) for step in steps]


def _planned(step: c.Step, ids: Mapping[str, str], domain: Domain, instance: TaskInstance) -> Planned:
    policy = instance.policy
    arguments: dict[str, Any] = {}
    sources: list[ArgumentSource] = []
    spoken: list[tuple[str, str]] = []
    needs = {ids[name] for name in step.after if name in ids}
    for name, expression in step.arguments.items():
        listed = [expression] if isinstance(expression, str) else expression
        references = [_reference(each) for each in listed]
        match references[0].root:
            case "request":
                slot = str(references[0].path[0])
                spoken.append((name, slot))
                arguments[name] = instance.slots[slot]
                continue
            case "principal":
                arguments[name] = follow(references[0].path, instance.principal.attributes)
                sources.append(_source(name, "principal", references[0].below[1:]))
            case "policy":
                limits = {each.constraint_id: each.parameters for each in policy.constraints}
                arguments[name] = follow(references[0].path, limits)
                sources.append(_source(name, "policy", references[0].below[1:]))
            case _:
                calls = [each._replace(root=ids[each.root]) for each in references]
                arguments[name] = [f"${each}" for each in calls] if isinstance(expression, list) else f"${calls[0]}"
                sources.append(_source(name, "call", written(calls)))
                needs.update(each.root for each in calls)
    rule = next((policy.rules[each.rule] for each in policy.constraints if each.constraint_id in step.when), None)
    order = sorted(needs, key=lambda call_id: int(call_id[5:]))
    tool_id = f"{domain.slug}.{step.tool}"
    return Planned(ids[step.step], tool_id, arguments, order, sources, tuple(spoken), rule, _UNKNOWN_SCOPE)


def _reference(expression: str) -> Reference:
    reference = parse_reference(expression)
    assert reference is not None, expression
    return reference


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


def _call(planned: Planned, asking: Asking, request_id: str) -> ToolCall:
    spans = asking.said.spans
    spoken = [_source(name, "request", None, *spans[slot]) for name, slot in planned.spoken]
    fields = {
        "call_id": planned.call_id,
        "tool_id": planned.tool_id,
        "arguments": planned.arguments,
        "scope": planned.scope,
        "provenance": _provenance(planned, asking, request_id),
        "dependencies": planned.dependencies,
        "argument_sources": spoken + planned.sources,
    }
    return trusted(ToolCall, fields)


def _provenance(planned: Planned, asking: Asking, request_id: str) -> ProvenancePointer:
    """A call that is there because of a rule points to the rule, any other to the words that ask for it."""
    said = asking.said
    if planned.rule is not None:
        source_type, source_id, snippet = TrustTier.SYSTEM, asking.instance.policy.policy_id, planned.rule
    else:
        spans = [said.spans[slot] for _, slot in planned.spoken]
        source_type, source_id, snippet = TrustTier.USER, request_id, clause_of(asking, spans)
    fields = {
        "source_type": source_type,
        "source_id": source_id,
        "timestamp": asking.moment,
        "content_snippet": snippet,
    }
    return trusted(ProvenancePointer, fields)
