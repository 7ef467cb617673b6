"""Clients that are stopped and used again: costs, rate limits and responses stay correct."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.budget import BudgetReachedError
from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest
from gatling_sid.oracle.claude.transport.batches_client import BatchesClient
from gatling_sid.oracle.claude.transport.connect import BatchOrSingleClient, connect
from gatling_sid.oracle.claude.transport.messages_client import MessagesClient
from tests.support.claude_api import ERROR_MESSAGES, ERRORS, Account, Hangup, HttpResponse
from tests.support.claude_requests import make_requests
from tests.support.claude_server import ClaudeServer


async def stop_after(seconds: float, work: Any) -> None:
    """Cancels the work after so many seconds, as Ctrl-C does."""
    task = asyncio.create_task(work)
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def with_client(server: ClaudeServer, ledger: Ledger, session: Callable[[MessagesClient], Any], **options: Any) -> None:
    """One client and what is done with it."""

    async def open_and_use() -> None:
        async with MessagesClient(
            list(server.keys), ledger, base_url=server.url, backoff_seconds=0.02, **options
        ) as client:
            await session(client)

    asyncio.run(open_and_use())


def test_stopping_several_times_never_exceeds_the_budget(tmp_path: Path) -> None:
    """A call in flight at a stop may have been billed, so its worst cost counts as spent."""
    requests = [replace(each, system="x") for each in make_requests(600, 1)]

    async def session(client: MessagesClient) -> None:
        await client.complete(requests[:5])
        server.latency = 0.4
        for at in range(5, 600, 30):
            await stop_after(0.25, client.complete(requests[at : at + 30]))

    with (
        ClaudeServer(latency=0.02, answer=lambda _: json.dumps({"text": "x" * 700})) as server,
        Ledger(tmp_path / "l") as ledger,
    ):
        with pytest.raises(BudgetReachedError):
            with_client(server, ledger, session, max_cost_usd=0.01, in_flight=30)
        time.sleep(0.6)
        assert ledger.attempt_counts()["killed"] > 20
        assert server.bill_usd <= ledger.booked_usd + ledger.at_risk_usd <= 0.01


def test_a_stop_releases_the_rate_limit(tmp_path: Path) -> None:
    """Calls that had a grant and were not sent give their share of the limit back."""
    limits = {"requests": 300.0, "input": 3_000_000.0, "output": 600_000.0}

    async def session(client: MessagesClient) -> None:
        await client.complete(make_requests(4))
        server.latency = 5
        await stop_after(2, client.complete(make_requests(100, start=10)))
        server.latency = 0
        await asyncio.wait_for(client.complete(make_requests(3, start=5000)), 5)

    with ClaudeServer(limits=limits, burst_seconds=1) as server, Ledger(tmp_path / "l") as ledger:
        with_client(server, ledger, session, in_flight=8)


def test_what_stopped_a_run_may_be_over(tmp_path: Path) -> None:
    """The same client can be used again, and returns in any case what is in the ledger."""

    async def session(client: MessagesClient) -> None:
        await client.complete(make_requests(4))
        server.next("messages", "spend_400")
        with pytest.raises(OracleError, match="spend limit"):
            await client.complete(make_requests(1, start=10))
        assert len(await client.complete(make_requests(4))) == 4
        assert (await client.complete(make_requests(1, start=10)))[0].text

    with ClaudeServer() as server, Ledger(tmp_path / "l") as ledger:
        with_client(server, ledger, session)


def test_the_first_calls_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """One call warms the cache; calls that leased the key before its workspace was known follow together."""

    async def session(client: MessagesClient) -> None:
        start = time.monotonic()
        await client.complete(make_requests(8, 1))
        assert time.monotonic() - start < 3 * 0.5

    with ClaudeServer(latency=0.5) as server, Ledger(tmp_path / "l") as ledger:
        with_client(server, ledger, session)


def test_a_batch_left_open_is_waited_for_without_the_option_too(tmp_path: Path) -> None:
    """A run in batches is stopped and continued with single calls; what the batch holds is not sent or paid for again."""
    requests = make_requests(120)

    async def run_batches() -> None:
        async with BatchesClient(["key"], ledger, base_url=server.url, poll_seconds=0.05) as batches:
            await stop_after(0.5, batches.complete(requests))

    with ClaudeServer(batch_seconds=2) as server:
        with Ledger(tmp_path / "l") as ledger:
            asyncio.run(run_batches())
            assert len(ledger.open_submissions()) == 1
        blocking = connect(["key"], tmp_path / "l", model="claude-haiku-5-5", base_url=server.url)
        try:
            assert all(each.text for each in blocking.complete(requests))
            assert blocking.spent_usd() == pytest.approx(server.bill_usd)
        finally:
            blocking.close()
        assert len(server.bills) == 120


def test_a_key_of_another_workspace_is_not_used_on_open_batches(tmp_path: Path) -> None:
    """It would not see them and pay for them again; a key of their workspace continues."""

    async def complete_with(key: str, ledger: Ledger) -> None:
        async with BatchesClient([key], ledger, base_url=server.url, poll_seconds=0.05, grace_seconds=0.1) as batches:
            await batches.complete(make_requests(20))

    keys = {"a": Account("org", "one"), "b": Account("org", "two")}
    with ClaudeServer(batch_seconds=1, keys=keys) as server, Ledger(tmp_path / "l") as ledger:
        server.next("create", "lost")
        asyncio.run(stop_after(0.5, complete_with("a", ledger)))
        with pytest.raises(OracleError, match="belongs to another workspace than the open batches of ledger l"):
            asyncio.run(complete_with("b", ledger))
        asyncio.run(complete_with("a", ledger))
        assert len(server.bills) == 20
        asyncio.run(complete_with("b", ledger))  # nothing is open any more


def test_a_reply_lost_after_a_long_upload_creates_no_second_batch(tmp_path: Path) -> None:
    """The time in which a lost batch may appear begins when the loss is noticed, not when sending began."""

    class Slow(ClaudeServer):
        """Creates the first batch only after it has closed the connection without an HTTP response."""

        async def _reply(self, method: str, target: str, headers: Any, content: bytes) -> HttpResponse:
            if method == "POST" and target.endswith("/batches") and not self.calls["slow"]:
                self.calls["slow"] += 1
                await asyncio.sleep(1.5)
                asyncio.get_running_loop().call_later(0.4, self._create, json.loads(content), self.keys["key"])
                raise Hangup
            return await super()._respond(method, target, headers, content)

    async def session() -> None:
        async with BatchesClient(["key"], ledger, base_url=server.url, poll_seconds=0.1, grace_seconds=1) as batches:
            assert all(each.text for each in await batches.complete(make_requests(20)))

    with Slow() as server, Ledger(tmp_path / "l") as ledger:
        asyncio.run(session())
        assert (len(server.batches), len(server.bills)) == (1, 20)


def test_refusals_in_a_batch_count_for_single_calls(tmp_path: Path) -> None:
    """A domain that was refused too often in a batch gets no single calls either."""

    class Refusing(ClaudeServer):
        def _write_message(self, body: Any, _fault: str, usage: Any) -> Any:
            return super()._write_message(body, "refusal:cyber", usage)

    async def session() -> None:
        keys = {"base_url": server.url}
        async with (
            BatchesClient(["key"], ledger, poll_seconds=0.05, **keys) as batches,
            MessagesClient(["key"], ledger, **keys) as client,
        ):
            both = BatchOrSingleClient(batches, client, ledger)
            first = await both.complete(make_requests(150, 1))
            with pytest.raises(OracleError, match="refused more often than 10%: d0"):
                await both.complete(make_requests(50, 1, start=1000))
        assert Counter(str(each.problem) for each in first) == {"refusal:cyber": 150}

    with Refusing() as server, Ledger(tmp_path / "l") as ledger:
        asyncio.run(session())
        assert len(server.bills) == 150


@pytest.mark.parametrize("status", ["nf", "spend_400"])
def test_a_key_that_the_api_repeats_is_not_shown(tmp_path: Path, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error does not hold the key, even if the provider or a proxy repeats it in its message."""
    key = "sk-not-a-real-key-0123456789"
    monkeypatch.setitem(ERRORS, "nf", (404, "not_found_error", "", {}))
    monkeypatch.setitem(ERROR_MESSAGES, status, f"usage limit, or no model, for {key}")

    async def session(client: MessagesClient) -> None:
        with pytest.raises(OracleError, match=r"for \[key\]") as caught:
            await client.complete(make_requests(1))
        assert key not in str(caught.value)

    with ClaudeServer(keys={key: Account()}) as server, Ledger(tmp_path / "l") as ledger:
        server.next("messages", status)
        with_client(server, ledger, session)


