"""The calls of a trace with references replaced by values, which are taken from its observations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gatling_sid.models import GoldTrace, Observation, ToolCall, replace_fields
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.references import ALL_ELEMENTS, MissingPathError, Reference, follow, references_in
from gatling_sid.simulator.execution import resolve
from gatling_sid.simulator.operations import CallRefusedError, CallResult
from gatling_sid.validators.trace_context import TraceContext


class ResolvedCall(NamedTuple):
    """A call, its arguments without references, and what it returned."""

    call: ToolCall
    arguments: dict[str, Any]
    observation: Observation

    @property
    def result_text(self) -> str:
        """The result as JSON text; the number of rows that it omits is a key of it."""
        omitted = {"omitted_rows": self.observation.omitted_rows} if self.observation.omitted_rows else {}
        return json.dumps({**self.observation.result, **omitted}, ensure_ascii=False)


def resolve_calls(
    trace: GoldTrace, observations: Sequence[Observation] | None, registry: DomainRegistry | None
) -> list[ResolvedCall]:
    """The calls in execution order; results have all their rows if a later call needs more than were observed.

    Raises:
        ValueError: an observation is missing, or a reference leads nowhere; names the trace and the call.

    """
    by_id = {call.call_id: call for call in trace.graph.calls}
    calls = [by_id[call_id] for call_id in trace.graph.execution_order]
    observed = _complete(trace, _observations_by_call(trace, calls, observations), registry)
    results = {call_id: CallResult(each.result, "") for call_id, each in observed.items()}
    try:
        return [ResolvedCall(each, resolve(each.arguments, results), observed[each.call_id]) for each in calls]
    except CallRefusedError as error:
        raise ValueError(f"trace {trace.trace_id}: {error.detail}") from None


def _observations_by_call(
    trace: GoldTrace, calls: Sequence[ToolCall], observations: Sequence[Observation] | None
) -> dict[str, Observation]:
    if observations is None and calls:
        raise ValueError(
            f"trace {trace.trace_id} has no observations; its reader left out the column `observations`: load this "
            "column too, or pass `observations=`"
        )
    found = {each.call_id: each for each in observations or ()}
    for call in calls:
        if call.call_id not in found:
            raise ValueError(f"trace {trace.trace_id}: there is no observation of {call.call_id}")
    return found


# --- rows that observations omit -------------------------------------------------------------------------------


def _complete(
    trace: GoldTrace, observed: dict[str, Observation], registry: DomainRegistry | None
) -> dict[str, Observation]:
    """The observations; those that lack rows that a call needs are completed by a replay of the trace."""
    needed = {*_calls_with_needed_rows(trace, observed)}
    if not needed:
        return observed
    context = TraceContext(trace, registry) if registry is not None else None
    if context is None or not needed <= context.results.keys():
        why = "pass `registry=DomainRegistry()`, so that the trace is replayed"
        if context is not None:
            why = f"the trace cannot be replayed: {context.why_not_replayable or 'a call was refused'}"
        named = ", ".join(sorted(needed))
        raise ValueError(
            f"trace {trace.trace_id}: a later call needs rows that the observation of {named} omits; {why}"
        )
    return observed | {each: _with_all_rows(observed[each], context.results[each].value) for each in needed}


def _calls_with_needed_rows(trace: GoldTrace, observed: dict[str, Observation]) -> Iterator[str]:
    """Ids of calls whose observation omits rows that an argument of another call refers to."""
    for call in trace.graph.calls:
        for value in call.arguments.values():
            for reference in references_in(value):
                if reference.root in observed and _needs_more(observed[reference.root], reference):
                    yield reference.root


def _needs_more(observation: Observation, reference: Reference) -> bool:
    if not observation.omitted_rows:
        return False
    try:
        follow(reference.path, observation.result)
    except MissingPathError:
        return True
    return ALL_ELEMENTS in reference.path


def _with_all_rows(observation: Observation, result: dict[str, Any]) -> Observation:
    """The observation with the rows of a replay behind its own."""
    lists = {
        name: [*value, *result[name][len(value) :]]
        for name, value in observation.result.items()
        if isinstance(value, list)
    }
    return replace_fields(observation, result=observation.result | lists, omitted_rows=0)
