"""The tools of a draft: for each entity those that its fields make sense of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gatling_sid.first_draft.nouns import NUMBERS, DraftEntity

EXPORT_TARGETS = ("office_drive", "audit_drive", "partner_portal")
_MOST_RETURNED = 5
_MOST_DAYS = 365
MEASURES = ("count", "sum", "average", "minimum", "maximum")

Tools = dict[str, dict[str, Any]]


def derive_tools(entity: DraftEntity, said: Mapping[str, Any]) -> Tools:
    """The tools of an entity; `said` has the phrases of its fields, and a list is filtered by what can be said."""
    filters = dict(_filters(entity, said))
    tools: Tools = {f"list_{entity.many}": _list(entity, filters)}
    if entity.is_staff:
        return tools
    tools[f"get_{entity.slug}"] = _get(entity)
    if any(each.get("match") != "contains" for each in filters.values()):  # many rows can be described
        tools[f"summarise_{entity.many}"] = _summarise(entity, filters)
        tools[f"export_{entity.many}"] = _export(entity, filters)
    settable = [name for name in entity.of_type("choice", "money", "integer", "date") if entity.is_settable(name)]
    if settable:
        tools[f"update_{entity.many}"] = _tool(
            entity, "update", f"Changes one or several {entity.plural}.",
            {**_keys(entity), **{name: {"does": "set", "field": name} for name in settable}}, _returned(entity),
        )  # fmt: skip
    created = created_fields(entity)
    if created:
        parameters = {name: {"does": "set", "field": name, "required": True} for name in created}
        tools[f"create_{entity.slug}"] = _tool(entity, "create", f"Enters a new {entity.noun}.", parameters)
    tools[f"delete_{entity.many}"] = _tool(entity, "delete", f"Deletes {entity.plural} for good.", _keys(entity))
    if entity.address:
        tools[f"write_about_{entity.slug}"] = {
            **_tool(entity, "send", f"Sends a message about a {entity.noun}.", _message(entity)),
            "addressee": [entity.address],
        }
    return tools


def created_fields(entity: DraftEntity) -> list[str]:
    """The fields that are given for a new row: what it refers to, and a choice, an amount and a day."""
    to_others = [field for field, other in entity.references.items() if field != entity.owner and other != entity.slug]
    stated = [next(iter(entity.of_type(*types)), None) for types in (("choice",), ("money", "integer"), ("date",))]
    own = [entity.owner] if entity.owner else []
    return [*to_others[:1], *own, *(name for name in stated if name is not None and entity.is_settable(name))]


def _tool(
    entity: DraftEntity, operation: str, description: str, parameters: dict[str, Any], returns: list[str] | None = None
) -> dict[str, Any]:
    tool = {"operation": operation, "entity": entity.slug, "description": description, "parameters": parameters}
    return {**tool, "returns": returns} if returns else tool


def _returned(entity: DraftEntity) -> list[str]:
    """The fields that lists show: the key, the name, and the first of what matters."""
    first = [next(iter(entity.of_type(*types)), None) for types in (("choice",), ("date",), ("money", "integer"))]
    names = [entity.spec.key, entity.name_field, *first]
    return list(dict.fromkeys(name for name in names if name is not None))[:_MOST_RETURNED]


def _keys(entity: DraftEntity, *, required: bool = True) -> dict[str, Any]:
    return {f"{entity.slug}_ids": {"does": "keys", **({"required": True} if required else {})}}


def _filters(entity: DraftEntity, said: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, phrases in said.items():
        field = entity.spec.fields[name]
        if name == entity.spec.key or not phrases:
            continue
        if name == entity.name_field:
            yield name, {"does": "filter", "field": name, "match": "contains"}
        elif field.type in ("choice", "flag", "ref"):
            yield name, {"does": "filter", "field": name}
        for match, parameter in (
            ("at_least", f"least_{name}"), ("at_most", f"most_{name}"), ("within_days", f"{name}_past_days"),
            ("next_days", f"{name}_next_days"),
        ):  # fmt: skip
            if match in phrases:
                limit = {"maximum": _MOST_DAYS} if match in ("within_days", "next_days") else {}
                yield parameter, {"does": "filter", "field": name, "match": match, **limit}


def _list(entity: DraftEntity, filters: dict[str, Any]) -> dict[str, Any]:
    number = next(iter(entity.of_type(*NUMBERS)), None)
    day = next(iter(entity.of_type("date")), None)
    sort = {
        "does": "sort",
        "values": [f"-{number}", number],
        "words": {f"-{number}": ["largest", "highest"], str(number): ["smallest", "lowest"]},
    }
    parameters = {
        **filters,
        **_keys(entity, required=False),
        **({"sort": sort} if number else {}),
        "limit": {"does": "limit", "maximum": 200},
        "fields": {"does": "select"},
    }
    tool = _tool(entity, "list", f"Lists {entity.plural}; every filter may be left out.", parameters, _returned(entity))
    return (
        {**tool, "order": f"-{day}", "first_said": ["newest", "latest"]} if day else {**tool, "order": entity.spec.key}
    )


def _get(entity: DraftEntity) -> dict[str, Any]:
    shown = [name for name in entity.spec.fields if entity.is_open(name)]
    parameters = {f"{entity.slug}_id": {"does": "key", "required": True}, "fields": {"does": "select"}}
    return _tool(entity, "get", f"Shows one {entity.noun}.", parameters, shown)


def _summarise(entity: DraftEntity, filters: dict[str, Any]) -> dict[str, Any]:
    numbers, groups = entity.of_type(*NUMBERS), entity.of_type("choice")
    parameters = {
        **filters,
        "measure": {"does": "measure", "required": True, "values": list(MEASURES) if numbers else ["count"]},
        **({"measured_field": {"does": "measured", "values": numbers}} if numbers else {}),
        **({"group_by": {"does": "group", "values": groups}} if groups else {}),
    }
    return _tool(entity, "aggregate", f"A figure over {entity.plural}, as a whole or by group.", parameters)


def _export(entity: DraftEntity, filters: dict[str, Any]) -> dict[str, Any]:
    parameters = {
        **filters,
        **_keys(entity, required=False),
        "fields": {"does": "select"},
        "target": {"does": "target", "required": True, "values": list(EXPORT_TARGETS)},
    }
    return _tool(entity, "export", f"Writes {entity.plural} to a file.", parameters, _returned(entity))


def _message(entity: DraftEntity) -> dict[str, Any]:
    return {
        "recipient": {"does": "recipient", "required": True},
        f"{entity.slug}_id": {"does": "about", "required": True},
        "message": {"does": "content"},
    }
