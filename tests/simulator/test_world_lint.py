"""What looks wrong in a world is found, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gatling_sid.schemas.domain import Domain
from gatling_sid.simulator.world import World
from gatling_sid.simulator.world_lint import lint_domain, lint_world
from tests.simulator.test_filling import with_visits

AT = {"type": "time", "populate": {"time": ["08:00", "17:30"]}}
NUMBER = {"type": "integer", "populate": {"integer": [1, 5]}}
DAY = {"days_ahead": [0, 27]}
WORLDS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "one value everywhere": (
        {"hall": {"type": "choice", "populate": {"pool": ["north"]}}}, {},
        "visit.hall: every row has 'north'; say `value:` if that is meant",
    ),
    "an address of two rows": (
        {"mail": {"type": "email", "populate": {"pool": ["a@x.example", "b@x.example"]}}}, {},
        r"visit.mail: \d+ rows have '[ab]@x.example'; an address belongs to one row",
    ),
    "visits at weekends": (
        {"day": {"type": "date", "populate": DAY}, "at": AT}, {},
        r"visit.day: \d+ of 60 dates are at a weekend; say `workdays: true`, or false if that is meant",
    ),
    "a maximum below its mean": (
        {"mean": NUMBER, "most": NUMBER}, {"ordered": [["mean", "most"]]},
        r"visit.mean, most: \d+ of 60 rows have more mean than most, such as [2-5] and [1-4]",
    ),
    "a statement that is not true": (
        {"paid": NUMBER, "total": NUMBER, "state": {"type": "choice", "populate": {"pool": ["open", "settled"]}}},
        {"consistent": [{"when": {"state": "settled"}, "then": {"paid": {"at_least": "$total"}}}]},
        r"visit.consistent.0: \d+ of 60 rows contradict {'paid': {'at_least': '\$total'}}, such as V-\d+",
    ),
    "two rows with one key": (
        {"visit_id": {"type": "id", "populate": {"pool": ["V-1", "V-2"]}}}, {},
        "visit.visit_id: 58 of 60 rows have the key of another one",
    ),
}  # fmt: skip
SOUND: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a value that is said": ({"hall": {"type": "choice", "populate": {"value": "north"}}}, {}),
    "a field that stays empty": ({"hall": {"type": "text", "populate": None}}, {}),
    "a copied address": (
        {"member_id": {"type": "ref", "populate": {"ref": "member"}},
         "mail": {"type": "email", "populate": {"copy": "member_id.email"}}}, {},
    ),
    "working days": ({"day": {"type": "date", "populate": {**DAY, "workdays": True}}, "at": AT}, {}),
    "weekends that are meant": ({"day": {"type": "date", "populate": {**DAY, "workdays": False}}, "at": AT}, {}),
    "dates without a time": ({"day": {"type": "date", "populate": DAY}}, {}),
    "ordered times": (
        {"at": AT, "until": {"type": "time", "populate": {"minutes_after": "at", "minutes": [0, 90]}},
         "none": {"type": "time", "populate": None}},
        {"ordered": [["at", "until", "none"]]},
    ),
    "a true statement": (
        {"day": {"type": "date", "populate": {"days_ahead": [0, 7]}}, "number": NUMBER},
        {"consistent": [{"then": {"day": {"next_days": 7}, "number": {"in": [1, 2, 3, 4, 5]}}}]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WORLDS)
def test_findings(tmp_path: Path, what: str) -> None:
    """Each kind of finding is found in a world that has it, and once in all worlds of the domain."""
    fields, rest, finding = WORLDS[what]
    domain = with_visits(tmp_path, fields, **rest)
    (found,) = lint_world(World(domain, 1, "train-0"))
    assert re.fullmatch(finding, found)
    assert lint_domain(domain, 1) == [found]


@pytest.mark.parametrize("what", SOUND)
def test_sound_worlds(tmp_path: Path, what: str) -> None:
    """What the file states, and what nobody would wonder at, gives no finding."""
    fields, rest = SOUND[what]
    assert lint_domain(with_visits(tmp_path, fields, **rest), 1) == []


def test_the_library_is_sound(library: Domain) -> None:
    """The small domain of the tests has nothing that looks wrong."""
    assert lint_domain(library, 1) == []
