"""The durable record of every request, attempt, response and payment; a response is used only after it is in here.

    requests          every work id with the digest of its prompt, so that no id is used for two prompts
    attempts          every API call of the Messages API, written before it is sent; `status` is null while in flight
    payments          every message that the API delivered, by message id, so that one read twice is booked once
    responses         the first message of each work id
    submissions       every batch submission, written before it is sent
    submission_items  the work ids of each submission
    workspaces        the workspaces whose API keys see these batches

An attempt of the ledger is one API call. One process uses a file at a time. API calls that were in flight when a process
was killed are marked `killed` when the file is opened again.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Self

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.ledger_schema import open_database
from gatling_sid.oracle.claude.messages.api_format import request_digest
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, LLMResponse, ResponseProblem, Usage

RESUME_HINT = "every response so far is in the ledger, and the same command continues from there"
"""Ends the messages of errors that stop a run but lose nothing."""
_Statement = tuple[str, tuple[Any, ...]]
_SELECT_BOOKED = "SELECT total(cost_usd) FROM payments"
_SELECT_RESPONSES = """
SELECT requests.work_id, digest, message_id, text, problem,
    input_tokens, output_tokens, cache_creation_tokens, cache_read_tokens, cost_usd
FROM requests LEFT JOIN responses USING (work_id) LEFT JOIN payments USING (message_id)
WHERE requests.work_id IN ({marks})"""
_SELECT_SPENDING = """
SELECT domain, phase, count(DISTINCT work_id), sum(input_tokens), sum(output_tokens), sum(cache_creation_tokens),
    sum(cache_read_tokens), sum(cost_usd)
