"""What looks wrong in the rows of a world: values that nobody would believe, or that contradict what the file states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from itertools import pairwise
from typing import Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas import population as p
from gatling_sid.schemas.conditions import CONDITIONS, PLAIN
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.references import reference_in
from gatling_sid.simulator.stated_facts import span_of_fact
from gatling_sid.simulator.world import Row, World

_MIN_ROWS = 8
"""Rows that an entity must have before equal values are more than chance."""
_MAX_WEEKEND_SHARE = 0.15
"""Share of days at weekends from which on they look like chance; of all days, 29 % are."""
_SATURDAY = 5
_LINTED_WORLDS = 3
"""Worlds in which a domain is looked at; what is wrong in a file shows in nearly every one."""


def lint_domain(domain: Domain, seed: int) -> list[str]:
    """What looks wrong in some worlds of a domain, each finding once."""
    worlds = (World(domain, seed, f"train-{number}") for number in range(_LINTED_WORLDS))
    first_by_subject: dict[str, str] = {}
    for world in worlds:
        for finding in lint_world(world):
            first_by_subject.setdefault(finding.partition(":")[0], finding)
    return list(first_by_subject.values())


def lint_world(world: World) -> Iterator[str]:
    """Yields what looks wrong in a world, each finding as `entity.what: message`."""
    for name, entity in world.domain.file.entities.items():
        rows = list(world.tables[name].values())
        if len(rows) < entity.count:
            yield f"{name}.{entity.key}: {entity.count - len(rows)} of {entity.count} rows have the key of another one"
        for field_name, field in entity.fields.items():
            values = [row[field_name] for row in rows]
            for find in (_find_constant, _find_repeated_addresses, _find_weekends):
                yield from (f"{name}.{field_name}: {message}" for message in find(field, entity, values))
            if field.stated_in is not None:
                yield from (f"{name}.{field_name}: {each}" for each in _find_unstated(field_name, entity, rows, world))
        for ordered in entity.ordered:
            yield from (f"{name}.{', '.join(ordered)}: {message}" for message in _find_disorder(ordered, rows))
        for at, statement in enumerate(entity.consistent):
            found = _find_contradictions(statement, entity.key, rows, world)
            yield from (f"{name}.consistent.{at}: {message}" for message in found)


def _find_constant(field: c.EntityField, _entity: c.Entity, values: list[Any]) -> Iterator[str]:
    is_meant = all(isinstance(each, (p.ConstantFill, p.CopyFill)) for each in p.simple_fills(field.populate))
    if not is_meant and len(values) >= _MIN_ROWS and len(set(values)) == 1:
        yield f"every row has {values[0]!r}; say `value:` if that is meant"


def _find_repeated_addresses(field: c.EntityField, _entity: c.Entity, values: list[Any]) -> Iterator[str]:
    is_copy = any(isinstance(each, p.CopyFill) for each in p.simple_fills(field.populate))
    addresses = Counter(each for each in values if each is not None)
    if field.type == "email" and not is_copy and len(addresses) < addresses.total():
        value, times = addresses.most_common(1)[0]
        yield f"{times} rows have {value!r}; an address belongs to one row"


def _find_weekends(field: c.EntityField, entity: c.Entity, values: list[Any]) -> Iterator[str]:
    """Yields a message if something that has a time of day often happens at a weekend, unless the file says so."""
    has_time = any(each.type == "time" for each in entity.fields.values())
    fills = list(p.simple_fills(field.populate))
    is_meant = any("workdays" in each.model_fields_set or isinstance(each, p.CopyFill) for each in fills)
    days = [date.fromisoformat(each) for each in values if each is not None] if field.type == "date" else []
    at_weekends = sum(day.weekday() >= _SATURDAY for day in days)
    if has_time and not is_meant and len(days) >= _MIN_ROWS and at_weekends > _MAX_WEEKEND_SHARE * len(days):
        yield f"{at_weekends} of {len(days)} dates are at a weekend; say `workdays: true`, or false if that is meant"


def _find_unstated(fact: str, entity: c.Entity, rows: list[Row], world: World) -> Iterator[str]:
    text, unstated = str(entity.fields[fact].stated_in), 0
    for row in rows:
        try:
            unstated += row[fact] is not None and not span_of_fact(entity, fact, row, world.today)
        except ValueError:
            unstated += 1
    if unstated:
        yield f"the text {text} of {unstated} of {len(rows)} rows does not state it; name {{{fact}}} in the text once"


def _find_disorder(names: list[str], rows: list[Row]) -> Iterator[str]:
    for earlier, later in pairwise(names):
        pairs = [(row[earlier], row[later]) for row in rows]
        wrong = [(one, other) for one, other in pairs if one is not None and other is not None and one > other]
        if wrong:
            one, other = wrong[0]
            yield f"{len(wrong)} of {len(rows)} rows have more {earlier} than {later}, such as {one!r} and {other!r}"


def _find_contradictions(statement: p.Consistency, key: str, rows: list[Row], world: World) -> Iterator[str]:
    wrong = [row for row in rows if _meets(row, statement.when, world) and not _meets(row, statement.then, world)]
    if wrong:
        yield f"{len(wrong)} of {len(rows)} rows contradict {statement.then}, such as {wrong[0][key]}"


def _meets(row: Row, conditions: Mapping[str, Any], world: World) -> bool:
    """Whether a row meets all conditions; `$field` in them is another of its fields."""
    for field, condition in conditions.items():
        named = condition if isinstance(condition, Mapping) else {PLAIN: condition}
        for name, operand in named.items():
            if not CONDITIONS[name].holds(row[field], _operand(CONDITIONS[name].reach, operand, row, world)):
                return False
    return True


def _operand(reach: str | None, operand: Any, row: Row, world: World) -> Any:
    reference = reference_in(operand)
    value = operand if reference is None else row[reference.root]
    return world.period(**{reach: value}) if reach is not None else value
