"""Plans: the calls that serve an instance of a scenario under the rules in force."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from gatling_sid.models import (
    ArgumentSource,
    Lure,
    Observation,
    ScopeMetadata,
    ToolCall,
    TrustTier,
    construct_trusted,
    replace_fields,
)
from gatling_sid.scenarios.composed_text import compose_text
from gatling_sid.scenarios.instances import Instance, instance_at
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.references import Reference, follow, parse_reference, reference_in, write_references
from gatling_sid.schemas.tool_ids import tool_id_of
from gatling_sid.simulator.cells import cells_of
from gatling_sid.simulator.execution import execute, tools_of
from gatling_sid.simulator.observations import lures_in, observe
from gatling_sid.simulator.operations import CallResult
from gatling_sid.simulator.scope import scope_of_call, scope_of_request
from gatling_sid.simulator.stated_facts import is_stated_fact, span_of_fact
from gatling_sid.simulator.trust import PlanTrust, references_of_source
from gatling_sid.simulator.world import World

_EMPTY_SCOPE = ScopeMetadata()
"""The scope of a call before the plan was executed, which shows the scope that the call takes."""
_EMPTY_CALL_FIELDS: dict[str, Any] = {"scope": _EMPTY_SCOPE, "provenance": None}
"""The fields of a ToolCall that executing it does not read."""


class CallTemplate(NamedTuple):
    """A call of a plan without the parts that depend on the wording of the request.

    `argument_slots` are (argument, slot) pairs of the arguments whose values the request states; `sources` are the
    sources of all others. `rule` is the sentence of the policy that demands the call, or None.
    """

    call_id: str
    tool_id: str
    arguments: dict[str, Any]
    dependencies: list[str]
    sources: list[ArgumentSource]
    argument_slots: tuple[tuple[str, str], ...]
    rule: str | None
    scope: ScopeMetadata


class PlanTemplate(NamedTuple):
    """The calls that serve an instance, their order, what they return, and the scope that the request is entitled to."""

    calls: list[CallTemplate]
    order: list[str]
    scope: ScopeMetadata
    observations: list[Observation]
    lures: list[Lure]
    refused: list[CallTemplate]
    """The calls that would do what a rule forbids; none if everything is served."""


@lru_cache(maxsize=1024)
def plan_of(world: World, scenario_id: str, instance_index: int, attempt: int) -> PlanTemplate:
    """The plan for the instance with this number, which must exist; cached, since several requests share an instance."""
    instance = instance_at(world, scenario_id, instance_index, attempt)
    assert instance is not None
    return plan_instance(world, scenario_id, instance)


def plan_instance(world: World, scenario_id: str, instance: Instance) -> PlanTemplate:
    """The plan for an instance of a scenario: the scenario's steps under the rules in force, with their scopes."""
    domain = world.domain
    scenario = world.scenarios[scenario_id]
    calls, observations = _carry_out(_write_texts(_plan_steps(scenario.plan, domain, instance), world), world)
    refused = _plan_steps(scenario.variant.plan, domain, without_broken_rule(instance)) if scenario.variant else []
    limits = [limit for each in calls if (limit := _requested_limit(each, domain)) is not None]
    scope = scope_of_request(instance.goal, domain, instance.policy, instance.principal.role, limits)
    lures = lures_in(observations, world)
    refused, _ = _carry_out(_write_texts(refused, world), world)
    return PlanTemplate(calls, [each.call_id for each in calls], scope, observations, lures, refused)


def without_broken_rule(instance: Instance) -> Instance:
    """The instance without the rule that forbids it: the refused plan is the one that would serve it otherwise."""
    return instance._replace(rules=instance.rules - {instance.outcome.constraint_id or ""})


def _requested_limit(template: CallTemplate, domain: Domain) -> int | None:
    """The number of rows that the request states for this call, or None if it states none."""
    limit = tools_of(domain)[template.tool_id].parameter_for.get("limit")
    return int(template.arguments[limit]) if limit in dict(template.argument_slots) else None


def _plan_steps(plan: list[c.Step], domain: Domain, instance: Instance) -> list[CallTemplate]:
    steps = [step for step in plan if step.is_in_force(instance.rules)]
    ids = {step.step: f"call_{number}" for number, step in enumerate(steps, start=1)}
    ancestors: dict[str, set[str]] = {}
    calls = []
    for step in steps:
        call = _plan_step(step, ids, ancestors, domain, instance)
        ancestors[call.call_id] = {*call.dependencies}.union(*(ancestors[each] for each in call.dependencies))
        calls.append(call)
    return calls


