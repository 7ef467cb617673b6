"""The durable record of what was asked, tried, answered and paid; nothing is judged before it stands here.

    asks      every work id with the digest of its words, so that an id cannot come back meaning something else
    attempts  every online call, written before it is sent; `outcome` is null while it is in flight
    payments  every message the API delivered, by message id: reading one twice books it once
    answers   the first message of each work id
    groups    every batch submission, written before it is sent, with its work ids
    places    the workspace whose keys see these batches

A file has one user at a time. Calls in flight at a kill are found at the next opening and marked `killed`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.messages.api_format import request_digest
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, LLMResponse, Usage

_SCHEMA = """
CREATE TABLE IF NOT EXISTS asks (
    work_id TEXT PRIMARY KEY, digest TEXT NOT NULL, phase TEXT NOT NULL, domain TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS attempts (
    id TEXT PRIMARY KEY, work_id TEXT NOT NULL, started REAL NOT NULL, worst_usd REAL NOT NULL,
    outcome TEXT, request_id TEXT);
CREATE INDEX IF NOT EXISTS attempts_of ON attempts (work_id);
CREATE TABLE IF NOT EXISTS payments (
    message_id TEXT PRIMARY KEY, work_id TEXT NOT NULL, batch_id TEXT, booked REAL NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cache_creation_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL, cost_usd REAL NOT NULL);
CREATE TABLE IF NOT EXISTS answers (
    work_id TEXT PRIMARY KEY, message_id TEXT NOT NULL, text TEXT, problem TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS groups (
    id TEXT PRIMARY KEY, intended REAL NOT NULL, size INTEGER NOT NULL, worst_usd REAL NOT NULL,
    state TEXT NOT NULL, batch_id TEXT);
CREATE TABLE IF NOT EXISTS places (workspace TEXT PRIMARY KEY, since REAL NOT NULL);
CREATE TABLE IF NOT EXISTS group_items (
    group_id TEXT NOT NULL, work_id TEXT NOT NULL, outcome TEXT, PRIMARY KEY (group_id, work_id)) WITHOUT ROWID;
"""
_Statement = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class BatchSubmission:
    """One batch submission; `state` is `intended` until its batch is known, `open` until its results are read."""

    group_id: str
    registered_at: float
    size: int
    worst_usd: float
    state: str
    batch_id: str | None


class SpendingRecord(NamedTuple):
    """What one (domain, phase) cost so far; `problems` counts refusals by category and cut answers."""

    domain: str
    phase: str
    responses: int
    usage: Usage
    cost_usd: float
    problems: dict[str, int]


class Ledger:
    """An SQLite file in WAL mode with full synchronisation; commits of calls in flight together share one flush."""

    def __init__(self, path: Path) -> None:
        """Opens or creates the file.

        Raises:
            OracleError: another run uses it, or it cannot be read or written.

        """
        self.path = path
        self._lock = threading.Lock()
        self._queue: list[tuple[Sequence[_Statement], float, asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = _open_database(path)
        except (sqlite3.Error, OSError) as error:
            raise OracleError(
                f"ledger {path.name}: {error}; if another run uses it, wait for that run to end: two runs would pay twice"
            ) from None
        self.booked_usd = self._number("SELECT total(cost_usd) FROM payments")
        self.at_risk_usd = self._number("SELECT total(worst_usd) FROM attempts WHERE outcome IN ('lost', 'killed')")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the use of the file; what a cancelled run still had to write is written."""
        waiting, self._queue = self._queue, []
        self._apply([each for statements, _, _ in waiting for each in statements])
        with self._lock:
            self._db.close()

    # Reading

    def responses_to(self, requests: Sequence[LLMRequest], model: str) -> dict[str, LLMResponse]:
        """The answers already paid for.

        Raises:
            OracleError: a work id was asked before with other words.

        """
        digests = {ask.work_id: request_digest(ask, model) for ask in requests}
        if len(digests) < len(requests):
            raise OracleError("two asks have the same work id; give each its own, since an id is paid only once")
        found = {}
        for work_id, digest, *rest in self._of_ids(_SELECT_RESPONSES, list(digests)):
            if digest != digests[work_id]:
                raise OracleError(
                    f"work id {work_id!r} was asked before with another prompt, schema or model; "
                    "use a new id, or a new ledger, so that no answer is taken for another question's"
                )
            if rest[0] is not None:
                _, text, problem, *tokens, cost = rest
                found[work_id] = LLMResponse(work_id, text, problem, Usage(*tokens), cost)
        return found

    def attempt_statuses(self, work_id: str) -> list[str]:
        """The outcomes of all online calls of a work id, oldest first."""
        rows = self._rows("SELECT outcome FROM attempts WHERE work_id = ? ORDER BY started, rowid", work_id)
        return [outcome or "in flight" for (outcome,) in rows]

    def attempt_counts(self) -> dict[str, int]:
        """How many online calls ended how: `answered`, `lost`, `killed`, `unsent`, `status:429`, …."""
        return dict(self._rows("SELECT coalesce(outcome, 'in flight'), count(*) FROM attempts GROUP BY 1"))

    def payments(self) -> dict[str, tuple[str, float]]:
        """Work id and USD of every message, by message id: what to hold beside a bill."""
        return {
            message_id: (work_id, cost)
            for message_id, work_id, cost in self._rows("SELECT message_id, work_id, cost_usd FROM payments")
        }

    def spending(self) -> list[SpendingRecord]:
        """Calls, tokens and dollars by domain and phase."""
        problems: dict[tuple[str, str], dict[str, int]] = {}
        for domain, phase, problem, count in self._rows(_SELECT_PROBLEMS):
            problems.setdefault((domain, phase), {})[problem] = count
        return [
            SpendingRecord(domain, phase, count, Usage(*tokens), cost, problems.get((domain, phase), {}))
            for domain, phase, count, *tokens, cost in self._rows(_SELECT_SPENDING)
        ]

    def open_submissions(self) -> list[BatchSubmission]:
        """Batch submissions whose results are not all read, oldest first."""
        rows = self._rows("SELECT * FROM groups WHERE state IN ('intended', 'open') ORDER BY intended, rowid")
        return [BatchSubmission(*row) for row in rows]

    def work_ids_of(self, group_id: str) -> set[str]:
        """The work ids of a batch submission."""
        return {work_id for (work_id,) in self._rows("SELECT work_id FROM group_items WHERE group_id = ?", group_id)}

    def settled_batches(self) -> set[str]:
        """Batches whose results are read."""
        return {batch_id for (batch_id,) in self._rows("SELECT batch_id FROM groups WHERE state = 'done'")}

    def workspace(self) -> str | None:
        """Where batches were last submitted."""
        rows = self._rows("SELECT workspace FROM places ORDER BY since DESC LIMIT 1")
        return str(rows[0][0]) if rows else None

    def estimate_unbooked_usd(self) -> float:
        """About what lost and killed calls cost: each as much as the answer its ask got in the end.

        Some were never billed; with `booked_usd` it is what the provider's bill should come near to.
        """
        return self._number(_SELECT_UNBOOKED)

    # Writing: durable when the await returns

    async def register_requests(self, requests: Sequence[LLMRequest], model: str) -> None:
        """Fixes the words of work ids before any of them is paid for."""
        rows = [(ask.work_id, request_digest(ask, model), ask.phase, ask.domain) for ask in requests]
        await self._write_durably([("INSERT OR IGNORE INTO asks VALUES (?, ?, ?, ?)", row) for row in rows])

    async def record_attempt(self, attempt_id: str, work_id: str, worst_usd: float) -> None:
        """A call is about to be sent."""
        row = (attempt_id, work_id, time.time(), worst_usd)
        await self._write_durably([("INSERT INTO attempts VALUES (?, ?, ?, ?, NULL, NULL)", row)])

    async def record_failure(self, attempt_id: str, status: str, request_id: str | None, worst_usd: float) -> None:
        """A call ended without an answer; after `lost` nobody knows whether it was paid."""
        if status == "lost":
            self.at_risk_usd += worst_usd
        await self._write_durably([(_UPDATE_ATTEMPT, (status, request_id, attempt_id))])

    async def record_response(
        self, attempt_id: str, request_id: str | None, message_id: str, response: LLMResponse
    ) -> None:
        """A call ended with an answer: booked before anyone looks at it."""
        statements = [
            (_UPDATE_ATTEMPT, ("answered", request_id, attempt_id)),
            *_booking_statements(message_id, None, response),
        ]
        await self._write_durably(statements, response.cost_usd)

    def record_cancellation(self, attempt_id: str, worst_usd: float) -> None:
        """A call was cancelled; unless `worst_usd` is 0 it had been sent. Written soon, counted at once."""
        self.at_risk_usd += worst_usd
        self._enqueue([(_UPDATE_ATTEMPT, ("killed" if worst_usd else "unsent", None, attempt_id))])

    async def record_workspace(self, workspace: str) -> None:
        """Batches are submitted in this workspace from now on."""
        await self._write_durably([("INSERT OR REPLACE INTO places VALUES (?, ?)", (workspace, time.time()))])

    async def register_submission(self, group_id: str, work_ids: Sequence[str], worst_usd: float) -> None:
        """A batch is about to be created."""
        group = (group_id, time.time(), len(work_ids), worst_usd, "intended", None)
        items = [("INSERT INTO group_items VALUES (?, ?, NULL)", (group_id, each)) for each in work_ids]
        await self._write_durably([("INSERT INTO groups VALUES (?, ?, ?, ?, ?, ?)", group), *items])

    async def set_submission_state(self, group_id: str, state: str, batch_id: str | None = None) -> None:
        """A submission is `open` with its batch, `done`, `intended` again, or `absent`: never created."""
        statements: list[_Statement] = [(_UPDATE_SUBMISSION, (state, batch_id, group_id))]
        if state == "absent":
            statements.append(("UPDATE group_items SET outcome = 'absent' WHERE group_id = ?", (group_id,)))
        await self._write_durably(statements)

    async def record_batch_results(
        self, group: BatchSubmission, statuses: Iterable[tuple[str, str]], paid: Sequence[tuple[str, LLMResponse]]
    ) -> None:
        """Results of a batch, as often as they are read: outcomes by work id, and (message id, answer) pairs."""
        statements: list[_Statement] = [
            (
                "UPDATE group_items SET outcome = ? WHERE group_id = ? AND work_id = ?",
                (outcome, group.group_id, work_id),
            )
            for work_id, outcome in statuses
        ]
        for message_id, answer in paid:
            statements += _booking_statements(message_id, group.batch_id, answer)
        await self._write_durably(statements)
        self.booked_usd = await asyncio.to_thread(self._number, "SELECT total(cost_usd) FROM payments")

    # Underneath

    async def _write_durably(self, statements: Sequence[_Statement], booked_usd: float = 0.0) -> None:
        await asyncio.shield(self._enqueue(statements, booked_usd))

    def _enqueue(self, statements: Sequence[_Statement], booked_usd: float = 0.0) -> asyncio.Future[None]:
        done = asyncio.get_running_loop().create_future()
        self._queue.append((statements, booked_usd, done))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        return done

    async def _flush(self) -> None:
        while self._queue:
            taken, self._queue = self._queue, []
            problem: OracleError | None = None
            try:
                await asyncio.to_thread(self._apply, [each for statements, _, _ in taken for each in statements])
                self.booked_usd += sum(booked for _, booked, _ in taken)
            except sqlite3.Error as error:
                problem = OracleError(
                    f"ledger {self.path.name} cannot be written: {error}; the run stops, answers would be lost"
                )
            for _, _, done in taken:
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


_SELECT_RESPONSES = """
SELECT asks.work_id, digest, message_id, text, problem,
    input_tokens, output_tokens, cache_creation_tokens, cache_read_tokens, cost_usd
FROM asks LEFT JOIN answers USING (work_id) LEFT JOIN payments USING (message_id) WHERE asks.work_id IN ({marks})"""
_SELECT_SPENDING = """
SELECT domain, phase, count(DISTINCT work_id), sum(input_tokens), sum(output_tokens), sum(cache_creation_tokens),
    sum(cache_read_tokens), sum(cost_usd)
FROM payments JOIN asks USING (work_id) GROUP BY domain, phase ORDER BY domain, phase"""
_SELECT_PROBLEMS = """
SELECT domain, phase, problem, count(*) FROM answers JOIN asks USING (work_id)
WHERE problem IS NOT NULL GROUP BY domain, phase, problem"""
_SELECT_UNBOOKED = """
SELECT total(payments.cost_usd) FROM attempts JOIN answers USING (work_id) JOIN payments USING (message_id)
WHERE outcome IN ('lost', 'killed')"""
_UPDATE_ATTEMPT = "UPDATE attempts SET outcome = ?, request_id = ? WHERE id = ?"
_UPDATE_SUBMISSION = "UPDATE groups SET state = ?, batch_id = ? WHERE id = ?"


def _open_database(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=1, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.executescript(_SCHEMA)
    db.execute("UPDATE attempts SET outcome = 'killed' WHERE outcome IS NULL")
    return db


def _booking_statements(message_id: str, batch_id: str | None, response: LLMResponse) -> list[_Statement]:
    payment = (message_id, response.work_id, batch_id, time.time(), *astuple(response.usage), response.cost_usd)
    return [
        ("INSERT OR IGNORE INTO payments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", payment),
        (
            "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)",
            (response.work_id, message_id, response.text, response.problem),
        ),
    ]
