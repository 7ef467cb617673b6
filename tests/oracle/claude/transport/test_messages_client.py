"""The client for single API calls with a server that has every kind of fault."""

from __future__ import annotations

import asyncio
import random
import re
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
from gatling_sid.oracle.claude.transport.messages_client import MessagesClient
from tests.support.claude_api import Account
from tests.support.claude_requests import make_requests, work_id_of_text
from tests.support.claude_server import ClaudeServer
from tests.support.commands import module_line, run_with_kills

FAULTS = {
    "500": 0.02, "529": 0.02, "drop": 0.01, "lost": 0.02, "cut": 0.01, "garbled": 0.01, "refusal": 0.01, "max_tokens": 0.01,
}  # fmt: skip


def complete_all(server: ClaudeServer, ledger: Ledger, requests: list[LLMRequest], **options: Any) -> list[LLMResponse]:
    """Completes the requests with a messages client and closes it."""

    async def session() -> list[LLMResponse]:
        keys = list(server.keys)
        settings = {"base_url": server.url, "backoff_seconds": 0.02, **options}
        async with MessagesClient(keys, ledger, **settings) as client:
            return await client.complete(requests)

    return asyncio.run(session())


def compare_with_bill(server: ClaudeServer, ledger: Ledger) -> None:
    """Every booked message is on the bill at its price; every other one on the bill was lost, or in flight at a kill."""
    paid = ledger.payments()
    billed = {each.message_id: each for each in server.bills}
    assert paid.keys() <= billed.keys()
    assert ledger.booked_usd == pytest.approx(sum(billed[each].cost for each in paid) / 1e12, abs=1e-9)
    unbooked = Counter(work_id_of_text(each.user_text) for each in server.bills if each.message_id not in paid)
    for work_id, count in unbooked.items():
        statuses = Counter(ledger.attempt_statuses(work_id))
        assert count <= statuses["lost"] + statuses["killed"], work_id
    assert server.bill_usd <= ledger.booked_usd + ledger.at_risk_usd + 1e-9
    assert server.bill_usd == pytest.approx(ledger.booked_usd + ledger.estimate_unbooked_usd(), abs=0.01)


def test_whatever_goes_wrong_every_request_is_completed_and_the_ledger_equals_the_bill(tmp_path: Path) -> None:
    """600 requests, of whose calls one in nine fails: responses are in order, and the ledger equals the bill."""
    requests = make_requests(600)
    with ClaudeServer(faults=FAULTS, latency=0.02) as server, Ledger(tmp_path / "ledger") as ledger:
        responses = complete_all(server, ledger, requests)
        assert [each.work_id for each in responses] == [request.work_id for request in requests]
        assert all(each.text or str(each.problem) in {"refusal:general_harms", "max_tokens"} for each in responses)
        assert ledger.booked_usd == pytest.approx(server.delivered_usd, abs=1e-9)
        assert sum(each.cost_usd for each in responses) == pytest.approx(ledger.booked_usd)
        compare_with_bill(server, ledger)
        lost = [each for each in server.bills if not each.delivered]
        assert lost
        assert all("lost" in ledger.attempt_statuses(work_id_of_text(each.user_text)) for each in lost)


def test_a_response_in_the_ledger_is_not_paid_for_again(tmp_path: Path) -> None:
    """The second run of the same requests sends nothing and returns the same responses."""
    with ClaudeServer(faults={"refusal": 0.2}) as server:
        with Ledger(tmp_path / "ledger") as ledger:
            first = complete_all(server, ledger, make_requests(30), max_refusal_rate=1)
        sent = server.calls["messages"]
        with Ledger(tmp_path / "ledger") as ledger:
            assert complete_all(server, ledger, make_requests(30), max_refusal_rate=1) == first
        assert server.calls["messages"] == sent == 30


def test_after_kills_only_calls_without_a_response_are_sent_again(tmp_path: Path) -> None:
    """The process is killed several times; only calls that were in flight are repeated, and all that is booked is billed."""
    rng = random.Random(3)
    with ClaudeServer(latency=0.05, faults={"lost": 0.02, "500": 0.02}) as server:
        ledger_path = tmp_path / "ledger"
        command = module_line("tests.support.claude_requests", "online", server.url, ledger_path, 200)
        kills = run_with_kills(command, [rng.uniform(1.0, 1.6) for _ in range(2)])
        assert kills
        with Ledger(tmp_path / "ledger") as ledger:
            statuses = ledger.attempt_counts()
            assert statuses["answered"] == 200
            compare_with_bill(server, ledger)
            for request in make_requests(200):
                attempts = ledger.attempt_statuses(request.work_id)
                assert attempts.count("answered") == 1
                assert attempts[-1] == "answered"
                assert server.calls_of[request.user] <= len(attempts)


