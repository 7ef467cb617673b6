"""A policy's short-form limits: what each name bounds, and whether a plan stays within it.

`max_results`, `maxRows` and `row_limit` say the same thing. Calls are judged by what they declare and by the limits
they state among their arguments, so that traces of domains the catalogue does not know are judged alike.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from gatling_sid.models import SensitivityTier, ToolCall
from gatling_sid.validators.policy.constraints import targets_of
from gatling_sid.validators.trace_context import TraceContext

_MOST_SHOWN = 5
"""Calls that a message names."""


class LimitKind(NamedTuple):
    """What a limit bounds: the form of its value, its value if it has that form, and what in a plan goes beyond it."""

    form: str
    read: Callable[[Any], Any]
    beyond: Callable[[Any, TraceContext], Iterator[str]]


def scope_limits_hold(case: TraceContext) -> Iterator[str]:
    """Every short-form limit has a name that is known and a value of its form, and the plan stays within it."""
    for name, value in case.trace.policy.scope_limits.items():
        bound = limit_kind_of(name)
        if bound is None:
            yield f"nothing can enforce a limit named {name!r}; known are {', '.join(sorted(LIMIT_KINDS))}"
        elif (limit := bound.read(value)) is None:
            yield f"the limit {name} is {value!r}; it must be {bound.form}"
        else:
            for breach in bound.beyond(limit, case):
                yield f"{breach}; the limit {name} is {_describe(value)}"


def unenforced_limits(case: TraceContext) -> list[str]:
    """Limits that some call says nothing of, though it could pass them, so that they cannot be held against it."""
    found = []
    for name in case.trace.policy.scope_limits:
        bound = limit_kind_of(name)
        silent = [call.call_id for call in case.trace.graph.calls if bound and _is_silent(case, call, bound)]
        if silent:
            found.append(f"the limit {name}: nothing is said of it by {', '.join(silent[:_MOST_SHOWN])}")
    return found


def _is_silent(case: TraceContext, call: ToolCall, bound: LimitKind) -> bool:
    """Whether a call neither declares what is bounded nor states it by an argument, and could be beyond any bound."""
    tool, verb = case.tools.get(call.tool_id), _verb(call)
    if bound is RECIPIENTS:
        return tool is None and verb in _WRITING and not _recipients_of(case, call)
    if bound is TARGETS:
        return tool is None and _exports(case, call) and not _targets_of(case, call)
    if bound not in (ROWS, EXPORTED_ROWS, DAYS) or (bound is EXPORTED_ROWS and not _exports(case, call)):
        return False
    takes_any = tool is None or (bound is not DAYS and tool.tool.operation in ("list", "export"))
    declared = call.scope.time_range_days if bound is DAYS else call.scope.rows_requested
    return takes_any and declared is None and not _stated_amounts(case, call, bound)


def _describe(value: Any) -> str:
    return ", ".join(map(str, value)) or "empty" if isinstance(value, list) else str(getattr(value, "value", value))


# --- values ----------------------------------------------------------------------------------------------------


def _number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and 0 <= value < math.inf else None


def _tier(value: Any) -> SensitivityTier | None:
    try:
        return SensitivityTier(value.casefold() if isinstance(value, str) else value)
    except ValueError:
        return None


def _texts(value: Any) -> list[str] | None:
    listed = [value] if isinstance(value, str) else value
    return listed if isinstance(listed, list) and all(isinstance(each, str) for each in listed) else None


# --- what goes beyond a limit ----------------------------------------------------------------------------------


def _rows(limit: float, case: TraceContext) -> Iterator[str]:
    for call in case.trace.graph.calls:
        rows = _rows_of(case, call, ROWS)
        if rows > limit:
            yield f"{call.call_id} takes {rows} rows"


def _exported_rows(limit: float, case: TraceContext) -> Iterator[str]:
    for call in case.trace.graph.calls:
        rows = _rows_of(case, call, EXPORTED_ROWS)
        if rows > limit and _exports(case, call):
            yield f"{call.call_id} exports {rows} rows"


def _days(limit: float, case: TraceContext) -> Iterator[str]:
    for call in case.trace.graph.calls:
        days = _most(case, call, call.scope.time_range_days, DAYS)
        if days > limit:
            yield f"{call.call_id} looks back {days} days"


def _tiers(limit: SensitivityTier, case: TraceContext) -> Iterator[str]:
    for call in case.trace.graph.calls:
        if call.scope.sensitivity_tier.level > limit.level:
            yield f"{call.call_id} takes {call.scope.sensitivity_tier.value} data"


def _targets(limit: list[str], case: TraceContext) -> Iterator[str]:
    for call in case.trace.graph.calls:
        for target in sorted(_targets_of(case, call) - set(limit)):
            yield f"{call.call_id} exports to {target}"


def _recipients(limit: float, case: TraceContext) -> Iterator[str]:
    reached = {each for call in case.trace.graph.calls for each in _recipients_of(case, call)}
    if len(reached) > limit:
        yield f"the plan writes to {len(reached)} recipients"


def _calls(limit: float, case: TraceContext) -> Iterator[str]:
    if len(case.trace.graph.calls) > limit:
        yield f"the plan has {len(case.trace.graph.calls)} calls"


def _rows_of(case: TraceContext, call: ToolCall, bound: LimitKind) -> float:
    """Rows that a call takes; groups of a figure are no rows, and each key that it names is one."""
    tool = case.tools.get(call.tool_id)
    if tool is not None and tool.tool.operation == "aggregate":
        return 0
    keys = case.argument_value(call, tool.by_role.get("keys", "")) if tool is not None else None
    return max(_most(case, call, call.scope.rows_requested, bound), len(keys) if isinstance(keys, list) else 0)


def _most(case: TraceContext, call: ToolCall, declared: int | None, bound: LimitKind) -> float:
    """The largest amount that a call declares, or states by an argument that is such a limit itself."""
    return max([declared or 0, *_stated_amounts(case, call, bound)])


def _stated_amounts(case: TraceContext, call: ToolCall, bound: LimitKind) -> list[float]:
    """The amounts that arguments of a call state."""
    stated = (_number(case.argument_value(call, name)) for name in _limit_arguments(case, call, bound))
    return [each for each in stated if each is not None]


def _limit_arguments(case: TraceContext, call: ToolCall, bound: LimitKind) -> list[str]:
    """Arguments of a call that limit its rows or days: by what its tool does with them, else by their names."""
    tool = case.tools.get(call.tool_id)
    if tool is None:
        bounds = (ROWS, EXPORTED_ROWS) if bound is EXPORTED_ROWS else (bound,)
        return [name for name in call.arguments if limit_kind_of(name) in bounds]
    if bound is DAYS:
        return [name for name, _, match in tool.filters if match in ("within_days", "next_days")]
    return [name for does, name in tool.by_role.items() if does == "limit"]


def _exports(case: TraceContext, call: ToolCall) -> bool:
    """Whether a call exports: it declares a target, or its tool does so or, unknown, is named so."""
    tool = case.tools.get(call.tool_id)
    operation = tool.tool.operation if tool else _verb(call)
    return bool(_targets_of(case, call)) or operation == "export"


def _verb(call: ToolCall) -> str:
    """What a tool does, by the word that its name begins with."""
    return call.tool_id.rpartition(".")[2].partition("_")[0].casefold()


def _targets_of(case: TraceContext, call: ToolCall) -> set[str]:
    """Where a call sends an export, also by an argument of an unknown tool that is named so."""
    named = call.arguments.items() if call.tool_id not in case.tools else ()
    return targets_of(case, call) | {
        value for name, value in named if _plain(name) in _TARGET_ARGUMENTS and isinstance(value, str)
    }


_TARGET_ARGUMENTS = frozenset({"target", "export_target", "destination"})
_WRITING = frozenset({"send", "mail", "email", "message", "notify", "forward", "reply"})
"""Verbs of tools that write to somebody."""
_RECIPIENT_ARGUMENTS = frozenset({"recipient", "recipients", "to", "cc", "bcc"})


def _recipients_of(case: TraceContext, call: ToolCall) -> set[str]:
    """Addresses that a call writes to; what refers to another call's result counts once unless it was replayed."""
    tool = case.tools.get(call.tool_id)
    names = {tool.by_role.get("recipient")} if tool else _RECIPIENT_ARGUMENTS
    arguments = (case.execution.arguments.get(call.call_id) if case.execution else None) or call.arguments
    values = [value for name, value in arguments.items() if (name if tool else _plain(name)) in names]
    listed = [each for value in values for each in (value if isinstance(value, list) else [value]) if each is not None]
    addresses = [part for each in listed for part in (re.split("[,;]", each) if isinstance(each, str) else [str(each)])]
    return {each.strip().casefold() for each in addresses if each.strip()}


