"""Facts that a text of a row states in words, such as the day in "please move it to 4 March"."""

from __future__ import annotations

from datetime import date
from typing import Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.language.wording import wordings
from gatling_sid.schemas.references import Reference


def is_stated_fact(reference: Reference) -> bool:
    """Whether a reference leads through a text to a fact that it states: `$check.body.asked_on`."""
    names = [step for step in reference.path if isinstance(step, str) and step not in ("items", "*")]
    return len(names) > 1


def span_of_fact(entity: c.Entity, fact: str, row: dict[str, Any], today: date) -> tuple[int, int]:
    """Where the text of a row states the fact.

    Raises:
        ValueError: the text does not state it.

    """
    field = entity.fields[fact]
    text, value = row[str(field.stated_in)], row[fact]
    words = tuple(field.words.get(value, ())) if isinstance(value, str) else ()
    kind = "choice" if words else field.kind
    for each in sorted(wordings(kind, value, today, words) or (str(value),), key=len, reverse=True):
        start = text.find(each)
        while start >= 0:
            end = start + len(each)
            if not _is_inside_word(text, start) and not _is_inside_word(text, end):
                return start, end
            start = text.find(each, start + 1)
    raise ValueError(f"the text does not state {fact} {value!r}")


def _is_inside_word(text: str, at: int) -> bool:
    around = text[max(at - 1, 0) : at + 1]
    return len(around) > 1 and around.isalnum()
