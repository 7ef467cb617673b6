"""Draws the shapes of composed tasks: which role asks, for which rows, and what is done with them.

In each world, each part of a domain file leads a number of shapes, drawn from its own random stream. A shape fixes
everything but the rows and values themselves: conditions, columns, further parts. So the shapes of a world follow from
its name and the file alone, and a change of one part changes the shapes in which it occurs.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.composition.conditions import name_search
from gatling_sid.schemas.composition.givens import Givens, givens_for, merge_givens
from gatling_sid.schemas.composition.interference import disturbs, interferes
from gatling_sid.schemas.composition.look_ups import fields_to_tell, found_arguments, look_up_needs
from gatling_sid.schemas.composition.part_texts import may_end_with_rows, own_texts
from gatling_sid.schemas.composition.refusals import draw_refusal, given_by
from gatling_sid.schemas.composition.rules import notices, rows_allowed_by_group
from gatling_sid.schemas.composition.shape_types import Group, Said, Shape, Target, Use
from gatling_sid.schemas.composition.targets import (
    FILTERING,
    draw_ambiguous_target,
    draw_target,
    words_of_order,
)
from gatling_sid.schemas.language.alternatives import alternatives_of
from gatling_sid.schemas.language.noun_phrases import are_sayable, phrase_of, superlative_of
from gatling_sid.seeding import stream

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_MAX_DRAWS_IN_VAIN = 20
"""Draws in a row without a further shape after which a part has hardly any left."""
_SHARE_WITH_COMPANION = 0.5
_SHARE_OF_LONG_TASKS, _TRIES_FOR_LONG_TASK = 0.28, 6
_SHARE_OF_READING_ONLY = 0.7
"""Share of the tasks that begin by reading in which nothing is changed, so that people also just look things up."""
_READING = ("list", "get", "aggregate")
_SHARES_WITH_FURTHER_GROUP = (0.15, 0.1)
"""Share of tasks with a second group and, of these, with a third one; long tasks have as many as can be."""
_SHARE_NOT_SERVED, _SHARE_AMBIGUOUS = 0.075, 0.035
"""Shares of the shapes that are not simply served, and of those whose description fits several rows, where they can."""
_MOST_USES = 5
"""What a request asks for at most; with more, it reads like a list of orders."""
_NUMBERS_OF_COLUMNS = (1, 1, 1, 2, 2, 2, 3)
_ORDER_OF_OPERATIONS = ("aggregate", "list", "get", "update", "create", "export", "send", "delete")
"""The order in which parts of a group are asked for: reading before changing, deleting last."""
_CLASHING: tuple[set[str], ...] = (
    {"update", "delete"}, {"aggregate", "update"}, {"aggregate", "delete"}, {"aggregate", "send"},
    {"aggregate", "create"}, {"create", "delete"}, {"get", "aggregate"}, {"get", "export"}, {"update", "export"},
    {"get", "update"}, {"get", "delete"}, {"list", "get"},
)  # fmt: skip
"""Pairs of operations that nobody asks for about the same rows, or whose order would decide what is meant."""


def draw_shapes(domain: Domain, numbers: Mapping[str, int], world: str) -> list[Shape]:
    """The shapes of a world's tasks: so many that each part leads, and no two that are said alike.

    What a part cannot fill, because there are not that many, is filled by the others.
    """
    shapes: dict[Said, Shape] = {}
    streams = {name: stream(domain.slug, "shapes", name, world) for name in numbers}
    for name, number in numbers.items():
        _draw_further(domain, name, number, streams[name], shapes)
    missing = sum(numbers.values()) - len(shapes)
    for name, number in numbers.items():
        further = min(sum(numbers.values()) - len(shapes), -(-missing * number // sum(numbers.values())))
        _draw_further(domain, name, further, streams[name], shapes)
    return _vary(domain, shapes, world)


def _vary(domain: Domain, shapes: dict[Said, Shape], world: str) -> list[Shape]:
    """The shapes, of which some become others with the same words that are not simply served."""
    varied = {shape.name: shape for shape in shapes.values()}
    streams = {name: stream(domain.slug, "outcomes", world, name) for name in varied}
    shuffled = sorted(varied, key=lambda name: streams[name].random())
    most, most_ambiguous = round(len(varied) * _SHARE_NOT_SERVED), round(len(varied) * _SHARE_AMBIGUOUS)
    changed: dict[str, Shape] = {}
    for name in shuffled:
        if len(changed) < most_ambiguous:
            ambiguous = _make_ambiguous(domain, varied[name], streams[name], shapes)
            changed.update({} if ambiguous is None else {name: ambiguous})
    for name in shuffled:
        if len(changed) < most and name not in changed:
            refused = _refuse(domain, varied[name], streams[name])
            changed.update({} if refused is None else {name: refused})
    return [*(varied | changed).values()]


def _refuse(domain: Domain, shape: Shape, rng: random.Random) -> Shape | None:
    """The shape with a group that a rule forbids, if there is such a rule."""
    refusal = draw_refusal(domain, shape.role, shape.groups, rng)
    if refusal is None:
        return None
    others = [group for at, group in enumerate(shape.groups) if at != refusal.group]
    allowed = [*_givens(domain, shape.role, shape.groups, without=refusal.rule), *_givens(domain, shape.role, others)]
    given = merge_givens([*allowed, given_by(refusal, domain)])
    return None if given is None else shape._replace(given=given, refusal=refusal)


def _make_ambiguous(domain: Domain, shape: Shape, rng: random.Random, shapes: dict[Said, Shape]) -> Shape | None:
    """The shape with a description of its one row that several rows fit, if that can be."""
    group, target = shape.groups[0], shape.groups[0].target
    if len(shape.groups) > 1 or target is None or target.is_many or target.search is None:
        return None
    uses = tuple(use.part for use in group.uses)
    if any(domain.file.parts[use].tool == target.search for use in uses):
        return None
    target = draw_ambiguous_target(domain, shape.role, uses, target, rng)
    first = group.uses[0]
    needs_compact = not may_end_with_rows(domain.file.parts[first.part], first)
    if target is None or not _has_noun_phrase(domain, target, is_compact=needs_compact):
        return None
    groups = (group._replace(target=target),)
    said, given = _said(domain, groups), merge_givens(_givens(domain, shape.role, groups))
    if given is None or (said != shape.said and said in shapes):
        return None
    shapes[said] = Shape(shape.role, groups, given, said, is_ambiguous=True)
    return shapes[said]


def _draw_further(domain: Domain, part: str, number: int, rng: random.Random, shapes: dict[Said, Shape]) -> None:
    """Adds so many shapes that a part leads, or fewer if no further ones are found soon."""
    wanted, draws_in_vain = len(shapes) + number, 0
    while len(shapes) < wanted and draws_in_vain < _MAX_DRAWS_IN_VAIN:
        role = rng.choice(domain.file.parts[part].roles)
        groups = _draw_groups(domain, role, part, rng)
        said = _said(domain, groups)
        given = merge_givens(_givens(domain, role, groups)) if groups and said not in shapes else None
        if given is None:
            draws_in_vain += 1
        else:
            shapes[said], draws_in_vain = Shape(role, groups, given, said), 0


def _said(domain: Domain, groups: Sequence[Group]) -> Said:
    """What the words of a task tell: neither who asks, nor which of several tools is called if the words are shared."""
    return str([(_rows_said(group.target), *(_use_said(domain, use) for use in group.uses)) for group in groups])


def _rows_said(target: Target | None) -> Any:
    if target is None:
        return None
    conditions = [
        (each.field, each.match, each.how, "" if each.how == "mine" else each.key) for each in target.conditions
    ]
    return target.entity, tuple(sorted(conditions)), target.is_many, target.by_key, target.order


def _use_said(domain: Domain, use: Use) -> Any:
    part = domain.file.parts[use.part]
    tool = domain.file.tools[part.tool]
    operation = "show" if tool.operation in ("list", "get") else tool.operation
    called = _parts_called_alike(domain)[use.part] if part.says or part.asks else (tool.entity, operation)
    return called, use.columns, use.choices


@lru_cache(maxsize=64)
def _parts_called_alike(domain: Domain) -> Mapping[str, str]:
    """For each part with texts of its own, the first part that has one of these texts, which may be itself."""
    first: dict[str, str] = {}
    alike: dict[str, str] = {}
    for name, part in domain.file.parts.items():
        texts = {each for text in own_texts(part) for each in alternatives_of(text)}
        alike[name] = next((alike[first[each]] for each in sorted(texts) if each in first), name)
        first.update(dict.fromkeys(texts - first.keys(), name))
    return alike


def _draw_groups(domain: Domain, role: str, part: str, rng: random.Random) -> tuple[Group, ...]:
    """What a role asks for, led by a part; empty if nothing can be drawn."""
    is_long, tries = rng.random() < _SHARE_OF_LONG_TASKS, _TRIES_FOR_LONG_TASK
    only_reads = _reads(domain, part) and rng.random() < _SHARE_OF_READING_ONLY
    first = _draw_group(domain, role, part, (), rng)
    groups: tuple[Group, ...] = () if first is None else (first,)
    while groups and len(groups) <= len(_SHARES_WITH_FURTHER_GROUP):
        if not is_long and rng.random() >= _SHARES_WITH_FURTHER_GROUP[len(groups) - 1]:
            break
        used = tuple(use.part for group in groups for use in group.uses)
        others = _parts_that_may_join(domain, role, used) if len(used) < _MOST_USES else ()
        others = tuple(each for each in others if _reads(domain, each)) if only_reads else others
        another = _draw_group(domain, role, _draw_by_weight(domain, others, rng), used, rng) if others else None
        if another is not None and not any(interferes(domain, each, another) for each in groups):
            groups = (*groups, another)
        elif not is_long or (tries := tries - 1) == 0:
            break
    return groups


def _draw_by_weight(domain: Domain, parts: Sequence[str], rng: random.Random) -> str:
    """One of some parts; the more often a part leads a task, the more often it joins another's."""
    return rng.choices(parts, [domain.file.parts[each].weight for each in parts])[0]


