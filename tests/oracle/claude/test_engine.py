"""The online engine against a server that does everything that can go wrong."""

from __future__ import annotations

import asyncio
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Self

import pytest

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.budget import BudgetReachedError
from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, LLMResponse
from gatling_sid.oracle.claude.transport.engine import MessagesClient
from tests.support.claude_asks import questions, work_id_of
from tests.support.claude_server import ClaudeServer, Place

MISHAPS = {
    "500": 0.02, "529": 0.02, "drop": 0.01, "lost": 0.02, "cut": 0.01, "garbled": 0.01, "refusal": 0.01, "max_tokens": 0.01,
}  # fmt: skip


def answered(server: ClaudeServer, ledger: Ledger, asks: list[LLMRequest], **options: Any) -> list[LLMResponse]:
    """One engine's life."""

    async def life() -> list[LLMResponse]:
        keys = list(server.keys)
        settings = {"base_url": server.url, "backoff_seconds": 0.02, **options}
        async with MessagesClient(keys, ledger, **settings) as engine:
            return await engine.complete(asks)

    return asyncio.run(life())


def hold_beside_the_bill(server: ClaudeServer, ledger: Ledger) -> None:
    """Every message booked is on the bill at its price; every other one on the bill was lost or in flight at a kill."""
    paid = ledger.payments()
    billed = {each.message_id: each for each in server.bills}
    assert paid.keys() <= billed.keys()
    assert ledger.booked_usd == pytest.approx(sum(billed[each].cost for each in paid) / 1e12, abs=1e-9)
    unbooked = Counter(work_id_of(each.words) for each in server.bills if each.message_id not in paid)
    for work_id, count in unbooked.items():
        outcomes = Counter(ledger.attempt_statuses(work_id))
        assert count <= outcomes["lost"] + outcomes["killed"], work_id
    assert server.bill_usd <= ledger.booked_usd + ledger.at_risk_usd + 1e-9
    assert server.bill_usd == pytest.approx(ledger.booked_usd + ledger.estimate_unbooked_usd(), abs=0.01)


def test_whatever_goes_wrong_every_ask_is_answered_and_the_books_balance(tmp_path: Path) -> None:
    """2,000 asks, one in nine calls going wrong: answers in order, the ledger equal to the bill."""
    asks = questions(2000)
    with ClaudeServer(faults=MISHAPS, latency=0.02) as server, Ledger(tmp_path / "ledger") as ledger:
        answers = answered(server, ledger, asks)
        assert [each.work_id for each in answers] == [ask.work_id for ask in asks]
        assert all(each.text or each.problem in {"refusal:general_harms", "max_tokens"} for each in answers)
        assert ledger.booked_usd == pytest.approx(server.delivered_usd, abs=1e-9)
        assert sum(each.cost_usd for each in answers) == pytest.approx(ledger.booked_usd)
        hold_beside_the_bill(server, ledger)
        lost = [each for each in server.bills if not each.delivered]
        assert lost
        assert all("lost" in ledger.attempt_statuses(work_id_of(each.words)) for each in lost)


def test_an_answer_in_the_ledger_is_not_asked_for_again(tmp_path: Path) -> None:
    """The second run of the same asks sends nothing and says the same."""
    with ClaudeServer(faults={"refusal": 0.2}) as server:
        with Ledger(tmp_path / "ledger") as ledger:
            first = answered(server, ledger, questions(30), max_refusal_rate=1)
        sent = server.calls["messages"]
        with Ledger(tmp_path / "ledger") as ledger:
            assert answered(server, ledger, questions(30), max_refusal_rate=1) == first
        assert server.calls["messages"] == sent == 30


def test_after_kills_only_calls_without_an_answer_are_made_again(tmp_path: Path) -> None:
    """Killed again and again: what is repeated was in flight, what is booked is billed."""
    chance = random.Random(3)
    with ClaudeServer(latency=0.05, faults={"lost": 0.02, "500": 0.02}) as server:
        command = [
            sys.executable,
            "-m",
            "tests.support.claude_asks",
            "online",
            server.url,
            str(tmp_path / "ledger"),
            "300",
        ]
        kills = 0
        while True:
            process = subprocess.Popen(command)
            try:
                process.wait(chance.uniform(1.0, 1.6) if kills < 4 else None)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
                continue
            break
        assert process.returncode == 0
        assert kills
        with Ledger(tmp_path / "ledger") as ledger:
            outcomes = ledger.attempt_counts()
            assert outcomes["answered"] == 300
            hold_beside_the_bill(server, ledger)
            for ask in questions(300):
                attempts = ledger.attempt_statuses(ask.work_id)
                assert attempts.count("answered") == 1
                assert attempts[-1] == "answered"
                assert server.calls_of[ask.user] <= len(attempts)


