"""Which rows a plan may change: after a look-up, in an allowed state, along allowed steps, up to an amount, and how many."""

from __future__ import annotations

from collections.abc import Iterator

from gatling_sid.models import ToolCall
from gatling_sid.schemas import constraints as k
from gatling_sid.simulator.operations import CallResult
from gatling_sid.simulator.world import Row
from gatling_sid.validators.policy.arguments import numbers_in
from gatling_sid.validators.policy.look_ups import ConcernedRow, concerned_rows, values_written
from gatling_sid.validators.policy.reads import is_number
from gatling_sid.validators.trace_context import TraceContext


def read_before_change(look_up: k.ReadBeforeChange, context: TraceContext) -> Iterator[str]:
    """Calls that had to run before a change returned the row with these fields."""
    for each in concerned_rows(look_up, context):
        if not {field for view in each.views for field in view}.issuperset(look_up.fields):
            yield f"{_changes(look_up, each)}, but no earlier call read its {', '.join(look_up.fields)}"


def state_before_change(state: k.StateBeforeChange, context: TraceContext) -> Iterator[str]:
    """A changed row is in an allowed state, and an earlier call showed that state."""
    for each in concerned_rows(state, context):
        value = each.row.get(state.field)
        if value not in state.allowed:
            allowed = ", ".join(map(str, state.allowed))
            yield f"{_changes(state, each)}, whose {state.field} is {value!r}; allowed are {allowed}"
        else:
            yield from _not_shown(state, each)


def amount_limit(limit: k.AmountLimit, context: TraceContext) -> Iterator[str]:
    """The amount of a changed row is within the limit, and an earlier call showed that amount."""
    for each in concerned_rows(limit, context):
        amount = each.row.get(limit.field)
        if is_number(amount) and amount > limit.max_value:
            yield f"{_changes(limit, each)}, whose {limit.field} is {amount}; at most {limit.max_value:g} is allowed"
        else:
            yield from _not_shown(limit, each)


def approved_by(approval: k.ApprovedBy, context: TraceContext) -> Iterator[str]:
    """A changed row was approved by somebody other than the principal, and an earlier call showed by whom."""
    own = context.principal_value(approval.attribute)
    for each in concerned_rows(approval, context):
        approver = each.row.get(approval.field)
        if own is None or approver in (None, "", own):
            why = f"whose {approval.field} is {approver!r}; it must be somebody other than the principal ({own!r})"
            yield f"{_changes(approval, each)}, {why}"
        else:
            yield from _not_shown(approval, each)


def at_most_field(limit: k.AtMostField, context: TraceContext) -> Iterator[str]:
    """The amount that a call passes is at most a share of the row's amount, and an earlier call showed that amount."""
    for each in concerned_rows(limit, context):
        most = each.row.get(limit.field)
        allowed = round(most * limit.share, k.DECIMALS_OF_SHARE) if is_number(most) else None
        amounts = numbers_in(context.argument_value(each.call, limit.argument))
        excessive = [amount for amount in amounts if allowed is None or not amount <= allowed]
        for amount in excessive:
            of_row = f"{limit.share:g} of the {limit.field} of {limit.entity} {each.key}, which is {most}"
            yield f"{each.call.call_id} has {limit.argument} {amount:g}; at most {of_row}, is allowed"
        if amounts and not excessive:
            yield from _not_shown(limit, each)


def transitions(steps: k.Transitions, context: TraceContext) -> Iterator[str]:
    """A call that writes the field moves it along an allowed step, and an earlier call showed where it stood."""
    for each in concerned_rows(steps, context):
        before, after = each.row.get(steps.field), _value_written(each, steps.field, context)
        allowed = [] if before is None else steps.allowed.get(str(before), [])
        if str(after) not in allowed:
            step = f"from {before!r} to {after!r}; allowed from there is {' or '.join(allowed) or 'nothing'}"
            yield f"{each.call.call_id} moves {steps.field} of {steps.entity} {each.key} {step}"
        else:
            yield from _not_shown(steps, each)


def consent(consent: k.Consent, context: TraceContext) -> Iterator[str]:
    """Rows that are changed, exported or written about have the flag, and the plan has seen it or selects rows by it."""
    for each in concerned_rows(consent, context):
        value = each.row.get(consent.field)
        if value is not True:
            yield f"{_changes(consent, each, 'uses')}, whose {consent.field} is {value!r}; it must be true"
        elif not _selects_by_flag(each.call, consent.field, context):
            yield from _not_shown(consent, each, "uses")


def batch_limit(limit: k.BatchLimit, context: TraceContext) -> Iterator[str]:
    """All calls together change, create and send no more than the limit."""
    results = [(call, context.results.get(call.call_id)) for call in context.bound_calls(limit)]
    changes = {each for call, result in results if result for each in _distinct_changes(call, result)}
    if len(changes) > limit.max_records:
        yield f"the plan changes {len(changes)} rows (new rows and messages count too); at most {limit.max_records} are allowed"


def changed_rows(context: TraceContext, call: ToolCall, entity: str) -> Iterator[tuple[str, Row]]:
    """(key, row before the change) of every row of an entity that a call changes."""
    result = context.results.get(call.call_id)
    if result is not None and result.entity == entity and result.effects and result.effects[0].kind != "export":
        yield from result.rows


def _changes(rule: k.Precondition, each: ConcernedRow, verb: str = "changes") -> str:
    """The beginning of a message about a row."""
    return f"{each.call.call_id} {verb} {rule.entity} {each.key}"


def _not_shown(rule: k.FieldPrecondition, each: ConcernedRow, verb: str = "changes") -> Iterator[str]:
    """Yields a message if no earlier call showed the present value of the rule's field."""
    if not each.is_shown(rule.field):
        yield f"{_changes(rule, each, verb)}, but no earlier call read its {rule.field}"


def _value_written(each: ConcernedRow, field: str, context: TraceContext) -> object:
    """The value that a call writes to a field of a row, by an argument or by itself."""
    return values_written(context.results[each.call.call_id]).get(each.key, {}).get(field)


def _selects_by_flag(call: ToolCall, field: str, context: TraceContext) -> bool:
    """Whether a call takes only rows whose flag is true, by one of its own filters."""
    filters = context.tools[call.tool_id].filters
    return any(
        name == field and match == "equals" and context.argument_value(call, parameter) is True
        for parameter, name, match in filters
    )


def _distinct_changes(call: ToolCall, result: CallResult) -> Iterator[tuple[str, str, str]]:
    """One key per change that counts: a row that is changed twice counts once, each new row and each message counts once."""
    for effect in result.effects:
        is_existing = effect.kind in ("update", "delete")
        for key in effect.rows or [""]:
            yield ("row", effect.entity, key) if is_existing else (effect.kind, call.call_id, key)
