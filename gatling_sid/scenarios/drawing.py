"""Drawing what a scenario is about: rows, values and the principal, from the declarations in the catalogue."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from math import ceil, floor
from typing import Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.references import ALL, MissingPathError, follow, parse_reference
from gatling_sid.simulator.world import Row, World, sort_rows

Bindings = dict[str, Any]


class NoDrawError(Exception):
    """This world, under this policy, holds nothing that fits; another draw may."""


def evaluate(value: Any, bindings: Mapping[str, Any]) -> Any:
    """A literal as it is, or what an expression such as `$invoice.vendor_id` leads to."""
    reference = parse_reference(value) if isinstance(value, str) and value.startswith("$") else None
    if reference is None:
        return value
    try:
        base, path = bindings[reference.root], reference.path
        if path == ("count",) and isinstance(base, list):
            return len(base)
        if isinstance(base, list) and path and isinstance(path[0], str) and path[0] != ALL:
            path = (ALL, *path)
        return follow(path, base)
    except (KeyError, MissingPathError) as error:
        raise NoDrawError(f"{value}: {error}") from None


def draw_principal(world: World, role: c.RoleDeclaration, rng: random.Random) -> Row:
    """Somebody of the world who has the role."""
    rows = _matching_rows(world, role.entity, role.where, {})
    if not rows:
        raise NoDrawError("nobody has the role")
    return rng.choice(rows)


def draw(scenario: c.Scenario, world: World, bindings: Bindings, rng: random.Random) -> Bindings:
    """The scenario's drawn values, added to the given `principal` and `policy`; raises NoDrawError."""
    bindings = dict(bindings)
    for axis, values in scenario.given.items():
        if bindings["policy"][axis] not in values:
            raise NoDrawError(f"the policy has another {axis}")
    for name, spec in scenario.draw.items():
        bindings[name] = _DRAWS[type(spec)](spec, world, bindings, rng)
    return bindings


# --- rows ------------------------------------------------------------------------------------------------------

_CONDITIONS: dict[str, Callable[[Any, Any, World], bool]] = {
    "at_most": lambda have, want, _: have is not None and have <= want,
    "at_least": lambda have, want, _: have is not None and have >= want,
    "above": lambda have, want, _: have is not None and have > want,
    "below": lambda have, want, _: have is not None and have < want,
    "not": lambda have, want, _: have != want,
    "in": lambda have, want, _: have in want,
    "not_in": lambda have, want, _: have not in want,
    "contains": lambda have, want, _: have is not None and str(want).casefold() in str(have).casefold(),
    "within_days": lambda have, want, _: have is not None and want[0] <= have <= want[1],
    "older_than_days": lambda have, want, world: have is not None and world.age(have) > want,
    "next_days": lambda have, want, _: have is not None and want[0] <= have <= want[1],
    "is_set": lambda have, want, _: (have is not None) == want,
}
_PLAIN = "equals"
"""The test of a field for which a plain value is wanted."""
_PERIODS = {"within_days": "back", "next_days": "ahead"}


_Test = tuple[str, str, Any]
"""A condition on a field of a row: (field, name of the condition or `_PLAIN`, value)."""


def _is(have: Any, want: Any, _world: World) -> bool:
    return bool(have == want)


def _matching_rows(
    world: World,
    entity: str,
    where: Mapping[str, Any],
    bindings: Mapping[str, Any],
    alone_by: Sequence[str] = (),
) -> list[Row]:
    """Rows that pass every condition and, by some fields, are told from all others; the list is the world's own."""
    wanted = entity, tuple(alone_by), tuple(_tests(where, world, bindings))
    if wanted not in world.found:
        world.found[wanted] = _find_rows(world, *wanted)
    return world.found[wanted]


def _tests(where: Mapping[str, Any], world: World, bindings: Mapping[str, Any]) -> Iterator[_Test]:
    for field, condition in where.items():
        if not isinstance(condition, Mapping):
            yield field, _PLAIN, evaluate(condition, bindings)
            continue
        for name, value in condition.items():
            want = evaluate(value, bindings)
            if name in _PERIODS:
                want = world.days(**{_PERIODS[name]: want})
            yield field, name, tuple(want) if isinstance(want, list) else want


