"""Who must receive a message after a change or a read, and which addresses may receive messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gatling_sid.models import ToolCall
from gatling_sid.schemas import constraints as k
from gatling_sid.simulator.world import Row
from gatling_sid.validators.policy.changes import changed_rows
from gatling_sid.validators.trace_context import TraceContext


def notify_after(notice: k.NotifyAfter, context: TraceContext) -> Iterator[str]:
    """After each use of a row, a later call of the notifying tool sends a message about it to the row's address."""
    own = context.principal_value(notice.unless_own) if notice.unless_own else None
    for call in context.bound_calls(notice):
        rows = _rows_to_notify_about(notice, context, call)
        notices = _notices_after(notice, call.call_id, context) if rows else set()
        for key, row in rows:
            address = row.get(notice.recipient_field)
            if (address, key) not in notices and (own is None or address != own):
                yield f"{call.call_id} uses {notice.entity} {key}, but no later call of {notice.notify} notifies {address}"


def _rows_to_notify_about(notice: k.NotifyAfter, context: TraceContext, call: ToolCall) -> list[tuple[str, Row]]:
    """(key, row) of the rows that a call changes or, if the rule names its tool, that it returns or exports."""
    result = context.results.get(call.call_id)
    if notice.tools is None or result is None:
        return list(changed_rows(context, call, notice.entity))
    return list(result.rows) if result.entity == notice.entity and result.measured_rows is None else []


def _notices_after(notice: k.NotifyAfter, call_id: str, context: TraceContext) -> set[tuple[Any, str]]:
    """(address, key of the row) of every notice sent by calls that must run after this one."""
    later = [
        each
        for each in context.ordered_calls
        if each.tool_id == notice.notify and call_id in context.ancestors(each.call_id)
    ]
    effects = [
        effect for call in later if call.call_id in context.results for effect in context.results[call.call_id].effects
    ]
    return {(effect.target, key) for effect in effects if effect.entity == notice.entity for key in effect.rows}


def recipients(limit: k.Recipients, context: TraceContext) -> Iterator[str]:
    """Messages go only to addresses with an allowed ending."""
    for call in context.bound_calls(limit):
        result = context.results.get(call.call_id)
        for effect in result.effects if result else ():
            if effect.kind == "send" and not limit.allows(str(effect.target)):
                yield f"{call.call_id} writes to {effect.target}; allowed are addresses ending in {', '.join(limit.endings)}"
