"""Texts with alternatives: `[taken|collected|]` in a text stands for one text with each of these words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import product
from typing import Any

_ALTERNATIVES = re.compile(r"\[([^\[\]]*)\]")


@lru_cache(maxsize=16384)
def alternatives_of(text: str) -> tuple[str, ...]:
    """The texts that a text with `[one|another|]` stands for; a text without brackets stands for itself."""
    pieces = _ALTERNATIVES.split(text)
    return tuple(
        "".join(each) for each in product(*(piece.split("|") if at % 2 else [piece] for at, piece in enumerate(pieces)))
    )


def expanded(values: Iterable[Any]) -> list[Any]:
    """The values, each text with alternatives replaced by the texts that it stands for."""
    return [each for value in values for each in (alternatives_of(value) if isinstance(value, str) else (value,))]
