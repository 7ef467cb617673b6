"""Draws the rows that a task is about: by which conditions its words describe them, and which tool finds them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas import population as p
from gatling_sid.schemas.composition.conditions import (
    StatedCondition,
    conditions_of,
    name_search,
    parameter_of,
)
from gatling_sid.schemas.composition.expected_rows import expected_rows
from gatling_sid.schemas.composition.givens import givens_for
from gatling_sid.schemas.composition.rules import axis_of, rows_allowed, rules_binding
from gatling_sid.schemas.composition.shape_types import Target
from gatling_sid.schemas.language.alternatives import alternatives_of

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

FILTERING = ("list", "aggregate", "export")
"""Operations that select their rows by filters, so that no search is needed before them."""
_LEAST_EXPECTED_ROWS, MOST_EXPECTED_ROWS = 1.5, 22
"""Rows that conditions on many rows should select on average; with more, few draws keep to what policies allow."""
_SHARE_OF_LIMIT = 0.8
"""Rows to expect on average at most, as a share of what the most generous policy allows."""
_NUMBERS_OF_CONDITIONS = (1, 1, 1, 2, 2)
_MOST_CONDITIONS = 2
"""Conditions on the same rows, beside those that rules demand; people rarely put more into one noun phrase."""
_MOST_ROWS_OF_ONE = 1.6
"""Rows that the description of a single row should select on average, at most."""
_FEWEST_ROWS_IF_AMBIGUOUS, _MOST_ROWS_IF_AMBIGUOUS = 1.8, 6
"""Rows that the description of a single row should select on average if several are to fit."""
_SHARE_OF_WHOLE_LISTS = 0.7
_SHARE_BY_KEY, _SHARE_SUPERLATIVE = 0.2, 0.25


def draw_target(
    domain: Domain, role: str, uses: tuple[str, ...], entity: str, rng: random.Random, *, is_many: bool
) -> Target | None:
    """The rows of an entity that parts are applied to; None if words or rules allow none."""
    parts = [domain.file.parts[name] for name in uses]
    must_say = {name for each in parts for name in each.must_say}
    filtering = tuple(each.tool for each in parts if domain.file.tools[each.tool].operation in FILTERING)
    search = next((tool for tool in filtering if domain.file.tools[tool].operation == "list"), None)
    target: Target | None = None
    if not filtering and not is_many:
        target = _without_search(domain, role, parts, entity, must_say, rng)
    if target is None and not (not filtering and must_say & {"key"}):
        if search is None and len(filtering) < len(parts):
            search = next((each.found_by for each in parts if each.found_by), None) or _list_tool(domain, role, entity)
            if search is None:
                return None
        target = _by_conditions(domain, role, uses, entity, filtering, search, must_say, rng, is_many=is_many)
    return target


def _without_search(
    domain: Domain, role: str, parts: Sequence[c.Part], entity: str, must_say: set[str], rng: random.Random
) -> Target | None:
    """The principal's own row, or a row whose key the request states; None if the row is to be found otherwise."""
    if "mine" in must_say:
        reads = all(domain.file.tools[each.tool].operation in ("list", "get") for each in parts)
        return _own_row(domain, role, entity) if reads else None
    if not key_phrases(domain.file.entities[entity]):
        return None
    is_by_key = must_say == {"key"} or (not must_say and rng.random() < _SHARE_BY_KEY)
    return Target(entity, None, (), is_many=False, by_key=True) if is_by_key else None


def key_phrases(entity: c.Entity) -> list[str]:
    """The phrases with which a request names a row by its key."""
    said = entity.fields[entity.key].said
    texts = said if isinstance(said, list) else said.get("equals", [])
    return [phrase for text in texts for phrase in alternatives_of(text)]


def _own_row(domain: Domain, role: str, entity: str) -> Target | None:
    """The principal's own row of the entity of their role, which needs no search."""
    declaration = domain.file.roles[role]
    key = domain.file.entities[entity].key
    said = domain.file.entities[entity].fields[key].said
    if declaration.entity != entity or key not in declaration.attributes or "mine" not in said:
        return None
    return Target(entity, None, (StatedCondition(key, "equals", "mine", key),), is_many=False)


@lru_cache(maxsize=2048)
def _list_tool(domain: Domain, role: str, entity: str) -> str | None:
    for name, tool in domain.file.tools.items():
        returns_key = domain.file.entities[tool.entity].key in tool.returns
        if (
            tool.operation == "list"
            and tool.entity == entity
            and returns_key
            and givens_for(domain, role, name) is not None
        ):
            return name
    return None


