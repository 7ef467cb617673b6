"""JSON text of values that must come back unchanged, through the decoder that readers of columns use."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import Any

from pydantic_core import to_json

_MAX_EXACT = 2.0**53
"""Integers from 2**53 on cannot all be represented as floats."""
_MAX_DIGITS = 10
"""Digits of a fraction that the decoder of readers keeps."""


def lasting_json(value: dict[str, Any]) -> str:
    """JSON text of a dict. Raises ValueError naming a value that a reader would not get back unchanged."""
    for name, each in value.items():
        kind = type(each)
        simple = each.isascii() if kind is str else kind is int and -_MAX_EXACT < each < _MAX_EXACT  # nearly all are
        if not isinstance(name, str) or not (simple or _check_survives(each)):
            raise ValueError(f"{name}: {_describe(each)} cannot be published: a reader would not get it back unchanged")
    return to_json(value).decode()


def exact_json(value: dict[str, Any]) -> str:
    """JSON text that every decoder of text gives back unchanged. Raises ValueError for a value that is not JSON."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    text.encode()  # a lone surrogate is no text
    return text


def _describe(value: Any) -> str:
    try:
        return str(value)[:80].encode("utf-8", "backslashreplace").decode()
    except RecursionError:
        return "a value that is nested too deeply"


_MAX_DEPTH = 100
"""Depth of nested JSON that all usual readers accept."""


@lru_cache(maxsize=65536)
def _decodes_to_itself(value: float) -> bool:
    """Whether a number survives encoding and decoding unchanged; the decoder that readers use keeps only ten digits.

    Of few digits, that decoder adds those before the point and the product of those after it and a negative power of ten.
    So they tell without it, which matters, since to import it takes a second.
    """
    whole, point, fraction = repr(abs(value)).partition(".")
    if point and fraction.isdecimal() and len(whole + fraction) <= _MAX_DIGITS:
        return int(whole) + int(fraction) * (1 / 10.0 ** len(fraction)) == abs(value)
    from datasets.utils.json import ujson_loads  # noqa: PLC0415 - takes a second, and hardly any number gets here

    return math.isfinite(value) and bool(ujson_loads(to_json(value)) == value)


def _check_survives(value: Any, depth: int = 0) -> bool:
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= each <= "\udfff" for each in value)
    if isinstance(value, bool) or value is None:
        return True
    if depth > _MAX_DEPTH:
        return False
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    if isinstance(value, float):
        return abs(value) < _MAX_EXACT if value.is_integer() else _decodes_to_itself(value)
    if isinstance(value, list):
        return all(_check_survives(each, depth + 1) for each in value)
    return isinstance(value, dict) and all(
        isinstance(k, str) and _check_survives(k) and _check_survives(v, depth + 1) for k, v in value.items()
    )
