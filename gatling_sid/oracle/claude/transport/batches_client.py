"""The client for message batches, at half the price; nothing is paid for twice, whichever HTTP responses are lost.

A submission is in the ledger before it is sent. If the HTTP response is lost, the server's list of batches decides. The
work ids of the submission are not sent again until a batch with exactly these ids has ended, whose results are then
booked, or until it is clear that no batch was created for them.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence

import anthropic
import httpx2
from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse
from anthropic.types.messages.batch_create_params import Request

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.ledger import AttemptStatus, BatchSubmission, Ledger, SubmissionState
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
    ProblemKind,
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

# One process creates and reads few batches at a time.
_CONNECTIONS = 10
# The API accepts batches of up to 256 MB.
_MAX_BYTES = 200_000_000
# May be large, because the work ids in a batch are compared anyway.
_CLOCK_SKEW_SECONDS = 3600
# With pauses of 4 to 8 s, this is an outage of about ten minutes.
_MAX_API_FAILURES = 100
_INVALID_REQUEST = "invalid_request_error"
"""The API's error type for an item that would fail in every batch."""
_ABSENT_MESSAGE = "no message"
"""The status of an item that was billed, but whose result is not a message that could be booked."""
_API_CALL_ERRORS = (anthropic.APIError, httpx2.TransportError, ValueError)


