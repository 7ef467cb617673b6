"""An estimate equals the cost of the run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.estimate.estimate import (
    PhaseWorkload,
    estimate_cost,
    workloads_of,
)
from gatling_sid.oracle.claude.estimate.token_count import count_bytes_per_token
from gatling_sid.oracle.claude.transport.messages_client import MessagesClient
from tests.support.claude_requests import make_requests
from tests.support.claude_server import ClaudeServer


def test_an_estimate_prices_reads_writes_and_output() -> None:
    """1,000 API calls with 10 prefixes have 10 cache writes and 990 reads, at the prices of the table."""
    (line,) = estimate_cost([PhaseWorkload("graph", 1000, 10, 4000, 120, 500)]).lines
    assert line.usage.cache_creation_tokens == 40_000
    assert line.usage.cache_read_tokens == 3_960_000
    assert line.cost_usd == pytest.approx((120_000 * 0.1 + 500_000 * 0.5 + 40_000 * 0.125 + 3_960_000 * 0.01) / 1e6)


def test_a_short_prefix_is_not_cached() -> None:
    """Below the model's minimum the API charges the full price without notice, and so does the estimate."""
    (line,) = estimate_cost([PhaseWorkload("graph", 10, 1, 500, 0, 0)]).lines
    assert line.usage.input_tokens == 5000
    assert line.usage.cache_read_tokens == 0


def test_batches_cost_half_but_hit_the_cache_less() -> None:
    """The estimate for batches counts on fewer cache reads than without batches."""
    plan = [PhaseWorkload("graph", 1000, 1, 0, 100, 500)]
    assert estimate_cost(plan, batch=True).cost_usd == pytest.approx(estimate_cost(plan).cost_usd / 2)
    cached = estimate_cost([PhaseWorkload("graph", 1000, 1, 4000, 0, 0)], batch=True).lines[0].usage
    assert 0.6 < cached.cache_read_tokens / cached.prompt_tokens < 0.8


def test_tokens_are_counted_by_the_api_when_it_can_be_asked() -> None:
    """The server counts four characters per token; an unknown key gives a clear error."""
    with ClaudeServer() as server:
        ratio = asyncio.run(count_bytes_per_token(make_requests(20), "key", base_url=server.url))
        assert ratio == pytest.approx(4, rel=0.05)
        with pytest.raises(OracleError, match="not accepted"):
            asyncio.run(count_bytes_per_token(make_requests(20), "wrong", base_url=server.url))


def test_the_table_names_model_way_and_date() -> None:
    """The table names its date, so that nobody mistakes old prices for current ones."""
    text = str(estimate_cost([PhaseWorkload("graph", 1000, 10, 4000, 120, 500)]))
    assert text.splitlines()[0] == "claude-haiku-5-5, online, prices of 2026-10-24"
    assert "1,000" in text


def test_an_estimate_after_a_pilot_is_close_to_the_bill(tmp_path: Path) -> None:
    """Output lengths are the means in the ledger; the other numbers are computed from the prompts."""

    async def run(ledger: Ledger, count: int) -> None:
        async with MessagesClient(["key"], ledger, base_url=server.url) as engine:
            await engine.complete(make_requests(count))

    with ClaudeServer(latency=0.01) as server, Ledger(tmp_path / "ledger") as ledger:
        asyncio.run(run(ledger, 40))
        expected = estimate_cost(workloads_of(make_requests(400), ledger)).cost_usd
        asyncio.run(run(ledger, 400))
        assert expected == pytest.approx(server.bill_usd, rel=0.5)
