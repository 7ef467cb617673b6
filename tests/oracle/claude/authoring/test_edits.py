"""New entries are inserted where they belong, and every other character of a domain file stays as it is."""

from __future__ import annotations

import json

import pytest
import yaml

from gatling_sid.errors import CatalogueError
from gatling_sid.oracle.claude.authoring.edits import LINE_WIDTH, entry_text, insert_entry, insert_phrasings

LONE_SURROGATE = "\ud83d"


def test_an_entry_needs_a_place() -> None:
    """An entry goes to the end of a mapping with one key per line; comments and blank lines after it stay."""
    text = "a:\n  b: {c: d}\n  # said\n\nz: 1\n"
    assert (
        insert_entry(text, ["a"], "e", "[1, 2]", "s", "x.yaml")
        == "a:\n  b: {c: d}\n  # s\n  e: [1, 2]\n  # said\n\nz: 1\n"
    )
    assert (
        insert_entry("a:\n  b: 1", ["a"], "e", "f: 1\n\ng: 2", "s", "x")
        == "a:\n  b: 1\n  # s\n  e:\n    f: 1\n\n    g: 2\n"
    )
    assert entry_text(text, ["a", "b"], "x.yaml") == "b: {c: d}"
    assert entry_text(text, ["a", "q"], "x.yaml") == ""
    for place, name, says in (
        (["a", "b"], "e", "a new entry cannot be inserted: write the mapping"),
        (["q"], "e", "a new entry cannot be inserted: write the mapping"),
        (["a"], "b", "already exists; choose another name"),
    ):
        with pytest.raises(CatalogueError, match=says):
            insert_entry(text, place, name, "1", "s", "x.yaml")


@pytest.mark.parametrize("end", ["\n", "\r", "\x85", "\u2028", "\u2029"])
def test_nothing_breaks_out_of_its_place(end: str) -> None:
    """An entry whose text would become other entries of the file is refused, for every kind of line end."""
    for name, entry in (("e", f"1{end}z: 2"), (f"e: 1{end}z", "2"), (f"e: 1{end}  f", "2")):
        with pytest.raises(CatalogueError, match=r"^x\.yaml: "):
            insert_entry("a:\n  b: 1\n", ["a"], name, entry, "s", "x.yaml")
    with pytest.raises(CatalogueError, match=r"^x\.yaml: a\.e: inserting it would change other parts of the file; "):
        insert_entry("a:\n  b: 1\n", ["a"], "e", "2", f"s{end}  z: 2", "x.yaml")
    text = "scenarios:\n  a:\n    phrasings:\n    - x\n"
    with pytest.raises(
        CatalogueError, match=r"^x\.yaml: scenarios\.a\.phrasings: inserting it would change other parts"
    ):
        insert_phrasings(text, "a", ["y"], f"s{end}    - z", "x.yaml")


@pytest.mark.parametrize("end", ["\r", "\x85", "\u2028", "\u2029"])
def test_a_block_keeps_its_indent(end: str) -> None:
    """A block with a line break that only YAML knows is refused, because the next line would not be indented."""
    with pytest.raises(CatalogueError, match=r"^x\.yaml: a\.e: inserting it would change other parts of the file; "):
        insert_entry("a:\n  b: 1\n", ["a"], "e", f"f: x\ng: 3{end}z: 2", "s", "x.yaml")


def test_a_broken_file_is_named() -> None:
    """A text that is not YAML, or cannot be written, gives a CatalogueError."""
    for text in ("a: [", f"a: {LONE_SURROGATE}"):
        with pytest.raises(CatalogueError, match=r"^x\.yaml: is not YAML: "):
            insert_entry(text, ["a"], "e", "1", "s", "x.yaml")
        with pytest.raises(CatalogueError, match=r"^x\.yaml: is not YAML: "):
            insert_phrasings(text, "a", ["y"], "s", "x.yaml")
        with pytest.raises(CatalogueError, match=r"^x\.yaml: is not YAML: "):
            entry_text(text, ["a"], "x.yaml")


def test_a_list_in_one_line_cannot_be_added_to() -> None:
    """The error names the key."""
    text = "name: X\nscenarios:\n  a: {phrasings: [x]}\n"
    with pytest.raises(CatalogueError, match=r"x\.yaml: scenarios\.a\.phrasings: a new phrasing cannot be inserted"):
        insert_phrasings(text, "a", ["y"], "s", "x.yaml")


def test_folding_keeps_every_blank() -> None:
    """A line is broken only at single blanks, so texts with two of them, or with none, stay as they are."""
    for phrasing in ("xxxxx " + "w" * 121 + ".  Then more.", "w" * 200, "a  " * 90 + "b", "it's  " + "\\ " * 100):
        text = insert_phrasings("scenarios:\n  a:\n    phrasings:\n    - x\n", "a", [phrasing], "s", "x.yaml")
        assert yaml.safe_load(text)["scenarios"]["a"]["phrasings"] == [phrasing, "x"]


def test_long_lines_are_folded() -> None:
    """What is inserted stays within the width of a domain file, whatever it holds, and reads back as it was."""
    phrasing = "Which of the [people|colleagues] " + "in [our|the] very, very large team - say 'ours' - " * 8 + "{ask}?"
    rule = {
        "says": "word " * 60 + "end.",
        "kind": "row_limit",
        "parameters": {"tools": [f"tool_{at}" for at in range(40)]},
    }
    text = "policy:\n  rules:\n    a: {kind: b}\nscenarios:\n  a:\n    phrasings:\n    - x\n"
    text = insert_phrasings(text, "a", [phrasing], "by somebody", "x.yaml")
    text = insert_entry(text, ["policy", "rules"], "flat", json.dumps(rule), "by somebody", "x.yaml")
    block = f"says: {json.dumps(rule['says'])}\nkind: row_limit\nparameters: {json.dumps(rule['parameters'])}"
    text = insert_entry(text, ["policy", "rules"], "block", block, "by somebody", "x.yaml")
    assert max(map(len, text.split("\n"))) <= LINE_WIDTH
    content = yaml.safe_load(text)
    assert content["scenarios"]["a"]["phrasings"] == [phrasing, "x"]
    assert content["policy"]["rules"] == {"a": {"kind": "b"}, "flat": rule, "block": rule}
