"""Draws the rows, the values and the principal of a scenario, as its declaration in the catalogue says."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from math import ceil, floor
from typing import Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.conditions import CONDITIONS, PLAIN
from gatling_sid.schemas.references import ALL_ELEMENTS, MissingPathError, follow, parse_reference
from gatling_sid.simulator.world import Row, World, sort_rows

Bindings = dict[str, Any]


class NoDrawError(Exception):
    """Nothing in this world fits under this policy; a draw of another policy or row may succeed."""


def evaluate(value: Any, bindings: Mapping[str, Any]) -> Any:
    """The value that an expression such as `$invoice.vendor_id` refers to; any other value as it is.

    If the path goes through a list, it collects the values of all elements. Raises NoDrawError if the path does not exist.
    """
    reference = parse_reference(value) if isinstance(value, str) and value.startswith("$") else None
    if reference is None:
        return value
    try:
        base, path = bindings[reference.root], reference.path
        if path == ("count",) and isinstance(base, list):
            return len(base)
        if isinstance(base, list) and path and isinstance(path[0], str) and path[0] != ALL_ELEMENTS:
            path = (ALL_ELEMENTS, *path)
        return follow(path, base)
    except (KeyError, MissingPathError) as error:
        raise NoDrawError(f"{value}: {error}") from None


def draw_principal(world: World, role: c.RoleDeclaration, rng: random.Random) -> Row:
    """The row of a random person of the world who has the role; raises NoDrawError if nobody has it."""
    rows = _matching_rows(world, role.entity, role.where, {})
    if not rows:
        raise NoDrawError("nobody has the role")
    return rng.choice(rows)


def draw(scenario: c.Scenario, world: World, bindings: Bindings, rng: random.Random) -> Bindings:
    """The given bindings (`principal` and `policy`) with the scenario's drawn values added; raises NoDrawError."""
    bindings = dict(bindings)
    for axis, values in scenario.given.items():
        if bindings["policy"][axis] not in values:
            raise NoDrawError(f"the policy has another {axis}")
    for name, spec in scenario.draw.items():
        bindings[name] = _DRAWS[type(spec)](spec, world, bindings, rng)
    return bindings


# --- rows ------------------------------------------------------------------------------------------------------

_EvaluatedCondition = tuple[str, str, Any]
"""A condition with its operand evaluated: (field, name of the condition, operand)."""


def _matching_rows(
    world: World,
    entity: str,
    where: Mapping[str, Any],
    bindings: Mapping[str, Any],
    alone_by: Sequence[str] = (),
) -> list[Row]:
    """Rows that meet every condition; with `alone_by`, only those whose values in these fields no other row has.

    The world keeps the list, so callers must not change it.
    """
    search = entity, tuple(alone_by), tuple(_evaluate_conditions(where, world, bindings))
    if search not in world.memoised_rows:
        world.memoised_rows[search] = _find_rows(world, *search)
    return world.memoised_rows[search]


def _evaluate_conditions(
    where: Mapping[str, Any], world: World, bindings: Mapping[str, Any]
) -> Iterator[_EvaluatedCondition]:
    for field, condition in where.items():
        if not isinstance(condition, Mapping):
            yield field, PLAIN, evaluate(condition, bindings)
            continue
        for name, value in condition.items():
            operand = evaluate(value, bindings)
            reach = CONDITIONS[name].reach
            if reach is not None:
                operand = world.period(**{reach: operand})
            yield field, name, tuple(operand) if isinstance(operand, list) else operand


def _find_rows(
    world: World, entity: str, alone_by: tuple[str, ...], conditions: tuple[_EvaluatedCondition, ...]
) -> list[Row]:
    rows = world.sorted_rows(entity, None)
    first = next(((field, operand) for field, name, operand in conditions if name == PLAIN), None)
    if first is not None:
        rows = world.index(entity, first[0]).get(first[1], [])
    for field, name, operand in conditions:
        holds = CONDITIONS[name].holds
        rows = [row for row in rows if holds(row[field], operand)]
    return [row for row in rows if world.count_alike(entity, alone_by, row) == 1] if alone_by else rows


def _draw_one_row(spec: c.OneRowDraw, world: World, bindings: Bindings, rng: random.Random) -> Row:
    rows = _matching_rows(world, spec.one, spec.where, bindings, spec.alone_by)
    if not rows:
        raise NoDrawError(f"no {spec.one} fits")
    return rng.choice(rows)


def _draw_all_rows(spec: c.AllRowsDraw, world: World, bindings: Bindings, _rng: random.Random) -> list[Row]:
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


def _draw_row_by_key(spec: c.RowByKeyDraw, world: World, bindings: Bindings, _rng: random.Random) -> Row:
    key = evaluate(spec.key, bindings)
    row = world.tables[spec.row].get(key)
    if row is None:
        raise NoDrawError(f"no {spec.row} {key}")
    return row


# --- values ----------------------------------------------------------------------------------------------------

_FILL = re.compile(r"\{([a-z_][\w.]*)\}")


def _draw_choice(spec: c.ChoiceDraw, _world: World, bindings: Bindings, rng: random.Random) -> Any:
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


def _draw_number(spec: c.NumberDraw, _world: World, _bindings: Bindings, rng: random.Random) -> int:
    return rng.randint(*spec.number)


def _draw_amount(spec: c.AmountDraw, _world: World, bindings: Bindings, rng: random.Random) -> float:
    low, high = (evaluate(end, bindings) for end in spec.amount)
    # Quotients are rounded first: 0.3 // 0.1 is 2.
    steps = range(ceil(round(low / spec.step, 9)), floor(round(high / spec.step, 9)) + 1)
    if not steps:
        raise NoDrawError(f"no multiple of {spec.step} between {low} and {high}")
    value = rng.choice(steps) * spec.step
    return int(value) if value == int(value) else round(value, 2)


def _draw_date(spec: c.DateDraw, world: World, _bindings: Bindings, rng: random.Random) -> str:
    return (world.today + timedelta(days=rng.randint(*spec.days_from_today))).isoformat()


def _draw_age(spec: c.AgeDraw, world: World, bindings: Bindings, _rng: random.Random) -> int:
    age = world.age(evaluate(spec.age, bindings))
    if age < 1:
        raise NoDrawError("not in the past")
    return age


_DRAWS: dict[type, Callable[[Any, World, Bindings, random.Random], Any]] = {
    c.OneRowDraw: _draw_one_row,
    c.AllRowsDraw: _draw_all_rows,
    c.RowByKeyDraw: _draw_row_by_key,
    c.ChoiceDraw: _draw_choice,
    c.NumberDraw: _draw_number,
    c.AmountDraw: _draw_amount,
    c.DateDraw: _draw_date,
    c.AgeDraw: _draw_age,
}
