"""Is it a graph at all: ids, dependencies, order, references, values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from gatling_sid.models import INTENTS, topological_order
from gatling_sid.validators.trace_context import TraceContext, references_of_call

_INTEGERS = range(-(2**63), 2**64)


def call_ids_are_unique(case: TraceContext) -> Iterator[str]:
    """No two calls share an id."""
    for call_id, times in Counter(call.call_id for call in case.trace.graph.calls).items():
        if times > 1:
            yield f"{times} calls are named {call_id!r}"


def dependencies_exist(case: TraceContext) -> Iterator[str]:
    """Every dependency is a call of the graph, named once."""
    for call in case.trace.graph.calls:
        if len({*call.dependencies}) < len(call.dependencies):
            yield f"{call.call_id} names a dependency twice"
        for each in call.dependencies:
            if each not in case.by_id:
                yield f"{call.call_id} depends on non-existent call {each!r}"


def graph_is_acyclic(case: TraceContext) -> Iterator[str]:
    """No call waits for itself."""
    order = topological_order(case.trace.graph.calls)
    if len(order) < len(case.by_id):
        free = set(order)
        stuck = [call_id for call_id in case.by_id if call_id not in free]
        yield f"these calls wait for each other in a circle: {', '.join(stuck[:10])}"


def order_names_every_call_once(case: TraceContext) -> Iterator[str]:
    """`execution_order` is a permutation of the calls."""
    order = case.trace.graph.execution_order
    named = Counter(order)
    missing = [call_id for call_id in case.by_id if call_id not in named]
    unknown = [call_id for call_id in named if call_id not in case.by_id]
    repeated = [call_id for call_id, times in named.items() if times > 1]
    for what, ids in (("lacks", missing), ("names unknown calls", unknown), ("repeats", repeated)):
        if ids:
            yield f"execution_order {what}: {', '.join(ids[:10])}"


def order_respects_dependencies(case: TraceContext) -> Iterator[str]:
    """In `execution_order`, every call comes after those it depends on."""
    position = {call_id: at for at, call_id in enumerate(case.trace.graph.execution_order)}
    for call in case.trace.graph.calls:
        for each in call.dependencies:
            if position.get(each, -1) > position.get(call.call_id, math.inf):
                yield f"{call.call_id} comes before its dependency {each}"


def references_are_dependencies(case: TraceContext) -> Iterator[str]:
    """Whoever uses a call's result depends on that call."""
    for call in case.trace.graph.calls:
        needs = set(call.dependencies)
        for name, reference in references_of_call(call):
            if reference.root not in needs:
                yield f"{call.call_id}.{name} refers to {reference}, but {reference.root} is not a dependency"


def values_are_plain(case: TraceContext) -> Iterator[str]:
    """Arguments and metadata are JSON values that every reader decodes alike."""
    for name, value in case.trace.metadata.items():
        problem = unfit(value)
        if problem:
            yield f"metadata.{name} {problem}"
    for call in case.trace.graph.calls:
        for name, value in call.arguments.items():
            problem = unfit(value)
            if problem:
                yield f"{call.call_id}.{name} {problem}"


def unfit(value: Any) -> str | None:
    """Why a value, whose depth the size check has bounded, cannot stand in a record, or None."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return None if value.isprintable() or _encodes(value) else "is not valid Unicode text"
    if isinstance(value, int):
        return None if value in _INTEGERS else "is an integer beyond 64 bits"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"is {value}, which JSON has no word for"
    if isinstance(value, dict):
        if any(not isinstance(key, str) for key in value):
            return "has a key that is not text"
        return next((p for each in value.values() if (p := unfit(each))), None)
    if isinstance(value, list):
        return next((p for each in value if (p := unfit(each))), None)
    return f"is a {type(value).__name__}, which is no JSON value"


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def domains_agree(case: TraceContext) -> Iterator[str]:
    """Request and policy speak of the same domain."""
    request, policy = case.trace.request.domain, case.trace.policy.domain
    if request.casefold() != policy.casefold():
        yield f"the request is of {request}, the policy of {policy}"


def intent_is_known(case: TraceContext) -> Iterator[str]:
    """The intent is one of the six."""
    intent = case.trace.request.intent_category
    if intent not in INTENTS:
        yield f"{intent!r} is not one of {', '.join(INTENTS)}"
