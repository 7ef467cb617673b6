"""Does it work: the plan executes, meets its goal, changes nothing else, in any order the graph allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from gatling_sid.models import topological_order
from gatling_sid.simulator.execution import execute, unmet
from gatling_sid.simulator.scope import scope_of_call, scope_of_goal
from gatling_sid.validators.case import Case


def plan_executes(case: Case) -> Iterator[str]:
    """The backend refuses no call."""
    if case.execution and case.execution.refusal:
        yield str(case.execution.refusal)


def principal_is_real(case: Case) -> Iterator[str]:
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


def day_is_the_worlds(case: Case) -> Iterator[str]:
    """The trace states the day that it is in its world."""
    if case.execution and case.today != case.world.today:
        yield f"the trace plays on {case.trace.metadata.get('today')}, its world on {case.world.today}"


def goal_is_met(case: Case) -> Iterator[str]:
    """The user sees what the goal shows and measures, and exactly its effects happen."""
    goal, execution = case.trace.goal, case.execution
    if goal is not None and execution is not None and execution.refusal is None:
        days = min((each for call in case.ordered if (each := case.days(call)) is not None), default=None)
        yield from unmet(goal, list(execution.outcomes.values()), days)


def order_does_not_matter(case: Case) -> Iterator[str]:
    """The last-first order that the graph allows gives every call the same result and the same effects."""
    execution, calls = case.execution, case.trace.graph.calls
    if execution is None or execution.refusal is not None or _is_chain(case):
        return
    if not any(outcome.effects for outcome in execution.outcomes.values()):
        return  # nothing changes, so nothing depends on when it is read
    other = topological_order(calls, last_first=True)
    if other == [call.call_id for call in case.ordered]:
        return
    again = execute([case.by_id[call_id] for call_id in other], case.world)
    if again.refusal is not None:
        yield f"in the order {', '.join(other)}, {again.refusal}"
        return
    for call_id, outcome in execution.outcomes.items():
        if again.outcomes[call_id] != outcome:
            yield f"in the order {', '.join(other)}, {call_id} does something else; a dependency is missing"


def _is_chain(case: Case) -> bool:
    """Whether each call depends on the one before it, so that there is only one order."""
    calls = case.ordered
    return all(before.call_id in after.dependencies for before, after in pairwise(calls))


def scopes_are_true(case: Case) -> Iterator[str]:
    """Every call's declared scope is what it takes, and the expected scope is what the goal needs."""
    trace, execution = case.trace, case.execution
    if execution is None or execution.refusal is not None or trace.goal is None or case.domain is None:
        return
    for call in case.ordered:
        actual = scope_of_call(
            case.tools[call.tool_id],
            execution.arguments[call.call_id],
            execution.outcomes[call.call_id],
            case.world.today,
        )
        if call.scope != actual:
            yield f"{call.call_id} declares {_shown(call.scope)}; it takes {_shown(actual)}"
    needed = scope_of_goal(trace.goal, case.domain)
    if trace.request.expected_scope != needed:
        yield f"the request expects {_shown(trace.request.expected_scope)}; its goal needs {_shown(needed)}"


def _shown(scope: object) -> str:
    return str(scope).replace("<", "").replace(">", "")
