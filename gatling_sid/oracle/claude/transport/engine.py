"""Asks answered online: one call each, many in flight, every attempt and answer in the ledger."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import anthropic
import httpx2

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.accounting.refusals import DOMAIN_STOPPED, RefusalCounter
from gatling_sid.oracle.claude.messages.api_format import (
    DEFAULT_MODEL,
    body_of,
    check_request,
    prefix_of,
    response_of,
    worst_usage,
)
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, LLMResponse, failed_response
from gatling_sid.oracle.claude.messages.prices import price_table
from gatling_sid.oracle.claude.transport.cache_warmup import PromptCacheWarmup
from gatling_sid.oracle.claude.transport.client import BaseClient
from gatling_sid.oracle.claude.transport.faults import GiveUp, Problem, Retry, classify_error, pause_before
from gatling_sid.oracle.claude.transport.keys import Key
from gatling_sid.oracle.claude.transport.rate_limits import Draw, ExpectedUse

_LAST_FAILURES_THAT_STOP = 5  # so many asks failing in a row, none answered between them, is not the asks' fault


class MessagesClient(BaseClient):
    """Answers asks through the Messages API."""

    def __init__(
        self,
        keys: Sequence[str],
        ledger: Ledger,
        *,
        model: str = DEFAULT_MODEL,
        max_cost_usd: float | None = None,
        in_flight: int = 200,
        base_url: str | None = None,
        max_refusal_rate: float = 0.1,
        max_tries: int = 8,
        backoff_seconds: float = 0.5,
    ) -> None:
        super().__init__(keys, ledger, model=model, max_cost_usd=max_cost_usd, base_url=base_url, in_flight=in_flight)
        self._max_refusal_rate = max_refusal_rate
        self.recount_refusals()
        self._warmth = PromptCacheWarmup()
        self._workers = in_flight + in_flight // 8  # some write to the ledger while others are in flight
        self._slots = asyncio.Semaphore(in_flight)
        self._asking: set[str] = set()
        self._max_tries = max_tries
        self._backoff = backoff_seconds
        self._stopped: OracleError | None = None
        self._failed_in_a_row = 0
        self._seen: defaultdict[str, _Mean] = defaultdict(_Mean)

    def recount_refusals(self) -> None:
        """Takes the refusals of the ledger, where others may have booked some."""
        self.refusals = RefusalCounter(self.ledger, self._max_refusal_rate)

    async def complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        """In the order of the asks; those in the ledger are not asked again.

        Raises:
            OracleError: the run cannot go on; calls in flight were awaited and booked first.

        """
        for ask in requests:
            check_request(ask)
        with self._alone(requests):
            if len(self._asking) == len(requests):  # nobody else is at it: what stopped an earlier call may be over
                self._stopped, self._failed_in_a_row = None, 0
            done = await asyncio.to_thread(self.ledger.responses_to, requests, self.model)
            missing = [ask for ask in requests if ask.work_id not in done]
            if not missing:
                return [done[ask.work_id] for ask in requests]
            await self.ledger.register_requests(missing, self.model)
            line = iter(order_by_new_prefix(missing))
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._workers, len(missing))):
                    group.create_task(self._work(line, done))
        if self._stopped:
            raise self._stopped
        self.refusals.raise_if_all_stopped({ask.domain for ask in missing})
        return [done[ask.work_id] for ask in requests]

    @contextmanager
    def _alone(self, asks: Sequence[LLMRequest]) -> Iterator[None]:
        """Work ids are asked by one caller at a time; two would pay twice."""
        ids = {ask.work_id for ask in asks}
        if twice := ids & self._asking:
            raise OracleError(f"work id {min(twice)!r} is being asked already; wait for its answer, or use another id")
        self._asking |= ids
        try:
            yield
        finally:
            self._asking -= ids

    async def _work(self, line: Iterator[LLMRequest], done: dict[str, LLMResponse]) -> None:
        try:
            for ask in line:
                if self._stopped:
                    return
                done[ask.work_id] = await self._answer(ask)
        except OracleError as error:
            self._stopped = self._stopped or error

    async def _answer(self, ask: LLMRequest) -> LLMResponse:
        tries = 0
        while tries < self._max_tries:
            if self._stopped:
                raise self._stopped
            if self.refusals.is_stopped(ask.domain):
                return failed_response(ask, DOMAIN_STOPPED)
            result = await self._try(ask)
            if isinstance(result, LLMResponse):
                self._failed_in_a_row = 0
                self.refusals.count(ask.domain, result)
                return result
            if isinstance(result, GiveUp):
                return self._fail(ask, result.problem, result.error_text)
            tries += not result.rate_limited
            await asyncio.sleep(pause_before(result, tries, self._backoff))
            last = result
        return self._fail(ask, last.problem, f"{last.error_text} ({last.status}, {tries} times)")

    async def _try(self, ask: LLMRequest) -> LLMResponse | Retry | GiveUp:
        """One call, once cache, budget and limits allow it."""
        worst = price_table().cost(self.model, worst_usage(ask))
        need = self._need(ask)
        key, entered = await self._keys.lease(need), False
        try:
            async with self._warmth.wait_for_turn((key.cache, prefix_of(ask))), self._budget.reserve(worst):
                draw = await self._keys.enter(key, need)
                entered = True
                try:
                    if self._stopped:
                        raise self._stopped
                    return await self._call(ask, key, draw, worst)
                finally:
                    draw.release()
        finally:
            self._keys.give_back(key, entered=entered)

    async def _call(self, ask: LLMRequest, key: Key, draw: Draw, worst: float) -> LLMResponse | Retry | GiveUp:
        attempt, place, sent = uuid.uuid4().hex, (key.cache, prefix_of(ask)), 0.0
        try:
            await self.ledger.record_attempt(attempt, ask.work_id, worst)
            async with self._slots:
                sent = time.monotonic()
                draw.sent(sent)
                raw = await key.client.messages.with_raw_response.create(**body_of(ask, self.model))
            message = await raw.parse()
            answer = response_of(ask.work_id, message, self.model)
        except (anthropic.APIError, httpx2.TransportError, ValueError) as problem:
            return await self._after(problem, attempt, key, sent, worst)
        except BaseException:  # cancelled: it may have been billed
            self.ledger.record_cancellation(attempt, worst if sent else 0.0)
            raise
        used = ExpectedUse(answer.usage.input_tokens + answer.usage.cache_creation_tokens, answer.usage.output_tokens)
        await self.ledger.record_response(attempt, raw.request_id, message.id, answer)
        draw.settle(used)
        self._keys.learn_limits(key, raw.headers, sent)
        self._warmth.mark_warm(place)  # others may wait there, from before the key's workspace was known
        self._warmth.mark_warm((key.cache, prefix_of(ask)))
        self._seen[ask.phase].add(used)
        return answer

    async def _after(self, problem: Problem, attempt: str, key: Key, sent: float, worst: float) -> Retry | GiveUp:
        """Books a call without an answer; raises if the run must stop."""
        headers = problem.response.headers if isinstance(problem, anthropic.APIStatusError) else {}
        verdict = classify_error(problem, key.name, self._keys.without_secrets)
        outcome = "stopped the run" if isinstance(verdict, OracleError) else verdict.status
        await self.ledger.record_failure(attempt, outcome, headers.get("request-id"), worst)
        if headers:
            self._keys.learn_limits(key, headers, sent)
        if isinstance(verdict, OracleError):
            self._stopped = self._stopped or verdict
            raise verdict
        if isinstance(verdict, Retry) and verdict.rate_limited:
            key.limiter.pause(verdict.seconds or 0.0)
        return verdict

    def _fail(self, ask: LLMRequest, problem: str, says: str) -> LLMResponse:
        """Nothing was paid and nothing is kept: a later run asks again."""
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= _LAST_FAILURES_THAT_STOP:
            raise OracleError(
                f"{self._failed_in_a_row} asks in a row failed, the last ({ask.work_id}) with {problem}: {says}"
            )
        return failed_response(ask, problem, says)

    def _need(self, ask: LLMRequest) -> ExpectedUse:
        seen = self._seen[ask.phase]
        return seen.need() if seen.count else ExpectedUse(len(ask.system + ask.user) / 3, ask.max_tokens)


class _Mean:
    """What calls of a phase have drawn so far, on average."""

    def __init__(self) -> None:
        self.count = 0
        self._input = self._output = 0.0

    def add(self, used: ExpectedUse) -> None:
        self.count += 1
        self._input += used.input
        self._output += used.output

    def need(self) -> ExpectedUse:
        return ExpectedUse(self._input / self.count, self._output / self.count)


def order_by_new_prefix(asks: Sequence[LLMRequest]) -> list[LLMRequest]:
    """Warm-ups of all prefixes start together instead of each holding up the line when its turn comes."""
    seen: set[str] = set()
    first: list[LLMRequest] = []
    rest: list[LLMRequest] = []
    for ask in asks:
        prefix = prefix_of(ask)
        (rest if prefix in seen else first).append(ask)
        seen.add(prefix)
    return first + rest
