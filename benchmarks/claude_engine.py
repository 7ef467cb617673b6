"""The engine beside the bare SDK with a semaphore, in the same run, against the same local server.

    python -m benchmarks.claude_engine [--calls 6000]

Two comparisons, printed as ratios: calls per second at 1 s latency with 200 in flight, and, under a rate limit, how much
of the permitted rate the engine uses and how often it came back too early.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic

from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.messages.api_format import DEFAULT_MODEL, body_of
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest
from gatling_sid.oracle.claude.transport.engine import MessagesClient
from tests.support.claude_asks import questions

IN_FLIGHT = 200
WARM_UP = 4  # one call per domain; takes one latency, once
LIMITS = {"requests": 3000, "input": 100_000_000, "output": 100_000_000}
BURST_SECONDS = 10


@contextmanager
def serving(*options: str) -> Iterator[str]:
    """A server in a process of its own; yields its address."""
    process = subprocess.Popen(  # noqa: S603  (our own module)
        [sys.executable, "-m", "tests.support.claude_server", *options], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def state(url: str) -> Any:
    """What the server counted."""
    with urllib.request.urlopen(f"{url}/_state") as reply:  # noqa: S310  (our own server)
        return json.load(reply)


async def bare(url: str, asks: Sequence[LLMRequest]) -> float:
    """Seconds of the SDK with a semaphore: no ledger, no warm-up, no pacing."""
    turn = asyncio.Semaphore(IN_FLIGHT)
    async with anthropic.AsyncAnthropic(api_key="key", base_url=url, max_retries=1000) as client:

        async def one(ask: LLMRequest) -> None:
            async with turn:
                await client.messages.create(**body_of(ask, DEFAULT_MODEL))

        start = time.perf_counter()
        await asyncio.gather(*map(one, asks))
        return time.perf_counter() - start


async def ours(url: str, asks: Sequence[LLMRequest]) -> float:
    """Seconds of the engine, with its ledger on disk, once its caches are warm."""
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "ledger") as ledger:
        async with MessagesClient(["key"], ledger, base_url=url, in_flight=IN_FLIGHT) as engine:
            await engine.complete(questions(WARM_UP, start=len(asks)))
            start = time.perf_counter()
            await engine.complete(asks)
            return time.perf_counter() - start


def latency_bound(calls: int) -> None:
    """Both ways in turn, twice, at 1 s latency."""
    seconds: dict[str, list[float]] = {"bare": [], "ours": []}
    for _ in range(2):
        for name, way in (("bare", bare), ("ours", ours)):
            with serving("--latency", "1") as url:
                seconds[name].append(asyncio.run(way(url, questions(calls))))
    base, engine = min(seconds["bare"]), min(seconds["ours"])
    print(f"{calls} calls, 1 s latency, {IN_FLIGHT} in flight")
    print(f"{'bare SDK':12}{calls / base:>10.1f} calls/s")
    print(f"{'engine':12}{calls / engine:>10.1f} calls/s{base / engine:>10.1%} of the bare SDK")


def rate_bound(calls: int) -> None:
    """Both ways under a limit; what may burst at once is part of what is permitted."""
    print(f"{calls} calls, limit {LIMITS['requests'] / 60:.0f} calls/s, of which {BURST_SECONDS} s may burst")
    options = ("--latency", "0.5", "--limits", json.dumps(LIMITS), "--burst-seconds", str(BURST_SECONDS))
    rate = LIMITS["requests"] / 60
    fastest = (calls - rate * BURST_SECONDS) / rate + 0.5
    for name, way in (("bare SDK", bare), ("engine", ours)):
        with serving(*options) as url:
            seconds = asyncio.run(way(url, questions(calls)))
            told = state(url)
        refused, early = told["statuses"].get("429", 0), told["early_retries"]
        print(
            f"{name:12}{fastest / seconds:>10.1%} of the permitted rate, {refused} replies 429, {early} early retries"
        )


def main() -> None:
    """Prints both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=6000)
    calls = parser.parse_args().calls
    latency_bound(calls)
    rate_bound(calls // 3)


if __name__ == "__main__":
    main()