def _by_conditions(
    domain: Domain,
    role: str,
    uses: tuple[str, ...],
    entity: str,
    filtering: tuple[str, ...],
    search: str | None,
    must_say: set[str],
    rng: random.Random,
    *,
    is_many: bool,
) -> Target | None:
    tools = tuple(dict.fromkeys([*filtering, *([search] if search else [])]))
    order = _draw_order(domain, search, rng) if is_many and search and tools == (search,) else None
    conditions = _draw_conditions(domain, role, uses, tools, must_say, rng, is_many=is_many, order=order)
    if conditions is None or not (
        conditions or order is not None or (is_many and _is_short_list(domain, uses, entity))
    ):
        return None
    return Target(entity, search, conditions, is_many, order=order)


def draw_ambiguous_target(
    domain: Domain, role: str, uses: tuple[str, ...], target: Target, rng: random.Random
) -> Target | None:
    """A single row, found by the same search, described so that several rows are likely to fit; None if none can be."""
    assert target.search is not None
    parts, tools = [domain.file.parts[name] for name in uses], (target.search,)
    must_say = {name for each in parts for name in each.must_say}
    possible = list(_possible_conditions(domain, role, uses, tools, is_many=False))
    rng.shuffle(possible)
    demanded = _demanded_by_rules(domain, role, parts, tools, possible, is_many=False)
    chosen = _conditions_to_say(domain, target.entity, possible, must_say, demanded)
    if chosen is None:
        return None
    for each in possible:
        if chosen and expected_rows(domain, target.entity, chosen) <= _MOST_ROWS_IF_AMBIGUOUS:
            break
        if len(chosen) < _MOST_CONDITIONS and _fits(domain, target.entity, each, chosen):
            narrowed = expected_rows(domain, target.entity, [*chosen, each])
            chosen += [each] if narrowed >= _FEWEST_ROWS_IF_AMBIGUOUS else []
    expected = expected_rows(domain, target.entity, chosen)
    if not chosen or not _FEWEST_ROWS_IF_AMBIGUOUS <= expected <= _MOST_ROWS_IF_AMBIGUOUS:
        return None
    return target._replace(conditions=tuple(chosen))


def _is_short_list(domain: Domain, uses: Sequence[str], entity: str) -> bool:
    """Whether there are so few rows that people ask for all of them."""
    return domain.file.entities[entity].count <= _most_rows(domain, [domain.file.parts[name] for name in uses])


def _draw_order(domain: Domain, search: str, rng: random.Random) -> str | None:
    """An order of which the first rows are meant, or None."""
    tool = domain.file.tools[search]
    if "limit" not in {each.does for each in tool.parameters.values()} or rng.random() >= _SHARE_SUPERLATIVE:
        return None
    sort = next((each for each in tool.parameters.values() if each.does == "sort"), None)
    orders = ([""] if tool.first_said else []) + ([str(each) for each in sort.words] if sort is not None else [])
    return rng.choice(orders) if orders else None


def words_of_order(domain: Domain, target: Target) -> Sequence[str]:
    """The superlatives that can stand for the order of which the first rows are meant; none if all rows are."""
    if target.order is None or target.search is None:
        return ()
    tool = domain.file.tools[target.search]
    sort = next((each for each in tool.parameters.values() if each.does == "sort"), None)
    return sort.words[target.order] if target.order and sort is not None else tool.first_said


# --- conditions ------------------------------------------------------------------------------------------------


def _draw_conditions(
    domain: Domain,
    role: str,
    uses: tuple[str, ...],
    tools: tuple[str, ...],
    must_say: set[str],
    rng: random.Random,
    *,
    is_many: bool,
    order: str | None,
) -> tuple[StatedCondition, ...] | None:
    """The conditions that describe the rows; None if there are none that all tools can filter by."""
    parts = [domain.file.parts[name] for name in uses]
    name = domain.file.tools[tools[0]].entity
    entity = domain.file.entities[name]
    has_order, ordered = order is not None, (order or "").lstrip("-")  # "the smallest of $100 or more" is a riddle
    possible = list(_possible_conditions(domain, role, uses, tools, is_many=is_many))
    if ordered:
        possible = [each for each in possible if not (each.is_range and each.field == ordered)]
    rng.shuffle(possible)
    demanded = _demanded_by_rules(domain, role, parts, tools, possible, is_many=is_many)
    chosen = _conditions_to_say(domain, name, possible, must_say, demanded)
    if chosen is None or not (is_many or _single_out(domain, name, possible, chosen)):
        return None
    number = _draw_number_of_conditions(chosen, rng, is_many=is_many, has_order=has_order)
    if is_many and not chosen and _is_short_list(domain, uses, name) and rng.random() < _SHARE_OF_WHOLE_LISTS:
        number = 0
    most = _most_rows(domain, parts) if is_many and not has_order else float("inf")
    for each in possible:
        too_many = len(chosen) < _MOST_CONDITIONS and expected_rows(domain, name, chosen) > most
        if len(chosen) >= number and not too_many:
            break
        chosen += [each] if (is_many or not each.identifies(entity)) and _fits(domain, name, each, chosen) else []
    least = (2 if has_order else 1) * _LEAST_EXPECTED_ROWS
    return tuple(chosen) if not is_many or least <= expected_rows(domain, name, chosen) <= most else None


