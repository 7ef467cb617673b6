"""Other plans for the same request: whether they meet the goal and keep the policy without a call or with other arguments.

Which plans are tried is decided in `minimality.py`, `known_values.py` and `merging.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gatling_sid.models import ToolCall, replace_fields
from gatling_sid.simulator.execution import Execution, execute, unmet_goal_parts
from gatling_sid.validators.policy.kinds import BREAKABLE_BY_OMISSION, breaches
from gatling_sid.validators.trace_context import TraceContext


def serves_request(context: TraceContext, calls: list[ToolCall], execution: Execution | None = None) -> bool:
    """Whether the calls run in this order, meet the goal of the trace and keep its policy.

    `execution` is their execution, if it is already known; otherwise they are executed here.
    """
    execution = execution or execute(calls, context.world)
    if execution.refusal is not None:
        return False
    other = context.with_plan(calls, execution)
    return meets_goal(other) and next(breaches(other), None) is None


def meets_goal(context: TraceContext) -> bool:
    """Whether the executed calls show and measure what the goal demands, and have exactly its effects."""
    goal = context.trace.goal
    assert goal is not None
    days = min((each for call in context.ordered_calls if (each := context.days(call)) is not None), default=None)
    return next(unmet_goal_parts(goal, list(context.results.values()), days), None) is None


def needs_call(context: TraceContext, removed_id: str) -> bool:
    """Whether the goal is missed without what a call shows and changes; calls that refer to it keep their values."""
    if context.results[removed_id].effects:
        return True  # the goal names exactly the effects that happen, and the goal is met
    return not meets_goal(context.compute_once(_context_without, removed_id))


def rules_broken_without(context: TraceContext, removed_id: str) -> frozenset[str]:
    """The ids of the constraints that the plan breaks without a call."""
    other = context.compute_once(_context_without, removed_id)
    return frozenset(each.constraint_id for each in breaches(other, BREAKABLE_BY_OMISSION))


def _context_without(context: TraceContext, removed_id: str) -> TraceContext:
    """The context of the plan without a call; the other calls keep their results and arguments."""
    assert context.execution is not None
    results = {call_id: each for call_id, each in context.results.items() if call_id != removed_id}
    arguments = {call_id: each for call_id, each in context.execution.arguments.items() if call_id != removed_id}
    return context.with_plan(_calls_without(context.ordered_calls, removed_id), Execution(results, arguments, None))


def _calls_without(calls: Sequence[ToolCall], removed_id: str) -> list[ToolCall]:
    """All calls except one; calls that depended on it now depend on what it depended on."""
    replacements = next(call.dependencies for call in calls if call.call_id == removed_id)
    return [_bypass(call, removed_id, replacements) for call in calls if call.call_id != removed_id]


def _bypass(call: ToolCall, removed_id: str, replacements: Sequence[str]) -> ToolCall:
    if removed_id not in call.dependencies:
        return call
    needs = dict.fromkeys([*replacements, *call.dependencies])
    return replace_fields(call, dependencies=[each for each in needs if each != removed_id])


def without_dependency(call: ToolCall, removed_id: str) -> ToolCall:
    """The call without one of its dependencies."""
    if removed_id not in call.dependencies:
        return call
    return replace_fields(call, dependencies=[each for each in call.dependencies if each != removed_id])


def fails_with(context: TraceContext, call: ToolCall, arguments: dict[str, Any]) -> bool:
    """Whether the plan no longer serves the request if one call has other arguments.

    Only that call, and the calls that depend on it, are executed again.
    """
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
