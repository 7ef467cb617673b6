"""The client for single API calls: many in flight, with every attempt and response in the ledger."""

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
from gatling_sid.oracle.claude.messages.llm_request import (
    LLMRequest,
    LLMResponse,
    ResponseProblem,
    failed_response,
)
from gatling_sid.oracle.claude.messages.prices import price_table
from gatling_sid.oracle.claude.transport.api_errors import (
    ApiCallError,
    RequestRefused,
    Retry,
    classify_error,
    pause_before,
)
from gatling_sid.oracle.claude.transport.base_client import BaseClient
from gatling_sid.oracle.claude.transport.cache_warmup import CachedPrefix, PromptCacheWarmup
from gatling_sid.oracle.claude.transport.keys import Key
from gatling_sid.oracle.claude.transport.rate_limits import ExpectedUse, Grant

# More failures in a row mean that the API, not a request, is at fault.
_MAX_CONSECUTIVE_FAILURES = 5
_STOPPED_THE_RUN = "stopped the run"
"""The status of an API call whose error ended the run."""


class MessagesClient(BaseClient):
    """Completes LLM requests through the Messages API, one API call per request."""

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
        max_attempts: int = 8,
        backoff_seconds: float = 0.5,
    ) -> None:
        """Sends nothing yet.

        Args:
            keys: API keys, of one or several organisations.
            ledger: where all is recorded; it stays open when the client is closed.
            model: one that the price table knows.
            max_cost_usd: the most that may be billed over all runs in the ledger; no limit if None.
            in_flight: how many API calls may wait for a response at the same time.
            base_url: another address of the API.
            max_refusal_rate: a domain that is refused more often gets no further requests.
            max_attempts: how often a request is sent before it fails; refusals by rate limits do not count.
            backoff_seconds: the pause after the first failed attempt; it doubles with each further one.

        """
        super().__init__(keys, ledger, model=model, max_cost_usd=max_cost_usd, base_url=base_url, in_flight=in_flight)
        self._max_refusal_rate = max_refusal_rate
        self.recount_refusals()
        self._warmup = PromptCacheWarmup()
        self._workers = in_flight + in_flight // 8  # some write to the ledger while others are in flight
        self._slots = asyncio.Semaphore(in_flight)
        self._ids_in_progress: set[str] = set()
        self._max_attempts = max_attempts
        self._backoff = backoff_seconds
        self._stop_error: OracleError | None = None
        self._consecutive_failures = 0
        self._mean_use: defaultdict[str, _MeanUse] = defaultdict(_MeanUse)

    def recount_refusals(self) -> None:
        """Counts the refusals in the ledger anew, since other clients may have booked some."""
        self.refusals = RefusalCounter(self.ledger, self._max_refusal_rate)

    async def complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        """Returns one response per request, in the same order; those in the ledger are not paid for again.

        Raises:
            OracleError: the run cannot continue; the responses to API calls in flight were booked first.

        """
        for request in requests:
            check_request(request)
        with self._claim_ids(requests):
            if len(self._ids_in_progress) == len(
                requests
            ):  # no other caller, and what stopped an earlier one may be over
                self._stop_error, self._consecutive_failures = None, 0
            responses = await asyncio.to_thread(self.ledger.responses_to, requests, self.model)
            missing = [request for request in requests if request.work_id not in responses]
            if not missing:
                return [responses[request.work_id] for request in requests]
            await self.ledger.register_requests(missing, self.model)
            queue = iter(order_by_new_prefix(missing))
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(self._workers, len(missing))):
                    tasks.create_task(self._process_queue(queue, responses))
        if self._stop_error:
            raise self._stop_error
        self.refusals.raise_if_all_stopped({request.domain for request in missing})
        return [responses[request.work_id] for request in requests]

    @contextmanager
    def _claim_ids(self, requests: Sequence[LLMRequest]) -> Iterator[None]:
        """Lets only one caller at a time complete a work id; two would pay for it twice."""
        ids = {request.work_id for request in requests}
        if claimed_twice := ids & self._ids_in_progress:
            raise OracleError(
                f"work id {min(claimed_twice)!r} is in progress already; wait for its response, or use another id"
            )
        self._ids_in_progress |= ids
        try:
            yield
        finally:
            self._ids_in_progress -= ids

    async def _process_queue(self, queue: Iterator[LLMRequest], responses: dict[str, LLMResponse]) -> None:
        try:
            for request in queue:
                if self._stop_error:
                    return
                responses[request.work_id] = await self._complete_one(request)
        except OracleError as error:
            self._stop_error = self._stop_error or error

    async def _complete_one(self, request: LLMRequest) -> LLMResponse:
        attempts = 0
        while attempts < self._max_attempts:
            if self._stop_error:
                raise self._stop_error
            if self.refusals.is_stopped(request.domain):
                return failed_response(request, DOMAIN_STOPPED)
            result = await self._attempt(request)
            if isinstance(result, LLMResponse):
                self._consecutive_failures = 0
                self.refusals.count(request.domain, result)
                return result
            if isinstance(result, RequestRefused):
                return self._failed_response(request, result.problem, result.error_text)
            attempts += not result.rate_limited
            await asyncio.sleep(pause_before(result, attempts, self._backoff))
            last = result
        return self._failed_response(request, last.problem, f"{last.error_text} ({last.status}, {attempts} times)")

    async def _attempt(self, request: LLMRequest) -> LLMResponse | Retry | RequestRefused:
        """Sends one API call as soon as prompt cache, budget and rate limits allow it."""
        worst_usd = price_table().cost(self.model, worst_usage(request))
        expected = self._expected_use(request)
        key, was_granted = await self._keys.lease(expected), False
        try:
            prefix = _cached_prefix(key, request)
            async with self._warmup.wait_for_turn(prefix), self._budget.reserve(worst_usd):
                grant = await self._keys.wait_for_grant(key, expected)
                was_granted = True
                try:
                    if self._stop_error:
                        raise self._stop_error
                    return await self._send(request, key, grant, worst_usd)
                finally:
                    grant.release()
        finally:
            self._keys.release(key, was_granted=was_granted)

    async def _send(
        self, request: LLMRequest, key: Key, grant: Grant, worst_usd: float
    ) -> LLMResponse | Retry | RequestRefused:
        attempt_id, prefix, sent_at = uuid.uuid4().hex, _cached_prefix(key, request), 0.0
        try:
            await self.ledger.record_attempt(attempt_id, request.work_id, worst_usd)
            async with self._slots:
                sent_at = time.monotonic()
                grant.mark_sent(sent_at)
                raw = await key.client.messages.with_raw_response.create(**body_of(request, self.model))
            message = await raw.parse()
            response = response_of(request.work_id, message, self.model)
        except (anthropic.APIError, httpx2.TransportError, ValueError) as error:
            return await self._record_failure(error, attempt_id, key, sent_at, worst_usd)
        except BaseException:  # cancelled: it may have been billed
            self.ledger.record_cancellation(attempt_id, worst_usd if sent_at else 0.0)
            raise
        usage = response.usage
        actual = ExpectedUse(usage.input_tokens + usage.cache_creation_tokens, usage.output_tokens)
        await self.ledger.record_response(attempt_id, raw.request_id, message.id, response)
        grant.correct(actual)
        self._keys.update_limits(key, raw.headers, sent_at)
        # API calls that leased the key before its workspace was known wait under the old prefix, so wake them too.
        self._warmup.mark_warm(prefix)
        self._warmup.mark_warm(_cached_prefix(key, request))
        self._mean_use[request.phase].add(actual)
        return response

    async def _record_failure(
        self, error: ApiCallError, attempt_id: str, key: Key, sent_at: float, worst_usd: float
    ) -> Retry | RequestRefused:
        """Records an API call without a response; raises if the run must stop."""
        headers = error.response.headers if isinstance(error, anthropic.APIStatusError) else {}
        decision = classify_error(error, key.name, self._keys.redact)
        status = _STOPPED_THE_RUN if isinstance(decision, OracleError) else decision.status
        await self.ledger.record_failure(attempt_id, status, headers.get("request-id"), worst_usd)
        if headers:
            self._keys.update_limits(key, headers, sent_at)
        if isinstance(decision, OracleError):
            self._stop_error = self._stop_error or decision
            raise decision
        if isinstance(decision, Retry) and decision.rate_limited:
            key.limiter.pause(decision.seconds or 0.0)
        return decision

    def _failed_response(self, request: LLMRequest, problem: ResponseProblem, error_text: str) -> LLMResponse:
        """A response without an answer, which is not recorded, so a later run sends the request again."""
        self._consecutive_failures += 1
        if self._consecutive_failures >= _MAX_CONSECUTIVE_FAILURES:
            raise OracleError(
                f"{self._consecutive_failures} requests in a row failed, the last ({request.work_id}) with {problem}: "
                f"{error_text}"
            )
        return failed_response(request, problem, error_text)

    def _expected_use(self, request: LLMRequest) -> ExpectedUse:
        """The mean use of earlier API calls of the phase; before the first, 3 characters per token and the largest output."""
        mean = self._mean_use[request.phase]
        return mean.value() if mean.count else ExpectedUse(len(request.system + request.user) / 3, request.max_tokens)


class _MeanUse:
    """The mean use of all API calls of a phase so far."""

    def __init__(self) -> None:
        self.count = 0
        self._input = self._output = 0.0

    def add(self, actual: ExpectedUse) -> None:
        self.count += 1
        self._input += actual.input
        self._output += actual.output

    def value(self) -> ExpectedUse:
        return ExpectedUse(self._input / self.count, self._output / self.count)


def _cached_prefix(key: Key, request: LLMRequest) -> CachedPrefix:
    return key.cache_owner, prefix_of(request)


def order_by_new_prefix(requests: Sequence[LLMRequest]) -> list[LLMRequest]:
    """The first request of each prefix comes before all others, so that the cache warm-ups run at the same time."""
    seen: set[str] = set()
    first: list[LLMRequest] = []
    rest: list[LLMRequest] = []
    for request in requests:
        prefix = prefix_of(request)
        (rest if prefix in seen else first).append(request)
        seen.add(prefix)
    return first + rest
