"""The notation of phrasings: text with `{slot}`, `{slot:own wording}` and `[one way|another|]`.

An alternative may hold slots but no further brackets. `{status:past due}` says the value of slot `status` in the
phrasing's own words; those words join the catalogue's lexicon, so that a validator can read them back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from itertools import product
from math import prod
from typing import NamedTuple


class Slot(NamedTuple):
    """A place for a value; `wording` fixes how it is said."""

    name: str
    wording: str | None


Piece = str | Slot
_SLOT = re.compile(r"\{([a-z][a-z0-9_]*)(?::([^{}\[\]|]+))?\}")
MOST_VARIANTS = 4096
_GROUP = re.compile(r"\[([^\[\]]*)\]")


class Phrasing:
    """A parsed phrasing: `groups[g][a]` are the pieces of alternative `a` at place `g`."""

    def __init__(self, text: str) -> None:
        """Parses `text`.

        Raises:
            ValueError: brackets or braces do not match, or two choices of alternatives read alike.

        """
        self.text = text
        self.groups = tuple(_groups(text))
        if self.variants > MOST_VARIANTS:
            raise ValueError(f"{text!r} can be said in {self.variants:,} ways; keep it to {MOST_VARIANTS:,}")
        if len(set(map("".join, product(*self._texts)))) < self.variants:
            raise ValueError(f"two ways through {text!r} read alike; let alternatives differ")

    @cached_property
    def variants(self) -> int:
        """How many texts the alternatives make."""
        return prod(len(group) for group in self.groups)

    @cached_property
    def _texts(self) -> list[list[str]]:
        """Every alternative as text, place by place."""
        return [[_plain(alternative) for alternative in group] for group in self.groups]

    def slots(self) -> Iterator[Slot]:
        """Every slot of every alternative."""
        for group in self.groups:
            for alternative in group:
                yield from (piece for piece in alternative if isinstance(piece, Slot))

    def variant_pieces(self, variant: int) -> list[Piece]:
        """The pieces of spin `code`, 0 ≤ code < spins, with neighbouring literals made one."""
        run: list[Piece] = []
        literal = ""
        for group in self.groups:
            variant, choice = divmod(variant, len(group))
            for piece in group[choice]:
                if isinstance(piece, str):
                    literal += piece
                    continue
                if literal:
                    run.append(literal)
                    literal = ""
                run.append(piece)
        return [*run, literal] if literal else run

    def plain_renderings(self) -> Iterator[str]:
        """Texts in which every alternative stands once, with `{slot}` for values not worded here."""
        firsts = [alternatives[0] for alternatives in self._texts]
        for place, alternatives in enumerate(self._texts):
            for text in alternatives:
                yield "".join([*firsts[:place], text, *firsts[place + 1 :]])

    def always_says(self, name: str) -> bool:
        """Whether slot `name` is said whichever alternatives are taken."""
        return any(
            all(any(isinstance(p, Slot) and p.name == name for p in alternative) for alternative in group)
            for group in self.groups
        )


@lru_cache(maxsize=65536)
def phrasing_of(text: str) -> Phrasing:
    """The parsed phrasing, kept; raises ValueError as `Phrasing` does."""
    return Phrasing(text)


def _plain(pieces: Iterable[Piece]) -> str:
    return "".join(piece if isinstance(piece, str) else piece.wording or f"{{{piece.name}}}" for piece in pieces)


def _groups(text: str) -> Iterator[tuple[tuple[Piece, ...], ...]]:
    position = 0
    for match in _GROUP.finditer(text):
        if match.start() > position:
            yield (tuple(_pieces(text[position : match.start()])),)
        alternatives = match.group(1).split("|")
        if len(set(alternatives)) < len(alternatives) or len(alternatives) == 1:
            raise ValueError(f"[{match.group(1)}] needs two or more alternatives that differ")
        yield tuple(tuple(_pieces(each)) for each in alternatives)
        position = match.end()
    if position < len(text):
        yield (tuple(_pieces(text[position:])),)


def _pieces(text: str) -> Iterator[Piece]:
    position = 0
    for match in _SLOT.finditer(text):
        if match.start() > position:
            yield _literal(text[position : match.start()])
        yield Slot(match.group(1), match.group(2))
        position = match.end()
    if position < len(text):
        yield _literal(text[position:])


def _literal(text: str) -> str:
    if set(text) & set("{}[]|"):
        raise ValueError(f"stray one of {{ }} [ ] | in {text!r}")
    return text
