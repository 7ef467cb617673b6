"""What is checked of the shared voice when it is read: its lists, and the notation and markers of their texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gatling_sid.schemas.language.alternatives import alternatives_of
from gatling_sid.schemas.language.phrasing import Slot, phrasing_of

_MEASURES = ("sum", "average", "maximum", "minimum", "longest", "shortest")
_MARKERS: Mapping[str, set[str]] = {
    "patterns.do": {"do"}, "patterns.then": {"do"}, "patterns.need": {"it"}, "patterns.any": {"rows"},
    "about_session": {"attribute"},
    "composed.facts": {"field", "value"},
    "verbs.show": set(), "verbs.grouped": {"group"}, "verbs.delete": {"it"}, "verbs.show_again": {"it"},
    "verbs.export": {"it", "target"}, "verbs.export_columns": {"it", "target", "columns"},
    **{f"verbs.show_columns_of_{each}": {"it", "columns"} for each in ("one", "many")},
    **{f"questions.columns_of_{each}": {"it", "columns"} for each in ("one", "many")},
    **{f"{kind}.count": {"measure", "it"} for kind in ("verbs", "questions")},
    **{f"{kind}.{each}": {"measure", "field", "it"} for kind in ("verbs", "questions") for each in _MEASURES},
}  # fmt: skip
"""The markers that each text of a list has. In a measure, `{rows}` may stand for `{it}`. Texts of other lists are plain."""
_FEWEST_PATTERNS = 60
"""The neutral patterns of a verb phrase there must be, so that each split has the phrasings it counts on."""
_PLAIN = re.compile(r"[^\s{}\[\]|]+(?: [^\s{}\[\]|]+)*")


def voice_problems(voice: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields (key, problem) of everything that is wrong with the content of the shared voice."""
    lists = dict(_lists_of(voice))
    for kind in ("verbs", "questions"):
        known = {key.partition(".")[2] for key in _MARKERS if key.startswith(f"{kind}.")}
        for name in sorted(known - voice[kind].keys()):
            yield f"{kind}.{name}", "is missing; add its texts"
        for name in sorted(voice[kind].keys() - known):
            yield f"{kind}.{name}", f"is not known; known are {', '.join(sorted(known))}"
            del lists[f"{kind}.{name}"]
    for key, texts in lists.items():
        if not texts:
            yield key, "has no texts; write some"
        for text in texts:
            if problem := _problem_of_text(key, text):
                yield key, problem
    for key, text in _said_twice(lists):
        yield key, f"{text!r} can be read twice in this list; remove one of them"
    if len(voice["patterns"]["do"]["neutral"]) < _FEWEST_PATTERNS:
        yield (
            "patterns.do.neutral",
            f"has fewer than {_FEWEST_PATTERNS} texts, of which each split needs some; write more",
        )


def _lists_of(voice: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Yields (key, texts) of every list; the registers and times of day of one kind of text are one list."""
    for kind, content in voice.items():
        if kind in ("openings", "closings"):
            yield kind, _together(content)
        elif isinstance(content, dict):
            yield from ((f"{kind}.{name}", _together(texts)) for name, texts in content.items())
        else:
            yield kind, content


def _together(texts: Mapping[str, list[str]] | list[str]) -> list[str]:
    return [text for each in texts.values() for text in each] if isinstance(texts, Mapping) else texts


def _problem_of_text(key: str, text: str) -> str:
    """What is wrong with a text of the shared voice; "" if nothing is."""
    if key not in _MARKERS:
        is_plain = key == "joins" or _PLAIN.fullmatch(text)
        return "" if is_plain else f"{text!r} is not a plain text, without braces, brackets or superfluous blanks"
    try:
        phrasing = phrasing_of(text)
    except ValueError as error:
        return f"{text!r}: {error}"
    expected = _MARKERS[key]
    markers = " and ".join(f"{{{each}}}" for each in sorted(expected)) or "no marker"
    for variant in range(phrasing.variants):
        slots = [part for part in phrasing.variant_parts(variant) if isinstance(part, Slot)]
        found = ["it" if each.name == "rows" and "measure" in expected else each.name for each in slots]
        if sorted(found) != sorted(expected):
            return f"{text!r} needs {markers}" + (", each once" if len(expected) > 1 else "")
        for each in slots:
            if (each.wording is None) == (each.name == "measure"):
                return f"{text!r}: words stand in braces only after `measure:`, and always there"
    return ""


def _said_twice(lists: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Yields (key, text) of each text that is one of a list already, whichever of its alternatives are taken."""
    for key, texts in lists.items():
        seen: set[str] = set()
        for text in texts:
            said = {each.casefold() for each in alternatives_of(text)}
            if said & seen:
                yield key, text
            seen |= said
