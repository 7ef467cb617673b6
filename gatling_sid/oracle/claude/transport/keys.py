"""API keys, the organisations they belong to, and which key sends the next API call.

Messages name a key by its position in the list; its text goes to the SDK and nowhere else.
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
from gatling_sid.oracle.claude.transport.rate_limits import ExpectedUse, Grant, Limiter

_KEY = re.compile(r"[\x21-\x7e]+")
# A pool checks all its connections before each API call, so several small pools cost less than one large.
_POOL_SIZE = 25
# API calls of a key whose limits are unknown. Few, so that almost none is rate limited.
_MAX_IN_FLIGHT_UNLIMITED = 8
# API calls that wait for one organisation. Other calls pick a key later, when the limits are known.
_MAX_WAITING = 8
_TIMEOUT = anthropic.Timeout(600, connect=20)


@dataclass(eq=False)
class Key:
    """One API key; its organisation and workspace are unknown until its first response."""

    name: str
    clients: Iterator[anthropic.AsyncAnthropic] = field(repr=False)
    organisation: str | None = None
    workspace: str | None = None
    in_flight: int = 0
    lease_count: int = 0
    """How often the key was leased so far."""
    waiting: int = 0
    """API calls that leased the key and have no grant yet, for instance because they wait for the prompt cache."""
    limiter: Limiter = field(default_factory=Limiter)

    @property
    def client(self) -> anthropic.AsyncAnthropic:
        """The SDK client for the next API call; the clients take turns."""
        return next(self.clients)

    @property
    def is_available(self) -> bool:
        """Whether another API call may lease this key now."""
        if self.organisation:
            return self.limiter.waiting < _MAX_WAITING and self.waiting < _MAX_WAITING
        return self.in_flight < _MAX_IN_FLIGHT_UNLIMITED

    @property
    def cache_owner(self) -> str:
        """Keys with the same value read each other's entries of the prompt cache."""
        return self.workspace or self.organisation or self.name


class Keys:
    """All keys of a run, with one limiter per organisation and connection pools that all keys share."""

    def __init__(self, keys: Sequence[str], *, base_url: str | None, in_flight: int) -> None:
        """Checks the form of the keys and sends nothing yet.

        Raises:
            OracleError: there is no key, or one has characters that cannot be sent; names it by its position.

        """
        texts = [key.strip() for key in keys]
        if not texts:
            raise OracleError("no API key: set ANTHROPIC_API_KEY, pass api_key=, or use the embedded ScenarioOracle")
        for position, text in enumerate(texts, start=1):
            if not _KEY.fullmatch(text):
                raise OracleError(
                    f"API key {position} of {len(texts)} is empty or has characters no key has; copy it again"
                )
        self._secrets = texts
        ssl_context = httpx2.create_ssl_context()
        self._pools = [_pool(ssl_context) for _ in range(-(-in_flight // _POOL_SIZE))]
        self.all = [
            Key(f"API key {position} of {len(texts)}", cycle([_client(text, base_url, pool) for pool in self._pools]))
            for position, text in enumerate(texts, start=1)
        ]
        self._limiters: dict[str, Limiter] = {}
        self._lease_lock = asyncio.Lock()
        self._availability_changed = asyncio.Event()

    async def close(self) -> None:
        """Closes the connections."""
        for pool in self._pools:
            await pool.aclose()

    async def lease(self, expected: ExpectedUse) -> Key:
        """Waits for an available key.

        Takes the organisation with the shortest wait, and of its keys the one leased least often.
        """
        async with self._lease_lock:
            while not (available := [key for key in self.all if key.is_available]):
                self._availability_changed.clear()
                await self._availability_changed.wait()
        limiters = dict.fromkeys(key.limiter for key in available)
        least_busy_limiter = min(
            limiters, key=lambda limiter: (limiter.estimate_wait(expected), self._in_flight(limiter))
        )
        key = min((key for key in available if key.limiter is least_busy_limiter), key=lambda key: key.lease_count)
        key.lease_count += 1
        key.waiting += 1
        key.in_flight += 1
        return key

    async def wait_for_grant(self, key: Key, expected: ExpectedUse) -> Grant:
        """Waits until the limits of the key's organisation allow the API call."""
        grant = await key.limiter.wait_for_grant(expected)
        key.waiting -= 1
        self._availability_changed.set()
        return grant

    def release(self, key: Key, *, was_granted: bool) -> None:
        """Ends the lease of an API call; `was_granted` says whether `wait_for_grant` had returned."""
        key.in_flight -= 1
        key.waiting -= not was_granted
        self._availability_changed.set()

    def _in_flight(self, limiter: Limiter) -> int:
        return sum(key.in_flight for key in self.all if key.limiter is limiter)

    def update_limits(self, key: Key, headers: Mapping[str, str], sent_at: float) -> None:
        """Takes organisation, workspace and limits from the headers of the HTTP response to an API call sent at `sent_at`."""
        organisation = headers.get("anthropic-organization-id")
        if organisation or key.organisation is None:
            key.organisation = organisation or key.name
        key.workspace = headers.get("anthropic-workspace-id") or key.workspace
        key.limiter = self._limiters.setdefault(key.organisation or key.name, key.limiter)
        key.limiter.update_from_headers(headers, sent_at)

    def redact(self, text: str) -> str:
        """A text of the API without the keys that it may repeat."""
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        return text


def _pool(ssl_context: ssl.SSLContext) -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=2 * _POOL_SIZE)
    return anthropic.DefaultAsyncHttpxClient(timeout=_TIMEOUT, limits=limits, verify=ssl_context)


def _client(key: str, base_url: str | None, pool: httpx2.AsyncClient) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(
        api_key=key, base_url=base_url, max_retries=0, timeout=_TIMEOUT, http_client=pool, open_telemetry=False
    )
