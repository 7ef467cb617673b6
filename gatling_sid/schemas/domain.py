"""A loaded domain: its file, and what is derived from it for the rest of the package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from itertools import chain
from types import MappingProxyType
from typing import Any, NamedTuple

from gatling_sid.models import SensitivityTier, ToolParameter, ToolSchema, TrustTier
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas import population as p
from gatling_sid.schemas.clock import TIME_PATTERN
from gatling_sid.schemas.composition.lexicon import wordings_in_phrases
from gatling_sid.schemas.composition.table import ScenarioTable
from gatling_sid.schemas.composition.unserved import unserved_scenarios
from gatling_sid.schemas.conditions import DAY_MATCHES
from gatling_sid.schemas.descriptions import describe_parameter, describe_tool
from gatling_sid.schemas.language.phrasing import phrasing_of
from gatling_sid.schemas.language.shared_voice import SharedVoice
from gatling_sid.schemas.language.wording import plain_words
from gatling_sid.schemas.lure_forms import NO_FORMS, LureForms
from gatling_sid.schemas.policy_family import PolicyFamily
from gatling_sid.schemas.references import parse_reference
from gatling_sid.schemas.tool_ids import tool_id_of
from gatling_sid.schemas.versions import DomainVersion, version_of

SPLITS = ("train", "validation", "test")
_WORLDS_KEPT = 16
"""Worlds, of whatever domains, whose scenarios are kept; those of another take as long as some 300 traces."""


class CopySource(NamedTuple):
    """Where a copied field takes its value: from `field` of the row of `entity` that the field `reference` points to."""

    reference: str
    entity: str
    field: str


class Domain:
    """One domain of the catalogue; immutable."""

    def __init__(
        self,
        slug: str,
        file: c.DomainFile,
        shared_pools: Mapping[str, list[str]],
        voice: SharedVoice,
        lure_forms: LureForms = NO_FORMS,
        lenders: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Wraps a file; only one in which `domain_problems` finds nothing is safe to use.

        `lenders` has the display names of the domains of which it borrows tools, by slug.
        """
        self.slug = slug
        self.file = file
        self.name = file.name
        self.pools = {**shared_pools, **file.pools}
        self.voice = voice
        self.lure_forms = lure_forms
        self._lenders = lenders
        self.family = PolicyFamily(slug, file)
        self._highest_tiers: dict[tuple[str, tuple[str, ...]], SensitivityTier] = {}
        self._shown_fields: dict[str, tuple[str, ...]] = {}

    @cached_property
    def version(self) -> DomainVersion:
        """The version of everything that its traces depend on."""
        file, lure_forms = self.file, self.lure_forms
        return version_of(file, self.pools, self.voice if file.parts else None, lure_forms if file.lures else None)

    @cached_property
    def digest(self) -> str:
        """The version as text, which traces carry in `metadata.catalogue`."""
        return str(self.version)

    # --- tools

    @cached_property
    def tools(self) -> dict[str, c.Tool]:
        """Tools by full id, such as `finance.list_invoices`."""
        return {tool_id_of(self.slug, name): tool for name, tool in self.file.tools.items()}

    @cached_property
    def schemas(self) -> list[ToolSchema]:
        """The published schemas of the tools, in the order of the file."""
        return [self._tool_schema(name, tool) for name, tool in self.file.tools.items()]

    def _tool_schema(self, name: str, tool: c.Tool) -> ToolSchema:
        return ToolSchema(
            tool_id=tool_id_of(self.slug, name),
            domain=self._lenders.get(name.partition(".")[0], self.name),
            name=name.rpartition(".")[2],
            description=describe_tool(self.file, tool, self.fields_of_tool(tool)),
            parameters=[self._tool_parameter(tool, each, parameter) for each, parameter in tool.parameters.items()],
            returns=self._returned_schema(tool),
            sensitivity=self.highest_tier(tool.entity, tuple(tool.returns)),
            requires_auth=tool.requires_auth,
        )

    def _tool_parameter(self, tool: c.Tool, name: str, parameter: c.Parameter) -> ToolParameter:
        json_type, constraints = self.json_type(tool, parameter)
        return ToolParameter(
            name=name,
            type=json_type,
            description=describe_parameter(self.file, tool, parameter),
            required=parameter.required,
            default=parameter.default,
            constraints=constraints,
        )

    def fields_of_tool(self, tool: c.Tool) -> list[str]:
        """The fields that calls of a tool can show, set, or choose rows by, in the order of the entity."""
        named = {*tool.returns, *(each.field for each in tool.parameters.values())}
        for each in tool.parameters.values():
            if each.does in ("select", "measured", "group"):
                named |= {*(each.values or self.shown_fields(tool.entity))}
        return [name for name in self.file.entities[tool.entity].fields if name in named]

    def shown_fields(self, entity: str) -> tuple[str, ...]:
        """The fields of an entity that calls can ask for, in its order: those that a tool returns or takes, or people name.

        The others only make up texts of the row, or are facts that a text states and no tool returns.
        """
        if entity not in self._shown_fields:
            tools = {name: tool for name, tool in self.file.tools.items() if tool.entity == entity}
            named = {field for tool in tools.values() for field in tool.returns}
            named |= {each.field for tool in tools.values() for each in tool.parameters.values() if each.field}
            named |= {column for part in self.file.parts.values() if part.tool in tools for column in part.columns}
            fields = self.file.entities[entity].fields.items()
            named |= {name for name, field in fields if field.stated_in is None and self._is_asked_for(field)}
            self._shown_fields[entity] = tuple(name for name, field in fields if name in named)
        return self._shown_fields[entity]

    def _is_asked_for(self, field: c.EntityField) -> bool:
        """Whether people may ask for a field though no tool returns it as it is: all are, in a domain without parts."""
        return bool(field.called) or _is_secret(field) or not self.file.parts

    def field_of(self, tool: c.Tool, parameter: c.Parameter) -> c.EntityField | None:
        """The field of the tool's entity that a parameter concerns, or None."""
        return self.file.entities[tool.entity].fields.get(parameter.field or "")

    def json_type(self, tool: c.Tool, parameter: c.Parameter) -> tuple[str, dict[str, Any]]:
        """The JSON type of a parameter, and its JSON Schema constraints."""
        constraints: dict[str, Any] = {}
        field = self.field_of(tool, parameter)
        many = parameter.does in ("keys", "select") or parameter.match == "one_of" or parameter.type == "array"
        counted = parameter.does == "limit" or parameter.match in DAY_MATCHES
        base = "integer" if counted else c.JSON_TYPES.get(field.type, "string") if field else "string"
        values = parameter.values
        if parameter.does in ("select", "measured", "group"):
            values = values or list(self.shown_fields(tool.entity))
        elif field and field.type == "choice" and parameter.does in ("filter", "set"):
            values = values or list(choices_of(field))
        element: dict[str, Any] = {"enum": values} if values else {}
        if parameter.minimum is not None:
            constraints["minimum"] = _integer_if_whole(parameter.minimum)
        elif counted:
            constraints["minimum"] = 1
        if parameter.maximum is not None:
            constraints["maximum"] = _integer_if_whole(parameter.maximum)
        if many:
            return "array", {"items": {"type": base, **element}, "minItems": 1, "uniqueItems": True}
        if field and field.type == "time":
            constraints["pattern"] = TIME_PATTERN
        elif base == "string" and not values:
            constraints["minLength"] = 1
        if field and field.type == "date" and not counted:
            constraints["format"] = "date"
        return parameter.type or base, {**constraints, **element}

    def _returned_schema(self, tool: c.Tool) -> dict[str, Any]:
        fields = self.file.entities[tool.entity].fields
        row: dict[str, Any] = {
            "type": "object",
            "properties": {
                name: {"type": [c.JSON_TYPES.get(fields[name].type, "string"), "null"]} for name in tool.returns
            },
        }
        text: dict[str, Any] = {"type": "string"}
        count: dict[str, Any] = {"type": "integer"}
        listing = {"items": {"type": "array", "items": row}, "count": count}
        key = self.file.entities[tool.entity].key
        many = any(each.does == "keys" for each in tool.parameters.values())
        properties: dict[str, Any] = {
            "list": listing,
            "get": row["properties"],
            "create": {key: text},
            "update": listing if many else row["properties"],
            "delete": {"deleted": {"type": "array", "items": text}, "count": count},
            "export": {"export_id": text, "target": text, "count": count},
            "aggregate": {
                "value": {"type": ["number", "null"]},
                "groups": {"type": "array", "items": {"type": "object"}},
                "count": count,
            },
            "send": {"message_id": text, "recipient": text},
        }[tool.operation]
        return {"type": "object", "properties": properties}

    def highest_tier(self, entity: str, fields: tuple[str, ...]) -> SensitivityTier:
        """The highest sensitivity among some fields of an entity; `PUBLIC` if there are none."""
        key = entity, fields
        if key not in self._highest_tiers:
            known = self.file.entities[entity].fields
            tiers = (known[name].sensitivity for name in fields)
            self._highest_tiers[key] = max(tiers, key=lambda tier: tier.rank, default=SensitivityTier.PUBLIC)
        return self._highest_tiers[key]

    def referenced_entity(self, entity: c.Entity, field: str) -> str:
        """The entity that a reference field points to."""
        populate = entity.fields[field].populate
        while isinstance(populate, (p.ByFieldFill, p.IfPastFill)):
            nested = [*populate.cases.values()] if isinstance(populate, p.ByFieldFill) else [populate.then]
            populate = next(each for each in [*nested, populate.otherwise] if each is not None)
        assert isinstance(populate, p.ReferenceFill)
        return populate.ref

    def references_to(self, entity: str, referenced: str, *, most_hops: int = 2) -> tuple[str, ...]:
        """The reference fields of an entity that lead to rows of another one, at once or by the references of their rows."""
        return tuple(
            field
            for field, name in self._references_by_entity[entity].items()
            if name == referenced or (most_hops > 1 and self.references_to(name, referenced, most_hops=most_hops - 1))
        )

    @cached_property
    def _references_by_entity(self) -> dict[str, dict[str, str]]:
        """For each entity, the entities that its reference fields point to."""
        return {
            name: {
                field: self.referenced_entity(entity, field)
                for field, spec in entity.fields.items()
                if spec.type == "ref"
            }
            for name, entity in self.file.entities.items()
        }

    def copied_fields(self, entity: str) -> Mapping[str, CopySource]:
        """The sources of the fields of an entity that are copied from other rows, by name of the field."""
        return self._copied_fields_by_entity[entity]

    @cached_property
    def _copied_fields_by_entity(self) -> dict[str, dict[str, CopySource]]:
        return {name: dict(self._find_copied_fields(entity)) for name, entity in self.file.entities.items()}

    def _find_copied_fields(self, entity: c.Entity) -> Iterator[tuple[str, CopySource]]:
        for name, field in entity.fields.items():
            if isinstance(field.populate, p.CopyFill):
                reference, _, source = field.populate.copy_of.partition(".")
                yield name, CopySource(reference, self.referenced_entity(entity, reference), source)

    # --- trust

    def trust_of(self, entity: str, field: str, row: Mapping[str, Any]) -> TrustTier:
        """Who wrote a field of a row, as the file declares it; a copied field is by whoever wrote the original."""
        declared = self._declared_trust(entity, field)
        if isinstance(declared, TrustTier):
            return declared
        value = row[declared.by]
        value = str(value).lower() if isinstance(value, bool) else str(value)
        return declared.cases.get(value, declared.otherwise)

    def has_fixed_trust(self, entity: str, field: str) -> bool:
        """Whether a field has the same tier in all rows."""
        return isinstance(self._declared_trust(entity, field), TrustTier)

    def least_trust(self, entity: str, field: str) -> TrustTier:
        """The least trusted tier that a field can have in any row."""
        declared = self._declared_trust(entity, field)
        if isinstance(declared, TrustTier):
            return declared
        return TrustTier.least_trusted([*declared.cases.values(), declared.otherwise])

    def _declared_trust(self, entity: str, field: str) -> TrustTier | c.TrustByField:
        spec = self.file.entities[entity].fields.get(field)
        if spec is None:
            return TrustTier.SYSTEM
        copied = self.copied_fields(entity).get(field)
        if spec.trust is TrustTier.SYSTEM and copied is not None:
            return self._declared_trust(copied.entity, copied.field)
        if spec.trust is TrustTier.SYSTEM and spec.stated_in is not None:
            return self._declared_trust(entity, spec.stated_in)
        return spec.trust

    def original_field(self, entity: str, field: str) -> tuple[str, str]:
        """The (entity, field) from which a field is copied, however often; the field itself if it is no copy."""
        copied = self.copied_fields(entity).get(field)
        return (entity, field) if copied is None else self.original_field(copied.entity, copied.field)

    def fields_from_others(self, entity: str) -> frozenset[str]:
        """The fields of an entity that others than the own systems may have written."""
        return self._fields_from_others[entity]

    @cached_property
    def _fields_from_others(self) -> dict[str, frozenset[str]]:
        return {
            name: frozenset(f for f in entity.fields if self.least_trust(name, f) is not TrustTier.SYSTEM)
            for name, entity in self.file.entities.items()
        }

    # --- wording of values

    def wording_kind(self, tool: c.Tool, parameter: c.Parameter) -> str:
        """The kind of wording (see `wordings`) of a parameter's values."""
        match parameter.does, parameter.match:
            case "limit", _:
                return "integer"
            case _, "within_days":
                return "days"
            case _, "next_days":
                return "coming_days"
            case (("select" | "measured" | "group" | "target" | "format" | "measure" | "sort"), _):
                return "choice"
        field = self.field_of(tool, parameter)
        return field.kind if field else "text"

    def wordings_to_parse(self, tool: c.Tool, name: str) -> Mapping[Any, tuple[str, ...]]:
        """All wordings of a tool's parameter in the catalogue, by value; for parsing spans."""
        return self.lexicon[self.topic_of(tool, tool.parameters[name])]

    def wordings_to_render(self, tool: c.Tool, name: str) -> Mapping[Any, tuple[str, ...]]:
        """The wordings declared with the field or parameter, by value; for rendering. Those of single phrasings are left out."""
        return self._declared_wordings.get(self.topic_of(tool, tool.parameters[name]), {})

    def topic_of(self, tool: c.Tool, parameter: c.Parameter) -> tuple[str, str]:
        """What the wordings of a parameter's values are about: (entity, field), or (`(tools)`, purpose)."""
        if parameter.does in ("select", "measured", "group"):
            return tool.entity, "(fields)"
        if parameter.does == "sort":
            return tool.entity, "(order)"
        return (tool.entity, parameter.field) if parameter.field else ("(tools)", parameter.does)

    @cached_property
    def _declared_wordings(self) -> dict[tuple[str, str], dict[Any, tuple[str, ...]]]:
        """The wordings declared with the fields and the parameters, by topic and value."""
        declared: dict[tuple[str, str], dict[Any, tuple[str, ...]]] = {}
        for name, entity in self.file.entities.items():
            for field_name, field in entity.fields.items():
                declared[name, field_name] = {value: tuple(ways) for value, ways in field.words.items()}
            called = {f: tuple(field.called) or (plain_words(f),) for f, field in entity.fields.items()}
            declared[name, "(fields)"] = called
        for tool in self.tools.values():
            for parameter in tool.parameters.values():
                of_topic = declared.setdefault(self.topic_of(tool, parameter), {})
                for value, ways in parameter.words.items():
                    said = (each.removeprefix("~ ") for each in ways)  # superlatives may stand after the noun
                    of_topic[value] = tuple(dict.fromkeys((*of_topic.get(value, ()), *said)))
        return declared

    @cached_property
    def lexicon(self) -> dict[tuple[str, str], dict[Any, tuple[str, ...]]]:
        """All wordings, declared with the fields or fixed in a phrasing, by topic and value."""
        lexicon = {topic: dict(ways) for topic, ways in self._declared_wordings.items()}
        for tool in self.tools.values():
            for parameter in tool.parameters.values():
                lexicon.setdefault(self.topic_of(tool, parameter), {})
        in_phrasings = (each for spec in self.file.scenarios.values() for each in self._wordings_in_phrasings(spec))
        for topic, value, wording in chain(in_phrasings, wordings_in_phrases(self, self.voice)):
            known = lexicon.setdefault(topic, {}).get(value) or (
                (plain_words(value),) if isinstance(value, str) else ()
            )
            if wording not in known:
                lexicon[topic][value] = (*known, wording)
        return lexicon

    def _wordings_in_phrasings(self, scenario: c.Scenario) -> Iterator[tuple[tuple[str, str], Any, str]]:
        topics = self.slot_parameters(scenario)
        for text in scenario.phrasings:
            for slot in phrasing_of(text).slots():
                value = scenario.slots.get(slot.name)
                if slot.wording is not None and slot.name in topics:
                    for tool, parameter in topics[slot.name]:
                        value = value[0] if isinstance(value, list) and len(value) == 1 else value
                        yield self.topic_of(tool, tool.parameters[parameter]), value, slot.wording

    @lru_cache(maxsize=_WORLDS_KEPT)  # noqa: B019 - domains live as long as the process
    def scenarios_of(self, world: str) -> ScenarioTable:
        """The scenarios of the world of that name, which do not depend on a seed."""
        return ScenarioTable(self, world)

    @cached_property
    def unserved(self) -> dict[str, c.Scenario]:
        """The scenarios in which nothing is to be called, by name."""
        return unserved_scenarios(self)

    def written_scenario(self, name: str) -> c.Scenario | None:
        """The scenario of that name, if it is not composed of parts."""
        return self.file.scenarios.get(name) or self.unserved.get(name)

    def slot_parameters(self, scenario: c.Scenario) -> dict[str, list[tuple[c.Tool, str]]]:
        """By slot of a scenario: the (tool, parameter) pairs that take its value."""
        result: dict[str, list[tuple[c.Tool, str]]] = {}
        variant = scenario.variant
        for step in [*scenario.plan, *((*variant.plan, *variant.asked) if variant else ())]:
            for name, expression in step.arguments.items():
                single = expression if isinstance(expression, str) else expression[0]
                reference = parse_reference(single)
                if reference and reference.root == "request":
                    result.setdefault(str(reference.path[0]), []).append((self.file.tools[step.tool], name))
        return result


def _is_secret(field: c.EntityField) -> bool:
    return field.sensitivity.rank > SensitivityTier.INTERNAL.rank


def _integer_if_whole(bound: float) -> float:
    """Turns 365.0 into 365, which is shorter in a JSON schema."""
    return int(bound) if bound == int(bound) else bound


def choices_of(field: c.EntityField) -> tuple[str, ...]:
    """All values that a choice field may have, from its words and from how it is filled."""
    return tuple(dict.fromkeys([*field.words, *_populated_values(field.populate)]))


def _populated_values(populate: Any) -> Iterator[str]:
    match populate:
        case p.ChoiceFill():
            yield from populate.choice
        case p.ConstantFill() if isinstance(populate.value, str):
            yield populate.value
        case p.PoolFill() if isinstance(populate.pool, list):
            yield from (str(each) for each in populate.pool)
        case p.ByFieldFill():
            for each in [*populate.cases.values(), populate.otherwise]:
                yield from _populated_values(each)
        case p.IfPastFill():
            yield from _populated_values(populate.then)
            yield from _populated_values(populate.otherwise)
