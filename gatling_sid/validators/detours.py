"""Could a value be had without the call that it is taken from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gatling_sid.models import ToolCall
from gatling_sid.schemas.references import Reference, references_in
from gatling_sid.simulator.operations import CallResult
from gatling_sid.validators.ablation import needs_call, rules_broken_without
from gatling_sid.validators.cells import Cell, Fact, cells_of, fact_of, facts_shown, source_field
from gatling_sid.validators.trace_context import TraceContext


def known_values_are_not_taken_from_records(case: TraceContext) -> Iterator[str]:
    """No argument takes from a record what the request says of that very field, or what the record was found by."""
    if not case.succeeds:
        return
    said = values_said(case)
    for call, name, reference in case.references_used:
        for cell in cells_of(reference, case.results[reference.root]):
            if _was_given(case, case.by_id[reference.root], cell):
                yield f"{call.call_id}.{name} takes {cell.row[cell.field]!r} from {reference}, which was found by it"
                break
            if (source_field(case.world.domain, cell.entity, cell.field), repr(cell.row[cell.field])) in said:
                yield f"{call.call_id}.{name} takes {cell.row[cell.field]!r} from {reference}; the request says it"
                break


def no_call_is_a_detour(case: TraceContext) -> Iterator[str]:
    """No call is there only to pass on values that are known without it."""
    if not case.succeeds:
        return
    for call in case.ordered_calls:
        taken = [reference for _, _, reference in case.references_used if reference.root == call.call_id]
        if case.results[call.call_id].effects or not taken:
            continue
        passed_on = all(_is_known(case, call, each) for each in taken)
        if passed_on and not needs_call(case, call.call_id) and not rules_broken_without(case, call.call_id):
            yield f"{call.call_id} ({call.tool_id}) only passes on what is known without it"


def _is_known(case: TraceContext, call: ToolCall, reference: Reference) -> bool:
    """Whether all that a reference takes from a call stands elsewhere too."""
    if reference.path in (("count",), ("value",)):
        return True  # how many there are is no fact of a record; a figure that is wanted is in the goal
    cells = cells_of(reference, case.results[call.call_id])
    return bool(cells) and all(_was_argument(case, call, cell) or _stands_elsewhere(case, call, cell) for cell in cells)


def _stands_elsewhere(case: TraceContext, call: ToolCall, cell: Cell) -> bool:
    """Whether the session knows the fact, or another result shows it that could be used instead."""
    fact = fact_of(cell, case.world)
    return fact in _principal_facts(case) or any(
        fact in facts_shown(other, case.world) for other in _other_results(case, call, case.results[call.call_id])
    )


def _was_argument(case: TraceContext, call: ToolCall, cell: Cell) -> bool:
    """Whether the call itself was given the value: by a filter that equals it, or as a key."""
    assert case.execution is not None
    arguments = case.execution.arguments[call.call_id]
    return any(_holds(arguments.get(name), cell.row[cell.field]) for name in _equality_filters(case, call, cell))


def _was_given(case: TraceContext, call: ToolCall, cell: Cell) -> bool:
    """Whether the call was given the value by the request, the principal or the policy, not by another call."""
    given = call.arguments
    return any(
        not references_in(given.get(name)) and _holds(given.get(name), cell.row[cell.field])
        for name in _equality_filters(case, call, cell)
    )


def _equality_filters(case: TraceContext, call: ToolCall, cell: Cell) -> list[str]:
    """The parameters that a row's field must equal."""
    tool = case.tools[call.tool_id]
    equal = [name for name, field, match in tool.filters if field == cell.field and match == "equals"]
    keys = [tool.by_role[role] for role in ("key", "keys") if role in tool.by_role and cell.field == tool.key_field]
    return equal + keys


def _holds(argument: Any, value: Any) -> bool:
    return value in argument if isinstance(argument, list) else argument == value and argument is not None


def _other_results(case: TraceContext, call: ToolCall, outcome: CallResult) -> Iterator[CallResult]:
    """Results that whoever uses the call could use instead: of calls before it, or of the same single row."""
    before = case.ancestors(call.call_id)
    alone = [(outcome.entity, key) for key, _ in outcome.rows]
    for other_id, other in case.results.items():
        same = len(alone) == 1 and [(other.entity, key) for key, _ in other.rows] == alone
        after = call.call_id in case.ancestors(other_id)
        if other_id != call.call_id and other.measured is None and (other_id in before or (same and not after)):
            yield other


def _principal_facts(case: TraceContext) -> set[Fact]:
    """What the session knows of the one who asks."""
    principal, domain = case.trace.request.principal, case.world.domain
    role = domain.file.roles.get(principal.role) if principal else None
    row = case.world.tables[role.entity].get(principal.principal_id) if principal and role else None
    if principal is None or role is None or row is None:
        return set()
    named = [Cell(role.entity, principal.principal_id, name, row) for name in principal.attributes if name in row]
    return {fact_of(each, case.world) for each in named}


def values_said(case: TraceContext) -> set[tuple[tuple[str, str], str]]:
    """(field, value) of all that the request says of a field: as a filter, a key, or something to be written."""
    said = set()
    for call in case.ordered_calls:
        tool = case.tools[call.tool_id]
        for source in call.argument_sources:
            value = call.arguments.get(source.argument)
            if source.origin != "request" or source.argument not in tool.tool.parameters or references_in(value):
                continue
            parameter = tool.tool.parameters[source.argument]
            field = tool.key_field if parameter.does in ("key", "keys", "about") else parameter.field
            if field is not None and parameter.match in ("equals", "contains", "one_of"):
                for each in value if isinstance(value, list) else [value]:
                    said.add((source_field(tool.domain, tool.entity, field), repr(each)))
    return said
