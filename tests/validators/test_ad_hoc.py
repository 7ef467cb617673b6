"""Traces built by hand, of domains and tools that no catalogue knows, are judged as far as they can be."""

from __future__ import annotations

from typing import Any

import pytest

from gatling_sid.models import (
    Constraint,
    GoldTrace,
    ProvenancePointer,
    ScopeMetadata,
    SensitivityTier,
    SystemPolicy,
    ToolCall,
    ToolCallGraph,
    TrustTier,
    UserRequest,
)
from gatling_sid.schemas.constraints import KINDS
from gatling_sid.validators import TraceValidator


def bakery(*, rows: int = 5, limits: dict[str, object] | None = None, forbidden: tuple[str, ...] = ()) -> GoldTrace:
    """A trace of the base fields alone."""
    pointer = ProvenancePointer(source_type=TrustTier.USER, source_id="r1", content_snippet="five loaves")
    scope = ScopeMetadata(rows_requested=rows, sensitivity_tier=SensitivityTier.INTERNAL)
    first = ToolCall(
        call_id="a", tool_id="bakery.list_loaves", arguments={"limit": rows}, scope=scope, provenance=pointer
    )
    second = ToolCall(
        call_id="b", tool_id="bakery.weigh", arguments={"loaf": "$a.items[0]"}, scope=scope, provenance=pointer,
        dependencies=["a"],
    )  # fmt: skip
    return GoldTrace(
        trace_id="t1",
        request=UserRequest(
            request_id="r1", domain="Bakery", text="Weigh the first of five loaves", intent_category="retrieve",
            expected_scope=ScopeMetadata(rows_requested=5),
        ),
        policy=SystemPolicy(
            policy_id="p1", domain="Bakery", description="", rules=["Be kind."], forbidden_operations=list(forbidden),
            scope_limits=limits or {},
        ),
        graph=ToolCallGraph(graph_id="g1", calls=[first, second], execution_order=["a", "b"]),
    )  # fmt: skip


def test_hand_made_trace_is_valid_and_says_what_was_not_judged() -> None:
    """A sound trace of an unknown domain passes, is not called gold, and every skipped check gives its reason."""
    valid, report = TraceValidator().validate_trace(bakery())

    assert valid
    assert report["trace_id"] == "t1"
    assert report["overall_valid"] is True
    assert report["validated"] is False
    assert report["checks"]["structure"] == {"valid": True, "errors": []}
    assert report["checks"]["replay"]["skipped"] == "the catalogue has no domain 'Bakery'"
    assert report["checks"]["policy"] == {
        "compliant": True,
        "violations": [],
        "skipped": "rules without a constraint: [0]",
    }
    assert report["checks"]["minimal_scope"]["minimal"] is True


def test_declared_scope_is_held_against_limits_and_request() -> None:
    """The declared scopes of a user's own trace are compared with limits, constraints and the request's scope."""
    validator = TraceValidator()

    assert validator.validate_policy_compliance(bakery(), bakery(limits={"max_rows": 4}).policy) == (
        False,
        [
            "scope_limits_hold: a takes 5 rows; the limit max_rows is 4",
            "scope_limits_hold: b takes 5 rows; the limit max_rows is 4",
        ],
    )
    assert validator.validate_minimal_scope(bakery(rows=6)) == (
        False,
        [
            "scope_is_within_request: a takes 6 rows; the request allows 5",
            "scope_is_within_request: b takes 6 rows; the request allows 5",
        ],
    )


def test_forbidden_operation_of_an_unknown_tool_is_found_by_its_first_word() -> None:
    """The forbidden operation `weigh` forbids the tool `bakery.weigh`."""
    valid, messages = TraceValidator().validate_policy_compliance(bakery(forbidden=("weigh",)))

    assert not valid
    assert messages == ["forbidden_operations_are_absent: b calls bakery.weigh; 'weigh' is forbidden"]


def test_constraint_that_needs_a_replay_is_reported_as_skipped() -> None:
    """A constraint on the results of calls is reported as not judged."""
    trace = bakery()
    look_up = Constraint(
        constraint_id="look", kind="read_before_change", rule=0, parameters={"entity": "loaf", "fields": ["weight"]}
    )
    trace.policy.constraints.append(look_up)

    _, report = TraceValidator().validate_trace(trace)

    assert report["checks"]["policy"]["skipped"] == "constraints that only a replay can judge: look"


