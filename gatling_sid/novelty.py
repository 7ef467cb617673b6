"""Near-copies among request texts.

Two texts are near-copies if their sets of neighbouring words overlap by more than `ALIKE` (Jaccard). Candidates are
found by the prefix filter of Chaudhuri, Ganti and Kaushik, "A Primitive Operator for Similarity Joins in Data
Cleaning" (2006): sets that overlap so much share one of the few first elements, in any order that both follow.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from hashlib import blake2b
from itertools import pairwise
from math import ceil

ALIKE = 0.7


class Novelty:
    """Texts that are known; 8 bytes are kept of every pair of words."""

    def __init__(self) -> None:
        self._texts: list[array[int]] = []
        self._by_pair: defaultdict[int, list[int]] = defaultdict(list)

    def is_new(self, text: str) -> bool:
        """Whether it nearly copies none that is known."""
        pairs = _pairs(text)
        near = {number for pair in _prefix(pairs) for number in self._by_pair.get(pair, ())}
        return not any(_overlap(pairs, self._texts[number]) > ALIKE for number in near)

    def learn(self, text: str) -> None:
        """Makes a text known."""
        pairs = _pairs(text)
        for pair in _prefix(pairs):
            self._by_pair[pair].append(len(self._texts))
        self._texts.append(pairs)

    def add(self, text: str) -> bool:
        """Makes a text known if it is new; whether it was."""
        new = self.is_new(text)
        if new:
            self.learn(text)
        return new


def _prefix(pairs: array[int]) -> array[int]:
    return pairs[: len(pairs) - ceil(ALIKE * len(pairs)) + 1]


def _pairs(text: str) -> array[int]:
    """Digests of the neighbouring words of a text, longest first, since long pairs are rare; punctuation does not count."""
    words = ["", *"".join(each if each.isalnum() else " " for each in text.casefold()).split(), ""]
    said = sorted({f"{one} {other}" for one, other in pairwise(words)}, key=lambda each: (-len(each), each))
    digests = (blake2b(each.encode(errors="replace"), digest_size=8).digest() for each in said)
    return array("q", (int.from_bytes(each, signed=True) for each in digests))


def _overlap(one: array[int], other: array[int]) -> float:
    """Jaccard index."""
    shared = len(set(one).intersection(other))
    return shared / (len(one) + len(other) - shared)
