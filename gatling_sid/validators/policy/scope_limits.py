"""The limits in `scope_limits` of a policy: what each name bounds, and whether a plan stays within it.

`max_results`, `maxRows` and `row_limit` mean the same. Calls are judged by what they declare and by the limits among
their arguments, so that traces of domains that the catalogue does not know are judged in the same way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from gatling_sid.models import SensitivityTier, ToolCall
from gatling_sid.schemas.conditions import DAY_MATCHES
from gatling_sid.validators.policy.exports import targets_of
from gatling_sid.validators.trace_context import TraceContext

_TARGET_ARGUMENTS = frozenset({"target", "export_target", "destination"})
"""Names of arguments of an unknown tool that hold the target of an export."""
_RECIPIENT_ARGUMENTS = frozenset({"recipient", "recipients", "to", "cc", "bcc"})
"""Names of arguments of an unknown tool that hold the recipients of a message."""
_MESSAGE_TOOL_WORDS = frozenset({"send", "mail", "email", "message", "notify", "forward", "reply"})
"""First words of the names of tools that send messages."""
_MAX_CALLS_NAMED = 5
"""Calls that a message names, since a plan may have thousands."""


class LimitKind(NamedTuple):
    """What a limit bounds.

    `form` describes a valid value, `value_of` returns the value or None if it is not valid, and `find_excess` yields a
    message for each part of a plan that exceeds it.
    """

    form: str
    value_of: Callable[[Any], Any]
    find_excess: Callable[[Any, TraceContext], Iterator[str]]


def scope_limits_hold(context: TraceContext) -> Iterator[str]:
    """Every limit in `scope_limits` has a known name and a valid value, and the plan does not exceed it."""
    for name, value in context.trace.policy.scope_limits.items():
        kind = limit_kind_of(name)
        if kind is None:
            yield f"the limit {name!r} is unknown and cannot be enforced; known limits are {', '.join(sorted(LIMIT_KINDS))}"
        elif (limit := kind.value_of(value)) is None:
            yield f"the limit {name} is {value!r}; it must be {kind.form}"
        else:
            for excess in kind.find_excess(limit, context):
                yield f"{excess}; the limit {name} is {_describe(value)}"


def unenforced_limits(context: TraceContext) -> list[str]:
    """A message for each limit that a call could exceed without declaring it, so that the limit cannot be enforced."""
    found = []
    for name in context.trace.policy.scope_limits:
        kind = limit_kind_of(name)
        silent_calls = [call.call_id for call in context.trace.graph.calls if kind and _is_silent(context, call, kind)]
        if silent_calls:
            calls = ", ".join(silent_calls[:_MAX_CALLS_NAMED])
            found.append(
                f"the limit {name} cannot be checked: not declared by {calls}; declare the scope of these calls"
            )
    return found


def _is_silent(context: TraceContext, call: ToolCall, kind: LimitKind) -> bool:
    """Whether a call neither declares what the limit bounds nor states it as an argument, and could exceed any limit."""
    tool, first_word = context.tools.get(call.tool_id), _first_word_of_tool(call)
    if kind is RECIPIENTS:
        return tool is None and first_word in _MESSAGE_TOOL_WORDS and not _recipients_of(context, call)
    if kind is TARGETS:
        return tool is None and _exports(context, call) and not _all_targets_of(context, call)
    if kind not in (ROWS, EXPORTED_ROWS, DAYS) or (kind is EXPORTED_ROWS and not _exports(context, call)):
        return False
    is_unbounded = tool is None or (kind is not DAYS and tool.tool.operation in ("list", "export"))
    declared_amount = call.scope.time_range_days if kind is DAYS else call.scope.rows_requested
    return is_unbounded and declared_amount is None and not _stated_amounts(context, call, kind)


def _describe(value: Any) -> str:
    return ", ".join(map(str, value)) or "empty" if isinstance(value, list) else str(getattr(value, "value", value))


# --- values ----------------------------------------------------------------------------------------------------


def _amount_of(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and 0 <= value < math.inf else None


def _tier_of(value: Any) -> SensitivityTier | None:
    try:
        return SensitivityTier(value.casefold() if isinstance(value, str) else value)
    except ValueError:
        return None


def _list_of(value: Any) -> list[str] | None:
    texts = [value] if isinstance(value, str) else value
    return texts if isinstance(texts, list) and all(isinstance(each, str) for each in texts) else None


# --- what exceeds a limit ----------------------------------------------------------------------------------


def _rows_exceeding(limit: float, context: TraceContext) -> Iterator[str]:
    for call in context.trace.graph.calls:
        rows = _rows_taken(context, call, ROWS)
        if rows > limit:
            yield f"{call.call_id} takes {rows} rows"


def _exported_rows_exceeding(limit: float, context: TraceContext) -> Iterator[str]:
    for call in context.trace.graph.calls:
        rows = _rows_taken(context, call, EXPORTED_ROWS)
        if rows > limit and _exports(context, call):
            yield f"{call.call_id} exports {rows} rows"


def _days_exceeding(limit: float, context: TraceContext) -> Iterator[str]:
    for call in context.trace.graph.calls:
        days = _largest_amount(context, call, call.scope.time_range_days, DAYS)
        if days > limit:
            yield f"{call.call_id} looks back {days} days"


def _tiers_exceeding(limit: SensitivityTier, context: TraceContext) -> Iterator[str]:
    for call in context.trace.graph.calls:
        if call.scope.sensitivity_tier.rank > limit.rank:
            yield f"{call.call_id} takes {call.scope.sensitivity_tier.value} data"


def _targets_exceeding(limit: list[str], context: TraceContext) -> Iterator[str]:
    for call in context.trace.graph.calls:
        for target in sorted(_all_targets_of(context, call) - set(limit)):
            yield f"{call.call_id} exports to {target}"


def _recipients_exceeding(limit: float, context: TraceContext) -> Iterator[str]:
    addresses = {each for call in context.trace.graph.calls for each in _recipients_of(context, call)}
    if len(addresses) > limit:
        yield f"the plan writes to {len(addresses)} recipients"


def _calls_exceeding(limit: float, context: TraceContext) -> Iterator[str]:
    if len(context.trace.graph.calls) > limit:
        yield f"the plan has {len(context.trace.graph.calls)} calls"


def _rows_taken(context: TraceContext, call: ToolCall, kind: LimitKind) -> float:
    """Rows that a call takes: the largest stated amount or number of keys; 0 for a measure, which returns groups."""
    tool = context.tools.get(call.tool_id)
    if tool is not None and tool.tool.operation == "aggregate":
        return 0
    keys = context.argument_value(call, tool.parameter_for.get("keys", "")) if tool is not None else None
    return max(
        _largest_amount(context, call, call.scope.rows_requested, kind), len(keys) if isinstance(keys, list) else 0
    )


def _largest_amount(context: TraceContext, call: ToolCall, declared_amount: int | None, kind: LimitKind) -> float:
    """The largest amount that a call declares or states by an argument that limits the call."""
    return max([declared_amount or 0, *_stated_amounts(context, call, kind)])


def _stated_amounts(context: TraceContext, call: ToolCall, kind: LimitKind) -> list[float]:
    """The amounts stated by the arguments of a call that limit it."""
    amounts = (_amount_of(context.argument_value(call, name)) for name in _limit_arguments(context, call, kind))
    return [each for each in amounts if each is not None]


def _limit_arguments(context: TraceContext, call: ToolCall, kind: LimitKind) -> list[str]:
    """Names of a call's arguments that limit its rows or days: by what a known tool does with them, else by their names."""
    tool = context.tools.get(call.tool_id)
    if tool is None:
        kinds = (ROWS, EXPORTED_ROWS) if kind is EXPORTED_ROWS else (kind,)
        return [name for name in call.arguments if limit_kind_of(name) in kinds]
    if kind is DAYS:
        return [name for name, _, match in tool.filters if match in DAY_MATCHES]
    return [name for does, name in tool.parameter_for.items() if does == "limit"]


