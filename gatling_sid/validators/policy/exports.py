"""Where exports may go, and how sensitive the exported data may be."""

from __future__ import annotations

from collections.abc import Iterator

from gatling_sid.models import ToolCall
from gatling_sid.schemas import constraints as k
from gatling_sid.schemas.references import references_in
from gatling_sid.validators.policy.reads import tier_taken
from gatling_sid.validators.trace_context import TraceContext


def export_targets(limit: k.ExportTargets, context: TraceContext) -> Iterator[str]:
    """Exports go to allowed targets only."""
    for call in context.bound_calls(limit):
        for target in sorted(targets_of(context, call) - set(limit.allowed)):
            yield f"{call.call_id} exports to {target}; allowed are {', '.join(limit.allowed) or 'none'}"


def export_sensitivity(limit: k.ExportSensitivity, context: TraceContext) -> Iterator[str]:
    """No data above the tier is exported to these targets."""
    for call in context.bound_calls(limit):
        tier = tier_taken(context, call)
        if targets_of(context, call) & set(limit.targets) and tier.rank > limit.max_tier.rank:
            yield f"{call.call_id} exports {tier.value} data; at most {limit.max_tier.value} is allowed"


def targets_of(context: TraceContext, call: ToolCall) -> set[str]:
    """The targets that a call exports to: the declared one and, if the tool is known, its argument or default."""
    tool = context.tools.get(call.tool_id)
    name = tool.parameter_for.get("target") if tool is not None else None
    if name is None and call.scope.export_target is None:
        return set()
    argument = context.argument_value(call, name) if name is not None else None
    return {each for each in (call.scope.export_target, argument) if isinstance(each, str) and not references_in(each)}