# --- the table -------------------------------------------------------------------------------------------------

_AMOUNT = "a number, 0 or more"
ROWS = LimitKind(_AMOUNT, _number, _rows)
EXPORTED_ROWS = LimitKind(_AMOUNT, _number, _exported_rows)
DAYS = LimitKind(_AMOUNT, _number, _days)
TIER = LimitKind("public, internal, confidential or restricted", _tier, _tiers)
TARGETS = LimitKind("a target or a list of targets", _texts, _targets)
RECIPIENTS = LimitKind(_AMOUNT, _number, _recipients)
CALLS = LimitKind(_AMOUNT, _number, _calls)

LIMIT_KINDS = {
    "max_results": ROWS,
    "max_rows": ROWS,
    "max_records": ROWS,
    "max_items": ROWS,
    "max_limit": ROWS,
    "max_rows_requested": ROWS,
    "max_rows_per_call": ROWS,
    "max_rows_per_query": ROWS,
    "max_results_per_query": ROWS,
    "max_records_per_query": ROWS,
    "rows_requested": ROWS,
    "row_limit": ROWS,
    "limit": ROWS,
    "max_export_rows": EXPORTED_ROWS,
    "max_export_records": EXPORTED_ROWS,
    "max_exported_rows": EXPORTED_ROWS,
    "max_rows_per_export": EXPORTED_ROWS,
    "export_row_limit": EXPORTED_ROWS,
    "max_days": DAYS,
    "max_time_range_days": DAYS,
    "max_date_range_days": DAYS,
    "max_lookback_days": DAYS,
    "max_history_days": DAYS,
    "time_range_days": DAYS,
    "date_range_days": DAYS,
    "lookback_days": DAYS,
    "days": DAYS,
    "max_sensitivity_tier": TIER,
    "max_sensitivity": TIER,
    "max_tier": TIER,
    "sensitivity_tier": TIER,
    "allowed_export_targets": TARGETS,
    "allowed_targets": TARGETS,
    "export_targets": TARGETS,
    "export_target": TARGETS,
    "max_recipients": RECIPIENTS,
    "max_recipients_per_request": RECIPIENTS,
    "recipient_limit": RECIPIENTS,
    "max_calls": CALLS,
    "max_tool_calls": CALLS,
}
"""What each name bounds; a name that is not here bounds nothing, which is a violation."""


def limit_kind_of(name: str) -> LimitKind | None:
    """What a limit of that name bounds, in any spelling of it; None if nothing can enforce it."""
    return LIMIT_KINDS.get(_plain(name))


@lru_cache(maxsize=1024)
def _plain(name: str) -> str:
    """`maxResults`, `Max-Results` and `MAX_RESULTS` as `max_results`."""
    return re.sub(r"[\s-]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())).casefold()