def _reads(domain: Domain, part: str) -> bool:
    return domain.file.tools[domain.file.parts[part].tool].operation in _READING


@lru_cache(maxsize=2048)
def _parts_that_may_join(domain: Domain, role: str, used: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in domain.file.parts if _may_join(domain, role, name, used))


def _may_join(domain: Domain, role: str, part: str, used: Sequence[str]) -> bool:
    """Whether a part can join others in a task: each is used once, and a task exports to one target only."""
    spec = domain.file.parts[part]
    if role not in spec.roles or part in used:
        return False
    is_export = domain.file.tools[spec.tool].operation == "export"
    return not (
        is_export and any(domain.file.tools[domain.file.parts[each].tool].operation == "export" for each in used)
    )


# --- one group -------------------------------------------------------------------------------------------------


def _draw_group(domain: Domain, role: str, part: str, used: Sequence[str], rng: random.Random) -> Group | None:
    uses = [part]
    if len(used) + 1 < _MOST_USES and rng.random() < _SHARE_WITH_COMPANION:
        companions = [each for each in _companions(domain, role, part) if _may_join(domain, role, each, used)]
        if companions:
            uses = sorted([part, _draw_by_weight(domain, companions, rng)], key=lambda name: _rank(domain, name))
    entity = entity_of_part(domain, part)
    if entity is None:
        return Group(None, tuple(_draw_use(domain, role, name, None, rng, is_alone=True) for name in uses))
    is_many = _draw_number(domain, uses, rng)
    target = None if is_many is None else draw_target(domain, role, tuple(uses), entity, rng, is_many=is_many)
    if target is None:
        return None
    is_alone = len(uses) == 1
    group = Group(target, tuple(_draw_use(domain, role, name, target, rng, is_alone=is_alone) for name in uses))
    first = group.uses[0]
    needs_compact = not may_end_with_rows(domain.file.parts[first.part], first)
    is_sayable = _has_noun_phrase(domain, target, is_compact=needs_compact)
    is_sayable = is_sayable and all(_is_sayable(domain, role, target, use) for use in group.uses)
    return group if is_sayable and _can_be_served(domain, role, group) else None


