"""Random numbers that depend only on a path of names: the same on any machine and in any order of use."""

from __future__ import annotations

import random
from hashlib import blake2b


def seed_of(*path: int | str) -> int:
    """The 64-bit seed of a path such as `(seed, "finance", "train", 42)`."""
    return int.from_bytes(blake2b("\x1f".join(map(str, path)).encode(), digest_size=8).digest(), "big")


def stream(*path: int | str) -> random.Random:
    """A random generator for a path; drawing from it does not affect the generators of other paths."""
    return random.Random(seed_of(*path))
