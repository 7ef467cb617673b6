"""The simulated organisation of a domain: rows with relations, made from a seed and never changed."""

from __future__ import annotations

import math
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from gatling_sid.errors import CatalogueError
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas import population as p
from gatling_sid.schemas.domain import Domain
from gatling_sid.seeding import stream

Row = dict[str, Any]
_DAYS_OF_WORLDS = 540
"""Number of possible dates of a world: 1.5 years, so that every date of a year occurs."""
_FIRST_DAY = date(2024, 7, 1)
"""The first possible date of a world; any date would do, but a change of it changes all dates."""
LAST_DAY = _FIRST_DAY + timedelta(days=_DAYS_OF_WORLDS - 1)
"""The last possible date of a world; `created_at` of a run must not be earlier."""
_MAX_POPULATIONS = 50
"""Populations that are attempted for a world before it counts as impossible; few worlds need a second one."""
_MAX_FILLS = 20
"""Values that are drawn for a unique field before unused values are searched for."""
_MAX_TEMPLATE_FILLS = 500
"""Further values that are drawn from a template before it counts as used up, since its values cannot be listed."""


class World:
    """Rows of one domain on one day: `tables[entity][key]` is a row, a plain dict that must not be changed.

    A world is a function of (catalogue, seed, name). `today` is the date of all requests in it.
    """

    def __init__(self, domain: Domain, seed: int, name: str) -> None:
        """Fills every entity with rows; `name` identifies the world among those of a seed (`train-3`).

        Raises:
            CatalogueError: no population satisfies what the domain file declares.

        """
        self.domain = domain
        self.seed = seed
        self.name = name
        self.tables: dict[str, dict[str, Row]] = {}
        for salt in range(_MAX_POPULATIONS):
            path = (seed, domain.slug, "world", name, salt)
            self.today = _FIRST_DAY + timedelta(days=stream(*path).randrange(_DAYS_OF_WORLDS))
            try:
                for entity_name, entity in domain.file.entities.items():
                    self.tables[entity_name] = _populate(self, entity, (*path, entity_name))
            except _NoRowError as error:
                problem = str(error)
                continue
            problem = _role_without_people(self)
            if not problem:
                break
        else:
            raise CatalogueError(
                f"{domain.slug}.yaml", "entities", f"no valid population in {_MAX_POPULATIONS} attempts: {problem}"
            )
        self.memoised_results: dict[tuple[str, str, str], Any] = {}
        """Results of calls in this world; filled by `execution`, which knows their type."""
        self.memoised_rows: dict[tuple[str, tuple[str, ...], tuple[Any, ...]], list[Row]] = {}
        """Rows that pass conditions; filled by `drawing`, which knows the form of the keys."""
        self._indexes: dict[tuple[str, str], dict[Any, list[Row]]] = {}
        self._casefolded_texts: dict[tuple[str, str], dict[str, str]] = {}
        self._orders: dict[tuple[str, str | None], list[Row]] = {}
        self._counts: dict[tuple[str, tuple[str, ...]], Counter[tuple[Any, ...]]] = {}

    def index(self, entity: str, field: str) -> dict[Any, list[Row]]:
        """Rows of `entity` by the value of `field`, in table order."""
        key = (entity, field)
        if key not in self._indexes:
            by_value: dict[Any, list[Row]] = {}
            for row in self.tables[entity].values():
                by_value.setdefault(row[field], []).append(row)
            self._indexes[key] = by_value
        return self._indexes[key]

    def casefolded_texts(self, entity: str, field: str) -> dict[str, str]:
        """The casefolded text of `field`, by row key; rows without a text are left out."""
        key = (entity, field)
        if key not in self._casefolded_texts:
            table = self.tables[entity].items()
            self._casefolded_texts[key] = {k: str(row[field]).casefold() for k, row in table if row[field] is not None}
        return self._casefolded_texts[key]

    def period(self, *, back: int = 0, ahead: int = 0) -> tuple[str, str]:
        """The first and last ISO date of a period around today; ISO dates sort as text."""
        return (self.today - timedelta(days=back)).isoformat(), (self.today + timedelta(days=ahead)).isoformat()

    def sorted_rows(self, entity: str, order: str | None) -> list[Row]:
        """All rows of `entity` sorted by `order`, a field name with `-` for descending; ties by key."""
        key = (entity, order)
        if key not in self._orders:
            rows = list(self.tables[entity].values())
            self._orders[key] = sort_rows(rows, order, self.domain.file.entities[entity].key)
        return self._orders[key]

    def count_alike(self, entity: str, fields: tuple[str, ...], row: Row) -> int:
        """How many rows have the same values as `row` in `fields`, including `row` itself."""
        key = (entity, fields)
        if key not in self._counts:
            self._counts[key] = Counter(tuple(each[f] for f in fields) for each in self.tables[entity].values())
        return self._counts[key][tuple(row[f] for f in fields)]

    def age(self, day: str) -> int:
        """How many days ago an ISO date was; negative for dates after today."""
        return self.today.toordinal() - _ordinal(day)


