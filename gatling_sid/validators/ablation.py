"""Other plans for the same request: does the goal hold and the policy, with a call less, or other arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gatling_sid.models import ToolCall, trusted
from gatling_sid.simulator.execution import Execution, execute, unmet
from gatling_sid.validators.case import Case
from gatling_sid.validators.policy import constraints_hold


def serves(case: Case, calls: list[ToolCall], execution: Execution | None = None) -> bool:
    """Whether calls, in this order, run, meet the goal of the case and keep its policy."""
    goal, done = case.trace.goal, execution or execute(calls, case.world)
    assert goal is not None
    if done.refusal is not None:
        return False
    other = case.with_plan(calls, done)
    days = min((each for call in calls if (each := other.days(call)) is not None), default=None)
    if next(unmet(goal, list(done.outcomes.values()), days), None) is not None:
        return False
    return next(constraints_hold(other), None) is None


def serves_without(case: Case, dropped: str) -> bool:
    """Whether the plan would do without what a call shows and changes; whoever refers to it keeps the value."""
    assert case.execution is not None
    if case.outcomes[dropped].effects:
        return False  # the goal names exactly the effects that happen, and the goal is met
    known = {call_id: each for call_id, each in case.outcomes.items() if call_id != dropped}
    arguments = {call_id: each for call_id, each in case.execution.arguments.items() if call_id != dropped}
    return serves(case, without(case.ordered, dropped), Execution(known, arguments, None))


def without(calls: Sequence[ToolCall], dropped: str) -> list[ToolCall]:
    """The calls but one, none of which waits for it."""
    return [without_dependency(call, dropped) for call in calls if call.call_id != dropped]


def without_dependency(call: ToolCall, dropped: str) -> ToolCall:
    """A call that does not wait for another."""
    if dropped not in call.dependencies:
        return call
    rest = [each for each in call.dependencies if each != dropped]
    return trusted(ToolCall, {**call.__dict__, "dependencies": rest})


def fails_with(case: Case, call: ToolCall, arguments: dict[str, Any]) -> bool:
    """Whether the plan fails with other arguments for one call; only what lies downstream is executed again."""
    assert case.execution is not None
    affected, changed_before, exact = {call.call_id}, False, True
    for each in case.ordered:
        if each is call or not affected.isdisjoint(each.dependencies):
            affected.add(each.call_id)
            exact = exact and not changed_before
        changed_before = changed_before or (bool(case.outcomes[each.call_id].effects) and each.call_id not in affected)
    # What is not executed again must not have changed the state that the rest then sees.
    known = {i: outcome for i, outcome in case.outcomes.items() if exact and i not in affected}
    again = execute(case.ordered, case.world, known=known, instead={call.call_id: arguments})
    again.arguments.update({i: case.execution.arguments[i] for i in known})
    calls = [
        trusted(ToolCall, {**each.__dict__, "arguments": arguments}) if each is call else each for each in case.ordered
    ]
    return not serves(case, calls, again)
