"""References are replaced by right values, also where an observation omits rows."""

from __future__ import annotations

import json

import pytest

from gatling_sid.models import GoldTrace, Observation, replace_fields
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import Domain
from gatling_sid.validators.trace_context import TraceContext
from gatling_sid.views import to_messages
from gatling_sid.views.resolved_calls import resolve_calls
from tests.support.observations import observe


@pytest.fixture(scope="module")
def passes_rows_on(gold: list[GoldTrace], registry: DomainRegistry) -> GoldTrace:
    """A trace that passes on several rows of a result; its observations have one row at most."""
    trace = next(
        trace
        for trace in gold
        for each in TraceContext(trace, registry).references_used
        if "*" in each[2].path and len(TraceContext(trace, registry).results[each[2].root].value["items"]) > 1
    )
    return observe(trace, registry, max_rows=1)


def test_omitted_rows_that_are_passed_on_come_from_a_replay(
    passes_rows_on: GoldTrace, registry: DomainRegistry, library: Domain
) -> None:
    """With a registry, arguments have all values, and the result from which they come shows all of these."""
    chat = to_messages(passes_rows_on, library.schemas, registry=registry)
    whole = observe(passes_rows_on, registry)

    assert chat == to_messages(whole, library.schemas)
    assert chat["messages"] != to_messages(whole, library.schemas, arguments_as_text=True)["messages"]


def test_omitted_rows_that_are_passed_on_are_an_error_without_a_replay(
    passes_rows_on: GoldTrace, registry: DomainRegistry
) -> None:
    """A wrong value is never made up: the error names the call, and says how to get its rows or why they cannot be got."""
    observations = passes_rows_on.observations
    with pytest.raises(ValueError, match="needs rows that the observation of call_1 omits; pass `registry=DomainReg"):
        resolve_calls(passes_rows_on, observations, None)
    elsewhere = replace_fields(passes_rows_on, metadata={})
    with pytest.raises(ValueError, match=r"the trace cannot be replayed: metadata\.catalogue is missing"):
        resolve_calls(elsewhere, observations, registry)


def test_rows_that_no_call_needs_stay_omitted(observed: list[GoldTrace]) -> None:
    """The text of a bounded result states how many rows it omits; no registry is needed."""
    trace = next(trace for trace in observed if len(trace.graph.calls) == 1)
    result = {"items": [{"loan_id": "L-1"}], "count": 3}
    observation = Observation(call_id=trace.graph.calls[0].call_id, result=result, omitted_rows=2)
    (call,) = resolve_calls(trace, [observation], None)

    assert json.loads(call.result_text) == {**result, "omitted_rows": 2}


def test_a_reference_that_leads_nowhere_is_an_error(observed: list[GoldTrace]) -> None:
    """Observations that do not belong to the plan are not passed over."""
    trace = next(trace for trace in observed if "$" in str([call.arguments for call in trace.graph.calls]))
    emptied = [replace_fields(each, result={}) for each in trace.observations or ()]
    with pytest.raises(ValueError, match=f"trace {trace.trace_id}: .* refers to .* but there is no 'items'"):
        resolve_calls(trace, emptied, None)
