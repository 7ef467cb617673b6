"""How many of a set of texts are near-copies of others, by the character 5-grams that they share.

Two texts are near-copies if more than 0.7 of their 5-grams, taken together, are in both (Jaccard similarity). Pairs that
may be so alike are found by MinHash signatures in bands, so that the time grows about linearly with the texts: 80,000
take a minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatling_sid.seeding import stream

SIMILARITY = 0.7
"""The Jaccard similarity above which two texts are near-copies."""
GRAM_LENGTH = 5
"""Length of the n-grams, in bytes of UTF-8."""
HASHES, ROWS_PER_BAND = 128, 4
"""Length of a signature, and how many hashes in a row must agree: of near-copies, 999 in 1,000 pairs are looked at."""
LARGEST_DISTANCE = 64
"""How far apart, among texts with an equal band, two texts are compared; a larger group is linked by its members."""
LEAST_ESTIMATE = 0.55
"""Estimated similarity below which a pair is not compared exactly; four standard deviations below `SIMILARITY`."""
PAIRS_AT_ONCE = 20_000
"""Pairs that are compared at a time; this limits the memory."""

_PRIME, _SPREAD = np.uint64(1_000_003), np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)

Integers = NDArray[np.int64]


class Grams(NamedTuple):
    """The hashed n-grams of all texts: those of text i are `values[starts[i]:starts[i + 1]]`, without repetition."""

    values: NDArray[np.uint64]
    starts: Integers


def near_copy_share(texts: Sequence[str]) -> float:
    """The share of texts that is left out if of each group of near-copies only one text is kept."""
    grams = _grams_of(texts)
    signatures = _signatures_of(grams)
    groups: Integers = np.arange(len(texts))
    for first in range(0, HASHES, ROWS_PER_BAND):
        keys = _band_keys(signatures[:, first : first + ROWS_PER_BAND])
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        for distance in range(1, LARGEST_DISTANCE + 1):
            places = np.flatnonzero(keys[distance:] == keys[:-distance])
            if not len(places):
                break
            one, other = order[places], order[places + distance]
            is_open = groups[one] != groups[other]
            one, other = _near_copies_among(one[is_open], other[is_open], signatures, grams)
            groups = _join_groups(groups, one, other)
    return 1 - len(np.unique(groups)) / len(texts)


def _grams_of(texts: Sequence[str]) -> Grams:
    encoded = [text.encode().ljust(GRAM_LENGTH, b"_") for text in texts]
    lengths = np.array([len(each) for each in encoded])
    data = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    count = len(data) - GRAM_LENGTH + 1
    hashes = np.zeros(count, dtype=np.uint64)
    for offset in range(GRAM_LENGTH):
        hashes = hashes * _PRIME + data[offset : offset + count]
    hashes = (hashes ^ (hashes >> np.uint64(29))) * _SPREAD >> _HALF
    text_of = np.repeat(np.arange(len(texts)), lengths)[:count]
    within_text = np.arange(count) + GRAM_LENGTH <= np.cumsum(lengths)[text_of]
    keys = np.unique((text_of[within_text].astype(np.uint64) << _HALF) | hashes[within_text])
    starts = np.searchsorted(keys >> _HALF, np.arange(len(texts) + 1, dtype=np.uint64))
    return Grams(keys & np.uint64(0xFFFFFFFF), starts)


def _signatures_of(grams: Grams) -> NDArray[np.uint32]:
    """For each text, the smallest value that each of many hash functions gives to one of its n-grams."""
    rng = stream("near-copies")
    spread = grams.values * _SPREAD
    spread ^= spread >> _HALF
    signatures = np.empty((len(grams.starts) - 1, HASHES), dtype=np.uint32)
    for column in range(HASHES):
        factor, shift = np.uint64(rng.getrandbits(63)), np.uint64(rng.getrandbits(63))
        hashes = ((spread * (factor | np.uint64(1)) + shift) >> _HALF).astype(np.uint32)
        signatures[:, column] = np.minimum.reduceat(hashes, grams.starts[:-1])
    return signatures


def _band_keys(band: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """One number per text that is equal for equal bands."""
    keys = np.zeros(len(band), dtype=np.uint64)
    for column in band.T:
        keys = (keys ^ column) * _SPREAD
        keys ^= keys >> _HALF
    return keys


def _near_copies_among(
    one: Integers, other: Integers, signatures: NDArray[np.uint32], grams: Grams
) -> tuple[Integers, Integers]:
    """The pairs of texts, given as two lists of their numbers, that are near-copies."""
    kept: list[tuple[Integers, Integers]] = [(one[:0], other[:0])]
    for start in range(0, len(one), PAIRS_AT_ONCE):
        some, others = one[start : start + PAIRS_AT_ONCE], other[start : start + PAIRS_AT_ONCE]
        is_likely = (signatures[some] == signatures[others]).mean(axis=1) >= LEAST_ESTIMATE
        some, others = some[is_likely], others[is_likely]
        is_near = _similarities(some, others, grams) > SIMILARITY
        kept.append((some[is_near], others[is_near]))
    return np.concatenate([each for each, _ in kept]), np.concatenate([each for _, each in kept])


def _similarities(one: Integers, other: Integers, grams: Grams) -> NDArray[np.float64]:
    """The Jaccard similarity of each pair: an n-gram of both texts stands twice among the pair's sorted n-grams."""
    pairs = np.tile(np.arange(len(one)), 2)
    starts, ends = (grams.starts[np.concatenate([one, other]) + step] for step in (0, 1))
    sizes = ends - starts
    offsets = np.cumsum(sizes) - sizes
    places = np.arange(sizes.sum()) + np.repeat(starts - offsets, sizes)
    keys = np.sort((np.repeat(pairs, sizes).astype(np.uint64) << _HALF) | grams.values[places])
    twice = (keys[1:][keys[1:] == keys[:-1]] >> _HALF).astype(np.int64)
    in_both = np.bincount(twice, minlength=len(one))
    return np.asarray(in_both / (sizes[: len(one)] + sizes[len(one) :] - in_both), dtype=np.float64)


def _join_groups(groups: Integers, one: Integers, other: Integers) -> Integers:
    """The group of each text, named after its first text, when the groups of these pairs are joined."""
    if not len(one):
        return groups
    parents = groups.tolist()

    def root(text: int) -> int:
        while parents[text] != text:
            parents[text] = parents[parents[text]]
            text = parents[text]
        return text

    for some, others in zip(one.tolist(), other.tolist(), strict=True):
        low, high = sorted((root(some), root(others)))
        parents[high] = low
    joined = np.array(parents)
    while (joined[joined] != joined).any():
        joined = joined[joined]
    return joined
