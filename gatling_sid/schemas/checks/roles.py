"""Checks roles: their entity, the conditions on its rows, and the fields that become the principal's attributes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gatling_sid.schemas.checks.conditions import check_conditions
from gatling_sid.schemas.checks.problems import FileProblem, find_unknown

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain


def check_roles(domain: Domain) -> Iterator[FileProblem]:
    """Yields what is wrong with the roles of a domain; its entities must have no problems."""
    for name, role in domain.file.roles.items():
        where = f"roles.{name}"
        if role.entity not in domain.file.entities:
            yield from find_unknown(where, [role.entity], domain.file.entities, "entity")
            continue
        fields = domain.file.entities[role.entity].fields
        yield from find_unknown(f"{where}.where", role.where, fields, f"field of {role.entity}")
        yield from check_conditions(f"{where}.where", fields, role.where)
        yield from find_unknown(f"{where}.attributes", role.attributes, fields, f"field of {role.entity}")