def _exports(context: TraceContext, call: ToolCall) -> bool:
    """Whether a call exports: it declares a target, its tool exports, or the first word of an unknown tool's name is `export`."""
    tool = context.tools.get(call.tool_id)
    operation = tool.tool.operation if tool else _first_word_of_tool(call)
    return bool(_all_targets_of(context, call)) or operation == "export"


def _first_word_of_tool(call: ToolCall) -> str:
    """The first word of the tool's name, in lower case; it usually says what the tool does."""
    return call.tool_id.rpartition(".")[2].partition("_")[0].casefold()


def _all_targets_of(context: TraceContext, call: ToolCall) -> set[str]:
    """The targets that a call exports to, including arguments of an unknown tool that are named like targets."""
    arguments = call.arguments.items() if call.tool_id not in context.tools else ()
    return targets_of(context, call) | {
        value for name, value in arguments if _plain(name) in _TARGET_ARGUMENTS and isinstance(value, str)
    }


def _recipients_of(context: TraceContext, call: ToolCall) -> set[str]:
    """Addresses that a call writes to; a reference counts as one address unless the plan was replayed."""
    tool = context.tools.get(call.tool_id)
    names = {tool.parameter_for.get("recipient")} if tool else _RECIPIENT_ARGUMENTS
    arguments = (context.execution.arguments.get(call.call_id) if context.execution else None) or call.arguments
    values = [value for name, value in arguments.items() if (name if tool else _plain(name)) in names]
    flat = [each for value in values for each in (value if isinstance(value, list) else [value]) if each is not None]
    addresses = [part for each in flat for part in (re.split("[,;]", each) if isinstance(each, str) else [str(each)])]
    return {each.strip().casefold() for each in addresses if each.strip()}


# --- the table -------------------------------------------------------------------------------------------------

_AMOUNT_FORM = "a number, 0 or more"
ROWS = LimitKind(_AMOUNT_FORM, _amount_of, _rows_exceeding)
EXPORTED_ROWS = LimitKind(_AMOUNT_FORM, _amount_of, _exported_rows_exceeding)
DAYS = LimitKind(_AMOUNT_FORM, _amount_of, _days_exceeding)
TIER = LimitKind("public, internal, confidential or restricted", _tier_of, _tiers_exceeding)
TARGETS = LimitKind("a target or a list of targets", _list_of, _targets_exceeding)
RECIPIENTS = LimitKind(_AMOUNT_FORM, _amount_of, _recipients_exceeding)
CALLS = LimitKind(_AMOUNT_FORM, _amount_of, _calls_exceeding)

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
"""What each name bounds; a limit with any other name cannot be enforced, which is reported as a finding."""


def limit_kind_of(name: str) -> LimitKind | None:
    """What a limit of that name bounds, in any spelling of the name; None if no check can enforce it."""
    return LIMIT_KINDS.get(_plain(name))


@lru_cache(maxsize=1024)
def _plain(name: str) -> str:
    """A name in lower case with underscores: `maxResults`, `Max-Results` and `MAX_RESULTS` become `max_results`."""
    return re.sub(r"[\s-]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())).casefold()
