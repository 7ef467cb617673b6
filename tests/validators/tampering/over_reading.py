"""The plan reaches the goal, and reads more rows or fields than needed."""

from __future__ import annotations

import random

from gatling_sid.models import GoldTrace, ToolCall
from gatling_sid.schemas.conditions import DAY_MATCHES
from gatling_sid.schemas.references import references_in
from gatling_sid.simulator.compiled_tools import CompiledTool
from gatling_sid.simulator.execution import Execution
from tests.validators.tampering.edits import (
    Offer,
    before,
    is_used,
    leave_out,
    point_elsewhere,
    quote,
    said_arguments,
    same_call,
    set_argument,
    update_scopes,
)
from tests.validators.tampering.enlarged import say_one_more_field
from tests.validators.tampering.gold_traces import (
    does,
    execution_of,
    match_of,
    operation,
    tool_of,
    tools_alike,
    with_operation,
    world_here,
)

Filter = tuple[ToolCall, str]

# --- rows ------------------------------------------------------------------------------------------------------


def drop_said_filter_same_rows(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _drop_filter(trace, rng, _filters(trace, "request"), more_rows=False)


def drop_said_filter_more_rows(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _drop_filter(trace, rng, _filters(trace, "request"), more_rows=True)


def drop_period(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    periods = [each for each in _filters(trace, "request") if match_of(trace, *each) in DAY_MATCHES]
    if trace.goal is not None and rng.random() < 0.5:
        trace.goal.time_range_days = None
    return _drop_filter(trace, rng, periods, more_rows=None)


def drop_other_filter(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _drop_filter(trace, rng, _filters(trace, "principal", "call"), more_rows=None)


def _filters(trace: GoldTrace, *origins: str) -> list[Filter]:
    return [
        (call, source.argument)
        for call in trace.graph.calls
        for source in call.argument_sources
        if source.origin in origins and does(trace, call, source.argument) == "filter"
    ]


def _drop_filter(
    trace: GoldTrace, rng: random.Random, filters: list[Filter], *, more_rows: bool | None
) -> GoldTrace | None:
    """The trace without one of its filters, if it still reaches its goal; `more_rows`: whether it must read more rows."""
    rows = _rows_read(execution_of(trace))
    for call, name in rng.sample(filters, len(filters)):
        other = trace.model_copy(deep=True)
        mine = same_call(other, call)
        leave_out(mine, name)
        quote(other, mine)
        done = update_scopes(other)
        if done is not None and more_rows in (None, _rows_read(execution_of(done)) > rows):
            return done
    return None


def _rows_read(execution: Execution) -> int:
    return sum(len(result.rows) for result in execution.results.values())


def drop_filter_of_look_up(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    calls = [each for each in with_operation(trace, ("list",)) if is_used(trace, each)]
    for call in rng.sample(calls, len(calls)):
        names = [each for each in call.arguments if does(trace, call, each) in ("filter", "keys", "limit")]
        for gone in (names, *([each] for each in names)):
            other = trace.model_copy(deep=True)
            mine = same_call(other, call)
            for name in gone:
                leave_out(mine, name)
            _limit_as_allowed(other, mine)
            quote(other, mine)
            if _point_to_same_row(other, mine, execution_of(trace)) and (done := update_scopes(other)) is not None:
                return done
    return None


def _point_to_same_row(trace: GoldTrace, call: ToolCall, as_it_was: Execution) -> bool:
    """Changes references to the first row of a call to its new position; False if it is still the first."""
    execution = execution_of(trace)
    rows = as_it_was.results[call.call_id].rows
    now = execution.results[call.call_id].rows if call.call_id in execution.results else ()
    keys = [key for key, _ in now]
    if not rows or rows[0][0] not in keys[1:] or _every_row_is_used(trace, call):
        return False
    point_elsewhere(trace, f"{call.call_id}.items[0]", f"{call.call_id}.items[{keys.index(rows[0][0])}]")
    return True


def _every_row_is_used(trace: GoldTrace, call: ToolCall) -> bool:
    values = [value for other in trace.graph.calls for value in other.arguments.values()]
    return any(each.root == call.call_id and "*" in each.path for value in values for each in references_in(value))


def list_instead_of_get(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    calls = with_operation(trace, ("get",))
    for call in rng.sample(calls, len(calls)):
        for listing in tools_alike(trace, call, "list"):
            for name in [None, *(n for n, _, match in listing.filters if match in ("equals", "contains"))]:
                if (done := _with_list_call(trace, call, listing, name, rng)) is not None:
                    return done
    return None


def _with_list_call(
    trace: GoldTrace, call: ToolCall, listing: CompiledTool, narrowed_by: str | None, rng: random.Random
) -> GoldTrace | None:
    key = execution_of(trace).results[call.call_id].rows[0][0]
    other = trace.model_copy(deep=True)
    mine = same_call(other, call)
    for name in [each for each in mine.arguments if each != listing.parameter_for.get("select")]:
        leave_out(mine, name)
    mine.tool_id = listing.tool_id
    if narrowed_by is not None:
        wanted = world_here(trace).tables[listing.entity][key][listing.tool.parameters[narrowed_by].field or ""]
        found = [each for each in before(trace, call, "request", "principal", "call") if each.resolved == wanted]
        if not found:
            return None
        set_argument(mine, narrowed_by, rng.choice(found))
    _limit_as_allowed(other, mine)
    quote(other, mine)
    execution = execution_of(other)
    keys = [each for each, _ in execution.results[call.call_id].rows] if call.call_id in execution.results else []
    if key not in keys or len(keys) == 1:
        return None
    point_elsewhere(other, call.call_id, f"{call.call_id}.items[{keys.index(key)}]")
    return update_scopes(other)


def _limit_as_allowed(trace: GoldTrace, call: ToolCall) -> None:
    """Makes a list return as many rows as the policy allows, if there are more."""
    name = tool_of(trace, call).parameter_for.get("limit")
    for limit in (each for each in trace.policy.constraints if each.kind == "row_limit"):
        result, value = execution_of(trace).results.get(call.call_id), limit.parameters["max_rows"]
        if name is not None and result is not None and len(result.rows) > value:
            set_argument(call, name, Offer(value, value, "policy", f"{limit.constraint_id}.max_rows"))


def raise_limit_above_row_count(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    limits = [each for each in trace.policy.constraints if each.kind == "row_limit"]
    calls = [c for c in with_operation(trace, ("list",)) if "limit" in tool_of(trace, c).parameter_for]
    calls = [c for c in calls if tool_of(trace, c).parameter_for["limit"] not in c.arguments]
    if not limits or not calls:
        return None
    call, value = rng.choice(calls), limits[0].parameters["max_rows"]
    name = tool_of(trace, call).parameter_for["limit"]
    set_argument(call, name, Offer(value, value, "policy", f"{limits[0].constraint_id}.max_rows"))
    return update_scopes(trace) if len(execution_of(trace).results[call.call_id].rows) < value else None


# --- fields ----------------------------------------------------------------------------------------------------


def say_field_that_is_not_shown(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    found = [(c, s) for c, s in said_arguments(trace) if tool_of(trace, c).parameter_for.get("select") == s.argument]
    if not found:
        return None
    call, source = rng.choice(found)
    return update_scopes(trace) if say_one_more_field(trace, call, source.argument, rng) is not None else None


def select_unsaid_field(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    calls = [c for c in trace.graph.calls if tool_of(trace, c).parameter_for.get("select", "") in c.arguments]
    if not calls:
        return None
    call = rng.choice(calls)
    tool = tool_of(trace, call)
    chosen = call.arguments[tool.parameter_for["select"]]
    names = [each for each in tool.domain.file.entities[tool.entity].fields if each not in chosen]
    if not names or operation(trace, call) == "export":
        return None
    call.arguments[tool.parameter_for["select"]] = [*chosen, rng.choice(names)]
    return update_scopes(trace)


def select_every_field(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    calls = [c for c in with_operation(trace, ("list", "get")) if "select" in tool_of(trace, c).parameter_for]
    calls = [c for c in calls if tool_of(trace, c).parameter_for["select"] not in c.arguments]
    if not calls:
        return None
    call = rng.choice(calls)
    tool = tool_of(trace, call)
    values = list(
        tool.tool.parameters[tool.parameter_for["select"]].values or tool.domain.file.entities[tool.entity].fields
    )
    set_argument(call, tool.parameter_for["select"], Offer(values, values, "default"))
    return update_scopes(trace)


OVER_READING = {
    each.__name__: each
    for each in (
        drop_said_filter_same_rows,
        drop_said_filter_more_rows,
        drop_period,
        drop_other_filter,
        drop_filter_of_look_up,
        list_instead_of_get,
        raise_limit_above_row_count,
        say_field_that_is_not_shown,
        select_unsaid_field,
        select_every_field,
    )
}
