"""Asks answered through message batches, at half the price: nothing is bought twice, whatever is lost on the way.

The server's list of batches is the truth. A submission stands in the ledger before it is sent; if its reply is lost,
its ids are held until a batch with just these ids has ended (and is adopted) or none that could be it exists.
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
from gatling_sid.oracle.claude.accounting.ledger import BatchSubmission, Ledger
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
from gatling_sid.oracle.claude.transport.client import BaseClient
from gatling_sid.oracle.claude.transport.faults import GiveUp, Problem, Retry, classify_error, pause_before

_CONNECTIONS = 10
_MAX_BYTES = 200_000_000  # the API takes 256 MB
_CLOCK_SKEW_SECONDS = 3600  # generous: what a batch holds is compared anyway
_PROBLEMS = (anthropic.APIError, httpx2.TransportError, ValueError)


class BatchesClient(BaseClient):
    """Answers asks through the Batches API; batches go on without us and are found again by the next run.

    The first key is used: keys of one organisation share the queue, and those of a workspace see the same batches.
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
        max_tries: int = 4,
        max_items: int = 10_000,
        poll_seconds: float = 60,
        grace_seconds: float = 60,
    ) -> None:
        super().__init__(
            keys, ledger, model=model, max_cost_usd=max_cost_usd, base_url=base_url, in_flight=_CONNECTIONS
        )
        self._key = self._keys.all[0]
        self._api = self._key.client.messages.batches
        self._max_refusal_rate = max_refusal_rate
        self._max_tries = max_tries
        self._max_items = max_items
        self._poll = poll_seconds
        self._grace = grace_seconds
        self._settled = False
        self._turn = asyncio.Lock()
        self._noticed: dict[str, float] = {}  # when a submission was found to be lost: sending it may have taken long
        self._tries: Counter[str] = Counter()
        self._given_up: dict[str, tuple[str, str]] = {}

    async def complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        """In the order of the asks; returns when every batch has ended and is booked.

        Raises:
            OracleError: the run cannot go on; open batches are read by the next run.

        """
        for ask in requests:
            check_request(ask)
        async with self._turn:
            return await self._answers(requests)

    async def _answers(self, asks: Sequence[LLMRequest]) -> list[LLMResponse]:
        await self._settle_in()
        done = await asyncio.to_thread(self.ledger.responses_to, asks, self.model)
        await self.ledger.register_requests([ask for ask in asks if ask.work_id not in done], self.model)
        self._tries.clear()
        self._given_up.clear()
        pause = min(1.0, self._poll)
        while missing := [ask for ask in asks if ask.work_id not in done and ask.work_id not in self._given_up]:
            await self._sync()
            done |= await asyncio.to_thread(self.ledger.responses_to, missing, self.model)
            await self._submit(self._to_send(missing, done))
            if self.ledger.open_submissions():
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, self._poll)
        return [done.get(ask.work_id) or failed_response(ask, *self._given_up[ask.work_id]) for ask in asks]

    async def _settle_in(self) -> None:
        """Batches are seen by keys of their workspace alone; with another key they would be bought again.

        Raises:
            OracleError: open batches of this ledger lie in another workspace.

        """
        while not self._settled:
            try:
                reply = await self._api.with_raw_response.list(limit=1)
            except _PROBLEMS as problem:
                await self._wait_or_stop(self._judged(problem), "the list of batches")
                continue
            here, there = reply.headers.get("anthropic-workspace-id"), self.ledger.workspace()
            if here and there and here != there and self.ledger.open_submissions():
                raise OracleError(
                    f"{self._key.name} belongs to another workspace than the open batches of ledger "
                    f"{self.ledger.path.name}; put a key of that workspace first, or they would be paid twice"
                )
            if here and here != there:
                await self.ledger.record_workspace(here)
            self._settled = True

    # Sending

    def _to_send(self, missing: Sequence[LLMRequest], done: Mapping[str, LLMResponse]) -> list[LLMRequest]:
        """What is neither answered, nor in an open submission, nor to be given up."""
        held = set[str]().union(*(self.ledger.work_ids_of(group.group_id) for group in self.ledger.open_submissions()))
        refusals = RefusalCounter(self.ledger, self._max_refusal_rate)
        free = [ask for ask in missing if ask.work_id not in done and ask.work_id not in held]
        refusals.raise_if_all_stopped({ask.domain for ask in free})
        for ask in free:
            if refusals.is_stopped(ask.domain):
                self._given_up[ask.work_id] = DOMAIN_STOPPED, ""
        return [ask for ask in free if ask.work_id not in self._given_up]

    async def _submit(self, asks: Sequence[LLMRequest]) -> None:
        """Sends as much as the budget allows; the rest waits until open batches are booked."""
        shared = Counter(map(prefix_of, asks))
        at = 0
        while at < len(asks):
            chunk, worst = self._affordable(asks[at:])
            if not chunk:
                if self.ledger.open_submissions():
                    return
                raise self._budget.limit_error(worst)
            requests = [
                Request(custom_id=ask.work_id, params=body_of(ask, self.model, cached=shared[prefix_of(ask)] > 1))
                for ask in chunk
            ]
            if not await self._create(requests, worst):
                return
            at += len(chunk)

    def _affordable(self, asks: Sequence[LLMRequest]) -> tuple[list[LLMRequest], float]:
        """The next batch and its worst cost; or nothing, and the cost of the first ask."""
        open_usd = sum(group.worst_usd for group in self.ledger.open_submissions())
        chunk: list[LLMRequest] = []
        total, size = 0.0, 0
        for ask in asks[: self._max_items]:
            usage = worst_usage(ask)
            worst = price_table().cost(self.model, usage, batch=True)
            size += usage.prompt_tokens * 2
            if not self._budget.fits(open_usd + total + worst) or (chunk and size > _MAX_BYTES):
                return chunk, total or worst
            total += worst
            chunk.append(ask)
        return chunk, total

    async def _create(self, requests: Sequence[Request], worst: float) -> bool:
        """Whether the batch is known to exist; if that is unknown, its ids stay held."""
        group_id = uuid.uuid4().hex
        await self.ledger.register_submission(group_id, [each["custom_id"] for each in requests], worst)
        try:
            batch = await self._api.create(requests=requests)
        except _PROBLEMS as problem:
            self._noticed[group_id] = time.monotonic()
            verdict = self._judged(problem)
            unknown = isinstance(verdict, Retry) and not verdict.rate_limited and verdict.status != "unsent"
            if not unknown:
                await self.ledger.set_submission_state(group_id, "absent")
            await self._wait_or_stop(verdict, f"a batch of {len(requests)}")
            return False
        await self.ledger.set_submission_state(group_id, "open", batch.id)
        return True

    # Receiving

    async def _sync(self) -> None:
        """Adopts lost submissions and books the results of ended batches."""
        groups = self.ledger.open_submissions()
        lost = [group for group in groups if group.batch_id is None]
        if lost:
            await self._adopt(lost, {group.batch_id for group in groups})
        for group in self.ledger.open_submissions():
            if group.batch_id is None:
                continue
            batch = await self._retrieved(group.batch_id)
            if batch.archived_at:
                raise OracleError(
                    f"the results of {batch.id} ({group.size} asks) are no longer kept; start a new ledger"
                )
            if batch.processing_status == "ended":
                await self._book(group)

    async def _adopt(self, lost: Sequence[BatchSubmission], claimed: set[str | None]) -> None:
        since = min(group.registered_at for group in lost) - _CLOCK_SKEW_SECONDS
        unknown = await self._unknown_batches(since, claimed | self.ledger.settled_batches())
        for group in lost:
            same = [batch for batch in unknown if _could_be(batch, group)]
            waiting = [batch for batch in same if batch.processing_status != "ended"]
            for batch in same:
                if batch in waiting:
                    continue
                ids = {each.custom_id for each in await self._results(batch.id)}
                if ids == self.ledger.work_ids_of(group.group_id):
                    await self.ledger.set_submission_state(group.group_id, "open", batch.id)
                    unknown.remove(batch)
                    break
            else:
                noticed = self._noticed.setdefault(group.group_id, time.monotonic())
                if not waiting and time.monotonic() - noticed >= self._grace:
                    await self.ledger.set_submission_state(group.group_id, "absent")

    async def _unknown_batches(self, since: float, known: set[str | None]) -> list[MessageBatch]:
        """Oldest first."""
        found: list[MessageBatch] = []
        while True:
            try:
                async for batch in self._api.list(limit=100):
                    if batch.created_at.timestamp() < since:
                        break
                    if batch.id not in known:
                        found.append(batch)
                return found[::-1]
            except _PROBLEMS as problem:
                await self._wait_or_stop(self._judged(problem), "the list of batches")
                found.clear()

    async def _retrieved(self, batch_id: str) -> MessageBatch:
        while True:
            try:
                return await self._api.retrieve(batch_id)
            except _PROBLEMS as problem:
                await self._wait_or_stop(self._judged(problem), batch_id)

    async def _results(self, batch_id: str) -> list[MessageBatchIndividualResponse]:
        """All results; a cut stream is read again from its beginning."""
        while True:
            try:
                return [each async for each in await self._api.results(batch_id)]
            except _PROBLEMS as problem:
                await self._wait_or_stop(self._judged(problem), f"the results of {batch_id}")

    async def _book(self, group: BatchSubmission) -> None:
        """Writes what a batch answered and what it did not."""
        outcomes, paid = [], []
        members = self.ledger.work_ids_of(group.group_id)
        for each in await self._results(group.batch_id or ""):
            if each.result.type == "succeeded":
                message = each.result.message
                try:
                    paid.append((message.id, response_of(each.custom_id, message, self.model, batch=True)))
                    outcome = "answered"
                except ValueError:  # paid for, and nothing that could be booked or read
                    outcome = "no message"
                    self._count_failure(each.custom_id, outcome)
            elif each.result.type == "errored":
                outcome = each.result.error.error.type
                self._count_failure(each.custom_id, outcome, each.result.error.error.message)
            else:
                outcome = each.result.type
                self._count_failure(each.custom_id, outcome)
            outcomes.append((each.custom_id, outcome))
        if {work_id for work_id, _ in outcomes} != members:
            raise OracleError(
                f"{group.batch_id}: {len(outcomes)} results for {len(members)} asks; run again to read it again"
            )
        await self.ledger.record_batch_results(group, outcomes, paid)
        await self.ledger.set_submission_state(group.group_id, "done", group.batch_id)

    def _count_failure(self, work_id: str, outcome: str, says: str = "") -> None:
        self._tries[work_id] += 1
        if outcome == "invalid_request_error" or self._tries[work_id] >= self._max_tries:
            self._given_up[work_id] = f"error:{outcome}", self._keys.without_secrets(says)

    def _judged(self, problem: Problem) -> Retry | GiveUp | OracleError:
        return classify_error(problem, self._key.name, self._keys.without_secrets)

    async def _wait_or_stop(self, verdict: Retry | GiveUp | OracleError, what: str) -> None:
        if isinstance(verdict, OracleError):
            raise verdict
        if isinstance(verdict, GiveUp):
            raise OracleError(f"{what} was refused: {verdict.problem}: {verdict.error_text}")
        self._tries["api"] += 1
        if self._tries["api"] > 100:
            raise OracleError(
                f"{what}: the API failed 100 times, last {verdict.status}: {verdict.error_text}; "
                "run again later, nothing is lost"
            )
        await asyncio.sleep(pause_before(verdict, 3, min(self._poll, 1.0)))


def _could_be(batch: MessageBatch, group: BatchSubmission) -> bool:
    counts = batch.request_counts
    size = counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
    return size == group.size and batch.created_at.timestamp() >= group.registered_at - _CLOCK_SKEW_SECONDS
