"""The batches client with a server that loses the responses to creations, cuts results and lets items expire."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.budget import BudgetReachedError
from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, LLMResponse
from gatling_sid.oracle.claude.transport.batches_client import BatchesClient
from gatling_sid.oracle.claude.transport.blocking_client import BlockingClient, ClientConnection
from gatling_sid.oracle.claude.transport.messages_client import MessagesClient
from tests.support.claude_requests import make_requests, work_id_of_text
from tests.support.claude_server import ClaudeServer
from tests.support.commands import module_line, run_with_kills


def complete_all(server: ClaudeServer, ledger: Ledger, requests: list[LLMRequest], **options: Any) -> list[LLMResponse]:
    """Completes the requests with a batches client and closes it."""

    async def session() -> list[LLMResponse]:
        settings = {"base_url": server.url, "max_items": 100, "poll_seconds": 0.05, "grace_seconds": 0.2, **options}
        async with BatchesClient(["key"], ledger, **settings) as batches:
            return await batches.complete(requests)

    return asyncio.run(session())


def payment_counts(server: ClaudeServer) -> Counter[str]:
    """How often each request was paid for, by work id."""
    return Counter(work_id_of_text(each.user_text) for each in server.bills)


def test_whatever_is_lost_every_item_is_paid_for_once(tmp_path: Path) -> None:
    """Lost batches are found, cut results read again, expired and errored items sent again; the ledger equals the bill."""
    requests = make_requests(300)
    with ClaudeServer(item_faults={"expired": 0.03, "errored": 0.03}) as server, Ledger(tmp_path / "ledger") as ledger:
        server.next("create", "lost", "ok", "drop", "500", "lost")
        server.next("results", "cut", "500", "cut")
        responses = complete_all(server, ledger, requests)
        assert [each.work_id for each in responses] == [request.work_id for request in requests]
        assert all(each.text for each in responses)
        assert set(payment_counts(server).values()) == {1}
        assert len(payment_counts(server)) == 300
        assert ledger.booked_usd == pytest.approx(server.bill_usd, abs=1e-12)


def test_after_kills_nothing_is_paid_for_twice(tmp_path: Path) -> None:
    """A process is killed at random times and responses to creations are lost; the next run finds every batch."""
    rng = random.Random(5)
    with ClaudeServer(batch_seconds=0.4, item_faults={"expired": 0.02}) as server:
        server.next("create", "ok", "lost", "ok", "lost")
        ledger_path = tmp_path / "ledger"
        command = module_line("tests.support.claude_requests", "batches", server.url, ledger_path, 200)
        kills = run_with_kills(command, [rng.uniform(1.0, 1.8) for _ in range(2)])
        assert kills
        with Ledger(tmp_path / "ledger") as ledger:
            assert ledger.booked_usd == pytest.approx(server.bill_usd, abs=1e-12)
            assert len(ledger.payments()) == 200
            assert set(payment_counts(server).values()) == {1}


def test_a_batch_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """A batch of the same size and time with other work ids is not taken for ours; ours is sent again after the grace."""
    with ClaudeServer() as server:
        with Ledger(tmp_path / "theirs") as ledger:
            complete_all(server, ledger, make_requests(20, start=1000))
        with Ledger(tmp_path / "ours") as ledger:
            server.next("create", "drop")
            responses = complete_all(server, ledger, make_requests(20))
            assert all(each.text for each in responses)
            assert len(ledger.payments()) == 20
        assert set(payment_counts(server).values()) == {1}


def test_responses_are_those_of_single_calls(tmp_path: Path) -> None:
    """The same requests get the same answers, at half the price."""
    with ClaudeServer(latency=0.01) as server:
        with Ledger(tmp_path / "batches") as ledger:
            in_batches = [
                (each.work_id, each.text, each.problem) for each in complete_all(server, ledger, make_requests(60))
            ]

        async def complete_online(ledger: Ledger) -> list[LLMResponse]:
            async with MessagesClient(["key"], ledger, base_url=server.url) as client:
                return await client.complete(make_requests(60))

        with Ledger(tmp_path / "online") as ledger:
            assert [
                (each.work_id, each.text, each.problem) for each in asyncio.run(complete_online(ledger))
            ] == in_batches


def test_an_invalid_item_is_not_sent_again(tmp_path: Path) -> None:
    """Its response holds the error; nothing was paid for it."""
    with ClaudeServer() as server, Ledger(tmp_path / "ledger") as ledger:
        server.next("items", "ok", "invalid")
        responses = complete_all(server, ledger, make_requests(3))
        assert [str(each.problem) for each in responses] == ["None", "error:invalid_request_error", "None"]
        assert server.calls["create"] == 1


def test_a_batch_without_any_response_stops_the_run(tmp_path: Path) -> None:
    """The error holds the message of the API; a later run sends all requests again."""
    with ClaudeServer(item_faults={"invalid": 1.0}) as server, Ledger(tmp_path / "ledger") as ledger:

        async def open_client() -> ClientConnection:
            batches = BatchesClient(["key"], ledger, base_url=server.url, poll_seconds=0.05)
            return ClientConnection(batches, batches.close)

        client = BlockingClient(open_client)
        with pytest.raises(OracleError, match=r"all 3 requests failed, the last with error:invalid_request_error: inv"):
            client.complete(make_requests(3))
        assert client.complete([]) == []
        server.item_faults = {}
        assert all(each.text for each in client.complete(make_requests(3)))
        client.close()


def test_an_item_that_always_expires_is_given_up(tmp_path: Path) -> None:
    """After the last attempt its response says so; the next run may send it again."""
    with ClaudeServer(item_faults={"expired": 1.0}) as server, Ledger(tmp_path / "ledger") as ledger:
        responses = complete_all(server, ledger, make_requests(2), max_attempts=3)
        assert {str(each.problem) for each in responses} == {"error:expired"}
        assert server.calls["items"] == 6
        server.item_faults = {}
        assert all(each.text for each in complete_all(server, ledger, make_requests(2)))


def test_the_budget_is_never_passed(tmp_path: Path) -> None:
    """Only so much is sent that the worst cost of every item fits; the rest is sent with a larger limit."""
    with ClaudeServer() as server, Ledger(tmp_path / "ledger") as ledger:
        with pytest.raises(BudgetReachedError, match="max-cost-usd"):
            complete_all(server, ledger, make_requests(200), max_cost_usd=0.001)
        assert 0.0005 < server.bill_usd <= 0.001
        before = len(server.bills)
        complete_all(server, ledger, make_requests(200), max_cost_usd=1)
        assert before < 200
        assert len(server.bills) == 200


@pytest.mark.parametrize(
    ("fault", "message"), [("revoked", "not accepted"), ("on_hold", "on hold"), ("spend_400", "Console")]
)
def test_an_error_that_no_retry_can_repair_stops_the_run(tmp_path: Path, fault: str, message: str) -> None:
    """The error holds the reason, and the next run sends what was refused."""
    with ClaudeServer() as server, Ledger(tmp_path / "ledger") as ledger:
        server.next("create", fault)
        with pytest.raises(OracleError, match=message):
            complete_all(server, ledger, make_requests(10))
        assert all(each.text for each in complete_all(server, ledger, make_requests(10)))
        assert len(server.bills) == 10
