"""Draws the rows, the values and the principal of a scenario, as its declaration in the catalogue says."""

from __future__ import annotations

import random
import re
from calendar import monthrange
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from math import ceil, floor, log10
from typing import Any

from gatling_sid.scenarios.composed_text import compose_text
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.conditions import CONDITIONS, PLAIN
from gatling_sid.schemas.constraints import DECIMALS_OF_SHARE
from gatling_sid.schemas.references import ALL_ELEMENTS, MissingPathError, follow, parse_reference
from gatling_sid.simulator.world import Row, World, sort_rows

Bindings = dict[str, Any]
NO_LIMIT = 10**9
"""What a limit is where no rule sets one."""
_SHARE_AT_LIMIT = 1 / 3
"""Share of draws that take exactly what the policy allows; the boundary is where a rule is learnt."""
_ROUNDNESS = 0.5
"""Figures near a value are multiples of half its order of magnitude: 5,420 becomes 5,000, 1,730 becomes 1,500."""
_SATURDAY, _LAST_HOUR = 5, 23
_MIN_MENTION = 4
"""Letters by which a person or title can be recognised."""
_SHARE_OF_SHORT_MENTIONS = 0.6
"""Share of mentions by the first word, since colleagues rarely write full names."""


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
            operand: Any = (
                [evaluate(e, bindings) for e in value] if isinstance(value, list) else evaluate(value, bindings)
            )
            reach = CONDITIONS[name].reach
            if reach is not None:
                operand = world.dates(*operand) if reach == "dates" else world.period(**{reach: operand})
            yield field, name, tuple(operand) if isinstance(operand, list) else operand


def _find_rows(
    world: World, entity: str, alone_by: tuple[str, ...], conditions: tuple[_EvaluatedCondition, ...]
) -> list[Row]:
    rows = world.sorted_rows(entity, None)
    first = next(((field, operand) for field, name, operand in conditions if name == PLAIN and "." not in field), None)
    if first is not None:
        rows = world.index(entity, first[0]).get(first[1], [])
    for field, name, operand in conditions:
        holds = CONDITIONS[name].holds
        if "." in field:
            rows = [row for row in rows if holds(_joined_value(world, entity, row, field), operand)]
        else:
            rows = [row for row in rows if holds(row[field], operand)]
    return [row for row in rows if world.count_alike(entity, alone_by, row) == 1] if alone_by else rows


def _joined_value(world: World, entity: str, row: Row, path: str) -> Any:
    """The value of a field such as `ticket_id.owner`, of the row that a reference of the row points to."""
    reference, _, field = path.partition(".")
    referenced = world.domain.referenced_entity(world.domain.file.entities[entity], reference)
    return None if row[reference] is None else world.tables[referenced][row[reference]][field]


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
        rows = sort_rows(rows, spec.order, key)
        _refuse_tie(rows, first, spec)
        rows = rows[:first]
    else:
        low, high = (evaluate(end, bindings) for end in spec.count)
        if not low <= len(rows) <= min([high, *(evaluate(each, bindings) for each in spec.limits)]):
            raise NoDrawError(f"{len(rows)} {spec.all} fit")
        rows = sort_rows(rows, spec.order, key)
    if spec.each:
        conditions = tuple(_evaluate_conditions(spec.each, world, bindings))
        if not all(CONDITIONS[name].holds(row[field], operand) for row in rows for field, name, operand in conditions):
            raise NoDrawError(f"one of the {spec.all} does not fit")
    if spec.distinct is not None and len({row[spec.distinct] for row in rows}) < len(rows):
        raise NoDrawError(f"two {spec.all} have the same {spec.distinct}")
    return rows


