"""Fills entities with rows, as the declarations of their fields say."""

from __future__ import annotations

import math
import random
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Literal, NamedTuple

from gatling_sid.errors import CatalogueError
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas import population as p
from gatling_sid.schemas.clock import LAST_MINUTE, minutes_of, time_at
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.language.wording import wordings
from gatling_sid.seeding import stream

_Row = dict[str, Any]
Tables = Mapping[str, Mapping[str, _Row]]
"""The rows of the entities above, by entity and key."""
_MAX_FILLS = 20
"""Values that are drawn for a unique field before unused values are searched for."""
_MAX_TEMPLATE_FILLS = 500
"""Further values that are drawn from a template before it counts as used up, since its values cannot be listed."""
_MAX_REFILLS = 500
"""How often the fields of `unique_by` are filled again for one row."""
_SHARE_OF_OPTIONAL = 0.5
"""Share of texts in which something optional is left out."""
_LASTING_DATES = 4
"""The first ways to write a date, which mean the same on every day."""
_SATURDAY = 5
"""The weekday of Saturday, from which on days are no working days."""


class NoRowError(LookupError):
    """A reference has no row to refer to in this population; another population may have one."""


class TooFewValuesError(CatalogueError):
    """Values that must be unique ran out in this population; it is a fault of the file if they do so in most."""


class Population(NamedTuple):
    """What the rows of an entity depend on: the domain, the day of its world, and the entities above."""

    domain: Domain
    today: date
    tables: Tables


class _FillContext:
    """What is needed to fill one field of an entity: the world so far, and the values that were used before."""

    def __init__(self, population: Population, entity: c.Entity, rng: random.Random) -> None:
        self.domain, self.today, self.tables = population
        self.entity = entity
        self.rng = rng
        self.used_values: dict[int, set[Any]] = {}
        self.next_numbers: dict[int, int] = {}
        self.reference_keys: dict[int, list[str]] = {}


def populate(population: Population, entity_name: str, path: tuple[int | str, ...]) -> dict[str, _Row]:
    """The rows of an entity by key. Each field has its own random stream, so that a change of one field changes no other.

    Raises:
        NoRowError: a reference has nothing to refer to.
        TooFewValuesError: the fields that must be unique have too few different values.

    """
    entity = population.domain.file.entities[entity_name]
    contexts = {name: _FillContext(population, entity, stream(*path, entity_name, name)) for name in entity.fields}
    refilled, used = _fields_to_refill(population.domain, entity), set[tuple[Any, ...]]()
    table: dict[str, _Row] = {}
    for _ in range(entity.count):
        row: _Row = {}
        _fill_fields(entity.fields, row, contexts)
        refills = 0
        while (values := _values_to_be_unique(row, entity)) in used:
            if refills == _MAX_REFILLS:
                where, fields = f"entities.{entity_name}.unique_by", ", ".join(entity.unique_by)
                problem = f"too few different values of {fields} for {entity.count} rows; add values or lower the count"
                raise TooFewValuesError(f"{population.domain.slug}.yaml", where, problem)
            _fill_fields(refilled, row, contexts)
            refills += 1
        if values:
            used.add(values)
        table[row[entity.key]] = row
    return table


def _fill_fields(names: Iterable[str], row: _Row, contexts: Mapping[str, _FillContext]) -> None:
    for name in names:
        row[name] = _fill(contexts[name].entity.fields[name].populate, row, contexts[name])


def _values_to_be_unique(row: _Row, entity: c.Entity) -> tuple[Any, ...]:
    """The row's values in `unique_by`; none if it lacks one of them, since such a row repeats nothing."""
    values = tuple(row[name] for name in entity.unique_by)
    return () if None in values else values


def _fields_to_refill(domain: Domain, entity: c.Entity) -> list[str]:
    """The fields of `unique_by`, and those that depend on them, also by a text in a pool that names them."""
    names = set(entity.unique_by)
    for name, field in entity.fields.items():
        if not names.isdisjoint(_names_read(domain, field.populate)):
            names.add(name)
    return [name for name in entity.fields if name in names]


def _names_read(domain: Domain, fill: p.Populate | None) -> set[str]:
    """The fields and pools on which a filled value depends."""
    names, to_visit = set[str](), list(p.fields_read(fill))
    while to_visit:
        name = to_visit.pop()
        if name not in names:
            names.add(name)
            to_visit += p.names_in_prose(map(str, domain.pools.get(name, ())))
    return names


def _fill(spec: Any, row: _Row, context: _FillContext) -> Any:
    if spec is None:
        return None
    value = _FILLERS[type(spec)](spec, row, context)
    if isinstance(spec, (p.PoolFill, p.TemplateFill)) and spec.unique:
        value = _make_unique(spec, value, row, context)
    return value


