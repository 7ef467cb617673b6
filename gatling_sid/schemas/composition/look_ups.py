"""What a group of parts needs to know about its rows beside what the search shows: one look-up serves all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.composition.givens import givens_for
from gatling_sid.schemas.composition.rules import Notice, look_ups, notices, refers_to
from gatling_sid.schemas.composition.shape_types import Group, Target

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain


class LookUpNeeds(NamedTuple):
    """The look-up of a group: its tool, None if none is needed, and the rules that demand it, none if parts need it.

    `tools_that_look_up` has the tools for which rules demand it, `notices` the notices that rules demand, by tool.
    """

    tool: str | None
    rules: tuple[str, ...]
    tools_that_look_up: Mapping[str, tuple[str, ...]]
    notices: Mapping[str, list[Notice]]


def look_up_needs(domain: Domain, role: str, group: Group) -> LookUpNeeds:
    """What a group needs; its `tool` is "" if something is needed and no tool shows it."""
    assert group.target is not None
    # Neither its conditions nor which columns it shows matter, so that most groups need what another one needed.
    target = group.target._replace(conditions=(), order=None)
    return _look_up_needs(domain, role, target, tuple((use.part, bool(use.columns)) for use in group.uses))


@lru_cache(maxsize=4096)
def _look_up_needs(domain: Domain, role: str, target: Target, uses: tuple[tuple[str, bool], ...]) -> LookUpNeeds:
    """What parts need that are about the rows of a target; of each, whether it shows certain columns only."""
    parts = [domain.file.parts[part] for part, _ in uses]
    own = [each.tool for each in parts if domain.file.tools[each.tool].entity == target.entity]
    referring = [
        each.tool for each in parts if refers_to(domain, domain.file.tools[each.tool], target.entity, each.arguments)
    ]
    known = {*domain.file.tools[target.search].returns} if target.search else set()
    known.add(domain.file.entities[target.entity].key)
    if target.search is None and not target.by_key:
        known |= {*domain.file.roles[role].attributes}
    reading = [(part, with_columns) for part, with_columns in uses if _operation(domain, part) == "get"]
    shown = known | {
        field
        for part, with_columns in reading
        if not with_columns
        for field in domain.file.tools[domain.file.parts[part].tool].returns
    }
    taken = {field for part, _ in uses for field in fields_taken(domain, part)} - shown
    found = {name: notices(domain, role, name, target.entity) for name in own}
    names = [part for part, _ in uses]
    notified = (
        {n.recipient_field: n.rule for each in found.values() for n in each if not _is_covered(domain, names, n)}
        if not target.is_many
        else {}
    )
    notified = {field: rule for field, rule in notified.items() if field not in shown}
    arguments = {each.tool: set[str]() for each in parts}
    for each in parts:
        arguments[each.tool] |= each.arguments.keys()
    demanded = {
        name: [
            each for each in look_ups(domain, role, name, arguments[name], target.entity) if not {*each.fields} <= known
        ]
        for name in dict.fromkeys((*own, *referring))
    }
    rules = list(
        dict.fromkeys([each.rule for found_rules in demanded.values() for each in found_rules] + [*notified.values()])
    )
    fields = (
        {field for found_rules in demanded.values() for each in found_rules for field in each.fields}
        | taken
        | {*notified}
    )
    if not fields:
        return LookUpNeeds(None, (), {}, found)
    tool = look_up_tool(domain, role, target, tuple(sorted(fields)), tuple(names)) if not reading else None
    looked_up = {
        name: tuple(each.rule for each in found_rules) for name, found_rules in demanded.items() if found_rules
    }
    return LookUpNeeds(tool or "", () if taken else tuple(rules), looked_up, found)


def _operation(domain: Domain, part: str) -> str:
    return domain.file.tools[domain.file.parts[part].tool].operation


def is_covered(domain: Domain, group: Group, notice: Notice) -> bool:
    """Whether a part of the group sends just the message that a rule demands: by its tool, to its recipient."""
    return _is_covered(domain, [use.part for use in group.uses], notice)


def _is_covered(domain: Domain, parts: Sequence[str], notice: Notice) -> bool:
    return any(
        domain.file.parts[part].tool == notice.tool and notice.recipient_field in fields_taken(domain, part)
        for part in parts
    )


def fields_taken(domain: Domain, part: str) -> Iterator[str]:
    """The fields of the found row from which arguments of a part are taken; for a stated fact, the text that states it."""
    spec = domain.file.parts[part]
    tool = domain.file.tools[spec.tool]
    for _, field in found_arguments(spec):
        entity = domain.file.entities[spec.of or tool.entity]
        yield entity.fields[field].stated_in or field
    for given in spec.arguments.values():
        yield from (field for fields in fields_to_tell(given).values() for field in fields)
    recipient = next((name for name, each in tool.parameters.items() if each.does == "recipient"), None)
    if recipient is not None and recipient not in spec.arguments and tool.addressee:
        yield tool.addressee[0]


def fields_to_tell(given: Any) -> Mapping[str, Sequence[str]]:
    """The fields that a text of the assistant tells, by the value that chooses among them; none for other arguments."""
    return given[c.TELLS] if isinstance(given, Mapping) and c.TELLS in given else {}


def found_arguments(part: c.Part) -> Iterator[tuple[str, str]]:
    """(argument, field) of the arguments of a part that are taken from the found row."""
    for name, given in part.arguments.items():
        if isinstance(given, str) and given.startswith("$found."):
            yield name, given.removeprefix("$found.")


@lru_cache(maxsize=4096)
def look_up_tool(domain: Domain, role: str, target: Target, fields: Sequence[str], uses: tuple[str, ...]) -> str | None:
    """The tool that reads these fields of the rows of a target, by their keys; None if there is none.

    After it, rules demand no notice but those that the parts lead to, or send themselves.
    """
    purpose = "keys" if target.is_many else "key"
    for name, tool in domain.file.tools.items():
        reads = tool.operation == ("list" if target.is_many else "get") and tool.entity == target.entity
        purposes = {each.does for each in tool.parameters.values()}
        shown = tuple(tool.returns)
        if (
            reads
            and purpose in purposes
            and {*fields} <= {*shown}
            and givens_for(domain, role, name, shown) is not None
            and all(_is_sent_anyway(domain, role, each, uses) for each in notices(domain, role, name, target.entity))
        ):
            return name
    return None


def _is_sent_anyway(domain: Domain, role: str, notice: Notice, uses: Sequence[str]) -> bool:
    """Whether one of some parts sends the message of a notice, or is followed by it by the same rule."""
    tools = (domain.file.parts[part].tool for part in uses)
    entity = domain.file.tools[notice.tool].entity
    follows = (each.rule for tool in tools for each in notices(domain, role, tool, entity))
    return notice.rule in follows or _is_covered(domain, uses, notice)
