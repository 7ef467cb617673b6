"""Checks that no smaller plan serves the request: one without a call, or with a scope narrowed by one step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from gatling_sid.models import ScopeMetadata, ToolCall
from gatling_sid.schemas.conditions import DAY_MATCHES
from gatling_sid.simulator.compiled_tools import CompiledTool
from gatling_sid.simulator.operations import CallResult
from gatling_sid.validators.ablation import fails_with, needs_call, rules_broken_without, without_dependency
from gatling_sid.validators.policy.kinds import BREAKABLE_BY_OMISSION, breaches
from gatling_sid.validators.replay import order_does_not_matter
from gatling_sid.validators.trace_context import TraceContext


def scope_is_within_request(context: TraceContext) -> Iterator[str]:
    """No call takes more than the request's expected scope; all calls together read no more rows of an entity than it allows."""
    expected = context.trace.request.expected_scope
    for call in context.trace.graph.calls:
        yield from _excess_of_scope(call.call_id, call.scope, expected)
    keys_by_entity: dict[str, set[str]] = {}
    for result in context.results.values():
        if result.measured_rows is None:
            keys_by_entity.setdefault(result.entity, set()).update(key for key, _ in result.rows)
    for entity, keys in keys_by_entity.items():
        if expected.rows_requested is not None and len(keys) > expected.rows_requested:
            yield f"the plan reads or changes {len(keys)} rows of {entity}; the request allows {expected.rows_requested}"


def _excess_of_scope(call_id: str, scope: ScopeMetadata, expected: ScopeMetadata) -> Iterator[str]:
    for what, actual, allowed in (
        ("rows", scope.rows_requested, expected.rows_requested),
        ("days", scope.time_range_days, expected.time_range_days),
    ):
        if actual is not None and allowed is not None and actual > allowed:
            yield f"{call_id} takes {actual} {what}; the request allows {allowed}"
    if scope.sensitivity_tier.rank > expected.sensitivity_tier.rank:
        yield f"{call_id} takes {scope.sensitivity_tier.value} data; the request needs {expected.sensitivity_tier.value}"
    if scope.export_target is not None and scope.export_target != expected.export_target:
        yield f"{call_id} exports to {scope.export_target}; the request asks for {expected.export_target or 'no export'}"


def no_call_can_be_dropped(context: TraceContext) -> Iterator[str]:
    """If any one call is removed, the plan does not run, misses its goal or breaks its policy."""
    if not context.succeeds:
        return
    referenced_call_ids = {reference.root for _, _, reference in context.references_used}
    for call in context.ordered_calls:
        if (
            call.call_id not in referenced_call_ids
            and not needs_call(context, call.call_id)
            and not rules_broken_without(context, call.call_id)
        ):
            yield f"{call.call_id} ({call.tool_id}) can be dropped: without it, the plan meets its goal and keeps its policy"


def no_dependency_can_be_dropped(context: TraceContext) -> Iterator[str]:
    """A call depends on another only to use its result, to keep a rule, or because their order matters."""
    if not context.succeeds:
        return
    for call in context.ordered_calls:
        referenced_call_ids = {
            reference.root for referring, _, reference in context.references_used if referring is call
        }
        for each in call.dependencies:
            if each not in referenced_call_ids and not _needs_order(context, call, each):
                yield f"{call.call_id} does not need its dependency on {each}; remove it"


def _needs_order(context: TraceContext, call: ToolCall, other: str) -> bool:
    """Whether a rule is broken, or the order of calls matters, if a call no longer depends on another."""
    assert context.execution is not None
    independent = without_dependency(call, other)
    other_context = context.with_plan(
        [independent if each is call else each for each in context.ordered_calls], context.execution
    )
    found = chain(breaches(other_context, BREAKABLE_BY_OMISSION), order_does_not_matter(other_context))
    return next(found, None) is not None


def no_scope_can_be_narrowed(context: TraceContext) -> Iterator[str]:
    """If any one scope is narrowed by one step, the plan does not run, misses its goal or breaks its policy.

    This covers numbers of rows, periods, targets, and orders that the request does not state; the module `need` checks
    that all rows and fields read are used.
    """
    if not context.succeeds:
        return
    assert context.execution is not None
    for call in context.ordered_calls:
        tool = context.tools[call.tool_id]
        arguments_from_request = {each.argument for each in call.argument_sources if each.origin == "request"}
        arguments, result = context.execution.arguments[call.call_id], context.results[call.call_id]
        if tool.parameter_for.get("limit") in arguments.keys() - arguments_from_request:
            yield from _limit_above_rows(call, tool, arguments, result)
        sort = tool.parameter_for.get("sort")
        if sort in arguments.keys() - arguments_from_request:
            unsorted = {name: value for name, value in arguments.items() if name != sort}
            if not fails_with(context, call, unsorted):
                yield f"{call.call_id} ({call.tool_id}): {sort} is not needed; the goal is met without it"
        for what, narrower in narrowings(tool, arguments, result):
            if not fails_with(context, call, narrower):
                yield f"{call.call_id} ({call.tool_id}) reaches too far: {what}"


def _limit_above_rows(
    call: ToolCall, tool: CompiledTool, arguments: dict[str, Any], result: CallResult
) -> Iterator[str]:
    """Yields a message if a limit is above the number of results; not for limits that the request states ("the last five")."""
    name = tool.parameter_for["limit"]
    limit = arguments[name]
    count = len(result.measured_rows.values) if result.measured_rows else len(result.rows)
    if limit > count:
        yield f"{call.call_id} ({call.tool_id}) reaches too far: {_enough(name, count, limit)}"


def _enough(parameter: str, enough: object, actual: object) -> str:
    return f"{parameter} = {enough} is enough (the call has {actual})"


def narrowings(
    tool: CompiledTool, arguments: dict[str, Any], result: CallResult
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (description, arguments) for every way to narrow one scope of a call by one step.

    A step is one group of a measure less, one day less, or the next narrower target.
    """
    limit, target = tool.parameter_for.get("limit"), tool.parameter_for.get("target")
    if (
        limit is not None
        and result.measured_rows
        and result.measured_rows.group_by
        and len(result.measured_rows.values) > 1
    ):
        groups = len(result.measured_rows.values)
        yield _enough(limit, groups - 1, groups), {**arguments, limit: groups - 1}
    for name, _, match in tool.filters:
        if match in DAY_MATCHES and arguments.get(name, 1) > 1:
            days = arguments[name] - 1
            yield _enough(name, days, days + 1), {**arguments, name: days}
    if target is not None:
        values = tool.tool.parameters[target].values or []
        index = values.index(arguments[target])
        if index > 0:
            narrower = {**arguments, target: values[index - 1]}
            yield _enough(target, values[index - 1], arguments[target]), narrower
