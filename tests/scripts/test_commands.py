"""Commands: bad input ends in one clear line and status 1, good input in what was asked for."""

from __future__ import annotations

import json
import re
import shutil
from importlib import import_module
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from gatling_sid.models import GoldTrace
from scripts import author_domain, generate_shards
from tests.support.commands import call_command, output_of, printed_by_command, run_command, script_line

pytestmark = pytest.mark.usefixtures("small_domains")
REFUSED = [
    ("generate_shards", "", "give either --sample or --total N"),
    ("generate_shards", "--sample --total 5", "give either --sample or --total N"),
    ("generate_shards", "--total 5", "give the output folder: --output-dir FOLDER"),
    ("generate_shards", "--total 0 --output-dir {tmp}/x", "total is 0; ask for at least 1 trace"),
    ("generate_shards", "--total -3 --output-dir {tmp}/x", "total is -3; ask for at least 1 trace"),
    ("generate_shards", "--total 5 --workers 0 --output-dir {tmp}/x", "--workers is 0; it must be at least 1"),
    ("generate_shards", "--total 5 --domains Finence --output-dir {tmp}/x", "did you mean 'Finance'?"),
    ("generate_shards", "--total 5 --splits train --output-dir {tmp}/x", "--splits 'train' is not of the form"),
    ("generate_shards", "--total 5 --splits train=nan --output-dir {tmp}/x", "a share that is not a number"),
    ("generate_shards", "--total 5 --splits train=1,train=2 --output-dir {tmp}/x", "names a split twice"),
    (
        "generate_shards",
        "--total 5 --created-at 2024-07-01 --output-dir {tmp}/x",
        "created_at is 2024-07-01; it must be 2025-12-22 or later, the last date of the simulated worlds",
    ),
    ("generate_shards", "--total 5 --created-at noon --output-dir {tmp}/x", "--created-at 'noon' is not an ISO time"),
    ("generate_shards", "--total 5 --domains hr --output-dir {file}", "is a file; name a folder"),
    ("generate_shards", "--total 5 --domains hr --output-dir /proc/none", "cannot be written"),
    ("push_to_hub", "--run {tmp}", "give the target of the release: --local-dir FOLDER, --repo OWNER/NAME, or both"),
    ("push_to_hub", "--run {tmp} --local-dir {tmp}/tree", "contains no finished run"),
    ("show_traces", "{tmp}/nothing", "cannot be loaded as a dataset"),
    (
        "generate_shards",
        "--oracle claude --total 9 --output-dir {tmp}/x --shard-size 25",
        "must be a multiple of 10 or 4096",
    ),
    (
        "generate_shards",
        f"--total {'9' * 331} --output-dir {{tmp}}/x",
        "total has 331 digits; a run has at most 100,000,000,000 traces",
    ),
    (
        "generate_shards",
        "--total 9 --splits train=1e299 --output-dir {tmp}/x",
        "splits are shares of train, validation, test",
    ),
    ("generate_shards", f"--total 9 --domains hr --output-dir {{tmp}}/{'x' * 300}", "cannot be"),
    ("push_to_hub", "--run {tmp} --local-dir {tmp}/tree --version banana", "'banana' is not a version"),
    (
        "validate_shards",
        "{tmp}/nothing.jsonl",
        "cannot be read: No such file or directory; to open a dataset on the Hub, add its --revision",
    ),
    ("validate_shards", "{tmp}", "contains no finished run"),
    ("validate_shards", "{file} --workers 0", "--workers is 0; it must be at least 1"),
    ("validate_shards", "{file} --every 0", "--every is 0; it must be at least 1"),
    ("validate_shards", "/dev/null", "/dev/null contains no traces"),
    ("check_domain", "Astrology", "no domain named 'Astrology'"),
]


