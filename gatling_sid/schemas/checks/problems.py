"""The problems that checks yield, and functions that find frequent kinds of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.conditions import is_expression
from gatling_sid.schemas.domain import choices_of
from gatling_sid.schemas.population import ReferenceFill, simple_fills
from gatling_sid.schemas.references import Reference, reference_in

FileProblem = tuple[str, str]
"""A key of the file, and what is wrong there."""
_PLACEHOLDER = re.compile(r"\{(\w+)[^}]*\}")


def placeholders(text: str) -> list[str]:
    """The names between braces in a template or in the sentence of a rule; a format such as `:,` may follow them."""
    return _PLACEHOLDER.findall(text)


def find_unknown(where: str, names: Iterable[Any], known: Iterable[str], what: str) -> Iterator[FileProblem]:
    """Yields a problem for each of `names` that is not among the `known` ones."""
    known = list(known)
    for name in names:
        if name not in known:
            yield where, f"no {what} named {name!r}; known are {', '.join(sorted(map(str, known)))}"


def find_impossible_choices(where: str, field: c.EntityField, values: Iterable[Any]) -> Iterator[FileProblem]:
    """Yields a problem for each of `values` that a choice field never has; ignores expressions and other fields."""
    if field.type == "choice" and choices_of(field):
        literal = [each for each in values if not is_expression(each)]
        yield from find_unknown(where, literal, choices_of(field), "value")


def find_repeated(where: str, texts: Iterable[str]) -> Iterator[FileProblem]:
    """Yields a problem for each text that appears twice or more."""
    for text, times in Counter(texts).items():
        if times > 1:
            yield where, f"{text!r} appears {times} times; remove the repetition"


def expressions_in(value: Any) -> Iterator[Reference]:
    """Yields the expressions in a value of a domain file, however nested."""
    if isinstance(value, (Mapping, list, tuple)):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from expressions_in(each)
    elif (reference := reference_in(value)) is not None:
        yield reference


def entity_referred_to(field: c.EntityField) -> str | None:
    """The entity that a field refers to by its fill, whether it exists or not; None if it refers to none."""
    return next((fill.ref for fill in simple_fills(field.populate) if isinstance(fill, ReferenceFill)), None)
