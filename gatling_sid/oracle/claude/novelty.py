"""Near-copies among the requests of a run.

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
    """The texts said so far; 8 bytes are kept of every pair of words."""

    def __init__(self) -> None:
        self._texts: list[array[int]] = []
        self._by_pair: defaultdict[int, list[int]] = defaultdict(list)

    def add(self, text: str) -> bool:
        """Remembers a text, unless it nearly copies one that is known: then False."""
        pairs = _pairs(text)
        prefix = pairs[: len(pairs) - ceil(ALIKE * len(pairs)) + 1]
        for number in {number for pair in prefix for number in self._by_pair.get(pair, ())}:
            if _overlap(pairs, self._texts[number]) > ALIKE:
                return False
        for pair in prefix:
            self._by_pair[pair].append(len(self._texts))
        self._texts.append(pairs)
        return True


def _pairs(text: str) -> array[int]:
    """Digests of the neighbouring words of a text, sorted; case and punctuation do not count."""
    words = ["", *"".join(each if each.isalnum() else " " for each in text.casefold()).split(), ""]
    said = {f"{one} {other}" for one, other in pairwise(words)}
    digests = (blake2b(each.encode(errors="replace"), digest_size=8).digest() for each in said)
    return array("q", sorted(int.from_bytes(each, signed=True) for each in digests))


def _overlap(one: array[int], other: array[int]) -> float:
    """Jaccard index."""
    shared = len(set(one).intersection(other))
    return shared / (len(one) + len(other) - shared)
