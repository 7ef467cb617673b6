"""Other shapes of a trace, derived from the record and never stored: for encoders of plans, and for chat trainers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from gatling_sid.models import GoldTrace, SensitivityTier, ToolCall, ToolSchema


def to_encoder_row(trace: GoldTrace) -> dict[str, Any]:
    """The row that encoders of (policy, plan) pairs read.

    Tiers are integers: provenance 1 own systems and users, 2 signed partner, 3 public web; sensitivity 1 public to
    4 restricted. `scope_volume` is at least 1. `minimal_scope` has all four labels set; a request that looks at no
    period has `date_range_days` 0.
    """
    request, principal = trace.request, trace.request.principal
    scope = request.expected_scope
    return {
        "governance_context": {
            "policy": trace.policy.model_dump(mode="json"),
            "user_role": principal.role if principal else "",
            "session_context": {
                "domain": request.domain,
                "today": trace.metadata.get("today"),
                "trust_tier": request.trust_tier.tier,
                "principal": principal.model_dump(mode="json") if principal else None,
            },
        },
        "execution_plan": {
            "nodes": [_node(call) for call in trace.graph.calls],
            "edges": [[each, call.call_id] for call in trace.graph.calls for each in call.dependencies],
        },
        "label": "compliant",
        "minimal_scope": {
            "limit": max(scope.rows_requested or 1, 1),
            "date_range_days": scope.time_range_days or 0,
            "max_depth": trace.graph.depth(),
            "include_sensitive": scope.sensitivity_tier.level >= SensitivityTier.CONFIDENTIAL.level,
        },
    }


def _node(call: ToolCall) -> dict[str, Any]:
    pointer = call.provenance
    asked = f"{pointer.source_id}\n{pointer.content_snippet}" if pointer else ""
    return {
        "tool_name": call.tool_id,
        "node_id": call.call_id,
        "arguments": call.arguments,
        "provenance_tier": pointer.source_type.tier if pointer else 1,
        "provenance_hash": blake2b(asked.encode(), digest_size=8).hexdigest(),
        "scope_volume": max(call.scope.rows_requested or 1, 1),
        "scope_sensitivity": call.scope.sensitivity_tier.level,
    }


def to_messages(trace: GoldTrace, tools: Iterable[ToolSchema]) -> dict[str, Any]:
    """The chat form that trainers of tool-using models expect: `messages` with `tool_calls`, and `tools`.

    The policy is the system message, the request the user's, the plan one assistant message whose calls are in
    execution order. References to results not yet known stay as they are written. Function names are the tools' ids
    with `.` as `__`, since trainers allow no dots.
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
