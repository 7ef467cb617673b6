"""System prompts: versioned templates of the catalogue, filled with declarations of a domain and with gold examples.

The text is byte-identical for every API call of a (domain, phase), since it is the prefix that the API caches.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment, StrictUndefined, Template, TemplateError, TemplateSyntaxError
from jinja2.meta import find_undeclared_variables
from pydantic import Field, ValidationError, field_validator

from gatling_sid import schemas
from gatling_sid.errors import CatalogueError
from gatling_sid.models import ToolParameter
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.strict import StrictModel
from gatling_sid.schemas.yaml_loading import load_yaml

PROMPT_FOLDER = Path(schemas.__file__).parent / "prompts"
PHASES = ("requests", "graph", "judgement", "phrasing", "scenario", "rule")
MIN_VARIANTS = 24
"""Texts that a phrasing must make at least, so that the dataset does not repeat one sentence too often."""
VARIABLES = frozenset({"about", "entities", "tools", "policy", "words", "notes", "examples", "min_variants"})
"""The variables that a template may use."""
# Wordings per value: more make the prompt longer and are seldom used.
_MAX_WORDINGS = 5
_TEMPLATES = Environment(
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - the text goes to Claude, not to a browser; `&` must stay `&`
    keep_trailing_newline=True,
)
_TEMPLATES.globals.clear()  # of jinja's own names, some give another text each time
_TEMPLATES.filters.pop("random")


class Prompt(StrictModel):
    """The prompt of a phase: `system` is a Jinja template; for each item, one value of each of `conditions` is drawn."""

    version: int = Field(ge=1)
    system: str
    conditions: dict[str, list[str]] = Field(default_factory=dict)

    @field_validator("system")
    @classmethod
    def _check_template(cls, system: str) -> str:
        """Checks when the file is loaded that the template can be filled, so that no run fails because of it later."""
        try:
            _template_of(system)
            unknown = find_undeclared_variables(_TEMPLATES.parse(system)) - VARIABLES
        except TemplateSyntaxError as error:
            raise ValueError(f"line {error.lineno} of the template: {error.message}") from None
        if unknown:
            raise ValueError(f"no variable {min(unknown)!r}; the variables are {', '.join(sorted(VARIABLES))}")
        try:
            _template_of(system).render(dict.fromkeys(VARIABLES, ""))
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:  # it may call, include and calculate
            raise ValueError(f"the template cannot be filled: {error}") from None
        return system


class PromptNotes(StrictModel):
    """Lines added to the prompts of a domain, by phase; `measured` says how much each raised the pass rate."""

    version: int = Field(ge=1)
    notes: dict[str, list[str]] = Field(default_factory=dict)
    measured: list[str] = Field(default_factory=list)


StrictT = TypeVar("StrictT", bound=StrictModel)


@lru_cache(maxsize=16)
def prompt_of(phase: str, folder: Path = PROMPT_FOLDER) -> Prompt:
    """The prompt of a phase. Raises CatalogueError naming file and key."""
    return _load(folder / f"{phase}.yaml", Prompt)


def notes_path(slug: str, folder: Path = PROMPT_FOLDER) -> Path:
    """The file that holds the notes of a domain."""
    return folder / f"notes-{slug}.yaml"


def notes_of(slug: str, folder: Path = PROMPT_FOLDER) -> PromptNotes:
    """The notes of a domain; without a file there are none. Raises CatalogueError."""
    path = notes_path(slug, folder)
    return _load(path, PromptNotes) if path.exists() else PromptNotes(version=1)


def _load(path: Path, model: type[StrictT]) -> StrictT:
    try:
        return model.model_validate(load_yaml(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise CatalogueError(
            path.name, ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        ) from None


def system_text(phase: str, domain: Domain, examples: Sequence[str], notes: Sequence[str] | None = None) -> str:
    """The system prompt of a (domain, phase); it depends only on the catalogue, the examples and the notes.

    `notes` replace those of the domain's file.

    Raises:
        CatalogueError: the template or the notes file is not acceptable.

    """
    lines = notes_of(domain.slug).notes.get(phase, []) if notes is None else notes
    values = {
        "about": f"{domain.file.organisation}: {domain.file.description}\nRoles: {_roles(domain)}",
        "entities": "\n".join(_entities(domain)),
        "tools": "\n".join(_tools(domain)),
        "policy": "\n".join(_rules(domain)),
        "words": "\n".join(_words(domain)),
        "notes": "\n".join(f"- {line}" for line in lines),
        "examples": "\n\n".join(examples),
        "min_variants": MIN_VARIANTS,
    }
    try:
        return _template_of(prompt_of(phase).system).render(values)
    except TemplateError as error:
        raise CatalogueError(f"{phase}.yaml", "system", error.message or type(error).__name__) from None


@lru_cache(maxsize=16)
def _template_of(source: str) -> Template:
    return _TEMPLATES.from_string(source)


def prompt_version(phase: str, system: str) -> str:
    """The version of a prompt for a trace's metadata: phase, version of the template, and digest of the filled text."""
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
            parts = [each.type, "required" if each.required else "", declared.does]
            parts += [f"{declared.match} {declared.field}"] if declared.does == "filter" else [declared.field or ""]
            yield f"  {each.name}: {' '.join(filter(None, parts))}. {each.description} {_limits(declared, each)}".rstrip()


def _limits(declared: c.Parameter, parameter: ToolParameter) -> str:
    """The limits of a parameter that the prompt does not state elsewhere; a list of all fields is left out, for example."""
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
    """The wordings that the catalogue adds for values, once for all parameters that share them."""
    parameters: dict[str, list[str]] = {}
    for tool in domain.tools.values():
        for name in tool.parameters:
            words = domain.wordings_to_parse(tool, name)
            listed = "; ".join(f"{value}: {' / '.join(w[:_MAX_WORDINGS])}" for value, w in words.items() if w)
            names = parameters.setdefault(listed, [])
            if name not in names:
                names.append(name)
    for listed, names in parameters.items():
        if listed:
            yield f"- {', '.join(names)}: {listed}"


def _compact(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
