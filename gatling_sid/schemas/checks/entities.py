"""Checks entities: their keys, fields, the wordings of choices, and what is stated about all rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas import population as p
from gatling_sid.schemas.checks.conditions import check_conditions
from gatling_sid.schemas.checks.fills import check_fill, check_values
from gatling_sid.schemas.checks.problems import FileProblem, find_unknown
from gatling_sid.schemas.references import references_in

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain


def check_entities(domain: Domain) -> Iterator[FileProblem]:
    """Yields what is wrong with entities; a field may depend only on earlier fields and on entities above."""
    entities_above: dict[str, c.Entity] = {}
    for name, entity in domain.file.entities.items():
        where = f"entities.{name}"
        yield from find_unknown(f"{where}.key", [entity.key], entity.fields, "field")
        if entity.key in entity.fields and entity.fields[entity.key].type != "id":
            yield f"{where}.key", f"{entity.key} is not of type id"
        earlier: dict[str, c.EntityField] = {}
        for field_name, field in entity.fields.items():
            here = f"{where}.fields.{field_name}"
            yield from check_fill(here, field.populate, domain, earlier, entities_above)
            yield from check_values(here, field)
            if field.type == "ref" and not isinstance(next(p.simple_fills(field.populate), None), p.ReferenceFill):
                yield here, "a field of type ref is filled with `ref: <entity>`, which says whose key it holds"
            if field.type == "choice" and field.words:
                yield from find_unknown(f"{here}.words", field.words, _values_with_words(field), "value")
            earlier[field_name] = field
        yield from find_unknown(f"{where}.unique_by", entity.unique_by, entity.fields, "field")
        yield from _check_orders(f"{where}.ordered", entity)
        yield from _check_consistency(f"{where}.consistent", entity)
        entities_above[name] = entity


def _values_with_words(field: c.EntityField) -> Iterable[str]:
    """The values that may have wordings: those that the field is filled with, unless tools write further ones."""
    fill = field.populate
    return fill.choice if isinstance(fill, p.ChoiceFill) and len(fill.choice) >= len(field.words) else field.words


def _check_orders(where: str, entity: c.Entity) -> Iterator[FileProblem]:
    for names in entity.ordered:
        yield from find_unknown(where, names, entity.fields, "field")
        types = {entity.fields[name].type for name in names if name in entity.fields}
        are_comparable = types <= {"money", "integer", "number"} or types in ({"date"}, {"time"})
        if len(names) < 2 or not are_comparable:
            yield where, f"{names} must be two or more fields that are all numbers, all dates or all times"


def _check_consistency(where: str, entity: c.Entity) -> Iterator[FileProblem]:
    for statement in entity.consistent:
        for conditions in (statement.when, statement.then):
            yield from find_unknown(where, conditions, entity.fields, "field")
            yield from find_unknown(where, _fields_as_operands(conditions), entity.fields, "field")
            yield from check_conditions(where, entity.fields, conditions)


def _fields_as_operands(conditions: Mapping[str, Any]) -> list[str]:
    """The other fields of the row with which conditions compare, such as `total` in `{credit: {at_most: $total}}`."""
    operands: list[Any] = []
    for condition in conditions.values():
        operands += condition.values() if isinstance(condition, Mapping) else [condition]
    return [str(reference) for operand in operands for reference in references_in(operand)]
