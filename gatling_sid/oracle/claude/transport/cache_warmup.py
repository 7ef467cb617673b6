"""Cache warm-up: the first API call with a prefix is sent alone, so that the others read the cache entry it writes.

A cache entry can be read only after the first response begins; API calls sent at the same time would all pay to write it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# An entry lives 300 s from its last use; the API call that relies on it needs some of them itself.
_LIFETIME_SECONDS = 270

CachedPrefix = tuple[str, str]
"""The owner of the cache (see `Key.cache_owner`), and the digest of the prefix."""


class PromptCacheWarmup:
    """Knows which prefixes are in the prompt cache."""

    def __init__(self) -> None:
        self._last_use: dict[CachedPrefix, float] = {}
        self._warmups: dict[CachedPrefix, asyncio.Event] = {}

    def mark_warm(self, prefix: CachedPrefix) -> None:
        """Records that a response to this prefix came, so the cache entry was written or read just now."""
        self._last_use[prefix] = time.monotonic()

    @asynccontextmanager
    async def wait_for_turn(self, prefix: CachedPrefix) -> AsyncIterator[None]:
        """Enters at once if the prefix is in the cache; otherwise admits one API call at a time until one has marked it as warm."""
        while not self._is_warm(prefix) and (warmup := self._warmups.get(prefix)):
            await warmup.wait()
        if self._is_warm(prefix):
            yield
            return
        event = self._warmups[prefix] = asyncio.Event()
        try:
            yield
        finally:
            del self._warmups[prefix]
            event.set()

    def _is_warm(self, prefix: CachedPrefix) -> bool:
        last_use = self._last_use.get(prefix)
        return last_use is not None and time.monotonic() - last_use < _LIFETIME_SECONDS
