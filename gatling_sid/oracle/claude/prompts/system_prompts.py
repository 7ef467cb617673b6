"""Prompts: versioned texts of the catalogue, filled with what a domain declares and with examples that were proven.

A prompt is the same to the byte for every call of a (domain, phase): it is the prefix that the API caches.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from gatling_sid import schemas
from gatling_sid.errors import CatalogueError
from gatling_sid.models import ToolParameter
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.strict import Strict
from gatling_sid.schemas.yaml_loading import load_yaml

FOLDER = Path(schemas.__file__).parent / "prompts"
PHASES = ("requests", "graph", "judgement", "phrasing", "scenario", "rule")
FEWEST_VARIANTS = 24
_MOST_WAYS = 5


class Prompt(Strict):
    """One phase's prompt: a text with `@parts@` to fill, and the conditions that its items are drawn with."""

    version: int = Field(ge=1)
    system: str
    conditions: dict[str, list[str]] = Field(default_factory=dict)


class PromptNotes(Strict):
    """What was learnt about a domain: lines added to its prompts, by phase; `measured` says what each was worth."""

    version: int = Field(ge=1)
    notes: dict[str, list[str]] = Field(default_factory=dict)
    measured: list[str] = Field(default_factory=list)


StrictT = TypeVar("StrictT", bound=Strict)


@lru_cache(maxsize=16)
def prompt_of(phase: str, folder: Path = FOLDER) -> Prompt:
    """The prompt of a phase. Raises CatalogueError naming file and key."""
    return _load(folder / f"{phase}.yaml", Prompt)


def notes_path(slug: str, folder: Path = FOLDER) -> Path:
    """Where the notes of a domain are kept."""
    return folder / f"notes-{slug}.yaml"


def notes_of(slug: str, folder: Path = FOLDER) -> PromptNotes:
    """The notes of a domain; none if there is no file. Raises CatalogueError."""
    path = notes_path(slug, folder)
    return _load(path, PromptNotes) if path.exists() else PromptNotes(version=1)


def _load(path: Path, model: type[StrictT]) -> StrictT:
    try:
        return model.model_validate(load_yaml(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise CatalogueError(path.name, ".".join(map(str, first["loc"])), first["msg"]) from None


def system_text(phase: str, domain: Domain, examples: Sequence[str], notes: Sequence[str] | None = None) -> str:
    """The system prompt of a (domain, phase): a function of the catalogue and the examples alone."""
    lines = notes_of(domain.slug).notes.get(phase, []) if notes is None else notes
    parts = {
        "about": f"{domain.file.organisation}: {domain.file.description}\nRoles: {_roles(domain)}",
        "entities": "\n".join(_entities(domain)),
        "tools": "\n".join(_tools(domain)),
        "policy": "\n".join(_rules(domain)),
        "words": "\n".join(_words(domain)),
        "notes": "\n".join(f"- {line}" for line in lines),
        "examples": "\n\n".join(examples),
        "spins": str(FEWEST_VARIANTS),
    }
    text = prompt_of(phase).system
    for name, part in parts.items():
        text = text.replace(f"@{name}@", part)
    return text


def version_of(phase: str, system: str) -> str:
    """What traces made with a prompt carry: the version of its text, and a digest of all that filled it."""
    return f"{phase}-{prompt_of(phase).version}-{blake2b(system.encode(), digest_size=4).hexdigest()}"


# --- what a domain declares ------------------------------------------------------------------------------------


def _roles(domain: Domain) -> str:
    return "; ".join(
        f"{name} ({role.description.rstrip('.')}; known about them: {', '.join(role.attributes)})"
        for name, role in domain.file.roles.items()
    )


def _entities(domain: Domain) -> Iterator[str]:
    for name, entity in domain.file.entities.items():
        fields = ", ".join(_field(domain, entity, f) for f in entity.fields)
        yield f"{name} (key {entity.key}): {entity.description} Fields: {fields}"


def _field(domain: Domain, entity: c.Entity, name: str) -> str:
    field = entity.fields[name]
    kind = f"ref to {domain.referenced_entity(entity, name)}" if field.type == "ref" else field.type
    tier = "" if field.sensitivity.value == "internal" else f", {field.sensitivity.value}"
    return f"{name} ({kind}{tier})"


def _tools(domain: Domain) -> Iterator[str]:
    for schema, tool in zip(domain.schemas, domain.file.tools.values(), strict=True):
        yield f"{schema.name} [{tool.operation} {tool.entity}] {schema.description}"
        if tool.returns:
            yield f"  returns {', '.join(tool.returns)}" + (f", by {tool.order}" if tool.order else "")
        if tool.sets:
            yield f"  also sets {_compact(tool.sets)}"
        if tool.requires:
            yield f"  only if {_compact(tool.requires)}"
        for each in schema.parameters:
            declared = tool.parameters[each.name]
            said = [each.type, "required" if each.required else "", declared.does]
            said += [f"{declared.match} {declared.field}"] if declared.does == "filter" else [declared.field or ""]
            yield f"  {each.name}: {' '.join(filter(None, said))}. {each.description} {_limits(declared, each)}".rstrip()


def _limits(declared: c.Parameter, parameter: ToolParameter) -> str:
    """The constraints that say something: not that text is not empty, nor all the entity's fields over again."""
    if declared.does == "select" and declared.values is None:
        return ""
    items = parameter.constraints.get("items", {}).get("enum")
    bounds = {k: v for k, v in parameter.constraints.items() if k in ("enum", "minimum", "maximum", "format")}
    bounds |= {"each one of": items} if items else {}
    return _compact(bounds) if bounds else ""


def _rules(domain: Domain) -> Iterator[str]:
    family = domain.file.policy
    yield family.description
    for name, rule in family.rules.items():
        sometimes = " (not always in force)" if rule.sometimes else ""
        yield f"- {name}{sometimes}: {rule.says} [{rule.kind} {_compact(rule.parameters)}]"


def _words(domain: Domain) -> Iterator[str]:
    """What the catalogue adds to the general ways, once for all parameters that share it."""
    where: dict[str, list[str]] = {}
    for tool in domain.tools.values():
        for name in tool.parameters:
            ways = domain.words_to_read(tool, name)
            listed = "; ".join(f"{value}: {' / '.join(w[:_MOST_WAYS])}" for value, w in ways.items() if w)
            names = where.setdefault(listed, [])
            if name not in names:
                names.append(name)
    for listed, names in where.items():
        if listed:
            yield f"- {', '.join(names)}: {listed}"


def _compact(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