class BatchesClient(BaseClient):
    """Completes LLM requests through the Batches API; a batch runs on after a kill, and the next run reads its results.

    Only the first key is used: keys of one organisation share the queue, and those of a workspace see the same batches.
    """

    def __init__(
        self,
        keys: Sequence[str],
        ledger: Ledger,
        *,
        model: str = DEFAULT_MODEL,
        max_cost_usd: float | None = None,
        base_url: str | None = None,
        max_refusal_rate: float = 0.1,
        max_attempts: int = 4,
        max_items: int = 10_000,
        poll_seconds: float = 60,
        grace_seconds: float = 60,
    ) -> None:
        """Sends nothing yet.

        Args:
            keys: API keys, of which the first is used.
            ledger: where all is recorded; it stays open when the client is closed.
            model: one that the price table knows.
            max_cost_usd: the most that may be billed over all runs in the ledger; no limit if None.
            base_url: another address of the API.
            max_refusal_rate: a domain that is refused more often gets no further requests.
            max_attempts: in how many batches a request is sent before it fails.
            max_items: the most requests of one batch.
            poll_seconds: the longest pause before open batches are checked again.
            grace_seconds: how long a batch may take to appear in the list after the HTTP response to its creation was lost.

        """
        super().__init__(
            keys, ledger, model=model, max_cost_usd=max_cost_usd, base_url=base_url, in_flight=_CONNECTIONS
        )
        self._key = self._keys.all[0]
        self._api = self._key.client.messages.batches
        self._max_refusal_rate = max_refusal_rate
        self._max_attempts = max_attempts
        self._max_items = max_items
        self._poll_seconds = poll_seconds
        self._grace_seconds = grace_seconds
        self._workspace_checked = False
        self._lock = asyncio.Lock()
        self._lost_since: dict[str, float] = {}  # from when the loss was noticed, because sending may have taken long
        self._failure_counts: Counter[str] = Counter()
        self._api_failures = 0
        self._failures: dict[str, tuple[ResponseProblem, str]] = {}

    async def complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        """Returns one response per request, in the same order, when every batch has ended and is booked.

        Raises:
            OracleError: the run cannot continue; the results of open batches are read by the next run.

        """
        for request in requests:
            check_request(request)
        async with self._lock:
            return await self._complete(requests)

    async def _complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        await self._check_workspace()
        responses = await asyncio.to_thread(self.ledger.responses_to, requests, self.model)
        unknown = [request for request in requests if request.work_id not in responses]
        await self.ledger.register_requests(unknown, self.model)
        self._failure_counts.clear()
        self._api_failures = 0
        self._failures.clear()
        pause = min(1.0, self._poll_seconds)
        while missing := [
            each for each in unknown if not (each.work_id in responses or each.work_id in self._failures)
        ]:
            await self._update_submissions()
            responses |= await asyncio.to_thread(self.ledger.responses_to, missing, self.model)
            await self._submit(self._requests_to_send(missing, responses))
            if self.ledger.open_submissions():
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, self._poll_seconds)
        return [
            responses.get(request.work_id) or failed_response(request, *self._failures[request.work_id])
            for request in requests
        ]

    async def _check_workspace(self) -> None:
        """Refuses a key that cannot see the open batches of the ledger, because their requests would be paid for again.

        Raises:
            OracleError: open batches of this ledger belong to another workspace than the key.

        """
        while not self._workspace_checked:
            try:
                http_response = await self._api.with_raw_response.list(limit=1)
            except _API_CALL_ERRORS as error:
                await self._wait_or_stop(self._classify(error), "the list of batches")
                continue
            workspace, recorded = http_response.headers.get("anthropic-workspace-id"), self.ledger.workspace()
            if workspace and recorded and workspace != recorded and self.ledger.open_submissions():
                raise OracleError(
                    f"{self._key.name} belongs to another workspace than the open batches of ledger "
                    f"{self.ledger.path.name}; put a key of that workspace first, otherwise they would be paid for twice"
                )
            if workspace and workspace != recorded:
                await self.ledger.record_workspace(workspace)
            self._workspace_checked = True

    # Sending

    def _requests_to_send(
        self, missing: Sequence[LLMRequest], responses: Mapping[str, LLMResponse]
    ) -> list[LLMRequest]:
        """The requests without a response that are in no open submission and whose domain is not stopped."""
        submissions = self.ledger.open_submissions()
        pending_ids = set[str]().union(*(self.ledger.work_ids_of(each.submission_id) for each in submissions))
        refusals = RefusalCounter(self.ledger, self._max_refusal_rate)
        unsent = [each for each in missing if each.work_id not in responses and each.work_id not in pending_ids]
        refusals.raise_if_all_stopped({request.domain for request in unsent})
        for request in unsent:
            if refusals.is_stopped(request.domain):
                self._failures[request.work_id] = DOMAIN_STOPPED, ""
        return [request for request in unsent if request.work_id not in self._failures]

    async def _submit(self, requests: Sequence[LLMRequest]) -> None:
        """Sends as many requests as the budget allows; the rest waits until open batches are booked."""
        prefix_counts = Counter(map(prefix_of, requests))
        start = 0
        while start < len(requests):
            batch, worst_usd = self._next_batch(requests[start:])
            if not batch:
                if self.ledger.open_submissions():
                    return
                raise self._budget.limit_error(worst_usd)
            items = [
                Request(
                    custom_id=each.work_id,
                    params=body_of(each, self.model, cached=prefix_counts[prefix_of(each)] > 1),
                )
                for each in batch
            ]
            if not await self._create(items, worst_usd):
                return
            start += len(batch)

    def _next_batch(self, requests: Sequence[LLMRequest]) -> tuple[list[LLMRequest], float]:
        """The first requests that fit into one batch and the budget, with their worst cost in USD.

        If not even the first one fits, the list is empty and the cost is that of the first request.
        """
        open_usd = sum(submission.worst_usd for submission in self.ledger.open_submissions())
        batch: list[LLMRequest] = []
        total_usd, size = 0.0, 0
        for request in requests[: self._max_items]:
            usage = worst_usage(request)
            worst_usd = price_table().cost(self.model, usage, batch=True)
            size += usage.prompt_tokens * 2
            if not self._budget.fits(open_usd + total_usd + worst_usd) or (batch and size > _MAX_BYTES):
                return batch, total_usd or worst_usd
            total_usd += worst_usd
            batch.append(request)
        return batch, total_usd

    async def _create(self, items: Sequence[Request], worst_usd: float) -> bool:
        """Creates a batch; returns whether it is known to exist. If that is unclear, its work ids are not sent again."""
        submission_id = uuid.uuid4().hex
        await self.ledger.register_submission(submission_id, [each["custom_id"] for each in items], worst_usd)
        try:
            batch = await self._api.create(requests=items)
        except _API_CALL_ERRORS as error:
            self._lost_since[submission_id] = time.monotonic()
            decision = self._classify(error)
            if not (isinstance(decision, Retry) and decision.may_have_succeeded):
                await self.ledger.set_submission_state(submission_id, SubmissionState.ABSENT)
            await self._wait_or_stop(decision, f"a batch of {len(items)}")
            return False
        await self.ledger.set_submission_state(submission_id, SubmissionState.OPEN, batch.id)
        return True

    # Receiving

    async def _update_submissions(self) -> None:
        """Finds the batches of submissions whose HTTP response was lost, and books the results of batches that have ended."""
        submissions = self.ledger.open_submissions()
        lost = [submission for submission in submissions if submission.batch_id is None]
        if lost:
            await self._find_lost(lost, {submission.batch_id for submission in submissions})
        for submission in self.ledger.open_submissions():
            if submission.batch_id is None:
                continue
            batch = await self._retrieve(submission.batch_id)
            if batch.archived_at:
                raise OracleError(
                    f"the provider no longer keeps the results of {batch.id} ({submission.size} requests); "
                    "start a new ledger"
                )
            if batch.processing_status == "ended":
                await self._record_results(submission)

    async def _find_lost(self, lost: Sequence[BatchSubmission], known: set[str | None]) -> None:
        """Assigns to each lost submission the batch with its work ids, or marks it as absent after `grace_seconds`."""
        since = min(submission.registered_at for submission in lost) - _CLOCK_SKEW_SECONDS
        unknown = await self._unknown_batches(since, known | self.ledger.finished_batch_ids())
        for submission in lost:
            similar = [batch for batch in unknown if _may_be(batch, submission)]
            running = [batch for batch in similar if batch.processing_status != "ended"]
            for batch in similar:
                if batch in running:
                    continue
                ids = {each.custom_id for each in await self._read_results(batch.id)}
                if ids == self.ledger.work_ids_of(submission.submission_id):
                    await self.ledger.set_submission_state(submission.submission_id, SubmissionState.OPEN, batch.id)
                    unknown.remove(batch)
                    break
            else:
                lost_since = self._lost_since.setdefault(submission.submission_id, time.monotonic())
                if not running and time.monotonic() - lost_since >= self._grace_seconds:
                    await self.ledger.set_submission_state(submission.submission_id, SubmissionState.ABSENT)

    async def _unknown_batches(self, since: float, known: set[str | None]) -> list[MessageBatch]:
        """The batches of the workspace that were created after `since` and are not `known`, oldest first."""
        found: list[MessageBatch] = []
        while True:
            try:
                async for batch in self._api.list(limit=100):
                    if batch.created_at.timestamp() < since:
                        break
                    if batch.id not in known:
                        found.append(batch)
                return found[::-1]
            except _API_CALL_ERRORS as error:
                await self._wait_or_stop(self._classify(error), "the list of batches")
                found.clear()

    async def _retrieve(self, batch_id: str) -> MessageBatch:
        while True:
            try:
                return await self._api.retrieve(batch_id)
            except _API_CALL_ERRORS as error:
                await self._wait_or_stop(self._classify(error), batch_id)

    async def _read_results(self, batch_id: str) -> list[MessageBatchIndividualResponse]:
        """All results of a batch; if the connection ends early, they are read again from the beginning."""
        while True:
            try:
                return [each async for each in await self._api.results(batch_id)]
            except _API_CALL_ERRORS as error:
                await self._wait_or_stop(self._classify(error), f"the results of {batch_id}")

    async def _record_results(self, submission: BatchSubmission) -> None:
        """Books the messages of a batch that has ended, and counts the items that got none."""
        statuses: list[tuple[str, str]] = []
        messages: list[tuple[str, LLMResponse]] = []
        expected = self.ledger.work_ids_of(submission.submission_id)
        for each in await self._read_results(submission.batch_id or ""):
            status, message = self._read_item(each)
            statuses.append((each.custom_id, status))
            messages += [message] if message else []
        if {work_id for work_id, _ in statuses} != expected:
            raise OracleError(
                f"{submission.batch_id}: {len(statuses)} results for {len(expected)} requests; "
                "run again to read them again"
            )
        await self.ledger.record_batch_results(submission, statuses, messages)
        await self.ledger.set_submission_state(submission.submission_id, SubmissionState.DONE, submission.batch_id)

    def _read_item(self, item: MessageBatchIndividualResponse) -> tuple[str, tuple[str, LLMResponse] | None]:
        """The status of one item, and its message id and response if it got a message."""
        if item.result.type == "succeeded":
            message = item.result.message
            try:
                response = response_of(item.custom_id, message, self.model, batch=True)
            except ValueError:
                self._count_failure(item.custom_id, _ABSENT_MESSAGE)
                return _ABSENT_MESSAGE, None
            return AttemptStatus.ANSWERED, (message.id, response)
        if item.result.type == "errored":
            error = item.result.error.error
            self._count_failure(item.custom_id, error.type, error.message)
            return error.type, None
        self._count_failure(item.custom_id, item.result.type)
        return item.result.type, None

    def _count_failure(self, work_id: str, status: str, error_text: str = "") -> None:
        """Counts a failed item; the request fails for good if it would fail in every batch or has no attempt left."""
        self._failure_counts[work_id] += 1
        if status == _INVALID_REQUEST or self._failure_counts[work_id] >= self._max_attempts:
            self._failures[work_id] = ResponseProblem(ProblemKind.ERROR, status), self._keys.redact(error_text)

    def _classify(self, error: ApiCallError) -> Retry | RequestRefused | OracleError:
        return classify_error(error, self._key.name, self._keys.redact)

    async def _wait_or_stop(self, decision: Retry | RequestRefused | OracleError, what: str) -> None:
        """Waits before the next attempt, or raises if no further attempt is allowed."""
        if isinstance(decision, OracleError):
            raise decision
        if isinstance(decision, RequestRefused):
            raise OracleError(f"{what} was refused: {decision.problem}: {decision.error_text}")
        self._api_failures += 1
        if self._api_failures > _MAX_API_FAILURES:
            raise OracleError(
                f"{what}: the API failed {_MAX_API_FAILURES} times, last {decision.status}: {decision.error_text}; "
                "run again later, nothing is lost"
            )
        await asyncio.sleep(pause_before(decision, 3, min(self._poll_seconds, 1.0)))


def _may_be(batch: MessageBatch, submission: BatchSubmission) -> bool:
    """Whether a batch has the size of a submission and is not older."""
    counts = batch.request_counts
    size = counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
    return size == submission.size and batch.created_at.timestamp() >= submission.registered_at - _CLOCK_SKEW_SECONDS
