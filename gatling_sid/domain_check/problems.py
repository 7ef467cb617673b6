"""Problems of a domain as its author reads them: alike ones are listed once, with their number and a remedy."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_MASKS = [
    (re.compile(pattern), marker)
    for pattern, marker in (
        (r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", "<address>"),
        (r"'[^']*'|“[^”]*”", "<text>"),
        (r"\b\d{4}-\d{2}-\d{2}\b", "<date>"),
        (r"\b(?=[\w-]*\d)[A-Za-z]\w*(?:-\w+)+\b", "<id>"),
        (r"\bcall_\d+\b", "<call>"),
        (r"[$€£]?\b\d[\d.,:]*\b", "<number>"),
        (r"(<\w+>)(?:(?:, | and )\1)+", r"\1, …"),
    )
]
"""What differs between two problems of the same kind, and the marker that replaces it."""
_MAX_PLACES = 4
"""Places of a problem that are named; the others are counted."""


class AuthorProblem(NamedTuple):
    """Something wrong: its kind, the key of the file or the part it concerns, a text and what to do about it.

    An amount is something that a draft may still lack. What is of the shared voice more than of the file fails no check.
    """

    kind: str
    where: str
    text: str
    remedy: str = ""
    is_amount: bool = False
    is_of_voice: bool = False


def mask_values(text: str) -> str:
    """The text without what belongs to single rows: ids, addresses, dates, numbers and quoted texts."""
    for pattern, marker in _MASKS:
        text = pattern.sub(marker, text)
    return text


def describe_problems(problems: Iterable[AuthorProblem]) -> Iterator[str]:
    """Yields lines about all problems by kind; those with the same text are listed once, with their places."""
    places: dict[AuthorProblem, Counter[str]] = {}
    for each in problems:
        places.setdefault(each._replace(where=""), Counter())[each.where] += 1
    kind = ""
    for each, found in sorted(places.items(), key=lambda item: item[0].kind):  # sorted() keeps the order within a kind
        if each.kind != kind:
            kind = each.kind
            total = sum(of.total() for other, of in places.items() if other.kind == kind)
            yield f"\n{kind} ({total})"
        times = f"{found.total()} x " if found.total() > 1 else ""
        yield f"  {times}{_join_places(found)}: {each.text}" if any(found) else f"  {times}{each.text}"
        if each.remedy:
            yield f"      → {each.remedy}"


def _join_places(found: Counter[str]) -> str:
    named = [place for place, _ in found.most_common(_MAX_PLACES)]
    others = len(found) - len(named)
    return ", ".join(named) + (f" and {others} more" if others else "")
