"""Checks that every row that is read, and every field that is requested or sensitive, is used for something."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from gatling_sid.models import SensitivityTier, ToolCall
from gatling_sid.schemas.constraints import PRECONDITION_KINDS, Precondition
from gatling_sid.simulator.cells import cells_of
from gatling_sid.simulator.operations import CallResult
from gatling_sid.validators.policy.look_ups import rows_to_look_up
from gatling_sid.validators.trace_context import TraceContext

FieldsUsed = dict[str, dict[str, set[str]]]
"""By call id and row key: the fields of the row that something needs."""

_MAX_KEYS_NAMED = 5
"""Row keys that a message names, since a list may have thousands."""
_MAX_FREE_RANK = SensitivityTier.INTERNAL.rank
"""Rank of the highest tier of which a field may be returned and not used; otherwise every call would have to select fields."""


def rows_are_needed(context: TraceContext) -> Iterator[str]:
    """Each row that a call returns is demanded by the goal, used by another call, or read because a rule demands it."""
    fields_used = context.compute_once(_fields_used)
    for call, result in _reads(context):
        used_by_key = fields_used[call.call_id]
        unused = [key for key, _ in result.rows if key not in used_by_key]
        if unused and not result.effects:
            keys = ", ".join(unused[:_MAX_KEYS_NAMED]) + (", …" if len(unused) > _MAX_KEYS_NAMED else "")
            yield f"{call.call_id} ({call.tool_id}) reads {len(unused)} of {len(result.rows)} rows that nothing needs: {keys}"


def fields_are_needed(context: TraceContext) -> Iterator[str]:
    """Each selected field is used for some row; each confidential or restricted field is used for every row."""
    fields_used = context.compute_once(_fields_used)
    for call, result in _reads(context):
        fields = context.tools[call.tool_id].domain.file.entities[result.entity].fields
        select = context.tools[call.tool_id].parameter_for.get("select")
        used_by_key = fields_used[call.call_id]
        for name in result.fields:
            rows_using = [key for key, _ in result.rows if name in used_by_key.get(key, ())]
            tier = fields[name].sensitivity
            if tier.rank > _MAX_FREE_RANK and len(rows_using) < len(result.rows):
                unused = len(result.rows) - len(rows_using)
                yield f"{call.call_id} ({call.tool_id}) reads the {tier.value} field {name} of {unused} rows that nothing needs"
            elif select in call.arguments and not rows_using and result.rows:
                yield f"{call.call_id} ({call.tool_id}) selects the field {name}, which nothing needs"


def _reads(context: TraceContext) -> Iterator[tuple[ToolCall, CallResult]]:
    """(call, result) of every call that returns rows, except measures and exports, whose exact rows the goal demands."""
    for call in context.ordered_calls if context.succeeds else ():
        result = context.results[call.call_id]
        if result.measured_rows is None and result.fields and not any(each.kind == "export" for each in result.effects):
            yield call, result


def _fields_used(context: TraceContext) -> FieldsUsed:
    """The fields of returned rows that something needs; empty for a plan that does not succeed."""
    if not context.succeeds:
        return {}
    fields_used: FieldsUsed = {call_id: defaultdict(set) for call_id in context.results}
    showings = [(s.entity, set(s.rows), s.fields) for s in context.trace.goal.shows] if context.trace.goal else []
    for call, result in _reads(context):
        for entity, rows, fields in showings:
            for key, _ in result.rows if entity == result.entity else ():
                if key in rows and not result.effects:
                    fields_used[call.call_id][key].update(fields)
    for _, _, reference in context.references_used:
        for cell in cells_of(reference, context.results[reference.root]):
            fields_used[reference.root][cell.key].add(cell.field)
    for call_id, key, evidence in _evidence(context):
        fields_used[call_id][key].update(evidence)
    return fields_used


def _evidence(context: TraceContext) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(call id, row key, fields) of every look-up that a rule demands before a later use of the row."""
    for _, kind, rule in context.constraints:
        if kind in PRECONDITION_KINDS and isinstance(rule, Precondition):
            for call in context.ordered_calls:
                yield from _evidence_for(context, rule, call)


def _evidence_for(
    context: TraceContext, rule: Precondition, call: ToolCall
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """The look-ups, before a call, of the rows that the call may use only after them."""
    if not rule.binds(context.role, call.tool_id):
        return
    keys = {key for key, _ in rows_to_look_up(rule, context, call)}
    for call_id in context.ancestors(call.call_id) if keys else ():
        earlier = context.results[call_id]
        for key, _ in earlier.rows if earlier.entity == rule.entity else ():
            if key in keys:
                yield call_id, key, rule.evidence
