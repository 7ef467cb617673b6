"""Checks the texts that people of a domain put before and after a request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gatling_sid.schemas.checks.problems import FileProblem, find_repeated

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain


def check_voice(domain: Domain) -> Iterator[FileProblem]:
    """Yields openings, closings and reasons that are repeated or contain the notation of phrasings."""
    voice = domain.file.voice
    for name, texts in (("openings", voice.openings), ("closings", voice.closings), ("reasons", voice.reasons)):
        where = f"voice.{name}"
        yield from find_repeated(where, texts)
        for text in texts:
            if set(text) & set("{}[]|") or text != text.strip() or not text:
                yield where, f"{text!r} must be plain text without slots or surrounding blanks"
