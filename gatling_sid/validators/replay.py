"""Does it work: the plan executes, meets its goal, changes nothing else, in any order the graph allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import pairwise

from gatling_sid.models import ToolCall
from gatling_sid.simulator.execution import run_call, unmet_goal_parts
from gatling_sid.simulator.operations import CallRefusedError, CallResult, State
from gatling_sid.simulator.scope import requested_limits, scope_of_call, scope_of_request
from gatling_sid.validators.trace_context import TraceContext


def plan_executes(case: TraceContext) -> Iterator[str]:
    """The backend refuses no call."""
    if case.execution and case.execution.refusal:
        yield str(case.execution.refusal)


def something_is_called(case: TraceContext) -> Iterator[str]:
    """A plan calls something: no trace can declare yet that nothing is to be called, and why."""
    if not case.trace.graph.calls:
        yield "the plan calls nothing, and nothing says why that would serve the request"


def principal_is_real(case: TraceContext) -> Iterator[str]:
    """Who asks is somebody of the world, in a role of the domain, known by that role's attributes as they are."""
    principal, domain = case.trace.request.principal, case.domain
    role = domain.file.roles.get(principal.role) if domain and principal else None
    if principal is None or role is None:
        yield f"nobody of the domain asks: {principal.role if principal else 'no principal'} is no role of it"
        return
    row = case.world.tables[role.entity].get(principal.principal_id)
    if row is None:
        yield f"the world has no {role.entity} {principal.principal_id}"
        return
    plain = {name: value for name, value in role.where.items() if not isinstance(value, Mapping)}
    if any(row[name] != value for name, value in plain.items()):
        yield f"{principal.principal_id} does not have the role {principal.role}"
    known = {name: row[name] for name in role.attributes}
    if principal.attributes != known:
        wrong = sorted(
            n for n in known.keys() | principal.attributes.keys() if known.get(n) != principal.attributes.get(n)
        )
        yield f"the session knows {', '.join(wrong)} of {principal.principal_id} otherwise than the world"


def day_is_the_worlds(case: TraceContext) -> Iterator[str]:
    """The trace states the day that it is in its world."""
    if case.execution and case.trace.metadata.get("today") != case.world.today.isoformat():
        yield f"the trace plays on {case.trace.metadata.get('today')}, its world on {case.world.today}"


def goal_is_met(case: TraceContext) -> Iterator[str]:
    """The user sees what the goal shows and measures, and exactly its effects happen."""
    goal, execution = case.trace.goal, case.execution
    if goal is not None and execution is not None and execution.refusal is None:
        days = min((each for call in case.ordered_calls if (each := case.days(call)) is not None), default=None)
        yield from unmet_goal_parts(goal, list(execution.results.values()), days)


def order_does_not_matter(case: TraceContext) -> Iterator[str]:
    """Any two calls that the graph leaves unordered do the same whichever comes first."""
    execution = case.execution
    if execution is None or execution.refusal is not None or _is_chain(case):
        return
    for writer in case.ordered_calls:
        if not execution.results[writer.call_id].effects:
            continue  # what changes nothing can be read before or after
        for other in case.ordered_calls:
            if (
                other is not writer
                and _are_unordered(case, writer.call_id, other.call_id)
                and _is_changed(case, other, writer)
            ):
                yield f"{other.call_id} does something else after {writer.call_id} than before it; a dependency is missing"


def _is_chain(case: TraceContext) -> bool:
    """Whether each call depends on the one before it, so that there is only one order."""
    calls = case.ordered_calls
    return all(before.call_id in after.dependencies for before, after in pairwise(calls))


def _are_unordered(case: TraceContext, one: str, other: str) -> bool:
    return one not in case.ancestors(other) and other not in case.ancestors(one)


def _is_changed(case: TraceContext, call: ToolCall, writer: ToolCall) -> bool:
    """Whether a call does something else once another has run, each after all that must come before it."""
    assert case.execution is not None
    before = case.ancestors(call.call_id)
    after = before | case.ancestors(writer.call_id) | {writer.call_id}
    return _observable(_run_after(case, call, before)) != _observable(_run_after(case, call, after))


def _observable(outcome: CallResult | str) -> object:
    """What a call shows and does; of rows that it only reads, the fields it does not show may change."""
    if isinstance(outcome, str) or outcome.effects:
        return outcome
    return outcome.value, outcome.measured, [key for key, _ in outcome.rows]


def _run_after(case: TraceContext, call: ToolCall, before: AbstractSet[str]) -> CallResult | str:
    """What a call does, or why it is refused, after some others; arguments as they were resolved in the plan."""
    assert case.execution is not None
    state = State(case.world)
    try:
        for each in case.ordered_calls:
            if each.call_id in before:
                run_call(case.tools, each.tool_id, case.execution.arguments[each.call_id], state)
        return run_call(case.tools, call.tool_id, case.execution.arguments[call.call_id], state)
    except CallRefusedError as refused:
        return str(refused)


def scopes_are_true(case: TraceContext) -> Iterator[str]:
    """Every call's declared scope is what it takes, and the expected scope is what the goal needs."""
    trace, execution = case.trace, case.execution
    if execution is None or execution.refusal is not None or trace.goal is None or case.domain is None:
        return
    for call in case.ordered_calls:
        actual = scope_of_call(
            case.tools[call.tool_id],
            execution.arguments[call.call_id],
            execution.results[call.call_id],
            case.world.today,
        )
        if call.scope != actual:
            yield f"{call.call_id} declares {_describe(call.scope)}; it takes {_describe(actual)}"
    limits = requested_limits(trace.graph.calls, case.tools)
    needed = scope_of_request(trace.goal, case.domain, trace.policy, case.role, limits)
    if trace.request.expected_scope != needed:
        yield f"the request expects {_describe(trace.request.expected_scope)}; its goal needs {_describe(needed)}"


def _describe(scope: object) -> str:
    return str(scope).replace("<", "").replace(">", "")
