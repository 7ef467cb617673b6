"""Putting a request into words: a phrasing, what people put around it, and how they type.

Which words the n-th use of a scenario gets is an injective code, so that no two requests of a scenario are worded
alike however many are made, without remembering any.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from math import gcd
from typing import Any, NamedTuple

from gatling_sid.errors import OracleError
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.language.phrasing import Phrasing, Slot, phrasing_of
from gatling_sid.schemas.language.wording import join_list, wordings
from gatling_sid.seeding import seed_of

Span = tuple[int, int]


class RenderedRequest(NamedTuple):
    """A request's text, where in it each slot is said, and where its core (without openings, closings) stands."""

    text: str
    spans: dict[str, Span]
    core: Span


class Frame(NamedTuple):
    """What surrounds a phrasing."""

    opening: str
    reason: str
    closing: str


# Which of opening, reason and closing a request has; dealt in turn, so the list is also the distribution.
_SHAPES = (
    (1, 0, 0), (0, 1, 0), (0, 0, 0), (1, 1, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1), (1, 0, 1), (0, 0, 0),
    (0, 1, 0), (1, 0, 0), (1, 1, 1), (0, 0, 1), (1, 1, 0), (0, 1, 0), (1, 0, 0), (0, 1, 1), (0, 0, 0), (1, 1, 0),
)  # fmt: skip
_RANK = tuple(_SHAPES[:at].count(shape) for at, shape in enumerate(_SHAPES))
_SHIFT = 7
"""Each phrasing begins this much further on in the shapes than the one before it."""
_TIMES = tuple(_SHAPES.count(shape) for shape in _SHAPES)
_FULL = (1, 1, 1)


class WordingSpace(NamedTuple):
    """All ways one split may word one scenario."""

    phrasings: tuple[Phrasing, ...]
    openings: tuple[str, ...]
    reasons: tuple[str, ...]
    closings: tuple[str, ...]

    def capacity(self) -> int:
        """How many requests can be worded without repeating any."""
        # Full frames are dealt from both ends; each turn takes at most one from the far end, every 20th one from the near.
        least = min(self._size(phrasing, _FULL) for phrasing in self.phrasings)
        turns = (len(_SHAPES) * (least - 1) - _SHIFT * len(self.phrasings)) // (len(_SHAPES) + 1)
        return len(self.phrasings) * max(turns, 0)

    def _size(self, phrasing: Phrasing, shape: tuple[int, ...]) -> int:
        size = phrasing.variants
        for wanted, pool in zip(shape, self._pools, strict=True):
            size *= len(pool) if wanted else 1
        return size

    @property
    def _pools(self) -> tuple[tuple[str, ...], ...]:
        return self.openings, self.reasons, self.closings

    def at(self, variant_index: int) -> tuple[Phrasing, int, Frame]:
        """The `use`-th wording: a phrasing, its spin, its frame; no two uses below `capacity` are alike."""
        round_of_phrasing, which = divmod(variant_index, len(self.phrasings))
        phrasing = self.phrasings[which]
        round_, place = divmod(round_of_phrasing + which * _SHIFT, len(_SHAPES))
        shape = _SHAPES[place]
        size = self._size(phrasing, shape)
        code = round_ * _TIMES[place] + _RANK[place]
        if code >= size:  # this shape is used up: take full frames from the far end
            shape, size = _FULL, self._size(phrasing, _FULL)
            code = size - 1 - round_of_phrasing
        if shape == _FULL and round_ >= size - 1 - round_of_phrasing:  # near and far end meet
            raise OracleError(
                f"phrasing {phrasing.text!r} cannot be worded {variant_index} times; add alternatives or phrasings"
            )
        # Each phrasing starts elsewhere, so that neighbours of different scenarios do not get the same frames.
        code = _scatter((code + _offset(phrasing.text)) % size, size)
        code, spin = divmod(code, phrasing.variants)
        parts = []
        for wanted, pool in zip(shape, self._pools, strict=True):
            if wanted:
                code, choice = divmod(code, len(pool))
            parts.append(pool[choice] if wanted else "")
        return phrasing, spin, Frame(*parts)


@lru_cache(maxsize=65536)
def _offset(text: str) -> int:
    return seed_of("phrasing", text)


def _scatter(code: int, size: int) -> int:
    """A bijection of range(size) under which neighbours come to lie far apart in every digit."""
    return (code * _factor(size)) % size


@lru_cache(maxsize=65536)
def _factor(size: int) -> int:
    """A number near the golden section of `size` that shares no divisor with it."""
    factor = int(size * 0.6180339887) | 1
    while gcd(factor, size) != 1:
        factor += 1
    return factor


