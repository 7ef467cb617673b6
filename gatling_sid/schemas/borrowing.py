"""Tools of other domains that the parts of a domain use, such as `calendar.create_event` in Healthcare.

A borrowed tool has the schema that its own domain publishes. The borrowing domain's world holds no row of the entity on
which it acts: what is created there, or sent, is an effect like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas import population as p
from gatling_sid.schemas.checks.problems import FileProblem, find_unknown
from gatling_sid.schemas.domain import choices_of
from gatling_sid.schemas.strict import Scalar, StrictModel

_SECTION = re.compile(rb"^(?:name|entities|tools):.*?(?=^\w|\Z)", re.MULTILINE | re.DOTALL)
_LENT = ("create", "send")
"""Operations that need no row of the lender's world."""


class LenderFile(StrictModel):
    """What is read of the file of a lender."""

    name: str
    entities: dict[str, c.Entity]
    tools: dict[str, c.Tool]


def sections_of_lender(file: bytes) -> bytes:
    """The sections of a domain file that a borrower needs, since parsing all of it takes four times as long."""
    return b"".join(found.group() for found in _SECTION.finditer(file))


def borrowing_problems(file: c.DomainFile, lenders: Mapping[str, LenderFile]) -> Iterator[FileProblem]:
    """Yields the tools that a domain borrows although they do not exist, or cannot be used without the lender's rows."""
    yield from find_unknown("borrows", file.borrows, lenders, "domain")
    for slug, names in file.borrows.items():
        tools = lenders[slug].tools if slug in lenders else {}
        if slug in lenders:
            yield from find_unknown(f"borrows.{slug}", names, tools, f"tool of {slug}")
        for name in names:
            if name in tools and not can_be_lent(tools[name]):
                yield (
                    f"borrows.{slug}",
                    f"{name} needs rows of {slug}; only tools that create, or that send about no row, are lent",
                )


def can_be_lent(tool: c.Tool) -> bool:
    """Whether other domains may borrow a tool: it creates, or sends about no row."""
    return tool.operation in _LENT and not any(each.does == "about" for each in tool.parameters.values())


def with_borrowed_tools(file: c.DomainFile, lenders: Mapping[str, LenderFile]) -> c.DomainFile:
    """The file with its borrowed tools among its own, each with an entity that has no rows; there must be no problems."""
    tools, entities = dict(file.tools), dict(file.entities)
    for slug, names in file.borrows.items():
        for name in names:
            tool = lenders[slug].tools[name]
            own_name = f"{slug}.{tool.entity}"
            fields = {field for other in names for field in _fields_of(lenders[slug].tools[other])}
            entities[own_name] = _without_rows(lenders[slug].entities[tool.entity], fields)
            tools[f"{slug}.{name}"] = tool.model_copy(update={"entity": own_name, "requires": {}, "returns": []})
    return file.model_copy(update={"tools": tools, "entities": entities})


def _fields_of(tool: c.Tool) -> set[str]:
    return {*tool.sets, *(each.field for each in tool.parameters.values() if each.field is not None)}


def _without_rows(entity: c.Entity, fields: set[str]) -> c.Entity:
    """An entity with the given fields and its key, each filled with nothing but its choices."""
    kept = {name: _unfilled(field) for name, field in entity.fields.items() if name in fields or name == entity.key}
    update = {"count": 0, "fields": kept, "unique_by": [], "ordered": [], "consistent": []}
    return entity.model_copy(update=update)


def _unfilled(field: c.EntityField) -> c.EntityField:
    choices: list[Scalar] = [*choices_of(field)] if field.type == "choice" else []
    return c.EntityField(
        type="id" if field.type == "ref" else field.type,
        currency=field.currency,
        sensitivity=field.sensitivity,
        populate=p.PoolFill(pool=choices) if choices else None,
        words=field.words,
        called=field.called,
    )
