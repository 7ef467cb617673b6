"""Checks that a plan does not look up values that are already known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gatling_sid.models import ToolCall
from gatling_sid.schemas.references import Reference, references_in
from gatling_sid.simulator.cells import Cell, Fact, cells_of, fact_of, facts_shown, source_field
from gatling_sid.simulator.operations import CallResult
from gatling_sid.validators.ablation import needs_call, rules_broken_without
from gatling_sid.validators.trace_context import TraceContext


def known_values_are_not_looked_up(context: TraceContext) -> Iterator[str]:
    """No argument takes a value from a row if the request states it for that field, or if the row was selected by it."""
    if not context.succeeds:
        return
    values_in_request = requested_values(context)
    composed = {
        (call.call_id, each.argument)
        for call in context.ordered_calls
        for each in call.argument_sources
        if each.origin == "composed"
    }
    for call, name, reference in context.references_used:
        if (call.call_id, name) in composed:
            continue  # a text tells values, whatever is known of them
        for cell in cells_of(reference, context.results[reference.root]):
            message = f"{call.call_id}.{name} takes {cell.row[cell.field]!r} from {reference}, although"
            if _was_argument_from_outside(context, context.by_id[reference.root], cell):
                yield f"{message} it is an argument of {reference.root}; pass the value directly"
                break
            if (
                source_field(context.world.domain, cell.entity, cell.field),
                repr(cell.row[cell.field]),
            ) in values_in_request:
                yield f"{message} the request states it; pass the value directly"
                break


def no_call_returns_only_known_values(context: TraceContext) -> Iterator[str]:
    """No call is used only for values that are known without it."""
    if not context.succeeds:
        return
    for call in context.ordered_calls:
        references = [reference for _, _, reference in context.references_used if reference.root == call.call_id]
        if context.results[call.call_id].effects or not references:
            continue
        is_known = all(_is_known(context, call, each) for each in references)
        if is_known and not needs_call(context, call.call_id) and not rules_broken_without(context, call.call_id):
            yield f"{call.call_id} ({call.tool_id}) returns only values that are known without it; remove it"


def _is_known(context: TraceContext, call: ToolCall, reference: Reference) -> bool:
    """Whether every value that a reference takes from a call is known without the call."""
    if reference.path in (("count",), ("value",)):
        return True  # a count is not a fact about a row, and a measure that the user asked for is in the goal
    cells = cells_of(reference, context.results[call.call_id])
    return bool(cells) and all(
        _was_argument(context, call, cell) or _is_known_elsewhere(context, call, cell) for cell in cells
    )


def _is_known_elsewhere(context: TraceContext, call: ToolCall, cell: Cell) -> bool:
    """Whether the principal's attributes contain the fact, or another result shows it that could be used instead."""
    fact = fact_of(cell, context.world)
    return fact in _principal_facts(context) or any(
        fact in facts_shown(other, context.world)
        for other in _other_results(context, call, context.results[call.call_id])
    )


def _was_argument(context: TraceContext, call: ToolCall, cell: Cell) -> bool:
    """Whether the value was an argument of the call itself: as an equality filter or as a key."""
    assert context.execution is not None
    arguments = context.execution.arguments[call.call_id]
    return any(
        _equals_or_contains(arguments.get(name), cell.row[cell.field])
        for name in _equality_filters(context, call, cell)
    )


def _was_argument_from_outside(context: TraceContext, call: ToolCall, cell: Cell) -> bool:
    """Whether the value was an argument of the call, as above, and was not itself taken from another call."""
    arguments = call.arguments
    return any(
        not references_in(arguments.get(name)) and _equals_or_contains(arguments.get(name), cell.row[cell.field])
        for name in _equality_filters(context, call, cell)
    )


def _equality_filters(context: TraceContext, call: ToolCall, cell: Cell) -> list[str]:
    """The parameters of the call that the cell's field must equal: equality filters and keys."""
    tool = context.tools[call.tool_id]
    equal = [name for name, field, match in tool.filters if field == cell.field and match == "equals"]
    keys = [
        tool.parameter_for[role]
        for role in ("key", "keys")
        if role in tool.parameter_for and cell.field == tool.key_field
    ]
    return equal + keys


def _equals_or_contains(argument: Any, value: Any) -> bool:
    return value in argument if isinstance(argument, list) else argument == value and argument is not None


def _other_results(context: TraceContext, call: ToolCall, result: CallResult) -> Iterator[CallResult]:
    """Results that could replace the result of this call.

    These are the results of earlier calls, and those of calls that return the same single row.
    """
    ancestors = context.ancestors(call.call_id)
    single_row = [(result.entity, key) for key, _ in result.rows]
    for other_id, other in context.results.items():
        has_same_row = len(single_row) == 1 and [(other.entity, key) for key, _ in other.rows] == single_row
        comes_after = call.call_id in context.ancestors(other_id)
        is_available = other_id in ancestors or (has_same_row and not comes_after)
        if other_id != call.call_id and other.measured_rows is None and is_available:
            yield other


def _principal_facts(context: TraceContext) -> set[Fact]:
    """The facts that are known from the principal's attributes."""
    principal, domain = context.trace.request.principal, context.world.domain
    role = domain.file.roles.get(principal.role) if principal else None
    row = context.world.tables[role.entity].get(principal.principal_id) if principal and role else None
    if principal is None or role is None or row is None:
        return set()
    cells = [Cell(role.entity, principal.principal_id, name, row) for name in principal.attributes if name in row]
    return {fact_of(each, context.world) for each in cells}


def requested_values(context: TraceContext) -> set[tuple[tuple[str, str], str]]:
    """((entity, field), value) of every value that the request states: for a filter, a key, or a field to be written."""
    found = set()
    for call in context.ordered_calls:
        tool = context.tools[call.tool_id]
        for source in call.argument_sources:
            value = call.arguments.get(source.argument)
            if source.origin != "request" or source.argument not in tool.tool.parameters or references_in(value):
                continue
            parameter = tool.tool.parameters[source.argument]
            field = tool.key_field if parameter.does in ("key", "keys", "about") else parameter.field
            is_sum = parameter.does in ("add", "subtract")  # then the number is not the value of the field
            if field is not None and not is_sum and parameter.match in ("equals", "contains", "one_of"):
                for each in value if isinstance(value, list) else [value]:
                    found.add((source_field(tool.domain, tool.entity, field), repr(each)))
    return found
