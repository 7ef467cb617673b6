"""References such as `$call_1.items[0].invoice_id`: the one notation by which plans point at values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

_REFERENCE = re.compile(r"\$([A-Za-z_]\w*)((?:\.[A-Za-z_]\w*|\[(?:\d{1,6}|\*)\])*)", re.ASCII)
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+|\*)\]", re.ASCII)

ALL = "*"


class Reference(NamedTuple):
    """`root` names what is pointed into (a call, a drawn row, `principal`, …), `path` the way from there.

    A step is a key, a list index, or `ALL` for every element of a list.
    """

    root: str
    path: tuple[str | int, ...]

    def __str__(self) -> str:
        return self.root + self.below

    @property
    def below(self) -> str:
        """The path as written, without its root."""
        return "".join(f"[{each}]" if isinstance(each, int) or each == ALL else f".{each}" for each in self.path)


@lru_cache(maxsize=65536)
def parse_reference(text: str) -> Reference | None:
    """The reference that `text` is as a whole, or None if it is plain text (`$50` is)."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        return None
    steps = (name or (ALL if index == ALL else int(index)) for name, index in _STEP.findall(match.group(2)))
    return Reference(match.group(1), tuple(steps))


def reference_in(value: object) -> Reference | None:
    """The reference that an argument value is, or None."""
    return parse_reference(value) if isinstance(value, str) and value.startswith("$") else None


def references_in(value: object) -> list[Reference]:
    """The references an argument value is or, as a list, holds; empty for plain values."""
    if isinstance(value, list):
        return [reference for each in value if (reference := reference_in(each)) is not None]
    reference = reference_in(value)
    return [] if reference is None else [reference]


def write_references(references: Sequence[Reference]) -> str:
    """References as an argument source names them: `a.items[0].id, b.items[*].id`."""
    return ", ".join(map(str, references))


class MissingPathError(LookupError):
    """A path leads nowhere in the value it was followed in."""


def follow(path: tuple[str | int, ...], value: Any) -> Any:
    """What `path` leads to in `value`; `ALL` maps the rest of the path over a list.

    Raises:
        MissingPathError: naming the step that is missing.

    """
    for depth, step in enumerate(path):
        if step == ALL:
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
