"""The JSON Schema of domain files: it is up to date, accepts what loads, and refuses what does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gatling_sid.schemas.form_schema import EDITOR_LINE, FORM_SCHEMA, render_form_schema
from gatling_sid.schemas.registry import CATALOGUE
from gatling_sid.schemas.yaml_loading import load_yaml
from tests.support.commands import ROOT, output_of, script_line
from tests.support.domain_sample import sampled_domains

SCHEMA = Draft202012Validator(json.loads(FORM_SCHEMA.read_text(encoding="utf-8")))
SMALL_FILES = sorted((ROOT / "tests/catalogue").glob("*.yaml"))


def test_the_schema_is_up_to_date() -> None:
    """The file that ships is what the form gives; `python -m scripts.render_form_schema` writes it."""
    assert FORM_SCHEMA.read_text(encoding="utf-8") == render_form_schema()


def test_the_command_writes_it(tmp_path: Path) -> None:
    """The command renders the same text."""
    output_of(script_line("render_form_schema", "--output", tmp_path / "x.json"))
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == render_form_schema()


@pytest.mark.parametrize("slug", sampled_domains())
def test_every_domain_file_has_the_form(slug: str) -> None:
    """An editor marks nothing in a file that loads."""
    assert [each.message for each in SCHEMA.iter_errors(load_yaml(CATALOGUE / f"{slug}.yaml"))] == []


@pytest.mark.parametrize("path", SMALL_FILES, ids=[path.stem for path in SMALL_FILES])
def test_the_small_files_have_the_form(path: Path) -> None:
    """Nor in those of these tests."""
    assert [each.message for each in SCHEMA.iter_errors(load_yaml(path))] == []


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("scenario",), {}),
        (("tools", "list_repairs", "operation"), "lists"),
        (("entities", "repair", "fields", "price", "populate"), {"mony": [1, 2]}),
        (("policy", "rules", "rows", "kind"), "rows_limit"),
        (("policy", "rules", "rows", "with"), {"max_row": 3}),
        (("parts", "reprice", "must_sya"), ["status"]),
    ],
)
def test_an_editor_marks_mistakes(keys: tuple[str, ...], value: Any) -> None:
    """Unknown keys, operations, fills, kinds of rules and their parameters are errors of the schema, too."""
    content = load_yaml(ROOT / "tests/catalogue/workshop.yaml")
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    assert list(SCHEMA.iter_errors(content)) != []


def test_editors_find_the_schema() -> None:
    """The path in the editor line leads from a domain file to the schema."""
    path = EDITOR_LINE.partition("$schema=")[2]
    assert (CATALOGUE / path).resolve() == FORM_SCHEMA