@lru_cache(maxsize=16384)
def _has_noun_phrase(domain: Domain, target: Target, *, is_compact: bool) -> bool:
    """Whether some phrases of all conditions make a noun phrase together; a compact one ends with the noun."""
    entity = domain.file.entities[target.entity]
    phrases = [
        [phrase_of(text, "", plural=target.is_many) for text in each.phrases(entity)] for each in target.conditions
    ]
    superlatives = [superlative_of(text, "", "") for text in words_of_order(domain, target)]
    return target.by_key or are_sayable(phrases, superlatives, is_compact=is_compact)


def _can_be_served(domain: Domain, role: str, group: Group) -> bool:
    """Whether what rules demand before or after the parts can be done, and some row allows all of them."""
    assert group.target is not None
    needs = look_up_needs(domain, role, group)
    demanded = [notice for found in needs.notices.values() for notice in found]
    if (
        needs.tool == ""
        or (group.target.is_many and demanded)
        or len({each.tool for each in demanded}) < len({each.rule for each in demanded})
    ):
        return False
    values = [dict(use.choices) for use in group.uses]
    where = rows_allowed_by_group(domain, role, group, values, needs.tool)
    return all(operand.get("in") != [] for operand in where.values())


def _is_sayable(domain: Domain, role: str, target: Target, use: Use) -> bool:
    """Whether people would say it: nobody asks to see one person without saying what of them.

    To see one row is to open its record, where there is a tool for this, and not the line of it in a list.
    """
    part = domain.file.parts[use.part]
    tool = domain.file.tools[part.tool]
    said = {(each.field, each.key) for each in target.conditions if each.how == "choice"}
    if any((tool.parameters[name].field, str(value)) in said for name, value in use.choices):
        return False  # "mute the muted contact"
    ranges = {each.field for each in target.conditions if each.is_range}
    if any(str(value) in ranges for _, value in use.choices):
        return False  # "the longest delay of the visits with a delay of ten minutes or more"
    if not use.columns and "{columns}" in f"{part.says} {part.asks}":
        return False
    search = domain.file.tools[target.search].returns if target.search else []
    if tool.operation == "get" and target.search and {*(use.columns or tool.returns)} <= {*search}:
        return False  # the search shows it already
    is_person = domain.file.entities[target.entity].pronoun == "them"
    if use.columns or part.says or target.is_many or tool.operation not in ("list", "get"):
        return True
    is_line = tool.operation == "list" and _can_open(domain, role, target.entity)
    return not is_line and not (is_person and not target.by_key)