def _find_rows(world: World, entity: str, alone_by: tuple[str, ...], tests: tuple[_Test, ...]) -> list[Row]:
    rows = world.sorted_rows(entity, None)
    first = next(((field, want) for field, name, want in tests if name == _PLAIN), None)
    if first is not None:
        rows = world.index(entity, first[0]).get(first[1], [])
    for field, name, want in tests:
        passes = _CONDITIONS.get(name, _is)
        rows = [row for row in rows if passes(row[field], want, world)]
    return [row for row in rows if world.count_alike(entity, alone_by, row) == 1] if alone_by else rows


def _one(spec: c.OneRowDraw, world: World, bindings: Bindings, rng: random.Random) -> Row:
    rows = _matching_rows(world, spec.one, spec.where, bindings, spec.alone_by)
    if not rows:
        raise NoDrawError(f"no {spec.one} fits")
    return rng.choice(rows)


def _all(spec: c.AllRowsDraw, world: World, bindings: Bindings, _rng: random.Random) -> list[Row]:
    rows = _matching_rows(world, spec.all, spec.where, bindings)
    key = world.domain.file.entities[spec.all].key
    if spec.first is not None:
        first = evaluate(spec.first, bindings)
        if len(rows) < first:
            raise NoDrawError(f"fewer than {first} {spec.all} fit")
        rows = sort_rows(rows, spec.order, key)[:first]
    else:
        low, high = (evaluate(end, bindings) for end in spec.count)
        if not low <= len(rows) <= high:
            raise NoDrawError(f"{len(rows)} {spec.all} fit")
        rows = sort_rows(rows, spec.order, key)
    if spec.distinct is not None and len({row[spec.distinct] for row in rows}) < len(rows):
        raise NoDrawError(f"two {spec.all} have the same {spec.distinct}")
    return rows


def _row(spec: c.RowByKeyDraw, world: World, bindings: Bindings, _rng: random.Random) -> Row:
    key = evaluate(spec.key, bindings)
    found = world.tables[spec.row].get(key)
    if found is None:
        raise NoDrawError(f"no {spec.row} {key}")
    return found


# --- values ----------------------------------------------------------------------------------------------------

_FILL = re.compile(r"\{([a-z_][\w.]*)\}")


def _choose(spec: c.ChoiceDraw, _world: World, bindings: Bindings, rng: random.Random) -> Any:
    options = spec.choose
    if spec.but_not is not None:
        other = evaluate(spec.but_not, bindings)
        options = [each for each in options if each != other]
    if spec.at_most is not None:
        most = evaluate(spec.at_most, bindings)
        options = [each for each in options if each <= most]
    if spec.among is not None:
        allowed = evaluate(spec.among, bindings)
        options = [each for each in options if each in allowed]
    if not options:
        raise NoDrawError("no choice is left")
    value = rng.choice(options)
    if not isinstance(value, str):
        return value
    return _FILL.sub(lambda match: str(evaluate(f"${match.group(1)}", bindings)), value)


def _number(spec: c.NumberDraw, _world: World, _bindings: Bindings, rng: random.Random) -> int:
    return rng.randint(*spec.number)


def _amount(spec: c.AmountDraw, _world: World, bindings: Bindings, rng: random.Random) -> float:
    low, high = (evaluate(end, bindings) for end in spec.amount)
    # Quotients are rounded first: 0.3 // 0.1 is 2.
    steps = range(ceil(round(low / spec.step, 9)), floor(round(high / spec.step, 9)) + 1)
    if not steps:
        raise NoDrawError(f"no multiple of {spec.step} between {low} and {high}")
    value = rng.choice(steps) * spec.step
    return int(value) if value == int(value) else round(value, 2)


def _days_from_today(spec: c.DateDraw, world: World, _bindings: Bindings, rng: random.Random) -> str:
    return (world.today + timedelta(days=rng.randint(*spec.days_from_today))).isoformat()


def _age(spec: c.AgeDraw, world: World, bindings: Bindings, _rng: random.Random) -> int:
    age = world.age(evaluate(spec.age, bindings))
    if age < 1:
        raise NoDrawError("not in the past")
    return age


_DRAWS: dict[type, Callable[[Any, World, Bindings, random.Random], Any]] = {
    c.OneRowDraw: _one,
    c.AllRowsDraw: _all,
    c.RowByKeyDraw: _row,
    c.ChoiceDraw: _choose,
    c.NumberDraw: _number,
    c.AmountDraw: _amount,
    c.DateDraw: _days_from_today,
    c.AgeDraw: _age,
}
