"""What the README shows works as it is shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub_server import HubServer

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
COMMANDS = [
    line.partition("#")[0].strip()
    for language, code in BLOCKS
    if language == "sh"
    for line in code.splitlines()
    if "python -m" in line
]


def run(arguments: list[str], folder: Path, **variables: str) -> str:
    """Runs Python as a reader would; returns what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": str(folder / "cache"), **variables}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which every command of the README was run, on 120 traces, and what loading them then printed."""
    folder = tmp_path_factory.mktemp("reader")
    with HubServer(token="hf_readme") as server:  # noqa: S106 - opens nothing but this server
        for command in COMMANDS:
            words = command.replace("--total 50000", "--total 120").split()[1:]
            run(words, folder, HF_ENDPOINT=server.url, HF_TOKEN="hf_readme")  # noqa: S106
        loading = next(code for code in PYTHON if "load_dataset" in code)
        code = f"{loading}\nprint(len(finance['train']), next(iter(everything))['trace_id'], sorted(finance))"
        output = run(["-c", code], folder, HF_ENDPOINT=server.url)
    return folder, output


def test_commands_and_loading_work_as_shown(reader: tuple[Path, str]) -> None:
    """Generating, validating, releasing and publishing run in the order shown, and loading finds what was published."""
    folder, output = reader

    assert len(COMMANDS) >= 4
    assert (folder / "out/run/manifest.json").exists()
    assert (folder / "out/release/README.md").exists()
    assert output.split(maxsplit=2)[1:] == ["customer_support_train_00000000", "['test', 'train', 'validation']\n"]


def test_judging_a_trace_prints_what_is_shown(tmp_path: Path) -> None:
    """The example of a hand-made trace prints the line in its last comment."""
    code = next(code for code in PYTHON if "TraceValidator" in code)
    expected = code.rstrip().splitlines()[-1].removeprefix("# ")

    assert run(["-c", code], tmp_path).strip() == expected


def test_files_that_readme_points_to_exist() -> None:
    """No link of the README leads nowhere."""
    links = re.findall(r"\]\(([^)]+)\)", README)

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize(
    ("figure", "times", "arguments"),
    [
        (r"\$([\d,]+) online", 1, "generate_shards --oracle claude --total 4000000 --output-dir out/x --estimate"),
        (
            r"\$([\d,]+) in batches",
            1,
            "generate_shards --oracle claude --total 4000000 --output-dir out/x --batch --judged 0.05 --estimate",
        ),
        (r"about \$([\d,]+): ten rounds", 500, "author_domain hr --phrasings 6 --scenarios 4 --rules 2 --estimate"),
    ],
)
def test_what_it_says_of_cost_is_what_the_estimate_prints(
    tmp_path: Path, figure: str, times: int, arguments: str
) -> None:
    """The dollars in the README are those of the commands beside them, within a tenth."""
    name, *rest = arguments.split()
    printed = float(run(["-m", f"scripts.{name}", *rest], tmp_path).split()[-1].replace(",", ""))
    told = re.search(figure, README)
    assert told
    assert float(told[1].replace(",", "")) == pytest.approx(times * printed, rel=0.1)


def test_the_trace_it_shows_is_the_one_that_make_sample_prints(tmp_path: Path) -> None:
    """Request and plan of the example stand in what the sample's command prints."""
    shown = next(code for language, code in BLOCKS if language == "text")
    seed = re.search(r"show_traces \$\(RELEASE\) (.*)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert seed
    run(["-m", "scripts.generate_shards", "--sample", "--output-dir", "run"], tmp_path)
    run(["-m", "scripts.push_to_hub", "--run", "run", "--local-dir", "release"], tmp_path)
    printed = run(["-m", "scripts.show_traces", "release", *seed[1].split()], tmp_path)
    lines = shown.splitlines()
    assert [line for line in lines[:2] if line.strip() not in printed] == []
    calls = re.findall(r"call_\d  \S+", shown)
    assert calls == re.findall(r"call_\d  \S+", printed)
