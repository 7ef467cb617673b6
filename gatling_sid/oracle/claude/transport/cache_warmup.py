"""Cache warm-up: of the calls with one prefix, the first goes alone, so that the others read what it wrote.

A cache entry can be read only after the first answer begins; calls in flight together would all pay the write.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_LIFETIME_SECONDS = 270  # an entry lives 5 minutes from its last use; part of the last is the call's own time

CachedPrefix = tuple[str, str]  # the workspace whose cache it is, and the prefix


class PromptCacheWarmup:
    """Which prefixes are in the cache."""

    def __init__(self) -> None:
        self._used: dict[CachedPrefix, float] = {}
        self._warming: dict[CachedPrefix, asyncio.Event] = {}

    def mark_warm(self, place: CachedPrefix) -> None:
        """An answer came back: the prefix was written or read just now."""
        self._used[place] = time.monotonic()

    @asynccontextmanager
    async def wait_for_turn(self, place: CachedPrefix) -> AsyncIterator[None]:
        """Entered at once if the prefix is warm; else one call at a time until one of them has marked it."""
        while not self._is_warm(place) and (warming := self._warming.get(place)):
            await warming.wait()
        if self._is_warm(place):
            yield
            return
        event = self._warming[place] = asyncio.Event()
        try:
            yield
        finally:
            del self._warming[place]
            event.set()

    def _is_warm(self, place: CachedPrefix) -> bool:
        used = self._used.get(place)
        return used is not None and time.monotonic() - used < _LIFETIME_SECONDS
