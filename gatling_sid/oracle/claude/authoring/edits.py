"""Edits the text of a domain file: inserts new entries and leaves every other character unchanged."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from textwrap import dedent

import yaml

from gatling_sid.errors import CatalogueError

_TEXT = "tag:yaml.org,2002:str"
LINE_WIDTH = 140
"""The most characters in a line of a domain file; longer lines are hard to review."""


def insert_phrasings(text: str, scenario: str, phrasings: Sequence[str], source: str, file: str) -> str:
    """The file's text with phrasings before the others of a scenario, each with its source in a comment.

    The last phrasing of a scenario is kept for test and the one before for validation, so new ones go first.

    Raises:
        CatalogueError: there is no such scenario, its phrasings are not written one per line, or other parts of the
            file would change.

    """
    where = f"scenarios.{scenario}.phrasings"
    root = _compose(text, file)
    node = _find_node(root, ("scenarios", scenario, "phrasings"))
    if not isinstance(node, yaml.SequenceNode) or node.flow_style or not node.value:
        raise CatalogueError(
            file, where, "a new phrasing cannot be inserted: write the list with one phrasing per line"
        )
    indent = " " * node.start_mark.column
    lines = text.splitlines(keepends=True)
    at = node.start_mark.line
    while lines[at - 1].lstrip().startswith("#"):  # a comment belongs to the phrasing below it
        at -= 1
    added = [
        f"{indent}# {source}\n" + _fold(f"{indent}- {json.dumps(each, ensure_ascii=False)}") + "\n"
        for each in phrasings
    ]
    edited = "".join([*lines[:at], *added, *lines[at:]])
    node.value = [*(yaml.ScalarNode(_TEXT, each) for each in phrasings), *node.value]
    return _check_content(edited, root, file, where)


def insert_entry(text: str, place: Sequence[str], name: str, entry: str, source: str, file: str) -> str:
    """The file's text with `name: entry` as the last entry of a mapping, under a comment with its source.

    `entry` is YAML in one line, or a block that starts in column 0.

    Raises:
        CatalogueError: there is no such mapping with one key per line, it already has the name, or other parts of the
            file would change.

    """
    root = _compose(text, file)
    node = _find_node(root, place)
    where = ".".join(place)
    if not isinstance(node, yaml.MappingNode) or node.flow_style or not node.value:
        raise CatalogueError(file, where, "a new entry cannot be inserted: write the mapping with one key per line")
    if name in {key.value for key, _ in node.value}:
        raise CatalogueError(file, f"{where}.{name}", "already exists; choose another name")
    indent = " " * node.start_mark.column
    lines = text.splitlines(keepends=True)
    at = node.end_mark.line
    while not lines[at - 1].strip() or lines[at - 1].lstrip().startswith("#"):
        at -= 1
    block = "\n" in entry.strip()
    if block:
        body = "".join("\n" + _fold(f"{indent}  {line}") if line else "\n" for line in entry.strip().split("\n"))
        added = f"{indent}{name}:{body}"
    else:
        added = _fold(f"{indent}{name}: {entry}")
    last = lines[at - 1] if lines[at - 1].endswith("\n") else f"{lines[at - 1]}\n"
    edited = "".join([*lines[: at - 1], last, f"{indent}# {source}\n{added}\n", *lines[at:]])
    node.value = [*node.value, (_compose(name, file), _compose(entry, file))]
    return _check_content(edited, root, file, f"{where}.{name}")


def entry_text(text: str, place: Sequence[str], file: str) -> str:
    """The text of an entry of the file with its key, moved to column 0; empty if there is no such entry.

    Raises:
        CatalogueError: the text is not YAML.

    """
    node = _find_node(_compose(text, file), place[:-1])
    for key, value in node.value if isinstance(node, yaml.MappingNode) else []:
        if key.value == place[-1]:
            lines = text.splitlines()[key.start_mark.line : max(value.end_mark.line, key.start_mark.line + 1)]
            return dedent("\n".join(lines)).strip()
    return ""


def _fold(line: str) -> str:
    """The line in lines of at most `LINE_WIDTH` characters, broken at single blanks as far as there are any.

    YAML reads each break as one blank, except in blocks of literal text.
    """
    indent = " " * (len(line) - len(line.lstrip(" ")))
    first, *words = re.split(r"(?<=\S) (?=\S)", line.removeprefix(indent))
    lines = [indent + first]
    for word in words:
        if len(lines[-1]) + 1 + len(word) <= LINE_WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(f"{indent}    {word}")
    return "\n".join(lines)


def _compose(text: str, file: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        raise CatalogueError(file, "", f"is not YAML: {error}") from None


def _check_content(text: str, expected: yaml.Node | None, file: str, where: str) -> str:
    """Returns the text if it has exactly the expected content; an entry must not change other parts of the file."""
    if _content(_compose(text, file)) != _content(expected):
        raise CatalogueError(
            file, where, "inserting it would change other parts of the file; write it without line breaks"
        )
    return text


def _content(node: yaml.Node | None) -> object:
    """The content of a node without positions and quotes; keys in their order."""
    if isinstance(node, yaml.MappingNode):
        return node.tag, [(_content(key), _content(value)) for key, value in node.value]
    if isinstance(node, yaml.SequenceNode):
        return node.tag, [_content(each) for each in node.value]
    return (node.tag, node.value) if isinstance(node, yaml.ScalarNode) else None


def _find_node(node: yaml.Node | None, path: Sequence[str]) -> yaml.Node | None:
    for key in path:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for name, value in pairs if name.value == key), None)
    return node


def read_text(path: Path) -> str:
    """The text of a file, with its line ends unchanged. Raises CatalogueError."""
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(path.name, "", f"cannot be read: {error}") from None


def replace_file(path: Path, text: str) -> None:
    """Writes a file completely or not at all. Raises CatalogueError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(text.encode("utf-8"))
        temporary.replace(path)
    except OSError as error:
        raise CatalogueError(path.name, "", f"cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            temporary.unlink()  # after success it does not exist any more; after an interruption it must not stay
