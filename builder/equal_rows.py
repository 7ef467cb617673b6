"""Finds rows of an Arrow array that are equal, column by column, before any of them becomes a Python value."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Numbers = npt.NDArray[np.int64]

_MAX_NUMBER = 2**62
"""Two columns are numbered together while their product stays below this, and so within 64 bits."""


def number_rows(array: pa.Array) -> Numbers:
    """Numbers every row, from 0 to below the number of rows; two rows get the same number exactly if they are equal."""
    if pa.types.is_struct(array.type):
        return _number_structs(array)
    if pa.types.is_list(array.type):
        return _number_lists(array)
    if pa.types.is_floating(array.type):
        array = array.view(pa.int64())  # by bits: 0.0 is not -0.0
    return _number_values(array)


def _number_values(values: pa.Array) -> Numbers:
    """Numbers values in the order of their first occurrence; null counts as a value."""
    return np.asarray(values.dictionary_encode("encode").indices.to_numpy(), np.int64)


def _number_structs(array: pa.StructArray) -> Numbers:
    numbers, size = _number_values(array.is_null()), 2
    for field in array.flatten():
        if size * (len(array) + 1) >= _MAX_NUMBER:
            numbers, size = _number_values(pa.array(numbers)), len(array)
        numbers, size = numbers * (len(array) + 1) + number_rows(field), size * (len(array) + 1)
    return _number_values(pa.array(numbers))


def _number_lists(array: pa.ListArray) -> Numbers:
    elements = number_rows(array.flatten()).tobytes()
    lengths = array.value_lengths().fill_null(-1).to_numpy()
    ends = (np.cumsum(np.maximum(lengths, 0)) * np.dtype(np.int64).itemsize).tolist()
    known: dict[tuple[int, bytes], int] = {}
    keys = zip(lengths.tolist(), [0, *ends], ends, strict=False)
    return np.array([known.setdefault((n, elements[start:end]), len(known)) for n, start, end in keys], np.int64)
