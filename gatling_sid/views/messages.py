"""The form of a trace for fine-tuning chat models that use tools."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from gatling_sid.models import GoldTrace, ToolSchema


def to_messages(trace: GoldTrace, tools: Iterable[ToolSchema]) -> dict[str, Any]:
    """The trace in the form that chat trainers read: `messages` with `tool_calls`, and `tools`.

    The policy is the system message, the request is the user message, and the plan is one assistant message with the
    calls in execution order. References to results of earlier calls are kept. A function's name is the tool's id
    with `__` instead of `.`, since trainers do not allow dots.
    """
    policy, by_id = trace.policy, {call.call_id: call for call in trace.graph.calls}
    rules = "\n".join(f"- {rule}" for rule in policy.rules)
    role = f"\n\nThe user's role: {trace.request.principal.role}." if trace.request.principal else ""
    calls = [
        {
            "id": call.call_id,
            "type": "function",
            "function": {
                "name": call.tool_id.replace(".", "__"),
                "arguments": json.dumps(call.arguments, ensure_ascii=False),
            },
        }
        for call in (by_id[call_id] for call_id in trace.graph.execution_order)
    ]
    return {
        "messages": [
            {"role": "system", "content": f"{policy.description}\n\n{rules}{role}"},
            {"role": "user", "content": trace.request.text},
            {"role": "assistant", "content": "", "tool_calls": calls},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": tool.tool_id.replace(".", "__"),
                    "description": tool.description,
                    "parameters": tool.json_schema(),
                },
            }
            for tool in tools
        ],
    }
