"""Batches against a server that loses creations, cuts streams and lets items expire."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.budget import BudgetReachedError
from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, LLMResponse
from gatling_sid.oracle.claude.transport.batches import BatchesClient
from gatling_sid.oracle.claude.transport.blocking import BlockingClient
from gatling_sid.oracle.claude.transport.engine import MessagesClient
from tests.support.claude_asks import questions, work_id_of
from tests.support.claude_server import ClaudeServer


def answered(server: ClaudeServer, ledger: Ledger, asks: list[LLMRequest], **options: Any) -> list[LLMResponse]:
    """One run through batches."""

    async def life() -> list[LLMResponse]:
        settings = {"base_url": server.url, "max_items": 100, "poll_seconds": 0.05, "grace_seconds": 0.2, **options}
        async with BatchesClient(["key"], ledger, **settings) as batches:
            return await batches.complete(asks)

    return asyncio.run(life())


def bought(server: ClaudeServer) -> Counter[str]:
    """How often each ask was paid for."""
    return Counter(work_id_of(each.words) for each in server.bills)


def test_whatever_is_lost_every_item_is_bought_once(tmp_path: Path) -> None:
    """Lost creations are adopted, cut streams read again, expired and errored items sent again: the bill is the ledger."""
    asks = questions(600)
    with ClaudeServer(item_faults={"expired": 0.03, "errored": 0.03}) as server, Ledger(tmp_path / "ledger") as ledger:
        server.next("create", "lost", "ok", "drop", "500", "lost")
        server.next("results", "cut", "500", "cut")
        answers = answered(server, ledger, asks)
        assert [each.work_id for each in answers] == [ask.work_id for ask in asks]
        assert all(each.text for each in answers)
        assert set(bought(server).values()) == {1}
        assert len(bought(server)) == 600
        assert ledger.booked_usd == pytest.approx(server.bill_usd, abs=1e-12)


def test_after_kills_nothing_is_bought_twice(tmp_path: Path) -> None:
    """Killed at any moment, with replies of creations lost: the next run finds every batch again."""
    chance = random.Random(5)
    with ClaudeServer(batch_seconds=0.4, item_faults={"expired": 0.02}) as server:
        server.next("create", "ok", "lost", "ok", "lost")
        command = [
            sys.executable,
            "-m",
            "tests.support.claude_asks",
            "batches",
            server.url,
            str(tmp_path / "ledger"),
            "300",
        ]
        kills = 0
        while True:
            process = subprocess.Popen(command)
            try:
                process.wait(chance.uniform(1.0, 1.8) if kills < 4 else None)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
                continue
            break
        assert process.returncode == 0
        with Ledger(tmp_path / "ledger") as ledger:
            assert ledger.booked_usd == pytest.approx(server.bill_usd, abs=1e-12)
            assert len(ledger.payments()) == 300
            assert set(bought(server).values()) == {1}


def test_a_batch_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """Same size, same time, other ids: it is not adopted, and our own is sent once it is clear that it was lost."""
    with ClaudeServer() as server:
        with Ledger(tmp_path / "theirs") as ledger:
            answered(server, ledger, questions(20, start=1000))
        with Ledger(tmp_path / "ours") as ledger:
            server.next("create", "drop")
            answers = answered(server, ledger, questions(20))
            assert all(each.text for each in answers)
            assert len(ledger.payments()) == 20
        assert set(bought(server).values()) == {1}


def test_answers_are_those_of_the_online_engine(tmp_path: Path) -> None:
    """The same asks get the same answers, at half the price."""
    with ClaudeServer(latency=0.01) as server:
        with Ledger(tmp_path / "batches") as ledger:
            in_batches = [(each.work_id, each.text, each.problem) for each in answered(server, ledger, questions(60))]

        async def online(ledger: Ledger) -> list[LLMResponse]:
            async with MessagesClient(["key"], ledger, base_url=server.url) as engine:
                return await engine.complete(questions(60))

        with Ledger(tmp_path / "online") as ledger:
            assert [(each.work_id, each.text, each.problem) for each in asyncio.run(online(ledger))] == in_batches


def test_an_item_that_is_wrong_itself_is_not_sent_again(tmp_path: Path) -> None:
    """Its answer says so; nothing was paid for it."""
    with ClaudeServer() as server, Ledger(tmp_path / "ledger") as ledger:
        server.next("items", "ok", "invalid")
        answers = answered(server, ledger, questions(3))
        assert [each.problem for each in answers] == [None, "error:invalid_request_error", None]
        assert server.calls["create"] == 1


def test_a_batch_of_which_nothing_is_answered_stops_the_run(tmp_path: Path) -> None:
    """The words of the API stand in the error; a later run sends all again."""
    with ClaudeServer(item_faults={"invalid": 1.0}) as server, Ledger(tmp_path / "ledger") as ledger:

        async def opens() -> tuple[BatchesClient, Callable[[], Awaitable[None]]]:
            batches = BatchesClient(["key"], ledger, base_url=server.url, poll_seconds=0.05)
            return batches, batches.close

        asked = BlockingClient(opens)
        with pytest.raises(OracleError, match=r"all of 3 asks failed, the last with error:invalid_request_error: inv"):
            asked.complete(questions(3))
        assert asked.complete([]) == []
        server.item_faults = {}
        assert all(each.text for each in asked.complete(questions(3)))
        asked.close()


def test_an_item_that_always_expires_is_given_up(tmp_path: Path) -> None:
    """After the last try its answer says so; the next run may try again."""
    with ClaudeServer(item_faults={"expired": 1.0}) as server, Ledger(tmp_path / "ledger") as ledger:
        answers = answered(server, ledger, questions(2), max_tries=3)
        assert {each.problem for each in answers} == {"error:expired"}
        assert server.calls["items"] == 6
        server.item_faults = {}
        assert all(each.text for each in answered(server, ledger, questions(2)))


def test_the_budget_is_never_passed(tmp_path: Path) -> None:
    """What is sent fits even if every item costs its worst; the rest waits for a larger limit."""
    with ClaudeServer() as server, Ledger(tmp_path / "ledger") as ledger:
        with pytest.raises(BudgetReachedError, match="max-cost-usd"):
            answered(server, ledger, questions(400), max_cost_usd=0.002)
        assert 0.001 < server.bill_usd <= 0.002
        before = len(server.bills)
        answered(server, ledger, questions(400), max_cost_usd=1)
        assert before < 400
        assert len(server.bills) == 400


@pytest.mark.parametrize(
    ("fault", "says"), [("revoked", "not accepted"), ("on_hold", "on hold"), ("spend_400", "Console")]
)
def test_what_no_retry_can_mend_stops_the_run(tmp_path: Path, fault: str, says: str) -> None:
    """The reason is told, and the next run sends what was not taken."""
    with ClaudeServer() as server, Ledger(tmp_path / "ledger") as ledger:
        server.next("create", fault)
        with pytest.raises(OracleError, match=says):
            answered(server, ledger, questions(10))
        assert all(each.text for each in answered(server, ledger, questions(10)))
        assert len(server.bills) == 10
