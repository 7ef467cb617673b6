"""Near-copies among request texts.

Two texts are near-copies if their sets of neighbouring words overlap by more than `ALIKE` (Jaccard). Candidates are
found by the prefix filter of Chaudhuri, Ganti and Kaushik, "A Primitive Operator for Similarity Joins in Data
Cleaning" (2006): a near-copy has one of any few pairs of the text. All pairs of a known text can be looked up, so that
these few may be those that the fewest texts have; how many of them a candidate has bounds how many it can have in all.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from hashlib import blake2b
from itertools import chain, pairwise
from math import ceil

ALIKE = 0.7


class Novelty:
    """Texts that are known; some 25 bytes are kept of every pair of words."""

    def __init__(self) -> None:
        self._texts: list[array[int]] = []
        self._having: defaultdict[int, array[int]] = defaultdict(lambda: array("I"))

    def is_new(self, text: str) -> bool:
        """Whether it nearly copies none that is known."""
        pairs = _pairs(text)
        having = sorted((self._having.get(pair, array("I")) for pair in pairs), key=len)
        unseen = ceil(ALIKE * len(pairs)) - 1  # one less than a near-copy has
        for number, met in Counter(chain.from_iterable(having[: len(pairs) - unseen])).items():
            known = self._texts[number]
            most = min(met + unseen, len(known))
            if _alike(most, pairs, known) and _alike(len(pairs.intersection(known)), pairs, known):
                return False
        return True

    def learn(self, text: str) -> None:
        """Makes a text known."""
        pairs = _pairs(text)
        for pair in pairs:
            self._having[pair].append(len(self._texts))
        self._texts.append(array("q", pairs))

    def add(self, text: str) -> bool:
        """Makes a text known if it is new; whether it was."""
        new = self.is_new(text)
        if new:
            self.learn(text)
        return new


def _pairs(text: str) -> set[int]:
    """Digests of the neighbouring words of a text; punctuation does not count."""
    words = ["", *"".join(each if each.isalnum() else " " for each in text.casefold()).split(), ""]
    digests = (blake2b(f"{one} {other}".encode(errors="replace"), digest_size=8) for one, other in pairwise(words))
    return {int.from_bytes(each.digest(), signed=True) for each in digests}


def _alike(shared: int, one: set[int], other: array[int]) -> bool:
    """Whether so many shared pairs make near-copies of two texts: their Jaccard index."""
    return shared / (len(one) + len(other) - shared) > ALIKE
