"""The texts of a part: those that it has for what a shape fixes, and where the rows stand in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.composition.shape_types import Use

_ROWS_NOT_LAST = re.compile(r"\{(?:it|rows)\}(?!(?:,? (?:please|thanks))?[.?!]?$)")


def own_texts(part: c.Part) -> list[str]:
    """All texts of a part, for whatever value."""
    lists = [texts.values() if isinstance(texts, Mapping) else [texts] for texts in (part.says, part.asks)]
    return [text for of_kind in lists for texts in of_kind for text in texts]


def texts_of_use(texts: Mapping[str, Sequence[str]] | Sequence[str], part: c.Part, use: Use) -> Sequence[str]:
    """The texts for the value that the shape fixes, or for any value."""
    if isinstance(texts, Mapping):
        return texts.get(str(dict(use.choices).get(part.by_value or "")), ())
    return texts


@lru_cache(maxsize=8192)
def ends_with_rows(text: str) -> bool:
    """Whether the rows stand last, so that no words can be misread as a part of their noun phrase."""
    return _ROWS_NOT_LAST.search(text) is None


def may_end_with_rows(part: c.Part, use: Use) -> bool:
    """Whether the part can be said so that the rows stand last; each operation of the shared voice has such texts."""
    own = [*texts_of_use(part.says, part, use), *texts_of_use(part.asks, part, use)]
    return not own or any(ends_with_rows(each) for each in own)
