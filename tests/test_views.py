"""Derived views say what the record says."""

from __future__ import annotations

import json

from gatling_sid.models import GoldTrace
from gatling_sid.schemas.domain import Domain
from gatling_sid.views import to_encoder_row, to_messages


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
    """No trace leaves a label of the minimal scope unset, and periods are labelled in days."""
    rows = [to_encoder_row(trace) for trace in gold]

    assert all(set(map(type, row["minimal_scope"].values())) <= {int, bool} for row in rows)
    assert all(node["scope_volume"] >= 1 for row in rows for node in row["execution_plan"]["nodes"])
    counted = longest(gold, "busiest_titles")
    assert to_encoder_row(counted)["minimal_scope"]["date_range_days"] == counted.graph.calls[0].arguments["days"]


def test_messages_are_what_chat_trainers_read(gold: list[GoldTrace], library: Domain) -> None:
    """Policy, request and plan become system, user and assistant messages; tools become JSON schemas."""
    trace = longest(gold, "overdue_of_member")
    chat = to_messages(trace, library.schemas)

    assert [message["role"] for message in chat["messages"]] == ["system", "user", "assistant"]
    assert all(rule in chat["messages"][0]["content"] for rule in trace.policy.rules)
    assert chat["messages"][1]["content"] == trace.request.text
    calls = chat["messages"][2]["tool_calls"]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [c.arguments for c in trace.graph.calls]
    names = {tool["function"]["name"] for tool in chat["tools"]}
    assert {call["function"]["name"] for call in calls} <= names
    assert all("." not in name for name in names)


def test_depth_counts_the_longest_chain(gold: list[GoldTrace]) -> None:
    """Calls side by side do not add up."""
    assert longest(gold, "renew").graph.depth() == 4
    assert longest(gold, "busiest_titles").graph.depth() == 1
