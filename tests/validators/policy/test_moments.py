"""Calls happen only at the hours that the policy allows, and requests are made at such hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatling_sid.models import (
    Constraint,
    GoldTrace,
    ProvenancePointer,
    SystemPolicy,
    ToolCall,
    ToolCallGraph,
    TrustTier,
    UserRequest,
)
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.scenarios.moments import allowed_hours
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.yaml_loading import load_yaml
from gatling_sid.validators import TraceValidator
from gatling_sid.validators.checks import findings_of_check
from gatling_sid.validators.proofs import ProvenPlans
from gatling_sid.validators.trace_context import TraceContext
from tests.conftest import CREATED_AT

LIBRARY = Path(__file__).parent.parent.parent / "catalogue" / "library.yaml"
OFFICE = {"from_hour": 9, "to_hour": 17}


def call_at(moment: datetime | None) -> GoldTrace:
    """A call at a moment, in a domain that no catalogue knows, under a policy of office hours."""
    pointer = ProvenancePointer(source_type=TrustTier.USER, source_id="r", timestamp=moment)
    call = ToolCall(call_id="a", tool_id="bank.pay", provenance=pointer)
    hours = Constraint(constraint_id="office", kind="hours", rule=0, parameters=OFFICE)
    return GoldTrace(
        trace_id="one",
        request=UserRequest(request_id="r", domain="Bank", text="Pay.", intent_category="update"),
        policy=SystemPolicy(policy_id="own", domain="Bank", rules=["Office hours."], constraints=[hours]),
        graph=ToolCallGraph(graph_id="g", calls=[call], execution_order=["a"]),
    )


@pytest.mark.parametrize(
    ("moment", "problem"),
    [
        (datetime(2025, 3, 4, 9, 0, tzinfo=UTC), None),
        (datetime(2025, 3, 4, 16, 59, 59, tzinfo=UTC), None),
        (datetime(2025, 3, 4, 12, 0), None),  # noqa: DTZ001
        (datetime(2025, 3, 4, 8, 59, 59, tzinfo=UTC), "happens at 08:59"),
        (datetime(2025, 3, 4, 17, 0, tzinfo=UTC), "happens at 17:00"),
        (datetime(2025, 3, 4, 18, 30, tzinfo=timezone(timedelta(hours=2))), None),
        (datetime(2025, 3, 4, 10, 30, tzinfo=timezone(timedelta(hours=2))), "happens at 08:30"),
        (None, "has no provenance timestamp, so its time is unknown"),
    ],
)
def test_hours_begin_and_end_exactly(moment: datetime | None, problem: str | None) -> None:
    """A call may happen at the first hour and before the last, in UTC; a finding names the constraint."""
    trace = call_at(moment)
    allowed = "allowed is from 9:00 to before 17:00 (hours)"
    messages = [f"wording_constraints_hold: office: a {problem}; {allowed}"] if problem else []

    assert TraceValidator.validate_policy_compliance(trace) == (not messages, messages)
    found = findings_of_check(TraceContext(trace, DomainRegistry()), "policy_wording")
    assert {each.constraint_id for each in found} == ({"office"} if problem else set())


def with_hours(folder: Path, **parameters: Any) -> DomainRegistry:
    """The library, whose loans are renewed at certain hours only."""
    content = load_yaml(LIBRARY)
    rule = {
        "says": "Loans are renewed at certain hours.",
        "kind": "hours",
        "with": {"tools": ["renew_loan"], **parameters},
    }
    content["policy"]["rules"]["hours"] = rule
    (folder / "library.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return DomainRegistry(folder)


@pytest.mark.parametrize(
    ("from_hour", "to_hour", "hours"),
    [(9, 12, {9, 10, 11}), (0, 9, {7, 8}), (21, 24, {21, 22, 23}), (0, 24, {*range(7, 20)})],
)
def test_requests_are_made_at_allowed_hours(tmp_path: Path, from_hour: int, to_hour: int, hours: set[int]) -> None:
    """Requests whose plan a rule binds are made at usual hours that it allows, or else at any that it allows; all are gold."""
    registry = with_hours(tmp_path, from_hour=from_hour, to_hour=to_hour)
    oracle, validator = ScenarioOracle(1, CREATED_AT), TraceValidator(registry)
    traces = [oracle.trace(Task(registry.domain("library"), "train", index)) for index in range(0, 2100, 7)]
    seen: dict[bool, set[int]] = {True: set(), False: set()}
    for trace in traces:
        assert isinstance(trace, GoldTrace)
        assert validator.findings(trace) == []
        pointer = trace.graph.calls[0].provenance
        assert pointer is not None
        assert pointer.timestamp is not None
        seen[trace.metadata["scenario"] == "renew"].add(pointer.timestamp.hour)
    assert seen == {True: hours, False: {*range(7, 20)}}


@pytest.mark.parametrize("policy_id", ["own", None])
def test_policies_from_elsewhere_have_their_own_hours(library: Domain, policy_id: str | None) -> None:
    """The hours are those of the policy at hand, also if it is of no family, or an altered copy of a member."""
    member = library.family.default_policy
    hours = Constraint(constraint_id="office", kind="hours", rule=0, parameters=OFFICE)
    policy = member.model_copy(update={"policy_id": policy_id or member.policy_id, "constraints": [hours]})
    assert [*allowed_hours(library, policy, "librarian", ["library.list_loans"])] == [*range(9, 17)]
    assert [*allowed_hours(library, member, "librarian", ["library.list_loans"])] == [*range(7, 20)]


def test_a_wording_at_another_hour_is_not_covered_by_a_proof(gold: list[GoldTrace], validator: TraceValidator) -> None:
    """The time is part of the wording, so a proven plan at a forbidden hour is found, without a second proof."""
    proofs = ProvenPlans(validator)
    scenario = "overdue_of_member"
    trace = next(each for each in gold if each.metadata["scenario"] == scenario).model_copy(deep=True)
    trace.policy.policy_id = "own"
    pointer = trace.graph.calls[0].provenance
    assert pointer is not None
    assert pointer.timestamp is not None
    hour = pointer.timestamp.hour
    parameters = {"from_hour": hour, "to_hour": hour + 1}
    trace.policy.rules.append("One hour only.")
    rule = len(trace.policy.rules) - 1
    trace.policy.constraints.append(Constraint(constraint_id="hour", kind="hours", rule=rule, parameters=parameters))
    trace.metadata["oracle"] = "somebody"
    later = trace.model_copy(deep=True)
    for call in later.graph.calls:
        assert call.provenance is not None
        assert call.provenance.timestamp is not None
        call.provenance.timestamp += timedelta(hours=1)

    assert proofs.findings(trace) == []
    assert {each.constraint_id for each in proofs.findings(later)} == {"hour"}
    assert proofs.full_proofs == 1
