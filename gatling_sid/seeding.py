"""Random numbers and orders that depend only on a path of names: the same on any machine and in any order of use."""

from __future__ import annotations

import random
from functools import lru_cache
from hashlib import blake2b
from math import gcd

_GOLDEN_SECTION = 0.6180339887
"""The part of a range whose multiples spread over the range most evenly."""


def seed_of(*path: int | str) -> int:
    """The 64-bit seed of a path such as `(seed, "finance", "train", 42)`."""
    return int.from_bytes(blake2b("\x1f".join(map(str, path)).encode(), digest_size=8).digest(), "big")


def stream(*path: int | str) -> random.Random:
    """A random generator for a path; drawing from it does not affect the generators of other paths."""
    return random.Random(seed_of(*path))


def permute(number: int, size: int, start: int) -> int:
    """The number's place in an order of range(size) that begins at `start` and puts successive numbers far apart."""
    return (number + start) * _step_of(size) % size


@lru_cache(maxsize=65536)
def _step_of(size: int) -> int:
    """A number near the golden section of `size` without a common divisor, so that its multiples reach every number."""
    step = int(size * _GOLDEN_SECTION) | 1
    while gcd(step, size) != 1:
        step += 1
    return step
