"""Values must not reach certain tools: they are tracked from reads through arguments, writes and later reads.

A value is tracked by its place: a cell (entity, key, field), or the result of a call that took it as an argument. Rows
that a filter with a plain value selects are not tracked, since the filter reveals little about their content.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gatling_sid.models import ToolCall
from gatling_sid.schemas import constraints as k
from gatling_sid.schemas.references import Reference
from gatling_sid.simulator.cells import source_field
from gatling_sid.simulator.compiled_tools import CompiledTool
from gatling_sid.simulator.operations import CallResult
from gatling_sid.validators.trace_context import TraceContext, references_of_call


def no_flow(flow: k.NoFlow, context: TraceContext) -> Iterator[str]:
    """No value of these fields reaches the tools, directly or through other calls and rows."""
    tracker = _FlowTracker(flow, context)
    for call in context.ordered_calls:
        origins = tracker.origins_of_arguments(call)
        if flow.binds(context.role, call.tool_id):
            for name, origin in origins.items():
                yield f"{call.call_id}.{name} passes a value of {origin} to {call.tool_id}"
            if not origins and (read := tracker.origin_read_by(call)):
                yield f"{call.call_id} uses {call.tool_id}, which itself reads {read}"
        tracker.track(call, origins)


class _FlowTracker:
    """Tracks the values of some fields: which cells hold them, and which calls took them as arguments."""

    def __init__(self, flow: k.NoFlow, context: TraceContext) -> None:
        assert context.domain is not None
        self.context = context
        self.domain = context.domain
        self.sources = {source_field(self.domain, flow.entity, field) for field in flow.fields}
        """The fields, as (entity, field); a field that copies or refers to a field of another row counts as that field."""
        self.cells: dict[tuple[str, str, str], str] = {}
        """For each cell to which such a value was written: the field that the value comes from."""
        self.calls: dict[str, str] = {}
        """For each id of a call that took such a value as an argument: the field that the value comes from."""

    def origins_of_arguments(self, call: ToolCall) -> dict[str, str]:
        """For each argument name that refers to such a value: the field that the value comes from."""
        found = ((name, self._origin_of_reference(reference)) for name, reference in references_of_call(call))
        return {name: origin for name, origin in found if origin is not None}

    def origin_read_by(self, call: ToolCall) -> str | None:
        """The first such field that the call itself reads; a message also reads the fields that the plan wrote to its rows."""
        result = self.context.results.get(call.call_id)
        if result is None:
            return None
        is_message = any(effect.kind == "send" for effect in result.effects)
        rows = dict(result.rows)
        cells = self.cells if is_message else ()
        written_fields = [field for entity, key, field in cells if entity == result.entity and key in rows]
        return self._origin_in_cells(result.entity, rows, (*result.fields, *written_fields))

    def track(self, call: ToolCall, argument_origins: dict[str, str]) -> None:
        """Records where a call writes the values of its arguments; cells that it overwrites no longer hold such values."""
        result, tool = self.context.results.get(call.call_id), self.context.tools.get(call.tool_id)
        if argument_origins:
            self.calls[call.call_id] = next(iter(argument_origins.values()))
        if result is None or tool is None or tool.tool.operation not in ("create", "update"):
            return
        origins = {field: argument_origins.get(name) for name, field in tool.sets if name in call.arguments}
        # What is added to a field leaves in it what was there before.
        origins |= {
            each.field: argument_origins[each.parameter]
            for each in tool.additions
            if each.parameter in argument_origins
        }
        for key, row in (*result.rows, *result.created_rows):
            copied = self._origins_of_copies(tool, row) if result.created_rows else {}
            for field, origin in {**dict.fromkeys(tool.tool.sets), **copied, **origins}.items():
                self._write((result.entity, key, field), origin)

    def _write(self, cell: tuple[str, str, str], origin: str | None) -> None:
        if origin is None:
            self.cells.pop(cell, None)
        else:
            self.cells[cell] = origin

    def _origins_of_copies(self, tool: CompiledTool, row: dict[str, object]) -> dict[str, str | None]:
        """For each field that a new row copies from a row it refers to: the field that such a value comes from, or None."""
        copies = tool.domain.copied_fields(tool.entity).items()
        return {name: self.cells.get((of, str(row[reference]), field)) for name, (reference, of, field) in copies}

    def _origin_of_reference(self, reference: Reference) -> str | None:
        if reference.root in self.calls:
            return self.calls[reference.root]
        result = self.context.results.get(reference.root)
        return None if result is None else self._origin_in_cells(result.entity, *_keys_and_fields(reference, result))

    def _origin_in_cells(self, entity: str, keys: Iterable[str], fields: Iterable[str]) -> str | None:
        """The field that a value in these cells comes from, or None if they have no such value."""
        for field in fields:
            if source_field(self.domain, entity, field) in self.sources:
                return f"{entity}.{field}"
            for key in keys if self.cells else ():
                if (entity, key, field) in self.cells:
                    return self.cells[entity, key, field]
        return None


def _keys_and_fields(reference: Reference, result: CallResult) -> tuple[list[str], tuple[str, ...]]:
    """The keys and fields of the rows that a reference points to; for a measure, those that it was computed over."""
    keys = [key for key, _ in result.rows]
    if result.measured_rows is not None:
        return keys, result.fields
    index = next((step for step in reference.path if isinstance(step, int)), None)
    names = [step for step in reference.path if isinstance(step, str) and step not in ("*", "items")]
    fields = tuple(names[-1:]) or result.fields
    return keys if index is None else keys[index : index + 1], fields
