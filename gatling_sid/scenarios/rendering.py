"""Renders a request as text: its phrasing with the values stated, the frame around it, and how it is typed."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from gatling_sid.scenarios.wording_space import Wording, wording_space_of
from gatling_sid.schemas.composition.table import ScenarioTable
from gatling_sid.schemas.language.currencies import CURRENCIES
from gatling_sid.schemas.language.phrasing import Slot
from gatling_sid.schemas.language.wording import TOMORROW, join_list, wordings

Span = tuple[int, int]
"""Where a part of a text starts and where it ends, in characters."""

_TERMINAL = (".", "!", "?", "…", ".)", "?)", "!)")
"""Endings of a text after which no full stop is needed."""
_KEEPS_CAPITAL = re.compile(r"I\b|[A-Z]\w*[A-Z]|[B-Z]\b|A\b(?! )")
"""Beginnings that nobody writes in lower case: "I", abbreviations such as "IBM", single letters other than "A"."""
_TYPING_STYLES = (*["careful"] * 13, *["no full stop"] * 2, "lower case", "lower-case start")
"""How people type; one style is drawn for each request, and most (13 of 17) are careful."""


class RenderedRequest(NamedTuple):
    """A request's text and the spans of its slots; `core` is the span of the text without the frame."""

    text: str
    spans: dict[str, Span]
    core: Span
    opening: str


class _SlotRule(NamedTuple):
    """How a slot's value is stated: its kind (see `wordings`) and, by value, the catalogue's own wordings."""

    kind: str
    words: Mapping[Any, tuple[str, ...]]


_WRITTEN_ALIKE = frozenset({"date", "time", "days", "coming_days", *CURRENCIES})
"""The kinds of values that one person writes in one way."""
_BEFORE_TOMORROW = (" to ", " for ", " until ", " by ", " from ")
"""Words after which "tomorrow" can stand; "on" is left out before it, and elsewhere the date stands."""
_TEXT_RULE = _SlotRule("text", {})
"""The rule of a slot that no argument takes its value from: the value is stated as it is."""


def render_request(
    scenarios: ScenarioTable,
    scenario: str,
    wording_index: int,
    slots: Mapping[str, Any],
    today: date,
    rng: random.Random,
) -> RenderedRequest:
    """The request of a scenario with the wording of that index; `rng` chooses how it is typed and how values are stated.

    Raises:
        OracleError: the split has no wording of that index.

    """
    wording = wording_space_of(scenarios, scenario).at(wording_index)
    rules = _slot_rules_of(scenarios, scenario)
    style = rng.choice(_TYPING_STYLES)
    rendered = _render_carefully(wording, slots, rules, today, rng)
    if style == "careful":
        return rendered
    style = _style_that_fits(style, rendered, rules)
    ends_in_value = any(end == len(rendered.text) for _, end in rendered.spans.values())
    return rendered._replace(text=_apply_typing_style(rendered.text, style, keep_end=ends_in_value))


def _render_carefully(
    wording: Wording, slots: Mapping[str, Any], rules: Mapping[str, _SlotRule], today: date, rng: random.Random
) -> RenderedRequest:
    """The request in the style `careful`, with all capitals and full stops."""
    phrasing, variant_index, frame = wording
    opening = f"{frame.opening} " if frame.opening else ""
    texts = [opening]
    spans: dict[str, Span] = {}
    start = length = len(opening)
    way = rng.random()
    for part in phrasing.variant_parts(variant_index):
        if isinstance(part, Slot):
            rule = rules.get(part.name, _TEXT_RULE)
            words = part.wording or _render_value(slots[part.name], rule, today, way, rng)
            if rule.kind == "date" and words == TOMORROW:
                before, words = _place_tomorrow(texts[-1], slots[part.name], today)
                length -= len(texts[-1]) - len(before)
                texts[-1] = before
            if length == start:
                words = _begin_with_value(words, part, rule, opening)
            spans.setdefault(part.name, (length, length + len(words)))
        else:
            words = _continue_sentence(part, opening) if length == start else part
            if words.startswith("'s ") and texts[-1].endswith("s"):  # "Old Mill Partners' account"
                words = "'" + words[2:]
        texts.append(words)
        length += len(words)
    for sentence in (frame.reason, frame.closing):
        if sentence:
            texts.append((" " if texts[-1].endswith(_TERMINAL) else ". ") + sentence)
    return RenderedRequest("".join(texts), spans, (start, length), frame.opening)


