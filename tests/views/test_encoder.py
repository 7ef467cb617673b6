"""Rows for encoders have the content of their traces."""

from __future__ import annotations

import json

from gatling_sid.models import GoldTrace
from gatling_sid.views import to_encoder_row


def longest(gold: list[GoldTrace], scenario: str) -> GoldTrace:
    """The gold trace of a scenario with the most calls."""
    return max((t for t in gold if t.metadata["scenario"] == scenario), key=lambda t: len(t.graph.calls))


def test_encoder_row_has_tiers_as_integers_and_every_label(gold: list[GoldTrace]) -> None:
    """Nodes, edges and the minimal scope follow from the trace, with tiers as integers and no label missing."""
    trace = longest(gold, "renew")
    row = to_encoder_row(trace)

    assert json.loads(json.dumps(row)) == row
    assert row["governance_context"]["user_role"] == trace.request.principal.role  # type: ignore[union-attr]
    assert row["governance_context"]["policy"]["rules"] == trace.policy.rules
    assert [node["tool_name"] for node in row["execution_plan"]["nodes"]] == [c.tool_id for c in trace.graph.calls]
    assert row["execution_plan"]["edges"] == [
        ["call_1", "call_2"], ["call_1", "call_3"], ["call_2", "call_3"], ["call_3", "call_4"],
    ]  # fmt: skip
    assert {node["provenance_tier"] for node in row["execution_plan"]["nodes"]} == {1}
    assert {node["scope_sensitivity"] for node in row["execution_plan"]["nodes"]} == {2}
    assert len({node["provenance_hash"] for node in row["execution_plan"]["nodes"]}) == 3
    assert row["minimal_scope"] == {"limit": 1, "date_range_days": 0, "max_depth": 4, "include_sensitive": False}
    assert row["label"] == "compliant"


def test_every_row_has_all_four_scope_labels(gold: list[GoldTrace]) -> None:
    """Every row has all labels of the minimal scope, and periods are in days."""
    rows = [to_encoder_row(trace) for trace in gold]

    assert all(set(map(type, row["minimal_scope"].values())) <= {int, bool} for row in rows)
    assert all(node["scope_volume"] >= 1 for row in rows for node in row["execution_plan"]["nodes"])
    counted = longest(gold, "busiest_titles")
    assert to_encoder_row(counted)["minimal_scope"]["date_range_days"] == counted.graph.calls[0].arguments["days"]