@lru_cache(maxsize=512)
def _can_open(domain: Domain, role: str, entity: str) -> bool:
    """Whether a role can ask for the record of a row."""
    tools = [domain.file.tools[part.tool] for part in domain.file.parts.values() if role in part.roles]
    return any(tool.operation == "get" and tool.entity == entity for tool in tools)


def entity_of_part(domain: Domain, part: str) -> str | None:
    """The entity of the rows that a part is applied to, or None."""
    spec = domain.file.parts[part]
    tool = domain.file.tools[spec.tool]
    if spec.of is not None:
        return spec.of
    is_about_rows = tool.operation in FILTERING
    is_about_rows |= any(each.does in ("about", "key", "keys", "filter") for each in tool.parameters.values())
    return tool.entity if tool.operation != "create" and is_about_rows else None


def _rank(domain: Domain, part: str) -> int:
    return _ORDER_OF_OPERATIONS.index(domain.file.tools[domain.file.parts[part].tool].operation)


@lru_cache(maxsize=2048)
def _companions(domain: Domain, role: str, part: str) -> tuple[str, ...]:
    """The parts that can be about the same rows as a part."""
    own, entity = domain.file.parts[part], entity_of_part(domain, part)
    found = []
    for name, spec in domain.file.parts.items():
        if name == part or role not in spec.roles or entity is None or entity_of_part(domain, name) != entity:
            continue
        if disturbs(domain, role, part, name) or disturbs(domain, role, name, part):
            continue
        operations = {domain.file.tools[each.tool].operation for each in (spec, own)}
        numbers = {number_of(domain, name), number_of(domain, part)}
        if len(operations) > 1 and operations not in _CLASHING and not numbers >= {"one", "many"}:
            found.append(name)
    return tuple(found)


def _draw_number(domain: Domain, uses: Sequence[str], rng: random.Random) -> bool | None:
    """Whether the group is about many rows; None if its parts do not agree."""
    numbers = {number for name in uses if (number := number_of(domain, name)) != "both"}
    if len(numbers) > 1:
        return None
    return numbers.pop() == "many" if numbers else rng.random() < 0.5


@lru_cache(maxsize=2048)
def number_of(domain: Domain, part: str) -> Literal["one", "many", "both"]:
    """Whether a part can be about one row, about many, or both; a tool that takes a single key is about one."""
    spec = domain.file.parts[part]
    tool = domain.file.tools[spec.tool]
    purposes = {each.does: each for each in tool.parameters.values()}
    if "key" in purposes or tool.operation == "create":
        return "one"
    if tool.operation == "send" and ("about" not in purposes or purposes["about"].type != "array"):
        return "one"
    if tool.operation in ("aggregate", "export") and spec.number == "both":
        return "many"
    return spec.number


# --- one use ---------------------------------------------------------------------------------------------------


