"""Which rows of an Arrow array say the same: found column by column, before any Python value is made of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Numbers = npt.NDArray[np.int64]

_ROOM = 2**62


def number_rows(array: pa.Array) -> Numbers:
    """A number for every row, below the number of rows, the same for two rows exactly if their content is."""
    if pa.types.is_struct(array.type):
        return _of_struct(array)
    if pa.types.is_list(array.type):
        return _of_list(array)
    if pa.types.is_floating(array.type):
        array = array.view(pa.int64())  # by bits: 0.0 is not -0.0
    return _compact(array)


def _compact(values: pa.Array) -> Numbers:
    """The values numbered as they first occur; null is a value."""
    return np.asarray(values.dictionary_encode("encode").indices.to_numpy(), np.int64)


def _of_struct(array: pa.StructArray) -> Numbers:
    numbers, size = _compact(array.is_null()), 2
    for field in array.flatten():
        if size * (len(array) + 1) >= _ROOM:
            numbers, size = _compact(pa.array(numbers)), len(array)
        numbers, size = numbers * (len(array) + 1) + number_rows(field), size * (len(array) + 1)
    return _compact(pa.array(numbers))


def _of_list(array: pa.ListArray) -> Numbers:
    elements = number_rows(array.flatten()).tobytes()
    lengths = array.value_lengths().fill_null(-1).to_numpy()
    ends = (np.cumsum(np.maximum(lengths, 0)) * np.dtype(np.int64).itemsize).tolist()
    known: dict[tuple[int, bytes], int] = {}
    keys = zip(lengths.tolist(), [0, *ends], ends, strict=False)
    return np.array([known.setdefault((n, elements[start:end]), len(known)) for n, start, end in keys], np.int64)
