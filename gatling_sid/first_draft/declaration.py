"""What an author declares before a draft is made: the domain, its organisation and its entities with typed fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from gatling_sid.errors import CatalogueError
from gatling_sid.schemas.catalogue import Entity
from gatling_sid.schemas.checks.entities import check_entities
from gatling_sid.schemas.checks.problems import FileProblem
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.form_errors import form_problems
from gatling_sid.schemas.registry import domain_of_content
from gatling_sid.schemas.strict import StrictModel
from gatling_sid.schemas.yaml_loading import load_yaml

STAFF = "staff_member"
"""The entity of the people who ask; it is added, with a function for each role, unless the author declares it."""


class Declaration(StrictModel):
    """The beginning of a domain file; its keys mean what they mean there."""

    name: str
    description: str
    organisation: str
    pools: dict[str, list[str]] = Field(default_factory=dict)
    entities: dict[str, Entity] = Field(min_length=1)


def read_declaration(path: Path) -> tuple[Declaration, dict[str, Any]]:
    """The declaration in a file, and its content as it is written there.

    Raises:
        CatalogueError: the file is not a declaration; names all that is wrong.

    """
    content = load_yaml(path)
    if not isinstance(content, dict):
        raise CatalogueError(path.name, "line 1", "a declaration is a mapping with a name, a description and entities")
    if isinstance(content.get("entities"), dict):
        content["entities"] = {STAFF: _staff(str(content.get("name", ""))), **content["entities"]}
    try:
        declaration = Declaration.model_validate_json(json.dumps(content))
    except ValidationError as error:
        problems = form_problems(error, Declaration, content)
    else:
        problems = _problems_of_entities(content)
    if problems:
        raise CatalogueError(path.name, "", "; ".join(f"{where}: {text}" for where, text in problems))
    return declaration, content


def _problems_of_entities(content: dict[str, Any]) -> list[FileProblem]:
    """What is wrong with the entities, in a domain that has nothing else yet."""
    empty: dict[str, Any] = {"tools": {}, "roles": {}, "policy": {"description": "", "rules": {}}}
    domain = domain_of_content("declared", {**content, **empty})
    return list(check_entities(domain)) if isinstance(domain, Domain) else domain


def _staff(name: str) -> dict[str, Any]:
    """The people of the organisation, with a function that gives each a role."""
    host = "".join(each for each in name.casefold() if each.isascii() and each.isalnum()) or "office"
    return {
        "description": "The people who work here.",
        "key": "staff_id",
        "count": 60,
        "noun": {"colleague": "colleagues"},
        "pronoun": "them",
        "fields": {
            "staff_id": {"type": "id", "populate": {"sequence": "ST-{:04d}", "start": 1000, "gap": 3}},
            "given_name": {"type": "person", "populate": {"pool": "given_names", "unique": True}},
            "family_name": {"type": "person", "populate": {"pool": "family_names"}},
            "name": {
                "type": "person",
                "called": ["name"],
                "said": ["{}"],
                "populate": {"template": "{given_name} {family_name}"},
            },
            "email": {
                "type": "email",
                "called": ["email address"],
                "populate": {"email": ["given_name", "family_name"], "at": f"{host}.example"},
            },
            "function": {
                "type": "choice",
                "called": ["function"],
                "populate": {"choice": {"agent": 5, "specialist": 4, "manager": 2, "auditor": 2}},
            },
        },
    }
