"""Plain questions for the engine's tests; run as a module, an engine of its own process that may be killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest
from gatling_sid.oracle.claude.transport.batches import BatchesClient
from gatling_sid.oracle.claude.transport.engine import MessagesClient

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}


def questions(count: int, domains: int = 4, *, start: int = 0) -> list[LLMRequest]:
    """`count` asks over a few domains, each domain with a prefix long enough for the cache."""
    return [
        LLMRequest(
            f"w-{at}", "requests", f"d{at % domains}", f"domain {at % domains} " * 400, f"question {at}", SCHEMA, 200
        )
        for at in range(start, start + count)
    ]


def work_id_of(words: str) -> str:
    """The work id whose `user` text these words are."""
    return "w-" + words.removeprefix("question ")


async def run(how: str, url: str, path: Path, count: int) -> None:
    """Answers questions through one engine."""
    with Ledger(path) as ledger:
        if how == "online":
            engine: MessagesClient | BatchesClient = MessagesClient(
                ["key"], ledger, base_url=url, in_flight=40, backoff_seconds=0.02
            )
        else:
            engine = BatchesClient(["key"], ledger, base_url=url, max_items=50, poll_seconds=0.05, grace_seconds=0.2)
        async with engine:
            await engine.complete(questions(count))


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])))