def _make_unique(spec: p.PoolFill | p.TemplateFill, value: Any, row: _Row, context: _FillContext) -> Any:
    """The value or, if another row has it, a value that no row has; raises CatalogueError if none is left."""
    used = context.used_values.setdefault(id(spec), set())
    for _ in range(_MAX_FILLS):
        if value not in used:
            break
        value = _FILLERS[type(spec)](spec, row, context)
    else:
        value = _search_unused_value(spec, row, context, used)
    used.add(value)
    return value


def _search_unused_value(spec: p.PoolFill | p.TemplateFill, row: _Row, context: _FillContext, used: set[Any]) -> Any:
    if isinstance(spec, p.PoolFill):
        left = [each for each in _pool_values(spec, context) if each not in used]
        if left:
            return context.rng.choice(left)
    else:
        for _ in range(_MAX_TEMPLATE_FILLS):
            value = _fill_template(spec, row, context)
            if value not in used:
                return value
    what = f"pool {spec.pool!r:.60}" if isinstance(spec, p.PoolFill) else f"template {spec.template!r}"
    raise TooFewValuesError(f"{context.domain.slug}.yaml", "entities", f"too few different values for {what}")


# --- texts and numbers -----------------------------------------------------------------------------------------


def _fill_sequence(spec: p.SequenceFill, _row: _Row, context: _FillContext) -> str:
    number = context.next_numbers.get(id(spec), spec.start + context.rng.randrange(spec.gap * 20))
    context.next_numbers[id(spec)] = number + context.rng.randint(1, spec.gap)
    return spec.sequence.format(number)


def _fill_from_pool(spec: p.PoolFill, _row: _Row, context: _FillContext) -> Any:
    return context.rng.choice(_pool_values(spec, context))


def _pool_values(spec: p.PoolFill, context: _FillContext) -> Sequence[Any]:
    return context.domain.pools[spec.pool] if isinstance(spec.pool, str) else spec.pool


_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def _fill_template(spec: p.TemplateFill, row: _Row, context: _FillContext) -> str:
    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        return str(row[name]) if name in row else str(context.rng.choice(context.domain.pools[name]))

    return _PLACEHOLDER.sub(fill, spec.template)


def _fill_prose(spec: p.ProseFill, row: _Row, context: _FillContext) -> str:
    lines = [_write_line(each, row, context) for each in spec.prose]
    return "\n".join(each for each in lines if each)


def _write_line(text: str, row: _Row, context: _FillContext) -> str:
    def write(match: re.Match[str]) -> str:
        name, is_optional = match.groups()
        if is_optional and context.rng.random() < _SHARE_OF_OPTIONAL:
            return ""
        if name in row:
            return in_words(context.entity.fields[name], row[name], context.today, context.rng)
        return _write_line(str(context.rng.choice(context.domain.pools[name])), row, context)

    return " ".join(p.PLACEHOLDER_IN_PROSE.sub(write, text).split())


def in_words(field: c.EntityField, value: Any, today: date, rng: random.Random) -> str:
    """A value as people write it in a text that others read on another day: without "tomorrow" or weekdays."""
    if value is None:
        return ""
    words = tuple(field.words.get(value, ())) if isinstance(value, str) else ()
    ways = wordings("choice" if words else field.kind, value, today, words) or (str(value),)
    return str(rng.choice(ways[:_LASTING_DATES] if field.type == "date" else ways))


def _fill_choice(spec: p.ChoiceFill, _row: _Row, context: _FillContext) -> str:
    return context.rng.choices(list(spec.choice), list(spec.choice.values()))[0]


def _fill_integer(spec: p.IntegerFill, _row: _Row, context: _FillContext) -> int:
    return context.rng.randint(*spec.integer)


def _round_to(value: float, step: float) -> float:
    return round(round(value / step) * step, 2)


def _fill_money(spec: p.MoneyFill, _row: _Row, context: _FillContext) -> float:
    low, high = map(math.log, spec.money)
    return _round_to(math.exp(context.rng.uniform(low, high)), spec.round)


def _fill_fraction(spec: p.FractionFill, row: _Row, context: _FillContext) -> float | None:
    if row[spec.fraction_of] is None:
        return None
    return _round_to(row[spec.fraction_of] * context.rng.uniform(*spec.between), spec.round)


def _fill_chance(spec: p.ChanceFill, _row: _Row, context: _FillContext) -> bool:
    return context.rng.random() < spec.chance


def _fill_constant(spec: p.ConstantFill, _row: _Row, _context: _FillContext) -> Any:
    return spec.value


# --- dates and times -------------------------------------------------------------------------------------------


def _is_workday(day: date) -> bool:
    return day.weekday() < _SATURDAY


def _draw_day(
    base: date, days: tuple[int, int], context: _FillContext, *, workdays: bool, direction: Literal[1, -1] = 1
) -> date:
    """A day so many days after (or before) `base`; with `workdays`, drawn again until it is a working day."""
    while True:
        day = base + timedelta(days=direction * context.rng.randint(*days))
        if not workdays or _is_workday(day):
            return day


