"""Checks that the plan is a well-formed graph of calls: ids, dependencies, execution order, references and values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from gatling_sid.models import INTENTS, topological_order
from gatling_sid.validators.trace_context import TraceContext, references_of_call

_INTEGERS = range(-(2**63), 2**64)


def call_ids_are_unique(context: TraceContext) -> Iterator[str]:
    """No two calls have the same id."""
    for call_id, times in Counter(call.call_id for call in context.trace.graph.calls).items():
        if times > 1:
            yield f"{times} calls have the id {call_id!r}; ids must be unique"


def dependencies_exist(context: TraceContext) -> Iterator[str]:
    """Every dependency is the id of a call of the graph, and no call lists one twice."""
    for call in context.trace.graph.calls:
        if len({*call.dependencies}) < len(call.dependencies):
            yield f"{call.call_id} lists a dependency twice"
        for each in call.dependencies:
            if each not in context.by_id:
                yield f"{call.call_id} depends on non-existent call {each!r}"


def graph_is_acyclic(context: TraceContext) -> Iterator[str]:
    """No call depends on itself, directly or through other calls."""
    order = topological_order(context.trace.graph.calls)
    if len(order) < len(context.by_id):
        sortable = set(order)
        circular = [call_id for call_id in context.by_id if call_id not in sortable]
        yield f"these calls form a dependency cycle, or depend on one: {', '.join(circular[:10])}"


def order_names_every_call_once(context: TraceContext) -> Iterator[str]:
    """`execution_order` names each call exactly once, and nothing else."""
    order = context.trace.graph.execution_order
    counts = Counter(order)
    missing = [call_id for call_id in context.by_id if call_id not in counts]
    unknown = [call_id for call_id in counts if call_id not in context.by_id]
    repeated = [call_id for call_id, times in counts.items() if times > 1]
    for what, ids in (("lacks", missing), ("has unknown calls", unknown), ("repeats", repeated)):
        if ids:
            yield f"execution_order {what}: {', '.join(ids[:10])}"


def order_respects_dependencies(context: TraceContext) -> Iterator[str]:
    """In `execution_order`, every call comes after the calls it depends on."""
    position = {call_id: at for at, call_id in enumerate(context.trace.graph.execution_order)}
    for call in context.trace.graph.calls:
        for each in call.dependencies:
            if position.get(each, -1) > position.get(call.call_id, math.inf):
                yield f"{call.call_id} comes before its dependency {each}"


def references_are_dependencies(context: TraceContext) -> Iterator[str]:
    """A call that refers to another call's result depends on that call."""
    for call in context.trace.graph.calls:
        needs = set(call.dependencies)
        for name, reference in references_of_call(call):
            if reference.root not in needs:
                yield f"{call.call_id}.{name} refers to {reference}, but {reference.root} is not a dependency of the call; add it"


def values_are_plain(context: TraceContext) -> Iterator[str]:
    """Arguments and metadata are JSON values that every parser reads in the same way."""
    for name, value in context.trace.metadata.items():
        problem = why_not_json(value)
        if problem:
            yield f"metadata.{name} {problem}"
    for call in context.trace.graph.calls:
        for name, value in call.arguments.items():
            problem = why_not_json(value)
            if problem:
                yield f"{call.call_id}.{name} {problem}"


def why_not_json(value: Any) -> str | None:
    """Why a value cannot be stored as JSON, or None; recursion is safe since the size check has bounded its depth."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return None if value.isprintable() or _is_encodable(value) else "is not valid Unicode text"
    if isinstance(value, int):
        return None if value in _INTEGERS else "is an integer beyond 64 bits"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"is {value}, which JSON cannot represent"
    if isinstance(value, dict):
        if any(not isinstance(key, str) for key in value):
            return "has a key that is not a string"
        return next((p for each in value.values() if (p := why_not_json(each))), None)
    if isinstance(value, list):
        return next((p for each in value if (p := why_not_json(each))), None)
    return f"is a {type(value).__name__}, which is not a JSON value"


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def domains_agree(context: TraceContext) -> Iterator[str]:
    """The request and the policy name the same domain."""
    request, policy = context.trace.request.domain, context.trace.policy.domain
    if request.casefold() != policy.casefold():
        yield f"the request is of domain {request}, the policy of domain {policy}"


def intent_is_known(context: TraceContext) -> Iterator[str]:
    """The intent is one of the six known categories."""
    intent = context.trace.request.intent_category
    if intent not in INTENTS:
        yield f"the intent {intent!r} is unknown; it must be one of {', '.join(INTENTS)}"
