"""Goal and plan, or the goal alone, do less than the request says."""

from __future__ import annotations

import random
import re

from gatling_sid.models import Goal, GoldTrace, ToolCall
from tests.validators.tampering.edits import (
    drop,
    drop_unused_reads,
    is_used,
    quote,
    said_arguments,
    say_instead,
    source_of,
    update_goal,
    update_scopes,
    words_of,
)
from tests.validators.tampering.gold_traces import tool_of, with_operation


def leave_out_change(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _without_one(trace, ("update", "create", "delete", "export"), rng)


def leave_out_message(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _without_one(trace, ("send",), rng)


def _without_one(trace: GoldTrace, operations: tuple[str, ...], rng: random.Random) -> GoldTrace | None:
    """Removes one effect, and every call that was made only for it."""
    calls = [each for each in with_operation(trace, operations) if not is_used(trace, each)]
    if not calls or trace.goal is None or len(trace.graph.calls) == 1:
        return None
    drop(trace, rng.choice(calls))
    update_goal(trace)
    drop_unused_reads(trace)
    return update_scopes(trace) if trace.graph.calls else None


def leave_out_reading(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    goal = trace.goal
    if goal is None or not goal.shows or len(goal.shows) + len(goal.measures) + len(goal.effects) < 2:
        return None
    del goal.shows[rng.randrange(len(goal.shows))]
    drop_unused_reads(trace)
    return update_scopes(trace) if trace.graph.calls else None


def leave_out_measure(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    goal = trace.goal
    if goal is None or not goal.measures or len(goal.shows) + len(goal.measures) + len(goal.effects) < 2:
        return None
    del goal.measures[rng.randrange(len(goal.measures))]
    drop_unused_reads(trace)
    return update_scopes(trace) if trace.graph.calls else None


def hide_row(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    found = [each for each in (trace.goal.shows if trace.goal else []) if len(each.rows) > 1]
    if not found:
        return None
    rows = rng.choice(found).rows
    del rows[rng.randrange(len(rows))]
    return update_scopes(trace)


def hide_field(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    found = [each for each in (trace.goal.shows if trace.goal else []) if len(each.fields) > 1]
    if not found:
        return None
    fields = rng.choice(found).fields
    del fields[rng.randrange(len(fields))]
    return update_scopes(trace)


def leave_out_field(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    if trace.goal is None:
        return None
    for call, source in said_arguments(trace):
        chosen = call.arguments[source.argument]
        if source.argument == tool_of(trace, call).parameter_for.get("select") and _is_list(chosen):
            at = rng.choice((0, -1))
            parts = parts_of(trace, call, source.argument)
            if parts is None:
                return None
            gone = chosen[at]
            for showing in trace.goal.shows:
                showing.fields = [each for each in showing.fields if each != gone]
            keep_parts(trace, call, source.argument, parts[1:] if at == 0 else parts[:-1])
            update_goal(trace)
            return update_scopes(trace) if all(each.fields for each in trace.goal.shows) else None
    return None


def _is_list(value: object) -> bool:
    return isinstance(value, list) and len(value) > 1


_BETWEEN = re.compile(r", | and | or | & ")


def parts_of(trace: GoldTrace, call: ToolCall, argument: str) -> list[tuple[int, int]] | None:
    """The spans that say the elements of an argument that is a list, or None if they cannot be distinguished."""
    source = source_of(call, argument)
    start, words = source.start or 0, words_of(trace, source)
    between = [match.span() for match in _BETWEEN.finditer(words)]
    starts = [0, *(end for _, end in between)]
    ends = [*(first for first, _ in between), len(words)]
    parts = [(start + a, start + b) for a, b in zip(starts, ends, strict=True)]
    return parts if len(parts) == len(call.arguments[argument]) else None


def keep_parts(trace: GoldTrace, call: ToolCall, argument: str, parts: list[tuple[int, int]]) -> None:
    """Keeps only the elements of an argument that some of the spans say, and those spans."""
    source, every = source_of(call, argument), parts_of(trace, call, argument) or []
    elements = dict(zip(every, call.arguments[argument], strict=True))
    call.arguments[argument] = [elements[each] for each in parts]
    source.start, source.end = parts[0][0], parts[-1][1]
    quote(trace, call)


def lower_number_throughout(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    found = [(c, s) for c, s in said_arguments(trace) if tool_of(trace, c).parameter_for.get("limit") == s.argument]
    found = [(c, s) for c, s in found if c.arguments[s.argument] > 1]
    if not found:
        return None
    call, source = rng.choice(found)
    value = call.arguments[source.argument] - 1
    say_instead(trace, source, str(value), value)
    update_goal(trace)
    return update_scopes(trace)


# --- nothing left ----------------------------------------------------------------------------------------------


def empty_goal_and_plan(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    trace.goal = Goal()
    trace.graph.calls, trace.graph.execution_order = [], []
    return update_scopes(trace)


def empty_plan(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    trace.graph.calls, trace.graph.execution_order = [], []
    return trace


def empty_goal(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    if with_operation(trace, ("update", "create", "delete", "export", "send")):
        return None
    trace.goal = Goal(time_range_days=trace.goal.time_range_days if trace.goal else None)
    return update_scopes(trace)


def remove_goal(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    trace.goal = None
    return trace


def remove_look_back(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    if trace.goal is None or trace.goal.time_range_days is None:
        return None
    trace.goal.time_range_days = None
    return update_scopes(trace)


REDUCED = {
    each.__name__: each
    for each in (
        leave_out_change,
        leave_out_message,
        leave_out_reading,
        leave_out_measure,
        hide_row,
        hide_field,
        leave_out_field,
        lower_number_throughout,
        empty_goal_and_plan,
        empty_plan,
        empty_goal,
        remove_goal,
        remove_look_back,
    )
}
