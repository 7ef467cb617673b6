"""Edits that also change everything that depends on the edited part, as a careful forger would.

All of them change the trace that they are given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from gatling_sid.models import ArgumentSource, Effect, GoldTrace, MeasuredValue, Showing, ToolCall, TrustTier
from gatling_sid.schemas.references import Reference, reference_in, references_in
from gatling_sid.simulator.execution import Execution, digest_of, split_effect, tools_of, unmet_goal_parts
from gatling_sid.simulator.operations import CallResult
from gatling_sid.simulator.scope import days_of_period, requested_limits, scope_of_call, scope_of_request
from tests.validators.tampering.gold_traces import VALIDATOR, domain_of, execution_of, tool_of, world_here

# --- words -----------------------------------------------------------------------------------------------------


def said_arguments(trace: GoldTrace) -> list[tuple[ToolCall, ArgumentSource]]:
    """Every argument whose value the request says, each with its call."""
    return [(c, s) for c in trace.graph.calls for s in c.argument_sources if s.origin == "request"]


def words_of(trace: GoldTrace, source: ArgumentSource) -> str:
    """The words that say an argument."""
    return trace.request.text[source.start : source.end]


def replace(trace: GoldTrace, start: int, end: int, words: str) -> None:
    """Replaces `text[start:end]` with other words; spans and quotations stay on the words they were on."""
    old, longer = trace.request.text, len(words) - (end - start)

    def moved(first: int, last: int) -> tuple[int, int]:
        return first + longer if first >= end else first, last if last <= start else max(last, end) + longer

    trace.request.text = text = old[:start] + words + old[end:]
    for _, source in said_arguments(trace):
        source.start, source.end = moved(source.start or 0, source.end or 0)
    for call in trace.graph.calls:
        pointer = call.provenance
        if pointer and pointer.source_type is TrustTier.USER and pointer.content_snippet:
            at = old.find(pointer.content_snippet)
            first, last = moved(at, at + len(pointer.content_snippet))
            pointer.content_snippet = text[first:last].strip()


def say_instead(trace: GoldTrace, source: ArgumentSource, words: str, value: object) -> None:
    """Replaces the words on a span, and gives every argument that points there the new value."""
    for call, each in said_arguments(trace):
        if (each.start, each.end) == (source.start, source.end):
            call.arguments[each.argument] = value
    replace(trace, source.start or 0, source.end or 0, words)


def append(trace: GoldTrace, words: str) -> GoldTrace:
    """Adds words at the end of the request."""
    end = len(trace.request.text)
    replace(trace, end, end, (" " if trace.request.text[-1:] in ".!?…)" else ". ") + words)
    return trace


def reword(trace: GoldTrace, frame: str) -> GoldTrace:
    """Gives the request a new text: `frame`, then the words for each value; all spans and quotations lie on these words."""
    values = list(dict.fromkeys(words_of(trace, source) for _, source in said_arguments(trace)))
    start = len(frame) + bool(frame)
    places = {each: start + sum(len(v) + 2 for v in values[:at]) for at, each in enumerate(values)}
    for _, source in said_arguments(trace):
        words = words_of(trace, source)
        source.start, source.end = places[words], places[words] + len(words)
    trace.request.text = " ".join(each for each in (frame, "; ".join(values)) if each)
    for call in trace.graph.calls:
        quote(trace, call)
    return trace


def quote(trace: GoldTrace, call: ToolCall) -> None:
    """Makes a call that the request asks for quote the clause that holds its spans, and nothing besides."""
    pointer, text = call.provenance, trace.request.text
    if pointer is not None and pointer.source_type is TrustTier.USER:
        spans = [(s.start or 0, s.end or 0) for s in call.argument_sources if s.origin == "request"]
        old, new = pointer.content_snippet or "", clause(text, spans)
        if not old or old not in text or not (old in new or not spans):
            pointer.content_snippet = new


_SENTENCE_END = re.compile(r"[.!?](?= )")


def clause(text: str, spans: list[tuple[int, int]]) -> str:
    """The sentences that hold some spans; without spans, all of the text."""
    start, end = 0, len(text)
    if spans:
        first, last = min(each[0] for each in spans), max(each[1] for each in spans)
        ends = [match.end() for match in _SENTENCE_END.finditer(text)]
        start = max((each for each in ends if each <= first), default=0)
        end = min((each for each in ends if each >= last), default=end)
    return text[start:end].strip()


def gaps(trace: GoldTrace) -> list[int]:
    """Positions between two words at which no value is said."""
    spans = [(source.start or 0, source.end or 0) for _, source in said_arguments(trace)]
    blanks = [match.start() for match in re.finditer(r"(?<=\w) (?=\w)", trace.request.text)]
    return [at for at in blanks if not any(start <= at < end for start, end in spans)]


# --- arguments -------------------------------------------------------------------------------------------------


class Offer(NamedTuple):
    """A value that an argument may be given: a literal or a reference, the value it resolves to, and its source."""

    value: Any
    resolved: Any
    origin: str
    reference: str | None = None
    start: int | None = None
    end: int | None = None

    def source(self, argument: str) -> ArgumentSource:
        """The record that says where an argument with this value comes from."""
        return ArgumentSource(
            argument=argument, origin=self.origin, reference=self.reference, start=self.start, end=self.end
        )


def offers(trace: GoldTrace, execution: Execution) -> Iterator[Offer]:
    """Every value that an argument of this trace could have, from the request, the principal, the policy or a result."""
    for call, source in said_arguments(trace):
        value = call.arguments[source.argument]
        yield Offer(value, value, "request", None, source.start, source.end)
    for name, value in (trace.request.principal.attributes if trace.request.principal else {}).items():
        yield Offer(value, value, "principal", name)
    for constraint in trace.policy.constraints:
        for name, value in constraint.parameters.items():
            path = f"{constraint.constraint_id}.{name}"
            yield Offer(value, value, "policy", path)
            yield from (
                Offer(each, each, "policy", f"{path}[{at}]")
                for at, each in enumerate(value if isinstance(value, list) else [])
            )
    for call_id, result in execution.results.items():
        yield from _results(call_id, result.value)


def _results(call_id: str, result: dict[str, Any]) -> Iterator[Offer]:
    rows = result.get("items")
    for path, value in (result if rows is None else rows[0] if rows else {}).items():
        where = f"{call_id}.{path}" if rows is None else f"{call_id}.items[0].{path}"
        yield Offer(f"${where}", value, "call", where)
        if rows:
            where = f"{call_id}.items[*].{path}"
            yield Offer(f"${where}", [row[path] for row in rows], "call", where)


def before(trace: GoldTrace, call: ToolCall, *origins: str) -> Iterator[Offer]:
    """The offers for a call: from these origins, and from the results of earlier calls only."""
    earlier = trace.graph.execution_order[: trace.graph.execution_order.index(call.call_id)]
    for offer in offers(trace, execution_of(trace)):
        root = (offer.reference or "").partition(".")[0]
        if offer.origin in origins and (offer.origin != "call" or root in earlier):
            yield offer


def references_of(call: ToolCall) -> dict[str, Reference]:
    """The references among the arguments of a call, by argument name."""
    found = {name: reference_in(value) for name, value in call.arguments.items()}
    return {name: reference for name, reference in found.items() if reference is not None}


def roots_of(call: ToolCall) -> list[str]:
    """The calls from whose results a call takes values, alone or in a list."""
    return list(dict.fromkeys(each.root for value in call.arguments.values() for each in references_in(value)))


def source_of(call: ToolCall, argument: str) -> ArgumentSource:
    """The record that says where an argument comes from."""
    return next(each for each in call.argument_sources if each.argument == argument)


def set_argument(call: ToolCall, argument: str, offer: Offer) -> None:
    """Passes an argument, with its source and the dependency that follows."""
    with_order = _order_of(call)
    call.arguments[argument] = offer.value
    call.argument_sources = [each for each in call.argument_sources if each.argument != argument]
    call.argument_sources.append(offer.source(argument))
    call.dependencies = with_order()


def leave_out(call: ToolCall, argument: str) -> None:
    """Removes an argument and its source from a call."""
    with_order = _order_of(call)
    del call.arguments[argument]
    call.argument_sources = [each for each in call.argument_sources if each.argument != argument]
    call.dependencies = with_order()


def _order_of(call: ToolCall) -> Callable[[], list[str]]:
    """The dependencies of a call with other references: these, and those that it had only for the order."""
    roots = roots_of(call)
    kept = [each for each in call.dependencies if each not in roots]
    return lambda: list(dict.fromkeys([*kept, *roots_of(call)]))


def point_elsewhere(trace: GoldTrace, old: str, new: str, *, users: list[ToolCall] | None = None) -> None:
    """Changes references that begin with `old` (`call_1.items[0]`) so that they begin with `new`."""
    for call in users if users is not None else trace.graph.calls:
        for name, reference in references_of(call).items():
            if str(reference) == old or str(reference).startswith((f"{old}.", f"{old}[")):
                path = new + str(reference)[len(old) :]
                set_argument(call, name, Offer(f"${path}", None, "call", path))


# --- calls -----------------------------------------------------------------------------------------------------


def add(trace: GoldTrace, call: ToolCall, *, before: str | None = None) -> ToolCall:
    """Adds a call at the end of the plan, or before another call."""
    order = trace.graph.execution_order
    trace.graph.calls.append(call)
    order.insert(len(order) if before is None else order.index(before), call.call_id)
    return call


def new_id(trace: GoldTrace) -> str:
    """A call id that is not in use yet."""
    return f"call_{len(trace.graph.calls) + 1}"


def same_call(trace: GoldTrace, call: ToolCall) -> ToolCall:
    """The call with the same id in a copy of the trace."""
    return next(each for each in trace.graph.calls if each.call_id == call.call_id)


def copy_of_call(trace: GoldTrace, call: ToolCall) -> ToolCall:
    """A copy of a call under another id, not yet part of the plan."""
    return call.model_copy(deep=True, update={"call_id": new_id(trace)})


def drop(trace: GoldTrace, call: ToolCall) -> None:
    """Removes a call, and the dependencies on it."""
    trace.graph.calls.remove(call)
    trace.graph.execution_order.remove(call.call_id)
    for other in trace.graph.calls:
        other.dependencies = [each for each in other.dependencies if each != call.call_id]


def is_used(trace: GoldTrace, call: ToolCall) -> bool:
    """Whether any call refers to the result of this one."""
    return any(call.call_id in roots_of(other) for other in trace.graph.calls)


def drop_unused_reads(trace: GoldTrace) -> None:
    """Removes every read that no call refers to and the goal does not show."""
    for call in reversed(list(trace.graph.calls)):
        execution = execution_of(trace)
        if execution.refusal is None and not execution.results[call.call_id].effects and not is_used(trace, call):
            rest = [result for call_id, result in execution.results.items() if call_id != call.call_id]
            if is_met(trace, rest):
                drop(trace, call)


# --- goals -----------------------------------------------------------------------------------------------------


def is_met(trace: GoldTrace, results: list[CallResult]) -> bool:
    """Whether results reach the goal, apart from its period."""
    assert trace.goal is not None
    return next(unmet_goal_parts(trace.goal.model_copy(update={"time_range_days": None}), results, None), None) is None


def update_goal(trace: GoldTrace) -> None:
    """Makes the goal what the plan now does: the rows shown, measures, effects and days of its calls."""
    goal, execution = trace.goal, execution_of(trace)
    assert goal is not None
    if execution.refusal is None:
        results = list(execution.results.values())
        goal.effects = _same_or([each for result in results for each in result.effects], goal.effects)
        for showing in goal.shows:
            showing.rows = _rows_shown(showing, results) or showing.rows
        for measure in goal.measures:
            _measure_again(measure, results)
        days = [each for call in trace.graph.calls if (each := days_of(trace, call, execution)) is not None]
        goal.time_range_days = max(days, default=None)


def _same_or(happened: list[Effect], declared: list[Effect]) -> list[Effect]:
    same = sorted(a for e in happened for a in split_effect(e)) == sorted(a for e in declared for a in split_effect(e))
    return declared if same else [each.model_copy(deep=True) for each in happened]


def _rows_shown(showing: Showing, results: list[CallResult]) -> list[str]:
    fields = set(showing.fields)
    reads = [o for o in results if o.entity == showing.entity and not o.measured_rows and not o.effects]
    return list(dict.fromkeys(key for each in reads if fields <= set(each.fields) for key, _ in each.rows))


def _measure_again(measure: Any, results: list[CallResult]) -> None:
    figures = [o.measured_rows for o in results if o.measured_rows and o.entity == measure.entity]
    alike = [each for each in figures if (each.measure, each.field) == (measure.measure, measure.field)]
    if len(alike) == 1:
        figure = alike[0]
        measure.group_by, measure.rows, measure.rows_digest = figure.group_by, len(figure.rows), digest_of(figure.rows)
        measure.values = [MeasuredValue(group=group, value=float(value)) for group, value in figure.values]


def days_of(trace: GoldTrace, call: ToolCall, execution: Execution) -> int | None:
    """How many days a call looks back."""
    return days_of_period(tool_of(trace, call), execution.arguments[call.call_id], world_here(trace).today)


# --- the rest --------------------------------------------------------------------------------------------------


def update_scopes(trace: GoldTrace) -> GoldTrace | None:
    """Declares the scopes that the calls now have; None if the plan does not run, reach its goal or keep its policy."""
    execution = execution_of(trace)
    if execution.refusal is not None or trace.goal is None:
        return None
    for call in trace.graph.calls:
        arguments, result = execution.arguments[call.call_id], execution.results[call.call_id]
        call.scope = scope_of_call(tool_of(trace, call), arguments, result, world_here(trace).today)
    domain, principal = domain_of(trace), trace.request.principal
    limits = requested_limits(trace.graph.calls, tools_of(domain))
    role = principal.role if principal else None
    trace.request.expected_scope = scope_of_request(trace.goal, domain, trace.policy, role, limits)
    if not is_met(trace, list(execution.results.values())):
        return None
    return trace if VALIDATOR.validate_policy_compliance(trace)[0] else None
