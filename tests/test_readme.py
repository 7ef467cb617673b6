"""What the README shows works as it is shown: every command is run word for word, in a shell, in a copy of the tree."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from gatling_sid.schemas import DomainRegistry
from tests.support.commands import ROOT, printed_by_command
from tests.support.hub_server import HubServer

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
COMMANDS = [line for language, code in BLOCKS if language == "sh" for line in code.splitlines()]
NOT_CLONED = (".git", ".venv", ".*_cache", ".hypothesis", "out", "build", "dist", "*.egg-info")
"""What a clone has not; compiled modules are copied, too, or the first commands would compile them once more."""
ONE_QUICK_FILE = "-n 0 tests/test_seeding.py"
SLUGS = ["finance", "hr"]
"""The domains of the run that the README makes."""
END = "--- end of a command ---"


class Reader(NamedTuple):
    """Somebody who cloned the tree and ran the README's commands: the folder, the environment, what each printed."""

    folder: Path
    environment: dict[str, str]
    printed: dict[str, str]

    def shell(self, text: str) -> str:
        """Runs lines in a new shell, which stops at the first that fails; returns what they print."""
        done = subprocess.run(
            ["sh", "-exc", text], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, code: str) -> str:
        """Runs code with the `python` that the README sets up; returns what it prints."""
        (self.folder / "example.py").write_text(code, encoding="utf-8")
        return self.shell(". .venv/bin/activate\npython example.py")


def cloned(folder: Path) -> Path:
    """A copy of the tree whose `.venv` is the environment of these tests, as `make` leaves it."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_CLONED))
    (folder / ".venv").mkdir()
    for each in Path(sys.prefix).iterdir():
        if not each.name.startswith("installed"):
            (folder / ".venv" / each.name).symlink_to(each)
    for stamp in ("installed", "installed-dev"):
        (folder / ".venv" / stamp).touch()
    return folder


def environment_of(folder: Path) -> dict[str, str]:
    """Environment variables that hide our own environment; `make test` runs one quick file only."""
    ours = {"PATH", "PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS", "MFLAGS", "MAKELEVEL"}
    kept = {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("PYTEST_")}
    path = [each for each in os.environ["PATH"].split(os.pathsep) if Path(each) != Path(sys.prefix) / "bin"]
    return {**kept, "PATH": os.pathsep.join(path), "HF_HOME": str(folder / "cache"), "PYTEST_ADDOPTS": ONE_QUICK_FILE}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """A reader who ran every command of the README in order, in one shell, against a Hub server of the tests."""
    folder = cloned(tmp_path_factory.mktemp("reader") / "gatling_sid")
    with HubServer(token="hf_readme") as server:  # noqa: S106 - opens nothing but this server
        hub = {"HF_ENDPOINT": server.url, "HF_TOKEN": "hf_readme"}
        new = Reader(folder, {**environment_of(folder), **hub}, {})
        outputs = new.shell("\n".join(f"{command}\necho '{END}'" for command in COMMANDS)).split(f"{END}\n")
        loading = next(code for code in PYTHON if "load_dataset" in code)
        loaded = new.python(
            f"{loading}\nprint(len(finance['train']), next(iter(everything))['trace_id'], sorted(finance))"
        )
    return new._replace(printed={**dict(zip(COMMANDS, outputs, strict=False)), loading: loaded})


def printed_by(reader: Reader, *words: str) -> str:
    """The output of the one command that has all these words."""
    found = [command for command in COMMANDS if all(word in command for word in words)]
    assert len(found) == 1
    return reader.printed[found[0]]


def test_every_command_runs_as_it_is_written(reader: Reader) -> None:
    """In one shell, in the order shown: sample, tests, a run that is judged, released and published, two estimates."""
    assert [command for command in COMMANDS if command not in reader.printed] == []
    assert " gold" in printed_by(reader, "make sample")
    assert "[100%]" in printed_by(reader, "make test")
    assert "1,000 traces in out/run (1,000 made now" in printed_by(reader, "generate_shards", "--domains")
    assert "1,000 gold, 0 judged in part, 0 rejected" in printed_by(reader, "validate_shards")
    assert printed_by(reader, "--local-dir") == f"{len(SLUGS)} domains in out/release\n"
    assert "published gatling/sid v1.0.0" in printed_by(reader, "--repo")
    assert (reader.folder / "out/release/README.md").exists()
    assert not (reader.folder / "out/claude").exists()


def test_without_the_environment_the_commands_would_not_run(reader: Reader) -> None:
    """Outside the environment a command fails, so the test above notices if the line that activates it is missing."""
    command = next(command for command in COMMANDS if command.startswith("python -m"))
    done = subprocess.run(["sh", "-c", command], cwd=reader.folder, env=reader.environment, check=False, timeout=60)
    assert done.returncode != 0


def test_loading_finds_what_was_published(reader: Reader) -> None:
    """The three lines load every domain as a stream, and one of them with its three splits."""
    loading = next(code for code in PYTHON if "load_dataset" in code)
    number, rest = reader.printed[loading].split(maxsplit=1)

    assert int(number) == pytest.approx(1000 * 0.9 / len(SLUGS), abs=1)
    assert rest == f"{SLUGS[0]}_train_00000000 ['test', 'train', 'validation']\n"


def test_judging_a_trace_prints_what_is_shown(reader: Reader) -> None:
    """The example of a hand-made trace prints the line in its last comment."""
    code = next(code for code in PYTHON if "TraceValidator" in code)
    expected = code.rstrip().splitlines()[-1].removeprefix("# ")

    assert reader.python(code).strip() == expected


def test_the_trace_it_shows_is_the_one_that_make_sample_prints(reader: Reader) -> None:
    """Request and plan of the example stand in what the sample's command prints."""
    shown = next(code for language, code in BLOCKS if language == "text")
    printed = printed_by(reader, "make sample")
    request_lines, rules = shown.partition("Rules in force:")[::2]
    stated = [*request_lines.splitlines(), *rules.partition("Plan:")[0].splitlines()]
    assert [line for line in stated if line.strip(" …") not in printed] == []
    assert [each for each in re.findall(r"\w+ = (?:\"[^\"]*\"|[^\s,]+)(?=,|  |\n)", shown) if each not in printed] == []
    calls = re.findall(r"call_\d  \S+", shown)
    assert calls
    assert calls == re.findall(r"call_\d  \S+", printed)


def test_files_that_readme_points_to_exist() -> None:
    """No link of the README leads nowhere."""
    links = re.findall(r"\]\(([^)]+)\)", README)

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def dollars(printed: str) -> float:
    """The total in dollars, which is the last word of an estimate."""
    return float(printed.rsplit(maxsplit=1)[-1].replace(",", ""))


def test_what_it_says_of_cost_is_what_the_estimates_print(reader: Reader) -> None:
    """The dollars in the README are those of the commands beside them, within a tenth."""
    online = next(command.partition("#")[0] for command in COMMANDS if "--oracle claude" in command)
    batch = printed_by_command("generate_shards", *shlex.split(online.partition("generate_shards")[2]), "--batch")
    domains = len(DomainRegistry().slugs())
    for figure, printed in (
        (r"\$([\d,]+) online", dollars(printed_by(reader, "--oracle claude"))),
        (r"\$([\d,]+) in batches", dollars(batch)),
        (
            rf"about \$([\d,]+): ten rounds over {domains} domains",
            10 * domains * dollars(printed_by(reader, "author_domain")),
        ),
    ):
        stated = re.search(figure, README)
        assert stated
        assert float(stated[1].replace(",", "")) == pytest.approx(printed, rel=0.1), figure
