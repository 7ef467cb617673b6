"""Checks that a trace is small enough to be judged, so that every other check takes linear time.

The bounds are far above what any plan needs. A larger trace is not judged further, so the other checks need no bounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from gatling_sid.models import Constraint, Goal, GoldTrace, ScopeMetadata
from gatling_sid.schemas.domain import Domain
from gatling_sid.validators.trace_context import TraceContext

MAX_PARTS: Mapping[str, int] = {
    "calls": 10_000,
    "entries of execution_order": 10_000,
    "arguments": 10_000,
    "dependencies": 100_000,
    "rules": 1_000,
    "constraints": 200,
    "forbidden operations": 1_000,
    "cells, measured values and effects of the goal": 200_000,
    "calls and arguments times values of constraints": 200_000,
    "observations, their tiers, and lures": 20_000,
    "calls of the refused plan": 200,
}
"""How many of each part a trace may have, over all its calls; far above what the catalogue's traces have."""
MAX_TEXT = 20_000
"""Characters of a request; about ten pages of text."""
MAX_SOURCES = 10_000
"""Argument sources over all calls; as many as arguments, since each argument has one."""
MAX_VALUES = 50_000
"""Values in arguments, attributes, limits, parameters and metadata together, including nested values and keys."""
MAX_CHARACTERS = 1_000_000
"""Characters of all these values together."""
MAX_DEPTH = 16
"""Levels of nested values; deeper ones would exceed the recursion limit in other checks."""
MAX_INTEGER_BITS = 64
"""Bits of an integer without its sign; the widest integers of common formats have as many."""


def request_is_short(context: TraceContext) -> Iterator[str]:
    """The text of the request is short, and the calls have few argument sources."""
    length = len(context.trace.request.text)
    if length > MAX_TEXT:
        yield f"the request has {length:,} characters; at most {MAX_TEXT:,} are allowed"
    sources = sum([len(call.argument_sources) for call in context.trace.graph.calls])
    if sources > MAX_SOURCES:
        yield f"the plan has {sources:,} argument sources; at most {MAX_SOURCES:,} are allowed"


def parts_are_bounded(context: TraceContext) -> Iterator[str]:
    """The number of each part of the trace is within its bound."""
    for what, number in _parts(context).items():
        if number > MAX_PARTS[what]:
            yield f"the trace has {number:,} {what}; at most {MAX_PARTS[what]:,} are allowed"


def _parts(context: TraceContext) -> dict[str, int]:
    trace, calls, policy = context.trace, context.trace.graph.calls, context.trace.policy
    arguments = sum([len(call.arguments) for call in calls])
    return {
        "calls": len(calls),
        "entries of execution_order": len(trace.graph.execution_order),
        "arguments": arguments,
        "dependencies": sum([len(call.dependencies) for call in calls]),
        "rules": len(policy.rules),
        "constraints": len(policy.constraints),
        "forbidden operations": len(policy.forbidden_operations),
        "cells, measured values and effects of the goal": _goal_parts(trace.goal) if trace.goal else 0,
        "calls and arguments times values of constraints": (len(calls) + arguments) * _values_of_policy(context),
        "observations, their tiers, and lures": _observed_parts(trace),
        "calls of the refused plan": _refused_calls(trace),
    }


def _observed_parts(trace: GoldTrace) -> int:
    observations = trace.observations or ()
    return sum([len(each.trust) + 1 for each in observations]) + sum([len(each.calls) + 1 for each in trace.lures])


def _refused_calls(trace: GoldTrace) -> int:
    graph = trace.outcome.refused_graph if trace.outcome else None
    return len(graph.calls) if graph else 0


def _values_of_policy(context: TraceContext) -> int:
    if context.domain is not None and context.has_published_policy:
        return _values_of_member(context.domain, context.trace.policy.policy_id)
    return sum(map(_values_of_constraint, context.trace.policy.constraints))


@lru_cache(maxsize=8192)
def _values_of_member(domain: Domain, policy_id: str) -> int:
    """The number of values in the constraints of a member of the domain's policy family."""
    policy = domain.family.policy_by_id(policy_id)
    return sum(map(_values_of_constraint, policy.constraints)) if policy else 0


def _values_of_constraint(constraint: Constraint) -> int:
    """One for the constraint, and one for each element of a list parameter, such as the allowed values."""
    return 1 + sum([len(each) for each in constraint.parameters.values() if isinstance(each, list)])


def _goal_parts(goal: Goal) -> int:
    cells = sum([(len(each.rows) + 1) * (len(each.fields) + 1) for each in goal.shows])
    measured_values = sum([len(each.values) + 1 for each in goal.measures])
    return cells + measured_values + sum([len(each.rows) + 1 for each in goal.effects])


def values_are_small(context: TraceContext) -> Iterator[str]:
    """All values together are few and short, none is nested deeply, and no integer has more than 64 bits."""
    problem = _excess_of(_values_without_schema(context.trace, published=context.has_published_policy))
    if problem:
        yield f"arguments, scopes, attributes, limits, parameters and metadata {problem}"


def _values_without_schema(trace: GoldTrace, *, published: bool) -> list[Any]:
    """All values of a trace whose size no schema bounds; without those of a published policy, which the catalogue bounds."""
    principal = trace.request.principal
    return [
        *[call.arguments for call in trace.graph.calls],
        *[number for call in trace.graph.calls for number in _numbers(call.scope)],
        *_numbers(trace.request.expected_scope),
        *([] if published else [each.parameters for each in trace.policy.constraints]),
        *([effect.changes for effect in trace.goal.effects] if trace.goal else ()),
        trace.policy.scope_limits,
        principal.attributes if principal else None,
        trace.metadata,
        *[each.result for each in trace.observations or ()],
        *[each.arguments for lure in trace.lures for each in lure.calls],
    ]


def _numbers(scope: ScopeMetadata) -> tuple[int | None, int | None]:
    return scope.rows_requested, scope.time_range_days


def _excess_of(level: list[Any]) -> str | None:
    """Says which bound the values exceed, or None; visits them level by level and stops at the first bound that is exceeded."""
    values = characters = 0
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for each in level:
            if isinstance(each, str):
                characters += len(each)
            elif isinstance(each, (dict, list, tuple)):
                values += len(each) * (2 if isinstance(each, dict) else 1)
                if values > MAX_VALUES:
                    return f"contain more than {MAX_VALUES:,} values"
                below += each
                below += each.values() if isinstance(each, dict) else ()
            elif isinstance(each, int) and each.bit_length() > MAX_INTEGER_BITS:
                return f"contain an integer of more than {MAX_INTEGER_BITS} bits"
        if characters > MAX_CHARACTERS:
            return f"contain more than {MAX_CHARACTERS:,} characters"
        if not below:
            return None
        level = below
    return f"are nested deeper than {MAX_DEPTH} levels"
