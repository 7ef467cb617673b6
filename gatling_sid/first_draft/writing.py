"""Writes a draft as the text of a domain file, with a comment wherever its author should put better words."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from gatling_sid.errors import CatalogueError
from gatling_sid.first_draft.declaration import STAFF, Declaration, read_declaration
from gatling_sid.first_draft.nouns import DraftEntity
from gatling_sid.first_draft.parts import derive_parts
from gatling_sid.first_draft.phrases import with_phrases
from gatling_sid.first_draft.policy import policy, roles
from gatling_sid.first_draft.tools import Tools, derive_tools
from gatling_sid.schemas.checks.domain_checks import domain_problems
from gatling_sid.schemas.checks.use import use_problems
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.form_schema import EDITOR_LINE
from gatling_sid.schemas.registry import domain_of_content

_WIDTH = 100
_LONGEST_LINE = 150
"""Characters of a mapping that is written without a line for each key, as Python writes it."""
_WITH_TEXTS = ("says", "operation", "tool", "description")
"""Keys of mappings that are never written so, because their texts are to be edited."""
_MAX_ROUNDS = 4
_EDIT = re.compile(r"^( +)(?:noun|said|says):", re.MULTILINE)
_EDIT_AT_END = re.compile(r"^( +\w+: \{.*\bsaid: .*\}+)$", re.MULTILINE)


def draft_text(declaration: Path, slug: str) -> str:
    """The text of a domain file for what another file declares.

    Raises:
        CatalogueError: the other file is not a declaration, or nothing can be drawn from its entities.

    """
    declared, content = read_declaration(declaration)
    left_out: set[str] = set()
    for _ in range(_MAX_ROUNDS):
        sections = _draft_sections(declared, content, left_out)
        head = {"name": declared.name, "description": declared.description, "organisation": declared.organisation}
        domain = domain_of_content(slug, {**head, **sections})
        problems = list(domain_problems(domain)) if isinstance(domain, Domain) else domain
        if problems or not isinstance(domain, Domain):
            texts = dict.fromkeys(f"{where}: {text}" for where, text in problems)
            raise CatalogueError(declaration.name, "", "; ".join(texts))
        unused = {where for where, _ in use_problems(domain)}
        if unused <= left_out:
            break
        left_out |= unused
    name, *others = ({key: text} for key, text in head.items())
    return "\n".join(["".join([_render(name), EDITOR_LINE, "\n", *map(_render, others)]), *_render_sections(sections)])


def _draft_sections(declared: Declaration, content: Mapping[str, Any], left_out: Collection[str]) -> dict[str, Any]:
    """The sections of a domain file, without the tools and parts that no task can use."""
    entities = {slug: DraftEntity(slug, spec, STAFF) for slug, spec in declared.entities.items()}
    phrased = {slug: with_phrases(content["entities"][slug], each, entities) for slug, each in entities.items()}
    tools: Tools = {}
    for slug, entity in entities.items():
        said = {name: field.get("said", []) for name, field in phrased[slug]["fields"].items()}
        tools |= {name: each for name, each in derive_tools(entity, said).items() if f"tools.{name}" not in left_out}
    parts = {name: each for entity in entities.values() for name, each in derive_parts(entity, tools, entities).items()}
    sections = {
        "pools": dict(declared.pools),
        "entities": phrased,
        "tools": tools,
        "roles": roles(),
        "policy": policy(list(entities.values()), tools),
        "parts": {
            name: each for name, each in parts.items() if f"parts.{name}" not in left_out and each["tool"] in tools
        },
    }
    return {name: each for name, each in sections.items() if each}


def _render_sections(sections: Mapping[str, Any]) -> Iterator[str]:
    """Yields each section as text, with a comment where there are words to edit."""
    for name, content in sections.items():
        yield _EDIT_AT_END.sub(r"\1  # edit", _EDIT.sub(r"\1# edit\n\g<0>", _render({name: content})))


def _render(content: Mapping[str, Any]) -> str:
    return str(yaml.dump(_Block(content), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH))


class _Block(dict[str, Any]):
    """A mapping that is written with a line for each key, however short it is."""


class _Dumper(yaml.SafeDumper):
    """Writes lists and short mappings on one line, as authors do, and no aliases."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _represent(dumper: yaml.SafeDumper, data: Any) -> yaml.Node:
    is_short = isinstance(data, list) or (len(str(data)) <= _LONGEST_LINE and not {*data} & {*_WITH_TEXTS})
    node = dumper.represent_list(data) if isinstance(data, list) else dumper.represent_dict(data.items())
    node.flow_style = is_short and not isinstance(data, _Block)
    return node


for _type in (list, dict, _Block):
    _Dumper.add_representer(_type, _represent)
