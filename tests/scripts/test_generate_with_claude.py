"""`generate_shards --oracle claude` through the real engine, against a server that fails in every way it can."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from builder.run import plan_run
from builder.shards import read_manifest, read_traces, verified_shards
from gatling_sid.errors import OracleError
from gatling_sid.models import GoldTrace
from gatling_sid.oracle import OracleAgent
from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.oracle import ClaudeOracle
from gatling_sid.oracle.claude.transport import messages_client
from gatling_sid.oracle.claude.transport.blocking_client import blocking_client
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import SPLITS
from gatling_sid.validators import TraceValidator
from scripts.generate_shards import DEFAULT_CREATED_AT, main
from tests.support.claude_api import ERROR_MESSAGES, Account
from tests.support.claude_model import SimulatedClaude, contexts_of
from tests.support.claude_server import ClaudeServer
from tests.support.commands import script_line

pytestmark = pytest.mark.usefixtures("small_domains")
NUMBER = 25
KEY = "sk-not-a-real-key-0123456789"
FAULTS = {"500": 0.03, "529": 0.03, "drop": 0.02, "lost": 0.03, "cut": 0.02, "garbled": 0.02, "max_tokens": 0.01}


def model() -> SimulatedClaude:
    """A competent model for the HR domain of the small catalogue."""
    oracle = ClaudeOracle(
        blocking_client(SimulatedClaude(())),
        TraceValidator(),
        seed=7,
        created_at=datetime.fromisoformat(DEFAULT_CREATED_AT),
    )
    hr = DomainRegistry().domain("hr")
    return SimulatedClaude(contexts_of(oracle, [Task(hr, split, index) for split in SPLITS for index in range(NUMBER)]))


@pytest.fixture(scope="module")
def played() -> SimulatedClaude:
    """One model for all tests."""
    return model()


@pytest.fixture
def server(played: SimulatedClaude, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClaudeServer]:
    """A server with that model behind it."""
    with ClaudeServer(answer=played.text_for_body, faults=FAULTS, keys={KEY: Account()}) as running_server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", running_server.url)
        yield running_server


def command(folder: Path, *more: str) -> int:
    """Runs the command for the HR domain."""
    fixed = ["--oracle", "claude", "--domains", "hr", "--total", str(NUMBER), "--output-dir", str(folder)]
    return main([*fixed, *more])


def traces_in(folder: Path) -> list[GoldTrace]:
    """All traces of a finished run."""
    return [trace for path in verified_shards(folder, read_manifest(folder)) for trace in read_traces(path)]


def booked(folder: Path) -> float:
    """What the run's ledger has booked."""
    with Ledger(folder.with_name(f"{folder.name}-claude-ledger.sqlite")) as ledger:
        return ledger.booked_usd


