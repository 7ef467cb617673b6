"""Pacing, with a clock that the test turns."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from gatling_sid.oracle.claude.transport.rate_limits import Bucket, ExpectedUse, Limiter, retry_after

ONE = ExpectedUse(0, 0)


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """What `time.monotonic` would say."""
        return self.now


def headers(limit: float, remaining: float, kind: str = "requests") -> dict[str, str]:
    return {
        f"anthropic-ratelimit-{kind}-limit": str(limit),
        f"anthropic-ratelimit-{kind}-remaining": str(remaining),
    }


def test_a_bucket_refills_evenly_and_no_further_than_it_holds() -> None:
    """60 a minute is one a second."""
    bucket = Bucket(60, 60, 0, 0.0)
    bucket.refill(10.0)
    assert bucket.level == 10
    bucket.refill(1000.0)
    assert bucket.level == 60


def test_more_than_a_bucket_holds_waits_for_a_full_one() -> None:
    """A prompt larger than the limit per minute goes out alone instead of never."""
    bucket = Bucket(60, 60, 30, 0.0)
    assert bucket.wait(500) == 30
    bucket.refill(30.0)
    assert bucket.wait(500) == 0


def test_nothing_is_limited_before_the_first_headers() -> None:
    """Limits are learnt, not guessed."""
    assert Limiter().wait(ExpectedUse(1e9, 1e9)) == 0


def test_limits_come_from_the_headers() -> None:
    """With nothing remaining, a call waits for its own share and the reserve."""
    clock = Clock()
    limiter = Limiter(clock)
    limiter.learn(headers(600, 0), clock.now)
    assert 0 < limiter.wait(ONE) <= 0.5
    clock.now += 1
    assert limiter.wait(ONE) == 0


def test_somebody_else_of_the_organisation_is_noticed() -> None:
    """If less remains than our own count says, the header is believed."""
    clock = Clock()
    limiter = Limiter(clock)
    limiter.learn(headers(600, 600), clock.now)
    assert limiter.wait(ONE) == 0
    limiter.learn(headers(600, 1), clock.now)
    assert limiter.wait(ONE) > 0


def test_an_old_header_does_not_take_what_has_flowed_in_since() -> None:
    """The answer to a call of ten seconds ago says what remained then."""
    clock = Clock()
    limiter = Limiter(clock)
    limiter.learn(headers(600, 600), clock.now)
    limiter.buckets["requests"].level = 300
    sent = clock.now
    clock.now += 10
    limiter.learn(headers(600, 300), sent)
    assert limiter.buckets["requests"].level == pytest.approx(400)


def test_no_more_is_saved_up_than_was_ever_seen_to_remain() -> None:
    """A limit of 600 a minute that lets 20 through at once: idle minutes do not add to that."""
    clock = Clock()
    limiter = Limiter(clock)
    limiter.learn(headers(600, 20), clock.now)
    clock.now += 60
    limiter.wait(ONE)
    assert limiter.buckets["requests"].level == 20


def test_a_call_that_used_more_than_foreseen_is_made_up_for() -> None:
    """Output is known only afterwards; the bucket may go below zero."""
    clock = Clock()
    limiter = Limiter(clock)
    limiter.learn(headers(6000, 100, "output-tokens"), clock.now)
    draw = asyncio.run(limiter.enter(ExpectedUse(0, 10)))
    draw.sent(clock.now)
    draw.settle(ExpectedUse(0, 510))
    assert limiter.buckets["output"].level == -410
    assert limiter.wait(ExpectedUse(0, 10)) > 4


def test_what_is_granted_but_not_sent_does_not_make_room_for_more() -> None:
    """Our disk stalls for a minute: 20 calls hold all that can be saved up, and no other is granted on top of them."""
    clock = Clock()
    limiter = Limiter(clock)
    limiter.learn(headers(600, 20), clock.now)
    draws = []
    while not limiter.wait(ONE):
        draws.append(asyncio.run(limiter.enter(ONE)))
        clock.now += 0.05
    assert 15 < len(draws) <= 20
    clock.now += 60
    for draw in draws:
        draw.sent(clock.now)
    assert limiter.buckets["requests"].level == pytest.approx(20 - len(draws))


def test_no_rounding_keeps_a_full_bucket_shut() -> None:
    """Whatever was granted and sent before, a full bucket lets the largest call through."""
    chance = random.Random(1)
    for _ in range(100):
        clock = Clock()
        limiter = Limiter(clock)
        limiter.learn(headers(100_000, 1666.67, "output-tokens"), clock.now)
        for _ in range(20):
            draw = asyncio.run(limiter.enter(ExpectedUse(0, chance.uniform(1, 40))))
            draw.sent(clock.now)
            draw.settle(ExpectedUse(0, chance.uniform(1, 40)))
        clock.now += 60
        assert limiter.wait(ExpectedUse(0, 3200)) == 0


def test_a_grant_that_is_not_used_is_given_back() -> None:
    """Once sent, or once given up, it holds nothing; doing so twice changes nothing."""
    limiter = Limiter(clock := Clock())
    limiter.learn(headers(600, 10), clock.now)
    draw = asyncio.run(limiter.enter(ONE))
    assert sum(limiter.buckets["requests"].promises.values()) == 1
    draw.release()
    draw.release()
    assert not limiter.buckets["requests"].promises
    assert limiter.buckets["requests"].level == 10


def test_a_pause_holds_everyone_back_and_no_shorter_than_told() -> None:
    """With jitter on top, so that callers do not wake together."""
    clock = Clock()
    limiter = Limiter(clock)
    limiter.pause(5)
    assert 5 < limiter.wait(ONE) < 5.2
    limiter.pause(1)
    assert limiter.wait(ONE) > 5


def test_turns_come_at_the_permitted_rate() -> None:
    """Real seconds: 6,000 a minute, 40 calls, nothing in store, is 0.4 s."""

    async def crowd() -> float:
        limiter = Limiter()
        limiter.learn(headers(6000, 0), time.monotonic())
        start = time.monotonic()
        await asyncio.gather(*(limiter.enter(ONE) for _ in range(40)))
        return time.monotonic() - start

    assert 0.4 <= asyncio.run(crowd()) < 0.8


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "7", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "x"}, None),
    ],
)
def test_retry_after_is_read_in_both_forms(given: dict[str, str], seconds: float | None) -> None:
    """Milliseconds are the finer of the two."""
    assert retry_after(given) == seconds