def test_one_call_warms_each_prefix_before_the_others_go(tmp_path: Path) -> None:
    """While the first response is slow, each domain writes the cache once and every other call reads it."""
    with ClaudeServer(latency=0.1) as server, Ledger(tmp_path / "ledger") as ledger:
        responses = complete_all(server, ledger, make_requests(80))
        assert sum(each.usage.cache_creation_tokens > 0 for each in responses) == 4
        assert sum(each.usage.cache_read_tokens > 0 for each in responses) == 76


class Stalls:
    """Measures the longest time, in seconds, in which the machine did not run a thread that wakes every 10 ms."""

    longest = 0.0  # less the 50 ms that a thread may be late on any machine

    def __enter__(self) -> Self:
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _tick(self) -> None:
        last = time.monotonic()
        while not self._end.wait(0.01):
            now = time.monotonic()
            self.longest = max(self.longest, now - last - 0.05)
            last = now


def test_keys_of_one_organisation_share_its_limit_and_its_calls(tmp_path: Path) -> None:
    """Under a limit almost no API call gets a 429, none is retried too early, and organisations share the load."""
    keys = {"a": Account("org-1", "w1"), "b": Account("org-1", "w1"), "c": Account("org-2", "w2")}
    limits = {"requests": 3000.0, "input": 4_000_000.0, "output": 400_000.0}
    with (
        ClaudeServer(latency=0.05, keys=keys, limits=limits, burst_seconds=1) as server,
        Ledger(tmp_path / "l") as ledger,
    ):
        with Stalls() as stalls:
            responses = complete_all(server, ledger, make_requests(400))
        # If the machine stands still, the 50 calls of each second come at once.
        assert server.statuses[429] <= 2 + 50 * stalls.longest
        assert server.early_retries == 0
        assert 150 < server.calls_by_key["c"] < 250
        assert server.calls_by_key["a"] == pytest.approx(server.calls_by_key["b"], rel=0.3)
        # Four prefixes in two workspaces; before their first responses, "a" and "b" do not know that they share one.
        assert 8 <= sum(each.usage.cache_creation_tokens > 0 for each in responses) <= 12


def test_retry_after_is_obeyed(tmp_path: Path) -> None:
    """After a 429 that names a time, the call is sent again after that time and not before."""
    with ClaudeServer() as server, Ledger(tmp_path / "ledger") as ledger:
        server.next("messages", "429")
        start = time.monotonic()
        assert complete_all(server, ledger, make_requests(3))[0].text
        assert time.monotonic() - start >= 1
        assert ledger.attempt_counts() == {"answered": 3, "status:429": 1}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("spend_429", r"without a retry time \(status 429: spend_429\)"),
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
def test_an_error_that_no_retry_can_repair_stops_the_run(tmp_path: Path, fault: str, message: str) -> None:
    """One such HTTP response ends the run with its reason; calls in flight are booked, no other is sent, no key is shown."""
    with ClaudeServer(latency=0.05) as server, Ledger(tmp_path / "ledger") as ledger:
        server.next("messages", *["ok"] * 30, fault)
        with pytest.raises(OracleError, match=message) as caught:
            complete_all(server, ledger, make_requests(500), in_flight=10)
        assert "Bearer" not in str(caught.value)
        assert server.calls["messages"] < 60
        assert ledger.booked_usd == pytest.approx(server.bill_usd, abs=1e-12)


def test_a_ramp_limit_slows_down_and_goes_on(tmp_path: Path) -> None:
    """The provider asks for a slower increase of calls; the run waits and finishes."""
    with ClaudeServer() as server, Ledger(tmp_path / "ledger") as ledger:
        server.next("messages", "ok", "ramp")
        assert all(each.text for each in complete_all(server, ledger, make_requests(10)))


