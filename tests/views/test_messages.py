"""Chats have the content of their traces, in the form that trainers and chat templates read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from gatling_sid.models import Constraint, GoldTrace, Outcome, SystemPolicy, replace_fields
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import Domain
from gatling_sid.validators.trace_context import TraceContext
from gatling_sid.views import to_messages


def longest(traces: list[GoldTrace]) -> GoldTrace:
    """The trace with the most calls."""
    return max(traces, key=lambda trace: len(trace.graph.calls))


def chat_calls(chat: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All calls of a chat, in their order."""
    return (call for message in chat["messages"] for call in message.get("tool_calls", ()))


def test_a_chat_is_policy_request_calls_with_results_and_outcome(observed: list[GoldTrace], library: Domain) -> None:
    """Each call is a message of the assistant, followed by its result; what became of the request comes last."""
    trace = longest(observed)
    chat = to_messages(trace, library.schemas)
    steps = len(trace.graph.calls)

    assert steps > 1
    assert [message["role"] for message in chat["messages"]] == [
        "system", "user", *["assistant", "tool"] * steps, "assistant",
    ]  # fmt: skip
    assert chat["messages"][1] == {"role": "user", "content": trace.request.text}
    for step, result, call_id in zip(
        chat["messages"][2:-1:2], chat["messages"][3:-1:2], trace.graph.execution_order, strict=True
    ):
        call = next(each for each in trace.graph.calls if each.call_id == call_id)
        observation = next(each for each in trace.observations or () if each.call_id == call_id)
        (tool_call,) = step["tool_calls"]
        assert step["content"] is None
        assert tool_call["function"]["name"] == result["name"] == call.tool_id.replace(".", "__")
        assert tool_call["id"] == result["tool_call_id"]
        assert json.loads(result["content"]) == observation.result
    assert chat["messages"][-1]["content"]


def test_the_system_message_has_policy_day_and_principal(observed: list[GoldTrace], library: Domain) -> None:
    """Everything that a plan depends on is in it: description, rules, the day with its name, every attribute."""
    for trace in observed[:50]:
        text, principal = to_messages(trace, library.schemas)["messages"][0]["content"], trace.request.principal
        today = date.fromisoformat(trace.metadata["today"])
        assert principal is not None
        assert text.startswith(trace.policy.description)
        assert all(f"\n- {rule}\n" in text for rule in trace.policy.rules)
        assert f"\n\nToday is {today:%A}, {today.day} {today:%B} {today.year}" in text
        assert f"\n\nThe user is {principal.attributes['name']}, whose role is {principal.role}.\n" in text
        assert {f"{key}: {value}" for key, value in principal.attributes.items()} <= {*text.splitlines()}


def test_the_time_is_stated_where_a_rule_binds_the_hour(observed: list[GoldTrace], library: Domain) -> None:
    """Whether a rule of hours holds follows from the system message; without such a rule, the day is enough."""
    trace = observed[0]
    rule = Constraint(constraint_id="open", kind="hours", rule=0, parameters={})
    for constraints in ([], [rule]):
        policy = replace_fields(trace.policy, constraints=constraints)
        text = to_messages(replace_fields(trace, policy=policy), library.schemas)["messages"][0]["content"]
        assert bool(re.search(r"; the time is \d\d:\d\d UTC\.", text)) == bool(constraints)


def test_arguments_are_the_values_that_the_replay_used(
    shipped: list[GoldTrace], shipped_registry: DomainRegistry
) -> None:
    """References are replaced by what they lead to, so that calls in a chat could be executed as they are."""
    for trace in shipped:
        chat = to_messages(trace, shipped_registry.domain(trace.request.domain).schemas, registry=shipped_registry)
        execution = TraceContext(trace, shipped_registry).execution
        assert execution is not None
        expected = [execution.arguments[call_id] for call_id in trace.graph.execution_order]
        assert [call["function"]["arguments"] for call in chat_calls(chat)] == expected


