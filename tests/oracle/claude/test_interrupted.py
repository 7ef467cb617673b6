"""What a caller who stops and goes on in the same process may rely on: money, pace and answers stay right."""

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
from gatling_sid.oracle.claude.transport.batches import BatchesClient
from gatling_sid.oracle.claude.transport.connect import BatchOrSingleClient, connect
from gatling_sid.oracle.claude.transport.engine import MessagesClient
from tests.support.claude_asks import questions
from tests.support.claude_server import REFUSED, SAYS, ClaudeServer, Hangup, Place, Reply


async def stopped_after(seconds: float, work: Any) -> None:
    """Ctrl-C, as an event loop sees it."""
    task = asyncio.create_task(work)
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def with_engine(server: ClaudeServer, ledger: Ledger, life: Callable[[MessagesClient], Any], **options: Any) -> None:
    """One engine and what is done with it."""

    async def living() -> None:
        async with MessagesClient(
            list(server.keys), ledger, base_url=server.url, backoff_seconds=0.02, **options
        ) as engine:
            await life(engine)

    asyncio.run(living())


def test_stopping_again_and_again_never_passes_the_budget(tmp_path: Path) -> None:
    """A call in flight at a stop may have been billed: it counts as spent until its money is known."""
    asks = [replace(each, system="x") for each in questions(600, 1)]

    async def life(engine: MessagesClient) -> None:
        await engine.complete(asks[:5])
        server.latency = 0.4
        for at in range(5, 600, 30):
            await stopped_after(0.25, engine.complete(asks[at : at + 30]))

    with (
        ClaudeServer(latency=0.02, answer=lambda _: json.dumps({"text": "x" * 700})) as server,
        Ledger(tmp_path / "l") as ledger,
    ):
        with pytest.raises(BudgetReachedError):
            with_engine(server, ledger, life, max_cost_usd=0.01, in_flight=30)
        time.sleep(0.6)
        assert ledger.attempt_counts()["killed"] > 20
        assert server.bill_usd <= ledger.booked_usd + ledger.at_risk_usd <= 0.01


def test_a_stop_holds_nothing_back(tmp_path: Path) -> None:
    """Calls that were granted and never sent give their share of the limit back."""
    limits = {"requests": 300.0, "input": 3_000_000.0, "output": 600_000.0}

    async def life(engine: MessagesClient) -> None:
        await engine.complete(questions(4))
        server.latency = 5
        await stopped_after(2, engine.complete(questions(100, start=10)))
        server.latency = 0
        await asyncio.wait_for(engine.complete(questions(3, start=5000)), 5)

    with ClaudeServer(limits=limits, burst_seconds=1) as server, Ledger(tmp_path / "l") as ledger:
        with_engine(server, ledger, life, in_flight=8)


def test_what_stopped_a_run_may_be_over(tmp_path: Path) -> None:
    """The same engine answers again, and what is in the ledger it gives in any case."""

    async def life(engine: MessagesClient) -> None:
        await engine.complete(questions(4))
        server.next("messages", "spend_400")
        with pytest.raises(OracleError, match="spend limit"):
            await engine.complete(questions(1, start=10))
        assert len(await engine.complete(questions(4))) == 4
        assert (await engine.complete(questions(1, start=10)))[0].text

    with ClaudeServer() as server, Ledger(tmp_path / "l") as ledger:
        with_engine(server, ledger, life)


def test_the_first_calls_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """One call warms the cache; those that chose the key before its workspace was known follow together."""

    async def life(engine: MessagesClient) -> None:
        start = time.monotonic()
        await engine.complete(questions(8, 1))
        assert time.monotonic() - start < 3 * 0.5

    with ClaudeServer(latency=0.5) as server, Ledger(tmp_path / "l") as ledger:
        with_engine(server, ledger, life)


def test_a_batch_left_open_is_waited_for_without_the_option_too(tmp_path: Path) -> None:
    """Stopped in batches, gone on online: what the batch holds is not asked, nor paid, a second time."""
    asks = questions(120)

    async def batched() -> None:
        async with BatchesClient(["key"], ledger, base_url=server.url, poll_seconds=0.05) as batches:
            await stopped_after(0.5, batches.complete(asks))

    with ClaudeServer(batch_seconds=2) as server:
        with Ledger(tmp_path / "l") as ledger:
            asyncio.run(batched())
            assert len(ledger.open_submissions()) == 1
        answering = connect(["key"], tmp_path / "l", model="claude-haiku-5-5", base_url=server.url)
        try:
            assert all(each.text for each in answering.complete(asks))
            assert answering.spent() == pytest.approx(server.bill_usd)
        finally:
            answering.close()
        assert len(server.bills) == 120


def test_a_key_of_another_workspace_is_not_used_on_open_batches(tmp_path: Path) -> None:
    """It would not see them, and pay for them again; a key of theirs goes on."""

    async def answered_with(key: str, ledger: Ledger) -> None:
        async with BatchesClient([key], ledger, base_url=server.url, poll_seconds=0.05, grace_seconds=0.1) as batches:
            await batches.complete(questions(20))

    keys = {"a": Place("org", "one"), "b": Place("org", "two")}
    with ClaudeServer(batch_seconds=1, keys=keys) as server, Ledger(tmp_path / "l") as ledger:
        server.next("create", "lost")
        asyncio.run(stopped_after(0.5, answered_with("a", ledger)))
        with pytest.raises(OracleError, match="belongs to another workspace than the open batches of ledger l"):
            asyncio.run(answered_with("b", ledger))
        asyncio.run(answered_with("a", ledger))
        assert len(server.bills) == 20
        asyncio.run(answered_with("b", ledger))  # nothing is open any more


