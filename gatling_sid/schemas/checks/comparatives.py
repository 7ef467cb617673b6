"""Checks that comparatives, superlatives and units agree with the filter, the order or the field they stand for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.checks.problems import FileProblem
from gatling_sid.schemas.language.currencies import CURRENCIES

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_MORE = "over|more|above|after|later|higher|longer|greater|exceeding|at least|or up|upwards?|minimum"
_LESS = "under|less|fewer|below|before|until|earlier|lower|shorter|at most|up to|maximum|within"
_LOWER_BOUND = re.compile(rf"(?<!no )(?<!not )\b(?:{_LESS})\b|\b(?:no|not) (?:{_MORE})\b", re.IGNORECASE)
"""What a lower bound must not say: "under" and the like, or "no more than"."""
_UPPER_BOUND = re.compile(
    rf"(?<!no )(?<!not )\b(?:{_MORE})\b|\}} up\b|\b(?:no|not) (?:{_LESS})\b|\bsince\b", re.IGNORECASE
)
"""What an upper bound must not say: "over" and the like, or "no less than"."""
_PAST = re.compile(r"\b(?:last|past|previous|ago|since)\b", re.IGNORECASE)
_COMING = re.compile(r"\b(?:next|coming|upcoming|ahead|from now)\b", re.IGNORECASE)
_CONTRADICTIONS: Mapping[str, re.Pattern[str]] = {
    "at_least": _LOWER_BOUND,
    "since": _LOWER_BOUND,
    "at_most": _UPPER_BOUND,
    "until": _UPPER_BOUND,
    "within_days": _COMING,
    "next_days": _PAST,
}
"""By match of a filter: words that mean the opposite. "That last fired in {}" is said of a day itself."""
_SUPERLATIVE = re.compile(r"(?!the )(?:~ )?[^\s~{}\[\]|<>]+(?: [^\s~{}\[\]|<>]+)*(?<![.,;:?!])")
_VERB_AFTER_LAST = re.compile(r"\b(?:last|next) \w+ed\b|\b(?:was|were|is|are) last\b", re.IGNORECASE)

_NUMBERS, _MOMENTS = ("money", "number", "integer"), ("date", "time")
_RISING: Mapping[str, re.Pattern[str]] = {
    **dict.fromkeys(_NUMBERS, re.compile(r"\b(?:smallest|lowest|cheapest|shortest|fewest|least|lightest|minimal)\b")),
    **dict.fromkeys(_MOMENTS, re.compile(r"\b(?:oldest|earliest|soonest|next|first)\b")),
}
_FALLING: Mapping[str, re.Pattern[str]] = {
    **dict.fromkeys(
        _NUMBERS,
        re.compile(r"\b(?:largest|biggest|highest|greatest|longest|priciest|dearest|heaviest|most|top|maximal)\b"),
    ),
    **dict.fromkeys(_MOMENTS, re.compile(r"\b(?:newest|latest|last|most recent|most recently)\b")),
}
"""By type of field: superlatives of an order that rises, and of one that falls."""

_MONEY = "|".join(each.plural for each in CURRENCIES.values())
_UNIT = re.compile(
    rf"\}}\s*(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|percent|%|degrees?|times|people|{_MONEY})(?!\w)",
    re.IGNORECASE,
)
"""A unit after a value of a type whose wordings have their unit, such as "$500" and "the last 30 days"."""
_TYPES_WITH_UNIT = ("money", "date")
_CURRENCY = re.compile(r"(?:[$€£¥₹₦]|R|CHF|SEK|AED|KSh)\s*\{")


def check_bounds(domain: Domain) -> Iterator[FileProblem]:
    """Yields phrases of a bound or a period that say the opposite of what their filter does."""
    for where, _, key, text in _phrases(domain):
        pattern = _CONTRADICTIONS.get(key)
        found = pattern.search(_VERB_AFTER_LAST.sub("", text)) if pattern is not None else None
        if found:
            yield (
                where,
                f"{text!r} stands for {key}, but says {found.group().strip('} ')!r}; use words that agree with it",
            )


def check_units(domain: Domain) -> Iterator[FileProblem]:
    """Yields phrases whose value gets a unit that it cannot have, or a second one."""
    for where, kind, _, text in _phrases(domain):
        found = _CURRENCY.search(text) or (_UNIT.search(text) if kind in _TYPES_WITH_UNIT else None)
        if found:
            shown = found.group().strip("{} ")
            yield where, f"{text!r} gives {shown!r} to a value of type {kind}; the wordings of the value have its unit"


def _phrases(domain: Domain) -> Iterator[tuple[str, str, str, str]]:
    """Yields (key of the file, type of the field, key of the phrases or "", text) of every phrase."""
    for name, entity in domain.file.entities.items():
        for field_name, field in entity.fields.items():
            where = f"entities.{name}.fields.{field_name}.said"
            if isinstance(field.said, list):
                yield from ((where, field.type, "", text) for text in field.said)
            else:
                for key, texts in field.said.items():
                    yield from ((f"{where}.{key}", field.type, key, text) for text in texts)


def check_superlatives(domain: Domain) -> Iterator[FileProblem]:
    """Yields superlatives that are not well formed, that mean the other end of their order, or that stand for two orders."""
    for name, tool in domain.file.tools.items():
        entity = domain.file.entities.get(tool.entity)
        if entity is None:
            continue
        types = {field_name: field.type for field_name, field in entity.fields.items()}
        if tool.first_said and tool.order is None:
            yield f"tools.{name}.first_said", "the tool has no `order`, so no row is the first; state its order"
        order_of: dict[str, str] = {}
        for where, order, texts in _superlatives_of(name, tool):
            yield from _check_order(where, order, types, texts)
            for text in texts:
                if order_of.setdefault(text.casefold(), order) != order:
                    yield where, f"{text!r} is said of two orders, {order_of[text.casefold()]} and {order}; keep one"


def _superlatives_of(name: str, tool: c.Tool) -> Iterator[tuple[str, str, list[str]]]:
    """Yields (key of the file, order, texts) of a tool's own order and of those that can be asked for."""
    yield f"tools.{name}.first_said", tool.order or "", tool.first_said
    for parameter_name, parameter in tool.parameters.items():
        for order, texts in parameter.words.items() if parameter.does == "sort" else ():
            yield f"tools.{name}.parameters.{parameter_name}.words.{order}", order, texts


def _check_order(where: str, order: str, types: Mapping[str, str], texts: list[str]) -> Iterator[FileProblem]:
    falls = order.startswith("-")
    opposite = (_RISING if falls else _FALLING).get(types.get(order.removeprefix("-"), ""))
    for text in texts:
        if not _SUPERLATIVE.fullmatch(text):
            yield (
                where,
                f"{text!r} is not words such as 'newest', or '~ filed last' for those that stand after the noun",
            )
        if opposite is not None and opposite.search(text):
            remedy = order.removeprefix("-") if falls else f"-{order}"
            yield where, f"{text!r} is said of the order {remedy}, not of {order}; use other words or that order"
