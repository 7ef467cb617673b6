"""The notation of phrasings: text with `{slot}`, `{slot:own wording}` and `[one way|another|]`.

An alternative may contain slots but no further brackets. `{status:past due}` states the value of slot `status` by the
phrasing's own wording, which is added to the catalogue's lexicon, so that a validator can parse it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from itertools import product
from math import prod
from typing import NamedTuple


class Slot(NamedTuple):
    """A place for a value; `wording` is the fixed text that states it, or None if any wording of the value may."""

    name: str
    wording: str | None


PhrasingPart = str | Slot
MAX_VARIANTS = 4096
"""Variants of one phrasing. All are compared with each other when it is parsed, which takes memory and time."""
_MAX_PHRASINGS_IN_MEMORY = 4096
"""Parsed phrasings that are memoised: those of ten domains, about 5 KiB each. A process uses one domain at a time."""
_SLOT = re.compile(r"\{([a-z][a-z0-9_]*)(?::([^{}\[\]|]+))?\}")
_NOTATION = re.compile(r"[{}\[\]|]")
_GROUP = re.compile(r"\[([^\[\]]*)\]")


SENTENCE_START = "\x02"
"""Stands in a literal of a composed phrasing where a sentence starts, so that the next letter becomes a capital."""
Alternatives = tuple[tuple[PhrasingPart, ...], ...]
"""The ways of saying one place of a phrasing."""


class Phrasing:
    """A parsed phrasing; `groups[g][a]` holds the parts of alternative `a` at place `g`."""

    def __init__(self, text: str) -> None:
        """Parses `text`.

        Raises:
            ValueError: brackets or braces do not match, two variants are the same text, or there are too many.

        """
        self.text = text
        self.groups = tuple(_parse_groups(text))
        if self.variants > MAX_VARIANTS:
            raise ValueError(f"{text!r} has {self.variants:,} variants; keep it to {MAX_VARIANTS:,}")
        if len(set(map("".join, product(*self._texts)))) < self.variants:
            raise ValueError(f"two variants of {text!r} are the same text; make the alternatives differ")

    @classmethod
    def composed(cls, text: str, groups: Iterable[Alternatives]) -> Phrasing:
        """A phrasing of groups that differ in every alternative; `text` only identifies it."""
        phrasing = cls.__new__(cls)
        phrasing.text, phrasing.groups = text, tuple(groups)
        return phrasing

    @cached_property
    def variants(self) -> int:
        """How many variants there are: the product of the numbers of alternatives."""
        return prod(len(group) for group in self.groups)

    @cached_property
    def _texts(self) -> list[list[str]]:
        """The text of every alternative, by place."""
        return [[_render_plainly(alternative) for alternative in group] for group in self.groups]

    def slots(self) -> Iterator[Slot]:
        """Yields every slot of every alternative, in order; a slot that appears twice is yielded twice."""
        for group in self.groups:
            for alternative in group:
                yield from (part for part in alternative if isinstance(part, Slot))

    def variant_parts(self, variant_index: int) -> list[PhrasingPart]:
        """The parts of one variant, 0 ≤ `variant_index` < `variants`; neighbouring literals are joined."""
        parts: list[PhrasingPart] = []
        literal = ""
        for group in self.groups:
            variant_index, choice = divmod(variant_index, len(group))
            for part in group[choice]:
                if isinstance(part, str):
                    literal += part
                    continue
                if literal:
                    parts.append(literal)
                    literal = ""
                parts.append(part)
        return _capitalise([*parts, literal] if literal else parts)

    def plain_renderings(self) -> Iterator[str]:
        """Yields texts that together contain every alternative; `{slot}` marks a value without a fixed wording."""
        firsts = [alternatives[0] for alternatives in self._texts]
        for place, alternatives in enumerate(self._texts):
            for text in alternatives:
                yield "".join([*firsts[:place], text, *firsts[place + 1 :]])

    def always_states(self, name: str) -> bool:
        """Whether every variant contains the slot `name`."""
        return name in self._slots_of_all_variants

    @cached_property
    def _slots_of_all_variants(self) -> frozenset[str]:
        """The names of the slots that are in every alternative of some group."""
        groups = [[{p.name for p in parts if isinstance(p, Slot)} for parts in group] for group in self.groups]
        return frozenset(name for names in groups for name in names[0].intersection(*names[1:]))


def _capitalise(parts: list[PhrasingPart]) -> list[PhrasingPart]:
    """The parts with capitals where sentences start; a value that stands there stays as it is."""
    capitalised: list[PhrasingPart] = []
    starts = False
    for part in parts:
        if isinstance(part, Slot):
            capitalised.append(Slot(part.name, _with_capital(part.wording)) if starts and part.wording else part)
            starts = False
        elif starts or SENTENCE_START in part:
            first, *sentences = part.split(SENTENCE_START)
            first = _with_capital(first) if starts and first else first
            starts = bool(sentences and not sentences[-1]) or (starts and not first and not sentences)
            text = first + "".join(map(_with_capital, sentences))
            capitalised += [text] if text else []
        else:
            capitalised.append(part)
    return capitalised


def _with_capital(text: str) -> str:
    return text[:1].upper() + text[1:]


@lru_cache(maxsize=_MAX_PHRASINGS_IN_MEMORY)
def phrasing_of(text: str) -> Phrasing:
    """The parsed phrasing, memoised. Raises ValueError as `Phrasing` does."""
    return Phrasing(text)


def _render_plainly(parts: Iterable[PhrasingPart]) -> str:
    return "".join(part if isinstance(part, str) else part.wording or f"{{{part.name}}}" for part in parts)


def _parse_groups(text: str) -> Iterator[tuple[tuple[PhrasingPart, ...], ...]]:
    position = 0
    for match in _GROUP.finditer(text):
        if match.start() > position:
            yield (tuple(_parse_alternative(text[position : match.start()])),)
        alternatives = match.group(1).split("|")
        if len(set(alternatives)) < len(alternatives) or len(alternatives) == 1:
            raise ValueError(f"[{match.group(1)}] needs two or more alternatives that differ")
        yield tuple(tuple(_parse_alternative(each)) for each in alternatives)
        position = match.end()
    if position < len(text):
        yield (tuple(_parse_alternative(text[position:])),)


def _parse_alternative(text: str) -> Iterator[PhrasingPart]:
    if not _NOTATION.search(text):  # most have no slot
        if text:
            yield text
        return
    position = 0
    for match in _SLOT.finditer(text) if "{" in text else ():
        if match.start() > position:
            yield _check_literal(text[position : match.start()])
        yield Slot(match.group(1), match.group(2))
        position = match.end()
    if position < len(text):
        yield _check_literal(text[position:])


def _check_literal(text: str) -> str:
    if _NOTATION.search(text):
        raise ValueError(f"unmatched {{, }}, [, ] or | in {text!r}")
    return text
