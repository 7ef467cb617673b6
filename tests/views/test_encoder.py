"""Rows for encoders have the content of their traces, and labels that bound every call."""

from __future__ import annotations

import json

from gatling_sid.models import ArgumentSource, GoldTrace, Outcome, ToolCall, TrustTier, replace_fields
from gatling_sid.schemas import DomainRegistry
from gatling_sid.views import to_encoder_row


def longest(traces: list[GoldTrace], scenario: str) -> GoldTrace:
    """The trace of a scenario with the most calls."""
    return max((t for t in traces if t.metadata["scenario"] == scenario), key=lambda t: len(t.graph.calls))


def with_call(trace: GoldTrace, call: ToolCall) -> GoldTrace:
    """The trace with another first call."""
    graph = replace_fields(trace.graph, calls=[call, *trace.graph.calls[1:]])
    return replace_fields(trace, graph=graph)


def test_encoder_row_has_tiers_as_integers_and_every_label(observed: list[GoldTrace], registry: DomainRegistry) -> None:
    """Nodes, edges and the minimal scope follow from the trace, with tiers as integers and no label missing."""
    trace = longest(observed, "renew")
    row, principal = to_encoder_row(trace, registry), trace.request.principal

    assert principal is not None
    assert json.loads(json.dumps(row)) == row
    assert row["trace_id"] == trace.trace_id
    assert row["outcome"] == "served"
    assert row["governance_context"]["user_role"] == principal.role
    assert row["governance_context"]["session_context"]["role"] == principal.role
    assert row["governance_context"]["policy"]["rules"] == trace.policy.rules
    assert [node["tool_name"] for node in row["execution_plan"]["nodes"]] == [c.tool_id for c in trace.graph.calls]
    assert row["execution_plan"]["edges"] == [
        ["call_1", "call_2"], ["call_1", "call_3"], ["call_2", "call_3"], ["call_3", "call_4"],
    ]  # fmt: skip
    assert {node["provenance_tier"] for node in row["execution_plan"]["nodes"]} == {1}
    assert {node["scope_sensitivity"] for node in row["execution_plan"]["nodes"]} == {2}
    assert len({node["provenance_hash"] for node in row["execution_plan"]["nodes"]}) == 3
    assert row["minimal_scope"] == {"limit": 1, "date_range_days": None, "max_depth": 2, "include_sensitive": False}
    assert row["label"] == "compliant"
    assert to_encoder_row(replace_fields(trace, validated=False), registry)["label"] is None
    assert to_encoder_row(replace_fields(trace, validated=False), registry, label="violation")["label"] == "violation"


def test_every_label_bounds_every_call(shipped: list[GoldTrace], shipped_registry: DomainRegistry) -> None:
    """No call takes more rows, days or sensitive data than the labels say, reads on the way included."""
    for trace in shipped:
        labels = to_encoder_row(trace, shipped_registry)["minimal_scope"]
        for scope in [trace.request.expected_scope, *(call.scope for call in trace.graph.calls)]:
            assert (scope.rows_requested or 1) <= labels["limit"]
            assert (scope.time_range_days or 0) <= (labels["date_range_days"] or 0)
        assert labels["date_range_days"] is None or labels["date_range_days"] >= 1
        tiers = {call.scope.sensitivity_tier.value for call in trace.graph.calls}
        assert labels["include_sensitive"] == (not tiers.isdisjoint({"confidential", "restricted"}))
        assert set(map(type, labels.values())) <= {int, bool, type(None)}


def test_depth_is_that_of_what_is_read(shipped: list[GoldTrace], shipped_registry: DomainRegistry) -> None:
    """Depth is 0 where nothing is read, 1 where no read needs another, and never more than the depth of the plan."""
    for trace in shipped:
        tools = shipped_registry.domain(trace.request.domain).tools
        reads = [
            call
            for call in trace.graph.calls
            if tools[call.tool_id].operation in ("list", "get", "aggregate", "export")
        ]
        depth = to_encoder_row(trace, shipped_registry)["minimal_scope"]["max_depth"]
        assert (depth == 0) == (not reads)
        assert depth <= min(len(reads), trace.graph.depth())
        if depth == 1:
            assert all("$" not in str(call.arguments) for call in reads)


def test_a_period_of_no_days_is_one_day(observed: list[GoldTrace], registry: DomainRegistry) -> None:
    """A date range of 0 days is refused by those who read the labels; a call that looks at today only takes a day."""
    trace = longest(observed, "renew")
    call = trace.graph.calls[0]
    for days, expected in ((0, 1), (9, 9), (None, None)):
        other = with_call(trace, replace_fields(call, scope=replace_fields(call.scope, time_range_days=days)))
        assert to_encoder_row(other, registry)["minimal_scope"]["date_range_days"] == expected


def test_a_node_is_trusted_no_more_than_its_arguments(observed: list[GoldTrace], registry: DomainRegistry) -> None:
    """The tier of a node is the worst of the call's provenance and of the sources of its arguments."""
    trace = longest(observed, "renew")
    call = trace.graph.calls[0]
    for tier, expected in ((None, 1), (TrustTier.VERIFIED_RAG, 2), (TrustTier.UNVERIFIED_RAG, 3)):
        source = ArgumentSource(argument="member", origin="call", trust_tier=tier)
        row = to_encoder_row(with_call(trace, replace_fields(call, argument_sources=[source])), registry)
        assert row["execution_plan"]["nodes"][0]["provenance_tier"] == expected


def test_declined_traces_have_all_labels(observed: list[GoldTrace], registry: DomainRegistry) -> None:
    """A trace without calls reads nothing; its row says what became of the request."""
    trace = observed[0]
    graph = replace_fields(trace.graph, calls=[], execution_order=[])
    row = to_encoder_row(replace_fields(trace, graph=graph, outcome=Outcome(kind="declined")), registry)

    assert row["outcome"] == "declined"
    assert row["execution_plan"] == {"nodes": [], "edges": []}
    assert row["minimal_scope"]["max_depth"] == 0
    assert row["minimal_scope"]["include_sensitive"] is False


def test_unknown_tools_count_as_reads(observed: list[GoldTrace], registry: DomainRegistry) -> None:
    """Of a domain that the catalogue does not have, depth is that of references."""
    trace = longest(observed, "renew")
    elsewhere = replace_fields(trace, request=replace_fields(trace.request, domain="Elsewhere"))
    assert to_encoder_row(elsewhere, registry)["minimal_scope"]["max_depth"] == 3
