"""Checks the arguments of parts: lists, draws and expressions, and what the tool requires beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from pydantic import TypeAdapter, ValidationError

from gatling_sid.models import SensitivityTier
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.checks.problems import FileProblem, expressions_in, find_unknown
from gatling_sid.schemas.composition.look_ups import fields_to_tell
from gatling_sid.schemas.composition.shapes import entity_of_part
from gatling_sid.schemas.conditions import value_fits
from gatling_sid.schemas.domain import choices_of
from gatling_sid.schemas.references import reference_in

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_DRAW: TypeAdapter[Any] = TypeAdapter(c.Draw)
_NUMBERS = ("money", "integer", "number")
ROOTS = ("principal", "policy", "limits")
"""What the expressions in the draws and the `where` of a part may begin with; `limits` are what rules allow."""


def check_part_arguments(where: str, domain: Domain, name: str) -> Iterator[FileProblem]:
    """Yields what is wrong with the arguments of a part; its tool and the entities must exist."""
    part = domain.file.parts[name]
    tool, here = domain.file.tools[part.tool], f"{where}.with"
    yield from find_unknown(here, part.arguments, tool.parameters, f"parameter of {part.tool}")
    for argument, value in part.arguments.items():
        parameter, where_argument = tool.parameters.get(argument), f"{here}.{argument}"
        if parameter is None:
            continue
        if isinstance(value, list):
            yield from _check_values(where_argument, domain, tool, parameter, value)
        elif fields_to_tell(value):
            yield from _check_composed(where_argument, domain, name, parameter, fields_to_tell(value), argument)
        elif isinstance(value, Mapping):
            yield from _check_draw(where_argument, domain, name, domain.field_of(tool, parameter), value)
        else:
            yield from _check_expression(where_argument, domain, name, value)
    chosen = part.arguments.get(part.by_value or "")
    if part.by_value is not None and not isinstance(chosen, list) and not fields_to_tell(chosen):
        yield (
            f"{where}.by_value",
            f"{part.by_value} must be an argument of `with` that has a list of values, or `tells`",
        )
    yield from _check_required(here, domain, name)


def _check_values(
    where: str, domain: Domain, tool: c.Tool, parameter: c.Parameter, values: list[Any]
) -> Iterator[FileProblem]:
    field = domain.field_of(tool, parameter)
    known = parameter.values or _known_values(domain, tool, parameter, field)
    given = [each for each in values if not (each is None and parameter.does == "group")]
    if not values:
        yield where, "the list is empty"
    elif known:
        yield from find_unknown(where, dict.fromkeys(map(str, given)), map(str, known), "value")
    elif field is not None:
        for each in given:
            if not value_fits(field, each):
                yield where, f"{each!r} is not a value of type {field.type}"


def _known_values(domain: Domain, tool: c.Tool, parameter: c.Parameter, field: c.EntityField | None) -> tuple[Any, ...]:
    """The values that a parameter takes if it lists none itself; none if they are not limited."""
    if parameter.does == "measure":
        return get_args(c.Measure)
    if parameter.does in ("measured", "group", "select"):
        return domain.shown_fields(tool.entity)
    return choices_of(field) if field is not None and field.type == "choice" else ()


def _check_draw(
    where: str, domain: Domain, name: str, field: c.EntityField | None, value: Mapping[str, Any]
) -> Iterator[FileProblem]:
    try:
        draw = _DRAW.validate_python(dict(value))
    except ValidationError as error:
        first = error.errors()[0]
        yield ".".join(map(str, (where, *first["loc"]))), first["msg"].removeprefix("Value error, ")
        return
    for reference in expressions_in(value):
        yield from find_unknown(where, [reference.root], ROOTS, "root of an expression in a part")
        if reference.root == "principal":
            yield from _check_attribute(where, domain, domain.file.parts[name], str(reference.path[0]))
    match draw:
        case c.DateDraw():
            types: tuple[str, ...] = ("date",)
        case c.AmountDraw() | c.NumberDraw():
            types = _NUMBERS
        case c.ChoiceDraw():
            return
        case _:
            yield where, "a part draws one of `choose`, a number, an amount or days_from_today"
            return
    if field is not None and field.type not in types:
        yield where, f"such a draw does not give a value of type {field.type}"


def _check_composed(
    where: str,
    domain: Domain,
    name: str,
    parameter: c.Parameter,
    fields_by_entry: Mapping[str, Sequence[str]],
    argument: str,
) -> Iterator[FileProblem]:
    """Yields what is wrong with a text that the assistant writes: it tells fields of the row, which are not sensitive."""
    part, entity = domain.file.parts[name], entity_of_part(domain, name)
    if part.by_value != argument:
        yield where, f"add `by_value: {argument}`, and for each entry of `tells` the phrases that ask for it"
    if parameter.does not in ("content", "set"):
        yield where, f"a parameter that does {parameter.does!r} takes no text of the assistant"
    if entity is None:
        yield where, "there is no row to tell of; say with `of` of which entity it is"
        return
    fields = domain.file.entities[entity].fields
    for each in dict.fromkeys(field for listed in fields_by_entry.values() for field in listed):
        yield from find_unknown(where, [each], fields, f"field of {entity}")
        if each in fields and fields[each].sensitivity.rank > SensitivityTier.INTERNAL.rank:
            yield where, f"{each} is {fields[each].sensitivity.value}; a message tells no more than internal fields"
        if each in fields and fields[each].lures:
            yield where, f"{each} may hold a lure, which a message must not pass on"


def _check_expression(where: str, domain: Domain, name: str, value: Any) -> Iterator[FileProblem]:
    reference, part, entity = reference_in(value), domain.file.parts[name], entity_of_part(domain, name)
    if reference is None or reference.root not in ("found", "principal") or len(reference.path) != 1:
        yield where, f"{value!r} must be a list of values, a draw, $found.<field> or $principal.<attribute>"
        return
    first = str(reference.path[0])
    if reference.root == "principal":
        yield from _check_attribute(where, domain, part, first)
    elif entity is None:
        yield where, f"{value} has no row; say with `of` of which entity it is"
    else:
        yield from find_unknown(where, [first], domain.file.entities[entity].fields, f"field of {entity}")


def _check_attribute(where: str, domain: Domain, part: c.Part, attribute: str) -> Iterator[FileProblem]:
    for role in dict.fromkeys(part.roles):
        if role in domain.file.roles:
            yield from find_unknown(where, [attribute], domain.file.roles[role].attributes, f"attribute of {role}")


def _check_required(where: str, domain: Domain, name: str) -> Iterator[FileProblem]:
    """Yields required parameters that neither `with` nor the rows of a part give a value to."""
    part, entity = domain.file.parts[name], entity_of_part(domain, name)
    tool = domain.file.tools[part.tool]
    for parameter_name, parameter in tool.parameters.items():
        if not parameter.required or parameter.default is not None or parameter_name in part.arguments:
            continue
        match parameter.does:
            case "key" | "keys" | "about" if entity != tool.entity:
                yield where, f"{part.tool} requires {parameter_name}; the rows of {entity} do not give it"
            case "recipient" if entity is None or not tool.addressee:
                yield where, f"{part.tool} requires {parameter_name}; give it, or name the `addressee` of the tool"
            case "select" if not part.columns:
                yield where, f"{part.tool} requires {parameter_name}; list the `columns` that may be asked for"
            case "filter" if not _must_say(part, parameter.field):
                yield where, f"{part.tool} requires {parameter_name}; add {parameter.field} to `must_say`"
            case (
                "set"
                | "add"
                | "subtract"
                | "content"
                | "attachment"
                | "target"
                | "format"
                | "measure"
                | "limit"
                | "sort"
            ):
                yield where, f"{part.tool} requires {parameter_name}; give it a list, a draw or an expression"


def _must_say(part: c.Part, field: str | None) -> bool:
    return any(each.partition("=")[0].partition(".")[0] == field for each in part.must_say)
