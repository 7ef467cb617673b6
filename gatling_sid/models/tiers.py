"""Tiers: how sensitive data is, and how far content is trusted."""

from __future__ import annotations

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
