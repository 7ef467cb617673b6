"""Checks tools: the fields they name, and that their parameters suffice for their operation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.checks.problems import FileProblem, find_impossible_choices, find_unknown
from gatling_sid.schemas.conditions import DAY_MATCHES

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_NEEDED_PURPOSES = {
    "get": ("key",),
    "update": ("key", "keys"),
    "delete": ("key", "keys"),
    "export": ("target",),
    "send": ("recipient",),
    "create": ("set",),
}
"""By operation: purposes of parameters; a tool must have a parameter with at least one of them."""
_PURPOSES_OF_SUMS = ("add", "subtract")
_REPEATABLE_PURPOSES = ("filter", "set", "content", "attachment", *_PURPOSES_OF_SUMS)
_OPERATIONS_THAT_SHOW = ("list", "get", "update", "export")
_NUMBERS = ("money", "integer", "number")
_MATCHES_OF_DATES = (*DAY_MATCHES, "since", "until")


def check_tools(domain: Domain) -> Iterator[FileProblem]:
    """Yields what is wrong with the tools of a domain; its entities must have no problems."""
    for name, tool in domain.file.tools.items():
        where = f"tools.{name}"
        if tool.entity not in domain.file.entities:
            yield from find_unknown(f"{where}.entity", [tool.entity], domain.file.entities, "entity")
            continue
        entity = domain.file.entities[tool.entity]
        yield from _check_fields(where, tool, entity)
        yield from _check_purposes(where, tool)
        yield from _check_addressee(where, tool, entity)
        yield from _check_parameters(where, tool, entity)
        yield from _check_types(where, tool, entity)
        yield from _check_sorts(where, tool, entity)
        yield from _check_words(where, tool)
        yield from _check_repeated_purposes(where, tool)


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


def _check_purposes(where: str, tool: c.Tool) -> Iterator[FileProblem]:
    purposes = {parameter.does for parameter in tool.parameters.values()}
    needed = _NEEDED_PURPOSES.get(tool.operation, ())
    if needed and purposes.isdisjoint(needed):
        yield f"{where}.parameters", f"operation {tool.operation} needs a parameter with `does: {' or '.join(needed)}`"


def _check_addressee(where: str, tool: c.Tool, entity: c.Entity) -> Iterator[FileProblem]:
    """Yields a problem unless the addressee is an address in the row that the message is about."""
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
        yield here, "needs a parameter with `does: about`"


def _check_parameters(where: str, tool: c.Tool, entity: c.Entity) -> Iterator[FileProblem]:
    of_entity = f"field of {tool.entity}"
    for name, parameter in tool.parameters.items():
        here, purpose = f"{where}.parameters.{name}", parameter.does
        if purpose in c.PURPOSES_WITH_FIELD:
            yield from find_unknown(f"{here}.field", [parameter.field or ""], entity.fields, of_entity)
        if purpose in c.REQUIRED_PURPOSES and not parameter.required and tool.operation not in c.OPERATIONS_ON_MANY:
            yield here, f"a parameter with `does: {purpose}` must be required"
        if purpose in ("select", "measured", "group"):
            yield from find_unknown(here, parameter.values or (), entity.fields, of_entity)
        if purpose == "measure":
            yield from find_unknown(here, parameter.values or (), get_args(c.Measure), "measure")
        if purpose == "target" and not parameter.values:
            yield here, "a target needs `values`; list the one with the smallest audience first"
        if purpose == "target" and not parameter.required:
            yield here, "a target must be required, so that every export names its target"
        if parameter.default is not None and parameter.values and parameter.default not in parameter.values:
            yield here, f"the default {parameter.default!r} is not one of the values"


def _check_types(where: str, tool: c.Tool, entity: c.Entity) -> Iterator[FileProblem]:
    """Yields parameters whose field has a type that they cannot be compared with or added to."""
    for name, parameter in tool.parameters.items():
        here, field = f"{where}.parameters.{name}", entity.fields.get(parameter.field or "")
        is_sum = parameter.does in _PURPOSES_OF_SUMS
        if is_sum and tool.operation != "update":
            yield here, f"only a tool with operation update has a parameter with `does: {parameter.does}`"
        if is_sum and field is not None and field.type not in _NUMBERS:
            yield here, f"`does: {parameter.does}` needs a number, and {parameter.field} is of type {field.type}"
        if not is_sum and parameter.keeps_at_least is not None:
            yield here, "`keeps_at_least` needs `does: add or subtract`"
        if parameter.match in _MATCHES_OF_DATES and field is not None and field.type != "date":
            yield here, f"`match: {parameter.match}` needs a date, and {parameter.field} is of type {field.type}"


def _check_sorts(where: str, tool: c.Tool, entity: c.Entity) -> Iterator[FileProblem]:
    """Yields sorts that the operation does not do, that name no field, or that nobody can ask for."""
    for name, parameter in tool.parameters.items():
        if parameter.does != "sort":
            continue
        here, orders = f"{where}.parameters.{name}", [str(each) for each in parameter.values or ()]
        if tool.operation not in ("list", "export"):
            yield here, "only a tool with operation list or export has a parameter with `does: sort`"
        if parameter.default is not None:
            yield here, "a sort has no default; the tool's `order` is in force if nobody asks for another"
        if not orders:
            yield here, "a sort needs `values`: fields, with `-` before those that descend"
        fields = [order.removeprefix("-") for order in orders]
        yield from find_unknown(f"{here}.values", fields, entity.fields, f"field of {tool.entity}")
        for order in orders:
            if order not in parameter.words:
                yield f"{here}.words", f"needs the words for {order}, such as largest or oldest"


def _check_words(where: str, tool: c.Tool) -> Iterator[FileProblem]:
    """Yields words of parameters whose values have their words elsewhere, and words of values that do not exist."""
    for name, parameter in tool.parameters.items():
        here = f"{where}.parameters.{name}.words"
        if parameter.words and parameter.field is not None:
            yield here, f"the words of {parameter.field} stand with this field of the entity"
        elif parameter.words:
            yield from find_unknown(here, parameter.words, map(str, parameter.values or ()), "value")


def _check_repeated_purposes(where: str, tool: c.Tool) -> Iterator[FileProblem]:
    for purpose, times in Counter(parameter.does for parameter in tool.parameters.values()).items():
        if times > 1 and purpose not in _REPEATABLE_PURPOSES:
            yield f"{where}.parameters", f"{times} parameters have `does: {purpose}`; only one may"
