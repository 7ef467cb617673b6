"""The form of a trace for training encoders of (policy, plan) pairs."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any

from gatling_sid.models import GoldTrace, SensitivityTier, ToolCall
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.references import references_in

_READING = frozenset({"list", "get", "aggregate", "export"})
"""Operations that read rows; the others change rows or write messages."""


def to_encoder_row(
    trace: GoldTrace, registry: DomainRegistry | None = None, *, label: str | None = None
) -> dict[str, Any]:
    """The row of a trace for training encoders of (policy, plan) pairs.

    Tiers are integers: provenance 1 (own systems and users), 2 (signed partner), 3 (public web); sensitivity
    1 (public) to 4 (restricted). `scope_volume` is a number of rows, at least 1. `minimal_scope` always has all four
    labels, which bound every call; `date_range_days` is None if there is no period. The registry says which tools
    read; without one, it is the shipped catalogue. The label of a validated trace is "compliant"; that of any other,
    such as one that obeys a lure, is None unless `label` gives it.
    """
    request, principal = trace.request, trace.request.principal
    role = principal.role if principal else ""
    return {
        "trace_id": trace.trace_id,
        "governance_context": {
            "policy": trace.policy.model_dump(mode="json"),
            "user_role": role,
            "session_context": {
                "domain": request.domain,
                "role": role,
                "today": trace.metadata.get("today"),
                "trust_tier": request.trust_tier.rank,
                "principal": principal.model_dump(mode="json") if principal else None,
            },
        },
        "execution_plan": {
            "nodes": [_plan_node(call) for call in trace.graph.calls],
            "edges": [[each, call.call_id] for call in trace.graph.calls for each in call.dependencies],
        },
        "label": label or ("compliant" if trace.validated else None),
        "outcome": trace.outcome.kind if trace.outcome else "served",
        "minimal_scope": _minimal_scope(trace, registry or _shipped_registry()),
    }


@lru_cache(maxsize=1)
def _shipped_registry() -> DomainRegistry:
    return DomainRegistry()


def _plan_node(call: ToolCall) -> dict[str, Any]:
    pointer = call.provenance
    origin = f"{pointer.source_id}\n{pointer.content_snippet}" if pointer else ""
    return {
        "tool_name": call.tool_id,
        "node_id": call.call_id,
        "arguments": call.arguments,
        "provenance_tier": _provenance_tier(call),
        "provenance_hash": blake2b(origin.encode(), digest_size=8).hexdigest(),
        "scope_volume": max(call.scope.rows_requested or 1, 1),
        "scope_sensitivity": call.scope.sensitivity_tier.rank,
    }


def _provenance_tier(call: ToolCall) -> int:
    """The worst rank of what a call rests on: why it is made, and where its arguments come from."""
    tiers = [call.provenance.source_type] if call.provenance else []
    tiers += [each.trust_tier for each in call.argument_sources if each.trust_tier is not None]
    return max((each.rank for each in tiers), default=1)


# --- the labels of the minimal scope ---------------------------------------------------------------------------


def _minimal_scope(trace: GoldTrace, registry: DomainRegistry) -> dict[str, Any]:
    calls = [call.scope for call in trace.graph.calls]
    scopes = [trace.request.expected_scope, *calls]
    periods = [each.time_range_days for each in scopes if each.time_range_days is not None]
    return {
        "limit": max(1, *(each.rows_requested or 1 for each in scopes)),
        "date_range_days": max(1, *periods) if periods else None,
        "max_depth": _reading_depth(trace, registry),
        "include_sensitive": any(each.sensitivity_tier.rank >= SensitivityTier.CONFIDENTIAL.rank for each in calls),
    }


def _reading_depth(trace: GoldTrace, registry: DomainRegistry) -> int:
    """The largest number of reads of which each takes an argument from the one before; 0 if nothing is read.

    An argument may also have passed through a change. A tool that the catalogue does not have counts as a read.
    """
    name = trace.request.domain
    tools = registry.domain(name).tools if registry.has_domain(name) else {}
    by_id = {call.call_id: call for call in trace.graph.calls}
    depths: dict[str, int] = {}
    for call_id in trace.graph.execution_order:
        call = by_id[call_id]
        roots = {reference.root for value in call.arguments.values() for reference in references_in(value)}
        reads = call.tool_id not in tools or tools[call.tool_id].operation in _READING
        depths[call_id] = max((depths.get(each, 0) for each in roots), default=0) + reads
    return max(depths.values(), default=0)
