"""Runs: the same bytes however they come about."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from builder import run as running
from builder.audit import count_repeated_texts, examples_of_repeated_texts, near_copies, request_texts
from builder.release import write_data
from builder.run import Progress, make_shard, plan_run, run, split_by_share
from builder.shards import (
    Shard,
    ShardPart,
    read_manifest,
    read_receipt,
    read_traces,
    shards_of,
    write_json,
    write_shard,
)
from gatling_sid.errors import GenerationError, ShardError, UnknownDomainError
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.validators import TraceValidator
from tests.support.commands import ROOT, output_of, read_files, run_command, script_line

pytestmark = pytest.mark.usefixtures("small_domains")
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
SPLITS = {"train": 0.8, "validation": 0.1, "test": 0.1}
ROWS = 2400
COMMAND = script_line(
    "generate_shards", "--total", ROWS, "--shard-size", 150, "--workers", 2, "--domains", "finance", "--output-dir"
)
"""A run that lasts some seconds."""


class Online(ScenarioOracle):
    """The embedded oracle, used as if it answered over the network."""

    def remember_texts(self, texts: Iterable[str]) -> None:
        """Nothing to remember: it never repeats a text."""


@pytest.fixture(scope="module")
def calm(small_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the command's run if nothing happens to it."""
    folder = tmp_path_factory.mktemp("calm") / "run"
    output_of([*COMMAND, str(folder)], env=small_env)
    return read_files(folder)


def small(folder: Path, *, seed: int = 5, workers: int = 1, total: int = 90) -> Path:
    """A finished run of a few traces over two domains."""
    settings = plan_run(["Finance", "email"], total, SPLITS, seed=seed, created_at=MOMENT, shard_size=20)
    run(folder, settings, workers=workers, report=lambda _: None)
    return folder


def test_same_settings_same_bytes_with_any_number_of_workers(tmp_path: Path) -> None:
    """One process or two write the same files; another seed writes others."""
    one = read_files(small(tmp_path / "one"))

    assert read_files(small(tmp_path / "two", workers=2)) == one
    assert read_files(small(tmp_path / "other", seed=7))["finance/train-00000-of-00002.arrow"] not in one.values()


def test_a_shard_counts_its_own_proofs(tmp_path: Path) -> None:
    """A shard made alone has the receipt that it has in a run; the manifest has the sum, fewer than the traces."""
    folder = tmp_path / "run"
    settings = plan_run(["email"], 300, {"train": 1}, seed=5, created_at=MOMENT, shard_size=150)
    run(folder, settings, workers=1, report=lambda _: None)
    receipts = {shard: read_receipt(folder, shard) for shard in shards_of(settings)}
    last = list(receipts)[-1]

    assert make_shard(tmp_path / "alone", settings, last) == receipts[last]
    counts = [receipt.full_proofs for receipt in receipts.values() if receipt is not None]
    assert read_manifest(folder)["full_proofs"] == sum(counts) < 300
    assert min(counts) > 0


