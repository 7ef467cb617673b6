"""Pacing: token buckets per organisation and model, corrected by what the API's headers say.

Keys of one organisation share its limits, so a call waits for the organisation, not for the key.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

# Bucket name → the middle of its headers. `tokens` is left out: it repeats the tighter of the two.
HEADERS = {"requests": "requests", "input": "input-tokens", "output": "output-tokens"}
_RESERVE_SECONDS = 0.4  # needs are means of what calls used before; keep so much of the rate for those above the mean

_NOTHING = 1e-6  # less than this is rounding, not something to wait for

Clock = Callable[[], float]


@dataclass(slots=True, eq=False)
class Bucket:
    """`limit` per minute, refilled evenly, of which `capacity` can be saved up; drawn below zero by what was not foreseen.

    `promises` are what calls have been granted that are not sent yet. They leave the bucket only when they are: a bucket
    that is full on the other side takes no more in, however long we take to send.
    """

    limit: float
    capacity: float
    level: float
    at: float
    promises: dict[Draw, float] = field(default_factory=dict)

    def refill(self, now: float) -> None:
        """Adds what has flowed in since the last look."""
        self.level = min(self.capacity, self.level + (now - self.at) * self.limit / 60)
        self.at = now

    def wait(self, amount: float) -> float:
        """Seconds until `amount` may be drawn; more than the bucket holds may be drawn when it is full."""
        reserve = min(self.limit / 60 * _RESERVE_SECONDS + 1, self.capacity / 10)
        missing = min(amount + reserve, self.capacity) - (self.level - sum(self.promises.values()))
        return missing * 60 / self.limit if missing > _NOTHING else 0.0

    def learn(self, limit: float, remaining: float, age: float) -> None:
        """Believes a header that is `age` seconds old.

        What remained, plus all that can have flowed in since, is the most that can be there now: if our own count is
        higher, someone else draws too. The most that ever remained is what can be saved up: some limits per minute
        are kept per second.
        """
        self.limit = limit
        self.capacity = max(self.capacity, remaining)
        self.level = min(self.level, remaining + age * limit / 60, self.capacity)


@dataclass(frozen=True, slots=True)
class ExpectedUse:
    """What a call is expected to draw: uncached input tokens, and output tokens."""

    input: float
    output: float

    def of(self, name: str) -> float:
        """By bucket name."""
        return {"requests": 1.0, "input": self.input, "output": self.output}[name]


class Draw:
    """What one call was granted; promised when its turn came, taken out of the buckets when it is sent."""

    def __init__(self, buckets: Mapping[str, Bucket], need: ExpectedUse) -> None:
        self._parts = [(name, bucket, need.of(name)) for name, bucket in buckets.items()]
        for _, bucket, amount in self._parts:
            bucket.promises[self] = amount

    def sent(self, now: float) -> None:
        """The call goes out."""
        self.release()
        for _, bucket, amount in self._parts:
            bucket.refill(now)
            bucket.level -= amount

    def release(self) -> None:
        """The promise is over: kept, or given up by a call that does not go out."""
        for _, bucket, _ in self._parts:
            bucket.promises.pop(self, None)

    def settle(self, used: ExpectedUse) -> None:
        """Corrects the draw by what the call really used."""
        for name, bucket, amount in self._parts:
            bucket.level -= used.of(name) - amount


@dataclass(eq=False)
class Limiter:
    """The limits of one (organisation, model); unlimited until the first headers are seen."""

    clock: Clock = time.monotonic
    buckets: dict[str, Bucket] = field(default_factory=dict)
    paused_until: float = 0.0
    waiting: int = 0
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def wait(self, need: ExpectedUse) -> float:
        """Seconds until a call may go out."""
        now = self.clock()
        waits = [self.paused_until - now]
        for name, bucket in self.buckets.items():
            bucket.refill(now)
            waits.append(bucket.wait(need.of(name)))
        return max(0.0, *waits)

    async def enter(self, need: ExpectedUse) -> Draw:
        """Waits for its turn, first come first served."""
        self.waiting += 1
        try:
            async with self._turn:
                while delay := self.wait(need):  # noqa: ASYNC110 - time passes, nobody tells
                    await asyncio.sleep(delay)
                return Draw(self.buckets, need)
        finally:
            self.waiting -= 1

    def backlog(self, need: ExpectedUse) -> float:
        """Seconds that a call which joins the line now must expect."""
        requests = self.buckets.get("requests")
        return self.wait(need) + (self.waiting * 60 / requests.limit if requests else 0.0)

    def learn(self, headers: Mapping[str, str], sent: float) -> None:
        """Takes limits from the headers of an answer to a call of time `sent`."""
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
            self.buckets[name].learn(limit, remaining, now - sent)

    def pause(self, seconds: float) -> None:
        """Nobody of this organisation sends for so long, after the API said so; jitter keeps callers apart."""
        self.paused_until = max(self.paused_until, self.clock() + seconds + random.uniform(0.01, 0.1))
        for bucket in self.buckets.values():
            bucket.level = min(bucket.level, 0.0)


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds the API asks to wait, if it does."""
    milliseconds = _number(headers.get("retry-after-ms"))
    return milliseconds / 1000 if milliseconds is not None else _number(headers.get("retry-after"))
