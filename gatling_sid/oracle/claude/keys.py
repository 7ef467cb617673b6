"""API keys, the organisations they turn out to belong to, and which of them takes the next call.

A key is known by its place in the list; its text goes to the client and nowhere else.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import anthropic
import httpx2

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.limits import Limiter, Need

_KEY = re.compile(r"[\x21-\x7e]+")
_TIMEOUT = anthropic.Timeout(600, connect=20)


@dataclass(eq=False)
class Key:
    """One key. Organisation and workspace are unknown until its first answer, which is waited for alone."""

    name: str
    client: anthropic.AsyncAnthropic = field(repr=False)
    organisation: str | None = None
    workspace: str | None = None
    in_flight: int = 0
    limiter: Limiter = field(default_factory=Limiter)

    @property
    def cache(self) -> str:
        """Keys with the same value read each other's cache entries."""
        return self.workspace or self.organisation or self.name


class Keys:
    """All keys of a run, one limiter per organisation, one connection pool for all."""

    def __init__(self, keys: Sequence[str], *, base_url: str | None, in_flight: int) -> None:
        """Checks the keys' form; nothing is sent yet.

        Raises:
            OracleError: no key, or one that cannot be sent; says which by its place.

        """
        texts = [key.strip() for key in keys]
        if not texts:
            raise OracleError("no API key: set ANTHROPIC_API_KEY, pass api_key=, or use the embedded ScenarioOracle")
        for place, text in enumerate(texts, start=1):
            if not _KEY.fullmatch(text):
                raise OracleError(
                    f"API key {place} of {len(texts)} is empty or has characters no key has; copy it again"
                )
        self._secrets = texts
        room = httpx2.Limits(max_connections=in_flight + 10, max_keepalive_connections=in_flight + 10)
        self._pool = anthropic.DefaultAsyncHttpxClient(timeout=_TIMEOUT, limits=room)
        first = anthropic.AsyncAnthropic(
            api_key=texts[0],
            base_url=base_url,
            max_retries=0,
            timeout=_TIMEOUT,
            http_client=self._pool,
            open_telemetry=False,
        )
        self.all = [
            Key(f"API key {place} of {len(texts)}", first.with_options(api_key=text))
            for place, text in enumerate(texts, start=1)
        ]
        self._limiters: dict[str, Limiter] = {}
        self._freed = asyncio.Event()

    async def close(self) -> None:
        """Closes the connections."""
        await self._pool.aclose()

    async def lease(self, need: Need) -> Key:
        """The key whose organisation is free soonest, then the one with the fewest calls in flight."""
        while not (free := [key for key in self.all if key.organisation or not key.in_flight]):
            self._freed.clear()
            await self._freed.wait()
        key = min(free, key=lambda key: (key.limiter.backlog(need), key.in_flight))
        key.in_flight += 1
        return key

    def give_back(self, key: Key) -> None:
        """The call has ended."""
        key.in_flight -= 1
        self._freed.set()

    def learn(self, key: Key, headers: Mapping[str, str], sent: float) -> None:
        """Takes organisation, workspace and limits from an answer's headers."""
        organisation = headers.get("anthropic-organization-id")
        if organisation or key.organisation is None:
            key.organisation = organisation or key.name
        key.workspace = headers.get("anthropic-workspace-id") or key.workspace
        key.limiter = self._limiters.setdefault(key.organisation or key.name, key.limiter)
        key.limiter.learn(headers, sent)

    def without_secrets(self, text: str) -> str:
        """The API's own words, should they ever repeat a key."""
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        return text