def test_shards_through_a_failing_server(
    server: ClaudeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shards hold gold alone, the ledger agrees with what was delivered, a second run pays nothing."""
    monkeypatch.setattr(messages_client, "pause_before", lambda *_: 0.05)
    assert command(tmp_path / "run") == 0
    printed = capsys.readouterr().out
    traces = traces_in(tmp_path / "run")
    validator = TraceValidator()
    assert len(traces) == NUMBER
    assert all(validator.validate_trace(trace)[1]["validated"] for trace in traces)
    assert {trace.metadata["oracle"] for trace in traces} == {"claude"}
    assert f"{len(traces):,} traces in" in printed
    assert "raw pass rate" in printed
    assert booked(tmp_path / "run") == pytest.approx(server.delivered_usd, abs=1e-9)
    assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY not in printed
    bill = server.bill_usd
    assert command(tmp_path / "run") == 0
    (tmp_path / "again-claude-ledger.sqlite").write_bytes((tmp_path / "run-claude-ledger.sqlite").read_bytes())
    assert command(tmp_path / "again") == 0
    assert traces_in(tmp_path / "again") == traces
    assert server.bill_usd == bill


def test_killed_at_any_moment(played: SimulatedClaude, tmp_path: Path, small_env: dict[str, str]) -> None:
    """Killed and run again until it ends, a run gives the traces of one that was not; only calls in flight come again."""
    found: list[list[GoldTrace]] = []
    with ClaudeServer(answer=played.text_for_body, latency=0.05) as server:
        variables = {**small_env, "ANTHROPIC_API_KEY": next(iter(server.keys)), "ANTHROPIC_BASE_URL": server.url}
        for name, kills in (("whole", 0), ("killed", 2)):
            before, folder = len(server.bills), tmp_path / name
            fixed = ["--oracle", "claude", "--domains", "hr", "--total", str(NUMBER), "--output-dir", str(folder)]
            for attempt in range(kills + 1):
                with subprocess.Popen(script_line("generate_shards", *fixed), env=variables) as run:
                    if attempt < kills:
                        start = len(server.bills)
                        while len(server.bills) < start + 25 and run.poll() is None:
                            time.sleep(0.01)
                        run.kill()
                    else:
                        assert run.wait(120) == 0
            found.append(traces_in(folder))
            with Ledger(folder.with_name(f"{name}-claude-ledger.sqlite")) as ledger:
                killed = ledger.attempt_counts().get("killed", 0)
            paid = len(server.bills) - before
            if not kills:
                whole = paid
    assert found[0] == found[1]
    assert killed > 0
    assert whole <= paid <= whole + killed


def test_an_estimate_sends_nothing(server: ClaudeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints calls, tokens and dollars."""
    assert command(tmp_path / "run", "--estimate") == 0
    printed = capsys.readouterr().out
    assert "claude-haiku-5-5, online, prices of " in printed
    assert server.bill_usd == 0
    assert not (tmp_path / "run").exists()


def test_a_budget_stops_the_run(server: ClaudeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It ends before more can have been spent, says so, and goes on with a larger budget."""
    server.faults.clear()
    assert command(tmp_path / "run", "--max-cost-usd", "0.009") == 1
    assert "budget of $0.0090 reached" in capsys.readouterr().err
    assert 0 < server.bill_usd <= 0.009
    assert command(tmp_path / "run") == 0
    assert traces_in(tmp_path / "run")


FEW = ("--total", "6", "--splits", "train=1")


def made_of(folder: Path) -> list[str]:
    """The files of a run that say that something is finished."""
    return [path.name for path in folder.rglob("*") if path.is_file() and path.name != "settings.json"]


@pytest.mark.parametrize("fault", ["revoked", "forbidden", "model", "unknown", "529", "credit"])
def test_an_api_that_refuses_everything_stops_a_small_run(
    server: ClaudeServer,
    tmp_path: Path,
    fault: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The command ends with status 1 and the API's own words, and nothing counts as finished."""
    monkeypatch.setattr(messages_client, "pause_before", lambda *_: 0.0)
    server.faults = {fault: 1.0}
    assert command(tmp_path / "run", *FEW) == 1
    out, err = capsys.readouterr()
    assert ERROR_MESSAGES[fault] in next(line for line in err.splitlines() if line.startswith("error: "))
    assert "Traceback" not in err
    assert out == ""
    assert made_of(tmp_path / "run") == []


@pytest.mark.parametrize("fault", ["revoked", "model"])
def test_an_api_that_refuses_everything_is_an_error_in_code(server: ClaudeServer, tmp_path: Path, fault: str) -> None:
    """Neither whole traces nor requests alone come back as an empty list."""
    server.faults = {fault: 1.0}
    with OracleAgent(api_key=KEY, ledger=tmp_path / "agent.sqlite", base_url=server.url) as agent:
        for asked in (agent.generate_user_requests, agent.generate_traces_for_domain):
            with pytest.raises(OracleError, match=re.escape(ERROR_MESSAGES[fault])):
                asked("HR", 2)


@pytest.mark.parametrize(("fault", "answered"), [("529", 4), ("model", 0)])
def test_once_the_api_answers_the_same_command_finishes_the_run(
    server: ClaudeServer,
    tmp_path: Path,
    fault: str,
    answered: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing counts as finished; the same command finishes the run, and pays for no answer again."""
    monkeypatch.setattr(messages_client, "pause_before", lambda *_: 0.0)
    server.faults = {fault: 1.0}
    server.next("messages", *["ok"] * answered)
    assert command(tmp_path / "run", *FEW) == 1
    assert ERROR_MESSAGES[fault] in capsys.readouterr().err
    assert made_of(tmp_path / "run") == []
    assert len(server.bills) == answered
    server.faults = {}
    assert command(tmp_path / "run", *FEW) == 0
    assert len(traces_in(tmp_path / "run")) == 6
    with Ledger(tmp_path / "run-claude-ledger.sqlite") as ledger:
        work_ids = [work_id for work_id, _ in ledger.payments().values()]
    assert len(set(work_ids)) == len(work_ids) == len(server.bills)


@pytest.mark.parametrize("fault", ["refusal", "invalid"])
def test_one_request_that_is_refused_is_not_the_api_refusing(
    server: ClaudeServer, tmp_path: Path, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Declined by the model, or by the API for its own words: other requests take its place, and the run ends."""
    server.faults = {}
    server.next("messages", fault)
    assert command(tmp_path / "run", *FEW) == 0
    assert len(traces_in(tmp_path / "run")) == 6
    assert "6 traces in" in capsys.readouterr().out


def test_a_run_knows_its_model(tmp_path: Path) -> None:
    """Settings name oracle and model, so that a run of another is not gone on with; embedded limits do not bind."""
    moment = datetime.fromisoformat(DEFAULT_CREATED_AT)
    settings = plan_run(["hr"], 10**9, {"train": 1.0}, seed=1, created_at=moment, shard_size=10**6, oracle="claude/m")
    assert settings.oracle == "claude/m"
    assert tmp_path.exists()
