"""Keeps calls under the API's rate limits: token buckets per organisation, corrected by the headers of each reply.

The keys of one organisation share its limits, so a call waits for the organisation, not for the key.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

# Bucket name → the middle of its headers. `tokens` is left out: it repeats the tighter of the two.
HEADERS = {"requests": "requests", "input": "input-tokens", "output": "output-tokens"}
_RESERVE_SECONDS = 0.4  # amounts are means of earlier calls; so much of the rate is kept for calls above the mean
_ROUNDING = 1e-6  # a missing amount below this is a rounding error, not something to wait for

Clock = Callable[[], float]


@dataclass(slots=True, eq=False)
class Bucket:
    """Refills evenly with `limit` per minute, up to `capacity`; below zero after calls that used more than expected.

    `grants` are amounts of calls that are permitted and not sent yet. They leave the bucket when the call is sent: the
    bucket on the API's side overflows in the meantime, however long the sending takes.
    """

    limit: float
    capacity: float
    level: float
    updated_at: float
    grants: dict[Grant, float] = field(default_factory=dict)

    def refill(self, now: float) -> None:
        """Adds what has flowed in since `updated_at`."""
        self.level = min(self.capacity, self.level + (now - self.updated_at) * self.limit / 60)
        self.updated_at = now

    def seconds_until(self, amount: float) -> float:
        """Seconds until `amount` may be granted; an amount above the capacity is granted when the bucket is full."""
        reserve = min(self.limit / 60 * _RESERVE_SECONDS + 1, self.capacity / 10)
        missing = min(amount + reserve, self.capacity) - (self.level - sum(self.grants.values()))
        return missing * 60 / self.limit if missing > _ROUNDING else 0.0

    def learn(self, limit: float, remaining: float, age: float) -> None:
        """Corrects the bucket by a header that is `age` seconds old.

        What remained, plus all that can have flowed in since, is the most that can be there now: if our own count is
        higher, somebody else uses the limit too. The largest `remaining` ever seen is the capacity: some limits per
        minute are enforced per second.
        """
        self.limit = limit
        self.capacity = max(self.capacity, remaining)
        self.level = min(self.level, remaining + age * limit / 60, self.capacity)


@dataclass(frozen=True, slots=True)
class ExpectedUse:
    """What a call is expected to use: input tokens that are not read from the cache, and output tokens."""

    input: float
    output: float

    def amount_of(self, name: str) -> float:
        """The amount taken from the bucket `name`: requests, input or output."""
        return {"requests": 1.0, "input": self.input, "output": self.output}[name]


class Grant:
    """Permission for one call, which holds its expected amounts in the buckets until it is sent."""

    def __init__(self, buckets: Mapping[str, Bucket], expected: ExpectedUse) -> None:
        self._parts = [(name, bucket, expected.amount_of(name)) for name, bucket in buckets.items()]
        for _, bucket, amount in self._parts:
            bucket.grants[self] = amount

    def spend(self, now: float) -> None:
        """Takes the amounts out of the buckets, because the call is sent now."""
        self.release()
        for _, bucket, amount in self._parts:
            bucket.refill(now)
            bucket.level -= amount

    def release(self) -> None:
        """Stops holding the amounts, because the call is sent or will not be; a second time has no effect."""
        for _, bucket, _ in self._parts:
            bucket.grants.pop(self, None)

    def settle(self, actual: ExpectedUse) -> None:
        """Corrects the buckets by what the call really used."""
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
        """Seconds until a call with this expected use may be sent."""
        now = self.clock()
        waits = [self.paused_until - now]
        for name, bucket in self.buckets.items():
            bucket.refill(now)
            waits.append(bucket.seconds_until(expected.amount_of(name)))
        return max(0.0, *waits)

    async def enter(self, expected: ExpectedUse) -> Grant:
        """Waits until the call may be sent; first come, first served."""
        self.waiting += 1
        try:
            async with self._lock:
                while delay := self.seconds_to_wait(expected):  # noqa: ASYNC110 - only time changes this, no event
                    await asyncio.sleep(delay)
                return Grant(self.buckets, expected)
        finally:
            self.waiting -= 1

    def backlog(self, expected: ExpectedUse) -> float:
        """About how many seconds a call that enters now will wait."""
        requests = self.buckets.get("requests")
        return self.seconds_to_wait(expected) + (self.waiting * 60 / requests.limit if requests else 0.0)

    def learn(self, headers: Mapping[str, str], sent_at: float) -> None:
        """Takes the limits from the headers of the reply to a call that was sent at `sent_at`."""
        now = self.clock()
        for name, middle in HEADERS.items():
            limit = _number(headers.get(f"anthropic-ratelimit-{middle}-limit"))
            remaining = _number(headers.get(f"anthropic-ratelimit-{middle}-remaining"))
            if limit is None or remaining is None or limit <= 0:
                continue
            if name in self.buckets:
                self.buckets[name].refill(now)
            else:
                self.buckets[name] = Bucket(limit, limit / 60, remaining, now)
            self.buckets[name].learn(limit, remaining, now - sent_at)

    def pause(self, seconds: float) -> None:
        """Lets no call of this organisation go out for so long, because the API asked for it.

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
