"""Dates that are passed as arguments lie within the days that the policy allows, also where no catalogue helps."""

from __future__ import annotations

from typing import Any

import pytest

from gatling_sid.models import Constraint, GoldTrace, SystemPolicy, ToolCall, ToolCallGraph, UserRequest
from gatling_sid.validators import TraceValidator


def booking(rule: dict[str, Any], day: Any, today: str | None = "2025-03-05") -> GoldTrace:
    """A call with a date, on a Wednesday, in a domain that no catalogue knows, under a policy of one rule."""
    look_up = ToolCall(call_id="a", tool_id="clinic.look_up")
    book = ToolCall(call_id="b", tool_id="clinic.book", arguments={"day": day}, dependencies=["a"])
    constraint = Constraint(constraint_id="soon", kind="argument_days", rule=0, parameters={"argument": "day", **rule})
    return GoldTrace(
        trace_id="one",
        request=UserRequest(request_id="r", domain="Clinic", text="Book.", intent_category="update"),
        policy=SystemPolicy(policy_id="own", domain="Clinic", rules=["Soon."], constraints=[constraint]),
        graph=ToolCallGraph(graph_id="g", calls=[look_up, book], execution_order=["a", "b"]),
        metadata={"today": today},
    )


@pytest.mark.parametrize(
    ("rule", "day", "problem"),
    [
        ({"min_days": 1, "max_days": 7}, "2025-03-06", None),
        ({"min_days": 1, "max_days": 7}, "2025-03-12", None),
        ({"min_days": 1}, "2025-03-05", "which is 0 days from today; at least 1 are required"),
        ({"max_days": 7}, "2025-03-13", "which is 8 days from today; at most 7 are allowed"),
        ({"max_days": 7}, "2025-03-13T08:00", "which is 8 days from today; at most 7 are allowed"),
        ({"min_days": -5}, "2025-02-28", None),
        ({"min_days": -5}, "2025-02-27", "which is -6 days from today; at least -5 are required"),
        ({"workdays_only": True}, "2025-03-07", None),
        ({"workdays_only": True}, "2025-03-08", "which is a Saturday; only Monday to Friday are allowed"),
        ({"workdays_only": True}, "2025-03-09", "which is a Sunday; only Monday to Friday are allowed"),
        ({"workdays_only": True}, "2025-03-10", None),
        ({"max_days": 7}, "next week", None),
    ],
)
def test_days_are_counted_from_the_date_that_the_trace_states(
    rule: dict[str, Any], day: str, problem: str | None
) -> None:
    """Both ends are allowed; a text that is no date is not compared."""
    messages = [f"constraints_hold: soon: b has day {day}, {problem} (argument_days)"] if problem else []
    assert TraceValidator.validate_policy_compliance(booking(rule, day)) == (not messages, messages)


def test_each_date_of_a_list_counts() -> None:
    """Of several dates, each must lie within the days."""
    holds, messages = TraceValidator.validate_policy_compliance(booking({"max_days": 1}, ["2025-03-06", "2025-03-07"]))
    assert not holds
    assert len(messages) == 1


@pytest.mark.parametrize(
    ("day", "today", "skipped"),
    [
        ("2025-03-06", "2025-03-05", None),
        ("2025-03-06", None, "constraints that only a replay can judge: soon"),
        ("$a.day", "2025-03-05", "constraints that only a replay can judge: soon"),
        (None, None, None),
    ],
)
def test_a_date_that_cannot_be_compared_is_skipped(day: str | None, today: str | None, skipped: str | None) -> None:
    """Without a replay, a reference, or a trace that states no date, is reported as skipped, not as compliant."""
    report = TraceValidator().validate_trace(booking({"max_days": 7}, day, today))[1]
    assert report["checks"]["policy"].get("skipped") == skipped
