"""How diverse a set of traces is: domains, intents, tools, scopes, plan shapes, policies with roles, and texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from gatling_sid.models import GoldTrace
from gatling_sid.schemas.references import references_in


class _Spread:
    """The minimum, mean and maximum of a stream of numbers, without keeping the numbers."""

    def __init__(self) -> None:
        self.number, self.total, self.low, self.high = 0, 0.0, None, None

    def add(self, value: float) -> None:
        self.number += 1
        self.total += value
        self.low = value if self.low is None else min(self.low, value)  # type: ignore[assignment]
        self.high = value if self.high is None else max(self.high, value)  # type: ignore[assignment]

    def summary(self) -> dict[str, float | None]:
        mean = round(self.total / self.number, 3) if self.number else None
        return {"min": self.low, "mean": mean, "max": self.high}


def measure_diversity(traces: Iterable[GoldTrace]) -> dict[str, Any]:
    """Counts, and the minimum, mean and maximum of numbers, over traces, which are read once.

    Memory grows with the number of distinct values, not with the number of traces.
    """
    domains, intents, tools, roles = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    sensitivity = Counter[str]()
    shapes, tool_sets, contexts, texts = set[Any](), set[Any](), set[Any](), set[int]()
    rows, days, calls, depths = _Spread(), _Spread(), _Spread(), _Spread()
    total = multi_call = with_references = 0
    for trace in traces:
        total += 1
        request, graph = trace.request, trace.graph
        role = request.principal.role if request.principal else ""
        domains[request.domain] += 1
        intents[request.intent_category] += 1
        roles[role] += 1
        sensitivity[request.expected_scope.sensitivity_tier.value] += 1
        tools.update(call.tool_id for call in graph.calls)
        texts.add(hash(request.text))
        contexts.add((trace.policy.policy_id, role))
        tool_sets.add(frozenset(call.tool_id for call in graph.calls))
        position = {call.call_id: at for at, call in enumerate(graph.calls)}
        shapes.add(tuple((c.tool_id, tuple(position.get(d, -1) for d in c.dependencies)) for c in graph.calls))
        if request.expected_scope.rows_requested is not None:
            rows.add(request.expected_scope.rows_requested)
        if request.expected_scope.time_range_days is not None:
            days.add(request.expected_scope.time_range_days)
        calls.add(len(graph.calls))
        depths.add(graph.depth())
        multi_call += len(graph.calls) > 1
        with_references += any(references_in(value) for call in graph.calls for value in call.arguments.values())
    return {
        "total_traces": total,
        "unique_domains": len(domains),
        "domain_distribution": dict(sorted(domains.items())),
        "unique_intents": len(intents),
        "intent_distribution": dict(sorted(intents.items())),
        "unique_tools": len(tools),
        "tool_distribution": dict(sorted(tools.items())),
        "role_distribution": dict(sorted(roles.items())),
        "scope_stats": {
            "rows_requested": rows.summary(),
            "time_range_days": days.summary(),
            "sensitivity_distribution": dict(sorted(sensitivity.items())),
        },
        "graph_complexity": {
            "calls": calls.summary(),
            "depth": depths.summary(),
            "multi_call_share": round(multi_call / total, 4) if total else 0.0,
            "data_flow_share": round(with_references / multi_call, 4) if multi_call else 0.0,
        },
        "unique_plan_shapes": len(shapes),
        "unique_tool_sets": len(tool_sets),
        "unique_governance_contexts": len(contexts),
        "unique_texts": len(texts),
    }
