"""Does it fit its domain: the tools, their arguments, the intent, the policy."""

from __future__ import annotations

from collections.abc import Iterator

from gatling_sid.models import INTENTS, Goal
from gatling_sid.schemas.intents import intents_of
from gatling_sid.simulator.arguments import argument_problems
from gatling_sid.validators.trace_context import TraceContext


def tools_belong_to_domain(case: TraceContext) -> Iterator[str]:
    """Every tool is one of the domain's."""
    for call in case.trace.graph.calls if case.domain else ():
        if call.tool_id not in case.tools:
            yield f"{call.call_id} calls {call.tool_id}, which is no tool of {case.trace.request.domain}"


def intent_fits(case: TraceContext) -> Iterator[str]:
    """The intent is what the goal does or, where no goal is stated, what the calls do."""
    intent, goal = case.trace.request.intent_category, case.trace.goal
    done = (
        _kinds_done(goal)
        if goal
        else [case.tools[c.tool_id].tool.operation for c in case.ordered_calls if c.tool_id in case.tools]
    )
    fitting = intents_of(done)
    if intent in INTENTS and done and intent not in fitting:
        yield f"the intent is {intent}; what is {'wanted' if goal else 'called'} is {' or '.join(fitting)}"


def _kinds_done(goal: Goal) -> list[str]:
    return [*(each.kind for each in goal.effects), *("aggregate" for _ in goal.measures), *("show" for _ in goal.shows)]


def policy_is_as_published(case: TraceContext) -> Iterator[str]:
    """A policy that bears the id of a member of the family says what that member says."""
    policy, domain = case.trace.policy, case.domain
    if domain is None or case.has_published_policy or not case.claims_family:
        return
    published = domain.family.published(policy.policy_id)
    if published is None:
        yield f"there is no member {policy.policy_id!r} of the family"
    elif published != policy:
        fields = [name for name in type(policy).model_fields if getattr(policy, name) != getattr(published, name)]
        yield f"{policy.policy_id} differs from the published policy of that id in {', '.join(fields)}"


def arguments_fit_schemas(case: TraceContext) -> Iterator[str]:
    """Every call's arguments are what its tool takes."""
    for call in case.trace.graph.calls:
        tool = case.tools.get(call.tool_id)
        if tool is not None:
            for problem in argument_problems(tool, call.arguments, open_references=True):
                yield f"{call.call_id} ({call.tool_id}): {problem}"
