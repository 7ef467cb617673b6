"""Which values of which records a plan takes from a call: cells, and the fact that a cell holds.

A field that copies another record's holds that record's fact; a reference holds the key of the record it points to.
So the same fact is recognised wherever it stands, and two facts that only look alike are told apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from gatling_sid.schemas import population as p
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.references import ALL, Reference
from gatling_sid.simulator.operations import CallResult
from gatling_sid.simulator.world import Row, World


class Cell(NamedTuple):
    """A field of a row that a call returned."""

    entity: str
    key: str
    field: str
    row: Row


class Fact(NamedTuple):
    """A value and the record it belongs to, wherever it was read."""

    entity: str
    key: Any
    field: str


def cells_of(reference: Reference, outcome: CallResult) -> list[Cell]:
    """The cells that a reference takes from a call's result; none where it takes a count, a figure or a new id."""
    match reference.path:
        case ("items", int(at), str(field)) if at < len(outcome.rows):
            rows = outcome.rows[at : at + 1]
        case ("items", step, str(field)) if step == ALL:
            rows = outcome.rows
        case (str(field),) if len(outcome.rows) == 1 and "items" not in outcome.value:
            rows = outcome.rows
        case _:
            return []
    return [Cell(outcome.entity, key, field, row) for key, row in rows if field in row]


def fact_of(cell: Cell, world: World) -> Fact:
    """The fact that a cell holds."""
    entity, key, field, row = cell.entity, cell.key, cell.field, cell.row
    while copied := _copied_field(world.domain, entity, field):
        through, target, field = copied
        entity, key = target, row[through]
        found = world.tables[entity].get(key)
        if found is None or not field:
            return Fact(entity, key, field or world.domain.file.entities[entity].key)
        row = found
    return Fact(entity, key, field)


@lru_cache(maxsize=8192)
def _copied_field(domain: Domain, entity: str, field: str) -> tuple[str, str, str] | None:
    """(reference field, entity it points to, field copied there; "" for the reference itself), or None."""
    known = domain.file.entities.get(entity)
    declared = known.fields[field].populate if known is not None and field in known.fields else None
    if isinstance(declared, p.ReferenceFill):
        return field, declared.ref, ""
    return domain.copies(entity).get(field) if known is not None else None


@lru_cache(maxsize=8192)
def source_field(domain: Domain, entity: str, field: str) -> tuple[str, str]:
    """The (entity, field) whose values a field holds: its own, or the one it copies or refers to."""
    while copied := _copied_field(domain, entity, field):
        _, entity, name = copied
        field = name or domain.file.entities[entity].key
        if not name:
            break
    return entity, field


def facts_shown(outcome: CallResult, world: World) -> Iterator[Fact]:
    """Every fact that a call's result shows."""
    for key, row in outcome.rows:
        for field in outcome.fields:
            yield fact_of(Cell(outcome.entity, key, field, row), world)
