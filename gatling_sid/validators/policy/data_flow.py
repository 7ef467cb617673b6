"""Does a value get where it must not: followed from where it is read through arguments, writes and later reads.

A value is known by where it stands: in a cell (entity, key, field) of a record, or in the result of a call that was
given it. What a filter with a plain value picks is not followed: it says little of what the rows hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gatling_sid.models import ToolCall
from gatling_sid.schemas import constraints as k
from gatling_sid.schemas.references import Reference
from gatling_sid.simulator.operations import CallResult, CompiledTool
from gatling_sid.validators.cells import source_field
from gatling_sid.validators.trace_context import TraceContext, references_of_call


def no_flow(flow: k.NoFlow, case: TraceContext) -> Iterator[str]:
    """Nothing read from these fields reaches the tools, through however many calls and records; nor do they take it."""
    spread = _FlowTracker(flow, case)
    for call in case.ordered_calls:
        given = spread.given(call)
        if flow.binds(case.role, call.tool_id):
            for name, origin in given.items():
                yield f"{call.call_id}: {name} carries {origin} into {call.tool_id}"
            if not given and (taken := spread.taken(call)):
                yield f"{call.call_id}: {call.tool_id} takes {taken} itself"
        spread.follow(call, given)


class _FlowTracker:
    """How far the values of some fields have come: which cells hold them, which calls were given them."""

    def __init__(self, flow: k.NoFlow, case: TraceContext) -> None:
        assert case.domain is not None
        self.case = case
        self.domain = case.domain
        self.sources = {source_field(self.domain, flow.entity, field) for field in flow.fields}
        """The fields, as (entity, field); what copies or refers to another record's field is that field."""
        self.cells: dict[tuple[str, str, str], str] = {}
        """By cell that was written with such a value: the field the value is from."""
        self.calls: dict[str, str] = {}
        """By call that was given such a value: the field the value is from."""

    def given(self, call: ToolCall) -> dict[str, str]:
        """By argument of a call that carries such a value: the field the value is from."""
        found = ((name, self._referred(reference)) for name, reference in references_of_call(call))
        return {name: origin for name, origin in found if origin is not None}

    def taken(self, call: ToolCall) -> str | None:
        """The first such field that the call itself reads or, of a message, that this plan wrote into its record."""
        outcome = self.case.results.get(call.call_id)
        if outcome is None:
            return None
        message = any(effect.kind == "send" for effect in outcome.effects)
        rows = dict(outcome.rows)
        cells = self.cells if message else ()
        written = [field for entity, key, field in cells if entity == outcome.entity and key in rows]
        return self._held(outcome.entity, rows, (*outcome.fields, *written))

    def follow(self, call: ToolCall, given: dict[str, str]) -> None:
        """Notes where a call puts the values it was given; what it overwrites holds them no more."""
        outcome, tool = self.case.results.get(call.call_id), self.case.tools.get(call.tool_id)
        if given:
            self.calls[call.call_id] = next(iter(given.values()))
        if outcome is None or tool is None or tool.tool.operation not in ("create", "update"):
            return
        origins = {field: given.get(name) for name, field in tool.sets if name in call.arguments}
        for key, row in (*outcome.rows, *outcome.created):
            copied = self._copied(tool, row) if outcome.created else {}
            for field, origin in {**dict.fromkeys(tool.tool.sets), **copied, **origins}.items():
                self._write((outcome.entity, key, field), origin)

    def _write(self, cell: tuple[str, str, str], origin: str | None) -> None:
        if origin is None:
            self.cells.pop(cell, None)
        else:
            self.cells[cell] = origin

    def _copied(self, tool: CompiledTool, row: dict[str, object]) -> dict[str, str | None]:
        """By field that a new record copies from one it refers to: the field such a value is from."""
        copies = tool.domain.copies(tool.entity).items()
        return {name: self.cells.get((of, str(row[reference]), field)) for name, (reference, of, field) in copies}

    def _referred(self, reference: Reference) -> str | None:
        if reference.root in self.calls:
            return self.calls[reference.root]
        outcome = self.case.results.get(reference.root)
        return None if outcome is None else self._held(outcome.entity, *_cells_referenced(reference, outcome))

    def _held(self, entity: str, keys: Iterable[str], fields: Iterable[str]) -> str | None:
        """The field that such a value in these cells is from, or None if they hold none."""
        for field in fields:
            if source_field(self.domain, entity, field) in self.sources:
                return f"{entity}.{field}"
            for key in keys if self.cells else ():
                if (entity, key, field) in self.cells:
                    return self.cells[entity, key, field]
        return None


def _cells_referenced(reference: Reference, outcome: CallResult) -> tuple[list[str], tuple[str, ...]]:
    """The keys and fields of the rows that a reference points at; of a figure, those it was taken over."""
    keys = [key for key, _ in outcome.rows]
    if outcome.measured is not None:
        return keys, outcome.fields
    index = next((step for step in reference.path if isinstance(step, int)), None)
    names = [step for step in reference.path if isinstance(step, str) and step not in ("*", "items")]
    fields = tuple(names[-1:]) or outcome.fields
    return keys if index is None else keys[index : index + 1], fields