FROM payments JOIN requests USING (work_id) GROUP BY domain, phase ORDER BY domain, phase"""
_SELECT_PROBLEMS = """
SELECT domain, phase, problem, count(*) FROM responses JOIN requests USING (work_id)
WHERE problem IS NOT NULL GROUP BY domain, phase, problem"""
_SELECT_UNBOOKED = """
SELECT total(payments.cost_usd) FROM attempts JOIN responses USING (work_id) JOIN payments USING (message_id)
WHERE status IN ('lost', 'killed')"""
_UPDATE_ATTEMPT = "UPDATE attempts SET status = ?, request_id = ? WHERE id = ?"
_UPDATE_SUBMISSION = "UPDATE submissions SET state = ?, batch_id = ? WHERE id = ?"
_SELECT_OPEN_SUBMISSIONS = """
SELECT id, registered_at, size, worst_usd, state, batch_id
FROM submissions WHERE state IN ('registered', 'open') ORDER BY registered_at, rowid"""
_UPDATE_SUBMISSION_ITEM = "UPDATE submission_items SET status = ? WHERE submission_id = ? AND work_id = ?"
_MARK_KILLED = "UPDATE attempts SET status = 'killed' WHERE status IS NULL"


class AttemptStatus(StrEnum):
    """How a single API call ended; one that the API refused has the text of `refused_status` instead."""

    ANSWERED = "answered"
    UNSENT = "unsent"
    """The API call never reached the API."""
    LOST = "lost"
    """It was sent and no complete HTTP response came back, so it may have been billed."""
    KILLED = "killed"
    """It was cancelled or its process ended while it was in flight, so it may have been billed."""


def refused_status(http_status: int) -> str:
    """The status of an API call that was refused with this HTTP status; nothing was billed."""
    return f"status:{http_status}"


class SubmissionState(StrEnum):
    """What is known about a batch submission."""

    REGISTERED = "registered"
    """About to be sent, or sent without an HTTP response: its batch is not known yet."""
    OPEN = "open"
    """Its batch is known, but not all results are read."""
    DONE = "done"
    """Its results are booked."""
    ABSENT = "absent"
    """Its batch was never created."""


@dataclass(frozen=True, slots=True)
class BatchSubmission:
    """LLM requests that were sent together; `registered_at` is in seconds since 1970, `worst_usd` the most it can cost."""

    submission_id: str
    registered_at: float
    size: int
    worst_usd: float
    state: SubmissionState
    batch_id: str | None


class PhaseSpending(NamedTuple):
    """What one (domain, phase) has cost so far; `problems` counts the responses without an answer by their problem."""

    domain: str
    phase: str
    responses: int
    usage: Usage
    cost_usd: float
    problems: dict[ResponseProblem, int]


class Ledger:
    """A ledger in an SQLite file; writes that are waiting at the same time share one flush to the disk."""

    def __init__(self, path: Path) -> None:
        """Opens or creates the file; a file of an older version is converted to the present one.

        Raises:
            OracleError: another run uses it, it cannot be read or written, or a later version of the package wrote it.

        """
        self.path = path
        self._lock = threading.Lock()
        self._queue: list[tuple[Sequence[_Statement], float, asyncio.Future[None]]] = []
        self._flush_task: asyncio.Task[None] | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = open_database(path)
            self._apply([(_MARK_KILLED, ())])
        except (sqlite3.Error, OSError) as error:
            raise OracleError(
                f"ledger {path.name}: {error}; if another run uses it, wait for that run to end: two runs would pay twice"
            ) from None
        self.booked_usd = self._number(_SELECT_BOOKED)
        self.at_risk_usd = self._number("SELECT total(worst_usd) FROM attempts WHERE status IN ('lost', 'killed')")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Writes what is still in the queue, for instance of a cancelled run, and closes the file."""
        unwritten, self._queue = self._queue, []
        self._apply([each for statements, _, _ in unwritten for each in statements])
        with self._lock:
            self._db.close()

    # Reading

    def responses_to(self, requests: Sequence[LLMRequest], model: str) -> dict[str, LLMResponse]:
        """The responses that are already paid for, by work id.

        Raises:
            OracleError: two requests have the same work id, or an id was used before for another prompt.

        """
        digests = {request.work_id: request_digest(request, model) for request in requests}
        if len(digests) < len(requests):
            raise OracleError(
                "two requests have the same work id; give each request an id of its own, since an id is paid for only once"
            )
        found = {}
        for work_id, digest, *rest in self._of_ids(_SELECT_RESPONSES, list(digests)):
            if digest != digests[work_id]:
                raise OracleError(
                    f"work id {work_id!r} was used before with another prompt, schema or model; "
                    "use a new id or a new ledger, so that no prompt gets the response of another one"
                )
            if rest[0] is not None:
                _, text, problem, *tokens, cost = rest
                reason = None if problem is None else ResponseProblem.from_text(problem)
                found[work_id] = LLMResponse(work_id, text, reason, Usage(*tokens), cost)
        return found

    def attempt_statuses(self, work_id: str) -> list[str]:
        """The status of each API call of a work id, oldest first."""
        rows = self._rows("SELECT status FROM attempts WHERE work_id = ? ORDER BY started_at, rowid", work_id)
        return [status or "in flight" for (status,) in rows]

    def attempt_counts(self) -> dict[str, int]:
        """The number of API calls by status: `answered`, `lost`, `killed`, `unsent`, `status:429`, …."""
        return dict(self._rows("SELECT coalesce(status, 'in flight'), count(*) FROM attempts GROUP BY 1"))

    def payments(self) -> dict[str, tuple[str, float]]:
        """Work id and cost in USD of every message, by message id, for comparison with the provider's bill."""
        return {
            message_id: (work_id, cost)
            for message_id, work_id, cost in self._rows("SELECT message_id, work_id, cost_usd FROM payments")
        }

    def spending(self) -> list[PhaseSpending]:
        """Responses, tokens and dollars by domain and phase."""
        problems: dict[tuple[str, str], dict[ResponseProblem, int]] = {}
        for domain, phase, problem, count in self._rows(_SELECT_PROBLEMS):
            problems.setdefault((domain, phase), {})[ResponseProblem.from_text(problem)] = count
        return [
            PhaseSpending(domain, phase, count, Usage(*tokens), cost, problems.get((domain, phase), {}))
            for domain, phase, count, *tokens, cost in self._rows(_SELECT_SPENDING)
        ]

    def open_submissions(self) -> list[BatchSubmission]:
        """Batch submissions whose results are not all read, oldest first."""
        return [
            BatchSubmission(submission_id, registered_at, size, worst_usd, SubmissionState(state), batch_id)
            for submission_id, registered_at, size, worst_usd, state, batch_id in self._rows(_SELECT_OPEN_SUBMISSIONS)
        ]

    def work_ids_of(self, submission_id: str) -> set[str]:
        """The work ids of a batch submission."""
        rows = self._rows("SELECT work_id FROM submission_items WHERE submission_id = ?", submission_id)
        return {work_id for (work_id,) in rows}

    def finished_batch_ids(self) -> set[str]:
        """The ids of batches whose results are booked."""
        return {batch_id for (batch_id,) in self._rows("SELECT batch_id FROM submissions WHERE state = 'done'")}

    def workspace(self) -> str | None:
        """The workspace in which batches were last submitted, or None if none were."""
        rows = self._rows("SELECT workspace FROM workspaces ORDER BY recorded_at DESC LIMIT 1")
        return str(rows[0][0]) if rows else None

    def estimate_unbooked_usd(self) -> float:
        """An estimate in USD of what lost and killed API calls cost: each as much as the later response to its request.

        Some of them were never billed. The provider's bill should be near the sum of this and `booked_usd`.
        """
        return self._number(_SELECT_UNBOOKED)

    # Writing: on disk when the await returns

    async def register_requests(self, requests: Sequence[LLMRequest], model: str) -> None:
        """Records the prompt of each work id, before any of them is sent."""
        rows = [(each.work_id, request_digest(each, model), each.phase, each.domain) for each in requests]
        await self._write_durably([("INSERT OR IGNORE INTO requests VALUES (?, ?, ?, ?)", row) for row in rows])

    async def record_attempt(self, attempt_id: str, work_id: str, worst_usd: float) -> None:
        """Records that an API call is about to be sent, which can cost up to `worst_usd`."""
        row = (attempt_id, work_id, time.time(), worst_usd)
        await self._write_durably([("INSERT INTO attempts VALUES (?, ?, ?, ?, NULL, NULL)", row)])

    async def record_failure(self, attempt_id: str, status: str, request_id: str | None, worst_usd: float) -> None:
        """Records how an API call without a response ended; a lost one counts as money at risk, since it may be billed."""
        if status == AttemptStatus.LOST:
            self.at_risk_usd += worst_usd
        await self._write_durably([(_UPDATE_ATTEMPT, (status, request_id, attempt_id))])

    async def record_response(
        self, attempt_id: str, request_id: str | None, message_id: str, response: LLMResponse
    ) -> None:
        """Records the response to an API call and books its cost."""
        statements = [
            (_UPDATE_ATTEMPT, (AttemptStatus.ANSWERED, request_id, attempt_id)),
            *_booking_statements(message_id, None, response),
        ]
        await self._write_durably(statements, response.cost_usd)

    def record_cancellation(self, attempt_id: str, worst_usd: float) -> None:
        """Records a cancelled API call, which may have been billed; with `worst_usd` 0 it had not been sent.

        Does not wait for the disk, because a cancelled task cannot; the money at risk is counted at once.
        """
        self.at_risk_usd += worst_usd
        status = AttemptStatus.KILLED if worst_usd else AttemptStatus.UNSENT
        self._enqueue([(_UPDATE_ATTEMPT, (status, None, attempt_id))])

    async def record_workspace(self, workspace: str) -> None:
        """Records that batches are submitted in this workspace from now on."""
        await self._write_durably([("INSERT OR REPLACE INTO workspaces VALUES (?, ?)", (workspace, time.time()))])

    async def register_submission(self, submission_id: str, work_ids: Sequence[str], worst_usd: float) -> None:
        """Records that a batch of these work ids is about to be created, which can cost up to `worst_usd`."""
        submission = (submission_id, time.time(), len(work_ids), worst_usd, SubmissionState.REGISTERED, None)
        items = [("INSERT INTO submission_items VALUES (?, ?, NULL)", (submission_id, each)) for each in work_ids]
        await self._write_durably([("INSERT INTO submissions VALUES (?, ?, ?, ?, ?, ?)", submission), *items])

    async def set_submission_state(
        self, submission_id: str, state: SubmissionState, batch_id: str | None = None
    ) -> None:
        """Records the new state of a submission, and its batch once that is known."""
        statements: list[_Statement] = [(_UPDATE_SUBMISSION, (state, batch_id, submission_id))]
        if state is SubmissionState.ABSENT:
            statements.append(
                ("UPDATE submission_items SET status = 'absent' WHERE submission_id = ?", (submission_id,))
            )
        await self._write_durably(statements)

    async def record_batch_results(
        self,
        submission: BatchSubmission,
        statuses: Iterable[tuple[str, str]],
        messages: Sequence[tuple[str, LLMResponse]],
    ) -> None:
        """Books the results of a batch: (work id, status) pairs, and (message id, response) pairs.

        May be called again with the same results; each message is booked once.
        """
        statements: list[_Statement] = [
            (_UPDATE_SUBMISSION_ITEM, (status, submission.submission_id, work_id)) for work_id, status in statuses
        ]
        for message_id, response in messages:
            statements += _booking_statements(message_id, submission.batch_id, response)
        await self._write_durably(statements)
        self.booked_usd = await asyncio.to_thread(self._number, _SELECT_BOOKED)

    # Database

    async def _write_durably(self, statements: Sequence[_Statement], booked_usd: float = 0.0) -> None:
        await asyncio.shield(self._enqueue(statements, booked_usd))

    def _enqueue(self, statements: Sequence[_Statement], booked_usd: float = 0.0) -> asyncio.Future[None]:
        done = asyncio.get_running_loop().create_future()
        self._queue.append((statements, booked_usd, done))
        if self._flush_task is None or self._flush_task.done():
            self._flush_task = asyncio.create_task(self._flush())
        return done

    async def _flush(self) -> None:
        while self._queue:
            batch, self._queue = self._queue, []
            problem: OracleError | None = None
            try:
                await asyncio.to_thread(self._apply, [each for statements, _, _ in batch for each in statements])
                self.booked_usd += sum(booked for _, booked, _ in batch)
            except sqlite3.Error as error:
                problem = OracleError(
                    f"ledger {self.path.name} cannot be written: {error}; the run stops, because responses would be lost"
                )
            for _, _, done in batch:
                if done.cancelled():
                    continue
                if problem:
                    done.set_exception(problem)
                else:
                    done.set_result(None)

    def _apply(self, statements: Sequence[_Statement]) -> None:
        with self._lock, self._db:
            self._db.execute("BEGIN")
            for sql, values in statements:
                self._db.execute(sql, values)

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def _number(self, sql: str, *values: Any) -> float:
        return float(self._rows(sql, *values)[0][0])

    def _of_ids(self, sql: str, work_ids: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(work_ids), 500):
            chunk = work_ids[start : start + 500]
            yield from self._rows(sql.format(marks=",".join("?" * len(chunk))), *chunk)


def _booking_statements(message_id: str, batch_id: str | None, response: LLMResponse) -> list[_Statement]:
    payment = (message_id, response.work_id, batch_id, time.time(), *astuple(response.usage), response.cost_usd)
    return [
        ("INSERT OR IGNORE INTO payments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", payment),
        (
            "INSERT OR IGNORE INTO responses VALUES (?, ?, ?, ?)",
            (response.work_id, message_id, response.text, response.problem and str(response.problem)),
        ),
    ]
