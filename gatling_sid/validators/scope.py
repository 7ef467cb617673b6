"""Could the plan be smaller: drop each call, narrow each scope-bearing argument by one step, and see the goal break."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from gatling_sid.models import ScopeMetadata, ToolCall
from gatling_sid.simulator.operations import CallResult, CompiledTool
from gatling_sid.validators.ablation import fails_with, needs_call, rules_broken_without, without_dependency
from gatling_sid.validators.policy.constraints import BREAKABLE_BY_OMISSION, breaches
from gatling_sid.validators.replay import order_does_not_matter
from gatling_sid.validators.trace_context import TraceContext


def scope_is_within_request(case: TraceContext) -> Iterator[str]:
    """No call takes more than the request is entitled to, and neither do all calls together of any one entity."""
    expected = case.trace.request.expected_scope
    for call in case.trace.graph.calls:
        yield from _beyond(call.call_id, call.scope, expected)
    read: dict[str, set[str]] = {}
    for outcome in case.results.values():
        if outcome.measured is None:
            read.setdefault(outcome.entity, set()).update(key for key, _ in outcome.rows)
    for entity, keys in read.items():
        if expected.rows_requested is not None and len(keys) > expected.rows_requested:
            yield f"the plan touches {len(keys)} rows of {entity}; the limit of the request is {expected.rows_requested}"


def _beyond(call_id: str, scope: ScopeMetadata, expected: ScopeMetadata) -> Iterator[str]:
    for what, have, want in (
        ("rows", scope.rows_requested, expected.rows_requested),
        ("days", scope.time_range_days, expected.time_range_days),
    ):
        if have is not None and want is not None and have > want:
            yield f"{call_id} asks for {have} {what}; the limit of the request is {want}"
    if scope.sensitivity_tier.level > expected.sensitivity_tier.level:
        yield f"{call_id} takes {scope.sensitivity_tier.value} data; the request needs {expected.sensitivity_tier.value}"
    if scope.export_target is not None and scope.export_target != expected.export_target:
        yield f"{call_id} exports to {scope.export_target}; the request asks for {expected.export_target or 'no export'}"


def no_call_can_be_dropped(case: TraceContext) -> Iterator[str]:
    """Without any one call, the plan fails to run, to meet its goal or to keep its policy."""
    if not case.succeeds:
        return
    used = {reference.root for _, _, reference in case.references_used}
    for call in case.ordered_calls:
        if (
            call.call_id not in used
            and not needs_call(case, call.call_id)
            and not rules_broken_without(case, call.call_id)
        ):
            yield f"{call.call_id} ({call.tool_id}) can be dropped: the goal is met and the policy kept without it"


def no_dependency_can_be_dropped(case: TraceContext) -> Iterator[str]:
    """A call waits for another only for its result, for a rule's sake, or because the order matters."""
    if not case.succeeds:
        return
    for call in case.ordered_calls:
        used = {reference.root for user, _, reference in case.references_used if user is call}
        for each in call.dependencies:
            if each not in used and not _needs_order(case, call, each):
                yield f"{call.call_id} need not wait for {each}"


def _needs_order(case: TraceContext, call: ToolCall, other: str) -> bool:
    """Whether something breaks if a call no longer waits for another."""
    assert case.execution is not None
    freed = without_dependency(call, other)
    smaller = case.with_plan([freed if each is call else each for each in case.ordered_calls], case.execution)
    found = chain(breaches(smaller, BREAKABLE_BY_OMISSION), order_does_not_matter(smaller))
    return next(found, None) is not None


def no_scope_can_be_narrowed(case: TraceContext) -> Iterator[str]:
    """With any one scope narrowed by one step, the plan fails to run, to meet its goal or to keep its policy.

    Of rows and fields that are read, `need` sees that each is used; here are the numbers, periods and targets.
    """
    if not case.succeeds:
        return
    assert case.execution is not None
    for call in case.ordered_calls:
        tool = case.tools[call.tool_id]
        said = {each.argument for each in call.argument_sources if each.origin == "request"}
        arguments, outcome = case.execution.arguments[call.call_id], case.results[call.call_id]
        if tool.by_role.get("limit") in arguments.keys() - said:
            yield from _idle_limit(call, tool, arguments, outcome)
        for what, narrower in narrowings(tool, arguments, outcome):
            if not fails_with(case, call, narrower):
                yield f"{call.call_id} ({call.tool_id}) needs less: {what}"


def _idle_limit(call: ToolCall, tool: CompiledTool, arguments: dict[str, Any], outcome: CallResult) -> Iterator[str]:
    """A limit that the request does not name ("the last five" may be three) asks for what there is."""
    asked = arguments[tool.by_role["limit"]]
    found = len(outcome.measured.values) if outcome.measured else len(outcome.rows)
    if asked > found:
        yield f"{call.call_id} ({call.tool_id}) needs less: a limit of {found} instead of {asked} is enough"


def narrowings(
    tool: CompiledTool, arguments: dict[str, Any], outcome: CallResult
) -> Iterator[tuple[str, dict[str, Any]]]:
    """One step less of each scope that a call takes, as (description, arguments).

    Groups of figures: one less. Days: one less. Target: the next narrower one.
    """
    limit, target = tool.by_role.get("limit"), tool.by_role.get("target")
    if limit is not None and outcome.measured and outcome.measured.group_by and len(outcome.measured.values) > 1:
        groups = len(outcome.measured.values)
        yield f"{limit} {groups - 1} instead of {groups} is enough", {**arguments, limit: groups - 1}
    for name, _, match in tool.filters:
        if match in ("within_days", "next_days") and arguments.get(name, 1) > 1:
            less = arguments[name] - 1
            yield f"{name} {less} instead of {less + 1} is enough", {**arguments, name: less}
    if target is not None:
        values = tool.tool.parameters[target].values or []
        at = values.index(arguments[target])
        if at > 0:
            narrower = {**arguments, target: values[at - 1]}
            yield f"{target} {values[at - 1]} instead of {arguments[target]} will do", narrower