def _refuse_tie(rows: Sequence[Row], number: int, spec: c.AllRowsDraw) -> None:
    """Raises NoDrawError if the last row and the one after it must differ in the order, and do not."""
    field = spec.order.removeprefix("-") if spec.without_tie and spec.order is not None else None
    if field is not None and number < len(rows) and rows[number - 1][field] == rows[number][field]:
        raise NoDrawError(f"{spec.all} tie in {field}")


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
    if spec.beyond is not None:
        allowed = evaluate(spec.beyond, bindings)
        options = [
            each for each in options if (each > allowed if isinstance(allowed, (int, float)) else each not in allowed)
        ]
    if spec.but_not is not None:
        other = evaluate(spec.but_not, bindings)
        options = [each for each in options if each != other]
    least = None if spec.at_least is None else evaluate(spec.at_least, bindings)
    if least is not None:
        options = [each for each in options if each >= least]
    if spec.at_most is not None:
        most = evaluate(spec.at_most, bindings)
        options = [each for each in options if each <= most]
    if spec.limits:
        limit = min(evaluate(each, bindings) for each in spec.limits)
        options = [each for each in options if each <= limit]
        highest = NO_LIMIT if spec.edge_below is None else spec.edge_below
        is_possible = limit < NO_LIMIT and limit <= highest and (least is None or limit >= least)
        if spec.edge and spec.beyond is None and is_possible and rng.random() < _SHARE_AT_LIMIT:
            return int(limit) if int(limit) == limit and isinstance(spec.choose[0], int) else limit
    if spec.among is not None:
        allowed = evaluate(spec.among, bindings)
        options = [each for each in options if each in allowed]
    if not options:
        raise NoDrawError("no choice is left")
    value = rng.choice(options)
    if not isinstance(value, str):
        return value
    return _FILL.sub(lambda match: str(evaluate(f"${match.group(1)}", bindings)), value)


def _draw_number(spec: c.NumberDraw, _world: World, bindings: Bindings, rng: random.Random) -> int:
    low, high = spec.number
    if spec.beyond is not None:
        low = max(low, int(evaluate(spec.beyond, bindings)) + 1)
    limit = min((evaluate(each, bindings) for each in spec.limits), default=high)
    if min(limit, high) < low:
        raise NoDrawError(f"at most {limit} is allowed, at least {low} is asked for")
    return (
        int(limit)
        if low <= limit <= high and rng.random() < _SHARE_AT_LIMIT
        else rng.randint(low, min(high, int(limit)))
    )


def _draw_amount(spec: c.AmountDraw, _world: World, bindings: Bindings, rng: random.Random) -> float:
    low, high = (evaluate(end, bindings) for end in spec.amount)
    if spec.beyond is not None:
        low = max(low, evaluate(spec.beyond, bindings) + spec.step)
    limit = min((evaluate(each, bindings) for each in spec.limits), default=None)
    if limit is not None:
        if low <= limit <= high and rng.random() < _SHARE_AT_LIMIT:
            return int(limit) if limit == int(limit) else limit
        high = min(high, limit)
    # Quotients are rounded first: 0.3 // 0.1 is 2.
    steps = range(ceil(round(low / spec.step, 9)), floor(round(high / spec.step, 9)) + 1)
    if not steps:
        raise NoDrawError(f"no multiple of {spec.step} between {low} and {high}")
    value = rng.choice(steps) * spec.step
    return int(value) if value == int(value) else round(value, 2)


def _draw_date(spec: c.DateDraw, world: World, bindings: Bindings, rng: random.Random) -> str:
    low, high = spec.days_from_today
    workdays_only, ends = spec.workdays, []
    for each in spec.limits:
        first, last, on_workdays = evaluate(each, bindings)
        ends += [end for end in (first, last) if low <= end <= high]
        low, high, workdays_only = max(low, first), min(high, last), workdays_only or on_workdays
    days = [
        day
        for day in range(low, high + 1)
        if not workdays_only or (world.today + timedelta(days=day)).weekday() < _SATURDAY
    ]
    if spec.beyond is not None:
        days = [day for day in days if not _is_allowed(day, evaluate(spec.beyond, bindings), world)]
    if not days:
        raise NoDrawError("no day is allowed")
    ends = [day for day in ends if day in days]
    return (
        world.today + timedelta(days=rng.choice(ends if ends and rng.random() < _SHARE_AT_LIMIT else days))
    ).isoformat()


def _is_allowed(day: int, limit: tuple[int, int, bool], world: World) -> bool:
    """Whether a limit on dates allows the day that is so many days from today."""
    first, last, workdays_only = limit
    is_free = workdays_only and (world.today + timedelta(days=day)).weekday() >= _SATURDAY
    return first <= day <= last and not is_free


