"""Other plans for the same request: does the goal hold and the policy, with a call less, or other arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gatling_sid.models import ToolCall, construct_trusted
from gatling_sid.simulator.execution import Execution, execute, unmet_goal_parts
from gatling_sid.validators.policy.constraints import BREAKABLE_BY_OMISSION, breaches
from gatling_sid.validators.trace_context import TraceContext


def serves_request(case: TraceContext, calls: list[ToolCall], execution: Execution | None = None) -> bool:
    """Whether calls, in this order, run, meet the goal of the case and keep its policy."""
    done = execution or execute(calls, case.world)
    if done.refusal is not None:
        return False
    other = case.with_plan(calls, done)
    return meets_goal(other) and next(breaches(other), None) is None


def meets_goal(case: TraceContext) -> bool:
    """Whether what the executed calls of a case show and change is the goal."""
    goal = case.trace.goal
    assert goal is not None
    days = min((each for call in case.ordered_calls if (each := case.days(call)) is not None), default=None)
    return next(unmet_goal_parts(goal, list(case.results.values()), days), None) is None


def needs_call(case: TraceContext, dropped: str) -> bool:
    """Whether the goal is lost without what a call shows and changes; whoever refers to it keeps the value."""
    if case.results[dropped].effects:
        return True  # the goal names exactly the effects that happen, and the goal is met
    return not meets_goal(_context_without(case, dropped))


def rules_broken_without(case: TraceContext, dropped: str) -> frozenset[str]:
    """The names of the rules that break without a call."""
    return frozenset(
        constraint_id for constraint_id, _, _ in breaches(_context_without(case, dropped), BREAKABLE_BY_OMISSION)
    )


def _context_without(case: TraceContext, dropped: str) -> TraceContext:
    """The case without a call, the other calls as they were."""
    if dropped not in case.without_call:
        assert case.execution is not None
        known = {call_id: each for call_id, each in case.results.items() if call_id != dropped}
        arguments = {call_id: each for call_id, each in case.execution.arguments.items() if call_id != dropped}
        case.without_call[dropped] = case.with_plan(
            calls_without(case.ordered_calls, dropped), Execution(known, arguments, None)
        )
    return case.without_call[dropped]


def calls_without(calls: Sequence[ToolCall], dropped: str) -> list[ToolCall]:
    """The calls but one; what waited for it waits for what it waited for."""
    before = next(call.dependencies for call in calls if call.call_id == dropped)
    return [_bypass(call, dropped, before) for call in calls if call.call_id != dropped]


def _bypass(call: ToolCall, dropped: str, before: Sequence[str]) -> ToolCall:
    if dropped not in call.dependencies:
        return call
    needs = dict.fromkeys([*before, *call.dependencies])
    return construct_trusted(ToolCall, {**call.__dict__, "dependencies": [each for each in needs if each != dropped]})


def without_dependency(call: ToolCall, dropped: str) -> ToolCall:
    """A call that does not wait for another."""
    if dropped not in call.dependencies:
        return call
    rest = [each for each in call.dependencies if each != dropped]
    return construct_trusted(ToolCall, {**call.__dict__, "dependencies": rest})


def fails_with(case: TraceContext, call: ToolCall, arguments: dict[str, Any]) -> bool:
    """Whether the plan fails with other arguments for one call; only what lies downstream is executed again."""
    assert case.execution is not None
    affected, changed_before, exact = {call.call_id}, False, True
    for each in case.ordered_calls:
        if each is call or not affected.isdisjoint(each.dependencies):
            affected.add(each.call_id)
            exact = exact and not changed_before
        changed_before = changed_before or (bool(case.results[each.call_id].effects) and each.call_id not in affected)
    # What is not executed again must not have changed the state that the rest then sees.
    known = {i: outcome for i, outcome in case.results.items() if exact and i not in affected}
    again = execute(case.ordered_calls, case.world, known_results=known, replaced_arguments={call.call_id: arguments})
    again.arguments.update({i: case.execution.arguments[i] for i in known})
    calls = [
        construct_trusted(ToolCall, {**each.__dict__, "arguments": arguments}) if each is call else each
        for each in case.ordered_calls
    ]
    return not serves_request(case, calls, again)
