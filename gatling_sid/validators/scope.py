"""Could the plan be smaller: drop each call, narrow each scope-bearing argument by one step, and see the goal break."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gatling_sid.models import GoldTrace, ToolCall, ToolCallGraph, trusted
from gatling_sid.simulator.execution import Execution, execute, unmet
from gatling_sid.simulator.operations import CompiledTool, Outcome
from gatling_sid.validators.case import Case, references
from gatling_sid.validators.policy import constraints_hold
from gatling_sid.validators.replay import order_does_not_matter


def scope_is_within_request(case: Case) -> Iterator[str]:
    """Without a replay: no call declares more than the request expects."""
    if case.execution is not None:
        return
    expected = case.trace.request.expected_scope
    for call in case.trace.graph.calls:
        scope = call.scope
        for what, have, want in (
            ("rows", scope.rows_requested, expected.rows_requested),
            ("days", scope.time_range_days, expected.time_range_days),
        ):
            if have is not None and want is not None and have > want:
                yield f"{call.call_id} asks for {have} {what}; the request needs {want}"
        if scope.sensitivity_tier.level > expected.sensitivity_tier.level:
            yield f"{call.call_id} takes {scope.sensitivity_tier.value} data; the request needs {expected.sensitivity_tier.value}"
        if scope.export_target is not None and scope.export_target != expected.export_target:
            yield f"{call.call_id} exports to {scope.export_target}; the request asks for {expected.export_target or 'no export'}"


def no_call_can_be_dropped(case: Case) -> Iterator[str]:
    """Without any one call, the plan fails to run, to meet its goal or to keep its policy."""
    if not _succeeds(case):
        return
    used = {reference.root for call in case.ordered for _, reference in references(call)}
    for call in case.ordered:
        if call.call_id not in used and not _breaks(case, _without(case.ordered, call.call_id), drop=call.call_id):
            yield f"{call.call_id} ({call.tool_id}) can be dropped: the goal is met and the policy kept without it"


def no_dependency_can_be_dropped(case: Case) -> Iterator[str]:
    """A call waits for another only for its result, for a rule's sake, or because the order matters."""
    if not _succeeds(case):
        return
    for call in case.ordered:
        used = {reference.root for _, reference in references(call)}
        for each in call.dependencies:
            if each not in used and not _needs_order(case, call, each):
                yield f"{call.call_id} need not wait for {each}"


def _needs_order(case: Case, call: ToolCall, other: str) -> bool:
    """Whether something breaks if a call no longer waits for another."""
    assert case.execution is not None
    freed = _free_of(call, other)
    smaller = _Smaller(case, [freed if each is call else each for each in case.ordered], case.execution)
    return any(next(rule(smaller), None) is not None for rule in (constraints_hold, order_does_not_matter))


def no_scope_can_be_narrowed(case: Case) -> Iterator[str]:
    """With any one scope narrowed by one step, the plan fails to run, to meet its goal or to keep its policy."""
    if not _succeeds(case):
        return
    assert case.execution is not None
    for call in case.ordered:
        tool = case.tools[call.tool_id]
        arguments = case.execution.arguments[call.call_id]
        outcome = case.execution.outcomes[call.call_id]
        for what, narrower in narrowings(tool, arguments, outcome):
            if not _breaks_narrowed(case, call, narrower):
                yield f"{call.call_id} ({call.tool_id}) needs less: {what}"


def narrowings(tool: CompiledTool, arguments: dict[str, Any], outcome: Outcome) -> Iterator[tuple[str, dict[str, Any]]]:
    """One step less of each scope that a call takes, as (description, arguments).

    Rows: one less than asked for or, if no number was asked for, than were returned. Days: one less. Fields: without
    each of those selected or, if none were, without those of the highest tier. Target: the next narrower one.
    """
    roles = tool.by_role
    limit, select, target = roles.get("limit"), roles.get("select"), roles.get("target")
    if limit is not None:
        rows = len(outcome.figure.values) if outcome.figure else len(outcome.rows)
        asked = arguments.get(limit, rows)
        if asked > 1 and (limit in arguments or outcome.figure is None or outcome.figure.group_by):
            yield f"{limit} {asked - 1} instead of {asked} is enough", {**arguments, limit: asked - 1}
    for name, _, match in tool.filters:
        if match in ("within_days", "next_days") and arguments.get(name, 1) > 1:
            less = arguments[name] - 1
            yield f"{name} {less} instead of {less + 1} is enough", {**arguments, name: less}
    if select is not None:
        yield from _fewer_fields(tool, select, arguments, outcome)
    if target is not None:
        values = tool.tool.parameters[target].values or []
        at = values.index(arguments[target])
        if at > 0:
            yield (
                f"{target} {values[at - 1]} instead of {arguments[target]} will do",
                {**arguments, target: values[at - 1]},
            )