def _draw_age(spec: c.AgeDraw, world: World, bindings: Bindings, _rng: random.Random) -> int:
    day = evaluate(spec.age, bindings)
    age = 0 if day is None else world.age(day)
    if age < 1:
        raise NoDrawError("not in the past")
    return age


def _draw_days_until(spec: c.DaysUntilDraw, world: World, bindings: Bindings, _rng: random.Random) -> int:
    day = evaluate(spec.days_until, bindings)
    days = 0 if day is None else -world.age(day)
    if days < 1:
        raise NoDrawError("not in the future")
    return days


def _draw_near(spec: c.NearDraw, _world: World, bindings: Bindings, rng: random.Random) -> Any:
    value = evaluate(spec.near, bindings)
    if value is None:
        raise NoDrawError("no value to be near to")
    if isinstance(value, str) and ":" in value:
        hour = int(value[:2]) + (spec.side == "above" and value[3:] != "00")
        return f"{hour:02d}:00" if hour <= _LAST_HOUR else value
    if isinstance(value, str):
        return _end_of_month(value) if spec.side == "above" else f"{value[:8]}01"
    step = _ROUNDNESS * 10 ** floor(log10(abs(value) or 1))
    step = max(step, 1) if isinstance(value, int) else step
    steps = floor(round(value / step, 9)) if spec.side == "below" else ceil(round(value / step, 9))
    steps += rng.choice((0, 0, 1)) * (1 if spec.side == "above" else -1)
    number = round(steps * step, 2)
    return int(number) if number == int(number) else number


def _end_of_month(day: str) -> str:
    year, month = int(day[:4]), int(day[5:7])
    return f"{day[:8]}{monthrange(year, month)[1]:02d}"


def _draw_mention(spec: c.MentionDraw, _world: World, bindings: Bindings, rng: random.Random) -> str:
    value = evaluate(spec.mention, bindings)
    if not isinstance(value, str):
        raise NoDrawError("no text to mention")
    first = value.split(" ")[0]
    return (
        first if spec.may_be_short and len(first) >= _MIN_MENTION and rng.random() < _SHARE_OF_SHORT_MENTIONS else value
    )


def _draw_address(spec: c.AddressDraw, _world: World, bindings: Bindings, _rng: random.Random) -> str:
    address, rule = evaluate(spec.address, bindings), evaluate(spec.allowed_by, bindings)
    if address is None or (rule is not None and not rule.allows(address)):
        raise NoDrawError(f"no message may go to {address}")
    return str(address)


def _draw_composed(spec: c.ComposedDraw, world: World, bindings: Bindings, _rng: random.Random) -> str:
    row = evaluate(spec.of, bindings)
    if any(row[field] is None for field in spec.composed):
        raise NoDrawError("nothing to tell")
    return compose_text(world.domain, spec.entity, spec.composed, row, world.today)


def _draw_share(spec: c.ShareDraw, _world: World, bindings: Bindings, _rng: random.Random) -> float:
    whole = evaluate(spec.share_of, bindings)
    if isinstance(whole, bool) or not isinstance(whole, (int, float)):
        raise NoDrawError(f"{spec.share_of} is {whole!r}, which has no share")
    return float(round(whole * evaluate(spec.share, bindings), DECIMALS_OF_SHARE))


_DRAWS: dict[type, Callable[[Any, World, Bindings, random.Random], Any]] = {
    c.OneRowDraw: _draw_one_row,
    c.AllRowsDraw: _draw_all_rows,
    c.RowByKeyDraw: _draw_row_by_key,
    c.ChoiceDraw: _draw_choice,
    c.NumberDraw: _draw_number,
    c.AmountDraw: _draw_amount,
    c.DateDraw: _draw_date,
    c.AgeDraw: _draw_age,
    c.DaysUntilDraw: _draw_days_until,
    c.NearDraw: _draw_near,
    c.MentionDraw: _draw_mention,
    c.AddressDraw: _draw_address,
    c.ComposedDraw: _draw_composed,
    c.ShareDraw: _draw_share,
}
