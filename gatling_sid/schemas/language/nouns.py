"""Plurals and articles of English nouns, by the regular rules."""

from __future__ import annotations

import re

_AN_NUMBER = re.compile(r"8|1[18](?!\d)")
"""Beginnings of numbers that are said with a vowel first: eight, eleven, eighteen, eighty."""
_LONG_U = re.compile(r"(?:uni(?!m|n)|us[aeu]|eu|one(?!\w)|once|ut[ie])", re.IGNORECASE)
_SILENT_H = re.compile(r"(?:hour|honest|honou?r|heir)", re.IGNORECASE)


def plural_of(noun: str) -> str:
    """The plural of a noun, by the regular rules; series and staff have none of their own."""
    if noun.endswith(("series", "staff")):
        return noun
    if re.search(r"[^aeiou]y$", noun):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if re.search(r"(?:s|x|z|ch|sh)$", noun) else f"{noun}s"


def article_of(words: str) -> str:
    """The article, a or an, that stands before the words: an hour, a unit, an 8-day trip."""
    if _AN_NUMBER.match(words) or _SILENT_H.match(words):
        return "an"
    return "an" if words[:1].casefold() in {*"aeiou"} and not _LONG_U.match(words) else "a"


def with_article(words: str) -> str:
    """The words with a or an before them."""
    return f"{article_of(words)} {words}"
