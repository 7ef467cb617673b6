"""References such as `$call_1.items[0].invoice_id`, the notation with which plans and domain files point to values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

_REFERENCE = re.compile(r"\$([A-Za-z_]\w*)((?:\.[A-Za-z_]\w*|\[(?:\d{1,6}|\*)\])*)", re.ASCII)
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+|\*)\]", re.ASCII)

ALL_ELEMENTS = "*"
"""The step of a path that means every element of a list."""


class Reference(NamedTuple):
    """What an expression points to.

    `root` names a call, a drawn row, `principal`, …; `path` leads from there to the value. A step of the path is a key,
    a list index, or `ALL` for every element of a list.
    """

    root: str
    path: tuple[str | int, ...]

    def __str__(self) -> str:
        return self.root + self.path_text

    @property
    def path_text(self) -> str:
        """The path as written, without its root."""
        return "".join(
            f"[{each}]" if isinstance(each, int) or each == ALL_ELEMENTS else f".{each}" for each in self.path
        )


@lru_cache(maxsize=65536)
def parse_reference(text: str) -> Reference | None:
    """Parses the whole text as a reference; returns None if it is not one, such as `$50`."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        return None
    steps = (
        name or (ALL_ELEMENTS if index == ALL_ELEMENTS else int(index)) for name, index in _STEP.findall(match.group(2))
    )
    return Reference(match.group(1), tuple(steps))


def reference_in(value: object) -> Reference | None:
    """The value parsed as a reference, or None if it is not one."""
    return parse_reference(value) if isinstance(value, str) and value.startswith("$") else None


def references_in(value: object) -> list[Reference]:
    """The references in a value or, if it is a list, in its elements; an empty list for plain values."""
    if isinstance(value, list):
        return [reference for each in value if (reference := reference_in(each)) is not None]
    reference = reference_in(value)
    return [] if reference is None else [reference]


def write_references(references: Sequence[Reference]) -> str:
    """The references as the text of an argument source: `a.items[0].id, b.items[*].id`."""
    return ", ".join(map(str, references))


class MissingPathError(LookupError):
    """The value that a path was followed in does not have one of its steps."""


def follow(path: tuple[str | int, ...], value: Any) -> Any:
    """The value to which `path` leads from `value`; at `ALL`, the list of what the rest of the path leads to.

    Raises:
        MissingPathError: a step is missing; the text names it.

    """
    for depth, step in enumerate(path):
        if step == ALL_ELEMENTS:
            if not isinstance(value, list):
                raise MissingPathError("[*] needs a list")
            rest = path[depth + 1 :]
            return [follow(rest, each) for each in value]
        try:
            if isinstance(step, int) != isinstance(value, list):
                raise TypeError
            value = value[step]
        except (KeyError, IndexError, TypeError):
            raise MissingPathError(f"there is no {step!r}") from None
    return value
