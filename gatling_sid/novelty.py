"""Finding near-copies among request texts.

Two texts are near-copies if they share more than `MAX_SHARED_PAIRS` of all pairs of neighbouring words that one of
them has (their Jaccard index). Comparing a text with all known ones would take quadratic time. Instead the prefix filter
of Chaudhuri, Ganti and Kaushik, "A Primitive Operator for Similarity Joins in Data Cleaning" (2006), finds the
candidates: a near-copy shares more than 70 % of the pairs of a text, so it has at least one of any 30 % of them. The
filter looks up those pairs that occur in the fewest known texts. The number of them that a candidate has limits how many
pairs it can share in all.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator
from hashlib import blake2b
from itertools import chain, pairwise
from math import ceil

MAX_SHARED_PAIRS = 0.7
"""Above this share of word pairs, texts are near-copies. With 0.7, one changed word makes a new text out of ten words
(9 of 13 pairs are shared), and two make one out of twenty (17 of 25): about as much as a reader would call different."""


class Novelty:
    """A collection of texts that decides whether another text is new; it keeps about 25 bytes for every pair of words."""

    def __init__(self) -> None:
        self._pairs_of_texts: list[array[int]] = []
        self._texts_with_pair: defaultdict[int, array[int]] = defaultdict(lambda: array("I"))

    def is_new(self, text: str) -> bool:
        """Whether the text is a near-copy of no known text."""
        pairs = _word_pairs(text)
        return not any(_are_near_copies(pairs, known) for known in self._candidates(pairs))

    def _candidates(self, pairs: set[int]) -> Iterator[array[int]]:
        """The pairs of the known texts that may be near-copies of a text with these pairs."""
        min_shared = ceil(MAX_SHARED_PAIRS * len(pairs))
        rarest_first = sorted((self._texts_with_pair.get(pair, array("I")) for pair in pairs), key=len)
        prefix = rarest_first[: len(pairs) - min_shared + 1]
        for number, shared in Counter(chain.from_iterable(prefix)).items():
            known = self._pairs_of_texts[number]
            max_shared = min(shared + min_shared - 1, len(known))
            if _overlap(max_shared, len(pairs), len(known)) > MAX_SHARED_PAIRS:
                yield known

    def add(self, text: str) -> None:
        """Adds a text to the known ones, whether it is new or not."""
        pairs = _word_pairs(text)
        for pair in pairs:
            self._texts_with_pair[pair].append(len(self._pairs_of_texts))
        self._pairs_of_texts.append(array("q", pairs))

    def add_if_new(self, text: str) -> bool:
        """Adds a text to the known ones if it is new; returns whether it was."""
        is_new = self.is_new(text)
        if is_new:
            self.add(text)
        return is_new


def _word_pairs(text: str) -> set[int]:
    """64-bit digests of the pairs of neighbouring words of a text; case and punctuation do not count."""
    words = ["", *"".join(each if each.isalnum() else " " for each in text.casefold()).split(), ""]
    digests = (blake2b(f"{one} {other}".encode(errors="replace"), digest_size=8) for one, other in pairwise(words))
    return {int.from_bytes(each.digest(), signed=True) for each in digests}


def _are_near_copies(pairs: set[int], known: array[int]) -> bool:
    return _overlap(len(pairs.intersection(known)), len(pairs), len(known)) > MAX_SHARED_PAIRS


def _overlap(shared: int, one: int, other: int) -> float:
    """The Jaccard index of two sets with `one` and `other` elements, of which they share `shared`."""
    return shared / (one + other - shared)
