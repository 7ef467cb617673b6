"""About how many rows meet some conditions, as far as the way in which fields are filled tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas import domain as d
from gatling_sid.schemas import population as p
from gatling_sid.schemas.composition.conditions import StatedCondition

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_SHARE_OF_BOUND, _SHARE_OF_DAY = 0.35, 1 / 40
"""Shares of rows that a bound or a period leaves, and a single day, roughly; they are drawn to suit a row."""
_UNKNOWN, _NAMESAKES = 1 / 20, 1.3


def expected_rows(domain: Domain, entity: str, conditions: Sequence[StatedCondition]) -> float:
    """About how many rows of an entity meet the conditions."""
    return domain.file.entities[entity].count * prod(_share(domain, entity, each) for each in conditions)


@lru_cache(maxsize=8192)
def _share(domain: Domain, name: str, condition: StatedCondition) -> float:
    entity = domain.file.entities[name]
    field = entity.fields[condition.field]
    if condition.match != "equals" and not condition.identifies(entity):
        return _SHARE_OF_BOUND
    if field.type == "date":
        return _SHARE_OF_DAY
    value = condition.key if condition.how == "choice" else None
    return _share_of_value(domain, entity, condition.field, value)


def _share_of_value(domain: Domain, entity: c.Entity, name: str, value: str | None) -> float:
    """The share of rows with a value in a field or, if it is None, with some value that a row has."""
    field = entity.fields[name]
    if name == entity.key or getattr(field.populate, "unique", False):
        return 1 / entity.count
    if field.type == "person" and isinstance(field.populate, p.TemplateFill):
        return _NAMESAKES / entity.count
    match field.populate:
        case p.CopyFill(copy_of=path):
            reference, _, source = path.partition(".")
            referenced = domain.file.entities[domain.referenced_entity(entity, reference)]
            if source == referenced.key:
                return _share_of_value(domain, entity, reference, value)
            return _share_of_value(domain, referenced, source, value)
        case p.ReferenceFill(ref=referenced_name, where=where):
            referenced = domain.file.entities[referenced_name]
            kept = prod(_share_of_value(domain, referenced, key, str(each)) for key, each in where.items())
            return 1 / max(1, referenced.count * kept)
        case fill:
            return _share_of_fill(domain, field, fill, value)


def _share_of_fill(domain: Domain, field: c.EntityField, fill: Any, value: str | None) -> float:
    if isinstance(fill, (p.ByFieldFill, p.IfPastFill)):
        cases = (
            [*fill.cases.values(), fill.otherwise] if isinstance(fill, p.ByFieldFill) else [fill.then, fill.otherwise]
        )
        filled = [each for each in cases if each is not None]
        constants = {each.value for each in filled if isinstance(each, p.ConstantFill)}
        if value is None and constants and len(filled) == sum(isinstance(each, p.ConstantFill) for each in filled):
            return 1 / len(constants)
        return sum(_share_of_fill(domain, field, each, value) for each in filled) / max(1, len(filled))
    if isinstance(fill, p.ChoiceFill):
        return _share_of_choice(fill.choice, value)
    if isinstance(fill, p.ChanceFill):
        return fill.chance if value == "true" else 1 - fill.chance
    if isinstance(fill, p.ConstantFill):
        return 1.0 if value in (None, str(fill.value)) else 0.0
    if isinstance(fill, p.PoolFill):
        values = domain.pools.get(fill.pool, []) if isinstance(fill.pool, str) else fill.pool
        return (1.0 if value is None else values.count(value)) / max(1, len(values))
    return 1 / max(len(d.choices_of(field)), 1 / _UNKNOWN if field.type not in ("choice", "flag") else 2)


def _share_of_choice(weights: Mapping[str, float], value: str | None) -> float:
    total = sum(weights.values())
    # The value of a drawn row is a frequent one more often than not.
    share = sum(each * each for each in weights.values()) / total if value is None else weights.get(value, 0)
    return share / total if total else 0.0
