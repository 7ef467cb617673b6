"""Other plans for the same request: whether they meet the goal and keep the policy with a call less or other arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gatling_sid.models import ToolCall, replace_fields
from gatling_sid.simulator.execution import Execution, execute, unmet_goal_parts
from gatling_sid.validators.policy.kinds import BREAKABLE_BY_OMISSION, breaches
from gatling_sid.validators.trace_context import TraceContext


def serves_request(context: TraceContext, calls: list[ToolCall], execution: Execution | None = None) -> bool:
    """Whether calls, in this order, run, meet the goal of the trace and keep its policy.

    `execution` is what the calls do, if the caller knows it; otherwise they are executed here.
    """
    execution = execution or execute(calls, context.world)
    if execution.refusal is not None:
        return False
    other = context.with_plan(calls, execution)
    return meets_goal(other) and next(breaches(other), None) is None


def meets_goal(context: TraceContext) -> bool:
    """Whether what the executed calls show, measure and change is the goal."""
    goal = context.trace.goal
    assert goal is not None
    days = min((each for call in context.ordered_calls if (each := context.days(call)) is not None), default=None)
    return next(unmet_goal_parts(goal, list(context.results.values()), days), None) is None


def needs_call(context: TraceContext, dropped: str) -> bool:
    """Whether the goal is not met without what a call shows and changes; calls that refer to it keep their values."""
    if context.results[dropped].effects:
        return True  # the goal names exactly the effects that happen, and the goal is met
    return not meets_goal(context.compute_once(_context_without, dropped))


def rules_broken_without(context: TraceContext, dropped: str) -> frozenset[str]:
    """The ids of the constraints that the plan breaks without a call."""
    other = context.compute_once(_context_without, dropped)
    return frozenset(each.constraint_id for each in breaches(other, BREAKABLE_BY_OMISSION))


def _context_without(context: TraceContext, dropped: str) -> TraceContext:
    """The context of the plan without a call, the other calls with the results and arguments they had."""
    assert context.execution is not None
    results = {call_id: each for call_id, each in context.results.items() if call_id != dropped}
    arguments = {call_id: each for call_id, each in context.execution.arguments.items() if call_id != dropped}
    return context.with_plan(_calls_without(context.ordered_calls, dropped), Execution(results, arguments, None))


def _calls_without(calls: Sequence[ToolCall], dropped: str) -> list[ToolCall]:
    """The calls but one; calls that depended on it depend on what it depended on."""
    replacements = next(call.dependencies for call in calls if call.call_id == dropped)
    return [_bypass(call, dropped, replacements) for call in calls if call.call_id != dropped]


def _bypass(call: ToolCall, dropped: str, replacements: Sequence[str]) -> ToolCall:
    if dropped not in call.dependencies:
        return call
    needs = dict.fromkeys([*replacements, *call.dependencies])
    return replace_fields(call, dependencies=[each for each in needs if each != dropped])


def without_dependency(call: ToolCall, dropped: str) -> ToolCall:
    """The call without one of its dependencies."""
    if dropped not in call.dependencies:
        return call
    return replace_fields(call, dependencies=[each for each in call.dependencies if each != dropped])


def fails_with(context: TraceContext, call: ToolCall, arguments: dict[str, Any]) -> bool:
    """Whether the plan fails with other arguments for one call; only that call and its dependants are executed again."""
    assert context.execution is not None
    affected_ids, changed_before, is_exact = {call.call_id}, False, True
    for each in context.ordered_calls:
        if each is call or not affected_ids.isdisjoint(each.dependencies):
            affected_ids.add(each.call_id)
            is_exact = is_exact and not changed_before
        has_effects = bool(context.results[each.call_id].effects)
        changed_before = changed_before or (has_effects and each.call_id not in affected_ids)
    # A call that is not executed again must not have changed the state that an affected call then reads.
    unaffected_results = {
        call_id: result for call_id, result in context.results.items() if is_exact and call_id not in affected_ids
    }
    execution = execute(
        context.ordered_calls,
        context.world,
        known_results=unaffected_results,
        replaced_arguments={call.call_id: arguments},
    )
    execution.arguments.update({call_id: context.execution.arguments[call_id] for call_id in unaffected_results})
    calls = [replace_fields(each, arguments=arguments) if each is call else each for each in context.ordered_calls]
    return not serves_request(context, calls, execution)
