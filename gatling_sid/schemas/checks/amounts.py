"""Checks that there is enough of everything that is chosen from, so that splits can share it out; drafts may have less."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from gatling_sid.schemas.checks.problems import FileProblem

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

MIN_TEXTS = 3
"""Texts of a part: with fewer, train and test would share them."""


def amount_problems(domain: Domain) -> Iterator[FileProblem]:
    """Yields parts with too few texts to be divided among the splits. Loading allows them, so that drafts can be tried."""
    for name, part in domain.file.parts.items():
        for key, texts in (("says", part.says), ("asks", part.asks)):
            for value, listed in texts.items() if isinstance(texts, Mapping) else [("", texts)]:
                where = f"parts.{name}.{key}" + (f".{value}" if value else "")
                if listed and len(listed) < MIN_TEXTS:
                    yield where, f"needs at least {MIN_TEXTS} texts, so that every split has its own; has {len(listed)}"