def test_the_budget_is_never_passed(tmp_path: Path) -> None:
    """The run ends before the bill can exceed the limit, and continues with a larger one."""
    with ClaudeServer(latency=0.01) as server:
        with (
            Ledger(tmp_path / "ledger") as ledger,
            pytest.raises(BudgetReachedError, match=re.escape("budget of $0.0040")),
        ):
            complete_all(server, ledger, make_requests(300), max_cost_usd=0.004)
        assert 0.003 < server.bill_usd <= 0.004
        with Ledger(tmp_path / "ledger") as ledger:
            complete_all(server, ledger, make_requests(300), max_cost_usd=1.0)
        assert server.calls["messages"] == 300


def test_a_domain_that_is_refused_too_often_gets_no_further_requests(tmp_path: Path) -> None:
    """The other domains continue; refusals are counted by category."""

    class Refusing(ClaudeServer):
        def _write_message(self, body: Any, fault: str, usage: Any) -> Any:
            refused = body["system"][0]["text"].startswith("domain 1")
            return super()._write_message(body, "refusal:frontier_llm" if refused else fault, usage)

    with Refusing() as server, Ledger(tmp_path / "ledger") as ledger:
        responses = complete_all(server, ledger, make_requests(400, domains=2), in_flight=8)
        problems = Counter(str(each.problem) for each in responses)
        assert problems["None"] == 200
        assert 20 <= problems["refusal:frontier_llm"] < 40
        assert problems["error:domain_stopped"] > 160
        with pytest.raises(OracleError, match=r"refused more often than 10%: d1 .* frontier_llm"):
            complete_all(
                server, ledger, [request for request in make_requests(500, domains=2) if request.domain == "d1"]
            )


def test_a_request_that_is_wrong_itself_stops_after_a_few(tmp_path: Path) -> None:
    """One invalid request fails alone; several in a row stop the run, and the error contains the server's message."""
    with ClaudeServer(faults={"invalid": 1}) as server, Ledger(tmp_path / "ledger") as ledger:
        with pytest.raises(OracleError, match=r"5 requests in a row failed.*max_tokens: too large"):
            complete_all(server, ledger, make_requests(50), in_flight=1)
        server.faults = {}
        server.next("messages", "ok", "invalid")
        responses = complete_all(server, ledger, make_requests(10), in_flight=1)
        assert [str(each.problem) for each in responses].count("error:invalid_request_error") == 1


def test_keys_are_nowhere_in_what_a_run_leaves(tmp_path: Path) -> None:
    """An API key is neither in the files of the ledger nor in an error."""
    secret = "sk-ant-" + "0123456789" * 3
    with ClaudeServer(keys={secret: Account()}, faults={"500": 0.2}) as server, Ledger(tmp_path / "ledger") as ledger:
        complete_all(server, ledger, make_requests(20))
        assert secret not in repr(server.url)
        assert all(secret.encode() not in file.read_bytes() for file in tmp_path.iterdir())
        with pytest.raises(OracleError) as caught:
            complete_all(server, ledger, make_requests(5, start=50), model="claude-haiku-9")
        assert secret not in str(caught.value)
    with (
        Ledger(tmp_path / "other") as ledger,
        pytest.raises(OracleError, match="API key 1 of 1 is empty or has") as caught,
    ):
        MessagesClient([secret + "\x00"], ledger)
    assert secret not in str(caught.value)


def test_a_work_id_in_progress_is_not_sent_a_second_time(tmp_path: Path) -> None:
    """Two callers with the same id would pay twice; the second gets an error."""

    async def complete_twice(server: ClaudeServer, ledger: Ledger) -> None:
        async with MessagesClient(["key"], ledger, base_url=server.url) as client:
            first = asyncio.create_task(client.complete(make_requests(5)))
            await asyncio.sleep(0.1)
            with pytest.raises(OracleError, match="'w-4' is in progress already"):
                await client.complete(make_requests(2, start=4))
            assert len(await first) == 5

    with ClaudeServer(latency=0.3) as server, Ledger(tmp_path / "ledger") as ledger:
        asyncio.run(complete_twice(server, ledger))
        assert server.calls["messages"] == 5


def test_no_key_is_an_error_that_names_the_ways_out(tmp_path: Path) -> None:
    """Without a key nothing can be sent; the error names the variable and the oracle that needs none."""
    with Ledger(tmp_path / "ledger") as ledger, pytest.raises(OracleError, match=r"ANTHROPIC_API_KEY.*ScenarioOracle"):
        MessagesClient([], ledger)
