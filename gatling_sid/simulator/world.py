"""The simulated organisation of a domain: rows with relations, made from a seed and never changed."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from functools import cached_property, lru_cache
from typing import Any

from gatling_sid.errors import CatalogueError
from gatling_sid.schemas.composition.table import ScenarioTable
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.population import MAX_DAYS
from gatling_sid.seeding import stream
from gatling_sid.simulator import filling
from gatling_sid.simulator.lures import place_lures

Row = dict[str, Any]
_DAYS_OF_WORLDS = 540
"""Number of possible dates of a world: 1.5 years, so that every date of a year occurs."""
_FIRST_DAY = date(2024, 7, 1)
"""The first possible date of a world; any date would do, but a change of it changes all dates."""
LAST_DAY = _FIRST_DAY + timedelta(days=_DAYS_OF_WORLDS - 1)
"""The last possible date of a world; `created_at` of a run must not be earlier."""
_MAX_POPULATIONS, _MAX_WITH_TOO_FEW_VALUES = 50, 3
"""Populations that are attempted for a world before it counts as impossible, and those in which values that must be
unique may run out; few worlds need a second one."""


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
        with_too_few_values = 0
        for salt in range(_MAX_POPULATIONS):
            path = (seed, domain.slug, "world", name, salt)
            self.today = _FIRST_DAY + timedelta(days=stream(*path).randrange(_DAYS_OF_WORLDS))
            try:
                for entity_name in domain.file.entities:
                    population = filling.Population(domain, self.today, self.tables)
                    self.tables[entity_name] = filling.populate(population, entity_name, path)
            except filling.NoRowError as error:
                problem = str(error)
                continue
            except filling.TooFewValuesError as error:
                problem, with_too_few_values = error.problem, with_too_few_values + 1
                if with_too_few_values == _MAX_WITH_TOO_FEW_VALUES:
                    raise
                continue
            problem = _role_without_people(self)
            if not problem:
                break
        else:
            raise CatalogueError(
                f"{domain.slug}.yaml", "entities", f"no valid population in {_MAX_POPULATIONS} attempts: {problem}"
            )
        self.lures = place_lures(domain, self.tables, (seed, domain.slug, "lures", name))
        """The lures in the texts of outsiders, by the whole text."""
        self.memoised_results: dict[tuple[str, str, str], Any] = {}
        """Results of calls in this world; filled by `execution`, which knows their type."""
        self.memoised_rows: dict[tuple[str, tuple[str, ...], tuple[Any, ...]], list[Row]] = {}
        """Rows that pass conditions; filled by `drawing`, which knows the form of the keys."""
        self._indexes: dict[tuple[str, str], dict[Any, list[Row]]] = {}
        self._casefolded_texts: dict[tuple[str, str], dict[str, str]] = {}
        self._orders: dict[tuple[str, str | None], list[Row]] = {}
        self._counts: dict[tuple[str, tuple[str, ...]], Counter[tuple[Any, ...]]] = {}

    @cached_property
    def scenarios(self) -> ScenarioTable:
        """What is asked for in this world."""
        return self.domain.scenarios_of(self.name)

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

    def dates(self, low: int, high: int, workdays_only: bool) -> tuple[str, str, bool]:
        """The first and last ISO date of a range in days from today, and whether weekends are left out."""
        first, last = (min(max(end, -MAX_DAYS), MAX_DAYS) for end in (low, high))
        return (*self.period(back=-first, ahead=last), workdays_only)

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


def _role_without_people(world: World) -> str:
    """A message if nobody in the world has one of the roles, else an empty text."""
    for name, role in world.domain.file.roles.items():
        people = world.tables[role.entity].values()
        if not any(all(row[f] == v for f, v in role.where.items() if not isinstance(v, dict)) for row in people):
            return f"nobody has the role {name}"
    return ""