def _fewer_fields(
    tool: CompiledTool, select: str, arguments: dict[str, Any], outcome: Outcome
) -> Iterator[tuple[str, dict[str, Any]]]:
    if select in arguments:
        for field in arguments[select]:
            fewer = [each for each in arguments[select] if each != field]
            if fewer:
                yield f"{field} is not needed", {**arguments, select: fewer}
        return
    known = tool.domain.file.entities[tool.entity].fields
    highest = max(known[field].sensitivity.level for field in outcome.fields)
    fewer = [field for field in outcome.fields if known[field].sensitivity.level < highest]
    if fewer:
        yield f"nothing above its lower tiers is needed, only {', '.join(fewer)}", {**arguments, select: fewer}


def _succeeds(case: Case) -> bool:
    return (
        case.execution is not None
        and case.execution.refusal is None
        and case.execution.outcomes.keys() == case.by_id.keys()
    )


def _without(calls: Sequence[ToolCall], dropped: str) -> list[ToolCall]:
    return [_free_of(call, dropped) for call in calls if call.call_id != dropped]


def _free_of(call: ToolCall, dropped: str) -> ToolCall:
    if dropped not in call.dependencies:
        return call
    rest = [each for each in call.dependencies if each != dropped]
    return trusted(ToolCall, {**call.__dict__, "dependencies": rest})


def _breaks(case: Case, calls: list[ToolCall], *, drop: str) -> bool:
    """Whether the plan fails without a call whose result no other call uses."""
    assert case.execution is not None
    gone = case.execution.outcomes[drop]
    if gone.effects:
        return True  # the goal names exactly the effects that happen, and the goal is met
    known = {call_id: each for call_id, each in case.execution.outcomes.items() if call_id != drop}
    arguments = {call_id: each for call_id, each in case.execution.arguments.items() if call_id != drop}
    return _fails(case, calls, Execution(known, arguments, None))


def _breaks_narrowed(case: Case, call: ToolCall, narrower: dict[str, Any]) -> bool:
    """Whether the plan fails with other arguments for one call; only what lies downstream is executed again."""
    assert case.execution is not None
    outcomes = case.execution.outcomes
    affected, changed_before = {call.call_id}, False
    exact = True
    for each in case.ordered:
        if each is call or not affected.isdisjoint(each.dependencies):
            affected.add(each.call_id)
            exact = exact and not changed_before
        changed_before = changed_before or (bool(outcomes[each.call_id].effects) and each.call_id not in affected)
    # What is not executed again must not have changed the state that the rest then sees.
    known = {i: outcome for i, outcome in outcomes.items() if exact and i not in affected}
    again = execute(case.ordered, case.world, known=known, instead={call.call_id: narrower})
    again.arguments.update({i: case.execution.arguments[i] for i in known})
    if again.refusal is not None:
        return True
    calls = [
        trusted(ToolCall, {**each.__dict__, "arguments": narrower}) if each is call else each for each in case.ordered
    ]
    return _fails(case, calls, again)


def _fails(case: Case, calls: list[ToolCall], execution: Execution) -> bool:
    goal = case.trace.goal
    assert goal is not None
    smaller = _Smaller(case, calls, execution)
    days = min((each for call in calls if (each := smaller.days(call)) is not None), default=None)
    if next(unmet(goal, list(execution.outcomes.values()), days), None) is not None:
        return True
    return next(constraints_hold(smaller), None) is not None


class _Smaller(Case):
    """The case of a smaller plan for the same request, already executed."""

    def __init__(self, case: Case, calls: list[ToolCall], execution: Execution) -> None:
        graph = trusted(
            ToolCallGraph,
            {**case.trace.graph.__dict__, "calls": calls, "execution_order": [call.call_id for call in calls]},
        )
        self.__dict__.update(
            trace=trusted(GoldTrace, {**case.trace.__dict__, "graph": graph}), registry=case.registry,
            by_id={call.call_id: call for call in calls}, ordered=calls, execution=execution, unreplayable=None,
            domain=case.domain, tools=case.tools, world=case.world, role=case.role, constraints=case.constraints,
        )  # fmt: skip
