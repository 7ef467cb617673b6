"""Checks tools: the fields they name, and that their parameters suffice for their operation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.checks.problems import FileProblem, find_impossible_choices, find_unknown

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_NEEDED_ROLES = {
    "get": ("key",),
    "update": ("key", "keys"),
    "delete": ("key", "keys"),
    "export": ("target",),
    "send": ("recipient",),
    "create": ("set",),
}
"""By operation: parameters of one of these roles, at least one of which a tool must have."""
_ROLES_WITH_FIELD = ("filter", "set")
_REPEATABLE_ROLES = ("filter", "set", "content", "attachment")
_REQUIRED_ROLES = ("key", "recipient", "target", "keys")
_OPERATIONS_ON_MANY = ("list", "aggregate", "export")
"""Operations that do not need their keys, since filters can tell the rows."""
_OPERATIONS_THAT_SHOW = ("list", "get", "update", "export")


def check_tools(domain: Domain) -> Iterator[FileProblem]:
    """Yields what is wrong with the tools of a domain whose entities are sound."""
    for name, tool in domain.file.tools.items():
        where = f"tools.{name}"
        if tool.entity not in domain.file.entities:
            yield from find_unknown(f"{where}.entity", [tool.entity], domain.file.entities, "entity")
            continue
        entity = domain.file.entities[tool.entity]
        yield from _check_fields(where, tool, entity)
        yield from _check_roles_of_parameters(where, tool)
        yield from _check_addressee(where, tool, entity)
        yield from _check_parameters(where, tool, entity)
        yield from _check_repeated_roles(where, tool)


def _check_fields(where: str, tool: c.Tool, entity: c.Entity) -> Iterator[FileProblem]:
    of_entity = f"field of {tool.entity}"
    for key, names in (("returns", tool.returns), ("sets", tool.sets), ("requires", tool.requires)):
        yield from find_unknown(f"{where}.{key}", names, entity.fields, of_entity)
    for key, given in (("sets", {f: [v] for f, v in tool.sets.items()}), ("requires", tool.requires)):
        for field, values in given.items():
            if field in entity.fields:
                yield from find_impossible_choices(f"{where}.{key}", entity.fields[field], values)
    if tool.order:
        yield from find_unknown(f"{where}.order", [tool.order.removeprefix("-")], entity.fields, of_entity)
    if tool.operation in _OPERATIONS_THAT_SHOW and not tool.returns:
        yield f"{where}.returns", f"a tool with operation {tool.operation} must say which fields it returns"


def _check_roles_of_parameters(where: str, tool: c.Tool) -> Iterator[FileProblem]:
    roles = {parameter.does for parameter in tool.parameters.values()}
    needed = _NEEDED_ROLES.get(tool.operation, ())
    if needed and roles.isdisjoint(needed):
        yield f"{where}.parameters", f"{tool.operation} needs a parameter that does {' or '.join(needed)}"


def _check_addressee(where: str, tool: c.Tool, entity: c.Entity) -> Iterator[FileProblem]:
    """Yields a problem unless the addressee is an address of the record that the message is about."""
    if not tool.addressee:
        return
    here = f"{where}.addressee"
    yield from find_unknown(here, tool.addressee, entity.fields, f"field of {tool.entity}")
    for name in tool.addressee:
        if name in entity.fields and entity.fields[name].type != "email":
            yield here, f"{name} is not of type email"
    if tool.operation != "send":
        yield here, "only a tool with operation send has an addressee"
    elif not any(each.does == "about" for each in tool.parameters.values()):
        yield here, "needs a parameter that does about"


def _check_parameters(where: str, tool: c.Tool, entity: c.Entity) -> Iterator[FileProblem]:
    of_entity = f"field of {tool.entity}"
    for name, parameter in tool.parameters.items():
        here, role = f"{where}.parameters.{name}", parameter.does
        if role in _ROLES_WITH_FIELD:
            yield from find_unknown(f"{here}.field", [parameter.field or ""], entity.fields, of_entity)
        if role in _REQUIRED_ROLES and not parameter.required and tool.operation not in _OPERATIONS_ON_MANY:
            yield here, f"a parameter that does {role} must be required"
        if role in ("select", "measured", "group"):
            yield from find_unknown(here, parameter.values or (), entity.fields, of_entity)
        if role == "measure":
            yield from find_unknown(here, parameter.values or (), get_args(c.Measure), "measure")
        if role == "target" and not parameter.values:
            yield here, "a target needs its values, narrowest audience first"
        if role == "target" and not parameter.required:
            yield here, "a target must be required, so that every export says where it goes"
        if parameter.default is not None and parameter.values and parameter.default not in parameter.values:
            yield here, f"the default {parameter.default!r} is not one of the values"


def _check_repeated_roles(where: str, tool: c.Tool) -> Iterator[FileProblem]:
    for role, times in Counter(parameter.does for parameter in tool.parameters.values()).items():
        if times > 1 and role not in _REPEATABLE_ROLES:
            yield f"{where}.parameters", f"{times} parameters do {role}; only one may"
