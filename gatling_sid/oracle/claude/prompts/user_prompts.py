"""User prompts: the varying part of an LLM request, which states a request context."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from gatling_sid.models import GoldTrace, SystemPolicy
from gatling_sid.oracle.claude.plans.answers import PlanAnswer
from gatling_sid.oracle.claude.plans.from_trace import plan_from_trace
from gatling_sid.oracle.claude.plans.request_context import RequestContext, RowsByEntity
from gatling_sid.schemas.domain import Domain
from gatling_sid.simulator.execution import execute
from gatling_sid.simulator.world import World

# Items of a list in a result: enough to see its form; every item costs tokens.
_MAX_ITEMS = 3
# A longer list of findings does not help to repair a plan.
_MAX_FINDINGS = 12


def policy_line(domain: Domain, policy: SystemPolicy) -> str:
    """The line about the policy in force: its axis values and missing rules; the sentences are in the system prompt."""
    member, family = domain.family.member_of(policy.policy_id), domain.file.policy
    if member is None:
        return "Policy in force: " + " ".join(policy.rules)
    values = domain.family.axis_values_of(member)
    axes = ", ".join(f"{name} {_compact(values[name])}" for name in family.vary)
    names = domain.family.rules_in_force(member)
    absent = [name for name in family.rules if name not in names]
    return f"Policy in force: {axes or 'as written'}. Not in force: {', '.join(absent) or 'none'}."


def principal_line(context: RequestContext) -> str:
    """The role and the attributes of the person who asks."""
    return f"{context.principal.role} {_compact(context.principal.attributes)}"


def row_lines(rows_by_entity: RowsByEntity) -> Iterator[str]:
    """One line per row, without fields that are empty."""
    for entity, rows in rows_by_entity.items():
        for row in rows:
            yield f"{entity} {_compact({name: value for name, value in row.items() if value is not None})}"


def item_text(number: int, context: RequestContext) -> str:
    """One item of the user prompt that asks for requests."""
    manner = "; ".join(f"{name}: {way}" for name, way in context.manner)
    lines = [
        f"Item {number}",
        f"asked by: {principal_line(context)}",
        f"intent: {context.intent}; tools that should be enough: {', '.join(context.tools)}",
        manner,
        *row_lines(context.rows),
    ]
    return "\n".join(each for each in lines if each)


def block_text(contexts: Sequence[RequestContext]) -> str:
    """The user prompt that asks for requests, one item per context; all contexts share policy and world."""
    first = contexts[0]
    items = "\n\n".join(item_text(number, each) for number, each in enumerate(contexts, start=1))
    return f"{_day(first)}\n{policy_line(first.domain, first.policy)}\n\n{items}"


def request_text(text: str, context: RequestContext) -> str:
    """A request with its context, as it is stated in the user prompt that asks for its plan."""
    lines = [
        policy_line(context.domain, context.policy),
        f"Asked by: {principal_line(context)}",
        f"Intent: {context.intent}",
        "Some records:",
        *row_lines(context.rows),
        f"Request: {text}",
    ]
    return "\n".join(lines)


def requests_text(requests: Sequence[tuple[str, RequestContext]]) -> str:
    """The user prompt that asks for the plans of requests."""
    items = [f"Item {number}\n{request_text(*each)}" for number, each in enumerate(requests, start=1)]
    return "\n\n".join([_day(requests[0][1]), *items])


def _day(context: RequestContext) -> str:
    return f"Today is {context.world.today:%A} {context.world.today.isoformat()}."


def repair_text(
    text: str, context: RequestContext, answer: str, findings: Sequence[str], previous: GoldTrace | None
) -> str:
    """The user prompt that asks for a repaired plan; it shows the old plan, its results, and the findings."""
    lines = [requests_text([(text, context)]), "", "An earlier plan for it was:", answer]
    if previous is not None:
        lines += ["What its calls did:", *describe_results(previous, context.world)]
    listed = [f"- {each}" for each in findings[:_MAX_FINDINGS]]
    return "\n".join([*lines, "It was rejected:", *listed, "Give the whole goal and plan again, repaired."])


def describe_results(trace: GoldTrace, world: World) -> Iterator[str]:
    """What each call of a plan returned, one line per call; long lists are cut."""
    execution = execute(trace.graph.calls, world)
    for call_id, result in execution.results.items():
        value = dict(result.value)
        for name, inside in value.items():
            if isinstance(inside, list) and len(inside) > _MAX_ITEMS:
                value[name] = [*inside[:_MAX_ITEMS], f"… {len(inside)} in total"]
        yield f"{call_id} -> {_compact(value)}"
    if execution.refusal is not None:
        yield str(execution.refusal)


def judgement_text(trace: GoldTrace, context: RequestContext) -> str:
    """The user prompt that asks for a judgement of a trace."""
    plan = plan_from_trace(trace, context.world)
    lines = [
        _day(context),
        policy_line(context.domain, context.policy),
        f"Asked by: {principal_line(context)}",
        f"Request: {trace.request.text}",
        "Goal and plan:",
        compact_json(plan),
        "What its calls did:",
        *describe_results(trace, context.world),
    ]
    return "\n".join(lines)


def compact_json(plan: PlanAnswer) -> str:
    """A plan as JSON without white space."""
    return plan.model_dump_json()


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
