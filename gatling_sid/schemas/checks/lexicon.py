"""Checks that the wordings of a domain can be parsed: none states two values of one field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatling_sid.schemas.checks.problems import FileProblem
    from gatling_sid.schemas.domain import Domain


def check_lexicon(domain: Domain) -> Iterator[FileProblem]:
    """Yields wordings that state two values of one field, whether declared with the field or fixed in a phrasing."""
    for (entity, field), ways in domain.lexicon.items():
        values: dict[str, Any] = {}
        for value, wordings in ways.items():
            for wording in wordings:
                other = values.setdefault(wording.casefold(), value)
                if other != value:
                    yield (
                        f"{entity}.{field}",
                        f"{wording!r} means both {other!r} and {value!r}; use another wording for one of them",
                    )
