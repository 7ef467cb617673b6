"""Compares our client for single API calls with the bare SDK and a semaphore, against the same local server.

    python -m benchmarks.claude_client [--calls 6000]

Prints two comparisons: calls per second at 1 s latency with 200 in flight; and, under a rate limit, how much of the
permitted rate each uses, how many calls got a 429, and how many of those were retried too early.
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
from gatling_sid.oracle.claude.transport.messages_client import MessagesClient
from tests.support.claude_requests import make_requests

IN_FLIGHT = 200
# One API call per domain, since each domain has a prefix of its own.
WARM_UP = 4
LIMITS = {"requests": 3000, "input": 100_000_000, "output": 100_000_000}
BURST_SECONDS = 10


@contextmanager
def server_process(*options: str) -> Iterator[str]:
    """Runs a server in a process of its own and yields its address."""
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
    """The counts of the server at this address."""
    with urllib.request.urlopen(f"{url}/_state") as response:  # noqa: S310  (our own server)
        return json.load(response)


async def time_bare_sdk(url: str, requests: Sequence[LLMRequest]) -> float:
    """Seconds that the SDK takes with a semaphore: no ledger, no cache warm-up, no rate limits."""
    slots = asyncio.Semaphore(IN_FLIGHT)
    async with anthropic.AsyncAnthropic(api_key="key", base_url=url, max_retries=1000) as client:

        async def send(request: LLMRequest) -> None:
            async with slots:
                await client.messages.create(**body_of(request, DEFAULT_MODEL))

        start = time.perf_counter()
        await asyncio.gather(*map(send, requests))
        return time.perf_counter() - start


async def time_client(url: str, requests: Sequence[LLMRequest]) -> float:
    """Seconds that our client takes, with its ledger on disk, after the prompt cache is warm."""
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "ledger") as ledger:
        async with MessagesClient(["key"], ledger, base_url=url, in_flight=IN_FLIGHT) as client:
            await client.complete(make_requests(WARM_UP, start=len(requests)))
            start = time.perf_counter()
            await client.complete(requests)
            return time.perf_counter() - start


def compare_at_latency(calls: int) -> None:
    """Runs both twice, in turn, at 1 s latency and prints calls per second."""
    seconds: dict[str, list[float]] = {"bare": [], "client": []}
    for _ in range(2):
        for name, measure in (("bare", time_bare_sdk), ("client", time_client)):
            with server_process("--latency", "1") as url:
                seconds[name].append(asyncio.run(measure(url, make_requests(calls))))
    bare, client = min(seconds["bare"]), min(seconds["client"])
    print(f"{calls} calls, 1 s latency, {IN_FLIGHT} in flight")
    print(f"{'bare SDK':12}{calls / bare:>10.1f} calls/s")
    print(f"{'client':12}{calls / client:>10.1f} calls/s{bare / client:>10.1%} of the bare SDK")


def compare_under_limit(calls: int) -> None:
    """Runs both under a rate limit and prints the share of the permitted rate, of which the burst is a part."""
    print(f"{calls} calls, limit {LIMITS['requests'] / 60:.0f} calls/s, of which {BURST_SECONDS} s may burst")
    options = ("--latency", "0.5", "--limits", json.dumps(LIMITS), "--burst-seconds", str(BURST_SECONDS))
    rate = LIMITS["requests"] / 60
    fastest = (calls - rate * BURST_SECONDS) / rate + 0.5
    for name, measure in (("bare SDK", time_bare_sdk), ("client", time_client)):
        with server_process(*options) as url:
            seconds = asyncio.run(measure(url, make_requests(calls)))
            counts = state(url)
        refused, early = counts["statuses"].get("429", 0), counts["early_retries"]
        print(
            f"{name:12}{fastest / seconds:>10.1%} of the permitted rate, {refused} responses 429, {early} early retries"
        )


def main() -> None:
    """Makes and prints both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=6000)
    calls = parser.parse_args().calls
    compare_at_latency(calls)
    compare_under_limit(calls // 3)


if __name__ == "__main__":
    main()
