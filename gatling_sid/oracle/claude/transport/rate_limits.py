"""Keeps API calls under the rate limits: token buckets per organisation, corrected by the headers of HTTP responses.

The keys of one organisation share its limits, so an API call waits for the organisation, not for the key.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

# The middle part of the header names of each bucket. `tokens` is left out: it repeats the tighter of the two.
HEADER_PARTS = {"requests": "requests", "input": "input-tokens", "output": "output-tokens"}
# Expected amounts are means of earlier API calls; this much of the rate is kept for API calls that use more.
_RESERVE_SECONDS = 0.4
# A missing amount below this is a rounding error, not something to wait for.
_ROUNDING = 1e-6

Clock = Callable[[], float]


@dataclass(slots=True, eq=False)
class Bucket:
    """Refills evenly with `limit` per minute, up to `capacity`; below zero after API calls that used more than expected.

    `grants` are the amounts of API calls that are permitted and not sent yet. They leave the bucket when the API call is
    sent, because the API also counts from then on: a full bucket on its side does not fill further while we wait.
    """

    limit: float
    capacity: float
    level: float
    updated_at: float
    grants: dict[Grant, float] = field(default_factory=dict)

    def refill(self, now: float) -> None:
        """Adds the refill since `updated_at`."""
        self.level = min(self.capacity, self.level + (now - self.updated_at) * self.limit / 60)
        self.updated_at = now

    def seconds_until(self, amount: float) -> float:
        """Seconds until `amount` may be granted; an amount above the capacity is granted when the bucket is full."""
        reserve = min(self.limit / 60 * _RESERVE_SECONDS + 1, self.capacity / 10)
        missing = min(amount + reserve, self.capacity) - (self.level - sum(self.grants.values()))
        return missing * 60 / self.limit if missing > _ROUNDING else 0.0

    def correct(self, limit: float, remaining: float, age: float) -> None:
        """Corrects the bucket by a header that is `age` seconds old.

        The bucket can hold at most `remaining` plus the refill since then. If our own level is higher, another process
        uses the same limit, so the level is lowered. The largest `remaining` ever seen is the capacity, because some
        limits per minute are enforced per second.
        """
        self.limit = limit
        self.capacity = max(self.capacity, remaining)
        self.level = min(self.level, remaining + age * limit / 60, self.capacity)


@dataclass(frozen=True, slots=True)
class ExpectedUse:
    """What an API call is expected to use: input tokens that are not read from the cache, and output tokens."""

    input: float
    output: float

    def amount_of(self, name: str) -> float:
        """The amount taken from the bucket `name`: requests, input or output."""
        return {"requests": 1.0, "input": self.input, "output": self.output}[name]


class Grant:
    """Permission for one API call; it holds the expected amounts in the buckets until the API call is sent."""

    def __init__(self, buckets: Mapping[str, Bucket], expected: ExpectedUse) -> None:
        self._parts = [(name, bucket, expected.amount_of(name)) for name, bucket in buckets.items()]
        for _, bucket, amount in self._parts:
            bucket.grants[self] = amount

    def mark_sent(self, now: float) -> None:
        """Takes the amounts out of the buckets, because the API call is sent now."""
        self.release()
        for _, bucket, amount in self._parts:
            bucket.refill(now)
            bucket.level -= amount

    def release(self) -> None:
        """Stops holding the amounts, because the API call is sent or will not be; has no effect the second time."""
        for _, bucket, _ in self._parts:
            bucket.grants.pop(self, None)

    def correct(self, actual: ExpectedUse) -> None:
        """Corrects the buckets by what the API call really used."""
        for name, bucket, amount in self._parts:
            bucket.level -= actual.amount_of(name) - amount


@dataclass(eq=False)
class Limiter:
    """The limits of one (organisation, model); there are none until the first headers are seen."""

    clock: Clock = time.monotonic
    buckets: dict[str, Bucket] = field(default_factory=dict)
    paused_until: float = 0.0
    waiting: int = 0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def seconds_to_wait(self, expected: ExpectedUse) -> float:
        """Seconds until an API call with this expected use may be sent."""
        now = self.clock()
        waits = [self.paused_until - now]
        for name, bucket in self.buckets.items():
            bucket.refill(now)
            waits.append(bucket.seconds_until(expected.amount_of(name)))
        return max(0.0, *waits)

    async def wait_for_grant(self, expected: ExpectedUse) -> Grant:
        """Waits until the API call may be sent; first come, first served."""
        self.waiting += 1
        try:
            async with self._lock:
                while delay := self.seconds_to_wait(expected):  # noqa: ASYNC110 - only time changes this, no event
                    await asyncio.sleep(delay)
                return Grant(self.buckets, expected)
        finally:
            self.waiting -= 1

    def estimate_wait(self, expected: ExpectedUse) -> float:
        """About how many seconds an API call that asks for a grant now will wait."""
        requests = self.buckets.get("requests")
        return self.seconds_to_wait(expected) + (self.waiting * 60 / requests.limit if requests else 0.0)

    def update_from_headers(self, headers: Mapping[str, str], sent_at: float) -> None:
        """Takes the limits from the headers of the HTTP response to an API call that was sent at `sent_at`."""
        now = self.clock()
        for name, middle in HEADER_PARTS.items():
            limit = _number(headers.get(f"anthropic-ratelimit-{middle}-limit"))
            remaining = _number(headers.get(f"anthropic-ratelimit-{middle}-remaining"))
            if limit is None or remaining is None or limit <= 0:
                continue
            if name in self.buckets:
                self.buckets[name].refill(now)
            else:
                self.buckets[name] = Bucket(limit, limit / 60, remaining, now)
            self.buckets[name].correct(limit, remaining, now - sent_at)

    def pause(self, seconds: float) -> None:
        """Sends no API call of this organisation for `seconds`, because the API asked for it.

        A random fraction of a second is added, so that several processes do not resume together.
        """
        self.paused_until = max(self.paused_until, self.clock() + seconds + random.uniform(0.01, 0.1))
        for bucket in self.buckets.values():
            bucket.level = min(bucket.level, 0.0)


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that the API asks to wait, or None if it does not say."""
    milliseconds = _number(headers.get("retry-after-ms"))
    return milliseconds / 1000 if milliseconds is not None else _number(headers.get("retry-after"))
