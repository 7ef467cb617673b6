"""Tools of other domains: what may be borrowed, what a borrowed tool looks like, and that tasks use it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatling_sid.errors import CatalogueError
from gatling_sid.generator import generate
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.registry import CATALOGUE
from gatling_sid.validators import TraceValidator

WORKSHOP = Path(__file__).parents[1] / "catalogue" / "workshop.yaml"
CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)
VISIT: dict[str, Any] = {
    "tool": "calendar.create_event",
    "of": "repair",
    "roles": ["mechanic"],
    "number": "one",
    "weight": 40,
    "with": {
        "organiser_id": "$principal.person_id",
        "guest": "$found.customer_email",
        "title": ["Test ride", "Handover"],
        "day": {"days_from_today": [1, 9]},
        "starts_at": ["09:00", "15:30"],
        "minutes": [20, 40],
    },
    "says": ["put a {title} with the owner of {it} into my calendar on {day} at {starts_at} for {minutes} minutes"],
    "asks": ["Is there room on {day} at {starts_at} for a {title} of {minutes} minutes about {it}?"],
}


def borrowing(folder: Path, borrows: dict[str, list[str]]) -> DomainRegistry:
    """A catalogue whose one domain, the workshop, borrows tools and has a part for `calendar.create_event`."""
    content = yaml.safe_load(WORKSHOP.read_text(encoding="utf-8"))
    content["borrows"] = borrows
    content["parts"]["plan_handover"] = VISIT
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=130)
    (folder / "workshop.yaml").write_text(text, encoding="utf-8")
    return DomainRegistry(folder)


def test_a_borrowed_tool_has_the_schema_of_its_own_domain(tmp_path: Path) -> None:
    """Readers find one schema for each tool id, whichever domain's traces they read."""
    borrower = borrowing(tmp_path, {"calendar": ["create_event"]}).domain("workshop")
    borrowed = next(each for each in borrower.schemas if each.tool_id == "calendar.create_event")
    assert borrowed == DomainRegistry().tool("calendar.create_event")


def test_tasks_cross_domains(tmp_path: Path) -> None:
    """Traces with a borrowed tool are gold: its arguments come from the rows that the domain's own tools found."""
    registry = borrowing(tmp_path, {"calendar": ["create_event"]})
    domain, judge = registry.domain("workshop"), TraceValidator(registry)
    tasks = [Task(domain, "train", index) for index in range(200)]
    crossing = [
        trace
        for trace in generate(tasks, ScenarioOracle(3, CREATED_AT), judge).traces
        if any(c.tool_id == "calendar.create_event" for c in trace.graph.calls)
    ]
    assert len(crossing) > 5
    for trace in crossing:
        call = next(each for each in trace.graph.calls if each.tool_id == "calendar.create_event")
        assert call.arguments["guest"].startswith("$")
        assert judge.validate_trace(trace)[0]


@pytest.mark.parametrize(
    ("borrows", "problem"),
    [
        ({"calender": ["create_event"]}, "borrows: no domain named 'calender'"),
        ({"calendar": ["make_event"]}, "borrows.calendar: no tool of calendar named 'make_event'"),
        ({"calendar": ["create_event", "list_events"]}, "borrows.calendar: list_events needs rows of calendar"),
        ({"calendar": ["create_event", "write_organiser"]}, "borrows.calendar: write_organiser needs rows of calendar"),
    ],
)
def test_what_cannot_be_borrowed_is_refused(tmp_path: Path, borrows: dict[str, list[str]], problem: str) -> None:
    """Unknown domains and tools, and tools that act on rows, are named with the key."""
    with pytest.raises(CatalogueError) as caught:
        borrowing(tmp_path, borrows).domain("workshop")
    assert problem in str(caught.value)


def test_a_change_of_the_lender_changes_the_version(tmp_path: Path) -> None:
    """A run stops when the schema of a borrowed tool changes on disk."""
    lender = tmp_path / "calendar.yaml"
    lender.write_bytes((CATALOGUE / "calendar.yaml").read_bytes())
    registry = borrowing(tmp_path, {"calendar": ["create_event"]})
    before = registry.domain("workshop").digest
    lender.write_text(lender.read_text(encoding="utf-8").replace("minimum: 15", "minimum: 10"), encoding="utf-8")
    assert registry.digest_on_disk("workshop") != before
