"""Checks how the fields of an entity are filled: what a fill depends on, and that it makes values of the field's type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas import population as p
from gatling_sid.schemas.checks.problems import FileProblem, entity_referred_to, find_unknown, placeholders
from gatling_sid.schemas.conditions import value_fits

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_TYPES_OF_SOURCES: Mapping[type, tuple[c.FieldType, ...]] = {
    p.DaysAfterFill: ("date",),
    p.IfPastFill: ("date",),
    p.MinutesAfterFill: ("time",),
    p.FractionFill: ("money", "integer", "number"),
}
"""The types of the field from which a fill computes its value."""
_TYPES_OF_VALUES: Mapping[type, tuple[c.FieldType, ...]] = {
    p.DaysAgoFill: ("date",),
    p.DaysAheadFill: ("date",),
    p.DaysAfterFill: ("date",),
    p.TimeFill: ("time",),
    p.MinutesAfterFill: ("time",),
    p.ChanceFill: ("flag",),
    p.IntegerFill: ("integer", "number", "money"),
    p.MoneyFill: ("money", "number"),
    p.FractionFill: ("money", "number"),
}
"""The types of field for which a fill makes values; fills that make values of any type are left out."""
_COMPUTABLE = ("date", "time", "flag", "integer", "number", "money")
"""The types of field whose values are more than texts."""
_MIN_DAYS_WITH_WORKDAY = 3
"""So many days in succession have a working day among them, whatever weekday is the first."""


def check_fill(
    where: str,
    fill: p.Populate | None,
    domain: Domain,
    earlier: Mapping[str, c.EntityField],
    entities_above: Mapping[str, c.Entity],
) -> Iterator[FileProblem]:
    """Yields names on which a fill depends that do not exist or come later, and ranges without a value."""
    yield from _check_ranges(where, fill)
    match fill:
        case p.PoolFill(pool=str(pool)):
            yield from find_unknown(where, [pool], domain.pools, "pool")
        case p.TemplateFill() | p.ProseFill():
            yield from _check_names_in_text(where, fill, domain, earlier)
        case (
            p.DaysAfterFill(days_after=name) | p.MinutesAfterFill(minutes_after=name) | p.FractionFill(fraction_of=name)
        ):
            yield from _check_source(where, fill, name, earlier)
        case p.EmailFill():
            yield from find_unknown(where, fill.email, earlier, "earlier field")
        case p.ReferenceFill():
            yield from find_unknown(where, [fill.ref], entities_above, "entity above")
            if fill.ref in entities_above:
                yield from find_unknown(where, fill.where, entities_above[fill.ref].fields, f"field of {fill.ref}")
        case p.CopyFill():
            yield from _check_copy(where, fill.copy_of, earlier, entities_above)
        case p.ByFieldFill():
            yield from find_unknown(where, [fill.by], earlier, "earlier field")
            for each in [*fill.cases.values(), fill.otherwise]:
                yield from check_fill(where, each, domain, earlier, entities_above)
        case p.IfPastFill():
            yield from _check_source(where, fill, fill.if_past, earlier)
            for each in [fill.then, fill.otherwise]:
                yield from check_fill(where, each, domain, earlier, entities_above)


def _check_names_in_text(
    where: str, fill: p.TemplateFill | p.ProseFill, domain: Domain, earlier: Mapping[str, c.EntityField]
) -> Iterator[FileProblem]:
    """Yields names in a text that are neither pools nor earlier fields; texts in the pools of prose may have names, too."""
    known, names = {*domain.pools, *earlier}, list[str]()
    if isinstance(fill, p.TemplateFill):
        names = placeholders(fill.template)
    else:
        to_visit = list(p.names_in_prose(fill.prose))
        while to_visit:
            name = to_visit.pop()
            if name not in names:
                names.append(name)
                to_visit += p.names_in_prose(map(str, () if name in earlier else domain.pools.get(name, ())))
    yield from find_unknown(where, names, known, "pool or earlier field")


def _check_source(
    where: str, fill: p.Populate, name: str, earlier: Mapping[str, c.EntityField]
) -> Iterator[FileProblem]:
    yield from find_unknown(where, [name], earlier, "earlier field")
    types = _TYPES_OF_SOURCES[type(fill)]
    if name in earlier and earlier[name].type not in types:
        yield where, f"needs a field of type {' or '.join(types)}, and {name} is of type {earlier[name].type}"


def _check_ranges(where: str, fill: Any) -> Iterator[FileProblem]:
    """Yields a problem if no value could be drawn."""
    match fill:
        case (
            p.IntegerFill(integer=(low, high)) | p.MoneyFill(money=(low, high)) | p.DaysAgoFill(days_ago=(low, high))
            | p.DaysAheadFill(days_ahead=(low, high)) | p.DaysAfterFill(days=(low, high)) | p.FractionFill(between=(low, high))
            | p.MinutesAfterFill(minutes=(low, high))
        ) if low > high:  # fmt: skip
            yield where, f"{low} to {high} is empty; write the lower end first"
        case p.TimeFill(time=(first, last)) if first > last:
            yield where, f"{first} to {last} is empty; write the earlier time first"
        case (
            p.DaysAgoFill(days_ago=(low, high), workdays=True) | p.DaysAheadFill(days_ahead=(low, high), workdays=True)
            | p.DaysAfterFill(days=(low, high), workdays=True)
        ) if high - low + 1 < _MIN_DAYS_WITH_WORKDAY:  # fmt: skip
            yield (
                where,
                f"{low} to {high} may be without a working day; let it span {_MIN_DAYS_WITH_WORKDAY} days or more",
            )
        case p.MoneyFill(money=(low, _)) if low <= 0:
            yield where, f"amounts must be above 0; the range starts at {low:g}"
        case p.ChoiceFill(choice=weights) if not weights or min(weights.values()) < 0 or not any(weights.values()):
            yield where, "a choice needs values, and weights above 0"
        case p.PoolFill(pool=[]):
            yield where, "the list is empty"


def _check_copy(
    where: str,
    path: str,
    earlier: Mapping[str, c.EntityField],
    entities_above: Mapping[str, c.Entity],
) -> Iterator[FileProblem]:
    reference, _, field = path.partition(".")
    if reference not in earlier or earlier[reference].type != "ref":
        yield where, f"copy needs `reference_field.field`, and {reference!r} is not an earlier field of type ref"
        return
    source = entity_referred_to(earlier[reference])
    if source is not None and source in entities_above:
        yield from find_unknown(where, [field], entities_above[source].fields, "field")


def check_values(where: str, field: c.EntityField) -> Iterator[FileProblem]:
    """Yields fills whose values do not have the type of the field, if that is more than a text."""
    for fill in p.simple_fills(field.populate) if field.type in _COMPUTABLE else ():
        types = _TYPES_OF_VALUES.get(type(fill), (field.type,))
        if field.type not in types:
            yield where, f"is of type {field.type}, but filled with values of type {types[0]}"
        for value in _literals(fill):
            if value is not None and not value_fits(field, value):
                yield where, f"{value!r} is not a value of type {field.type}"


def _literals(fill: p.Populate) -> Sequence[Any]:
    """The values that stand in a fill itself."""
    match fill:
        case p.ConstantFill(value=value):
            return [value]
        case p.PoolFill(pool=list(values)):
            return values
    return ()
