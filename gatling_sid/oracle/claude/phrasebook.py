"""A domain file edited in place: new phrasings set in among the old, every other character as it was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import yaml

from gatling_sid.errors import CatalogueError


def with_phrasings(text: str, scenario: str, phrasings: Sequence[str], source: str, file: str) -> str:
    """The file's text with phrasings before the others of a scenario, each with a comment that says its source.

    The last phrasing of a scenario is kept for test and the one before for validation, so new ones go first.

    Raises:
        CatalogueError: the scenario is not there, or its phrasings are not a list of one per line.

    """
    where = f"scenarios.{scenario}.phrasings"
    node = _found(yaml.compose(text, Loader=yaml.CSafeLoader), ("scenarios", scenario, "phrasings"))
    if not isinstance(node, yaml.SequenceNode) or node.flow_style or not node.value:
        raise CatalogueError(file, where, "new phrasings need a list with one phrasing per line to stand in")
    indent = " " * node.start_mark.column
    lines = text.splitlines(keepends=True)
    at = node.start_mark.line
    added = [f"{indent}- {json.dumps(each, ensure_ascii=False)}  # {source}\n" for each in phrasings]
    return "".join([*lines[:at], *added, *lines[at:]])


def _found(node: yaml.Node | None, path: Sequence[str]) -> yaml.Node | None:
    for key in path:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for name, value in pairs if name.value == key), None)
    return node


def replaced(path: Path, text: str) -> None:
    """Writes a file completely or not at all. Raises CatalogueError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise CatalogueError(path.name, "", f"cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            beside.unlink()  # it is gone if all went well, and must not stay if we were stopped


def words_of(text: str) -> Iterator[str]:
    """A phrasing's words without its notation, to tell near-copies."""
    plain = "".join(letter if letter.isalnum() else " " for letter in text.casefold())
    yield from plain.split()
