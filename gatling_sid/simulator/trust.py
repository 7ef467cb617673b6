"""How far what a plan reads and passes on is trusted: tiers of values, followed through arguments, writes and later reads.

A field has the tier of who writes it. An argument has the least trusted tier of what it rests on. What a call writes has
the tier of the argument, also where a new row copies it and where it is read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gatling_sid.models import ArgumentSource, ToolCall, TrustTier
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.references import ALL_ELEMENTS, Reference, parse_reference, references_in
from gatling_sid.simulator.compiled_tools import CompiledTool
from gatling_sid.simulator.execution import tools_of
from gatling_sid.simulator.operations import CallResult
from gatling_sid.simulator.world import Row

_TIER_OF_ORIGIN = {"request": TrustTier.USER}
"""The tiers of sources that are neither calls nor, like principal, policy and defaults, the own systems."""


class PlanTrust:
    """The tiers of what an executed plan reads and passes on; calls that were not executed have none."""

    def __init__(self, calls: Iterable[ToolCall], results: Mapping[str, CallResult], domain: Domain) -> None:
        """Follows the values of calls, in the order of their execution, through their results."""
        self._results, self._domain, self._tools = results, domain, tools_of(domain)
        self._tiers_of_cells: dict[tuple[str, str, str], TrustTier] = {}
        self._tiers_of_rows_read: dict[str, list[dict[str, TrustTier]]] = {}
        self.arguments: dict[tuple[str, str], TrustTier] = {}
        """The tier of each argument, by call id and name."""
        for call in calls:
            for source in call.argument_sources:
                self.arguments[call.call_id, source.argument] = self._tier_of_source(call, source)
            if call.call_id in results:
                self._follow(call, results[call.call_id])

    def of_rows(self, call_id: str) -> list[dict[str, TrustTier]]:
        """For each row of a call's result, the tiers of its fields that are not written by the own systems."""
        return self._tiers_of_rows_read.get(call_id, [])

    def of_reference(self, reference: Reference) -> TrustTier:
        """The tier of what a reference leads to."""
        result, rows = self._results.get(reference.root), self.of_rows(reference.root)
        if result is None:
            return TrustTier.SYSTEM
        index = next((step for step in reference.path if isinstance(step, int)), None)
        names = [step for step in reference.path if isinstance(step, str) and step not in (ALL_ELEMENTS, "items")]
        fields = result.fields if result.measured_rows is not None else names[:1]
        chosen = rows if index is None else rows[index : index + 1]
        return TrustTier.least_trusted(row[field] for row in chosen for field in fields if field in row)

    def _tier_of_source(self, call: ToolCall, source: ArgumentSource) -> TrustTier:
        references = references_in(call.arguments.get(source.argument))
        if source.origin in ("call", "composed") and not references:
            references = list(references_of_source(source))
        if references:
            return TrustTier.least_trusted(map(self.of_reference, references))
        return _TIER_OF_ORIGIN.get(source.origin, TrustTier.SYSTEM)

    def _follow(self, call: ToolCall, result: CallResult) -> None:
        tool = self._tools[call.tool_id]
        if tool.tool.operation in ("create", "update"):
            self._write(call, tool, result)
        rows = result.created_rows if tool.tool.operation == "create" else result.rows
        self._tiers_of_rows_read[call.call_id] = [self._tiers_of_row(result, key, row) for key, row in rows]

    def _write(self, call: ToolCall, tool: CompiledTool, result: CallResult) -> None:
        given = {field: self.arguments.get((call.call_id, name)) for name, field in tool.sets if name in call.arguments}
        given |= {each.field: self.arguments.get((call.call_id, each.parameter)) for each in tool.additions}
        for key, row in (*result.rows, *result.created_rows):
            copies = dict(self._tiers_of_copies(tool, row)) if result.created_rows else {}
            for field, tier in {**dict.fromkeys(tool.tool.sets, TrustTier.SYSTEM), **copies, **given}.items():
                if tier is not None:
                    self._tiers_of_cells[result.entity, key, field] = tier

    def _tiers_of_copies(self, tool: CompiledTool, row: Row) -> Iterator[tuple[str, TrustTier]]:
        for name, (reference, entity, field) in self._domain.copied_fields(tool.entity).items():
            yield (
                name,
                self._tiers_of_cells.get((entity, str(row[reference]), field))
                or self._domain.trust_of(entity, field, row),
            )

    def _tiers_of_row(self, result: CallResult, key: str, row: Row) -> dict[str, TrustTier]:
        """The tiers of the fields of a row that others than the own systems wrote, at first or by an earlier call."""
        entity, tiers = result.entity, dict[str, TrustTier]()
        from_others = self._domain.fields_from_others(entity)
        for field in result.fields:
            tier = self._tiers_of_cells.get((entity, key, field)) if self._tiers_of_cells else None
            if tier is None and field in from_others:
                tier = self._domain.trust_of(entity, field, row)
            if tier is not None and tier is not TrustTier.SYSTEM:
                tiers[field] = tier
        return tiers


def references_of_source(source: ArgumentSource) -> Iterator[Reference]:
    """The references that an argument source names: `call_1.amount, call_1.due_on`."""
    for text in (source.reference or "").split(", "):
        reference = parse_reference(f"${text}")
        if reference is not None:
            yield reference


def trusted_sources(call: ToolCall, trust: PlanTrust) -> list[ArgumentSource]:
    """The argument sources of a call with the tiers of what they rest on."""
    return [
        each.model_copy(update={"trust_tier": trust.arguments[call.call_id, each.argument]})
        for each in call.argument_sources
    ]


def value_at(path: str, result: Mapping[str, Any]) -> Any:
    """The value of a result at a path such as `items[2].body`; None if there is none."""
    reference = parse_reference(f"$it.{path}")
    value: Any = result
    for step in reference.path if reference is not None else ():
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value