def test_proofs_of_an_online_run_do_not_depend_on_what_was_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However shards are grouped, and whichever of them a first call made, receipts and manifest are the same."""
    settings = plan_run(["Finance", "email"], 80, SPLITS, seed=5, created_at=MOMENT, shard_size=20)
    oracle = Online(settings.seed, MOMENT)
    run(tmp_path / "whole", settings, workers=1, report=lambda _: None, online=oracle)
    shutil.copytree(tmp_path / "whole", tmp_path / "resumed")
    for name in ("manifest.json", "finance/train-00000-of-00002.arrow", "email/train-00001-of-00002.json"):
        (tmp_path / "resumed" / name).unlink()
    run(tmp_path / "resumed", settings, workers=1, report=lambda _: None, online=oracle)
    monkeypatch.setattr(running, "TRACES_PER_ONLINE_STEP", 20)
    run(tmp_path / "grouped", settings, workers=1, report=lambda _: None, online=oracle)

    assert read_files(tmp_path / "resumed") == read_files(tmp_path / "whole") == read_files(tmp_path / "grouped")
    run(tmp_path / "embedded", settings, workers=1, report=lambda _: None)
    assert read_files(tmp_path / "embedded") == read_files(tmp_path / "whole")


def test_a_run_of_an_earlier_version_is_read_and_not_continued(tmp_path: Path) -> None:
    """Its manifest without proofs can be released; the command that would go on says what to do, and changes nothing."""
    folder = small(tmp_path / "run")
    for path in folder.rglob("*.json"):
        stored = json.loads(path.read_bytes())
        stored.pop("full_proofs", None)
        write_json(path, stored)
    before = read_files(folder)

    with pytest.raises(ShardError, match=r"was written by an earlier version .* name another folder, or remove"):
        small(folder)

    assert read_files(folder) == before
    assert write_data(folder, tmp_path / "tree").keys() == {"email", "finance"}


def test_every_written_trace_is_gold_again_and_no_text_repeats(tmp_path: Path) -> None:
    """Read back from the bytes, each trace is proven once more; splits share no request text."""
    folder = small(tmp_path / "run")
    manifest, validator = read_manifest(folder), TraceValidator()
    paths = [folder / each["name"] for each in manifest["shards"]]
    reports = [validator.validate_trace(trace)[1] for path in paths for trace in read_traces(path)]
    texts = [text.casefold() for path in paths for batch in request_texts(path) for text in batch]

    assert len(reports) == manifest["rows"] == 90
    assert all(report["validated"] for report in reports)
    assert len(set(texts)) == len(texts)
    assert count_repeated_texts([*paths, paths[0]]) == manifest["shards"][0]["rows"]
    (example,) = examples_of_repeated_texts([*paths, paths[0]], 1)
    name = f"{paths[0].parent.name}/{paths[0].name}"
    assert example == f"{next(request_texts(paths[0]))[0]!r} in {name} and {name}"
    assert examples_of_repeated_texts(paths, 1) == []


def test_near_copies_across_splits_are_found(tmp_path: Path, gold: list[GoldTrace]) -> None:
    """A request of test that changes a word of one of train is reported; two such requests of train are not."""

    def trace_with_text(text: str) -> GoldTrace:
        return gold[0].model_copy(update={"request": gold[0].request.model_copy(update={"text": text})})

    text = "Which of the loans that Rahul has are overdue by more than a week now?"
    train = [trace_with_text(text), trace_with_text(text.replace("week", "month"))]
    test = [trace_with_text(text.replace("now", "today")), trace_with_text("Is anything overdue?")]
    for split, traces in (("train", train), ("test", test)):
        write_shard(tmp_path, Shard("library", split, 0, 1, 0, 2), [ShardPart(traces, [])])
    names = ["library/test-00000-of-00001.arrow", "library/train-00000-of-00001.arrow"]

    assert list(near_copies(tmp_path, names)) == [(names[1], []), (names[0], [test[0].request.text])]


def test_running_again_makes_only_what_is_missing(tmp_path: Path) -> None:
    """An altered, a cut and a missing shard are made again to the same bytes, the others are left alone."""
    folder = small(tmp_path / "run")
    before = read_files(folder)
    shards = sorted(folder.rglob("*.arrow"))
    shards[0].write_bytes(shards[0].read_bytes()[:-7])
    shards[1].write_bytes(b"x" + shards[1].read_bytes()[1:])
    shards[2].unlink()
    kept = shards[3].stat().st_mtime_ns

    small(folder)

    assert read_files(folder) == before
    assert shards[3].stat().st_mtime_ns == kept


def test_killed_at_any_moment_the_same_command_ends_in_the_same_bytes(
    tmp_path: Path, small_env: dict[str, str], calm: dict[str, bytes]
) -> None:
    """After kill -9 of the whole group or of the main process alone, running again completes the run."""
    moments, killed = random.Random(4), 0
    for attempt in range(4):
        process = subprocess.Popen(
            [*COMMAND, str(tmp_path / "torn")], cwd=ROOT, env=small_env, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(moments.uniform(0.2, 2.0))
        killed += process.poll() is None
        if attempt % 2:
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    output_of([*COMMAND, str(tmp_path / "torn")], env=small_env)

    assert killed >= 3
    assert read_files(tmp_path / "torn") == calm


def test_interrupted_run_says_how_to_go_on(tmp_path: Path, small_env: dict[str, str], calm: dict[str, bytes]) -> None:
    """Ctrl-C ends with status 130 and a sentence, without a traceback, and the run can be finished."""
    process = subprocess.Popen(
        [*COMMAND, str(tmp_path / "run")],
        cwd=ROOT,
        env=small_env,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not list((tmp_path / "run").glob("*/*.arrow")):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, printed = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "stopped; complete files are kept; run the same command again to continue" in printed
    assert "Traceback" not in printed
    output_of([*COMMAND, str(tmp_path / "run")], env=small_env)
    assert read_manifest(tmp_path / "run")["rows"] == ROWS
    assert read_files(tmp_path / "run") == calm


def test_full_disk_is_a_clear_error_and_loses_nothing(tmp_path: Path, small_env: dict[str, str]) -> None:
    """Where no more can be written the command says so, keeps complete shards, and completes once there is room."""
    command = script_line(
        "generate_shards", "--total", 300, "--shard-size", 150, "--workers", 1, "--domains", "finance",
        "--splits", "train=1", "--output-dir", tmp_path / "run",
    )  # fmt: skip
    done = run_command(
        command, env=small_env, limit=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (60_000, 60_000))
    )

    assert done.returncode == 1
    assert "cannot be written: File too large; complete files are kept" in done.stderr
    assert list((tmp_path / "run").rglob("*.part")) == []
    output_of(command, env=small_env)
    assert read_manifest(tmp_path / "run")["rows"] == 300


def test_progress_knows_rate_and_time_left() -> None:
    """Rate counts only what this sitting made; time left follows from it."""
    progress = Progress(done=300, total=900, rejected=100, new_rows=200, seconds=4.0)

    assert (progress.rate, progress.eta, progress.pass_rate) == (50.0, 12.0, 0.75)
    assert Progress(0, 900, 0, 0, 0.0).eta is None


def test_totals_are_shared_out_exactly() -> None:
    """Every trace asked for is planned, by domain and by split; each domain gets the same number, give or take one."""
    settings = plan_run(["hr", "Finance", "email"], 1001, SPLITS, seed=1, created_at=MOMENT, shard_size=50)
    totals = {slug: sum(parts.values()) for slug, parts in settings.totals.items()}

    assert sum(totals.values()) == 1001
    assert list(totals) == ["email", "finance", "hr"]
    assert max(totals.values()) - min(totals.values()) <= 1
    assert split_by_share(10, {"a": 1, "b": 1, "c": 1}) == {"a": 4, "b": 3, "c": 3}


SHARES = "splits are shares of train, validation, test, such as train=0.9,validation=0.05,test=0.05"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"total": 0}, "total is 0; ask for at least 1 trace"),
        ({"total": -5}, "total is -5; ask for at least 1 trace"),
        ({"shard_size": 0}, "shard size is 0; it must be at least 1"),
        ({"splits": {"dev": 1.0}}, SHARES),
        ({"splits": {"train": -1.0, "test": 2.0}}, SHARES),
    ],
)  # fmt: skip
def test_plans_that_make_no_sense_are_refused(changed: dict[str, object], message: str) -> None:
    """The error names the number and what it should be."""
    asked = {"domains": [], "total": 10, "splits": SPLITS, "seed": 1, "created_at": MOMENT, "shard_size": 5, **changed}
    with pytest.raises(GenerationError) as caught:
        plan_run(**asked)  # type: ignore[arg-type]

    assert str(caught.value) == message


def test_unknown_domain_suggests_the_nearest() -> None:
    """A misspelt domain is answered with the one that was meant."""
    with pytest.raises(UnknownDomainError) as caught:
        plan_run(["Finence"], 10, SPLITS, seed=1, created_at=MOMENT, shard_size=5)

    assert str(caught.value) == "no domain named 'Finence'; did you mean 'Finance'?"


def test_more_than_can_be_worded_is_refused() -> None:
    """A domain that would have to repeat its words says how many it has."""
    with pytest.raises(
        GenerationError, match=r"finance has [\d,]+ different requests for test, but 9,000,000,000 are needed"
    ):
        plan_run(["finance"], 9_000_000_000, {"test": 1}, seed=1, created_at=MOMENT, shard_size=5)


def test_a_folder_serves_one_run(tmp_path: Path) -> None:
    """A folder with another run, with other things, or that is a file is refused, saying which."""
    folder = small(tmp_path / "run", total=12)
    with pytest.raises(ShardError) as other:
        small(folder, seed=6, total=12)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").write_text("precious")
    with pytest.raises(ShardError) as foreign:
        small(tmp_path / "foreign")
    with pytest.raises(ShardError) as file:
        small(tmp_path / "foreign" / "thesis.txt")

    assert str(other.value) == (
        f"{folder} contains a run with other settings (seed is 5 there, 6 here); name another folder, or remove it"
    )
    assert str(foreign.value) == f"{tmp_path / 'foreign'} is not empty and contains no run; name another folder"
    assert str(file.value) == f"{tmp_path / 'foreign' / 'thesis.txt'} is a file; name a folder"
