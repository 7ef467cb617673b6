"""Checks the texts that people of a domain put before and after a request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gatling_sid.schemas.checks.problems import FileProblem, find_repeated

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

MIN_OPENINGS_AND_CLOSINGS = 12
"""Least number of openings, and of closings. With fewer, too many requests of a domain would begin or end alike."""


def check_voice(domain: Domain) -> Iterator[FileProblem]:
    """Yields openings and closings that are repeated, are too few, or contain the notation of phrasings."""
    for name, texts in (("openings", domain.file.voice.openings), ("closings", domain.file.voice.closings)):
        where, different = f"voice.{name}", len(set(texts))
        yield from find_repeated(where, texts)
        if different < MIN_OPENINGS_AND_CLOSINGS:
            yield where, f"needs at least {MIN_OPENINGS_AND_CLOSINGS} different texts, has {different}"
        for text in texts:
            if set(text) & set("{}[]|") or text != text.strip() or not text:
                yield where, f"{text!r} must be plain text without slots or surrounding blanks"
