"""Edits the text of a domain file: new entries are inserted, every other character stays as it was."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from textwrap import dedent, wrap

import yaml

from gatling_sid.errors import CatalogueError

_TEXT = "tag:yaml.org,2002:str"
LINE_WIDTH = 140
"""Characters in a line of a domain file; what is longer is hard to review."""


def insert_phrasings(text: str, scenario: str, phrasings: Sequence[str], source: str, file: str) -> str:
    """The file's text with phrasings before the others of a scenario, each with its source in a comment.

    The last phrasing of a scenario is kept for test and the one before for validation, so new ones go first.

    Raises:
        CatalogueError: there is no such scenario, its phrasings do not stand one per line, or something else would
            change too.

    """
    where = f"scenarios.{scenario}.phrasings"
    root = _compose(text, file)
    node = _node_at(root, ("scenarios", scenario, "phrasings"))
    if not isinstance(node, yaml.SequenceNode) or node.flow_style or not node.value:
        raise CatalogueError(file, where, "new phrasings need a list with one phrasing per line to stand in")
    indent = " " * node.start_mark.column
    lines = text.splitlines(keepends=True)
    at = node.start_mark.line
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
        CatalogueError: there is no such mapping with one key per line, it has the name already, or something else would
            change too.

    """
    root = _compose(text, file)
    node = _node_at(root, place)
    where = ".".join(place)
    if not isinstance(node, yaml.MappingNode) or node.flow_style or not node.value:
        raise CatalogueError(file, where, "a new entry needs a mapping with one key per line to stand in")
    if name in {key.value for key, _ in node.value}:
        raise CatalogueError(file, f"{where}.{name}", "stands there already")
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
    """An entry of the file as it stands there, with its key, moved to column 0; empty if there is no such entry.

    Raises:
        CatalogueError: the text is not YAML.

    """
    node = _node_at(_compose(text, file), place[:-1])
    for key, value in node.value if isinstance(node, yaml.MappingNode) else []:
        if key.value == place[-1]:
            lines = text.splitlines()[key.start_mark.line : max(value.end_mark.line, key.start_mark.line + 1)]
            return dedent("\n".join(lines)).strip()
    return ""


def _fold(line: str) -> str:
    """The line in lines of at most `LINE_WIDTH` characters, broken at blanks; YAML reads each break as one blank."""
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    pieces = wrap(
        line,
        LINE_WIDTH,
        subsequent_indent=indent,
        expand_tabs=False,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(pieces) or line


def _compose(text: str, file: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        raise CatalogueError(file, "", f"is no YAML: {error}") from None


def _check_content(text: str, expected: yaml.Node | None, file: str, where: str) -> str:
    """The text, if it has exactly the expected content: no part of an entry may change another place of the file."""
    if _content(_compose(text, file)) != _content(expected):
        raise CatalogueError(file, where, "it does not stay in its place in the file; write it without line breaks")
    return text


def _content(node: yaml.Node | None) -> object:
    """What a node says, without its place and its quotes; keys in their order."""
    if isinstance(node, yaml.MappingNode):
        return node.tag, [(_content(key), _content(value)) for key, value in node.value]
    if isinstance(node, yaml.SequenceNode):
        return node.tag, [_content(each) for each in node.value]
    return (node.tag, node.value) if isinstance(node, yaml.ScalarNode) else None


def _node_at(node: yaml.Node | None, path: Sequence[str]) -> yaml.Node | None:
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
            temporary.unlink()  # after success it is gone already; after an interruption it must not stay