def test_one_call_warms_each_prefix_before_the_others_go(tmp_path: Path) -> None:
    """With a slow first answer, each domain writes the cache once and every other call reads it."""
    with ClaudeServer(latency=0.1) as server, Ledger(tmp_path / "ledger") as ledger:
        answers = answered(server, ledger, questions(80))
        assert sum(each.usage.cache_creation_tokens > 0 for each in answers) == 4
        assert sum(each.usage.cache_read_tokens > 0 for each in answers) == 76


class Stalls:
    """For how many seconds the machine ran nothing of ours, at the longest; what a ticking thread may be late is none."""

    longest = 0.0

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _tick(self) -> None:
        last = time.monotonic()
        while not self._over.wait(0.01):
            now = time.monotonic()
            self.longest = max(self.longest, now - last - 0.05)
            last = now


def test_keys_of_one_organisation_share_its_limit_and_its_calls(tmp_path: Path) -> None:
    """Under a limit hardly a call is sent away with 429, none retries early, and organisations share the load."""
    keys = {"a": Place("org-1", "w1"), "b": Place("org-1", "w1"), "c": Place("org-2", "w2")}
    limits = {"requests": 3000.0, "input": 4_000_000.0, "output": 400_000.0}
    with (
        ClaudeServer(latency=0.05, keys=keys, limits=limits, burst_seconds=1) as server,
        Ledger(tmp_path / "l") as ledger,
    ):
        with Stalls() as stalls:
            answers = answered(server, ledger, questions(400))
        # Of a machine that stands still, the 50 calls of each second come at once.
        assert server.statuses[429] <= 2 + 50 * stalls.longest
        assert server.early_retries == 0
        assert 150 < server.calls_by_key["c"] < 250
        assert server.calls_by_key["a"] == pytest.approx(server.calls_by_key["b"], rel=0.3)
        # Four prefixes in two workspaces; before their first answers, "a" and "b" do not know that they share one.
        assert 8 <= sum(each.usage.cache_creation_tokens > 0 for each in answers) <= 12


def test_retry_after_is_obeyed(tmp_path: Path) -> None:
    """A 429 with a time: the call comes back after that time, not before."""
    with ClaudeServer() as server, Ledger(tmp_path / "ledger") as ledger:
        server.next("messages", "429")
        start = time.monotonic()
        assert answered(server, ledger, questions(3))[0].text
        assert time.monotonic() - start >= 1
        assert ledger.attempt_counts() == {"answered": 3, "status:429": 1}


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("spend_429", r"without a time to come back \(status 429: spend_429\)"),
        ("tier", r"monthly limit of its tier \(tier\)"),
        (
            "spend_400",
            r"spend limit set in the Console is reached, or the credit is used up \(You have reached your specified",
        ),
        ("revoked", r"API key 1 of 1 is not accepted \(status 401: invalid bearer token\)"),
        ("unpaid", r"billing problem \(status 402: There is an issue with your payment information\.\)"),
        ("on_hold", r"put the organisation on hold \(on_hold\)"),
    ],
)
def test_what_no_retry_can_mend_stops_the_run(tmp_path: Path, fault: str, says: str) -> None:
    """One such reply ends the run with its reason; calls in flight are booked, no other is sent, no key is told."""
    with ClaudeServer(latency=0.05) as server, Ledger(tmp_path / "ledger") as ledger:
        server.next("messages", *["ok"] * 30, fault)
        with pytest.raises(OracleError, match=says) as caught:
            answered(server, ledger, questions(500), in_flight=10)
        assert "Bearer" not in str(caught.value)
        assert server.calls["messages"] < 60
        assert ledger.booked_usd == pytest.approx(server.bill_usd, abs=1e-12)


def test_a_ramp_limit_slows_down_and_goes_on(tmp_path: Path) -> None:
    """The provider asks to grow more slowly: the run waits and finishes."""
    with ClaudeServer() as server, Ledger(tmp_path / "ledger") as ledger:
        server.next("messages", "ok", "ramp")
        assert all(each.text for each in answered(server, ledger, questions(10)))