@lru_cache(maxsize=4096)
def _ordinal(day: str) -> int:
    return date.fromisoformat(day).toordinal()


def sort_rows(rows: list[Row], order: str | None, key: str) -> list[Row]:
    """The rows sorted by `order`, a field name, descending with `-` before it; unsorted if `order` is None.

    Rows without a value come last; ties are broken by the field `key`.
    """
    if order is None:
        return rows
    field = order.removeprefix("-")
    rows = sorted(rows, key=lambda row: row[key])
    with_value = [row for row in rows if row[field] is not None]
    without = [row for row in rows if row[field] is None]
    return sorted(with_value, key=lambda row: row[field], reverse=order.startswith("-")) + without


@lru_cache(maxsize=8)
def world_of(domain: Domain, seed: int, name: str) -> World:
    """The world of that name; the last eight are cached, since successive traces share a world."""
    return World(domain, seed, name)


# --- filling fields --------------------------------------------------------------------------------------------


class _FillContext:
    """What is needed to fill one field of an entity: the world so far, and the values that were used before."""

    def __init__(self, world: World, entity: c.Entity, rng: random.Random) -> None:
        self.world = world
        self.entity = entity
        self.rng = rng
        self.used_values: dict[int, set[Any]] = {}
        self.next_numbers: dict[int, int] = {}
        self.reference_keys: dict[int, list[str]] = {}


class _NoRowError(LookupError):
    """A reference has no row to refer to in this population; another population may have one."""


def _role_without_people(world: World) -> str:
    """A message if nobody in the world has one of the roles, else an empty text."""
    for name, role in world.domain.file.roles.items():
        people = world.tables[role.entity].values()
        if not any(all(row[f] == v for f, v in role.where.items() if not isinstance(v, dict)) for row in people):
            return f"nobody has the role {name}"
    return ""


def _populate(world: World, entity: c.Entity, path: tuple[int | str, ...]) -> dict[str, Row]:
    """The rows of an entity. Each field has its own random stream, so that a change of one field changes no other."""
    contexts = {name: _FillContext(world, entity, stream(*path, name)) for name in entity.fields}
    table: dict[str, Row] = {}
    for _ in range(entity.count):
        row: Row = {}
        for name, field in entity.fields.items():
            row[name] = _fill(field.populate, row, contexts[name])
        table[row[entity.key]] = row
    return table


def _fill(spec: Any, row: Row, context: _FillContext) -> Any:
    if spec is None:
        return None
    value = _FILLERS[type(spec)](spec, row, context)
    if isinstance(spec, (p.PoolFill, p.TemplateFill)) and spec.unique:
        value = _make_unique(spec, value, row, context)
    return value


def _make_unique(spec: p.PoolFill | p.TemplateFill, value: Any, row: Row, context: _FillContext) -> Any:
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


def _search_unused_value(spec: p.PoolFill | p.TemplateFill, row: Row, context: _FillContext, used: set[Any]) -> Any:
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
    raise CatalogueError(f"{context.world.domain.slug}.yaml", "entities", f"too few different values for {what}")


def _fill_sequence(spec: p.SequenceFill, _row: Row, context: _FillContext) -> str:
    number = context.next_numbers.get(id(spec), spec.start + context.rng.randrange(spec.gap * 20))
    context.next_numbers[id(spec)] = number + context.rng.randint(1, spec.gap)
    return spec.sequence.format(number)


def _fill_from_pool(spec: p.PoolFill, _row: Row, context: _FillContext) -> Any:
    return context.rng.choice(_pool_values(spec, context))


def _pool_values(spec: p.PoolFill, context: _FillContext) -> Sequence[Any]:
    return context.world.domain.pools[spec.pool] if isinstance(spec.pool, str) else spec.pool


_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def _fill_template(spec: p.TemplateFill, row: Row, context: _FillContext) -> str:
    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        return str(row[name]) if name in row else str(context.rng.choice(context.world.domain.pools[name]))

    return _PLACEHOLDER.sub(fill, spec.template)


