"""A trace as text for readers: the principal, the request, the rules, the plan as a tree, and the results of its calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from textwrap import wrap
from typing import Any

from gatling_sid.models import ArgumentSource, Effect, Goal, GoldTrace, ToolCall
from gatling_sid.schemas import DomainRegistry
from gatling_sid.validators.trace_context import TraceContext

_WIDTH = 110
"""Columns of a line; it fits into most terminals and code viewers."""
_MAX_ITEMS = 3
"""Items of a result that are shown: enough to see what the result contains."""
_MAX_KEYS = 6
"""Row keys of a goal that are shown: so many fit on one line."""


def to_text(trace: GoldTrace, registry: DomainRegistry | None = None) -> str:
    """The trace as text of 110 columns; results of calls are shown if the plan can be replayed.

    Without a registry, the shipped catalogue is used, which takes a second or two to load.
    """
    return "\n".join(_trace_lines(TraceContext(trace, registry or DomainRegistry())))


def _rules_that_concern(context: TraceContext) -> list[str]:
    """The sentences of rules that bind the role at a tool of the plan, and of those without a constraint."""
    policy = context.trace.policy
    tools = [context.tools[call.tool_id] for call in context.ordered_calls if call.tool_id in context.tools]
    exports = any(each.tool.operation == "export" for each in tools)
    concerned = {
        constraint_id for constraint_id, kind, _ in context.constraints if exports or not kind.startswith("export_")
    }
    idle = {each.rule for each in policy.constraints if each.constraint_id not in concerned}
    return [rule for index, rule in enumerate(policy.rules) if index not in idle]


def _trace_lines(context: TraceContext) -> Iterator[str]:
    trace = context.trace
    request, principal = trace.request, trace.request.principal
    yield f"{trace.trace_id}   {request.domain} · {request.intent_category}" + (" · gold" if trace.validated else "")
    who = f"{principal.attributes.get('name', principal.principal_id)} ({principal.role})" if principal else "somebody"
    yield ""
    yield f"{who} asks{_moment(context)}:"
    yield from _wrap(f"{request.text}”", "  “", "   ")
    yield ""
    concerned = _rules_that_concern(context)
    others = len(trace.policy.rules) - len(concerned)
    yield f"Rules in force ({trace.policy.policy_id}" + (
        f"; {others} others do not concern these calls):" if others else "):"
    )
    for rule in concerned:
        yield from _wrap(rule, "  · ", "    ")
    yield ""
    yield "Plan:"
    for at, call in enumerate(context.ordered_calls):
        yield from _call_lines(context, call, last=at == len(context.ordered_calls) - 1)
    yield ""
    yield from _outcome_lines(trace)
    yield from _goal_lines(trace)
    scope = request.expected_scope
    limits = [
        f"{scope.rows_requested} rows" if scope.rows_requested is not None else "",
        f"{scope.sensitivity_tier.value} data",
        f"{scope.time_range_days} days" if scope.time_range_days is not None else "",
        f"to {scope.export_target}" if scope.export_target else "",
    ]
    yield f"Entitled to: {', '.join(each for each in limits if each)}"


def _moment(context: TraceContext) -> str:
    """When the request was made, as far as the trace tells: rules may bind the day and the hour."""
    if context.today is None:
        return ""
    times = [call.provenance.timestamp for call in context.trace.graph.calls if call.provenance is not None]
    return f" on {context.today:%A %d %B %Y}" + (f" at {times[0]:%H:%M}" if times else "")


def _wrap(text: str, first: str, rest: str) -> Iterator[str]:
    yield from wrap(text, _WIDTH, initial_indent=first, subsequent_indent=rest)


def _call_lines(context: TraceContext, call: ToolCall, *, last: bool) -> Iterator[str]:
    branch, stem = ("└─", "   ") if last else ("├─", "│  ")
    after = f"   after {', '.join(call.dependencies)}" if call.dependencies else ""
    yield f"  {branch} {call.call_id}  {call.tool_id}{after}"
    sources = {source.argument: source for source in call.argument_sources}
    for name, value in call.arguments.items():
        yield from _wrap(
            f"{name} = {_format_value(value)}{_format_source(context, sources.get(name))}",
            f"  {stem}     ",
            f"  {stem}        ",
        )
    pointer = call.provenance
    if pointer is not None and pointer.source_type.value == "system":
        yield from _wrap(f"because: {pointer.content_snippet}", f"  {stem}     ", f"  {stem}        ")
    result = context.results.get(call.call_id)
    if result is not None:
        yield from _wrap(f"→ {_format_result(result.value)}", f"  {stem}     ", f"  {stem}        ")
    for lure in context.trace.lures:
        if lure.call_id == call.call_id:
            yield from _wrap(f"! a lure in {lure.path} wants {lure.wants}", f"  {stem}     ", f"  {stem}        ")


def _format_source(context: TraceContext, source: ArgumentSource | None) -> str:
    if source is None:
        return ""
    if source.origin == "request" and source.start is not None and source.end is not None:
        return f"   ← “{context.trace.request.text[source.start : source.end]}”"
    if source.origin == "call" and source.start is not None:
        return f"   ← read in {source.reference}"
    return (
        "" if source.origin == "call" else f"   ← {source.origin}{f' {source.reference}' if source.reference else ''}"
    )


def _format_value(value: Any) -> str:
    return value if isinstance(value, str) and value.startswith("$") else json.dumps(value, ensure_ascii=False)


def _format_result(value: dict[str, Any]) -> str:
    items = value.get("items")
    if not isinstance(items, list):
        return json.dumps(value, ensure_ascii=False)
    first_items = "; ".join(", ".join(str(each) for each in item.values()) for item in items[:_MAX_ITEMS])
    return f"{len(items)} found: {first_items}{'; …' if len(items) > _MAX_ITEMS else ''}"


def _outcome_lines(trace: GoldTrace) -> Iterator[str]:
    outcome = trace.outcome
    if outcome is not None and outcome.kind != "served":
        yield from _wrap(f"Outcome: {outcome.kind.replace('_', ' ')}. {outcome.reason}", "", "  ")
        for call in outcome.refused_graph.calls if outcome.refused_graph else ():
            yield from _wrap(f"refused: {call.tool_id}", "  · ", "    ")


def _goal_lines(trace: GoldTrace) -> Iterator[str]:
    if trace.goal is None or trace.goal == Goal():
        return
    yield "Served when:" if trace.outcome is None or trace.outcome.kind in ("served", "partly_served") else "Shown:"
    for showing in trace.goal.shows:
        rows = _format_keys(showing.rows)
        yield from _wrap(f"{', '.join(showing.fields)} of {showing.entity} {rows} seen", "  · ", "    ")
    for measure in trace.goal.measures:
        by = f" by {measure.group_by}" if measure.group_by else ""
        values = ", ".join(
            f"{each.group}: {each.value:g}" if each.group else f"{each.value:,.10g}" for each in measure.values
        )
        of = f" of {measure.field}" if measure.field else ""
        yield from _wrap(
            f"{measure.measure}{of}{by} over {measure.rows} {measure.entity} rows seen: {values}", "  · ", "    "
        )
    for effect in trace.goal.effects:
        yield from _wrap(_format_effect(effect), "  · ", "    ")


def _format_effect(effect: Effect) -> str:
    changes = ", ".join(f"{name} = {_format_value(value)}" for name, value in effect.changes.items())
    rows = f" {_format_keys(effect.rows)}" if effect.rows else ""
    target = f" to {effect.target}" if effect.target else ""
    return f"{effect.kind} {effect.entity}{rows}{f': {changes}' if changes else ''}{target}"


def _format_keys(keys: list[str]) -> str:
    return ", ".join(keys[:_MAX_KEYS]) + (", …" if len(keys) > _MAX_KEYS else "")
