"""Checks that the plan executes, meets its goal and changes nothing else, in any order that the graph allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import pairwise

from gatling_sid.models import ToolCall
from gatling_sid.simulator.execution import run_call, unmet_goal_parts
from gatling_sid.simulator.operations import CallRefusedError, CallResult, State
from gatling_sid.simulator.scope import requested_limits, scope_of_call, scope_of_request
from gatling_sid.validators.trace_context import TraceContext

_WITHOUT_CALLS = ("declined", "nothing_to_call")
"""Outcomes of requests for which nothing may have to be called."""


def plan_executes(context: TraceContext) -> Iterator[str]:
    """No tool refuses a call of the plan."""
    if context.execution and context.execution.refusal:
        yield str(context.execution.refusal)


def plan_has_a_call(context: TraceContext) -> Iterator[str]:
    """The plan has at least one call, unless the outcome says why nothing is called."""
    outcome = context.trace.outcome
    if not context.trace.graph.calls and (outcome is None or outcome.kind not in _WITHOUT_CALLS):
        yield "the plan has no calls, and the outcome does not say why"


def principal_is_real(context: TraceContext) -> Iterator[str]:
    """The principal is a person of the world, has a role of the domain, and has the attributes of the role with their values."""
    principal, domain = context.trace.request.principal, context.domain
    role = domain.file.roles.get(principal.role) if domain and principal else None
    if principal is None or role is None:
        yield (
            f"the principal's role {principal.role!r} is not a role of the domain"
            if principal
            else "the request has no principal"
        )
        return
    row = context.world.tables[role.entity].get(principal.principal_id)
    if row is None:
        yield f"the world has no {role.entity} {principal.principal_id}, who is named as the principal"
        return
    conditions = {name: value for name, value in role.where.items() if not isinstance(value, Mapping)}
    if any(row[name] != value for name, value in conditions.items()):
        yield f"principal {principal.principal_id} does not have the role {principal.role!r} in the world"
    attributes = {name: row[name] for name in role.attributes}
    if principal.attributes != attributes:
        different = sorted(
            n
            for n in attributes.keys() | principal.attributes.keys()
            if attributes.get(n) != principal.attributes.get(n)
        )
        yield f"attributes {', '.join(different)} of principal {principal.principal_id} differ from the world"


def date_matches_world(context: TraceContext) -> Iterator[str]:
    """The date in `metadata.today` is the date of the world."""
    if context.execution and context.trace.metadata.get("today") != context.world.today.isoformat():
        yield f"metadata.today is {context.trace.metadata.get('today')}; the date of its world is {context.world.today}"


def goal_is_met(context: TraceContext) -> Iterator[str]:
    """The results show and measure what the goal demands, and exactly the effects of the goal happen."""
    goal, execution = context.trace.goal, context.execution
    if goal is not None and execution is not None and execution.refusal is None:
        days = min((each for call in context.ordered_calls if (each := context.days(call)) is not None), default=None)
        yield from unmet_goal_parts(goal, list(execution.results.values()), days)


def order_does_not_matter(context: TraceContext) -> Iterator[str]:
    """Any two calls that the graph does not order have the same results, whichever runs first."""
    execution = context.execution
    if execution is None or execution.refusal is not None or _is_chain(context):
        return
    for writer in context.ordered_calls:
        if not execution.results[writer.call_id].effects:
            continue  # a call without effects changes nothing for the others
        for other in context.ordered_calls:
            if (
                other is not writer
                and _are_unordered(context, writer.call_id, other.call_id)
                and _is_changed(context, other, writer)
            ):
                yield f"{other.call_id} gives another result before {writer.call_id} than after it; add the missing dependency"


def _is_chain(context: TraceContext) -> bool:
    """Whether each call depends on the one before it, so that there is only one order."""
    calls = context.ordered_calls
    return all(before.call_id in after.dependencies for before, after in pairwise(calls))


def _are_unordered(context: TraceContext, one: str, other: str) -> bool:
    return one not in context.ancestors(other) and other not in context.ancestors(one)


def _is_changed(context: TraceContext, call: ToolCall, writer: ToolCall) -> bool:
    """Whether the result of `call` changes if `writer` runs before it. Both times, the calls it depends on run first."""
    assert context.execution is not None
    before = context.ancestors(call.call_id)
    after = before | context.ancestors(writer.call_id) | {writer.call_id}
    return _observable_part(_run_after(context, call, before)) != _observable_part(_run_after(context, call, after))


def _observable_part(result: CallResult | str) -> object:
    """What a call shows and changes. For rows that it only reads, the keys alone: fields that it does not show may change."""
    if isinstance(result, str) or result.effects:
        return result
    return result.value, result.measured_rows, [key for key, _ in result.rows]


def _run_after(context: TraceContext, call: ToolCall, before: AbstractSet[str]) -> CallResult | str:
    """The result of a call that runs after the calls in `before`, or its refusal; arguments are as resolved in the plan."""
    assert context.execution is not None
    state = State(context.world)
    try:
        for each in context.ordered_calls:
            if each.call_id in before:
                run_call(context.tools, each.tool_id, context.execution.arguments[each.call_id], state)
        return run_call(context.tools, call.tool_id, context.execution.arguments[call.call_id], state)
    except CallRefusedError as refused:
        return str(refused)


def scopes_are_true(context: TraceContext) -> Iterator[str]:
    """Each call declares the scope that it takes, and the expected scope of the request is the one that its goal needs."""
    trace, execution = context.trace, context.execution
    if execution is None or execution.refusal is not None or trace.goal is None or context.domain is None:
        return
    for call in context.ordered_calls:
        actual = scope_of_call(
            context.tools[call.tool_id],
            execution.arguments[call.call_id],
            execution.results[call.call_id],
            context.world.today,
        )
        if call.scope != actual:
            yield f"{call.call_id} declares the scope {_describe(call.scope)}; it takes {_describe(actual)}"
    limits = requested_limits(trace.graph.calls, context.tools)
    needed = scope_of_request(trace.goal, context.domain, trace.policy, context.role, limits)
    if trace.request.expected_scope != needed:
        yield f"the expected scope is {_describe(trace.request.expected_scope)}; the goal needs {_describe(needed)}"


def _describe(scope: object) -> str:
    return str(scope).replace("<", "").replace(">", "")
