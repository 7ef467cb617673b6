"""Checks that a trace fits its domain: the tools, their arguments, the intent, the policy."""

from __future__ import annotations

from collections.abc import Iterator

from gatling_sid.models import INTENTS, Goal
from gatling_sid.schemas.intents import intents_of
from gatling_sid.simulator.arguments import argument_problems
from gatling_sid.validators.trace_context import TraceContext


def tools_belong_to_domain(context: TraceContext) -> Iterator[str]:
    """Every call uses a tool of the domain."""
    for call in context.trace.graph.calls if context.domain else ():
        if call.tool_id not in context.tools:
            yield f"{call.call_id} calls {call.tool_id}, which is not a tool of {context.trace.request.domain}"


def intent_fits(context: TraceContext) -> Iterator[str]:
    """The intent fits what is asked for: the goal and what is refused or, if the trace has no goal, the calls.

    Of a request that needs a question, or nothing to be called, the goal does not tell the intent.
    """
    intent, goal, outcome = context.trace.request.intent_category, context.trace.goal, context.trace.outcome
    if outcome is not None and outcome.kind in ("needs_question", "nothing_to_call"):
        return
    refused = outcome.refused_goal if outcome is not None else None
    kinds = _kinds_of_goal(refused) if refused is not None else []
    if goal is None:
        kinds += [context.tools[c.tool_id].tool.operation for c in context.ordered_calls if c.tool_id in context.tools]
    elif outcome is None or outcome.kind != "declined":
        kinds += _kinds_of_goal(goal)
    fitting = intents_of(kinds)
    if intent in INTENTS and kinds and intent not in fitting:
        yield f"the intent is {intent}; the {'goal fits' if goal else 'calls fit'} {' or '.join(fitting)}"


def _kinds_of_goal(goal: Goal) -> list[str]:
    return [*(each.kind for each in goal.effects), *("aggregate" for _ in goal.measures), *("show" for _ in goal.shows)]


def policy_is_as_published(context: TraceContext) -> Iterator[str]:
    """A policy with the id of a member of the domain's family equals that member."""
    policy, domain = context.trace.policy, context.domain
    if domain is None or context.has_published_policy or not context.claims_family:
        return
    published = domain.family.policy_by_id(policy.policy_id)
    if published is None:
        yield f"the domain's policy family has no member {policy.policy_id!r}"
    elif published != policy:
        fields = [name for name in type(policy).model_fields if getattr(policy, name) != getattr(published, name)]
        yield f"policy {policy.policy_id} differs from the published policy with this id in {', '.join(fields)}"


def arguments_fit_schemas(context: TraceContext) -> Iterator[str]:
    """The arguments of every call fit the parameters of its tool."""
    for call in context.trace.graph.calls:
        tool = context.tools.get(call.tool_id)
        if tool is not None:
            for problem in argument_problems(tool, call.arguments, open_references=True):
                yield f"{call.call_id} ({call.tool_id}): {problem}"
