"""A domain's simulated organisation: seeded records with relations, shared read-only."""

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
_DAYS = 540
_FIRST_DAY = date(2024, 7, 1)
LAST_DAY = _FIRST_DAY + timedelta(days=_DAYS - 1)
"""No world plays later; a trace is made on or after the day it plays on."""
_TRIES = 50


class World:
    """Records of one domain on one day: `tables[entity][key]` is a row, a plain dict nobody may change.

    A world is a function of (catalogue, seed, name); `today` is the only day there is in it.
    """

    def __init__(self, domain: Domain, seed: int, name: str) -> None:
        """Populates every entity; `name` tells worlds of one seed apart (`train-3`)."""
        self.domain = domain
        self.seed = seed
        self.name = name
        self.tables: dict[str, dict[str, Row]] = {}
        for salt in range(_TRIES):
            rng = stream(domain.digest, seed, domain.slug, "world", name, salt)
            self.today = _FIRST_DAY + timedelta(days=rng.randrange(_DAYS))
            try:
                for entity_name, entity in domain.file.entities.items():
                    self.tables[entity_name] = _populate(self, entity, rng)
            except _NoRowError as error:
                problem = str(error)
                continue
            problem = _unfilled_role(self)
            if not problem:
                break
        else:
            raise CatalogueError(f"{domain.slug}.yaml", "entities", f"no population in {_TRIES} works out: {problem}")
        self.memoised_results: dict[tuple[str, str, str], Any] = {}
        """What calls did here; kept by `execution`, which knows their type."""
        self.found: dict[tuple[str, tuple[str, ...], tuple[Any, ...]], list[Row]] = {}
        """Rows that pass conditions; kept by `drawing`, which knows their form."""
        self._indexes: dict[tuple[str, str], dict[Any, list[Row]]] = {}
        self._folded: dict[tuple[str, str], dict[str, str]] = {}
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

    def casefolded(self, entity: str, field: str) -> dict[str, str]:
        """The text in `field` without case, by row key; rows without a text are left out."""
        key = (entity, field)
        if key not in self._folded:
            table = self.tables[entity].items()
            self._folded[key] = {k: str(row[field]).casefold() for k, row in table if row[field] is not None}
        return self._folded[key]

    def days(self, *, back: int = 0, ahead: int = 0) -> tuple[str, str]:
        """First and last ISO date of a period around today; ISO dates sort as text."""
        return (self.today - timedelta(days=back)).isoformat(), (self.today + timedelta(days=ahead)).isoformat()

    def sorted_rows(self, entity: str, order: str | None) -> list[Row]:
        """All rows of `entity` sorted by `order`, a field name with `-` for descending; ties by key."""
        key = (entity, order)
        if key not in self._orders:
            rows = list(self.tables[entity].values())
            self._orders[key] = sort_rows(rows, order, self.domain.file.entities[entity].key)
        return self._orders[key]

    def count_alike(self, entity: str, fields: tuple[str, ...], row: Row) -> int:
        """How many rows have the same values as `row` in `fields`, itself included."""
        key = (entity, fields)
        if key not in self._counts:
            self._counts[key] = Counter(tuple(each[f] for f in fields) for each in self.tables[entity].values())
        return self._counts[key][tuple(row[f] for f in fields)]

    def age(self, day: str) -> int:
        """How many days ago an ISO date was; negative for days to come."""
        return self.today.toordinal() - _ordinal(day)


@lru_cache(maxsize=4096)
def _ordinal(day: str) -> int:
    return date.fromisoformat(day).toordinal()


def sort_rows(rows: list[Row], order: str | None, key: str) -> list[Row]:
    """`rows` sorted; rows without a value come last, ties are broken by `key`."""
    if order is None:
        return rows
    field = order.removeprefix("-")
    rows = sorted(rows, key=lambda row: row[key])
    with_value = [row for row in rows if row[field] is not None]
    without = [row for row in rows if row[field] is None]
    return sorted(with_value, key=lambda row: row[field], reverse=order.startswith("-")) + without


@lru_cache(maxsize=8)
def world_of(domain: Domain, seed: int, name: str) -> World:
    """The world of that name, kept for a while since many traces share it."""
    return World(domain, seed, name)


