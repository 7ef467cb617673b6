"""Lets synchronous code, also in a notebook, use an asynchronous client: its event loop runs in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, wait
from typing import Any, NamedTuple, TypeVar

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.ledger import RESUME_HINT
from gatling_sid.oracle.claude.messages.llm_request import AsyncClient, LLMRequest, LLMResponse

ResultT = TypeVar("ResultT")
# Often enough that a user sees that the run goes on.
_REPORT_SECONDS = 1.0
# The API may refuse one request for its own content, but hardly the first two.
_FAILURES_THAT_STOP = 2


class ClientConnection(NamedTuple):
    """An open client, how to close it, and the USD that its ledger has booked if it has one."""

    client: AsyncClient
    close: Callable[[], Awaitable[None]]
    booked_usd: Callable[[], float] | None = None


OpenClient = Callable[[], Awaitable[ClientConnection]]
ReportWaiting = Callable[[str], None]


class BlockingClient:
    """Completes LLM requests for synchronous code; the client behind it is opened at the first request."""

    def __init__(self, open_client: OpenClient, *, report_waiting: ReportWaiting | None = None) -> None:
        """Opens nothing yet.

        Args:
            open_client: awaited in the thread's event loop at the first request.
            report_waiting: called every second during a request with what is being waited for and the USD booked.

        """
        self._open_client = open_client
        self._report_waiting = report_waiting
        self._connection: ClientConnection | None = None
        self._booked_usd: Callable[[], float] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._counted_ids: set[str] = set()
        self._has_response = False
        self._failure_count = 0
        self.cost_usd: defaultdict[str, float] = defaultdict(float)
        """Cost by domain of all responses returned so far, whenever they were paid; each is counted once."""

    def spent_usd(self) -> float:
        """What the ledger has booked, responses not yet returned included; without a ledger, the sum of `cost_usd`."""
        return self._booked_usd() if self._booked_usd else sum(self.cost_usd.values())

    def complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        """Returns one response per request, in the same order.

        Raises:
            OracleError: the run cannot continue, or all requests so far have failed.

        """
        counts = Counter(request.phase for request in requests)
        phases = ", ".join(f"{phase} {count:,}" for phase, count in counts.items())
        unique = {request.work_id: request for request in requests}  # the same prompt is sent, and paid for, once
        found: dict[str, LLMResponse] = {}
        if requests:
            found = dict(zip(unique, self._run(self._complete([*unique.values()]), phases), strict=True))
        self._check_failures(list(found.values()))
        responses = [found[request.work_id] for request in requests]
        for request, response in zip(requests, responses, strict=True):
            if request.work_id not in self._counted_ids:
                self._counted_ids.add(request.work_id)
                self.cost_usd[request.domain] += response.cost_usd
        return responses

    def close(self) -> None:
        """Closes the client behind it and ends the thread; a later request would open both again."""
        if self._loop is None:
            return
        if self._connection is not None:
            self._run(_await(self._connection.close))
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not None:
            self._thread.join()
        self._loop.close()
        self._loop = self._connection = self._thread = None

    def _check_failures(self, responses: Sequence[LLMResponse]) -> None:
        """Ends the run if all requests so far have failed; otherwise all tasks would be rejected one by one."""
        failed = [each for each in responses if not each.has_arrived]
        self._has_response = self._has_response or len(failed) < len(responses)
        self._failure_count += len(failed)
        if failed and not self._has_response and self._failure_count >= _FAILURES_THAT_STOP:
            raise OracleError(
                f"the API gives no response: all {self._failure_count} requests failed, the last with "
                f"{failed[-1].problem}: {failed[-1].error_text}; {RESUME_HINT}"
            )

    async def _complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        if self._connection is None:
            self._connection = await self._open_client()
            self._booked_usd = self._connection.booked_usd
        return await self._connection.client.complete(requests)

    def _run(self, work: Coroutine[Any, Any, ResultT], what: str = "") -> ResultT:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="claude", daemon=True)
            self._thread.start()
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            while self._report_waiting and not wait([future], _REPORT_SECONDS).done:
                self._report_waiting(f"{what}, ${self.spent_usd():.4f}")
            return future.result()
        except (KeyboardInterrupt, CancelledError):
            future.cancel()
            raise


async def _await(close: Callable[[], Awaitable[None]]) -> None:
    await close()


def blocking_client(client: AsyncClient) -> BlockingClient:
    """A blocking client around one that needs no opening and no closing."""

    async def open_client() -> ClientConnection:
        return ClientConnection(client, _close_nothing)

    return BlockingClient(open_client)


async def _close_nothing() -> None:
    """Stands for `close` where nothing has to be closed."""
