"""Rows have the same number exactly if their content is the same."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.equal_rows import number_rows

TEXT = st.none() | st.sampled_from(["", "a", "b", "ab", "0"])
ITEM = st.none() | st.fixed_dictionaries({"name": TEXT, "real": st.none() | st.sampled_from([0.0, -0.0, 1.5])})
ROW = st.none() | st.fixed_dictionaries(
    {"number": st.none() | st.integers(-1, 1), "items": st.none() | st.lists(ITEM, max_size=3), "words": st.lists(TEXT)}
)
TYPE = pa.struct({
    "number": pa.int64(), "items": pa.list_(pa.struct({"name": pa.string(), "real": pa.float64()})),
    "words": pa.list_(pa.string()),
})  # fmt: skip


def pattern(values: list[Any]) -> list[int]:
    """Where each value first occurs."""
    first: dict[Any, int] = {}
    return [first.setdefault(value, at) for at, value in enumerate(values)]


@settings(deadline=None)
@given(st.lists(ROW, max_size=12), st.integers(0, 3))
def test_numbers_tell_rows_apart_exactly_by_content(rows: list[Any], skipped: int) -> None:
    """Null, empty list, empty text and negative zero are all different, anywhere in a row; slices are read correctly."""
    array = pa.array(rows, TYPE)[skipped:]

    assert pattern(number_rows(array).tolist()) == pattern([repr(row) for row in array.to_pylist()])


@pytest.mark.parametrize("fields", [3, 12])
def test_many_fields_of_many_values_do_not_run_over(fields: int) -> None:
    """Rows that differ get different numbers, however many combinations of values a struct could have."""
    rows = [{f"f{at}": row % (at + 2) for at in range(fields)} for row in range(3000)]

    assert pattern(number_rows(pa.array(rows)).tolist()) == pattern([repr(row) for row in rows])