def _fill_choice(spec: p.ChoiceFill, _row: Row, context: _FillContext) -> str:
    return context.rng.choices(list(spec.choice), list(spec.choice.values()))[0]


def _fill_integer(spec: p.IntegerFill, _row: Row, context: _FillContext) -> int:
    return context.rng.randint(*spec.integer)


def _round_to(value: float, step: float) -> float:
    return round(round(value / step) * step, 2)


def _fill_money(spec: p.MoneyFill, _row: Row, context: _FillContext) -> float:
    low, high = map(math.log, spec.money)
    return _round_to(math.exp(context.rng.uniform(low, high)), spec.round)


def _fill_fraction(spec: p.FractionFill, row: Row, context: _FillContext) -> float:
    return _round_to(row[spec.fraction_of] * context.rng.uniform(*spec.between), spec.round)


def _fill_days_ago(spec: p.DaysAgoFill, _row: Row, context: _FillContext) -> str:
    return (context.world.today - timedelta(days=context.rng.randint(*spec.days_ago))).isoformat()


def _fill_days_ahead(spec: p.DaysAheadFill, _row: Row, context: _FillContext) -> str:
    return (context.world.today + timedelta(days=context.rng.randint(*spec.days_ahead))).isoformat()


def _fill_days_after(spec: p.DaysAfterFill, row: Row, context: _FillContext) -> str | None:
    if row[spec.days_after] is None:
        return None
    day = date.fromisoformat(row[spec.days_after]) + timedelta(days=context.rng.randint(*spec.days))
    return (min(day, context.world.today) if spec.by_today else day).isoformat()


def _fill_reference(spec: p.ReferenceFill, _row: Row, context: _FillContext) -> str:
    if id(spec) not in context.reference_keys:
        table = context.world.tables[spec.ref]
        keys = [key for key, row in table.items() if all(row[f] == v for f, v in spec.where.items())]
        if not keys:
            raise _NoRowError(f"no {spec.ref} with {spec.where}")
        context.reference_keys[id(spec)] = keys
    return context.rng.choice(context.reference_keys[id(spec)])


def _fill_copy(spec: p.CopyFill, row: Row, context: _FillContext) -> Any:
    reference, field = spec.copy_of.split(".")
    entity = context.world.domain.referenced_entity(context.entity, reference)
    return None if row[reference] is None else context.world.tables[entity][row[reference]][field]


def _fill_chance(spec: p.ChanceFill, _row: Row, context: _FillContext) -> bool:
    return context.rng.random() < spec.chance


def _fill_constant(spec: p.ConstantFill, _row: Row, _context: _FillContext) -> Any:
    return spec.value


_NO_DECOMPOSITION = str.maketrans({"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "ß": "ss", "đ": "d", "æ": "ae", "ı": "i"})
"""Letters of names that NFKD does not split into a plain letter and a mark."""


def _fill_email(spec: p.EmailFill, row: Row, context: _FillContext) -> str:
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


def _fill_by_field(spec: p.ByFieldFill, row: Row, context: _FillContext) -> Any:
    value = row[spec.by]
    value = str(value).lower() if isinstance(value, bool) else value
    return _fill(spec.cases.get(value, spec.otherwise), row, context)


def _fill_if_past(spec: p.IfPastFill, row: Row, context: _FillContext) -> Any:
    past = row[spec.if_past] is not None and context.world.age(row[spec.if_past]) > 0
    return _fill(spec.then if past else spec.otherwise, row, context)


_FILLERS: Mapping[type, Callable[[Any, Row, _FillContext], Any]] = {
    p.SequenceFill: _fill_sequence,
    p.PoolFill: _fill_from_pool,
    p.TemplateFill: _fill_template,
    p.ChoiceFill: _fill_choice,
    p.IntegerFill: _fill_integer,
    p.MoneyFill: _fill_money,
    p.FractionFill: _fill_fraction,
    p.DaysAgoFill: _fill_days_ago,
    p.DaysAheadFill: _fill_days_ahead,
    p.DaysAfterFill: _fill_days_after,
    p.ReferenceFill: _fill_reference,
    p.CopyFill: _fill_copy,
    p.ChanceFill: _fill_chance,
    p.ConstantFill: _fill_constant,
    p.EmailFill: _fill_email,
    p.ByFieldFill: _fill_by_field,
    p.IfPastFill: _fill_if_past,
}
