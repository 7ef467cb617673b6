"""The form of a trace for fine-tuning chat models that use tools."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from hashlib import blake2b
from string import ascii_letters, digits
from typing import Any

from gatling_sid.models import GoldTrace, Observation, Principal, ToolCall, ToolSchema
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.references import references_in
from gatling_sid.views.outcome_text import describe_outcome
from gatling_sid.views.resolved_calls import ResolvedCall, resolve_calls

Message = dict[str, Any]
"""One message of a chat, as JSON."""

_IN_FORCE = "These rules are in force. Where one names an event, such as a freeze or a review, it is going on now."
_ID_CHARACTERS = ascii_letters + digits
_ID_LENGTH = 9
"""Templates of the Mistral family refuse call ids that are not nine letters and digits."""


def to_messages(
    trace: GoldTrace,
    tools: Iterable[ToolSchema],
    *,
    parallel_calls: bool = False,
    arguments_as_text: bool = False,
    call_content: str | None = None,
    observations: Sequence[Observation] | None = None,
    registry: DomainRegistry | None = None,
) -> dict[str, Any]:
    """The trace in the form that chat trainers read: `messages` with `tool_calls` and their results, and `tools`.

    The system message has the policy, today's date and the principal; the user message is the request. Then every call
    is an assistant message, followed by its result; `parallel_calls` joins calls that do not depend on each other into
    one message. The last message says what became of the request. Arguments are objects, with references replaced by
    values; `arguments_as_text` writes them as JSON text, which templates of DeepSeek need. `call_content` is the content
    of messages with calls: None as in OpenAI's API, or "", which templates of GLM, GPT-OSS, LFM2 and Qwen-VL need.
    A function's name is the tool's id with `__` instead of `.`, since trainers do not allow dots.

    `observations` replaces those of the trace. If a plan passes on rows that its observations omit, the trace is
    replayed with `registry`, and the result has all its rows.

    Raises:
        ValueError: the trace has no observations, or omitted rows are needed and the trace cannot be replayed.

    """
    observed = trace.observations if observations is None else observations
    calls = resolve_calls(trace, observed, registry)
    groups = _parallel_groups(calls) if parallel_calls else [[each] for each in calls]
    turns = (_turn(trace, each, call_content, arguments_as_text=arguments_as_text) for each in groups)
    return {
        "messages": [
            {"role": "system", "content": _system_text(trace)},
            {"role": "user", "content": trace.request.text},
            *(message for turn in turns for message in turn),
            {"role": "assistant", "content": describe_outcome(trace, calls)},
        ],
        "tools": [_function(tool) for tool in tools],
    }


def _function_name(tool_id: str) -> str:
    return tool_id.replace(".", "__")


def _function(tool: ToolSchema) -> dict[str, Any]:
    function = {
        "name": _function_name(tool.tool_id), "description": tool.description, "parameters": tool.json_schema(),
    }  # fmt: skip
    return {"type": "function", "function": function}


# --- the system message ----------------------------------------------------------------------------------------


def _system_text(trace: GoldTrace) -> str:
    policy, principal = trace.policy, trace.request.principal
    rules = [_IN_FORCE, *(f"- {rule}" for rule in policy.rules)] if policy.rules else []
    parts = [policy.description, "\n".join(rules), _date_text(trace)]
    if principal is not None:
        parts.append("\n".join(_principal_lines(principal)))
    return "\n\n".join(each for each in parts if each)


def _date_text(trace: GoldTrace) -> str:
    """Today's date and, if a rule binds the hour, the time of the request."""
    today = trace.metadata.get("today")
    if not isinstance(today, str):
        return ""
    time = next(_times(trace), None) if any(each.kind == "hours" for each in trace.policy.constraints) else None
    day = date.fromisoformat(today)
    text = f"Today is {day:%A}, {day.day} {day:%B %Y}"
    return f"{text}; the time is {time:%H:%M} UTC." if time else f"{text}."


def _times(trace: GoldTrace) -> Iterator[datetime]:
    """When the calls are made, or would have been made."""
    refused = trace.outcome.refused_graph if trace.outcome else None
    for call in [*trace.graph.calls, *(refused.calls if refused else ())]:
        if call.provenance is not None and call.provenance.timestamp is not None:
            yield call.provenance.timestamp


def _principal_lines(principal: Principal) -> Iterator[str]:
    name = principal.attributes.get("name", principal.principal_id)
    yield f"The user is {name}, whose role is {principal.role}."
    for key, value in principal.attributes.items():
        yield f"{key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"


# --- calls and their results -----------------------------------------------------------------------------------


def _parallel_groups(calls: Sequence[ResolvedCall]) -> list[list[ResolvedCall]]:
    """The calls in groups; every call is in the first group that comes after all calls that it depends on."""
    group_of: dict[str, int] = {}
    groups: list[list[ResolvedCall]] = []
    for each in calls:
        at = max((group_of[call_id] + 1 for call_id in _needed_calls(each.call, group_of)), default=0)
        group_of[each.call.call_id] = at
        groups.extend([] for _ in range(at + 1 - len(groups)))
        groups[at].append(each)
    return groups


def _needed_calls(call: ToolCall, known: Mapping[str, int]) -> Iterator[str]:
    """Ids of the calls before this one that it depends on or refers to."""
    referenced = (reference.root for value in call.arguments.values() for reference in references_in(value))
    return (each for each in [*call.dependencies, *referenced] if each in known)


def _turn(
    trace: GoldTrace, calls: Sequence[ResolvedCall], content: str | None, *, arguments_as_text: bool
) -> Iterator[Message]:
    """The assistant message with some calls, and the messages with their results."""
    tool_calls = [_tool_call(trace, each, arguments_as_text=arguments_as_text) for each in calls]
    yield {"role": "assistant", "content": content, "tool_calls": tool_calls}
    for each in calls:
        yield {
            "role": "tool",
            "tool_call_id": _chat_id(trace, each.call),
            "name": _function_name(each.call.tool_id),
            "content": each.result_text,
        }


def _tool_call(trace: GoldTrace, resolved: ResolvedCall, *, arguments_as_text: bool) -> dict[str, Any]:
    arguments = resolved.arguments
    function = {
        "name": _function_name(resolved.call.tool_id),
        "arguments": json.dumps(arguments, ensure_ascii=False) if arguments_as_text else arguments,
    }
    return {"id": _chat_id(trace, resolved.call), "type": "function", "function": function}


def _chat_id(trace: GoldTrace, call: ToolCall) -> str:
    """The id of a call in the chat: nine letters and digits, which follow from the ids of trace and call."""
    number = int.from_bytes(blake2b(f"{trace.trace_id}\n{call.call_id}".encode(), digest_size=16).digest())
    characters = []
    for _ in range(_ID_LENGTH):
        number, at = divmod(number, len(_ID_CHARACTERS))
        characters.append(_ID_CHARACTERS[at])
    return "".join(characters)
