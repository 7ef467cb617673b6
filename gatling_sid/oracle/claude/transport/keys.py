"""API keys, the organisations they turn out to belong to, and which of them takes the next call.

A key is known by its place in the list; its text goes to the client and nowhere else.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle

import anthropic
import httpx2

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.transport.rate_limits import Draw, ExpectedUse, Limiter

_KEY = re.compile(r"[\x21-\x7e]+")
_POOL_SIZE = 25  # a pool looks at each of its connections before each call: several small ones cost less than one large
_BEFORE_LIMITS = 8  # calls a key may have in flight while its limits are unknown
_MOST_WAITING = 8  # calls that wait for one organisation; the rest choose later, when more is known
_TIMEOUT = anthropic.Timeout(600, connect=20)


@dataclass(eq=False)
class Key:
    """One key. Organisation and workspace are unknown until its first answer; until then it takes few calls."""

    name: str
    clients: Iterator[anthropic.AsyncAnthropic] = field(repr=False)
    organisation: str | None = None
    workspace: str | None = None
    in_flight: int = 0
    taken: int = 0
    held: int = 0
    """Calls that have chosen the key and not joined its organisation's line: they wait for a cache to be warm."""
    limiter: Limiter = field(default_factory=Limiter)

    @property
    def client(self) -> anthropic.AsyncAnthropic:
        """One for the next call."""
        return next(self.clients)

    @property
    def takes_more(self) -> bool:
        """Whether another call may choose this key now."""
        if self.organisation:
            return self.limiter.waiting < _MOST_WAITING and self.held < _MOST_WAITING
        return self.in_flight < _BEFORE_LIMITS

    @property
    def cache(self) -> str:
        """Keys with the same value read each other's cache entries."""
        return self.workspace or self.organisation or self.name


class Keys:
    """All keys of a run, one limiter per organisation, connection pools shared by all."""

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
        trust = httpx2.create_ssl_context()
        self._pools = [_pool(trust) for _ in range(-(-in_flight // _POOL_SIZE))]
        self.all = [
            Key(f"API key {place} of {len(texts)}", cycle([_client(text, base_url, pool) for pool in self._pools]))
            for place, text in enumerate(texts, start=1)
        ]
        self._limiters: dict[str, Limiter] = {}
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()

    async def close(self) -> None:
        """Closes the connections."""
        for pool in self._pools:
            await pool.aclose()

    async def lease(self, need: ExpectedUse) -> Key:
        """Of the organisation that is free soonest, the key that was taken least; first come, first served."""
        async with self._turn:
            while not (open_keys := [key for key in self.all if key.takes_more]):
                self._changed.clear()
                await self._changed.wait()
        limiters = dict.fromkeys(key.limiter for key in open_keys)
        soonest = min(limiters, key=lambda limiter: (limiter.backlog(need), self._in_flight(limiter)))
        key = min((key for key in open_keys if key.limiter is soonest), key=lambda key: key.taken)
        key.taken += 1
        key.held += 1
        key.in_flight += 1
        return key

    async def enter(self, key: Key, need: ExpectedUse) -> Draw:
        """Waits until the key's organisation may send."""
        draw = await key.limiter.enter(need)
        key.held -= 1
        self._changed.set()
        return draw

    def give_back(self, key: Key, *, entered: bool) -> None:
        """The call has ended, after it had entered its organisation's line or before."""
        key.in_flight -= 1
        key.held -= not entered
        self._changed.set()

    def _in_flight(self, limiter: Limiter) -> int:
        return sum(key.in_flight for key in self.all if key.limiter is limiter)

    def learn_limits(self, key: Key, headers: Mapping[str, str], sent: float) -> None:
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


def _pool(trust: ssl.SSLContext) -> httpx2.AsyncClient:
    room = httpx2.Limits(max_connections=None, max_keepalive_connections=2 * _POOL_SIZE)
    return anthropic.DefaultAsyncHttpxClient(timeout=_TIMEOUT, limits=room, verify=trust)


def _client(key: str, base_url: str | None, pool: httpx2.AsyncClient) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(
        api_key=key, base_url=base_url, max_retries=0, timeout=_TIMEOUT, http_client=pool, open_telemetry=False
    )
