"""Filling fields with dates, times and values that no other row has."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatling_sid.errors import CatalogueError
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.clock import minutes_of
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.yaml_loading import load_yaml
from gatling_sid.simulator.world import Row, World

LIBRARY: dict[str, Any] = load_yaml(Path(__file__).parent.parent / "catalogue" / "library.yaml")
KEY = {"type": "id", "populate": {"sequence": "V-{:03d}"}}


def with_visits(folder: Path, fields: dict[str, Any], **rest: Any) -> Domain:
    """The library with an entity `visit` that has these fields; `rest` are further keys of the entity."""
    content = deepcopy(LIBRARY)
    content["entities"]["visit"] = {"key": "visit_id", "count": 60, "fields": {"visit_id": KEY, **fields}, **rest}
    plain = json.loads(json.dumps(content))  # equal parts would become aliases
    (folder / "library.yaml").write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    return DomainRegistry(folder).domain("library")


def visits(domain: Domain, name: str = "train-0") -> list[Row]:
    """The visits of a world."""
    return list(World(domain, 1, name).tables["visit"].values())


def test_times(tmp_path: Path) -> None:
    """Times lie on the steps from the first to the last, both included."""
    at = {"type": "time", "populate": {"time": ["08:00", "17:30"], "step": 30}}
    times = {row["at"] for row in visits(with_visits(tmp_path, {"at": at}, count=500))}
    assert times == {f"{hour:02d}:{minute:02d}" for hour in range(8, 18) for minute in (0, 30)}


def test_later_times(tmp_path: Path) -> None:
    """A time after another is so many steps later, but never past midnight."""
    fields = {
        "at": {"type": "time", "populate": {"time": ["09:00", "23:45"]}},
        "until": {"type": "time", "populate": {"minutes_after": "at", "minutes": [30, 90], "step": 15}},
        "none": {"type": "time", "populate": None},
        "after_none": {"type": "time", "populate": {"minutes_after": "none", "minutes": [30, 90]}},
    }
    rows = visits(with_visits(tmp_path, fields, count=500))
    assert {row["after_none"] for row in rows} == {None}
    for row in rows:
        assert row["at"] < row["until"]
        assert minutes_of(row["until"]) - minutes_of(row["at"]) in range(30, 91, 15) or row["until"] == "23:59"
    assert any(row["until"] == "23:59" for row in rows)


def test_working_days(tmp_path: Path) -> None:
    """With `workdays`, dates before, after and relative to today are from Monday to Friday, and stay in their range."""
    fields = {
        "ago": {"type": "date", "populate": {"days_ago": [2, 4], "workdays": True}},
        "ahead": {"type": "date", "populate": {"days_ahead": [2, 4], "workdays": True}},
        "after": {"type": "date", "populate": {"days_after": "ago", "days": [3, 9], "workdays": True}},
        "done": {"type": "date", "populate": {"days_after": "ago", "days": [0, 9], "by_today": True, "workdays": True}},
    }
    domain = with_visits(tmp_path, fields)
    for number in range(7):
        world = World(domain, 1, f"train-{number}")
        for row in world.tables["visit"].values():
            assert all(date.fromisoformat(row[name]).weekday() < 5 for name in fields)
            assert 2 <= world.age(row["ago"]) <= 4
            assert 2 <= -world.age(row["ahead"]) <= 4
            assert 3 <= world.age(row["ago"]) - world.age(row["after"]) <= 9
            assert row["ago"] <= row["done"] <= world.today.isoformat()


def test_unique_by(tmp_path: Path) -> None:
    """No two rows have the same values in `unique_by`; fields that depend on these follow, and other rows repeat none."""
    fields = {
        "book_id": {"type": "ref", "populate": {"ref": "book"}},
        "title": {"type": "text", "populate": {"copy": "book_id.title"}},
        "half": {"type": "choice", "populate": {"pool": ["morning", "afternoon", None]}},
    }
    domain = with_visits(tmp_path, fields, unique_by=["book_id", "half"], count=48)
    for number in range(5):
        world = World(domain, 1, f"train-{number}")
        rows = list(world.tables["visit"].values())
        taken = [(row["book_id"], row["half"]) for row in rows if row["half"] is not None]
        assert len(set(taken)) == len(taken)
        assert len(rows) == 48
        assert all(world.tables["book"][row["book_id"]]["title"] == row["title"] for row in rows)


def test_unique_by_without_enough_values(tmp_path: Path) -> None:
    """Too many rows for the values of `unique_by` are an error that names the fields."""
    domain = with_visits(tmp_path, {"half": {"type": "choice", "populate": {"pool": ["a", "b"]}}}, unique_by=["half"])
    with pytest.raises(CatalogueError) as caught:
        World(domain, 1, "train-0")
    assert str(caught.value) == (
        "library.yaml: entities.visit.unique_by: too few different values of half for 60 rows; "
        "add values or lower the count"
    )
