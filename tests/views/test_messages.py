"""Chat messages have the content of their traces."""

from __future__ import annotations

import json

from gatling_sid.models import GoldTrace
from gatling_sid.schemas.domain import Domain
from gatling_sid.views import to_messages


def test_messages_are_what_chat_trainers_read(gold: list[GoldTrace], library: Domain) -> None:
    """Policy, request and plan become system, user and assistant messages; tools become JSON schemas."""
    trace = next(
        trace for trace in gold if trace.metadata["scenario"] == "overdue_of_member" and len(trace.graph.calls) > 1
    )
    chat = to_messages(trace, library.schemas)

    assert [message["role"] for message in chat["messages"]] == ["system", "user", "assistant"]
    assert all(rule in chat["messages"][0]["content"] for rule in trace.policy.rules)
    assert chat["messages"][1]["content"] == trace.request.text
    calls = chat["messages"][2]["tool_calls"]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [c.arguments for c in trace.graph.calls]
    names = {tool["function"]["name"] for tool in chat["tools"]}
    assert {call["function"]["name"] for call in calls} <= names
    assert all("." not in name for name in names)
