"""Need to know: every row that is read, and every field that was asked for or is sensitive, serves something."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from gatling_sid.models import SensitivityTier, ToolCall
from gatling_sid.schemas.constraints import PRECONDITION_KINDS, Precondition
from gatling_sid.simulator.operations import CallResult
from gatling_sid.validators.cells import cells_of
from gatling_sid.validators.trace_context import TraceContext, Uses

_SHOWN = 5
_FREE = SensitivityTier.INTERNAL.level
"""Up to this tier a tool's standard return needs no excuse, so that plans stay natural."""


def rows_are_needed(case: TraceContext) -> Iterator[str]:
    """Each row that a call returns is shown by the goal, passed on, or read as a rule's evidence."""
    uses = _uses(case)
    for call, outcome in _reads(case):
        used = uses[call.call_id]
        spare = [key for key, _ in outcome.rows if key not in used]
        if spare and not outcome.effects:
            named = ", ".join(spare[:_SHOWN]) + (", …" if len(spare) > _SHOWN else "")
            yield f"{call.call_id} ({call.tool_id}) reads {len(spare)} of {len(outcome.rows)} rows for nothing: {named}"


def fields_are_needed(case: TraceContext) -> Iterator[str]:
    """Each field that was asked for is used of some row; each confidential or restricted one of every row."""
    uses = _uses(case)
    for call, outcome in _reads(case):
        fields = case.tools[call.tool_id].domain.file.entities[outcome.entity].fields
        select = case.tools[call.tool_id].by_role.get("select")
        used = uses[call.call_id]
        for name in outcome.fields:
            users = [key for key, _ in outcome.rows if name in used.get(key, ())]
            tier = fields[name].sensitivity
            if tier.level > _FREE and len(users) < len(outcome.rows):
                idle = len(outcome.rows) - len(users)
                yield f"{call.call_id} ({call.tool_id}) reads {tier.value} {name} of {idle} rows for nothing"
            elif select in call.arguments and not users and outcome.rows:
                yield f"{call.call_id} ({call.tool_id}) asks for {name}, which nothing needs"


def _reads(case: TraceContext) -> Iterator[tuple[ToolCall, CallResult]]:
    """Calls that return rows; what figures are taken over and what exports take, the goal states row by row."""
    for call in case.ordered_calls if case.succeeds else ():
        outcome = case.results[call.call_id]
        if outcome.measured is None and outcome.fields and not any(each.kind == "export" for each in outcome.effects):
            yield call, outcome


def _uses(case: TraceContext) -> Uses:
    """Worked out once for a case that succeeds; empty for any other."""
    if case.uses is None:
        case.uses = _find_uses(case) if case.succeeds else {}
    return case.uses


def _find_uses(case: TraceContext) -> Uses:
    uses: Uses = {call_id: defaultdict(set) for call_id in case.results}
    shown = [(s.entity, set(s.rows), s.fields) for s in case.trace.goal.shows] if case.trace.goal else []
    for call, outcome in _reads(case):
        for entity, rows, fields in shown:
            for key, _ in outcome.rows if entity == outcome.entity else ():
                if key in rows and not outcome.effects:
                    uses[call.call_id][key].update(fields)
    for _, _, reference in case.references_used:
        for cell in cells_of(reference, case.results[reference.root]):
            uses[reference.root][cell.key].add(cell.field)
    for reader, key, evidence in _evidence(case):
        uses[reader][key].update(evidence)
    return uses


def _evidence(case: TraceContext) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(call, row, fields) that a rule has looked up before a later change of the row."""
    for _, kind, rule in case.constraints:
        if kind in PRECONDITION_KINDS and isinstance(rule, Precondition):
            for call in case.ordered_calls:
                yield from _evidence_of(case, rule, call)


def _evidence_of(case: TraceContext, rule: Precondition, call: ToolCall) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    outcome = case.results[call.call_id]
    if not rule.binds(case.role, call.tool_id) or outcome.entity != rule.entity or not outcome.effects:
        return
    changed = {key for key, _ in outcome.rows}
    for reader in case.ancestors(call.call_id):
        for key, _ in case.results[reader].rows if case.results[reader].entity == rule.entity else ():
            if key in changed:
                yield reader, key, rule.evidence
