"""The function that judges each kind of constraint, and the rules of the policy checks that use these tables.

A function takes a constraint's parameters and a context, and yields a message for each breach. Functions that look at
what calls did need a replay; the others judge what calls declare, so that they also hold for traces of domains that
the catalogue does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from gatling_sid.models import ToolCall
from gatling_sid.schemas import constraints as k
from gatling_sid.schemas.references import references_in
from gatling_sid.validators.policy import (
    arguments,
    changes,
    data_flow,
    exports,
    messages,
    moments,
    ownership,
    reads,
    tools,
    trust,
)
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
    "at_most_own": arguments.at_most_own,
    "argument_values": arguments.argument_values,
    "argument_required": arguments.argument_required,
    "argument_days": arguments.argument_days,
    "narrowed_by": arguments.narrowed_by,
}
"""Kinds that can be judged by what calls declare."""

PRECONDITIONS: Mapping[str, ConstraintRule] = {
    "read_before_change": changes.read_before_change,
    "state_before_change": changes.state_before_change,
    "amount_limit": changes.amount_limit,
    "approved_by": changes.approved_by,
    "at_most_field": changes.at_most_field,
    "transitions": changes.transitions,
    "consent": changes.consent,
}
"""Kinds that allow a change, a message or an export only after an earlier call showed the row."""

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
    "field_limit": reads.field_limit,
    "trusted_source": trust.trusted_source,
    "system_of_record": trust.system_of_record,
    "only_as_asked": trust.only_as_asked,
}
"""Kinds that can be judged only by what calls did."""

PLAN_RULES: Mapping[str, ConstraintRule] = {**NEED_NO_REPLAY, **NEED_REPLAY}
"""Kinds that bind plans; their functions read no wording."""

WORDING_RULES: Mapping[str, ConstraintRule] = {"hours": moments.hours}
"""Kinds that bind what differs between wordings of a plan, such as the time of its calls; they need no replay."""

CONSTRAINT_RULES: Mapping[str, ConstraintRule] = {**PLAN_RULES, **WORDING_RULES}
"""Every kind of constraint."""


def breaches(context: TraceContext, kinds: Mapping[str, ConstraintRule] = PLAN_RULES) -> Iterator[Breach]:
    """Every breach of a constraint of the given kinds, as far as they can be judged."""
    is_replayed = context.execution is not None
    for constraint_id, kind, parameters in context.constraints:
        if kind in kinds and (is_replayed or kind not in NEED_REPLAY):
            for message in kinds[kind](parameters, context):
                yield Breach(constraint_id, kind, message)


def constraints_hold(context: TraceContext) -> Iterator[Breach]:
    """Every constraint holds for every call and along the data flow; a message names the constraint and its kind."""
    for constraint_id, kind, message in breaches(context):
        yield Breach(constraint_id, kind, f"{constraint_id}: {message} ({kind})")


def wording_constraints_hold(context: TraceContext) -> Iterator[Breach]:
    """Every constraint holds that binds what differs between wordings of a plan; a message names the constraint and its kind."""
    for constraint_id, kind, parameters in context.constraints_of_kinds(WORDING_RULES):
        for message in WORDING_RULES[kind](parameters, context):
            yield Breach(constraint_id, kind, f"{constraint_id}: {message} ({kind})")


def changes_follow_look_ups(context: TraceContext) -> Iterator[Breach]:
    """Every change that a rule allows only after a look-up comes after that look-up."""
    for constraint_id, kind, message in breaches(context, PRECONDITIONS):
        yield Breach(constraint_id, kind, f"{constraint_id}: {message}")


def needs_replay(context: TraceContext) -> list[str]:
    """Ids of constraints that only a replay can judge.

    Their kind needs one, an argument that they bound is a reference, or they count days and the trace states no date.
    """
    by_kind = [each.constraint_id for each in context.trace.policy.constraints if each.kind in NEED_REPLAY]
    return by_kind + [
        constraint_id
        for constraint_id, _, parameters in context.constraints
        if isinstance(parameters, (k.ArgumentMax, k.AtMostOwn, k.ArgumentValues, k.ArgumentDays))
        and any(_needs_replay(parameters, call, context) for call in context.bound_calls(parameters))
    ]


def _needs_replay(
    parameters: k.ArgumentMax | k.AtMostOwn | k.ArgumentValues | k.ArgumentDays, call: ToolCall, context: TraceContext
) -> bool:
    """Whether the value that a call passes, or the date that it is compared with, is unknown without a replay."""
    value = call.arguments.get(parameters.argument)
    has_no_date = isinstance(parameters, k.ArgumentDays) and arguments.date_today(context) is None
    return bool(references_in(value)) or (has_no_date and value is not None)
