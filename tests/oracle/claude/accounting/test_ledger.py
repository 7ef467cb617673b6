"""The ledger: durable, for one process at a time, and it never gives one prompt the response of another."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting import ledger_schema
from gatling_sid.oracle.claude.accounting.ledger import BatchSubmission, Ledger, PhaseSpending, SubmissionState
from gatling_sid.oracle.claude.messages.llm_request import LLMResponse, ProblemKind, ResponseProblem, Usage
from tests.support.claude_requests import make_requests

MODEL = "claude-haiku-5-5"
REQUESTS = make_requests(3)
REFUSAL = ResponseProblem(ProblemKind.REFUSAL, "bio")

VERSION_0 = """
CREATE TABLE asks (
    work_id TEXT PRIMARY KEY, digest TEXT NOT NULL, phase TEXT NOT NULL, domain TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE attempts (
    id TEXT PRIMARY KEY, work_id TEXT NOT NULL, started REAL NOT NULL, worst_usd REAL NOT NULL,
    outcome TEXT, request_id TEXT);
CREATE INDEX attempts_of ON attempts (work_id);
CREATE TABLE payments (
    message_id TEXT PRIMARY KEY, work_id TEXT NOT NULL, batch_id TEXT, booked REAL NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cache_creation_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL, cost_usd REAL NOT NULL);
CREATE TABLE answers (
    work_id TEXT PRIMARY KEY, message_id TEXT NOT NULL, text TEXT, problem TEXT) WITHOUT ROWID;
CREATE TABLE groups (
    id TEXT PRIMARY KEY, intended REAL NOT NULL, size INTEGER NOT NULL, worst_usd REAL NOT NULL,
    state TEXT NOT NULL, batch_id TEXT);
CREATE TABLE places (workspace TEXT PRIMARY KEY, since REAL NOT NULL);
CREATE TABLE group_items (
    group_id TEXT NOT NULL, work_id TEXT NOT NULL, outcome TEXT, PRIMARY KEY (group_id, work_id)) WITHOUT ROWID;

INSERT INTO asks VALUES
    ('w-0', 'fb85cdc63778eff72cb61872e6c844c8', 'requests', 'd0'),
    ('w-1', '31a386b78d34d05316b16bd66cdf8fe8', 'requests', 'd1'),
    ('w-2', '72d87ac79a5f7d89ff79d44bc4dd7d78', 'requests', 'd2');
INSERT INTO attempts VALUES
    ('a0', 'w-0', 1.0, 1.0, 'status:429', 'req_0'), ('a1', 'w-0', 2.0, 1.0, 'answered', 'req_1'),
    ('a2', 'w-1', 3.0, 2.0, 'lost', NULL), ('a3', 'w-1', 4.0, 2.0, 'killed', NULL), ('a4', 'w-2', 5.0, 4.0, NULL, NULL);
INSERT INTO payments VALUES
    ('msg_0', 'w-0', NULL, 2.5, 10, 20, 30, 40, 0.25), ('msg_1', 'w-1', 'batch_0', 3.5, 10, 20, 30, 40, 0.5);
INSERT INTO answers VALUES ('w-0', 'msg_0', '{}', NULL), ('w-1', 'msg_1', NULL, 'refusal:bio');
INSERT INTO groups VALUES
    ('g0', 3.0, 1, 1.0, 'done', 'batch_0'), ('g1', 6.0, 1, 1.5, 'open', 'batch_1'), ('g2', 7.0, 2, 2.5, 'intended', NULL),
    ('g3', 8.0, 1, 3.5, 'absent', NULL);
INSERT INTO group_items VALUES
    ('g0', 'w-1', 'answered'), ('g1', 'w-3', NULL), ('g2', 'w-4', NULL), ('g2', 'w-5', NULL), ('g3', 'w-6', 'absent');
INSERT INTO places VALUES ('wrk_0', 1.0), ('wrk_1', 2.0);
"""
"""A ledger file as it was before its tables had a version."""


def response_to(work_id: str, problem: ResponseProblem | None = None) -> LLMResponse:
    """A response that cost 0.25 USD."""
    return LLMResponse(work_id, None if problem else "{}", problem, Usage(10, 20, 30, 40), 0.25)


async def record_calls(ledger: Ledger) -> None:
    """Records one call with a response, one that was lost, and one that is in flight."""
    await ledger.register_requests(REQUESTS, MODEL)
    await ledger.record_attempt("a0", "w-0", 1.0)
    await ledger.record_response("a0", "req", "msg_0", response_to("w-0"))
    await ledger.record_attempt("a1", "w-1", 1.0)
    await ledger.record_failure("a1", "lost", None, 1.0)
    await ledger.record_attempt("a2", "w-1", 1.0)


def create_version_0(path: Path) -> Path:
    """Writes a ledger file of the oldest form and returns its path."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(VERSION_0)
    db.close()
    return path


def test_what_was_booked_is_there_after_reopening(tmp_path: Path) -> None:
    """Responses come back unchanged; a call that was in flight is marked as killed and may have been paid."""
    with Ledger(tmp_path / "ledger") as ledger:
        asyncio.run(record_calls(ledger))
        assert (ledger.booked_usd, ledger.at_risk_usd) == (0.25, 1.0)
    with Ledger(tmp_path / "ledger") as ledger:
        assert ledger.responses_to(REQUESTS, MODEL) == {"w-0": response_to("w-0")}
        assert ledger.attempt_statuses("w-1") == ["lost", "killed"]
        assert ledger.attempt_counts() == {"answered": 1, "lost": 1, "killed": 1}
        assert (ledger.booked_usd, ledger.at_risk_usd) == (0.25, 2.0)


def check_migrated(ledger: Ledger) -> None:
    """Everything that `VERSION_0` holds can be read from the ledger."""
    paid = {"w-0": response_to("w-0"), "w-1": replace(response_to("w-1", REFUSAL), cost_usd=0.5)}
    assert ledger.responses_to(REQUESTS, MODEL) == paid
    assert ledger.spending() == [
        PhaseSpending("d0", "requests", 1, Usage(10, 20, 30, 40), 0.25, {}),
        PhaseSpending("d1", "requests", 1, Usage(10, 20, 30, 40), 0.5, {REFUSAL: 1}),
    ]
    assert ledger.payments() == {"msg_0": ("w-0", 0.25), "msg_1": ("w-1", 0.5)}
    assert (ledger.booked_usd, ledger.at_risk_usd, ledger.estimate_unbooked_usd()) == (0.75, 2.0 + 2.0 + 4.0, 1.0)
    assert ledger.attempt_counts() == {"status:429": 1, "answered": 1, "lost": 1, "killed": 2}
    assert ledger.open_submissions() == [
        BatchSubmission("g1", 6.0, 1, 1.5, SubmissionState.OPEN, "batch_1"),
        BatchSubmission("g2", 7.0, 2, 2.5, SubmissionState.REGISTERED, None),
    ]
    assert ledger.work_ids_of("g2") == {"w-4", "w-5"}
    assert ledger.finished_batch_ids() == {"batch_0"}
    assert ledger.workspace() == "wrk_1"


def test_a_ledger_of_the_oldest_form_is_migrated(tmp_path: Path) -> None:
    """Responses, spending, open submissions and money at risk are found again, and the ledger can be written."""
    path = create_version_0(tmp_path / "ledger")
    with Ledger(path) as ledger:
        check_migrated(ledger)
    with Ledger(path) as ledger:
        check_migrated(ledger)
        asyncio.run(ledger.record_response("a4", None, "msg_2", response_to("w-2")))
        assert ledger.responses_to(REQUESTS, MODEL)["w-2"] == response_to("w-2")
    with Ledger(tmp_path / "new"):
        pass
    assert columns_of(path) == columns_of(tmp_path / "new")


def test_a_ledger_from_before_workspaces_were_recorded_is_migrated(tmp_path: Path) -> None:
    """The first ledgers lacked that table; everything else in them is found again."""
    path = create_version_0(tmp_path / "ledger")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TABLE places")
    with Ledger(path) as ledger:
        assert ledger.payments() == {"msg_0": ("w-0", 0.25), "msg_1": ("w-1", 0.5)}
        assert ledger.workspace() is None


def columns_of(path: Path) -> dict[str, list[str]]:
    """The columns of each table and index in a ledger file, by name."""
    db = sqlite3.connect(path)
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")]
    columns = {name: [row[1] for row in db.execute(f"PRAGMA table_info({name})")] for name in names}
    db.close()
    return columns


@pytest.mark.parametrize("done", range(len(ledger_schema._FROM_VERSION_0)))
def test_a_migration_that_is_interrupted_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    """Stopped after any of its steps, it leaves the file as it was; the next opening migrates it."""
    path = create_version_0(tmp_path / "ledger")
    before = columns_of(path)
    with monkeypatch.context() as interrupted:
        steps = (*ledger_schema._FROM_VERSION_0[:done], "SELECT interrupted")
        interrupted.setattr(ledger_schema, "_FROM_VERSION_0", steps)
        with pytest.raises(OracleError, match="ledger ledger: no such column: interrupted"):
            Ledger(path)
    assert columns_of(path) == before
    with Ledger(path) as ledger:
        check_migrated(ledger)


def test_a_ledger_of_a_later_version_is_refused(tmp_path: Path) -> None:
    """A ledger of a later version is refused with an error that says what to do."""
    db = sqlite3.connect(tmp_path / "ledger")
    db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(OracleError, match=r"ledger ledger was written by a later version .* update the package"):
        Ledger(tmp_path / "ledger")


def test_two_runs_cannot_share_a_ledger(tmp_path: Path) -> None:
    """A second run with an open ledger is refused, since both would pay for the same requests."""
    with Ledger(tmp_path / "ledger"), pytest.raises(OracleError, match="two runs would pay twice"):
        Ledger(tmp_path / "ledger")


def test_a_work_id_keeps_its_meaning(tmp_path: Path) -> None:
    """The same id with another prompt is refused; it does not get the response to the first prompt."""
    with Ledger(tmp_path / "ledger") as ledger:
        asyncio.run(record_calls(ledger))
        first = REQUESTS[0]
        for changed in (replace(first, user="other"), replace(first, max_tokens=1), replace(first, schema={})):
            with pytest.raises(OracleError, match="work id 'w-0' was used before with another prompt"):
                ledger.responses_to([changed], MODEL)
        with pytest.raises(OracleError, match="another prompt, schema or model"):
            ledger.responses_to(REQUESTS, "claude-opus-5-5")


def test_two_requests_with_the_same_id_are_refused(tmp_path: Path) -> None:
    """Two requests with one id are refused: they would get the same response."""
    with Ledger(tmp_path / "ledger") as ledger, pytest.raises(OracleError, match="same work id"):
        ledger.responses_to([REQUESTS[0], REQUESTS[0]], MODEL)


def test_a_message_read_twice_is_booked_once(tmp_path: Path) -> None:
    """Results of a batch may be read as often as needed; two messages for one id are both on the bill."""

    async def read_results(ledger: Ledger) -> None:
        await ledger.register_requests(REQUESTS, MODEL)
        await ledger.register_submission("g", ["w-0"], 1.0)
        await ledger.set_submission_state("g", SubmissionState.OPEN, "batch_1")
        (submission,) = ledger.open_submissions()
        for message_id in ("m1", "m1", "m2"):
            await ledger.record_batch_results(submission, [("w-0", "answered")], [(message_id, response_to("w-0"))])
        await ledger.set_submission_state("g", SubmissionState.DONE, "batch_1")

    with Ledger(tmp_path / "ledger") as ledger:
        asyncio.run(read_results(ledger))
        assert ledger.booked_usd == 0.5
        assert ledger.open_submissions() == []
        assert ledger.finished_batch_ids() == {"batch_1"}


def test_spending_is_summed_by_domain_and_phase(tmp_path: Path) -> None:
    """Spending is summed by domain and phase, and refusals are counted by category."""

    async def record(ledger: Ledger) -> None:
        await record_calls(ledger)
        await ledger.record_response("a2", None, "msg_1", response_to("w-1", REFUSAL))

    with Ledger(tmp_path / "ledger") as ledger:
        asyncio.run(record(ledger))
        assert ledger.spending() == [
            PhaseSpending("d0", "requests", 1, Usage(10, 20, 30, 40), 0.25, {}),
            PhaseSpending("d1", "requests", 1, Usage(10, 20, 30, 40), 0.25, {REFUSAL: 1}),
        ]


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    """A ledger in a folder that cannot be written raises an error that names it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OracleError, match="ledger ledger: "):
        Ledger(tmp_path / "file" / "ledger")
