"""Tiers: how sensitive data is, and how far content is trusted."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum


class SensitivityTier(str, Enum):
    """How sensitive data is: how much harm a leak would do, in four tiers."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    RESTRICTED = "restricted"

    @property
    def rank(self) -> int:
        """The tier as a number, from 1 (public) to 4 (restricted)."""
        return _RANKS[self]

    @property
    def level(self) -> int:
        """The same as `rank`, under the name that was published first."""
        return self.rank


_RANKS = {tier: rank for rank, tier in enumerate(SensitivityTier, start=1)}


class TrustTier(str, Enum):
    """Where content comes from, and so how far it is trusted."""

    SYSTEM = "system"
    USER = "user"
    VERIFIED_RAG = "verified_rag"
    UNVERIFIED_RAG = "unverified_rag"

    @property
    def rank(self) -> int:
        """The tier as a number: 1 own systems and users, 2 signed partner, 3 public web."""
        return {"verified_rag": 2, "unverified_rag": 3}.get(self.value, 1)

    @property
    def tier(self) -> int:
        """The same as `rank`, under the name that was published first."""
        return self.rank

    @staticmethod
    def least_trusted(tiers: Iterable[TrustTier]) -> TrustTier:
        """The tier on which something rests that has parts of these tiers; `SYSTEM` if there are none."""
        return max(tiers, key=_DISTANCES.__getitem__, default=TrustTier.SYSTEM)

    def is_at_most(self, other: TrustTier) -> bool:
        """Whether content of this tier is trusted no more than content of another one."""
        return _DISTANCES[self] >= _DISTANCES[other]


_DISTANCES = {tier: distance for distance, tier in enumerate(TrustTier)}
"""How far from the own systems each tier is, since `rank` does not tell users from systems."""
