"""What a policy allows is met exactly in many requests, and never exceeded, under every member of the family."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatling_sid.models import GoldTrace
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.scenarios.drawing import NO_LIMIT
from gatling_sid.scenarios.limits import EVERYTHING, limits_of
from gatling_sid.schemas.domain import Domain

MANAGER = "manager"


def member_with(domain: Domain, **values: Any) -> tuple[int, ...]:
    """The member of the family that has these values, and else the first of each axis."""
    axes = domain.family.axis_values
    return tuple(listed.index(values[name]) if name in values else 0 for name, listed in axes.items())


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_limits_are_those_of_the_member(workshop: Domain, data: st.DataObject) -> None:
    """Each limit is the value that the member has on the axis, or none where no rule sets one."""
    axes = {
        name: data.draw(st.sampled_from(values), label=name) for name, values in workshop.family.axis_values.items()
    }
    limits = limits_of(workshop, MANAGER, member_with(workshop, **axes))
    assert limits["list_repairs"]["rows"] == axes["max_rows"]
    assert limits["list_repairs"]["days"] == axes["lookback"]
    assert limits["set_status"]["rows"] == min(axes["max_rows"], axes["batch"])
    assert limits["change_repair"]["most"] == {"repair_id": NO_LIMIT, "price": axes["top_price"], "ready_on": NO_LIMIT}
    assert limits["change_repair"]["dates"]["ready_on"] == (1, 20, False)
    assert limits["change_repair"]["dates"]["price"] == (-NO_LIMIT, NO_LIMIT, False)
    assert limits["export_repairs"]["allowed"]["target"] == axes["targets"]
    assert limits["export_repairs"]["allowed"]["bicycle"] is EVERYTHING


def test_limits_of_states_and_addresses(library: Domain) -> None:
    """Recipients are limited by the rule itself; a tool that takes fewer rows than the policy allows takes those."""
    limits = limits_of(library, "librarian", member_with(library))
    assert limits["mail_member"]["recipients"].allows("ann@elm.example")
    assert not limits["mail_member"]["recipients"].allows("ann@helm.example")
    assert limits["get_loan"]["recipients"] is None
    assert limits["find_members"]["rows"] == 20
    assert "anything" in EVERYTHING


# --- in traces ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def traces(workshop: Domain, oracle: ScenarioOracle) -> list[GoldTrace]:
    """Traces of a world, of different scenarios."""
    proposed = [oracle.trace(Task(workshop, "train", index)) for index in range(700)]
    return [trace for trace in proposed if isinstance(trace, GoldTrace)]


def test_limits_are_met_exactly_and_never_exceeded(workshop: Domain, traces: list[GoldTrace]) -> None:
    """Prices, days, numbers of rows and columns are often just what the policy in force allows, and never more."""
    at_limit: Counter[str] = Counter()
    below: Counter[str] = Counter()
    for trace in traces:
        member = workshop.family.member_of(trace.policy.policy_id)
        assert member is not None
        axes = workshop.family.axis_values_of(member)
        today = date.fromisoformat(trace.metadata["today"])
        for call in trace.graph.calls:
            arguments, tool = call.arguments, call.tool_id.removeprefix("workshop.")
            found = {
                "price": (arguments.get("price"), axes["top_price"]),
                "period": (arguments.get("days"), axes["lookback"]),
                "first": (arguments.get("limit") if tool == "list_repairs" else None, axes["max_rows"]),
                "columns": (
                    len(arguments["fields"]) if tool == "list_repairs" and "fields" in arguments else None,
                    axes["columns"],
                ),
                "date": (
                    (date.fromisoformat(arguments["ready_on"]) - today).days if "ready_on" in arguments else None,
                    20,
                ),
            }
            for name, (value, most) in found.items():
                if value is not None:
                    assert value <= most, (name, call)
                    (at_limit if value == most else below)[name] += 1
            if arguments.get("target") is not None:
                assert arguments["target"] in axes["targets"]
    assert at_limit.keys() == below.keys() == {"price", "period", "first", "columns", "date"}
    assert at_limit.total() / (at_limit.total() + below.total()) >= 0.2, (at_limit, below)
