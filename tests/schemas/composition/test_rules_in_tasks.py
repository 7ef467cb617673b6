"""What rules demand is built into tasks: every trace of an edited workshop is gold, and shows what the rule changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatling_sid.models import GoldTrace, ToolCall
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.validators import TraceValidator

WORKSHOP = Path(__file__).parents[2] / "catalogue" / "workshop.yaml"
AT = datetime(2026, 1, 1, tzinfo=UTC)


def traces_with(folder: Path, rule: dict[str, Any], parts: dict[str, Any] | None = None) -> list[GoldTrace]:
    """Traces of the workshop with one more rule, all of them gold; parts may be replaced."""
    content = yaml.safe_load(WORKSHOP.read_text(encoding="utf-8"))
    content["policy"]["rules"]["added"] = rule
    content["parts"] |= parts or {}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=130)
    (folder / "workshop.yaml").write_text(text, encoding="utf-8")
    registry = DomainRegistry(folder)
    oracle, validator = ScenarioOracle(5, AT), TraceValidator(registry)
    proposals = [oracle.trace(Task(registry.domain("workshop"), "train", index * 9)) for index in range(160)]
    traces = [each for each in proposals if isinstance(each, GoldTrace)]
    assert [finding.message for trace in traces for finding in validator.findings(trace)] == []
    return traces


def calls_of(traces: list[GoldTrace], tool: str) -> Iterator[tuple[GoldTrace, ToolCall]]:
    """Every call of a tool with its trace."""
    for trace in traces:
        yield from ((trace, call) for call in trace.graph.calls if call.tool_id == f"workshop.{tool}")


def is_in_force(trace: GoldTrace) -> bool:
    """Whether the policy of a trace has the added rule."""
    return any(each.constraint_id == "added" for each in trace.policy.constraints)


def test_a_new_row_needs_a_look_at_what_it_refers_to(tmp_path: Path) -> None:
    """With the rule, a note is written after the repair was looked up; without it, the plan looks nothing up."""
    rule = {
        "says": "The deposit of a repair is looked at before a note is written on it.",
        "kind": "read_before_change",
        "with": {"tools": ["add_note"], "entity": "repair", "fields": ["deposit"]},
        "sometimes": True,
    }
    traces = traces_with(tmp_path, rule)
    looks_first: dict[bool, list[bool]] = {True: [], False: []}
    for trace, call in calls_of(traces, "add_note"):
        before = trace.graph.calls[: trace.graph.calls.index(call)]
        looks_first[is_in_force(trace)].append(any(each.tool_id == "workshop.get_repair" for each in before))
    assert looks_first[True]
    assert all(looks_first[True])
    assert not all(looks_first[False])


@pytest.mark.parametrize("share", [0.5, 3])
def test_amounts_are_bounded_by_a_share(tmp_path: Path, share: float) -> None:
    """Drawn amounts keep to the share of the row's field; the price of a repair is at most that share of its deposit."""
    rule = {
        "says": "A price is bounded by the deposit, which is looked at first.",
        "kind": "at_most_field",
        "with": {
            "tools": ["change_repair"],
            "entity": "repair",
            "argument": "price",
            "field": "deposit",
            "share": share,
        },
    }
    priced = {
        "tool": "change_repair",
        "roles": ["manager"],
        "weight": 60,
        "with": {"price": {"amount": [5, 500], "step": 1}},
        "says": ["set {it} to {price}", "charge {price} for {it}", "make {price} the price of {it}"],
    }
    traces = traces_with(tmp_path, rule, {"reprice": priced})
    assert any("price" in call.arguments for _, call in calls_of(traces, "change_repair"))


def test_steps_of_a_rule_that_is_not_in_force_do_not_bind(tmp_path: Path) -> None:
    """Tasks under a rule that holds sometimes are drawn with the rule and without it."""
    rule = {
        "says": "Repairs go from waiting to started, and from started to done; their status is looked at first.",
        "kind": "transitions",
        "with": {
            "tools": ["set_status"],
            "entity": "repair",
            "field": "status",
            "allowed": {"waiting": ["started"], "started": ["done"]},
        },
        "sometimes": True,
    }
    found = {is_in_force(trace) for trace, _ in calls_of(traces_with(tmp_path, rule), "set_status")}
    assert found == {True, False}


def test_days_are_working_days(tmp_path: Path) -> None:
    """`workdays: true` draws no Saturday and no Sunday."""
    rule = {
        "says": "Prices are stated.",
        "kind": "argument_required",
        "with": {"tools": ["add_note"], "argument": "text"},
    }
    moved = {
        "tool": "change_repair",
        "roles": ["manager"],
        "weight": 60,
        "with": {"ready_on": {"days_from_today": [1, 20], "workdays": True}},
        "says": ["move {it} to {ready_on}", "set {ready_on} for {it}", "put off {it} until {ready_on}"],
    }
    traces = traces_with(tmp_path, rule, {"move_pick_up": moved})
    days = [call.arguments["ready_on"] for _, call in calls_of(traces, "change_repair") if "ready_on" in call.arguments]
    assert len(days) > 5
    assert {date.fromisoformat(day).weekday() for day in days} <= set(range(5))
