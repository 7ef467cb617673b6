"""Converts between records and published columns: the Arrow schema, `to_row`, `from_row`. No other module knows both.

Fields without a fixed shape (`arguments`, `scope_limits`, `metadata`, …) are JSON text of a dict, with the Arrow type
`arrow.json`; readers decode it. The decoder that readers use keeps only ten digits of a fraction, so a number that it
would change is refused here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from builder.columns import SCHEMA, STORAGE_SCHEMA
from builder.equal_rows import number_rows
from builder.json_text import exact_json, lasting_json
from gatling_sid.errors import ShardError, TraceFormatError
from gatling_sid.models import (
    ArgumentSource,
    Effect,
    Goal,
    GoldTrace,
    Lure,
    Measurement,
    Observation,
    Outcome,
    Principal,
    ProvenancePointer,
    ScopeMetadata,
    SystemPolicy,
    ToolCall,
    ToolCallGraph,
    TrustTier,
    UserRequest,
)


def table_of(traces: Sequence[GoldTrace]) -> pa.Table:
    """Converts traces into a table of `SCHEMA`.

    Raises:
        ShardError: a reader would not get a value back unchanged; names the trace and the value.

    """
    try:
        columns = _column_arrays(traces)
    except ShardError:
        raise
    except (ValueError, OverflowError) as error:  # pyarrow does not say which trace it was
        for trace in traces:
            _check_alone(trace)
        raise ShardError(f"a trace does not fit the columns: {error}") from None
    typed = [_with_type(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(typed, schema=SCHEMA)


def _column_arrays(traces: Sequence[GoldTrace]) -> list[pa.Array]:
    row_cache: dict[int, Any] = {}
    rows = [to_row(trace, shared=False, row_cache=row_cache) for trace in traces]
    columns = []
    for field in STORAGE_SCHEMA:
        if field.name in _SHARED:
            columns.append(_shared_column([getattr(trace, field.name) for trace in traces], field))
        else:
            columns.append(pa.array([row[field.name] for row in rows], field.type))
    return columns


def _check_alone(trace: GoldTrace) -> None:
    """Raises ShardError if this trace does not fit the columns."""
    row = to_row(trace)
    for field in STORAGE_SCHEMA:
        try:
            pa.array([row[field.name]], field.type)
        except (ValueError, OverflowError) as error:
            raise ShardError(f"trace {trace.trace_id}: {field.name}: {error}") from None


def _shared_column(records: Sequence[Any], field: pa.Field) -> pa.Array:
    """Builds a column of records that several traces share; each record is converted only once."""
    distinct = {id(record): record for record in records}
    place = {key: at for at, key in enumerate(distinct)}
    rows = pa.array([_SHARED[field.name](record) for record in distinct.values()], field.type)
    return rows.take(pa.array([place[id(record)] for record in records], pa.int32()))


def _with_type(array: pa.Array, type_: pa.DataType) -> pa.Array:
    """Relabels the same buffers with the published type; JSON text is not parsed."""
    if isinstance(type_, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(type_, array)
    if pa.types.is_struct(type_):
        children = [_with_type(array.field(at), type_.field(at).type) for at in range(type_.num_fields)]
        mask = array.is_null() if array.null_count else None
        return pa.StructArray.from_arrays(children, fields=list(type_), mask=mask)
    if pa.types.is_list(type_):
        mask = array.is_null() if array.null_count else None
        return pa.ListArray.from_arrays(
            array.offsets, _with_type(array.values, type_.value_type), type=type_, mask=mask
        )
    return array


_SHARED_PARTS: Mapping[str, TypeAdapter[Any]] = {
    "policy": TypeAdapter(list[SystemPolicy]),
    "goal": TypeAdapter(list[Goal | None]),
    "request.expected_scope": TypeAdapter(list[ScopeMetadata]),
    "request.principal": TypeAdapter(list[Principal | None]),
    "graph.calls.scope": TypeAdapter(list[ScopeMetadata]),
    "graph.calls.argument_sources": TypeAdapter(list[ArgumentSource]),
}
"""Parts that are equal in many rows; equal ones become the same Python object."""
_TRACES = TypeAdapter(list[GoldTrace])


def traces_of(table: pa.Table) -> Iterator[GoldTrace]:
    """Yields the validated records of a table of `SCHEMA`. Equal parts are the same object, so copy before editing.

    Raises:
        TraceFormatError: a row is not a trace; names the first such row, after the rows before it were yielded.

    """
    try:
        plain = table.cast(STORAGE_SCHEMA)
        columns = [_values(plain.column(name).combine_chunks(), name) for name in SCHEMA.names]
        traces = _TRACES.validate_python([_with_quotes(each) for each in _zip_dicts(SCHEMA.names, columns)])
    except ValueError:  # some row is not a trace; reading row by row tells which
        yield from map(from_row, table.to_pylist())
    else:
        yield from traces


def _values(array: pa.Array, path: str) -> list[Any]:
    """The values of an array as a reader gets them: JSON decoded, and the parts in `_SHARED_PARTS` as records."""
    if pa.types.is_list(array.type):
        return _list_values(array, _values(array.flatten(), path))
    if path in _SHARED_PARTS:
        return _convert_distinct(array, lambda rows: _SHARED_PARTS[path].validate_python(_struct_values(rows, path)))
    if path.rpartition(".")[2] in _JSON_FIELDS:
        return _convert_distinct(
            array, lambda rows: [_decode_field(each, path, path.rpartition(".")[2]) for each in rows.to_pylist()]
        )
    return _struct_values(array, path) if pa.types.is_struct(array.type) else list(array.to_pylist())


def _convert_distinct(array: pa.Array, convert: Callable[[pa.Array], list[Any]]) -> list[Any]:
    """Converts the rows of an array; equal rows are converted once and get the same object."""
    _, first, place = np.unique(number_rows(array), return_index=True, return_inverse=True)
    values = convert(array.take(pa.array(first)))
    return [values[at] for at in place.tolist()]


def _struct_values(array: pa.StructArray, path: str) -> list[dict[str, Any] | None]:
    names = [field.name for field in array.type]
    rows = _zip_dicts(
        names, [_values(each, f"{path}.{name}") for name, each in zip(names, array.flatten(), strict=True)]
    )
    if not array.null_count:
        return list(rows)
    return [row if is_valid else None for row, is_valid in zip(rows, array.is_valid().to_pylist(), strict=True)]


def _zip_dicts(names: Sequence[str], columns: Sequence[list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _list_values(array: pa.ListArray, elements: list[Any]) -> list[list[Any] | None]:
    ends = iter(accumulate([length or 0 for length in array.value_lengths().to_pylist()], initial=0))
    start, result = next(ends), list[list[Any] | None]()
    for is_valid, end in zip(array.is_valid().to_pylist(), ends, strict=True):
        result.append(elements[start:end] if is_valid else None)
        start = end
    return result


# --- rows ------------------------------------------------------------------------------------------------------


def to_row(trace: GoldTrace, *, shared: bool = True, row_cache: dict[int, Any] | None = None) -> dict[str, Any]:
    """Converts one trace into a row of Python values, with JSON fields as text.

    Without `shared`, policy and goal are left out. `row_cache` keeps the rows of parts that traces share, by `id`.

    Raises:
        ShardError: a reader would not get a value back unchanged; names the trace and the value.

    """
    row_cache = {} if row_cache is None else row_cache
    if trace.created_at.tzinfo is None:
        raise ShardError(f"trace {trace.trace_id}: created_at: {trace.created_at} names no time zone")
    try:
        return {
            "trace_id": trace.trace_id,
            "request": _request_row(trace.request, row_cache),
            "policy": _policy_row(trace.policy) if shared else None,
            "graph": _graph_row(trace.graph, trace.request.text, row_cache),
            "metadata": lasting_json(trace.metadata),
            "created_at": trace.created_at,
            "validated": trace.validated,
            "goal": _goal_row(trace.goal) if shared else None,
            "outcome": _outcome_row(trace.outcome, trace.request.text, row_cache),
            "observations": _observation_rows(trace.observations) if shared else None,
            "lures": _lure_rows(trace.lures) if shared else None,
        }
    except (ValueError, TypeError) as error:
        raise ShardError(f"trace {trace.trace_id}: {error}") from None


def _graph_row(graph: ToolCallGraph, text: str, row_cache: dict[int, Any]) -> dict[str, Any]:
    return {
        "graph_id": graph.graph_id,
        "calls": [_call_row(call, text, row_cache) for call in graph.calls],
        "execution_order": graph.execution_order,
    }


def _outcome_row(outcome: Outcome | None, text: str, row_cache: dict[int, Any]) -> dict[str, Any] | None:
    if outcome is None:
        return None
    graph = outcome.refused_graph
    return {
        **outcome.__dict__,
        "refused_goal": _goal_row(outcome.refused_goal),
        "refused_graph": _graph_row(graph, text, row_cache) if graph else None,
    }


def _observation_rows(observations: Sequence[Observation] | None) -> list[dict[str, Any]] | None:
    if observations is None:
        return None
    return [
        {**each.__dict__, "result": exact_json(each.result), "trust": lasting_json(each.trust)} for each in observations
    ]


def _lure_rows(lures: Sequence[Lure]) -> list[dict[str, Any]]:
    return [
        {
            **lure.__dict__,
            "calls": [{**each.__dict__, "arguments": lasting_json(each.arguments)} for each in lure.calls],
        }
        for lure in lures
    ]


def _cached_row(row_cache: dict[int, Any], value: Any, row: Callable[[Any], Any]) -> Any:
    """The row of a part, which is converted only once for all traces that share it.

    The key is the part's `id`, which no other object can have while these traces are alive.
    """
    key = id(value)
    if key not in row_cache:
        row_cache[key] = row(value)
    return row_cache[key]


def _request_row(request: UserRequest, row_cache: dict[int, Any]) -> dict[str, Any]:
    return {
        **request.__dict__,
        "expected_scope": _cached_row(row_cache, request.expected_scope, _scope_row),
        "trust_tier": request.trust_tier.value,
        "principal": _cached_row(row_cache, request.principal, _principal_row) if request.principal else None,
    }


def _principal_row(principal: Principal) -> dict[str, Any]:
    return {**principal.__dict__, "attributes": lasting_json(principal.attributes)}


def _scope_row(scope: ScopeMetadata) -> dict[str, Any]:
    return {**scope.__dict__, "sensitivity_tier": scope.sensitivity_tier.value}


def _policy_row(policy: SystemPolicy) -> dict[str, Any]:
    return {
        **policy.__dict__,
        "scope_limits": lasting_json(policy.scope_limits),
        "constraints": [{**each.__dict__, "parameters": lasting_json(each.parameters)} for each in policy.constraints],
    }


def _call_row(call: ToolCall, text: str, row_cache: dict[int, Any]) -> dict[str, Any]:
    return {
        **call.__dict__,
        "arguments": _cached_row(row_cache, call.arguments, lasting_json),
        "scope": _cached_row(row_cache, call.scope, _scope_row),
        "provenance": _pointer_row(call.provenance, text, row_cache) if call.provenance else None,
        "argument_sources": [_source_row(each) for each in call.argument_sources],
    }


def _pointer_row(pointer: ProvenancePointer, text: str, row_cache: dict[int, Any]) -> dict[str, Any]:
    """The row of a pointer; what stands in the request, which is nearly as long, is stored as its place there."""
    timestamp = pointer.timestamp
    row = {
        **pointer.__dict__,
        "source_type": pointer.source_type.value,
        "timestamp": _cached_row(row_cache, timestamp, datetime.isoformat) if timestamp else None,
        "start": None,
        "end": None,
    }
    snippet = pointer.content_snippet
    if pointer.source_type is TrustTier.USER and snippet and (start := text.find(snippet)) >= 0:
        row |= {"content_snippet": None, "start": start, "end": start + len(snippet)}
    return row


def _source_row(source: ArgumentSource) -> dict[str, Any]:
    return {**source.__dict__, "trust_tier": source.trust_tier.value if source.trust_tier else None}


def _goal_row(goal: Goal | None) -> dict[str, Any] | None:
    if goal is None:
        return None
    return {
        "shows": [each.__dict__ for each in goal.shows],
        "measures": [_measure_row(each) for each in goal.measures],
        "effects": [_effect_row(each) for each in goal.effects],
        "time_range_days": goal.time_range_days,
    }


def _measure_row(measure: Measurement) -> dict[str, Any]:
    return {**measure.__dict__, "values": [each.__dict__ for each in measure.values]}


def _effect_row(effect: Effect) -> dict[str, Any]:
    return {**effect.__dict__, "changes": lasting_json(effect.changes)}


_SHARED: Mapping[str, Callable[[Any], Any]] = {
    "policy": _policy_row,
    "goal": _goal_row,
    "observations": _observation_rows,
    "lures": _lure_rows,
}
"""Columns whose records are shared by traces, each with the function that converts a record into a row."""
_JSON_FIELDS = frozenset(
    {"attributes", "scope_limits", "parameters", "arguments", "changes", "metadata", "result", "trust"}
)


def from_row(row: Mapping[str, Any]) -> GoldTrace:
    """The trace of a row as any reader yields it, with JSON fields as text or already decoded.

    Raises:
        TraceFormatError: the row is not a trace; names the row and the field.

    """
    try:
        return GoldTrace.model_validate(_with_quotes(_decode(row)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise TraceFormatError(str(row.get("trace_id", "row")), f"{where}: {first['msg']}") from None
    except ValueError as error:
        raise TraceFormatError(str(row.get("trace_id", "row")), str(error)) from None


def _with_quotes(row: dict[str, Any]) -> dict[str, Any]:
    """The decoded row with the quotes of the request in words again, where they are stored as their places."""
    request, graph, outcome = row.get("request"), row.get("graph"), row.get("outcome")
    text = request.get("text") if isinstance(request, dict) else None
    if not isinstance(text, str):
        return row  # no trace
    if isinstance(outcome, dict):
        row = {**row, "outcome": {**outcome, "refused_graph": _graph_with_quotes(outcome.get("refused_graph"), text)}}
    return {**row, "graph": _graph_with_quotes(graph, text)}


def _graph_with_quotes(graph: Any, text: str) -> Any:
    if not isinstance(graph, dict) or not isinstance(graph.get("calls"), list):
        return graph
    return {**graph, "calls": [_call_with_quote(call, text) for call in graph["calls"]]}


def _call_with_quote(call: Any, text: str) -> Any:
    pointer = call.get("provenance") if isinstance(call, dict) else None
    if not isinstance(pointer, dict) or not {"start", "end"} <= pointer.keys():
        return call
    start, end, plain = pointer["start"], pointer["end"], {k: v for k, v in pointer.items() if k not in _SPAN}
    if start is not None or end is not None:
        if plain.get("content_snippet") is not None or not _is_span(start, end, text):
            name = f"provenance of {call.get('call_id')}"
            raise ValueError(f"{name}: {start!r} to {end!r} is no place in the request, whose words it quotes")
        plain["content_snippet"] = text[start:end]
    return {**call, "provenance": plain}


_SPAN = ("start", "end")


def _is_span(start: Any, end: Any, text: str) -> bool:
    return type(start) is type(end) is int and 0 <= start < end <= len(text)


def _decode(value: Any, path: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: _decode_field(each, f"{path}{key}", key) for key, each in value.items()}
    if isinstance(value, list):
        return [_decode(each, f"{path}{at}.") for at, each in enumerate(value)]
    return value


def _decode_field(value: Any, path: str, key: str) -> Any:
    if key not in _JSON_FIELDS:
        return _decode(value, f"{path}.")
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_constant=_refuse_nan)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: is not JSON: {error}") from None


def _refuse_nan(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