def _conditions_to_say(
    domain: Domain, entity: str, possible: Sequence[StatedCondition], must_say: set[str], demanded: set[str]
) -> list[StatedCondition] | None:
    """The conditions that parts and rules demand to be said; None if some of them cannot be said together."""
    chosen: list[StatedCondition] = []
    for wanted in (*sorted(must_say), *sorted(demanded)):
        fitting = [each for each in possible if wanted in (each.field, str(each), each.how)]
        same_field = [each for each in chosen if fitting and each.field == fitting[0].field]
        if not fitting or (wanted in must_say and same_field and same_field[0] not in fitting):
            return None
        if not same_field and not _fits(domain, entity, fitting[0], chosen):
            return None
        chosen += [] if same_field else [fitting[0]]
    return chosen


def _single_out(domain: Domain, name: str, possible: Sequence[StatedCondition], chosen: list[StatedCondition]) -> bool:
    """Adds conditions until they single out one row, since several rows may share a name; false if none can."""
    entity = domain.file.entities[name]
    if not any(each.may_identify(entity) for each in chosen):
        identifying = [each for each in possible if each.may_identify(entity) and _fits(domain, name, each, chosen)]
        if not identifying:
            return False
        chosen.append(identifying[0])
    for each in possible:
        if len(chosen) >= _MOST_CONDITIONS or expected_rows(domain, name, chosen) <= _MOST_ROWS_OF_ONE:
            break
        chosen += [each] if _fits(domain, name, each, chosen) else []
    return True


def _draw_number_of_conditions(
    chosen: Sequence[StatedCondition], rng: random.Random, *, is_many: bool, has_order: bool
) -> int:
    """How many conditions there should be; the first rows of an order have one that says which rows count at all.

    "My next four appointments" could leave out the tentative ones, and with two, words pile up before the noun.
    """
    if has_order:
        return len(chosen) + all(each.how == "mine" for each in chosen)
    return max(len(chosen), rng.choice(_NUMBERS_OF_CONDITIONS) - (0 if is_many else 1))


def _most_rows(domain: Domain, parts: Sequence[c.Part]) -> float:
    """The most rows that a task should expect; the rows of a measure are not shown, so there may be many."""
    if all(domain.file.tools[part.tool].operation == "aggregate" for part in parts):
        return 20 * MOST_EXPECTED_ROWS
    return min([MOST_EXPECTED_ROWS, *(_SHARE_OF_LIMIT * _largest_limit(domain, part.tool) for part in parts)])


@lru_cache(maxsize=1024)
def _largest_limit(domain: Domain, tool: str) -> float:
    """The most rows that some member of the family lets somebody take in a call of a tool, or change by it."""
    largest = float("inf")
    for rule in domain.file.policy.rules.values():
        limit = rule.parameters.get("max_rows" if rule.kind == "row_limit" else "max_records")
        tools = rule.parameters.get("tools")
        if limit is None or rule.parameters.get("roles") is not None or (isinstance(tools, list) and tool not in tools):
            continue
        axis = axis_of(limit)
        largest = min(largest, max(domain.family.axis_values[axis]) if axis else limit)
    return largest


@lru_cache(maxsize=8192)
def _possible_conditions(
    domain: Domain, role: str, uses: tuple[str, ...], tools: tuple[str, ...], *, is_many: bool
) -> tuple[StatedCondition, ...]:
    parts = [domain.file.parts[name] for name in uses]
    entity = domain.file.entities[domain.file.tools[tools[0]].entity]
    return tuple(
        each
        for each in conditions_of(domain, tools[0], role)
        if all(parameter_of(domain.file.tools[tool], each) for tool in tools)
        and all(part.by is None or each.field in part.by for part in parts)
        and not (is_many and each.identifies(entity))
        and (is_many or not each.is_range or str(each) in {said for part in parts for said in part.must_say})
        and _is_free(domain, role, parts, tools, each)
    )


def _fits(domain: Domain, entity: str, condition: StatedCondition, chosen: Sequence[StatedCondition]) -> bool:
    """Whether a condition can stand beside others, in meaning and in one phrase."""
    return all(_fit_together(domain, entity, condition, each) for each in chosen)


