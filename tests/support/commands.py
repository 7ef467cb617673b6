"""Runs our commands, and other programs, as a user does, each in a process of its own; or in this one, to save time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECRETS = ("ANTHROPIC_", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
TIMEOUT_SECONDS = 120
"""Far longer than any command of the tests takes, so that one that hangs fails its test."""
USE_SMALL_CATALOGUE = """
from pathlib import Path
from gatling_sid.schemas import registry
registry.CATALOGUE = Path(__file__).parent / "catalogue"
"""
"""A `sitecustomize.py`, which Python runs when it starts, in worker processes too."""


def script_line(name: str, *arguments: object) -> list[str]:
    """The command line of one of our scripts."""
    return module_line(f"scripts.{name}", *arguments)


def module_line(name: str, *arguments: object) -> list[str]:
    """The command line that runs a module."""
    return [sys.executable, "-m", name, *map(str, arguments)]


def code_line(text: str, *arguments: object) -> list[str]:
    """The command line that runs Python code."""
    return [sys.executable, "-c", text, *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    """The environment variables of this process without keys and tokens; our packages can be imported from any folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SECRETS)}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def small_environment(folder: Path, *names: str) -> dict[str, str]:
    """Environment variables with which commands know the domains of `small_catalogue`, and no cache, token or network."""
    site = folder / "site"
    small_catalogue(site / "catalogue", *names)
    (site / "sitecustomize.py").write_text(USE_SMALL_CATALOGUE, encoding="utf-8")
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{site}{os.pathsep}{ROOT}",
        "HF_HOME": str(folder / "home"),
        "HF_HUB_OFFLINE": "1",
    }


def small_catalogue(folder: Path, *names: str) -> Path:
    """Makes a catalogue of the Library of these tests, under each of these names; by default under that of Finance."""
    folder.mkdir(parents=True, exist_ok=True)
    library = (ROOT / "tests/catalogue/library.yaml").read_text(encoding="utf-8")
    for name in names or ("Finance",):
        text = library.replace("name: Library", f"name: {name}", 1)
        (folder / f"{name.lower()}.yaml").write_text(text, encoding="utf-8")
    return folder


def run_command(
    command: Sequence[str],
    folder: Path = ROOT,
    *,
    env: Mapping[str, str] | None = None,
    limit: Callable[[], object] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a command line to its end in `folder`; fails if it prints a traceback.

    `env` is by default `environment()`; `limit` is called in the new process before the command.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment() if env is None else env,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def output_of(command: Sequence[str], folder: Path = ROOT, *, env: Mapping[str, str] | None = None) -> str:
    """What a command line prints; fails unless it ends with status 0."""
    done = run_command(command, folder, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def call_command(name: str, *arguments: object, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs one of our scripts in this process, which takes a second less than a process of its own."""
    argv, out, err = [*map(str, arguments)], StringIO(), StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(err):
        status = import_module(f"scripts.{name}").main(argv)
    return subprocess.CompletedProcess(argv, status, out.getvalue(), err.getvalue())


def printed_by_command(name: str, *arguments: object, folder: Path = ROOT) -> str:
    """What one of our scripts prints in this process; fails unless it ends with status 0."""
    done = call_command(name, *arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_with_kills(command: Sequence[str], pauses: Iterable[float]) -> int:
    """Starts a command line, kills it after each pause in seconds, and lets it end at last; returns the number of kills.

    If it ends within a pause, the pauses that are left are not used.
    """
    kills = 0
    for pause in [*pauses, None]:
        process = subprocess.Popen(command, cwd=ROOT)
        try:
            status = process.wait(pause)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
        else:
            assert status == 0
            break
    return kills


def read_files(folder: Path) -> dict[str, bytes]:
    """The content of every file below a folder, by its path from there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
