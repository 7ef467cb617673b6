"""Who must receive a message after a change, and which addresses may receive messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gatling_sid.schemas import constraints as k
from gatling_sid.validators.policy.changes import changed_rows
from gatling_sid.validators.trace_context import TraceContext


def notify_after(notice: k.NotifyAfter, context: TraceContext) -> Iterator[str]:
    """After each change of a row, a later call of the notifying tool sends a message about it to the row's address."""
    for call in context.bound_calls(notice):
        rows = list(changed_rows(context, call, notice.entity))
        notices = _notices_after(notice, call.call_id, context) if rows else set()
        for key, row in rows:
            address = row.get(notice.recipient_field)
            if (address, key) not in notices:
                yield f"{call.call_id} changes {notice.entity} {key}, but no later call of {notice.notify} notifies {address}"


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
            if effect.kind == "send" and not any(ends_with(str(effect.target), each) for each in limit.endings):
                yield f"{call.call_id} writes to {effect.target}; allowed are addresses ending in {', '.join(limit.endings)}"


def ends_with(address: str, ending: str) -> bool:
    """Whether an address is at a host or equals it: `elm.example` allows `a@b.elm.example`, but not `a@helm.example`."""
    address, ending = (each.strip().rstrip(".").casefold() for each in (address, ending))
    if not ending:
        return False
    suffixes = ending if ending[0] in "@." else (f"@{ending}", f".{ending}")
    return address == ending or (address.count("@") == 1 and address.endswith(suffixes))
