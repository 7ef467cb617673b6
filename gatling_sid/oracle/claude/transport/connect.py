"""From keys and a ledger to something that answers: the online engine, or message batches."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.messages.llm_request import AsyncClient, LLMRequest, LLMResponse
from gatling_sid.oracle.claude.transport.batches import BatchesClient
from gatling_sid.oracle.claude.transport.blocking import BlockingClient
from gatling_sid.oracle.claude.transport.engine import MessagesClient

KEY_VARIABLE = "ANTHROPIC_API_KEY"
FEWEST_FOR_A_BATCH = 100
"""Asks that are fewer than these are not worth a batch."""


class BatchOrSingleClient:
    """Batches where many asks come together, single calls for a few.

    A batch costs half, but may take a day: the last repairs of a run would wait for one after another.
    """

    def __init__(
        self, batches: BatchesClient, engine: MessagesClient, ledger: Ledger, many: int = FEWEST_FOR_A_BATCH
    ) -> None:
        """From so `many` asks on, a batch; asks of batches that a run before left open are waited for in any case."""
        self._many = many
        self._batches = batches
        self._engine = engine
        self._ledger = ledger

    async def complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        """In the order of the asks; while a batch is open, its asks may be among these, so none goes alone."""
        if len(requests) < self._many and not self._ledger.open_submissions():
            return await self._engine.complete(requests)
        answers = await self._batches.complete(requests)
        self._engine.recount_refusals()
        return answers


def keys_of(api_key: str | Sequence[str] | None) -> list[str]:
    """The keys given, or the one of the environment; several in one text are separated by commas.

    Raises:
        OracleError: there is none; names the variable and the oracle that needs none.

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
) -> BlockingClient:
    """Answers through the API, every answer in `ledger`; connections and file are opened by the first ask."""

    async def opens() -> tuple[AsyncClient, Callable[[], Awaitable[None]]]:
        book = Ledger(ledger)
        try:
            engine = MessagesClient(
                keys, book, model=model, max_cost_usd=max_cost_usd, base_url=base_url, in_flight=in_flight
            )
            batches = BatchesClient(keys, book, model=model, max_cost_usd=max_cost_usd, base_url=base_url)
        except BaseException:
            book.close()
            raise
        asked.spent = lambda: book.booked_usd
        many = FEWEST_FOR_A_BATCH if batch else sys.maxsize

        async def close() -> None:
            await engine.close()
            await batches.close()
            book.close()

        return BatchOrSingleClient(batches, engine, book, many), close

    asked = BlockingClient(opens)
    return asked
