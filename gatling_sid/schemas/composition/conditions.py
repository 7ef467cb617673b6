"""The conditions that a request can state about rows: filters of a tool whose field tells how people say them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas import domain as d
from gatling_sid.schemas import population as p
from gatling_sid.schemas.conditions import DAY_MATCHES
from gatling_sid.schemas.language.alternatives import alternatives_of
from gatling_sid.schemas.language.noun_phrases import ConditionPhrase, phrase_of

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_IDENTIFYING_TYPES = ("id", "text", "person", "email", "phone")


class StatedCondition(NamedTuple):
    """A condition that a request can state about a field.

    `how` says where its value comes from: a row that is drawn first (`value`), the phrase itself (`choice`, the value is
    `key`), the principal (`mine`, the attribute is `key`), or the field `key` of the row that a reference points to
    (`via`), which is looked up first.
    """

    field: str
    match: c.Match
    how: Literal["value", "choice", "mine", "via"]
    key: str = ""

    def phrases(self, entity: c.Entity) -> list[str]:
        """The phrases of the catalogue for the condition."""
        said = entity.fields[self.field].said
        key = "mine" if self.how == "mine" else self.match if self.how == "value" else self.key
        texts = said if isinstance(said, list) else said[key]
        return [phrase for text in texts for phrase in alternatives_of(text)]

    def identifies(self, entity: c.Entity) -> bool:
        """Whether people single out one row by such a condition."""
        return self.how == "value" and entity.fields[self.field].type in _IDENTIFYING_TYPES

    def may_identify(self, entity: c.Entity) -> bool:
        """Whether such a condition may single out one row, as a day does among one's own meetings."""
        is_day = self.how == "value" and entity.fields[self.field].type == "date" and self.match == "equals"
        return is_day or self.identifies(entity)

    def goes_with(self, other: StatedCondition, entity: c.Entity) -> bool:
        """Whether some phrases of both can stand in one noun phrase; a name takes only what can follow it."""
        mine, others = (_phrases(each, entity) for each in (self, other))
        return any(
            not one.is_whole
            and not another.is_whole
            and not (one.makes_definite and one.before and another.makes_definite and another.before)
            for one in mine
            for another in others
        ) or any(
            (one.is_whole and another.follows_name) or (another.is_whole and one.follows_name)
            for one in mine
            for another in others
        )

    @property
    def is_range(self) -> bool:
        """Whether the condition is met by many values, so that nobody singles out one row by it."""
        return self.match not in ("equals", "contains")

    @property
    def is_period(self) -> bool:
        """Whether the condition counts days."""
        return self.match in DAY_MATCHES

    def __str__(self) -> str:
        """The condition as part of the name of a task: `status=open`, `due_on.next_days`, `vendor_id.name`."""
        how = {"value": f".{self.match}", "choice": f"={self.key}", "mine": ".mine", "via": f".{self.key}"}[self.how]
        return self.field + ("" if how == ".equals" else how)


def _phrases(condition: StatedCondition, entity: c.Entity) -> list[ConditionPhrase]:
    return [phrase_of(text, "", plural=False) for text in condition.phrases(entity)]


@lru_cache(maxsize=1024)
def conditions_of(domain: Domain, tool_name: str, role: str) -> tuple[StatedCondition, ...]:
    """The conditions that a request of the role can state for a tool that filters."""
    tool = domain.file.tools[tool_name]
    fields = domain.file.entities[tool.entity].fields
    found: list[StatedCondition] = []
    for parameter in tool.parameters.values():
        if parameter.does == "filter" and parameter.field in fields:
            found += _conditions_of_filter(domain, tool.entity, parameter.field, parameter.match, role)
    return tuple(found)


def _conditions_of_filter(
    domain: Domain, entity: str, name: str, match: c.Match, role: str
) -> Iterator[StatedCondition]:
    field = domain.file.entities[entity].fields[name]
    said = field.said
    if isinstance(said, list):
        if said and match in ("equals", "contains"):
            yield StatedCondition(name, match, "value")
        return
    for key in said:
        if key == "mine":
            attribute = own_attribute(domain, entity, name, role)
            if match == "equals" and attribute is not None:
                yield StatedCondition(name, match, "mine", attribute)
        elif key == match:
            yield StatedCondition(name, match, "value")
        elif match == "equals" and field.type in ("choice", "flag"):
            if key in d.choices_of(field) or field.type == "flag":
                yield StatedCondition(name, match, "choice", key)
        elif (
            match == "equals"
            and field.type == "ref"
            and name_search(domain, domain.referenced_entity(domain.file.entities[entity], name), key)
        ):
            yield StatedCondition(name, match, "via", key)


def own_attribute(domain: Domain, entity: str, field: str, role: str) -> str | None:
    """The attribute of a principal with this role that the field has in rows of their own, or None."""
    declaration, spec = domain.file.roles[role], domain.file.entities[entity].fields[field]
    if isinstance(spec.populate, p.ReferenceFill) and any(
        declaration.where.get(name, value) != value for name, value in spec.populate.where.items()
    ):
        return None  # it refers to people who have another role
    if field in declaration.attributes:
        return field
    for rule in domain.file.policy.rules.values():
        given = rule.parameters
        is_bound = not given.get("roles") or role in given["roles"]
        if rule.kind == "own_records" and (given["entity"], given["field"]) == (entity, field) and is_bound:
            return str(given["attribute"])
    key = domain.file.entities[declaration.entity].key
    is_own = spec.type == "ref" and domain.referenced_entity(domain.file.entities[entity], field) == declaration.entity
    return key if is_own and key in declaration.attributes else None


def name_search(domain: Domain, entity: str, field: str) -> tuple[str, str] | None:
    """(tool, parameter) that lists rows of an entity by a text in the field, or None."""
    for name, tool in domain.file.tools.items():
        if tool.operation == "list" and tool.entity == entity and domain.file.entities[entity].key in tool.returns:
            for parameter, spec in tool.parameters.items():
                if spec.does == "filter" and spec.field == field and spec.match in ("contains", "equals"):
                    return name, parameter
    return None


def parameter_of(tool: c.Tool, condition: StatedCondition) -> str | None:
    """The parameter of a tool that filters by a condition, or None."""
    return next(
        (
            name
            for name, each in tool.parameters.items()
            if each.does == "filter" and (each.field, each.match) == (condition.field, condition.match)
        ),
        None,
    )