def test_a_wait_of_an_hour_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the server asks to wait for an hour, the run stops and the error names the time."""
    monkeypatch.setitem(ERRORS, "529", (529, "overloaded_error", "", {"retry-after": "3600"}))

    async def session(client: MessagesClient) -> None:
        with pytest.raises(OracleError, match="asks to wait 3600 s"):
            await client.complete(make_requests(1))

    with ClaudeServer() as server, Ledger(tmp_path / "l") as ledger:
        server.next("messages", "529")
        with_client(server, ledger, session)


@pytest.mark.parametrize("broken", [{"usage": {"output_tokens": 3}}, {"content": None}, {"id": None}])
def test_a_response_that_is_not_a_message_is_requested_again(tmp_path: Path, broken: dict[str, Any]) -> None:
    """The SDK does not check what it receives; the run continues."""

    class Odd(ClaudeServer):
        """Bills the first message and sends something that is not a message."""

        async def _message(self, body: Any, place: Account) -> HttpResponse:
            response = await super()._message(body, place)
            if len(self.bills) > 1:
                return response
            return response._replace(body=json.dumps({**json.loads(response.body), **broken}).encode())

    async def session(client: MessagesClient) -> None:
        assert all(each.text for each in await client.complete(make_requests(3)))

    with Odd() as server, Ledger(tmp_path / "l") as ledger:
        with_client(server, ledger, session)
        assert ledger.attempt_counts()["lost"] == 1


def test_the_same_prompt_is_sent_once(tmp_path: Path) -> None:
    """Two tasks may have the same prompt; both get the one response."""
    one, other = make_requests(2)
    with ClaudeServer() as server:
        blocking = connect(["key"], tmp_path / "l", model="claude-haiku-5-5", base_url=server.url)
        try:
            first, second, third = blocking.complete([one, other, one])
        finally:
            blocking.close()
        assert (first, second.work_id) == (third, other.work_id)
        assert len(server.bills) == 2


def test_a_ledger_is_closed_when_a_client_cannot_be_opened(tmp_path: Path) -> None:
    """A key with a wrong form does not lock the file for the next call."""

    def complete_with_key(key: str) -> list[LLMRequest]:
        blocking = connect([key], tmp_path / "l", model="claude-haiku-5-5", base_url=server.url)
        try:
            blocking.complete(make_requests(1))
        finally:
            blocking.close()
        return make_requests(1)

    with ClaudeServer() as server:
        with pytest.raises(OracleError, match="characters no key has"):
            complete_with_key("no key")
        assert complete_with_key("key")
