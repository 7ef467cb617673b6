"""One event loop of our own, in a thread: synchronous callers, notebooks included, share one asynchronous engine."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, wait
from typing import Any, TypeVar

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.messages.llm_request import AsyncClient, LLMRequest, LLMResponse
from gatling_sid.oracle.claude.transport.faults import RESUME_HINT

ResultT = TypeVar("ResultT")
_TICK_SECONDS = 1.0
_FAILURES_THAT_STOP = 2  # one ask alone may be refused for its own words
OpenClient = Callable[[], Awaitable[tuple[AsyncClient, Callable[[], Awaitable[None]]]]]


class BlockingClient:
    """Answers asks from synchronous code; what answers them is opened when the first ask comes."""

    def __init__(self, opens: OpenClient) -> None:
        """`opens` is awaited once, in the loop; it gives what answers, and how to close it."""
        self._opens = opens
        self._answering: AsyncClient | None = None
        self._close: Callable[[], Awaitable[None]] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._counted: set[str] = set()
        self._answered = False
        self._in_vain = 0
        self.cost_usd: defaultdict[str, float] = defaultdict(float)
        """What the answers given so far cost, by domain, whenever they were paid; each is counted once."""
        self.spent: Callable[[], float] = lambda: sum(self.cost_usd.values())
        """What is booked by now, answers still under way included if what answers can tell."""
        self.telling: Callable[[str], None] | None = None
        """Told every second what is being waited for."""

    def complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        """In the order of the asks.

        Raises:
            OracleError: the run cannot go on, or the API has answered nothing of all that was asked so far.

        """
        phases = ", ".join(f"{phase} {count:,}" for phase, count in Counter(ask.phase for ask in requests).items())
        once = {ask.work_id: ask for ask in requests}  # the same words are asked, and paid for, once
        found = dict(zip(once, self._run(self._answers([*once.values()]), phases), strict=True)) if requests else {}
        self._check_answered(list(found.values()))
        answers = [found[ask.work_id] for ask in requests]
        for ask, answer in zip(requests, answers, strict=True):
            if ask.work_id not in self._counted:
                self._counted.add(ask.work_id)
                self.cost_usd[ask.domain] += answer.cost_usd
        return answers

    def close(self) -> None:
        """Closes what answers and ends the thread; asking again would open both anew."""
        if self._loop is None:
            return
        if self._close is not None:
            self._run(_awaited(self._close))
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not None:
            self._thread.join()
        self._loop.close()
        self._loop = self._answering = self._close = self._thread = None

    def _check_answered(self, answers: Sequence[LLMResponse]) -> None:
        """Refused from the start, a run ends here, and not with all of its tasks given up."""
        failed = [each for each in answers if not each.arrived]
        self._answered = self._answered or len(failed) < len(answers)
        self._in_vain += len(failed)
        if failed and not self._answered and self._in_vain >= _FAILURES_THAT_STOP:
            raise OracleError(
                f"the API answers nothing: all of {self._in_vain} asks failed, the last with "
                f"{failed[-1].problem}: {failed[-1].error_text}; {RESUME_HINT}"
            )

    async def _answers(self, asks: Sequence[LLMRequest]) -> list[LLMResponse]:
        if self._answering is None:
            self._answering, self._close = await self._opens()
        return await self._answering.complete(asks)

    def _run(self, work: Coroutine[Any, Any, ResultT], what: str = "") -> ResultT:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="claude", daemon=True)
            self._thread.start()
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            while self.telling and not wait([future], _TICK_SECONDS).done:
                self.telling(f"{what}, ${self.spent():.4f}")
            return future.result()
        except (KeyboardInterrupt, CancelledError):
            future.cancel()
            raise


async def _awaited(close: Callable[[], Awaitable[None]]) -> None:
    await close()


def blocking_client(client: AsyncClient) -> BlockingClient:
    """Around something that answers and need not be closed."""

    async def opens() -> tuple[AsyncClient, Callable[[], Awaitable[None]]]:
        return client, _nothing

    return BlockingClient(opens)


async def _nothing() -> None:
    """There is nothing to close."""