# --- filling fields --------------------------------------------------------------------------------------------


class _Filling:
    """What filling a table needs at hand: the rows made so far and which unique values are taken."""

    def __init__(self, world: World, entity: c.Entity, rng: random.Random) -> None:
        self.world = world
        self.entity = entity
        self.rng = rng
        self.taken: dict[int, set[Any]] = {}
        self.serial: dict[int, int] = {}
        self.referable: dict[int, list[str]] = {}


class _NoRowError(LookupError):
    """By bad luck, a reference has no row to point to."""


def _unfilled_role(world: World) -> str:
    """Which role nobody has, or nothing."""
    for name, role in world.domain.file.roles.items():
        people = world.tables[role.entity].values()
        if not any(all(row[f] == v for f, v in role.where.items() if not isinstance(v, dict)) for row in people):
            return f"nobody is {name}"
    return ""


def _populate(world: World, entity: c.Entity, rng: random.Random) -> dict[str, Row]:
    filling = _Filling(world, entity, rng)
    table: dict[str, Row] = {}
    for _ in range(entity.count):
        row: Row = {}
        for name, field in entity.fields.items():
            row[name] = _fill(field.populate, row, filling)
        table[row[entity.key]] = row
    return table


def _fill(spec: Any, row: Row, filling: _Filling) -> Any:
    if spec is None:
        return None
    value = _FILLERS[type(spec)](spec, row, filling)
    if isinstance(spec, (p.PoolFill, p.TemplateFill)) and spec.unique:
        value = _unused_value(spec, value, row, filling)
    return value


def _unused_value(spec: p.PoolFill | p.TemplateFill, value: Any, row: Row, filling: _Filling) -> Any:
    """`value`, or another if it is taken; a pool is searched through before it counts as used up."""
    taken = filling.taken.setdefault(id(spec), set())
    for _ in range(20):
        if value not in taken:
            break
        value = _FILLERS[type(spec)](spec, row, filling)
    else:
        value = _last_resort(spec, row, filling, taken)
    taken.add(value)
    return value


def _last_resort(spec: p.PoolFill | p.TemplateFill, row: Row, filling: _Filling, taken: set[Any]) -> Any:
    if isinstance(spec, p.PoolFill):
        left = [each for each in _values(spec, filling) if each not in taken]
        if left:
            return filling.rng.choice(left)
    else:
        for _ in range(500):
            value = _template(spec, row, filling)
            if value not in taken:
                return value
    what = f"pool {spec.pool!r:.60}" if isinstance(spec, p.PoolFill) else f"template {spec.template!r}"
    raise CatalogueError(f"{filling.world.domain.slug}.yaml", "entities", f"too few different values for {what}")


def _sequence(spec: p.SequenceFill, _row: Row, filling: _Filling) -> str:
    number = filling.serial.get(id(spec), spec.start + filling.rng.randrange(spec.gap * 20))
    filling.serial[id(spec)] = number + filling.rng.randint(1, spec.gap)
    return spec.sequence.format(number)


def _pool(spec: p.PoolFill, _row: Row, filling: _Filling) -> Any:
    return filling.rng.choice(_values(spec, filling))


def _values(spec: p.PoolFill, filling: _Filling) -> Sequence[Any]:
    return filling.world.domain.pools[spec.pool] if isinstance(spec.pool, str) else spec.pool


_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def _template(spec: p.TemplateFill, row: Row, filling: _Filling) -> str:
    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        return str(row[name]) if name in row else str(filling.rng.choice(filling.world.domain.pools[name]))

    return _PLACEHOLDER.sub(fill, spec.template)


def _choice(spec: p.ChoiceFill, _row: Row, filling: _Filling) -> str:
    return filling.rng.choices(list(spec.choice), list(spec.choice.values()))[0]


def _integer(spec: p.IntegerFill, _row: Row, filling: _Filling) -> int:
    return filling.rng.randint(*spec.integer)


def _round_to(value: float, step: float) -> float:
    return round(round(value / step) * step, 2)


