"""Sensitivity of data and trust in content, each in a few steps."""

from __future__ import annotations

from enum import Enum


class SensitivityTier(str, Enum):
    """How much harm a leak of the data would do, in four steps."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    RESTRICTED = "restricted"

    @property
    def level(self) -> int:
        """The tier as a number, from 1 (public) to 4 (restricted)."""
        return _LEVELS[self]


_LEVELS = {tier: level for level, tier in enumerate(SensitivityTier, start=1)}


class TrustTier(str, Enum):
    """Who vouches for a piece of content."""

    SYSTEM = "system"
    USER = "user"
    VERIFIED_RAG = "verified_rag"
    UNVERIFIED_RAG = "unverified_rag"

    @property
    def tier(self) -> int:
        """The trust as a number: 1 own systems and users, 2 signed partner, 3 public web."""
        return {"verified_rag": 2, "unverified_rag": 3}.get(self.value, 1)