def _fill_days_ago(spec: p.DaysAgoFill, _row: _Row, context: _FillContext) -> str:
    return _draw_day(context.today, spec.days_ago, context, workdays=spec.workdays, direction=-1).isoformat()


def _fill_days_ahead(spec: p.DaysAheadFill, _row: _Row, context: _FillContext) -> str:
    return _draw_day(context.today, spec.days_ahead, context, workdays=spec.workdays).isoformat()


def _fill_days_after(spec: p.DaysAfterFill, row: _Row, context: _FillContext) -> str | None:
    if row[spec.days_after] is None:
        return None
    base = date.fromisoformat(row[spec.days_after])
    day = _draw_day(base, spec.days, context, workdays=spec.workdays)
    if spec.by_today and day > context.today:
        day = context.today
        while spec.workdays and day > base and not _is_workday(day):
            day -= timedelta(days=1)
    return day.isoformat()


def _fill_time(spec: p.TimeFill, _row: _Row, context: _FillContext) -> str:
    first, last = map(minutes_of, spec.time)
    return time_at(context.rng.choice(range(first, last + 1, spec.step)))


def _fill_minutes_after(spec: p.MinutesAfterFill, row: _Row, context: _FillContext) -> str | None:
    if row[spec.minutes_after] is None:
        return None
    low, high = spec.minutes
    minutes = minutes_of(row[spec.minutes_after]) + context.rng.choice(range(low, high + 1, spec.step))
    return time_at(min(minutes, LAST_MINUTE))


# --- other rows and fields -------------------------------------------------------------------------------------


def _fill_reference(spec: p.ReferenceFill, _row: _Row, context: _FillContext) -> str:
    if id(spec) not in context.reference_keys:
        table = context.tables[spec.ref]
        keys = [key for key, row in table.items() if all(row[f] == v for f, v in spec.where.items())]
        if not keys:
            raise NoRowError(f"no {spec.ref} with {spec.where}")
        context.reference_keys[id(spec)] = keys
    return context.rng.choice(context.reference_keys[id(spec)])


def _fill_copy(spec: p.CopyFill, row: _Row, context: _FillContext) -> Any:
    reference, field = spec.copy_of.split(".")
    entity = context.domain.referenced_entity(context.entity, reference)
    return None if row[reference] is None else context.tables[entity][row[reference]][field]


_NO_DECOMPOSITION = str.maketrans({"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "ß": "ss", "đ": "d", "æ": "ae", "ı": "i"})
"""Letters of names that NFKD does not split into a plain letter and a mark."""


def _fill_email(spec: p.EmailFill, row: _Row, context: _FillContext) -> str:
    plain = (unicodedata.normalize("NFKD", str(row[name])) for name in spec.email)
    parts = (re.sub(r"[^a-z0-9]+", "", part.translate(_NO_DECOMPOSITION).lower()) for part in plain)
    at = str(row[spec.at]) if spec.at in row else spec.at
    local = ".".join(part for part in parts if part)
    used = context.used_values.setdefault(id(spec), set())
    address, number = f"{local}@{at}", 2
    while address in used:
        address, number = f"{local}{number}@{at}", number + 1
    used.add(address)
    return address


def _fill_by_field(spec: p.ByFieldFill, row: _Row, context: _FillContext) -> Any:
    value = row[spec.by]
    value = str(value).lower() if isinstance(value, bool) else value
    return _fill(spec.cases.get(value, spec.otherwise), row, context)


def _fill_if_past(spec: p.IfPastFill, row: _Row, context: _FillContext) -> Any:
    past = row[spec.if_past] is not None and row[spec.if_past] < context.today.isoformat()
    return _fill(spec.then if past else spec.otherwise, row, context)


_FILLERS: Mapping[type, Callable[[Any, _Row, _FillContext], Any]] = {
    p.SequenceFill: _fill_sequence,
    p.PoolFill: _fill_from_pool,
    p.TemplateFill: _fill_template,
    p.ProseFill: _fill_prose,
    p.ChoiceFill: _fill_choice,
    p.IntegerFill: _fill_integer,
    p.MoneyFill: _fill_money,
    p.FractionFill: _fill_fraction,
    p.DaysAgoFill: _fill_days_ago,
    p.DaysAheadFill: _fill_days_ahead,
    p.DaysAfterFill: _fill_days_after,
    p.TimeFill: _fill_time,
    p.MinutesAfterFill: _fill_minutes_after,
    p.ReferenceFill: _fill_reference,
    p.CopyFill: _fill_copy,
    p.ChanceFill: _fill_chance,
    p.ConstantFill: _fill_constant,
    p.EmailFill: _fill_email,
    p.ByFieldFill: _fill_by_field,
    p.IfPastFill: _fill_if_past,
}
