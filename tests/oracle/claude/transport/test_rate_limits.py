"""Rate limits, mostly with a clock that the test sets."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from gatling_sid.oracle.claude.transport.rate_limits import Bucket, ExpectedUse, Grant, Limiter, retry_after

ONE = ExpectedUse(0, 0)


class Clock:
    """A clock whose time passes only when the test changes `now`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time in seconds, as `time.monotonic` would return it."""
        return self.now


def headers(limit: float, remaining: float, kind: str = "requests") -> dict[str, str]:
    return {
        f"anthropic-ratelimit-{kind}-limit": str(limit),
        f"anthropic-ratelimit-{kind}-remaining": str(remaining),
    }


def test_a_bucket_refills_evenly_and_no_further_than_it_holds() -> None:
    """A bucket of 60 per minute refills one per second, up to its capacity."""
    bucket = Bucket(60, 60, 0, 0.0)
    bucket.refill(10.0)
    assert bucket.level == 10
    bucket.refill(1000.0)
    assert bucket.level == 60


def test_more_than_a_bucket_holds_waits_for_a_full_one() -> None:
    """A prompt larger than the limit per minute is sent when the bucket is full, instead of never."""
    bucket = Bucket(60, 60, 30, 0.0)
    assert bucket.seconds_until(500) == 30
    bucket.refill(30.0)
    assert bucket.seconds_until(500) == 0


def test_nothing_is_limited_before_the_first_headers() -> None:
    """Without headers no limit is known, so no call waits."""
    assert Limiter().seconds_to_wait(ExpectedUse(1e9, 1e9)) == 0


def test_limits_come_from_the_headers() -> None:
    """If nothing remains, a call waits for its own amount and the reserve."""
    clock = Clock()
    limiter = Limiter(clock)
    limiter.update_from_headers(headers(600, 0), clock.now)
    assert 0 < limiter.seconds_to_wait(ONE) <= 0.5
    clock.now += 1
    assert limiter.seconds_to_wait(ONE) == 0


def test_use_by_somebody_else_of_the_organisation_is_noticed() -> None:
    """If the header states less than our own count, the header is used."""
    clock = Clock()
    limiter = Limiter(clock)
    limiter.update_from_headers(headers(600, 600), clock.now)
    assert limiter.seconds_to_wait(ONE) == 0
    limiter.update_from_headers(headers(600, 1), clock.now)
    assert limiter.seconds_to_wait(ONE) > 0


def test_an_old_header_does_not_take_what_has_flowed_in_since() -> None:
    """The headers of a response to an API call of ten seconds ago state what remained then."""
    clock = Clock()
    limiter = Limiter(clock)
    limiter.update_from_headers(headers(600, 600), clock.now)
    limiter.buckets["requests"].level = 300
    sent = clock.now
    clock.now += 10
    limiter.update_from_headers(headers(600, 300), sent)
    assert limiter.buckets["requests"].level == pytest.approx(400)


def test_no_more_is_saved_up_than_was_ever_seen_to_remain() -> None:
    """With a limit of 600 per minute of which 20 are allowed at once, idle minutes do not add to the 20."""
    clock = Clock()
    limiter = Limiter(clock)
    limiter.update_from_headers(headers(600, 20), clock.now)
    clock.now += 60
    limiter.seconds_to_wait(ONE)
    assert limiter.buckets["requests"].level == 20


def test_a_call_that_used_more_than_expected_delays_the_next() -> None:
    """The output is known only afterwards; the bucket may go below zero."""
    clock = Clock()
    limiter = Limiter(clock)
    limiter.update_from_headers(headers(6000, 100, "output-tokens"), clock.now)
    grant = asyncio.run(limiter.wait_for_grant(ExpectedUse(0, 10)))
    grant.mark_sent(clock.now)
    grant.correct(ExpectedUse(0, 510))
    assert limiter.buckets["output"].level == -410
    assert limiter.seconds_to_wait(ExpectedUse(0, 10)) > 4


def test_what_is_granted_but_not_sent_does_not_make_room_for_more() -> None:
    """While the disk stalls for a minute, 20 calls hold the whole capacity, and no other call is granted."""
    clock = Clock()
    limiter = Limiter(clock)
    limiter.update_from_headers(headers(600, 20), clock.now)
    grants: list[Grant] = []
    while not limiter.seconds_to_wait(ONE):
        grants.append(asyncio.run(limiter.wait_for_grant(ONE)))
        clock.now += 0.05
    assert 15 < len(grants) <= 20
    clock.now += 60
    for grant in grants:
        grant.mark_sent(clock.now)
    assert limiter.buckets["requests"].level == pytest.approx(20 - len(grants))


def test_no_rounding_error_blocks_a_full_bucket() -> None:
    """A full bucket allows the largest API call, whatever was granted and sent before."""
    rng = random.Random(1)
    for _ in range(100):
        clock = Clock()
        limiter = Limiter(clock)
        limiter.update_from_headers(headers(100_000, 1666.67, "output-tokens"), clock.now)
        for _ in range(20):
            grant = asyncio.run(limiter.wait_for_grant(ExpectedUse(0, rng.uniform(1, 40))))
            grant.mark_sent(clock.now)
            grant.correct(ExpectedUse(0, rng.uniform(1, 40)))
        clock.now += 60
        assert limiter.seconds_to_wait(ExpectedUse(0, 3200)) == 0


def test_a_grant_that_is_not_used_is_released() -> None:
    """A released grant holds no amounts; a second release has no effect."""
    limiter = Limiter(clock := Clock())
    limiter.update_from_headers(headers(600, 10), clock.now)
    grant = asyncio.run(limiter.wait_for_grant(ONE))
    assert sum(limiter.buckets["requests"].grants.values()) == 1
    grant.release()
    grant.release()
    assert not limiter.buckets["requests"].grants
    assert limiter.buckets["requests"].level == 10


def test_a_pause_holds_all_calls_back_and_is_never_shortened() -> None:
    """A random fraction is added, so that processes do not resume together."""
    clock = Clock()
    limiter = Limiter(clock)
    limiter.pause(5)
    assert 5 < limiter.seconds_to_wait(ONE) < 5.2
    limiter.pause(1)
    assert limiter.seconds_to_wait(ONE) > 5


def test_turns_come_at_the_permitted_rate() -> None:
    """In real time, 40 API calls at 6,000 per minute take 0.4 s if nothing remains at first."""

    async def enter_together() -> float:
        limiter = Limiter()
        limiter.update_from_headers(headers(6000, 0), time.monotonic())
        start = time.monotonic()
        await asyncio.gather(*(limiter.wait_for_grant(ONE) for _ in range(40)))
        return time.monotonic() - start

    assert 0.4 <= asyncio.run(enter_together()) < 0.8


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
    """Milliseconds are preferred to seconds; what is not a number is ignored."""
    assert retry_after(given) == seconds
