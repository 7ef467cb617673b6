"""The parts of a draft: what people ask for with each tool, in rough words that state every value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gatling_sid.first_draft.nouns import NUMBERS, DraftEntity
from gatling_sid.first_draft.policy import ROLES
from gatling_sid.first_draft.tools import EXPORT_TARGETS, Tools

_ALL = list(ROLES)
_CHANGING = ["agent", "specialist", "manager"]
_MESSAGES = (
    "we will be in touch by the end of the week", "your request has been received", "please send us what is missing",
    "thank you for your patience", "everything is settled now", "there is a small delay",
    "please confirm that this is right", "we need one more document from you",
)  # fmt: skip

Parts = dict[str, dict[str, Any]]


def derive_parts(entity: DraftEntity, tools: Tools, entities: Mapping[str, DraftEntity]) -> Parts:
    """The parts that are about one entity."""
    columns = entity.columns
    parts: Parts = {
        f"see_{entity.many}": {"tool": f"list_{entity.many}", "roles": _ALL, "weight": 2, "columns": columns}
    }
    if entity.is_staff:
        return parts
    parts[f"open_{entity.slug}"] = {
        "tool": f"get_{entity.slug}", "roles": _ALL, "number": "one", "must_say": ["key"], "columns": columns,
    }  # fmt: skip
    parts |= dict(_figures(entity, f"summarise_{entity.many}"))
    parts[f"export_{entity.many}"] = {
        "tool": f"export_{entity.many}", "roles": ["manager", "specialist", "auditor"], "weight": 2, "columns": columns,
        "with": {"target": list(EXPORT_TARGETS)},
    }  # fmt: skip
    update, create, message = f"update_{entity.many}", f"create_{entity.slug}", f"write_about_{entity.slug}"
    if update in tools:
        fields = [name for name, each in tools[update]["parameters"].items() if each["does"] == "set"]
        parts |= {f"change_{entity.slug}_{name}": _change(entity, update, name) for name in fields}
    if create in tools:
        parts[create] = _create(entity, create, tools, entities)
    parts[f"delete_{entity.many}"] = {"tool": f"delete_{entity.many}", "roles": ["manager"], "weight": 2}
    if message in tools:
        says = ['write about {it} that "{message}"', 'send a message about {it} saying "{message}"',
                'let them know about {it} that "{message}"', 'write a line about {it} saying "{message}"']  # fmt: skip
        parts[message] = {"tool": message, "roles": _CHANGING, "with": {"message": list(_MESSAGES)}, "says": says}
    return parts


def _figures(entity: DraftEntity, tool: str) -> Iterator[tuple[str, dict[str, Any]]]:
    groups, numbers = entity.of_type("choice"), entity.of_type(*NUMBERS)
    grouped = {"group_by": [None, None, *groups]} if groups else {}
    yield f"count_{entity.many}", {"tool": tool, "roles": _ALL, "weight": 2, "with": {"measure": ["count"], **grouped}}
    if numbers:
        given = {"measure": ["sum", "average", "maximum"], "measured_field": numbers, **grouped}
        yield f"figures_of_{entity.many}", {"tool": tool, "roles": ["specialist", "manager", "auditor"], "with": given}


def _change(entity: DraftEntity, tool: str, field: str) -> dict[str, Any]:
    words, choices = entity.words(field), entity.choices(field)
    part: dict[str, Any] = {"tool": tool, "roles": _CHANGING, "with": {field: _values(entity, field)}}
    if entity.spec.fields[field].type == "choice":
        texts = {value: _texts_of_change(words, f"{field}:{_wording(entity, field, value)}") for value in choices}
        return {**part, "weight": 2, "by_value": field, "says": texts}
    return {**part, "says": _texts_of_change(words, field)}


def _texts_of_change(words: str, slot: str) -> list[str]:
    return [
        f"set the {words} of {{it}} to {{{slot}}}",
        f"change the {words} of {{it}} to {{{slot}}}",
        f"put {{{slot}}} down as the {words} of {{it}}",
        f"update the {words} of {{it}} to {{{slot}}}",
    ]


def _wording(entity: DraftEntity, field: str, value: str) -> str:
    """The words for a value: those that the author declared, or the value itself."""
    declared = entity.spec.fields[field].words.get(value)
    return declared[0] if declared else value.replace("_", " ")


def _values(entity: DraftEntity, field: str) -> Any:
    """What an argument for a field is drawn from."""
    low, high = entity.range_of(field)
    match entity.spec.fields[field].type:
        case "choice":
            return entity.choices(field)
        case "date":
            return {"days_from_today": [2, 60]}
        case "integer":
            return {"number": [int(low), int(high)]}
    step = 10.0 ** (len(str(int(high))) - 2)
    return {"amount": [low, high], "step": int(step) if step >= 1 else step}


def _create(entity: DraftEntity, tool: str, tools: Tools, entities: Mapping[str, DraftEntity]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    about: dict[str, Any] = {}
    for name in tools[tool]["parameters"]:
        if name == entity.owner:
            given[name] = "$principal.staff_id"
        elif name in entity.references:
            about["of"] = entity.references[name]
            given[name] = f"$found.{entities[entity.references[name]].spec.key}"
        else:
            given[name] = _values(entity, name)
    stated = [name for name, value in given.items() if not isinstance(value, str)]
    return {
        "tool": tool,
        "roles": _CHANGING,
        "weight": 2,
        **about,
        "with": given,
        "says": _texts_of_new(entity, stated, has_rows=bool(about)),
    }


def _texts_of_new(entity: DraftEntity, stated: Sequence[str], *, has_rows: bool) -> list[str]:
    details = [f"{entity.words(name)} {{{name}}}" for name in stated]
    listed = f" with {', '.join(details[:-1])}{' and ' if details[1:] else ''}{details[-1]}" if details else ""
    rows = " for {it}" if has_rows else ""
    verbs = ("enter a new", "create a new", "add a new", "set up a new")
    return [f"{verb} {entity.noun}{rows}{listed}" for verb in verbs]
