"""Which tools may not be called: by a constraint, or by the policy's list of forbidden operations."""

from __future__ import annotations

from collections.abc import Iterator

from gatling_sid.schemas import constraints as k
from gatling_sid.validators.trace_context import TraceContext


def may_not_call(forbidden: k.MayNotCall, context: TraceContext) -> Iterator[str]:
    """No call uses one of the forbidden tools."""
    for call in context.bound_calls(forbidden):
        whom = context.role if forbidden.roles else "everyone"
        yield f"{call.call_id} calls {call.tool_id}, which is forbidden to {whom}"


def forbidden_operations_are_absent(context: TraceContext) -> Iterator[str]:
    """No call is of a forbidden operation, given as tool id, tool name, operation, or first word of the tool's name."""
    forbidden = {each.casefold(): each for each in context.trace.policy.forbidden_operations}
    for call in context.trace.graph.calls if forbidden else ():
        tool_id = call.tool_id.casefold()
        name = tool_id.rpartition(".")[2]
        operation = context.tools[call.tool_id].tool.operation if call.tool_id in context.tools else ""
        for each in {tool_id, name, name.partition("_")[0], operation} & forbidden.keys():
            yield f"{call.call_id} calls {call.tool_id}; {forbidden[each]!r} is forbidden"
