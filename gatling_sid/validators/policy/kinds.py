"""The function that judges each kind of constraint, and the rules of the policy check that use these tables.

A function takes a constraint's parameters and a context, and yields a message for each breach. Functions that look at
what calls did need a replay; the others judge what calls declare, so that they also hold for traces of domains that
the catalogue does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from gatling_sid.schemas import constraints as k
from gatling_sid.schemas.references import references_in
from gatling_sid.validators.policy import arguments, changes, data_flow, exports, messages, ownership, reads, tools
from gatling_sid.validators.trace_context import TraceContext

ConstraintRule = Callable[[Any, TraceContext], Iterator[str]]


class Breach(NamedTuple):
    """One place where a plan does not keep a constraint, or one thing that is wrong with the constraint itself."""

    constraint_id: str
    kind: str
    message: str


NEED_NO_REPLAY: Mapping[str, ConstraintRule] = {
    "row_limit": reads.row_limit,
    "time_range": reads.time_range,
    "sensitivity_ceiling": reads.sensitivity_ceiling,
    "export_targets": exports.export_targets,
    "export_sensitivity": exports.export_sensitivity,
    "may_not_call": tools.may_not_call,
    "argument_max": arguments.argument_max,
    "argument_values": arguments.argument_values,
    "argument_required": arguments.argument_required,
    "narrowed_by": arguments.narrowed_by,
}
"""Kinds that can be judged by what calls declare."""

PRECONDITIONS: Mapping[str, ConstraintRule] = {
    "read_before_change": changes.read_before_change,
    "state_before_change": changes.state_before_change,
    "amount_limit": changes.amount_limit,
}
"""Kinds that allow a change only after an earlier call showed the row."""

BREAKABLE_BY_OMISSION: Mapping[str, ConstraintRule] = {
    **PRECONDITIONS,
    "notify_after": messages.notify_after,
    "no_flow": data_flow.no_flow,
}
"""Kinds that a plan can break because a call or a dependency is missing. `no_flow` is one of them: without a call that
overwrites a value, the value may reach more tools. All other kinds are broken only by what a plan contains."""

NEED_REPLAY: Mapping[str, ConstraintRule] = {
    **BREAKABLE_BY_OMISSION,
    "own_records": ownership.own_records,
    "not_own": ownership.not_own,
    "recipients": messages.recipients,
    "batch_limit": changes.batch_limit,
}
"""Kinds that can be judged only by what calls did."""

CONSTRAINT_RULES: Mapping[str, ConstraintRule] = {**NEED_NO_REPLAY, **NEED_REPLAY}
"""Every kind of constraint."""


def breaches(context: TraceContext, kinds: Mapping[str, ConstraintRule] = CONSTRAINT_RULES) -> Iterator[Breach]:
    """Every breach of a constraint of the given kinds, as far as they can be judged."""
    is_replayed = context.execution is not None
    for constraint_id, kind, parameters in context.constraints:
        if kind in kinds and (is_replayed or kind in NEED_NO_REPLAY):
            for message in kinds[kind](parameters, context):
                yield Breach(constraint_id, kind, message)


def constraints_hold(context: TraceContext) -> Iterator[Breach]:
    """Every constraint holds for every call and along the data flow; a message names the constraint and its kind."""
    for constraint_id, kind, message in breaches(context):
        yield Breach(constraint_id, kind, f"{constraint_id}: {message} ({kind})")


def changes_follow_look_ups(context: TraceContext) -> Iterator[Breach]:
    """Every change that a rule allows only after a look-up comes after that look-up."""
    for constraint_id, kind, message in breaches(context, PRECONDITIONS):
        yield Breach(constraint_id, kind, f"{constraint_id}: {message}")


def needs_replay(context: TraceContext) -> list[str]:
    """Ids of constraints that only a replay can judge: by their kind, or because an argument they bound is a reference."""
    by_kind = [each.constraint_id for each in context.trace.policy.constraints if each.kind in NEED_REPLAY]
    return by_kind + [
        constraint_id
        for constraint_id, _, parameters in context.constraints
        if isinstance(parameters, (k.ArgumentMax, k.ArgumentValues))
        and any(references_in(call.arguments.get(parameters.argument)) for call in context.bound_calls(parameters))
    ]
