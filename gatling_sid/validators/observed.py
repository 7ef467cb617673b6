"""Checks that observations, tiers of trust and lures are those of the replay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from operator import attrgetter

from gatling_sid.models import Observation
from gatling_sid.simulator.observations import lures_in, observe
from gatling_sid.validators.trace_context import TraceContext


def observations_are_true(context: TraceContext) -> Iterator[str]:
    """Each observation is what the call returned, with the tiers of its values; a trace without observations is not wrong."""
    stated = context.trace.observations
    if stated is None or not context.succeeds:
        return
    actual = {each.call_id: each for each in observe(context.ordered_calls, context.results, context.trust)}
    if [each.call_id for each in stated] != [*actual]:
        yield f"the observations are of {[each.call_id for each in stated]}; the calls are, in this order, {[*actual]}"
        return
    for each in stated:
        yield from _differences(each, actual[each.call_id])


def _differences(stated: Observation, actual: Observation) -> Iterator[str]:
    if _as_text(stated.result) != _as_text(actual.result) or stated.omitted_rows != actual.omitted_rows:
        yield f"the observation of {stated.call_id} is not what the call returned"
    paths = sorted(stated.trust.keys() | actual.trust.keys())
    wrong = [each for each in paths if stated.trust.get(each) != actual.trust.get(each)]
    if wrong:
        yield f"the observation of {stated.call_id} states another tier of trust than the replay for {', '.join(wrong)}"


def _as_text(result: object) -> str:
    """JSON text, in which 5, 5.0 and true differ; "" for what is not JSON."""
    try:
        return json.dumps(result, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError):
        return ""


def tiers_are_true(context: TraceContext) -> Iterator[str]:
    """Each argument source has the tier of what it rests on; only other authors than the embedded oracle may leave it out."""
    if not context.succeeds:
        return
    for call in context.ordered_calls:
        for source in call.argument_sources[: len(call.arguments)]:
            actual = context.trust.arguments[call.call_id, source.argument]
            if source.trust_tier is not actual and (source.trust_tier is not None or context.is_embedded):
                stated = source.trust_tier.value if source.trust_tier else "none"
                yield f"{call.call_id}.{source.argument} states the tier {stated}; it rests on {actual.value}"


def lures_are_named(context: TraceContext) -> Iterator[str]:
    """The lures of the trace are those that its observations hold; a trace without observations has the same."""
    if not context.succeeds:
        return
    actual = lures_in(observe(context.ordered_calls, context.results, context.trust), context.world)
    key = attrgetter("call_id", "path")
    if [_as_text(each.model_dump()) for each in sorted(context.trace.lures, key=key)] != [
        _as_text(each.model_dump()) for each in sorted(actual, key=key)
    ]:
        yield f"the trace names {len(context.trace.lures)} lures; its observations hold {len(actual)}, or others"
