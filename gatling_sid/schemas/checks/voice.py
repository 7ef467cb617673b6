"""Checks the texts that people of a domain put before and after a request."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from gatling_sid.schemas.checks.problems import FileProblem, find_repeated
from gatling_sid.schemas.domain import SPLITS

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain


def check_voice(domain: Domain) -> Iterator[FileProblem]:
    """Yields openings, closings and reasons that are repeated or contain the notation of phrasings.

    Where the shared voice is used too, because there are parts, its texts are not repeated: one might be for validation
    in the one voice and for training in the other.
    """
    voice, shared = domain.file.voice, domain.voice.model_dump(include={"openings", "closings", "reasons"})
    for name, texts in (("openings", voice.openings), ("closings", voice.closings), ("reasons", voice.reasons)):
        of_all_domains = {*chain.from_iterable(shared[name].values())}
        where = f"voice.{name}"
        yield from find_repeated(where, texts)
        if 0 < len(texts) < len(SPLITS):
            yield where, f"needs {len(SPLITS)} texts or none, so that every split has its own; has {len(texts)}"
        for text in texts:
            if set(text) & set("{}[]|") or text != text.strip() or not text:
                yield where, f"{text!r} must be plain text without slots or surrounding blanks"
            if domain.file.parts and text in of_all_domains:
                yield where, f"{text!r} stands in voice.yaml and so belongs to every domain: leave it out"