@pytest.mark.parametrize(
    ("limits", "call", "silent"),
    [
        ({"max_results": 9}, {"tool_id": "bakery.weigh", "arguments": {"size": 500}}, True),
        ({"max_results": 9}, {"tool_id": "bakery.weigh", "arguments": {"limit": 9}}, False),
        ({"max_results": 9}, {"tool_id": "bakery.weigh", "scope": {"rows_requested": 9}}, False),
        ({"max_days": 9}, {"tool_id": "bakery.weigh", "scope": {"rows_requested": 9}}, True),
        ({"max_export_rows": 9}, {"tool_id": "bakery.export_loaves"}, True),
        ({"max_export_rows": 9}, {"tool_id": "bakery.weigh"}, False),
        ({"max_recipients": 9}, {"tool_id": "bakery.weigh"}, False),
        ({"max_export_rows": 9}, {"tool_id": "bakery.export_loaves", "arguments": {"limit": 3}}, False),
        ({"max_results": 9}, {"tool_id": "bakery.weigh", "arguments": {"limit": "all"}}, True),
        ({"max_recipients": 9}, {"tool_id": "bakery.send_menu"}, True),
        ({"max_recipients": 9}, {"tool_id": "bakery.send_menu", "arguments": {"to": "a@b.example"}}, False),
        ({"export_targets": ["van"]}, {"tool_id": "bakery.export_loaves"}, True),
        ({"export_targets": ["van"]}, {"tool_id": "bakery.export_loaves", "arguments": {"target": "van"}}, False),
        ({"max_results": 9}, {"tool_id": "finance.get_invoice", "arguments": {"invoice_id": "INV-1"}}, False),
        ({"max_results": 9}, {"tool_id": "finance.list_invoices", "arguments": {"vendor": "Elm"}}, True),
    ],
)
def test_a_limit_that_a_call_does_not_declare_is_reported_as_skipped(
    limits: dict[str, int], call: dict[str, Any], *, silent: bool
) -> None:
    """A limit is reported if a call neither declares the amount nor states it by an argument that limits it."""
    tool_call, domain = ToolCall(call_id="a", **call), "Finance" if call["tool_id"].startswith("finance") else "Bakery"
    trace = GoldTrace(
        trace_id="t1",
        request=UserRequest(request_id="r1", domain=domain, text="Some loaves.", intent_category="retrieve"),
        policy=SystemPolicy(policy_id="p1", domain=domain, scope_limits=limits),
        graph=ToolCallGraph(graph_id="g1", calls=[tool_call], execution_order=["a"]),
    )
    checked = TraceValidator().validate_trace(trace)[1]["checks"]["policy"]

    assert checked["compliant"]
    assert ("cannot be checked: not declared by a;" in checked.get("skipped", "")) is silent


@pytest.mark.parametrize("kind", [kind for kind, form in KINDS.items() if "entity" in form.model_fields])
def test_a_rule_about_records_that_the_domain_does_not_have_binds_nothing(
    gold: list[GoldTrace], validator: TraceValidator, kind: str
) -> None:
    """A rule about an entity that the domain does not have is judged without an error, and never broken."""
    trace = gold[0].model_copy(deep=True)
    trace.policy.policy_id = "custom"
    known = {"entity": "spaceship", "field": "warp", "fields": ["warp"], "attribute": "name",
             "max_value": 9, "notify": "library.mail_member", "recipient_field": "captain", "max_tier": "public",
             "argument": "speed"}  # fmt: skip
    known["allowed"] = {"on": ["off"]} if kind == "transitions" else ["on"]
    parameters = {name: value for name, value in known.items() if name in KINDS[kind].model_fields}
    trace.policy.constraints[0] = Constraint(constraint_id="c", kind=kind, rule=0, parameters=parameters)

    assert not [each for each in validator.findings(trace) if each.constraint_id == "c"]


def test_long_chains_are_judged_without_recursion() -> None:
    """A graph of 10,000 calls in a row is judged; a cycle in it is found."""
    chain = [ToolCall(call_id=f"c{n}", tool_id="x.y", dependencies=[f"c{n - 1}"] if n else []) for n in range(10_000)]
    trace = bakery()
    trace.graph = ToolCallGraph(graph_id="g", calls=chain, execution_order=[call.call_id for call in chain])

    assert TraceValidator().validate_structure(trace) == (True, [])
    chain[0].dependencies.append("c9999")
    valid, messages = TraceValidator().validate_structure(trace)
    assert not valid
    assert messages[0].startswith("graph_is_acyclic: these calls form a dependency cycle, or depend on one: c0, c1")


def test_gold_under_a_policy_of_ones_own_is_not_proven(gold: list[GoldTrace], validator: TraceValidator) -> None:
    """A plan may keep a policy of the user's own; but nobody has checked its sentences, so the trace is not validated."""
    policy = SystemPolicy(policy_id="acme", domain="Library", rules=["Nobody may call any tool. Ever."])
    valid, report = validator.validate_trace(gold[0].model_copy(update={"policy": policy}))
    assert (report["overall_valid"], report["validated"]) == (valid, False)
    assert "not a member of the domain's family" in str(report)
