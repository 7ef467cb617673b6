"""Checks the parts of tasks: what they name exists, and their tool gets every argument that it requires."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.checks.conditions import check_conditions
from gatling_sid.schemas.checks.draws import joined_fields
from gatling_sid.schemas.checks.part_arguments import ROOTS, check_part_arguments
from gatling_sid.schemas.checks.problems import FileProblem, expressions_in, find_unknown
from gatling_sid.schemas.composition.conditions import conditions_of
from gatling_sid.schemas.composition.shapes import entity_of_part, number_of
from gatling_sid.schemas.composition.targets import FILTERING, key_phrases

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_OPERATIONS_WITH_COLUMNS = ("list", "get", "export")


def check_parts(domain: Domain) -> Iterator[FileProblem]:
    """Yields what is wrong with parts, except with their texts; a part whose tool or entity is unknown is skipped."""
    for name, part in domain.file.parts.items():
        where = f"parts.{name}"
        yield from find_unknown(f"{where}.tool", [part.tool], domain.file.tools, "tool")
        yield from find_unknown(f"{where}.roles", dict.fromkeys(part.roles), domain.file.roles, "role")
        yield from find_unknown(f"{where}.of", [part.of] if part.of else [], domain.file.entities, "entity")
        if has_known_names(domain, part):
            yield from _check_rows(where, domain, name)
            yield from _check_columns(f"{where}.columns", domain, part)
            yield from check_part_arguments(where, domain, name)


def has_known_names(domain: Domain, part: c.Part) -> bool:
    """Whether the tool of a part, its entity and the entity of its rows exist."""
    tool = domain.file.tools.get(part.tool)
    return tool is not None and {tool.entity, part.of or tool.entity} <= domain.file.entities.keys()


def _check_rows(where: str, domain: Domain, name: str) -> Iterator[FileProblem]:
    """Yields what is wrong with the description of the rows that a part is applied to."""
    part, entity_name = domain.file.parts[name], entity_of_part(domain, name)
    given = [key for key in ("found_by", "by", "must_say", "where") if getattr(part, key)]
    if entity_name is None:
        for key in given:
            yield f"{where}.{key}", "the part is about no rows; say of which entity they are with `of`"
        return
    entity = domain.file.entities[entity_name]
    of_entity = f"field of {entity_name}"
    yield from find_unknown(f"{where}.by", part.by or (), entity.fields, of_entity)
    for field in part.by or ():
        if field in entity.fields and not entity.fields[field].said:
            yield f"{where}.by", f"{field} of {entity_name} has no phrases; write `said` for it, or leave it out"
    fields = {**entity.fields, **joined_fields(part.where, entity, domain)}
    yield from find_unknown(f"{where}.where", part.where, fields, of_entity)
    yield from check_conditions(f"{where}.where", fields, part.where)
    yield from _check_attributes(f"{where}.where", domain, part)
    if part.found_by is not None:
        yield from _check_search(f"{where}.found_by", domain, part.found_by, entity_name)
    if not entity.noun and not all("~" not in text for text in _all_phrases(entity)):
        yield f"entities.{entity_name}.noun", f"needs a noun for the ~ of its phrases, since {name} is about such rows"


def _all_phrases(entity: c.Entity) -> Iterator[str]:
    for field in entity.fields.values():
        for texts in field.said.values() if isinstance(field.said, Mapping) else (field.said,):
            yield from texts


def _check_search(where: str, domain: Domain, search: str, entity: str) -> Iterator[FileProblem]:
    yield from find_unknown(where, [search], domain.file.tools, "tool")
    tool = domain.file.tools.get(search)
    if tool is None:
        return
    if tool.operation != "list" or tool.entity != entity:
        yield where, f"{search} does not list rows of {entity}"
    elif domain.file.entities[entity].key not in tool.returns:
        yield where, f"{search} does not return {domain.file.entities[entity].key}, which further calls need"


def _check_attributes(where: str, domain: Domain, part: c.Part) -> Iterator[FileProblem]:
    """Yields expressions in `where` that have no value, such as attributes that the people of some role do not have."""
    for reference in expressions_in(part.where):
        yield from find_unknown(where, [reference.root], ROOTS, "root of an expression in a part")
        for role in dict.fromkeys(part.roles) if reference.root == "principal" else ():
            if role in domain.file.roles:
                known = domain.file.roles[role].attributes
                yield from find_unknown(where, [str(reference.path[0])], known, f"attribute of {role}")


def _check_columns(where: str, domain: Domain, part: c.Part) -> Iterator[FileProblem]:
    tool = domain.file.tools[part.tool]
    if not part.columns:
        return
    select = next((each for each in tool.parameters.values() if each.does == "select"), None)
    if tool.operation not in _OPERATIONS_WITH_COLUMNS or select is None:
        yield where, f"{part.tool} selects no fields; give it a parameter with `does: select`, or remove the columns"
        return
    fields = domain.file.entities[tool.entity].fields
    yield from find_unknown(where, part.columns, map(str, select.values or fields), f"field that {part.tool} selects")
    for name in part.columns:
        if "_" in name and name in fields and not fields[name].called:
            yield where, f"nobody would say {name}; write `called` with it in {tool.entity}"


# --- conditions that must be said ------------------------------------------------------------------------------


def check_must_say(domain: Domain) -> Iterator[FileProblem]:
    """Yields conditions that a part demands and that nobody can state; all earlier sections must have no problems."""
    for name, part in domain.file.parts.items():
        where, entity_name = f"parts.{name}.must_say", entity_of_part(domain, name)
        if entity_name is None:
            continue
        entity = domain.file.entities[entity_name]
        for demanded in part.must_say:
            if demanded == "key":
                if not key_phrases(entity):
                    yield where, f"{entity.key} of {entity_name} has no phrases; write `said` for it"
                if number_of(domain, name) == "many":
                    yield where, "a key states one row, and the part is about many; remove one of them"
                continue
            if demanded == "mine" and "mine" in entity.fields[entity.key].said:
                continue
            possible = {each for role in part.roles for each in sayable_conditions(domain, part, entity_name, role)}
            if demanded not in possible:
                known = ", ".join(sorted(possible)) or "none"
                yield where, f"no condition {demanded!r} can be said; known are {known}"


def sayable_conditions(domain: Domain, part: c.Part, entity: str, role: str) -> Iterator[str]:
    """The names of the conditions that a role can state for the tools that may find the rows of a part."""
    tools = [part.found_by or part.tool] if part.found_by or _filters(domain, part.tool) else [
        name for name, tool in domain.file.tools.items() if tool.operation == "list" and tool.entity == entity
    ]  # fmt: skip
    for tool in tools:
        for condition in conditions_of(domain, tool, role):
            if part.by is None or condition.field in part.by:
                yield from (condition.field, str(condition), condition.how)


def _filters(domain: Domain, tool: str) -> bool:
    return domain.file.tools[tool].operation in FILTERING
