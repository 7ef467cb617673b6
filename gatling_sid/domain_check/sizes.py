"""How much a domain holds, without what it borrows."""

from __future__ import annotations

from typing import NamedTuple

from gatling_sid.schemas.domain import Domain


class DomainSizes(NamedTuple):
    """Numbers of what stands in a domain file; `borrowed` are tools of other domains, `parts` include whole scenarios."""

    entities: int
    tools: int
    borrowed: int
    rules: int
    roles: int
    parts: int


def sizes_of(domain: Domain) -> DomainSizes:
    """The sizes of a domain; tools and entities that it borrows have a dot in their name."""
    file = domain.file
    return DomainSizes(
        entities=sum("." not in name for name in file.entities),
        tools=sum("." not in name for name in file.tools),
        borrowed=sum("." in name for name in file.tools),
        rules=len(file.policy.rules),
        roles=len(file.roles),
        parts=len(file.parts) + len(file.scenarios),
    )
