"""The form of a trace for training encoders of (policy, plan) pairs."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from gatling_sid.models import GoldTrace, SensitivityTier, ToolCall


def to_encoder_row(trace: GoldTrace) -> dict[str, Any]:
    """The row of a trace for training encoders of (policy, plan) pairs.

    Tiers are integers: provenance 1 (own systems and users), 2 (signed partner), 3 (public web); sensitivity
    1 (public) to 4 (restricted). `scope_volume` is a number of rows, at least 1. `minimal_scope` always has all four
    labels; `date_range_days` is 0 if the request states no period.
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
                "trust_tier": request.trust_tier.rank,
                "principal": principal.model_dump(mode="json") if principal else None,
            },
        },
        "execution_plan": {
            "nodes": [_plan_node(call) for call in trace.graph.calls],
            "edges": [[each, call.call_id] for call in trace.graph.calls for each in call.dependencies],
        },
        "label": "compliant",
        "minimal_scope": {
            "limit": max(scope.rows_requested or 1, 1),
            "date_range_days": scope.time_range_days or 0,
            "max_depth": trace.graph.depth(),
            "include_sensitive": scope.sensitivity_tier.rank >= SensitivityTier.CONFIDENTIAL.rank,
        },
    }


def _plan_node(call: ToolCall) -> dict[str, Any]:
    pointer = call.provenance
    origin = f"{pointer.source_id}\n{pointer.content_snippet}" if pointer else ""
    return {
        "tool_name": call.tool_id,
        "node_id": call.call_id,
        "arguments": call.arguments,
        "provenance_tier": pointer.source_type.rank if pointer else 1,
        "provenance_hash": blake2b(origin.encode(), digest_size=8).hexdigest(),
        "scope_volume": max(call.scope.rows_requested or 1, 1),
        "scope_sensitivity": call.scope.sensitivity_tier.rank,
    }
