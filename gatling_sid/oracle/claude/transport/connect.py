"""Connects to the API: from keys and a ledger file to a client that sends batches and single API calls."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, LLMResponse
from gatling_sid.oracle.claude.transport.batches_client import BatchesClient
from gatling_sid.oracle.claude.transport.blocking_client import BlockingClient, ClientConnection, ReportWaiting
from gatling_sid.oracle.claude.transport.messages_client import MessagesClient

KEY_VARIABLE = "ANTHROPIC_API_KEY"
MIN_BATCH_SIZE = 100
"""Fewer requests than this are sent as single API calls: waiting up to a day for a batch would not be worth the discount."""


class BatchOrSingleClient:
    """Sends many requests as a batch and a few as single API calls.

    A batch costs half, but may take a day: the last repairs of a run would wait for one batch after another.
    """

    def __init__(
        self,
        batches_client: BatchesClient,
        messages_client: MessagesClient,
        ledger: Ledger,
        min_batch_size: int = MIN_BATCH_SIZE,
    ) -> None:
        """Both clients must use `ledger`; fewer requests than `min_batch_size` are sent as single API calls."""
        self._min_batch_size = min_batch_size
        self._batches_client = batches_client
        self._messages_client = messages_client
        self._ledger = ledger

    async def complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        """Returns one response per request, in the same order.

        While a batch is open, also one of an earlier run, it may hold some of these requests. So none is sent as a
        single API call, because it could be paid for twice.
        """
        if len(requests) < self._min_batch_size and not self._ledger.open_submissions():
            return await self._messages_client.complete(requests)
        responses = await self._batches_client.complete(requests)
        self._messages_client.recount_refusals()
        return responses


def keys_of(api_key: str | Sequence[str] | None) -> list[str]:
    """The given API keys, or those of the environment variable; several in one text are separated by commas.

    Raises:
        OracleError: there is none; names the variable, and the oracle that works without a key.

    """
    given = [api_key] if isinstance(api_key, str) else list(api_key or [os.environ.get(KEY_VARIABLE, "")])
    keys = [key.strip() for text in given for key in text.split(",") if key.strip()]
    if not keys:
        raise OracleError(
            f"no API key: set {KEY_VARIABLE} or pass OracleAgent(api_key=…). The embedded oracle needs none: "
            "gatling_sid.oracle.ScenarioOracle, or scripts.generate_shards --oracle scenario"
        )
    return keys


def connect(
    keys: Sequence[str],
    ledger: Path,
    *,
    model: str,
    max_cost_usd: float | None = None,
    batch: bool = False,
    base_url: str | None = None,
    in_flight: int = 200,
    report_waiting: ReportWaiting | None = None,
) -> BlockingClient:
    """A client for the API that records everything in `ledger`; opens connections and file at the first request."""

    async def open_client() -> ClientConnection:
        open_ledger = Ledger(ledger)
        try:
            messages_client = MessagesClient(
                keys, open_ledger, model=model, max_cost_usd=max_cost_usd, base_url=base_url, in_flight=in_flight
            )
            batches_client = BatchesClient(keys, open_ledger, model=model, max_cost_usd=max_cost_usd, base_url=base_url)
        except BaseException:
            open_ledger.close()
            raise
        min_batch_size = MIN_BATCH_SIZE if batch else sys.maxsize
        client = BatchOrSingleClient(batches_client, messages_client, open_ledger, min_batch_size)

        async def close() -> None:
            await messages_client.close()
            await batches_client.close()
            open_ledger.close()

        return ClientConnection(client, close, lambda: open_ledger.booked_usd)

    return BlockingClient(open_client, report_waiting=report_waiting)
