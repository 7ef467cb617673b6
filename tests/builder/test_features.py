"""A trace that is written into columns comes back unchanged; one that could not is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Features, Json, Value, load_dataset
from datasets.features.features import List
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from builder.columns import SCHEMA, STORAGE_SCHEMA
from builder.features import from_row, table_of, to_row, traces_of
from builder.sid import FEATURES
from gatling_sid.errors import ShardError, TraceFormatError
from gatling_sid.models import GoldTrace
from tests.validators.test_ad_hoc import bakery

TEXT = st.text(st.characters(codec="utf-8"))
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.integers(-(10**9), 10**9).map(lambda quarters: quarters / 4)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT, lambda each: st.lists(each) | st.dictionaries(TEXT, each), max_leaves=8
)


def odd(arguments: dict[str, Any]) -> GoldTrace:
    """A hand-made trace with these arguments, its optional parts left out."""
    trace = bakery()
    trace.graph.calls[0].arguments = arguments
    trace.graph.calls[1].provenance = None
    trace.metadata = arguments
    return trace


def test_gold_comes_back_from_rows_and_tables(gold: list[GoldTrace]) -> None:
    """`from_row(to_row(trace)) == trace`, one by one and as a table."""
    assert [from_row(to_row(trace)) for trace in gold[:200]] == gold[:200]
    assert list(traces_of(table_of(gold[:200]))) == gold[:200]


def test_quotes_of_the_request_are_stored_as_places(gold: list[GoldTrace]) -> None:
    """A call that quotes the request has the place of the quote instead of its words; a rule is quoted in words."""
    pointers = [
        (call["provenance"], call_before.provenance, row["request"]["text"])
        for trace, row in zip(gold[:100], map(to_row, gold[:100]), strict=True)
        for call, call_before in zip(row["graph"]["calls"], trace.graph.calls, strict=True)
    ]
    places = [(stored, before, text) for stored, before, text in pointers if stored["start"] is not None]

    assert places
    assert all(text[stored["start"] : stored["end"]] == before.content_snippet for stored, before, text in places)
    assert all(stored["content_snippet"] is None for stored, _, _ in places)
    assert {stored["source_type"] for stored, _, _ in places} == {"user"}
    assert {stored["source_type"] for stored, _, _ in pointers if stored["start"] is None} == {"system"}


@pytest.mark.parametrize("place", [(0, 10_000), (-1, 3), (3, 3), (3, None), (None, 3), ("0", "3"), (False, True)])
def test_quotes_from_no_place_are_refused(place: tuple[Any, Any], gold: list[GoldTrace]) -> None:
    """A row whose call quotes what is no part of the request is named."""
    row = to_row(gold[0])
    row["graph"]["calls"][0]["provenance"] |= {"content_snippet": None, "start": place[0], "end": place[1]}

    with pytest.raises(TraceFormatError, match=rf"^{gold[0].trace_id}: provenance of call_1: .* is no place in "):
        from_row(row)


def test_quotes_in_words_and_by_place_are_refused(gold: list[GoldTrace]) -> None:
    """A call quotes the request once."""
    row = to_row(gold[0])
    row["graph"]["calls"][0]["provenance"] |= {"content_snippet": "the request", "start": 0, "end": 3}

    with pytest.raises(TraceFormatError, match="whose words it quotes"):
        from_row(row)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_odd_values_come_back(arguments: dict[str, Any]) -> None:
    """Any JSON value that is let in comes back, with whatever optional parts missing."""
    trace = odd(arguments)

    assert list(traces_of(table_of([trace, bakery()]))) == [trace, bakery()] or trace.created_at != bakery().created_at
    assert next(traces_of(table_of([trace]))) == trace


def test_equal_parts_of_rows_are_one_record(gold: list[GoldTrace]) -> None:
    """Rows that say the same in a part share its record, others do not; a part of a table gives what it holds."""
    one, other = gold[0], gold[0].model_copy(deep=True)
    other.policy.constraints[0].parameters["max_rows"] = True
    first, second, third = traces_of(table_of([one, one.model_copy(deep=True), other]))

    assert first.policy is second.policy
    assert first.goal is second.goal
    assert third.goal is second.goal
    assert third.policy.constraints[0].parameters != second.policy.constraints[0].parameters
    assert list(traces_of(table_of(gold[:9]).slice(3, 4))) == gold[3:7]
    assert list(traces_of(table_of(gold[:9]).slice(3, 0))) == []


@pytest.mark.parametrize(
    "path", ["request", "policy", "graph.calls", "graph.calls.arguments", "request.principal", "goal"]
)
def test_what_is_missing_is_missed(path: str, gold: list[GoldTrace]) -> None:
    """A part that a row lacks is None where a trace may lack it, else its row is named, after those before it."""
    rows = [to_row(trace) for trace in gold[:3]]
    *way, last = path.split(".")
    place: Any = rows[1]
    for step in way:
        place = place[step][0] if isinstance(place[step], list) else place[step]
    place[last] = None
    read = traces_of(pa.Table.from_pylist(rows, STORAGE_SCHEMA).cast(SCHEMA))

    assert next(read) == gold[0]
    if path in ("request.principal", "goal"):
        assert [trace.trace_id for trace in read] == [trace.trace_id for trace in gold[1:3]]
    else:
        with pytest.raises(TraceFormatError, match=rf"^{gold[1].trace_id}: {path.replace('calls.', 'calls.0.')}: "):
            next(read)


@settings(deadline=None, max_examples=200)
@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(0, 10**6).map(lambda n: n / 10**4))
def test_what_is_let_in_survives_the_readers_decoder(value: float) -> None:
    """A number is let in exactly if the decoder of `datasets` gives it back to the last bit."""
    survives = Json().decode_example(to_json({"x": value}).decode()) == {"x": value}
    try:
        text = to_row(odd({"x": value}))["graph"]["calls"][0]["arguments"]
    except ShardError:
        assert not survives or abs(value) >= 2**53
    else:
        assert Json().decode_example(text) == {"x": value}


def test_rows_come_back_through_a_parquet_file_and_datasets(gold: list[GoldTrace], tmp_path: Path) -> None:
    """What `load_dataset` yields from a Parquet file is the trace that was written."""
    pq.write_table(
        table_of([*gold[:50], odd({"ü\u2028🙂": [1, None, {"a": {}}], "empty": []})]), tmp_path / "rows.parquet"
    )
    rows = load_dataset("parquet", data_files=str(tmp_path / "rows.parquet"), split="train", cache_dir=str(tmp_path))
    back = [from_row(row) for row in rows]

    assert rows.features == FEATURES
    assert back[:50] == gold[:50]
    assert back[50].graph.calls[0].arguments == {"ü\u2028🙂": [1, None, {"a": {}}], "empty": []}


@pytest.mark.parametrize(
    "value", [1 / 3, 0.0121, 1e300, math.nan, math.inf, 2**70, -(2**70), [2 / 3], {"deep": [{"x": 0.35}]}]
)
def test_what_would_come_back_otherwise_is_refused(value: Any) -> None:
    """A value that a reader would not get back unchanged is refused with an error that names its trace and argument."""
    with pytest.raises(
        ShardError, match=r"^trace t1: weight: .* cannot be published: a reader would not get it back unchanged$"
    ):
        to_row(odd({"weight": value}))


def test_text_that_is_no_unicode_is_refused() -> None:
    """A lone surrogate cannot be written, and the trace is named."""
    with pytest.raises(ShardError, match=r"^trace t1: "):
        table_of([odd({"name": "\ud800"})])


@pytest.mark.parametrize(
    "row", [{}, {"trace_id": "x"}, {"trace_id": "x", "request": 5}, {"trace_id": "x", "metadata": "{"}]
)
def test_what_is_no_trace_is_refused(row: dict[str, Any]) -> None:
    """A row of something else is refused by name, not with a traceback of pydantic's."""
    with pytest.raises(TraceFormatError, match=rf"^{row.get('trace_id', 'row')}: "):
        from_row(row)


def test_free_form_columns_are_json_and_nothing_else_is() -> None:
    """Exactly the columns without a fixed shape are `Json()`; times are UTC; lists are lists of structs."""

    def leaves(feature: Any, path: str = "") -> dict[str, Any]:
        if isinstance(feature, (dict, Features)):
            return {k: v for name, each in feature.items() for k, v in leaves(each, f"{path}.{name}").items()}
        return leaves(feature.feature, path) if isinstance(feature, List) else {path[1:]: feature}

    found = leaves(FEATURES)

    assert {path for path, feature in found.items() if isinstance(feature, Json)} == {
        "request.principal.attributes", "policy.scope_limits", "policy.constraints.parameters", "graph.calls.arguments",
        "metadata", "goal.effects.changes", "outcome.refused_goal.effects.changes", "outcome.refused_graph.calls.arguments",
        "observations.trust", "lures.calls.arguments",
    }  # fmt: skip
    assert found["created_at"] == Value("timestamp[us, tz=UTC]")
    assert json.loads(json.dumps(list(found))) == list(found)
    assert SCHEMA.field("graph").type.field("calls").type.value_type.field("arguments").type == pa.json_(pa.string())
