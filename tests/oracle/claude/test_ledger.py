"""The ledger: durable, one user at a time, and never mistaken about whose answer is whose."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.ledger import Ledger, SpendingRecord
from gatling_sid.oracle.claude.messages.llm_request import LLMResponse, Usage
from tests.support.claude_asks import questions

MODEL = "claude-haiku-5-5"
ASKS = questions(3)


def answer(work_id: str, problem: str | None = None) -> LLMResponse:
    return LLMResponse(work_id, None if problem else "{}", problem, Usage(10, 20, 30, 40), 0.25)


async def booked(ledger: Ledger) -> None:
    await ledger.register_requests(ASKS, MODEL)
    await ledger.record_attempt("a0", "w-0", 1.0)
    await ledger.record_response("a0", "req", "msg_0", answer("w-0"))
    await ledger.record_attempt("a1", "w-1", 1.0)
    await ledger.record_failure("a1", "lost", None, 1.0)
    await ledger.record_attempt("a2", "w-1", 1.0)


def test_what_was_booked_is_there_after_reopening(tmp_path: Path) -> None:
    """Answers come back whole; a call that was in flight is marked as killed and may have been paid."""
    with Ledger(tmp_path / "ledger") as ledger:
        asyncio.run(booked(ledger))
        assert (ledger.booked_usd, ledger.at_risk_usd) == (0.25, 1.0)
    with Ledger(tmp_path / "ledger") as ledger:
        assert ledger.responses_to(ASKS, MODEL) == {"w-0": answer("w-0")}
        assert ledger.attempt_statuses("w-1") == ["lost", "killed"]
        assert ledger.attempt_counts() == {"answered": 1, "lost": 1, "killed": 1}
        assert (ledger.booked_usd, ledger.at_risk_usd) == (0.25, 2.0)


def test_two_runs_cannot_share_a_ledger(tmp_path: Path) -> None:
    """They would pay twice, so the second is refused."""
    with Ledger(tmp_path / "ledger"), pytest.raises(OracleError, match="two runs would pay twice"):
        Ledger(tmp_path / "ledger")


def test_a_work_id_keeps_its_meaning(tmp_path: Path) -> None:
    """The same id with another prompt is refused, not answered with the other question's answer."""
    with Ledger(tmp_path / "ledger") as ledger:
        asyncio.run(booked(ledger))
        for changed in (replace(ASKS[0], user="other"), replace(ASKS[0], max_tokens=1), replace(ASKS[0], schema={})):
            with pytest.raises(OracleError, match="work id 'w-0' was asked before with another prompt"):
                ledger.responses_to([changed], MODEL)
        with pytest.raises(OracleError, match="another prompt, schema or model"):
            ledger.responses_to(ASKS, "claude-opus-5-5")


def test_asks_of_one_run_have_ids_of_their_own(tmp_path: Path) -> None:
    """Two asks under one id would be paid once and answered twice."""
    with Ledger(tmp_path / "ledger") as ledger, pytest.raises(OracleError, match="same work id"):
        ledger.responses_to([ASKS[0], ASKS[0]], MODEL)


def test_a_message_read_twice_is_booked_once(tmp_path: Path) -> None:
    """Results of a batch may be read as often as needed; two messages for one id are both on the bill."""

    async def read(ledger: Ledger) -> None:
        await ledger.register_requests(ASKS, MODEL)
        await ledger.register_submission("g", ["w-0"], 1.0)
        await ledger.set_submission_state("g", "open", "batch_1")
        (group,) = ledger.open_submissions()
        for message in ("m1", "m1", "m2"):
            await ledger.record_batch_results(group, [("w-0", "answered")], [(message, answer("w-0"))])
        await ledger.set_submission_state("g", "done", "batch_1")

    with Ledger(tmp_path / "ledger") as ledger:
        asyncio.run(read(ledger))
        assert ledger.booked_usd == 0.5
        assert ledger.open_submissions() == []
        assert ledger.settled_batches() == {"batch_1"}


def test_what_was_spent_is_told_by_domain_and_phase(tmp_path: Path) -> None:
    """With refusals by category."""

    async def book(ledger: Ledger) -> None:
        await booked(ledger)
        await ledger.record_response("a2", None, "msg_1", answer("w-1", "refusal:bio"))

    with Ledger(tmp_path / "ledger") as ledger:
        asyncio.run(book(ledger))
        assert ledger.spending() == [
            SpendingRecord("d0", "requests", 1, Usage(10, 20, 30, 40), 0.25, {}),
            SpendingRecord("d1", "requests", 1, Usage(10, 20, 30, 40), 0.25, {"refusal:bio": 1}),
        ]


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    """It names the ledger."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OracleError, match="ledger ledger: "):
        Ledger(tmp_path / "file" / "ledger")