@lru_cache(maxsize=65536)
def _fit_together(domain: Domain, name: str, one: StatedCondition, other: StatedCondition) -> bool:
    entity = domain.file.entities[name]
    return (
        one.field != other.field
        and not (one.is_period and other.is_period)
        and not _names_same_row(one, other, entity)
        and not _names_same_row(other, one, entity)
        and not _excludes(one, other, entity)
        and not _excludes(other, one, entity)
        and one.goes_with(other, entity)
    )


def _names_same_row(condition: StatedCondition, other: StatedCondition, entity: c.Entity) -> bool:
    """Whether a condition names the row that a reference points to, and the other one names it again by a copied text."""
    fill = entity.fields[other.field].populate
    is_copy = isinstance(fill, p.CopyFill) and fill.copy_of.partition(".")[0] == condition.field
    return condition.how in ("via", "mine") and is_copy and other.identifies(entity)


def _excludes(condition: StatedCondition, other: StatedCondition, entity: c.Entity) -> bool:
    """Whether rows of the one condition have no value in the field of the other, since it is filled only for some."""
    fill = entity.fields[other.field].populate
    if (
        isinstance(fill, p.IfPastFill)
        and fill.if_past == condition.field
        and condition.is_period
        and other.how == "choice"
    ):
        filled = fill.then if condition.match == "within_days" else fill.otherwise
        return filled is None or (isinstance(filled, p.ChoiceFill) and other.key not in filled.choice)
    if not (isinstance(fill, p.ByFieldFill) and fill.by == condition.field and condition.how == "choice"):
        return False
    filled = fill.cases.get(condition.key, fill.otherwise)
    return filled is None or (
        other.how == "choice" and isinstance(filled, p.ChoiceFill) and other.key not in filled.choice
    )


def _is_free(
    domain: Domain, role: str, parts: Sequence[c.Part], tools: Sequence[str], condition: StatedCondition
) -> bool:
    """Whether rows that may be used can meet a condition, and the role can look up what it refers to."""
    name = domain.file.tools[tools[0]].entity
    if condition.how == "via":
        if any(each.how == "mine" and each.field == condition.field for each in conditions_of(domain, tools[0], role)):
            return False  # what belongs to the principal is theirs, not somebody's of that name
        found = name_search(
            domain, domain.referenced_entity(domain.file.entities[name], condition.field), condition.key
        )
        return found is not None and givens_for(domain, role, found[0]) is not None
    if condition.how != "choice":
        return True
    for part in parts:
        parameters = domain.file.tools[part.tool].parameters
        values_set = {each.field: part.arguments.get(n) for n, each in parameters.items() if each.does == "set"}
        if values_set.get(condition.field) == [condition.key]:
            return False
        where = {**rows_allowed(domain, role, part.tool, name, {}), **part.where}
        if not _may_be(where.get(condition.field), condition.key):
            return False
    return True


def _may_be(operand: Any, value: str) -> bool:
    """Whether a condition of a `where` allows the value, as far as it is fixed."""
    if operand is None or (isinstance(operand, str) and operand.startswith("$")):
        return True
    if not isinstance(operand, dict):
        return _key_of(operand) == value
    allowed, excluded = operand.get("in"), operand.get("not")
    return (not isinstance(allowed, list) or value in map(_key_of, allowed)) and _key_of(excluded) != value


def _key_of(value: Any) -> str:
    """A value as the keys of `said` have it: `true` for a flag."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _demanded_by_rules(
    domain: Domain,
    role: str,
    parts: Sequence[c.Part],
    tools: Sequence[str],
    possible: Sequence[StatedCondition],
    *,
    is_many: bool,
) -> set[str]:
    """Conditions by which rows must be selected so that rules and states of many rows are kept."""
    demanded: set[str] = set()
    for tool in tools:
        for _, rule in rules_binding(domain, role, tool):
            given = rule.parameters
            if rule.kind == "own_records" and given["entity"] == domain.file.tools[tool].entity and is_many:
                own = [each for each in possible if each.how == "mine" and each.field == given["field"]]
                demanded |= {str(own[0])} if own else set()
            if rule.kind == "narrowed_by":
                fields = [domain.file.tools[tool].parameters[name].field for name in given["arguments"]]
                narrowing = [each for each in possible if each.field in fields]
                demanded |= {str(narrowing[0])} if narrowing else {"(nothing narrows it)"}
    for part in parts if is_many else ():
        for field in domain.file.tools[part.tool].requires:
            states = [each for each in possible if each.field == field and each.how == "choice"]
            demanded |= {str(states[0])} if states else set()
    return demanded