@pytest.mark.parametrize(("name", "arguments", "message"), REFUSED, ids=[f"{n} {a}" for n, a, _ in REFUSED])
def test_bad_input_is_one_clear_line(
    name: str, arguments: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is wrong with the input is said in one line, with status 1 and no traceback."""
    main = import_module(f"scripts.{name}").main
    status = main(refused_arguments(arguments, tmp_path))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]

    assert status == 1
    assert len(lines) == 1
    assert message in lines[0]


@pytest.mark.parametrize(("name", "arguments", "message"), {name: (name, a, m) for name, a, m in REFUSED}.values())
def test_the_process_ends_with_that_line(name: str, arguments: str, message: str, tmp_path: Path) -> None:
    """What a command returns is the status of its process, and the line is all that it prints of the error."""
    done = run_command(script_line(name, *refused_arguments(arguments, tmp_path)))

    assert done.returncode == 1
    assert [message in line for line in done.stderr.splitlines() if line.startswith("error: ")] == [True]


def refused_arguments(arguments: str, folder: Path) -> list[str]:
    """The arguments of a refused command line, with a folder and a file that is no folder."""
    file = folder / "file.txt"
    file.write_text("not a folder")
    return arguments.format(tmp=folder, file=file).split()


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sample of a few traces and its release."""
    folder = tmp_path_factory.mktemp("sample")
    for name, *arguments in (
        ("generate_shards", "--total", "30", "--domains", "finance", "--output-dir", "run", "--workers", "1"),
        ("push_to_hub", "--run", "run", "--local-dir", "tree"),
    ):
        printed_by_command(name, *arguments, folder=folder)
    return folder


def test_summary_counts_by_domain(sample: Path) -> None:
    """Running again says that nothing was missing, and counts traces and pass rate by domain."""
    arguments = ("--total", 30, "--domains", "finance", "--output-dir", "run")
    summary = printed_by_command("generate_shards", *arguments, folder=sample)

    assert [line.split() for line in summary.splitlines()[:3]] == [
        ["domain", "traces", "rejected", "raw", "pass", "rate"],
        ["finance", "30", "0", "100.00%"],
        ["all", "30", "0", "100.00%"],
    ]
    assert re.search(
        r"\n30 traces are wordings of \d\d plans, each proven in full\n"
        r"30 traces in run \(0 made now in \d\.\d s, nothing was missing\)\n$",
        summary,
    )


def test_validating_what_was_written(sample: Path, gold: list[GoldTrace], small_env: dict[str, str]) -> None:
    """A run and a release are proven again from their bytes; traces from elsewhere are judged as far as possible."""
    lines = [trace.model_copy(update={"validated": False}).model_dump_json() for trace in gold[:3]]
    (sample / "traces.jsonl").write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    run, release, foreign = (
        output_of(script_line("validate_shards", source), sample, env=small_env)  # this process has proven the plans
        for source in ("run", "tree", "traces.jsonl")
    )

    assert run == release
    assert re.fullmatch(
        r"30 traces judged \(wordings of \d\d plans, each judged in full\), 30 gold, 0 judged in part, 0 rejected\n"
        r"0 requests of validation and test nearly copy one of train\n",
        run,
    )
    assert re.fullmatch(
        r"3 traces judged \(wordings of \d plans, each judged in full\), 0 gold, 3 judged in part, 0 rejected\n",
        foreign,
    )


def test_a_release_with_a_row_in_the_wrong_place_is_rejected(sample: Path, tmp_path: Path) -> None:
    """The row is named with what belongs there, and the status is 1."""
    shutil.copytree(sample / "tree", tmp_path / "tree")
    path = tmp_path / "tree/data/finance/train-00000-of-00001.parquet"
    table = pq.read_table(path)
    pq.write_table(table.take([1, 0, *range(2, table.num_rows)]), path)
    done = call_command("validate_shards", tmp_path / "tree")

    assert done.returncode == 1
    assert done.stdout.startswith("finance_train_00000001: row_is_in_place: finance_train_00000000 belongs here\n")
    assert "2 rejected {'row_is_in_place': 2}" in done.stdout


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", "traces.jsonl, line 2: is not the JSON object of a trace"),
        ('{"trace_id": "x"}', "traces.jsonl, line 2: request: Field required"),
        ("[1, 2]", "traces.jsonl, line 2: Input should be a valid dictionary"),
        ("[" * 100_000, "traces.jsonl, line 2: is not the JSON object of a trace"),
        ('{"trace_id": NaN}', "traces.jsonl, line 2: is not the JSON object of a trace: NaN is not JSON"),
    ],
    ids=["broken", "incomplete", "list", "deep", "nan"],
)
def test_a_line_that_is_no_trace_is_named(line: str, message: str, gold: list[GoldTrace], tmp_path: Path) -> None:
    """The file and the number of the line stand in the error."""
    (tmp_path / "traces.jsonl").write_text(f"{gold[0].model_dump_json()}\n{line}\n", encoding="utf-8")
    done = call_command("validate_shards", tmp_path / "traces.jsonl")

    assert done.returncode == 1
    assert f"error: {message}" in done.stderr


def test_rejected_traces_are_named_with_their_rule(gold: list[GoldTrace], tmp_path: Path) -> None:
    """A trace that breaks a rule is printed with the rule, counted, and makes the status 1."""
    data = json.loads(gold[0].model_dump_json())
    data["graph"]["execution_order"] = []
    (tmp_path / "traces.jsonl").write_text(json.dumps(data), encoding="utf-8")
    done = call_command("validate_shards", tmp_path / "traces.jsonl")

    assert done.returncode == 1
    assert done.stdout.startswith(f"{gold[0].trace_id}: order_names_every_call_once: execution_order lacks: call_1")
    assert done.stdout.endswith("1 rejected {'order_names_every_call_once': 1}\n")


def test_traces_are_shown_as_a_person_reads_them(sample: Path) -> None:
    """Who asks, in which words, under which rules; the plan, where each argument came from, what it returned."""
    shown = printed_by_command("show_traces", "tree", "--number", 3, folder=sample)

    assert shown.count(" · gold\n") == 3
    assert shown.count("Rules in force (finance-") == 3
    assert shown.count("\nPlan:\n") == 3
    assert shown.count("← “") >= 3
    assert "→ " in shown
    assert shown.count("\nServed when:\n") == 3


def test_former_names_of_options_are_accepted() -> None:
    """Scripts of users may use the former name of an option; the help shows only the new one."""
    assert generate_shards.arguments().parse_args(["--judged", "0.5"]).judge_share == 0.5
    assert author_domain.arguments().parse_args(["hr", "--dry-run"]).no_write is True
    assert generate_shards.arguments().parse_args([]).judge_share == 1
    assert author_domain.arguments().parse_args(["hr"]).no_write is False
    assert "--judged" not in generate_shards.arguments().format_help()
    assert "--dry-run" not in author_domain.arguments().format_help()
