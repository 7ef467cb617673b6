"""The values that a plan takes from the results of calls: cells, and the facts that cells hold.

A cell is one field of one row. A fact is the (entity, key, field) where its value was first stored: copies and references
are followed back to it. If `invoice.vendor_name` is a copy of `vendor.name`, both cells hold the same fact, the name of
that vendor; `invoice.vendor_id` holds the key of that vendor. Two people in one department hold two facts, which have
equal values.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from gatling_sid.schemas import population as p
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.references import ALL_ELEMENTS, Reference
from gatling_sid.simulator.operations import CallResult
from gatling_sid.simulator.world import Row, World


class Cell(NamedTuple):
    """One field of one row that a call returned."""

    entity: str
    key: str
    field: str
    row: Row


class Fact(NamedTuple):
    """The row and field in which a value was first stored, wherever it is read."""

    entity: str
    key: Any
    field: str


def cells_of(reference: Reference, result: CallResult) -> list[Cell]:
    """The cells that a reference takes from a call's result; none if it takes a count, a measure or the key of a new row."""
    match reference.path:
        case ("items", int(at), str(field)) if at < len(result.rows):
            rows = result.rows[at : at + 1]
        case ("items", step, str(field)) if step == ALL_ELEMENTS:
            rows = result.rows
        case (str(field),) if len(result.rows) == 1 and "items" not in result.value:
            rows = result.rows
        case _:
            return []
    return [Cell(result.entity, key, field, row) for key, row in rows if field in row]


def fact_of(cell: Cell, world: World) -> Fact:
    """The fact that a cell holds; copied fields and references are followed to where the value was first stored."""
    entity, key, field, row = cell.entity, cell.key, cell.field, cell.row
    while origin := _copied_field(world.domain, entity, field):
        reference_field, target, field = origin
        entity, key = target, row[reference_field]
        referred_row = world.tables[entity].get(key)
        if referred_row is None or not field:
            return Fact(entity, key, field or world.domain.file.entities[entity].key)
        row = referred_row
    return Fact(entity, key, field)


@lru_cache(maxsize=8192)
def _copied_field(domain: Domain, entity: str, field: str) -> tuple[str, str, str] | None:
    """(reference field, entity it points to, field copied from there), or None; the last is "" for a reference itself."""
    entity_spec = domain.file.entities.get(entity)
    fill = entity_spec.fields[field].populate if entity_spec is not None and field in entity_spec.fields else None
    if isinstance(fill, p.ReferenceFill):
        return field, fill.ref, ""
    return domain.copied_fields(entity).get(field) if entity_spec is not None else None


@lru_cache(maxsize=8192)
def source_field(domain: Domain, entity: str, field: str) -> tuple[str, str]:
    """The (entity, field) in which a field's values were first stored: the one it copies or refers to, else itself."""
    while origin := _copied_field(domain, entity, field):
        _, entity, name = origin
        field = name or domain.file.entities[entity].key
        if not name:
            break
    return entity, field


def facts_shown(result: CallResult, world: World) -> Iterator[Fact]:
    """The facts in all rows and fields that a call's result shows."""
    for key, row in result.rows:
        for field in result.fields:
            yield fact_of(Cell(result.entity, key, field, row), world)