def test_call_ids_and_names_are_what_templates_accept(
    shipped: list[GoldTrace], shipped_registry: DomainRegistry
) -> None:
    """Ids are nine letters and digits, different in every chat; names are those of the tools and have no dot."""
    ids = []
    for trace in shipped:
        tools = shipped_registry.domain(trace.request.domain).schemas
        chat = to_messages(trace, tools, registry=shipped_registry)
        assert chat == to_messages(trace, tools, registry=shipped_registry)
        assert json.loads(json.dumps(chat)) == chat
        names = {tool["function"]["name"] for tool in chat["tools"]}
        assert {call["function"]["name"] for call in chat_calls(chat)} <= names
        assert all(re.fullmatch(r"\w{1,64}", name, re.ASCII) for name in names)
        ids += [call["id"] for call in chat_calls(chat)]
    assert len({*ids}) == len(ids)
    assert all(re.fullmatch(r"[a-zA-Z0-9]{9}", each) for each in ids)


def test_parallel_calls_depend_on_nothing_unanswered(
    shipped: list[GoldTrace], shipped_registry: DomainRegistry
) -> None:
    """With `parallel_calls`, a message has all calls whose dependencies are answered, and all results follow it."""
    joined = 0
    for trace in shipped:
        tools = shipped_registry.domain(trace.request.domain).schemas
        chats = [to_messages(trace, tools, parallel_calls=each, registry=shipped_registry) for each in (True, False)]
        id_of = {call["id"]: call_id for call, call_id in zip(
            chat_calls(chats[1]), trace.graph.execution_order, strict=True,
        )}  # fmt: skip
        by_id = {call.call_id: call for call in trace.graph.calls}
        answered: set[str] = set()
        for message in chats[0]["messages"]:
            new = [id_of[call["id"]] for call in message.get("tool_calls", ())]
            assert all({*by_id[each].dependencies} <= answered for each in new)
            joined += len(new) > 1
            if message["role"] == "tool":
                answered.add(id_of[message["tool_call_id"]])
        assert answered == {*by_id}
    assert joined


def test_arguments_can_be_text_and_messages_with_calls_have_any_content(
    observed: list[GoldTrace], library: Domain
) -> None:
    """Some templates read arguments as JSON text, and some read the content of every message as text."""
    trace = longest(observed)
    plain = to_messages(trace, library.schemas)
    other = to_messages(trace, library.schemas, arguments_as_text=True, call_content="")

    assert [json.loads(call["function"]["arguments"]) for call in chat_calls(other)] == [
        call["function"]["arguments"] for call in chat_calls(plain)
    ]
    assert {message["content"] for message in other["messages"] if "tool_calls" in message} == {""}


def test_a_trace_without_calls_needs_no_observations(observed: list[GoldTrace], library: Domain) -> None:
    """What was declined has a system message, a request and an outcome."""
    trace = observed[0]
    empty = replace_fields(trace.graph, calls=[], execution_order=[])
    outcome = Outcome(kind="needs_question", reason="Which of the two do you mean?")
    chat = to_messages(replace_fields(trace, graph=empty, outcome=outcome, observations=None), library.schemas)

    assert [message["role"] for message in chat["messages"]] == ["system", "user", "assistant"]
    assert chat["messages"][-1] == {"role": "assistant", "content": "Which of the two do you mean?"}


def test_a_trace_of_others_needs_no_day_and_no_principal(observed: list[GoldTrace], library: Domain) -> None:
    """What a trace does not have is left out of the system message."""
    trace = observed[0]
    request = replace_fields(trace.request, principal=None)
    policy = SystemPolicy(policy_id="p", domain="Library", rules=["Nothing is deleted."])
    bare = replace_fields(trace, request=request, policy=policy, metadata={})

    content = to_messages(bare, library.schemas)["messages"][0]["content"]
    assert content.splitlines()[1:] == ["- Nothing is deleted."]
    assert content.startswith("These rules are in force.")


def test_missing_observations_are_an_error_that_says_what_to_do(observed: list[GoldTrace], library: Domain) -> None:
    """Without observations there are no results to show; they can also be passed."""
    trace = longest(observed)
    without = replace_fields(trace, observations=None)

    assert to_messages(without, library.schemas, observations=trace.observations) == to_messages(trace, library.schemas)
    with pytest.raises(ValueError, match="its reader left out the column `observations`: load this column too"):
        to_messages(without, library.schemas)
    with pytest.raises(ValueError, match=f"there is no observation of {trace.graph.execution_order[0]}"):
        to_messages(without, library.schemas, observations=[])