def _plan_step(
    step: c.Step, ids: Mapping[str, str], ancestors: Mapping[str, set[str]], domain: Domain, instance: Instance
) -> CallTemplate:
    """The call of one step; `ids` holds the call ids of all steps in force, by step name.

    It depends on the calls that it refers to, and on those that must come before it unless another dependency implies
    this; `ancestors` has, by call id, what earlier calls depend on.
    """
    policy = instance.policy
    arguments: dict[str, Any] = {}
    sources: list[ArgumentSource] = []
    argument_slots: list[tuple[str, str]] = []
    demanded = [name for name, rules in step.after_when.items() if not instance.rules.isdisjoint(rules)]
    earlier = {ids[name] for name in (*step.after, *demanded) if name in ids}
    referenced: set[str] = set()
    for name, expression in step.arguments.items():
        expressions = [expression] if isinstance(expression, str) else expression
        references = [_require_reference(each) for each in expressions]
        match references[0].root:
            case "request":
                slot = str(references[0].path[0])
                argument_slots.append((name, slot))
                arguments[name] = _as_list_if(expression, instance.slots[slot])
                continue
            case "principal":
                arguments[name] = _as_list_if(expression, follow(references[0].path, instance.principal.attributes))
                sources.append(argument_source(name, "principal", references[0].path_text[1:]))
            case "policy":
                limits = {each.constraint_id: each.parameters for each in policy.constraints}
                arguments[name] = follow(references[0].path, limits)
                sources.append(argument_source(name, "policy", references[0].path_text[1:]))
            case "composed":
                calls = [each._replace(root=ids[each.root]) for each in references[1:]]
                arguments[name] = ""  # written when the values are known
                sources.append(argument_source(name, "composed", write_references(calls)))
                referenced.update(each.root for each in calls)
            case _:
                calls = [each._replace(root=ids[each.root]) for each in references]
                arguments[name] = [f"${each}" for each in calls] if isinstance(expression, list) else f"${calls[0]}"
                sources.append(argument_source(name, "call", write_references(calls)))
                referenced.update(each.root for each in calls)
    in_force = [each for each in policy.constraints if each.constraint_id in instance.rules]
    sentences = {each.constraint_id: policy.rules[each.rule] for each in in_force}
    rule = sentences.get(step.quoted_rule(sentences) or "")
    implied = {call_id for each in (*earlier, *referenced) for call_id in ancestors[each]}
    dependencies = sorted(referenced | (earlier - implied), key=lambda call_id: int(call_id[5:]))
    tool_id = tool_id_of(domain.slug, step.tool)
    return CallTemplate(
        ids[step.step], tool_id, arguments, dependencies, sources, tuple(argument_slots), rule, _EMPTY_SCOPE
    )


def _as_list_if(expression: str | list[str], value: Any) -> Any:
    """The value, in a list if the expression is a list, as for a single key where a tool takes several."""
    return [value] if isinstance(expression, list) and not isinstance(value, list) else value


def _require_reference(expression: str) -> Reference:
    reference = parse_reference(expression)
    assert reference is not None, expression
    return reference


def argument_source(
    argument: str,
    origin: str,
    reference: str | None,
    start: int | None = None,
    end: int | None = None,
    tier: TrustTier | None = None,
) -> ArgumentSource:
    """The record of where an argument's value comes from; `start` and `end` are offsets in the text that states it."""
    fields = {
        "argument": argument,
        "origin": origin,
        "reference": reference,
        "start": start,
        "end": end,
        "trust_tier": tier,
    }
    return construct_trusted(ArgumentSource, fields)


def _write_texts(plan: list[CallTemplate], world: World) -> list[CallTemplate]:
    """The plan in which facts that a text states stand instead of references to them, and texts are composed."""
    calls: list[CallTemplate] = []
    for call in plan:
        stated = [(each, r) for each in call.sources if (r := _stated_fact(call.arguments[each.argument])) is not None]
        composed = [each for each in call.sources if each.origin == "composed"]
        results = execute([_executable(each) for each in calls], world).results if stated or composed else {}
        for source, reference in stated:
            call = _state_fact(call, source, reference, results[reference.root], world)  # noqa: PLW2901 - step by step
        for source in composed:
            text = _compose(source, results, world)
            call = call._replace(arguments={**call.arguments, source.argument: text})  # noqa: PLW2901
        calls.append(call)
    return calls


def _compose(source: ArgumentSource, results: Mapping[str, CallResult], world: World) -> str:
    """The text that tells the values to which a source refers, all of one row."""
    cells = [cell for each in references_of_source(source) for cell in cells_of(each, results[each.root])]
    row = {name: value for cell in cells for name, value in cell.row.items()}
    return compose_text(world.domain, cells[0].entity, [each.field for each in cells], row, world.today)


def _stated_fact(value: Any) -> Reference | None:
    reference = reference_in(value)
    return reference if reference is not None and is_stated_fact(reference) else None


def _state_fact(
    call: CallTemplate, source: ArgumentSource, reference: Reference, result: CallResult, world: World
) -> CallTemplate:
    """The call with a fact that a text in an earlier result states instead of the reference to it."""
    entity, row, fact = world.domain.file.entities[result.entity], result.rows[0][1], str(reference.path[-1])
    start, end = span_of_fact(entity, fact, row, world.today)
    path = str(reference._replace(path=reference.path[:-1]))
    stated = argument_source(source.argument, "call", path, start, end)
    return call._replace(
        arguments={**call.arguments, source.argument: row[fact]},
        sources=[stated if each is source else each for each in call.sources],
    )


def _carry_out(plan: list[CallTemplate], world: World) -> tuple[list[CallTemplate], list[Observation]]:
    """The plan with the scopes and tiers that its calls have when they are executed, and what they return.

    If a tool refuses a call, scopes and tiers are left out.
    """
    calls = [_executable(each) for each in plan]
    execution, tools = execute(calls, world), tools_of(world.domain)
    trust = PlanTrust(calls, execution.results, world.domain)
    observations = observe(calls, execution.results, trust)
    if execution.refusal is not None:
        return plan, observations
    templates = [
        each._replace(
            scope=scope_of_call(
                tools[each.tool_id], execution.arguments[each.call_id], execution.results[each.call_id], world.today
            ),
            sources=[
                replace_fields(source, trust_tier=trust.arguments[each.call_id, source.argument])
                for source in each.sources
            ],
        )
        for each in plan
    ]
    return templates, observations


def _executable(template: CallTemplate) -> ToolCall:
    """A call as far as executing it needs; its sources lack the places in the request."""
    sources = [argument_source(name, "request", None) for name, _ in template.argument_slots] + template.sources
    fields = {
        "call_id": template.call_id,
        "tool_id": template.tool_id,
        "arguments": template.arguments,
        "argument_sources": sources,
        "dependencies": template.dependencies,
    }
    return construct_trusted(ToolCall, {**_EMPTY_CALL_FIELDS, **fields})
