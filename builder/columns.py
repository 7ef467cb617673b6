"""The published columns: the Arrow schema of a shard, and the types in which it is stored."""

from __future__ import annotations

import pyarrow as pa

_TEXT = pa.string()
_TEXTS = pa.list_(_TEXT)
_JSON = pa.json_(pa.string())
_SCOPE = pa.struct({
    "rows_requested": pa.int64(), "sensitivity_tier": _TEXT, "time_range_days": pa.int64(), "export_target": _TEXT,
})  # fmt: skip
_REQUEST = pa.struct({
    "request_id": _TEXT, "domain": _TEXT, "text": _TEXT, "intent_category": _TEXT, "expected_scope": _SCOPE,
    "trust_tier": _TEXT,
    "principal": pa.struct({"principal_id": _TEXT, "role": _TEXT, "attributes": _JSON}),
})  # fmt: skip
_POLICY = pa.struct({
    "policy_id": _TEXT, "domain": _TEXT, "description": _TEXT, "rules": _TEXTS, "forbidden_operations": _TEXTS,
    "scope_limits": _JSON,
    "constraints": pa.list_(pa.struct({"constraint_id": _TEXT, "kind": _TEXT, "rule": pa.int64(), "parameters": _JSON})),
})  # fmt: skip
# What quotes the request is stored as the characters from `start` to `end` of its text, without `content_snippet`.
_CALL = pa.struct({
    "call_id": _TEXT, "tool_id": _TEXT, "arguments": _JSON, "scope": _SCOPE,
    "provenance": pa.struct({
        "source_type": _TEXT, "source_id": _TEXT, "timestamp": _TEXT, "content_snippet": _TEXT,
        "start": pa.int64(), "end": pa.int64(),
    }),
    "dependencies": _TEXTS,
    "argument_sources": pa.list_(pa.struct({
        "argument": _TEXT, "origin": _TEXT, "reference": _TEXT, "start": pa.int64(), "end": pa.int64(),
        "trust_tier": _TEXT,
    })),
})  # fmt: skip
_GOAL = pa.struct({
    "shows": pa.list_(pa.struct({"entity": _TEXT, "rows": _TEXTS, "fields": _TEXTS})),
    "measures": pa.list_(pa.struct({
        "entity": _TEXT, "measure": _TEXT, "field": _TEXT, "group_by": _TEXT, "rows": pa.int64(), "rows_digest": _TEXT,
        "values": pa.list_(pa.struct({"group": _TEXT, "value": pa.float64()})),
    })),
    "effects": pa.list_(pa.struct({
        "kind": _TEXT, "entity": _TEXT, "rows": _TEXTS, "changes": _JSON, "target": _TEXT,
    })),
    "time_range_days": pa.int64(),
})  # fmt: skip

_GRAPH = pa.struct({"graph_id": _TEXT, "calls": pa.list_(_CALL), "execution_order": _TEXTS})
_OUTCOME = pa.struct({
    "kind": _TEXT, "reason": _TEXT, "constraint_id": _TEXT, "refused_goal": _GOAL, "refused_graph": _GRAPH,
})  # fmt: skip
# Results are JSON text: the decoder of `arrow.json` keeps only ten digits of a fraction, and they have to be exact.
_OBSERVATIONS = pa.list_(pa.struct({
    "call_id": _TEXT, "result": _TEXT, "omitted_rows": pa.int64(), "trust": _JSON,
}))  # fmt: skip
_LURES = pa.list_(pa.struct({
    "call_id": _TEXT, "path": _TEXT, "start": pa.int64(), "end": pa.int64(), "aim": _TEXT, "wants": _TEXT,
    "guise": _TEXT, "place": _TEXT, "language": _TEXT,
    "calls": pa.list_(pa.struct({"tool_id": _TEXT, "arguments": _JSON})),
}))  # fmt: skip

SCHEMA = pa.schema({
    "trace_id": _TEXT,
    "request": _REQUEST,
    "policy": _POLICY,
    "graph": _GRAPH,
    "metadata": _JSON,
    "created_at": pa.timestamp("us", tz="UTC"),
    "validated": pa.bool_(),
    "goal": _GOAL,
    "outcome": _OUTCOME,
    "observations": _OBSERVATIONS,
    "lures": _LURES,
})  # fmt: skip
"""The published columns; `datasets` reads them as nested features with `Json()` where the type is `arrow.json`."""


def _storage_type(type_: pa.DataType) -> pa.DataType:
    """The type that pyarrow can build from Python values; JSON becomes plain text."""
    if isinstance(type_, pa.BaseExtensionType):
        return type_.storage_type
    if pa.types.is_struct(type_):
        return pa.struct([pa.field(each.name, _storage_type(each.type)) for each in type_])
    if pa.types.is_list(type_):
        return pa.list_(_storage_type(type_.value_type))
    return type_


STORAGE_SCHEMA = pa.schema([pa.field(each.name, _storage_type(each.type)) for each in SCHEMA])
"""SCHEMA with the types in which the columns are stored in memory, without extension types."""