def test_a_reply_lost_after_a_long_upload_buys_no_second_batch(tmp_path: Path) -> None:
    """The grace for a lost batch to turn up begins when the loss is noticed, not when sending began."""

    class Slow(ClaudeServer):
        """Takes the first batch in after the client has been told nothing."""

        async def _reply(self, method: str, target: str, headers: Any, content: bytes) -> Reply:
            if method == "POST" and target.endswith("/batches") and not self.calls["slow"]:
                self.calls["slow"] += 1
                await asyncio.sleep(1.5)
                asyncio.get_running_loop().call_later(0.4, self._create, json.loads(content), self.keys["key"])
                raise Hangup
            return await super()._reply(method, target, headers, content)

    async def life() -> None:
        async with BatchesClient(["key"], ledger, base_url=server.url, poll_seconds=0.1, grace_seconds=1) as batches:
            assert all(each.text for each in await batches.complete(questions(20)))

    with Slow() as server, Ledger(tmp_path / "l") as ledger:
        asyncio.run(life())
        assert (len(server.batches), len(server.bills)) == (1, 20)


def test_refusals_in_a_batch_count_for_single_calls(tmp_path: Path) -> None:
    """A domain that a batch was refused too often is not asked on one by one."""

    class Prudish(ClaudeServer):
        def _spoken(self, body: Any, _fault: str, usage: Any) -> Any:
            return super()._spoken(body, "refusal:cyber", usage)

    async def life() -> None:
        keys = {"base_url": server.url}
        async with (
            BatchesClient(["key"], ledger, poll_seconds=0.05, **keys) as batches,
            MessagesClient(["key"], ledger, **keys) as engine,
        ):
            both = BatchOrSingleClient(batches, engine, ledger)
            first = await both.complete(questions(150, 1))
            with pytest.raises(OracleError, match="refused more often than 10%: d0"):
                await both.complete(questions(50, 1, start=1000))
        assert Counter(each.problem for each in first) == {"refusal:cyber": 150}

    with Prudish() as server, Ledger(tmp_path / "l") as ledger:
        asyncio.run(life())
        assert len(server.bills) == 150


@pytest.mark.parametrize("status", ["nf", "spend_400"])
def test_a_key_that_the_api_repeats_is_not_told(tmp_path: Path, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the provider, or something in between, writes into an error."""
    key = "sk-not-a-real-key-0123456789"
    monkeypatch.setitem(REFUSED, "nf", (404, "not_found_error", "", {}))
    monkeypatch.setitem(SAYS, status, f"usage limit, or no model, for {key}")

    async def life(engine: MessagesClient) -> None:
        with pytest.raises(OracleError, match=r"for \[key\]") as caught:
            await engine.complete(questions(1))
        assert key not in str(caught.value)

    with ClaudeServer(keys={key: Place()}) as server, Ledger(tmp_path / "l") as ledger:
        server.next("messages", status)
        with_engine(server, ledger, life)


def test_an_hour_is_not_waited_for_in_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that asks to come back much later stops the run with that time."""
    monkeypatch.setitem(REFUSED, "529", (529, "overloaded_error", "", {"retry-after": "3600"}))

    async def life(engine: MessagesClient) -> None:
        with pytest.raises(OracleError, match="come back in 3600 s"):
            await engine.complete(questions(1))

    with ClaudeServer() as server, Ledger(tmp_path / "l") as ledger:
        server.next("messages", "529")
        with_engine(server, ledger, life)


@pytest.mark.parametrize("broken", [{"usage": {"output_tokens": 3}}, {"content": None}, {"id": None}])
def test_a_reply_that_is_no_message_is_asked_for_again(tmp_path: Path, broken: dict[str, Any]) -> None:
    """The SDK checks nothing of what it is sent; the run goes on."""

    class Odd(ClaudeServer):
        """Bills the first message and sends something else."""

        async def _message(self, body: Any, place: Place) -> Reply:
            reply = await super()._message(body, place)
            if len(self.bills) > 1:
                return reply
            return reply._replace(body=json.dumps({**json.loads(reply.body), **broken}).encode())

    async def life(engine: MessagesClient) -> None:
        assert all(each.text for each in await engine.complete(questions(3)))

    with Odd() as server, Ledger(tmp_path / "l") as ledger:
        with_engine(server, ledger, life)
        assert ledger.attempt_counts()["lost"] == 1


def test_the_same_words_are_asked_once(tmp_path: Path) -> None:
    """Two tasks may come to the very same question; both get the one answer."""
    one, other = questions(2)
    with ClaudeServer() as server:
        answering = connect(["key"], tmp_path / "l", model="claude-haiku-5-5", base_url=server.url)
        try:
            first, second, third = answering.complete([one, other, one])
        finally:
            answering.close()
        assert (first, second.work_id) == (third, other.work_id)
        assert len(server.bills) == 2


def test_a_ledger_is_let_go_when_nothing_can_be_opened(tmp_path: Path) -> None:
    """A key that cannot be one does not lock the file for the next try."""

    def asked(key: str) -> list[LLMRequest]:
        answering = connect([key], tmp_path / "l", model="claude-haiku-5-5", base_url=server.url)
        try:
            answering.complete(questions(1))
        finally:
            answering.close()
        return questions(1)

    with ClaudeServer() as server:
        with pytest.raises(OracleError, match="characters no key has"):
            asked("no key")
        assert asked("key")