def test_the_budget_is_never_passed(tmp_path: Path) -> None:
    """The run ends before the bill can pass the limit, and goes on from there with a larger one."""
    with ClaudeServer(latency=0.01) as server:
        with (
            Ledger(tmp_path / "ledger") as ledger,
            pytest.raises(BudgetReachedError, match=re.escape("budget of $0.0040")),
        ):
            answered(server, ledger, questions(600), max_cost_usd=0.004)
        assert 0.003 < server.bill_usd <= 0.004
        with Ledger(tmp_path / "ledger") as ledger:
            answered(server, ledger, questions(600), max_cost_usd=1.0)
        assert server.calls["messages"] == 600


def test_a_domain_refused_too_often_is_asked_no_further(tmp_path: Path) -> None:
    """The other domains go on; refusals are counted by category."""

    class Prudish(ClaudeServer):
        def _spoken(self, body: Any, fault: str, usage: Any) -> Any:
            prudish = body["system"][0]["text"].startswith("domain 1")
            return super()._spoken(body, "refusal:frontier_llm" if prudish else fault, usage)

    with Prudish() as server, Ledger(tmp_path / "ledger") as ledger:
        answers = answered(server, ledger, questions(400, domains=2), in_flight=8)
        problems = Counter(each.problem for each in answers)
        assert problems[None] == 200
        assert 20 <= problems["refusal:frontier_llm"] < 40
        assert problems["error:domain_stopped"] > 160
        with pytest.raises(OracleError, match=r"refused more often than 10%: d1 .* frontier_llm"):
            answered(server, ledger, [ask for ask in questions(500, domains=2) if ask.domain == "d1"])


def test_a_request_that_is_wrong_itself_stops_after_a_few(tmp_path: Path) -> None:
    """One bad ask fails alone; bad asks only are a bug of ours, and the server's words say which."""
    with ClaudeServer(faults={"invalid": 1}) as server, Ledger(tmp_path / "ledger") as ledger:
        with pytest.raises(OracleError, match=r"5 asks in a row failed.*max_tokens: too large"):
            answered(server, ledger, questions(50), in_flight=1)
        server.faults = {}
        server.next("messages", "ok", "invalid")
        answers = answered(server, ledger, questions(10), in_flight=1)
        assert [each.problem for each in answers].count("error:invalid_request_error") == 1


def test_keys_are_nowhere_in_what_a_run_leaves(tmp_path: Path) -> None:
    """Not in the ledger's files, not in an error."""
    secret = "sk-ant-" + "0123456789" * 3
    with ClaudeServer(keys={secret: Place()}, faults={"500": 0.2}) as server, Ledger(tmp_path / "ledger") as ledger:
        answered(server, ledger, questions(20))
        assert secret not in repr(server.url)
        assert all(secret.encode() not in file.read_bytes() for file in tmp_path.iterdir())
        with pytest.raises(OracleError) as caught:
            answered(server, ledger, questions(5, start=50), model="claude-haiku-9")
        assert secret not in str(caught.value)
    with (
        Ledger(tmp_path / "other") as ledger,
        pytest.raises(OracleError, match="API key 1 of 1 is empty or has") as caught,
    ):
        MessagesClient([secret + "\x00"], ledger)
    assert secret not in str(caught.value)


def test_a_work_id_in_flight_is_not_asked_a_second_time(tmp_path: Path) -> None:
    """Two callers with the same id would pay twice; the second is told."""

    async def twice(server: ClaudeServer, ledger: Ledger) -> None:
        async with MessagesClient(["key"], ledger, base_url=server.url) as engine:
            first = asyncio.create_task(engine.complete(questions(5)))
            await asyncio.sleep(0.1)
            with pytest.raises(OracleError, match="'w-4' is being asked already"):
                await engine.complete(questions(2, start=4))
            assert len(await first) == 5

    with ClaudeServer(latency=0.3) as server, Ledger(tmp_path / "ledger") as ledger:
        asyncio.run(twice(server, ledger))
        assert server.calls["messages"] == 5


def test_no_key_is_an_error_that_names_the_ways_out(tmp_path: Path) -> None:
    """Without a key nothing can be asked."""
    with Ledger(tmp_path / "ledger") as ledger, pytest.raises(OracleError, match=r"ANTHROPIC_API_KEY.*ScenarioOracle"):
        MessagesClient([], ledger)
