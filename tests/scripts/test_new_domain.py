"""The first draft of a domain file: from declared entities to a file that loads and whose traces pass."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.form_schema import EDITOR_LINE
from tests.support.commands import call_command, printed_by_command

FLEET = """
name: Fleet
description: Vans, bookings and repairs of a delivery company.
organisation: Quick Wheels
entities:
  vehicle:
    key: vehicle_id
    count: 120
    fields:
      vehicle_id: {type: id, populate: {sequence: "V-{:04d}", start: 300, gap: 3}}
      kind: {type: choice, populate: {choice: {van: 5, truck: 2, bike: 3}}}
      depot: {type: choice, populate: {pool: [north, south, harbour]}}
      mileage: {type: integer, populate: {integer: [500, 90000]}}
      inspected_on: {type: date, populate: {days_ago: [3, 300]}}
      electric: {type: flag, populate: {chance: 0.4}}
  repair:
    key: repair_id
    count: 180
    fields:
      repair_id: {type: id, populate: {sequence: "R-{:05d}", start: 4000, gap: 4}}
      vehicle_id: {type: ref, populate: {ref: vehicle}}
      assignee: {type: ref, populate: {ref: staff_member}}
      status: {type: choice, populate: {choice: {open: 4, in_progress: 3, done: 5}}}
      cost: {type: money, populate: {money: [50, 4000], round: 10}}
      due_on: {type: date, populate: {days_ahead: [1, 90]}}
      note: {type: text, sensitivity: confidential, populate: {pool: [brakes, tyres, gearbox, lights]}}
      owner_email: {type: email, populate: {email: [repair_id], at: owners.example}}
"""


@pytest.fixture
def declaration(tmp_path: Path) -> Path:
    """A file that declares two entities."""
    path = tmp_path / "declared.yaml"
    path.write_text(FLEET, encoding="utf-8")
    return path


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """An empty folder for domain files."""
    folder = tmp_path / "catalogue"
    folder.mkdir()
    return folder


def test_the_draft_loads_and_its_traces_pass(declaration: Path, catalogue: Path) -> None:
    """Tools of all operations, rules, roles and parts follow; the check of the draft finds nothing but amounts."""
    output = printed_by_command("new_domain", "fleet", "--from", declaration, "--catalogue", catalogue)
    assert output.endswith("python -m scripts.check_domain fleet --draft --watch\n")
    checked = printed_by_command("check_domain", "fleet", "--draft", "--traces", 150, "--catalogue", catalogue)
    assert re.search(r"\nfleet.yaml: 1[45]\d traces, 0 problems, ", checked)
    file = DomainRegistry(catalogue).domain("fleet").file
    operations = {"list", "get", "create", "update", "delete", "export", "aggregate", "send"}
    assert {tool.operation for tool in file.tools.values()} == operations
    assert len({rule.kind for rule in file.policy.rules.values()}) >= 7
    assert len(file.roles) == 4


def test_the_draft_is_made_for_editing(declaration: Path, catalogue: Path) -> None:
    """The name comes first and the editor line second; rough words are marked; no line is too long; no alias is used."""
    printed_by_command("new_domain", "fleet", "--from", declaration, "--catalogue", catalogue)
    lines = (catalogue / "fleet.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["name: Fleet", EDITOR_LINE]
    assert sum("# edit" in line for line in lines) > 30
    assert max(map(len, lines)) <= 140


def test_what_the_author_declares_is_kept(declaration: Path, catalogue: Path) -> None:
    """Nouns, names and phrases that are declared already are not replaced."""
    content = yaml.safe_load(FLEET)
    vehicle = content["entities"]["vehicle"]
    vehicle["noun"] = {"van": "vans"}
    vehicle["fields"]["depot"] |= {"called": ["home depot"], "said": ["~ at the {} depot", "~ from {}", "{} ~"]}
    declaration.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    printed_by_command("new_domain", "fleet", "--from", declaration, "--catalogue", catalogue)
    declared = DomainRegistry(catalogue).domain("fleet").file.entities["vehicle"]
    assert declared.noun == {"van": "vans"}
    assert declared.fields["depot"].called == ["home depot"]
    assert declared.fields["depot"].said == ["~ at the {} depot", "~ from {}", "{} ~"]


@pytest.mark.parametrize(
    ("slug", "text", "problem"),
    [
        ("Fleet-1", FLEET, "a slug has small letters, digits and _"),
        ("fleet", "[1, 2]", "a declaration is a mapping with a name"),
        ("fleet", FLEET.replace("count: 120", "cuont: 120"), "did you mean 'count'?"),
        ("fleet", FLEET.replace("pool: [brakes", "pol: [brakes"), "needs exactly one of sequence, pool"),
        ("fleet", FLEET.replace("{ref: vehicle}", "{ref: vehicel}"), "no entity above named 'vehicel'"),
        ("fleet", FLEET.replace("count: 120", "count: 1"), "no tool filters vehicle by"),
    ],
)
def test_a_wrong_declaration_writes_no_file(
    slug: str, text: str, problem: str, declaration: Path, catalogue: Path
) -> None:
    """What is wrong is said with its place, and the folder stays as it was."""
    declaration.write_text(text, encoding="utf-8")
    done = call_command("new_domain", slug, "--from", declaration, "--catalogue", catalogue)
    assert done.returncode == 1
    assert problem in done.stderr
    assert list(catalogue.iterdir()) == []


def test_no_file_is_overwritten(declaration: Path, catalogue: Path) -> None:
    """A slug that exists is refused, and so is a name that another domain has."""
    printed_by_command("new_domain", "fleet", "--from", declaration, "--catalogue", catalogue)
    for slug, problem in (("fleet", "there is such a file already"), ("vans", "could also mean fleet.yaml")):
        done = call_command("new_domain", slug, "--from", declaration, "--catalogue", catalogue)
        assert done.returncode == 1
        assert problem in done.stderr
    assert [path.name for path in catalogue.iterdir()] == ["fleet.yaml"]
