"""Randomness that depends on names only: the same path gives the same numbers, on any machine and in any order."""

from __future__ import annotations

import random
from hashlib import blake2b


def seed_of(*path: int | str) -> int:
    """The 64-bit seed of a path such as `(seed, "finance", "train", 42)`."""
    return int.from_bytes(blake2b("\x1f".join(map(str, path)).encode(), digest_size=8).digest(), "big")


def stream(*path: int | str) -> random.Random:
    """A random generator of its own for a path; drawing from it does not affect any other."""
    return random.Random(seed_of(*path))
