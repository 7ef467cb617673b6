"""Checks what a scenario draws, and the slots that state the drawn values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.checks.conditions import check_conditions
from gatling_sid.schemas.checks.expressions import check_expressions, entity_of_draw
from gatling_sid.schemas.checks.problems import FileProblem, entity_referred_to, find_unknown
from gatling_sid.schemas.references import reference_in

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain


def check_draws(where: str, scenario: c.Scenario, domain: Domain) -> Iterator[FileProblem]:
    """Yields what is wrong with the draws of a scenario; each may use values that were drawn above it."""
    roots = {"principal", "policy"}
    for name, draw in scenario.draw.items():
        here, entity = f"{where}.draw.{name}", entity_of_draw(draw)
        if entity is not None and entity not in domain.file.entities:
            yield from find_unknown(here, [entity], domain.file.entities, "entity")
            continue
        if entity is not None:
            yield from _check_fields_of_draw(here, draw, entity, domain)
        yield from check_expressions(here, draw.model_dump(by_alias=True), scenario, domain, roots)
        roots.add(name)


def _check_fields_of_draw(where: str, draw: c.Draw, entity: str, domain: Domain) -> Iterator[FileProblem]:
    conditions: Mapping[str, Any] = getattr(draw, "where", {})
    fields = domain.file.entities[entity].fields
    fields_of_where = {**fields, **joined_fields(conditions, domain.file.entities[entity], domain)}
    order = (getattr(draw, "order", None) or "").removeprefix("-")
    single = [each for each in (order, getattr(draw, "distinct", None)) if each]
    names = [*(each for each in conditions if each not in fields_of_where), *getattr(draw, "alone_by", ()), *single]
    yield from find_unknown(where, names, fields, f"field of {entity}")
    yield from check_conditions(f"{where}.where", fields_of_where, conditions)


def joined_fields(names: Iterable[str], entity: c.Entity, domain: Domain) -> dict[str, c.EntityField]:
    """The fields that names such as `ticket_id.owner` stand for: those of the rows that references point to."""
    joined = {}
    for name in names:
        reference, _, field = name.partition(".")
        referenced = entity_referred_to(entity.fields[reference]) if reference in entity.fields else None
        if referenced in domain.file.entities and field in domain.file.entities[referenced].fields:
            joined[name] = domain.file.entities[referenced].fields[field]
    return joined


def check_slots(where: str, scenario: c.Scenario, domain: Domain) -> Iterator[FileProblem]:
    """Yields slots that have no value, or whose value is not drawn or is a whole row."""
    here = f"{where}.slots"
    yield from check_expressions(here, scenario.slots, scenario, domain, {"principal", "policy", *scenario.draw})
    for name, value in scenario.slots.items():
        if value in ([], "", None):
            yield here, f"slot {name} has no value"
        for each in value if isinstance(value, list) else [value]:
            reference = reference_in(each)
            if reference and not reference.path and entity_of_draw(scenario.draw.get(reference.root)) is not None:
                yield here, f"slot {name} is a whole row; name the field of {each} that the request states"
