"""Checks entities: their keys, the wordings of the values of choice fields, and how their fields are filled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas import population as p
from gatling_sid.schemas.checks.problems import FileProblem, find_unknown, placeholders

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain


def check_entities(domain: Domain) -> Iterator[FileProblem]:
    """Yields what is wrong with entities; a field may depend only on earlier fields and on entities above."""
    entities_above: dict[str, c.Entity] = {}
    for name, entity in domain.file.entities.items():
        where = f"entities.{name}"
        yield from find_unknown(f"{where}.key", [entity.key], entity.fields, "field")
        if entity.key in entity.fields and entity.fields[entity.key].type != "id":
            yield f"{where}.key", f"{entity.key} is not of type id"
        earlier: dict[str, c.EntityField] = {}
        for field_name, field in entity.fields.items():
            here = f"{where}.fields.{field_name}"
            yield from _check_fill(here, field.populate, domain, earlier, entities_above)
            if field.type == "choice" and field.words:
                yield from find_unknown(f"{here}.words", field.words, _values_with_words(field), "value")
            earlier[field_name] = field
        entities_above[name] = entity


def _values_with_words(field: c.EntityField) -> Iterable[str]:
    """The values that may have wordings: those that the field is filled with, unless tools write further ones."""
    fill = field.populate
    return fill.choice if isinstance(fill, p.ChoiceFill) and len(fill.choice) >= len(field.words) else field.words


def _check_fill(
    where: str,
    fill: Any,
    domain: Domain,
    earlier: Mapping[str, c.EntityField],
    entities_above: Mapping[str, c.Entity],
) -> Iterator[FileProblem]:
    yield from _check_ranges(where, fill)
    match fill:
        case p.PoolFill(pool=str(pool)):
            yield from find_unknown(where, [pool], domain.pools, "pool")
        case p.TemplateFill():
            known = {*domain.pools, *earlier}
            yield from find_unknown(where, placeholders(fill.template), known, "pool or earlier field")
        case p.DaysAfterFill(days_after=name) | p.FractionFill(fraction_of=name):
            yield from find_unknown(where, [name], earlier, "earlier field")
        case p.EmailFill():
            yield from find_unknown(where, fill.email, earlier, "earlier field")
        case p.ReferenceFill():
            yield from find_unknown(where, [fill.ref], entities_above, "entity above")
            if fill.ref in entities_above:
                yield from find_unknown(where, fill.where, entities_above[fill.ref].fields, f"field of {fill.ref}")
        case p.CopyFill():
            yield from _check_copy(where, fill.copy_of, domain, earlier, entities_above)
        case p.ByFieldFill():
            yield from find_unknown(where, [fill.by], earlier, "earlier field")
            for each in [*fill.cases.values(), fill.otherwise]:
                yield from _check_fill(where, each, domain, earlier, entities_above)
        case p.IfPastFill():
            yield from find_unknown(where, [fill.if_past], earlier, "earlier field")
            for each in [fill.then, fill.otherwise]:
                yield from _check_fill(where, each, domain, earlier, entities_above)


def _check_ranges(where: str, fill: Any) -> Iterator[FileProblem]:
    """Yields a problem if no value could be drawn."""
    match fill:
        case (
            p.IntegerFill(integer=(low, high)) | p.MoneyFill(money=(low, high)) | p.DaysAgoFill(days_ago=(low, high))
            | p.DaysAheadFill(days_ahead=(low, high)) | p.DaysAfterFill(days=(low, high)) | p.FractionFill(between=(low, high))
        ) if low > high:  # fmt: skip
            yield where, f"{low} to {high} is empty; write the lower end first"
        case p.MoneyFill(money=(low, _)) if low <= 0:
            yield where, f"amounts must be above 0; the range starts at {low:g}"
        case p.ChoiceFill(choice=weights) if not weights or min(weights.values()) < 0 or not any(weights.values()):
            yield where, "a choice needs values, and weights above 0"
        case p.PoolFill(pool=[]):
            yield where, "the list is empty"


def _check_copy(
    where: str,
    path: str,
    domain: Domain,
    earlier: Mapping[str, c.EntityField],
    entities_above: Mapping[str, c.Entity],
) -> Iterator[FileProblem]:
    reference, _, field = path.partition(".")
    if reference not in earlier or earlier[reference].type != "ref":
        yield where, f"copy needs `reference_field.field`, and {reference!r} is not an earlier field of type ref"
        return
    holder = next(e for e in domain.file.entities.values() if e.fields.get(reference) is earlier[reference])
    source = domain.referenced_entity(holder, reference)
    if source in entities_above:
        yield from find_unknown(where, [field], entities_above[source].fields, "field")