def _money(spec: p.MoneyFill, _row: Row, filling: _Filling) -> float:
    low, high = map(math.log, spec.money)
    return _round_to(math.exp(filling.rng.uniform(low, high)), spec.round)


def _fraction(spec: p.FractionFill, row: Row, filling: _Filling) -> float:
    return _round_to(row[spec.fraction_of] * filling.rng.uniform(*spec.between), spec.round)


def _days_ago(spec: p.DaysAgoFill, _row: Row, filling: _Filling) -> str:
    return (filling.world.today - timedelta(days=filling.rng.randint(*spec.days_ago))).isoformat()


def _days_ahead(spec: p.DaysAheadFill, _row: Row, filling: _Filling) -> str:
    return (filling.world.today + timedelta(days=filling.rng.randint(*spec.days_ahead))).isoformat()


def _days_after(spec: p.DaysAfterFill, row: Row, filling: _Filling) -> str | None:
    if row[spec.days_after] is None:
        return None
    day = date.fromisoformat(row[spec.days_after]) + timedelta(days=filling.rng.randint(*spec.days))
    return (min(day, filling.world.today) if spec.by_today else day).isoformat()


def _ref(spec: p.ReferenceFill, _row: Row, filling: _Filling) -> str:
    if id(spec) not in filling.referable:
        table = filling.world.tables[spec.ref]
        keys = [key for key, row in table.items() if all(row[f] == v for f, v in spec.where.items())]
        if not keys:
            raise _NoRowError(f"no {spec.ref} with {spec.where}")
        filling.referable[id(spec)] = keys
    return filling.rng.choice(filling.referable[id(spec)])


def _copy(spec: p.CopyFill, row: Row, filling: _Filling) -> Any:
    reference, field = spec.copy_of.split(".")
    entity = filling.world.domain.referenced_entity(filling.entity, reference)
    return None if row[reference] is None else filling.world.tables[entity][row[reference]][field]


def _chance(spec: p.ChanceFill, _row: Row, filling: _Filling) -> bool:
    return filling.rng.random() < spec.chance


def _constant(spec: p.ConstantFill, _row: Row, _filling: _Filling) -> Any:
    return spec.value


def _email(spec: p.EmailFill, row: Row, filling: _Filling) -> str:
    plain = (unicodedata.normalize("NFKD", str(row[name])) for name in spec.email)
    parts = (re.sub(r"[^a-z0-9]+", "", part.translate(_NO_DECOMPOSITION).lower()) for part in plain)
    at = str(row[spec.at]) if spec.at in row else spec.at
    local = ".".join(part for part in parts if part)
    taken = filling.taken.setdefault(id(spec), set())
    address, number = f"{local}@{at}", 2
    while address in taken:
        address, number = f"{local}{number}@{at}", number + 1
    taken.add(address)
    return address


_NO_DECOMPOSITION = str.maketrans({"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "ß": "ss", "đ": "d", "æ": "ae", "ı": "i"})


def _by(spec: p.ByFieldFill, row: Row, filling: _Filling) -> Any:
    case = row[spec.by]
    case = str(case).lower() if isinstance(case, bool) else case
    return _fill(spec.cases.get(case, spec.otherwise), row, filling)


def _if_past(spec: p.IfPastFill, row: Row, filling: _Filling) -> Any:
    past = row[spec.if_past] is not None and filling.world.age(row[spec.if_past]) > 0
    return _fill(spec.then if past else spec.otherwise, row, filling)


_FILLERS: Mapping[type, Callable[[Any, Row, _Filling], Any]] = {
    p.SequenceFill: _sequence,
    p.PoolFill: _pool,
    p.TemplateFill: _template,
    p.ChoiceFill: _choice,
    p.IntegerFill: _integer,
    p.MoneyFill: _money,
    p.FractionFill: _fraction,
    p.DaysAgoFill: _days_ago,
    p.DaysAheadFill: _days_ahead,
    p.DaysAfterFill: _days_after,
    p.ReferenceFill: _ref,
    p.CopyFill: _copy,
    p.ChanceFill: _chance,
    p.ConstantFill: _constant,
    p.EmailFill: _email,
    p.ByFieldFill: _by,
    p.IfPastFill: _if_past,
}