@lru_cache(maxsize=1024)
def wording_space_of(domain: Domain, scenario: str, split: str) -> WordingSpace:
    """The wordings a split may use: the last phrasing of a scenario is kept for test, the one before for validation."""
    spec = domain.file.scenarios[scenario]
    parsed = tuple(phrasing_of(text) for text in spec.phrasings)
    mine = {"test": parsed[-1:], "validation": parsed[-2:-1]}.get(split, parsed[:-2])
    return WordingSpace(mine, tuple(domain.file.voice.openings), tuple(spec.reasons), tuple(domain.file.voice.closings))


def render_request(
    domain: Domain,
    scenario: str,
    split: str,
    variant_index: int,
    slots: Mapping[str, Any],
    today: date,
    rng: random.Random,
) -> RenderedRequest:
    """The words of the `use`-th request of a scenario, with `slots` said somehow."""
    phrasing, spin, frame = wording_space_of(domain, scenario, split).at(variant_index)
    ways = _wording_rules_of(domain, scenario)
    style = rng.choice(_STYLES)
    parts: list[str] = []
    spans: dict[str, Span] = {}
    length = 0
    opening = frame.opening
    if opening:
        opening += " "
        parts.append(opening)
        length += len(opening)
    start = length
    for piece in phrasing.variant_pieces(spin):
        if isinstance(piece, Slot):
            words = piece.wording or _render_value(slots[piece.name], ways.get(piece.name), today, rng)
            if length == start and piece.wording:
                words = _continue_sentence(words, opening)
            spans.setdefault(piece.name, (length, length + len(words)))
        elif length == start:
            words = _continue_sentence(piece, opening)
        else:
            words = piece
        parts.append(words)
        length += len(words)
    core = (start, length)
    for extra in (frame.reason, frame.closing):
        if extra:
            words = (" " if parts[-1].endswith(_TERMINAL) else ". ") + extra
            parts.append(words)
            length += len(words)
    text = "".join(parts)
    if style == "careful":
        return RenderedRequest(text, spans, core)
    quoted = any(name in spans and kind == "quote" for name, (kind, _) in ways.items())
    named = not opening and any(span[0] == start for span in spans.values())
    if quoted or (named and style == "small start"):
        style = {"small start": "careful", "small letters": "no full stop"}.get(style, style)
    ends_in_value = any(span[1] == length for span in spans.values())
    return RenderedRequest(_apply_typing_style(text, style, keep_end=ends_in_value), spans, core)


def _render_value(
    value: Any, way: tuple[str, Mapping[Any, tuple[str, ...]]] | None, today: date, rng: random.Random
) -> str:
    kind, words = way or ("text", {})
    if isinstance(value, list):
        return join_list([rng.choice(wordings(kind, each, today, words.get(each, ()))) for each in value])
    return rng.choice(wordings(kind, value, today, words.get(value, ())))


@lru_cache(maxsize=1024)
def _wording_rules_of(domain: Domain, scenario: str) -> dict[str, tuple[str, Mapping[Any, tuple[str, ...]]]]:
    """Kind of wording and catalogue words of every slot that gives an argument its value."""
    ways = {}
    for slot, uses in domain.slot_parameters(domain.file.scenarios[scenario]).items():
        tool, parameter = uses[0]
        kind = (
            "quote"
            if tool.parameters[parameter].does == "content"
            else domain.wording_kind(tool, tool.parameters[parameter])
        )
        ways[slot] = (kind, domain.words_to_say(tool, parameter))
    return ways


_TERMINAL = (".", "!", "?", "…", ".)", "?)", "!)")
_KEEPS_CAPITAL = re.compile(r"I\b|[A-Z]\w*[A-Z]|[B-Z]\b|A\b(?! )")


def _continue_sentence(text: str, opening: str) -> str:
    """A sentence's beginning, without its capital where the opening runs on into it."""
    if not opening or opening[-2:-1] in ".!?)" or _KEEPS_CAPITAL.match(text):
        return text
    return text[:1].lower() + text[1:]


# As often as they stand here.
_STYLES = (*["careful"] * 12, *["no full stop"] * 2, *["small letters"] * 2, "small start")


def _apply_typing_style(text: str, style: str, *, keep_end: bool) -> str:
    """How the text is typed; spans stay where they are."""
    drops_stop = style in ("no full stop", "small letters") and not keep_end
    if drops_stop and text.endswith(".") and not text.endswith(".."):
        text = text[:-1]
    if style in ("careful", "no full stop"):
        return text
    if style == "small start":
        return text if _KEEPS_CAPITAL.match(text) else text[:1].lower() + text[1:]
    small = text.lower()
    return small if len(small) == len(text) else text
