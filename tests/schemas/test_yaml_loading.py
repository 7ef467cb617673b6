"""YAML without surprises: what two readers could take for different things is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gatling_sid.errors import CatalogueError
from gatling_sid.schemas.yaml_loading import load_yaml, parse_yaml


def read(folder: Path, text: str | bytes) -> Any:
    """The document of a file `zoo.yaml` with this content."""
    path = folder / "zoo.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_yaml(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: true\nb: false", {"a": True, "b": False}),
        ("a: 0\nb: -7\nc: 10\nd: 2.5\ne: -0.5", {"a": 0, "b": -7, "c": 10, "d": 2.5, "e": -0.5}),
        ("a: null\nb: ~\nc:\nd: ''", {"a": None, "b": None, "c": None, "d": ""}),
        ("a: 'NO'\nb: \"yes\"\nc: '12:30'\nd: '010'", {"a": "NO", "b": "yes", "c": "12:30", "d": "010"}),
        ("a: '2026-03-14'\nb: 1.2.3\nc: no way", {"a": "2026-03-14", "b": "1.2.3", "c": "no way"}),
        ("a: [{b: 1}, {b: 2}]", {"a": [{"b": 1}, {"b": 2}]}),
        ("a: 2 * x\nb: '*x'", {"a": "2 * x", "b": "*x"}),
        ("a: Stop! Now\nb: '!x'\nc: x !!str y", {"a": "Stop! Now", "b": "!x", "c": "x !!str y"}),
        ("a: 9007199254740991\nb: -9007199254740991", {"a": 2**53 - 1, "b": 1 - 2**53}),
        ("a: Zürich – 東京", {"a": "Zürich – 東京"}),
        ("", None),
    ],
)
def test_plain_values(tmp_path: Path, text: str, value: Any) -> None:
    """What every reader takes for the same thing is read as that, types and all."""
    assert repr(read(tmp_path, text)) == repr(value)


BOOLEAN = "is a boolean to some readers of YAML; quote it, or write true or false"
NUMBER = "is a number to some readers of YAML (a time, octal, …); quote it"
DATE = "is a date to some readers of YAML; quote it"
FINITE = "is not a plain finite number; quote it if it is text"
NULL = "is null to some readers of YAML; quote it, or write null"

TAG = "is a tag; write it without a tag"
ROUNDED = "an integer beyond 2^53 is rounded by some readers of YAML; quote it if it is text"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        *((f"\na: {word}", f"line 2: {word} {BOOLEAN}") for word in ("NO", "no", "yes", "Yes", "on", "OFF", "True", "FALSE")),
        *((f"a: 1\nb: [{it}]", f"line 2: {it} {NUMBER}") for it in ("12:30", "010", "1_000", "0x1F", "0b101", "+1", "-07")),
        *((f"a:\n- {it}", f"line 2: {it} {DATE}") for it in ("2026-03-14", "2026-03-14 10:00:00", "2026-03-14T10:00:00Z")),
        *((f"a: {it}", f"line 1: {it} {FINITE}") for it in (".nan", ".NaN", ".inf", "-.inf", "1_0.5", "10:30.5")),
        *((f"a: {it}", f"line 1: {it} {NULL}") for it in ("NULL", "Null")),
        ("a: &x [1, 2]\nb: *x", "line 2: *x is an alias; write out the value that it refers to"),
        ("a: 1\nb: 2\na: 3", "line 3: 'a' appears twice in the same mapping; remove one"),
        ("a: 1\n'a': 2", "line 2: 'a' appears twice in the same mapping; remove one"),
        ("a:\n  b: 1\n  c: 2\n  b: 3", "line 4: 'b' appears twice in the same mapping; remove one"),
        ("x: [{y: {a: 1, a: 1}}]", "line 1: 'a' appears twice in the same mapping; remove one"),
        ("true: 1", "line 1: a key must be text, not True; quote it"),
        ("a: 1\n1.5: 1", "line 2: a key must be text, not 1.5; quote it"),
        ("~: 1", "line 1: a key must be text, not None; quote it"),
        ("? [a]\n: 1", "line 1: a key must be text, not ['a']; quote it"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "line 3: *x is an alias; write out the value that it refers to"),
        *((f"b: c!\na: {it}", f"line 2: {tag} {TAG}") for it, tag in (
            ("!!python/x y", "tag:yaml.org,2002:python/x"), ("!!set {a}", "tag:yaml.org,2002:set"),
            ("!!str [a]", "tag:yaml.org,2002:str"), ("[!!str 5]", "tag:yaml.org,2002:str"),
            ("!!float [1]", "tag:yaml.org,2002:float"), ("!!map [1]", "tag:yaml.org,2002:map"),
            ("!<x> 1", "x"), ("!mine {b: 1}", "!mine"), ("! '1'", "!"), ("{'b':!!int '1'}", "tag:yaml.org,2002:int"),
        )),
        ("%TAG !y! tag:yaml.org,2002:\n---\na: !y!str [b]", f"line 3: tag:yaml.org,2002:str {TAG}"),
        *((f"a: {it}", f"line 1: {ROUNDED}") for it in (2**53, -(2**53), "9" * 5000)),
        ("a:\n\tb: 1", "line 2: found character that cannot start any token"),
        ("a: [1, 2\nb: 3", "line 2: did not find expected ',' or ']'"),
        ("a: 1\n---\nb: 2", "line 2: but found another document"),
        ("a: &x [*x]", "line 1: *x is an alias; write out the value that it refers to"),
    ],
)  # fmt: skip
def test_surprises_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    """What readers disagree on is refused, naming file and line and saying what to do."""
    with pytest.raises(CatalogueError) as caught:
        read(tmp_path, text)
    assert str(caught.value) == f"zoo.yaml: {problem}"
    assert caught.value.source == "zoo.yaml"


@pytest.mark.parametrize("text", ["1e3", "1.5e3", "0o17", "12e03"])
def test_newer_and_older_readers_agree(tmp_path: Path, text: str) -> None:
    """Text that another version of YAML reads as a number is refused, not taken for text."""
    with pytest.raises(CatalogueError, match=r"^zoo\.yaml: line 1: "):
        read(tmp_path, f"a: {text}")


def test_not_utf8(tmp_path: Path) -> None:
    """A file in another encoding is refused by name."""
    with pytest.raises(CatalogueError) as caught:
        read(tmp_path, b"a: \xff")
    text = "zoo.yaml: cannot be read: 'utf-8' codec can't decode byte 0xff in position 3: invalid start byte"
    assert str(caught.value) == text


def test_control_characters(tmp_path: Path) -> None:
    """A character that no YAML may hold is refused, not dropped."""
    with pytest.raises(CatalogueError, match=r"^zoo\.yaml: cannot be read: unacceptable character #x0007"):
        read(tmp_path, "a: \x07")


def test_half_a_character() -> None:
    """A text that could not be written to a file is refused as well."""
    with pytest.raises(CatalogueError, match=r"^zoo: cannot be read: 'utf-8' codec can't encode character"):
        parse_yaml("a: \ud83d", "zoo")


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is named."""
    path = tmp_path / "nowhere.yaml"
    with pytest.raises(CatalogueError) as caught:
        load_yaml(path)
    assert str(caught.value) == f"nowhere.yaml: cannot be read: [Errno 2] No such file or directory: '{path}'"


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x85\u2028\u2029"))  # which YAML folds like line ends
# A library of YAML 1.1 leaves `1e3` and `0o17` unquoted, which are no text to readers of 1.2.
WORDS = st.text().filter(lambda text: not re.fullmatch(r"[-+.eEo\d]+", text))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(1 - 2**53, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS
)
TREES = st.recursive(SCALARS, lambda each: st.lists(each) | st.dictionaries(WORDS, each), max_leaves=8)


@settings(deadline=None)
@given(TREES)
def test_what_is_written_safely_is_read_back(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    """JSON-like values, written by a YAML library that quotes and escapes what needs it, come back as they were."""
    folder = tmp_path_factory.getbasetemp()
    assert repr(read(folder, yaml.safe_dump(value, sort_keys=False))) == repr(value)
