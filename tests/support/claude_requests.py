"""Simple LLM requests for tests of the clients; run as a module, a client in a process that a test may kill.

python -m tests.support.claude_requests online|batches URL LEDGER COUNT
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest
from gatling_sid.oracle.claude.transport.batches_client import BatchesClient
from gatling_sid.oracle.claude.transport.messages_client import MessagesClient

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}


def make_requests(count: int, domains: int = 4, *, start: int = 0) -> list[LLMRequest]:
    """`count` requests over a few domains, each domain with a prefix that is long enough for the cache."""
    return [
        LLMRequest(
            f"w-{number}",
            "requests",
            f"d{number % domains}",
            f"domain {number % domains} " * 400,
            f"question {number}",
            SCHEMA,
            200,
        )
        for number in range(start, start + count)
    ]


def work_id_of_text(user: str) -> str:
    """The work id of the request whose `user` text this is."""
    return "w-" + user.removeprefix("question ")


async def complete_requests(how: str, url: str, path: Path, count: int) -> None:
    """Completes requests with one client, `online` or in `batches`."""
    with Ledger(path) as ledger:
        if how == "online":
            client: MessagesClient | BatchesClient = MessagesClient(
                ["key"], ledger, base_url=url, in_flight=40, backoff_seconds=0.02
            )
        else:
            client = BatchesClient(["key"], ledger, base_url=url, max_items=50, poll_seconds=0.05, grace_seconds=0.2)
        async with client:
            await client.complete(make_requests(count))


if __name__ == "__main__":
    asyncio.run(complete_requests(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])))