def _draw_use(
    domain: Domain, role: str, name: str, target: Target | None, rng: random.Random, *, is_alone: bool
) -> Use:
    """A part with the columns and values that the words fix; rows that other parts use are listed with all columns."""
    part = domain.file.parts[name]
    tool = domain.file.tools[part.tool]
    choices: dict[str, Any] = {}
    for argument, values in part.arguments.items():
        if isinstance(values, list) and (argument == part.by_value or tool.operation == "aggregate"):
            choices[argument] = rng.choice(values)
        elif fields_to_tell(values):
            choices[argument] = rng.choice(list(fields_to_tell(values)))
    # Nobody groups by what is the same in all rows, or asks for what they say themselves.
    constant = _fields_said(domain, target) if target is not None else []
    arguments = {each.does: argument for argument, each in tool.parameters.items()}
    is_count = choices.get(arguments.get("measure", "")) == "count"
    fixed = {
        argument: value
        for argument, value in choices.items()
        if value is not None and value not in constant and not (is_count and argument == arguments.get("measured"))
    }
    columns: tuple[str, ...] = ()
    reads = tool.operation in ("list", "get", "export")
    may_select = is_alone or tool.operation != "list"
    if tool.operation == "get" and target is not None:  # whom to notify must be shown, too
        known = {*domain.file.tools[target.search].returns} if target.search else {*domain.file.roles[role].attributes}
        demanded = {each.recipient_field for each in notices(domain, role, part.tool, tool.entity)}
        may_select = demanded <= (set() if target.by_key else known)
    if "select" in arguments and reads and part.columns and may_select:
        unknown = [each for each in part.columns if each not in constant] or part.columns
        naming = [] if target is None or not target.is_many else _naming_columns(domain, tool, part)
        further = [each for each in unknown if each not in naming] or unknown
        chosen = rng.sample(further, min(rng.choice(_NUMBERS_OF_COLUMNS), len(further)))
        columns = tuple(each for each in part.columns if each in (*chosen, *naming))
    return Use(name, columns, tuple(fixed.items()))


def _fields_said(domain: Domain, target: Target) -> list[str]:
    """The fields whose value is the same in all rows of a target, since the request says it."""
    said = [each.field for each in target.conditions if each.match in ("equals", "contains")]
    said += [field for field, source in domain.copied_fields(target.entity).items() if source.reference in said]
    return [*said, domain.file.entities[target.entity].key] if target.by_key else said


def _naming_columns(domain: Domain, tool: c.Tool, part: c.Part) -> list[str]:
    """The column by which people tell rows from each other, such as a name; a list without it would say nothing."""
    fields = domain.file.entities[tool.entity].fields
    return [name for name in part.columns if fields[name].type in ("person", "text", "id") and fields[name].said][:1]


def _givens(
    domain: Domain, role: str, groups: Sequence[Group], *, without: str | None = None
) -> Iterator[Givens | None]:
    """The values of the policy's axes under which each call that the words ask for is allowed, by all rules but one."""
    for group in groups:
        filters = tuple(each.field for each in (group.target.conditions if group.target else ()))
        tools = [domain.file.parts[use.part].tool for use in group.uses]
        if group.target is not None and group.target.search is not None and group.target.search not in tools:
            shown = tuple(domain.file.tools[group.target.search].returns)
            yield givens_for(domain, role, group.target.search, shown, filters, without=without)
        for condition in group.target.conditions if group.target else ():
            if condition.how == "via" and group.target is not None:
                referenced = domain.referenced_entity(domain.file.entities[group.target.entity], condition.field)
                found = name_search(domain, referenced, condition.key)
                if found is not None:
                    yield givens_for(
                        domain, role, found[0], tuple(domain.file.tools[found[0]].returns), without=without
                    )
        for use, name in zip(group.uses, tools, strict=True):
            tool = domain.file.tools[name]
            shown = use.columns or tuple(tool.returns) if tool.operation in ("list", "get", "export") else ()
            fields_set = [each.field for each in tool.parameters.values() if each.does == "set" and each.field]
            measured = [str(v) for n, v in use.choices if tool.parameters[n].does in ("measured", "group")]
            part = domain.file.parts[use.part]
            single = [(n, v[0]) for n, v in part.arguments.items() if isinstance(v, list) and len(v) == 1]
            others = (*(filters if tool.operation in FILTERING else ()), *fields_set, *measured)
            taken = tuple((n, group.target.entity, field) for n, field in found_arguments(part) if group.target)
            yield givens_for(domain, role, name, shown, others, (*use.choices, *single), taken, without)
