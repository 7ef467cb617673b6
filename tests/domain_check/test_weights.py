"""Weights of parts: what is missed is measured, a step leads towards it, and only weights change in the file."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gatling_sid.domain_check.weights import LEAST_WEIGHT, MOST_WEIGHT, PartSample, weights_of, with_weights
from gatling_sid.errors import CatalogueError
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.registry import CATALOGUE
from scripts.tune_weights import draw_traces, main

WORKSHOP = (Path(__file__).parents[1] / "catalogue" / "workshop.yaml").read_text(encoding="utf-8")


def test_a_part_that_is_wanted_gains_weight(workshop: Domain) -> None:
    """The workshop deletes too seldom; what deletes gains more than the others, and no weight leaves its bounds."""
    sample = PartSample(workshop, draw_traces(workshop, 200, 7))
    before = weights_of(workshop)
    after = sample.better_weights(before, 0.5)

    assert "intent delete" in sample.shortfall().missed
    assert after.keys() == before.keys()
    assert all(LEAST_WEIGHT <= weight <= MOST_WEIGHT for weight in after.values())
    deleting = [name for name, part in workshop.file.parts.items() if part.tool == "delete_repairs"]
    gains = {name: after[name] / before[name] for name in before}
    assert min(gains[name] for name in deleting) > sum(gains.values()) / len(gains)


@pytest.mark.parametrize("slug", ["hr", "insurance"])
def test_only_weights_change_in_a_file(slug: str) -> None:
    """Flow mappings, with a weight or without: every part has the new one, and all else is as it was."""
    text = (CATALOGUE / f"{slug}.yaml").read_text(encoding="utf-8")
    before = yaml.safe_load(text)
    weights = {name: 2 + at % 90 for at, name in enumerate(before["parts"])}
    after = yaml.safe_load(with_weights(text, weights, "x.yaml"))

    assert {name: part.pop("weight") for name, part in after["parts"].items()} == weights
    for part in before["parts"].values():
        part.pop("weight", None)
    assert after == before


def test_parts_in_block_style(workshop: Domain) -> None:
    """Mappings with a key per line get a line, unless the weight is 1, which needs none."""
    weights = dict.fromkeys(workshop.file.parts, 1) | {"note_down": 7}
    after = yaml.safe_load(with_weights(WORKSHOP, weights, "workshop.yaml"))["parts"]
    assert {name: part.get("weight", 1) for name, part in after.items()} == weights


def test_a_part_that_is_not_found_is_named() -> None:
    """A part that the text does not have is an error that says where, and how it should stand there."""
    with pytest.raises(CatalogueError, match=r"x\.yaml: parts\.paint: begin its line"):
        with_weights(WORKSHOP, {"paint": 3}, "x.yaml")


def test_the_command_keeps_the_best_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run ends with a file that loads and is no worse than it was, and says what is still missed."""
    (tmp_path / "workshop.yaml").write_text(WORKSHOP, encoding="utf-8")
    assert main(["workshop", "--catalogue", str(tmp_path), "--rounds", "2", "--traces", "60"]) == 0
    printed = capsys.readouterr().out.splitlines()
    scores = [float(line.split()[0]) for line in printed[:-2]]
    assert printed[-2].startswith("still missed: ")
    assert printed[-1].startswith("workshop.yaml has the weights that were ")
    assert float(printed[-1].split()[-2]) <= min(scores)
    assert DomainRegistry(tmp_path).domain("workshop").file.parts.keys() == yaml.safe_load(WORKSHOP)["parts"].keys()