def _place_tomorrow(before: str, value: str, today: date) -> tuple[str, str]:
    """The text before the next day, and the words for that day: "tomorrow" where it can stand, else the date."""
    if before.endswith(" on "):
        return before.removesuffix("on "), TOMORROW
    return before, TOMORROW if before.endswith(_BEFORE_TOMORROW) else wordings("date", value, today)[0]


def _render_value(value: Any, rule: _SlotRule, today: date, way: float, rng: random.Random) -> str:
    """A value in words; `way`, from 0 to 1, says how the person writes dates, times and amounts."""
    words = []
    for each in value if isinstance(value, list) else [value]:
        ways = wordings(rule.kind, each, today, rule.words.get(each, ()))
        words.append(ways[int(way * len(ways))] if rule.kind in _WRITTEN_ALIKE else rng.choice(ways))
    return join_list(words)


@lru_cache(maxsize=1024)
def _slot_rules_of(scenarios: ScenarioTable, scenario: str) -> dict[str, _SlotRule]:
    """The rule of every slot from which an argument takes its value; the kind of a message's content is `quote`."""
    domain, rules = scenarios.domain, {}
    for slot, uses in domain.slot_parameters(scenarios[scenario]).items():
        tool, name = uses[0]
        parameter = tool.parameters[name]
        kind = "quote" if parameter.does == "content" else domain.wording_kind(tool, parameter)
        rules[slot] = _SlotRule(kind, domain.wordings_to_render(tool, name))
    return rules


def _begin_with_value(words: str, slot: Slot, rule: _SlotRule, opening: str) -> str:
    """A value at the start of a request: names of columns begin the sentence, other values stay as they are."""
    if slot.wording is not None:
        return _continue_sentence(words, opening)
    if rule.kind == "choice" and not _runs_on(opening):
        return words[:1].upper() + words[1:]
    return words


def _continue_sentence(text: str, opening: str) -> str:
    """The start of a sentence, in lower case if the opening does not end a sentence before it."""
    if not _runs_on(opening) or _KEEPS_CAPITAL.match(text):
        return text
    return text[:1].lower() + text[1:]


def _runs_on(opening: str) -> bool:
    """Whether the sentence goes on after an opening, which ends with a blank; it does after a comma."""
    return bool(opening) and opening[-2:-1] not in ".!?)"


def _style_that_fits(style: str, rendered: RenderedRequest, rules: Mapping[str, _SlotRule]) -> str:
    """The style, or one that keeps capitals if it would change those of a quotation or of a value at the start."""
    has_quotation = any(name in rendered.spans and rule.kind == "quote" for name, rule in rules.items())
    begins_with_value = any(start == 0 for start, _ in rendered.spans.values())
    if has_quotation or (begins_with_value and style == "lower-case start"):
        return {"lower-case start": "careful", "lower case": "no full stop"}.get(style, style)
    return style


def _apply_typing_style(text: str, style: str, *, keep_end: bool) -> str:
    """The text in a typing style; no character before the end moves, so spans stay correct."""
    drops_full_stop = style in ("no full stop", "lower case") and not keep_end
    if drops_full_stop and text.endswith(".") and not text.endswith(".."):
        text = text[:-1]
    if style in ("careful", "no full stop"):
        return text
    if style == "lower-case start":
        return text if _KEEPS_CAPITAL.match(text) else text[:1].lower() + text[1:]
    lower = text.lower()
    return lower if len(lower) == len(text) else text  # some letters have two characters in lower case, such as İ
