"""The documents speak of what there is: files, folders, modules and commands that they name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/AUTHORING.md", "docs/GLOSSARY.md")
PLACES = (
    ROOT,
    ROOT / "gatling_sid",
    ROOT / "gatling_sid/validators",
    ROOT / "gatling_sid/schemas",
    ROOT / "gatling_sid/oracle/claude",
)
"""Where the paths that a document names may start."""


def paths_named(text: str) -> set[str]:
    """Paths in backticks: with a slash, or with the ending of a file; patterns and folders of output are none."""
    quoted = re.findall(r"`([\w/.-]+)`", text)
    return {
        each for each in quoted if re.search(r"\w/|\.(py|yaml|md)$", each) and not each.startswith(("out/", "gatling/"))
    }


@pytest.mark.parametrize("name", DOCUMENTS)
def test_paths_exist(name: str) -> None:
    """Every path leads to a file or folder, from the root or from the package that is spoken of."""
    named = paths_named((ROOT / name).read_text(encoding="utf-8"))
    assert [
        each
        for each in sorted(named)
        if not any((place / each).exists() for place in PLACES) and not is_file_name(each)
    ] == []


def is_file_name(name: str) -> bool:
    """Whether a file without a folder has this name somewhere in the packages or the tests."""
    folders = ("gatling_sid", "builder", "dataset_card", "scripts", "tests")
    return "/" not in name and any(True for folder in folders for _ in (ROOT / folder).rglob(name))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_exist(name: str) -> None:
    """Every `python -m` leads to a module of ours."""
    modules = re.findall(r"python -m ([\w.]+)", (ROOT / name).read_text(encoding="utf-8"))
    assert [each for each in modules if not (ROOT / f"{each.replace('.', '/')}.py").exists()] == []


def test_a_path_that_leads_nowhere_is_seen() -> None:
    """The check finds what it looks for."""
    assert paths_named("see `schemas/nowhere.py` and `x` and `nowhere.yaml`") == {"schemas/nowhere.py", "nowhere.yaml"}
    assert not is_file_name("nowhere.yaml")
