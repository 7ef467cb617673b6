"""Strict parsing of YAML: refuses what two YAML parsers could understand differently, and names the line."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import yaml

from gatling_sid.errors import CatalogueError

_PLAIN_BOOLEANS = ("true", "false")
_PLAIN_NULLS = ("null", "~", "")
_MAX_INTEGER = 2**53 - 1  # readers that only know floats round greater ones
_ALIAS_OR_TAG = re.compile(r"(?<![^\s\ufeff\[{,:])(\*(?!\])|!(?!\|))")
"""Finds all aliases and tags, and some other text, but not `[*]` of a reference and `[!|]` of a phrasing."""


class _StrictLoader(yaml.CSafeLoader):
    """Loads YAML 1.1 without its surprises: `NO`, `12:30`, `010`, `1_000`, dates, repeated or merged keys.

    Each constructor below gets the kind of node that it expects, since tags, which could change it, are refused first.
    """


def _error_at(node: yaml.Node, problem: str) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _construct_boolean(_loader: _StrictLoader, node: yaml.ScalarNode) -> bool:
    if node.value not in _PLAIN_BOOLEANS:
        raise _error_at(node, f"{node.value} is a boolean to some readers of YAML; quote it, or write true or false")
    return bool(node.value == "true")


def _construct_integer(_loader: _StrictLoader, node: yaml.ScalarNode) -> int:
    digits = node.value.removeprefix("-")
    if not digits.isdecimal() or (digits.startswith("0") and digits != "0"):
        raise _error_at(node, f"{node.value} is a number to some readers of YAML (a time, octal, …); quote it")
    if len(digits) > len(str(_MAX_INTEGER)) or int(digits) > _MAX_INTEGER:
        raise _error_at(node, "an integer beyond 2^53 is rounded by some readers of YAML; quote it if it is text")
    return int(node.value)


def _construct_float(_loader: _StrictLoader, node: yaml.ScalarNode) -> float:
    try:
        value = float(node.value)
    except ValueError:
        value = float("nan")
    if "_" in node.value or not math.isfinite(value):
        raise _error_at(node, f"{node.value} is not a plain finite number; quote it if it is text")
    return value


def _construct_date(_loader: _StrictLoader, node: yaml.ScalarNode) -> str:
    raise _error_at(node, f"{node.value} is a date to some readers of YAML; quote it")


def _construct_null(_loader: _StrictLoader, node: yaml.ScalarNode) -> None:
    if node.value not in _PLAIN_NULLS:
        raise _error_at(node, f"{node.value} is null to some readers of YAML; quote it, or write null")


_AMBIGUOUS_NUMBER = re.compile(r"0o[0-7]+|[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+")


def _construct_text(_loader: _StrictLoader, node: yaml.ScalarNode) -> str:
    if node.style not in ("'", '"', "|", ">") and _AMBIGUOUS_NUMBER.fullmatch(node.value):
        raise _error_at(node, f"{node.value} is text to some readers of YAML, and not to others; quote it")
    return str(node.value)


def _construct_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    result: dict[Hashable, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise _error_at(key_node, f"a key must be text, not {key!r}; quote it")
        if key in result:
            raise _error_at(key_node, f"{key!r} appears twice in the same mapping; remove one")
        result[key] = loader.construct_object(value_node, deep=True)
    return result


_CONSTRUCTOR_OF_TAG: dict[str, Callable[..., Any]] = {
    "bool": _construct_boolean,
    "int": _construct_integer,
    "float": _construct_float,
    "timestamp": _construct_date,
    "null": _construct_null,
    "str": _construct_text,
    "map": _construct_mapping,
}
for _tag, _constructor in _CONSTRUCTOR_OF_TAG.items():
    _StrictLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _constructor)


def load_yaml(path: Path) -> Any:
    """The document in the file `path`.

    Raises:
        CatalogueError: the file cannot be read, or is not UTF-8, not YAML or ambiguous; names the file and the line.

    """
    return parse_yaml_bytes(read_bytes(path), path.name)


def read_bytes(path: Path) -> bytes:
    """The content of a file. Raises CatalogueError, which names the file, if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CatalogueError(path.name, "", f"cannot be read: {error}") from None


def parse_yaml_bytes(content: bytes, name: str) -> Any:
    """The document in these bytes; errors call it `name`. Raises CatalogueError as `load_yaml` does."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CatalogueError(name, "", f"cannot be read: {error}") from None
    return parse_yaml(text, name)


def parse_yaml(text: str, name: str) -> Any:
    """The document in this text; errors call it `name`. Raises CatalogueError as `load_yaml` does."""
    try:
        _refuse_aliases_and_tags(text, name)
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise CatalogueError(name, where, error.problem or "not YAML") from None
    except (yaml.YAMLError, RecursionError, UnicodeEncodeError) as error:
        raise CatalogueError(name, "", f"cannot be read: {error}") from None


def _refuse_aliases_and_tags(text: str, name: str) -> None:
    """Refuses aliases, which can make a short text very large, and tags; parses only texts that may hold one."""
    if not _ALIAS_OR_TAG.search(text):
        return
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else "?"
        if isinstance(event, yaml.AliasEvent):
            raise CatalogueError(
                name, f"line {line}", f"*{event.anchor} is an alias; write out the value that it refers to"
            )
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            raise CatalogueError(name, f"line {line}", f"{event.tag} is a tag; write it without a tag")
