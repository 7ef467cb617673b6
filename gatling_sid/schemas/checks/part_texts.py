"""Checks the verb phrases and questions of parts: they are well formed and state every value that a request must state."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, combinations
from typing import TYPE_CHECKING

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.checks.parts import has_known_names
from gatling_sid.schemas.checks.phrasings import check_blanks
from gatling_sid.schemas.checks.problems import FileProblem, find_repeated, find_unknown
from gatling_sid.schemas.composition.look_ups import fields_to_tell
from gatling_sid.schemas.composition.part_texts import own_texts
from gatling_sid.schemas.composition.shapes import entity_of_part, number_of
from gatling_sid.schemas.language.alternatives import alternatives_of
from gatling_sid.schemas.language.nouns import article_of
from gatling_sid.schemas.language.phrasing import Phrasing, Slot, phrasing_of
from gatling_sid.schemas.language.wording import plain_words

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_SHARED_VERBS = ("list", "get", "aggregate", "export", "delete")
"""Operations whose verbs the shared voice has."""
_PURPOSES: Mapping[str, str] = {
    "columns": "select", "field": "measured", "measure": "measure", "group": "group", "target": "target", "format": "format",
}  # fmt: skip
"""Slots that stand for the parameter of a purpose, whatever it is called."""
_ROWS = ("it", "rows")
_ARTICLE_BEFORE_SLOT = re.compile(r"\b(an?) \{(\w+)\}", re.IGNORECASE)
_END_OF_SENTENCE = re.compile(r"[.?!]$")


def check_part_texts(domain: Domain) -> Iterator[FileProblem]:
    """Yields what is wrong with the texts of parts; a part whose tool or entity is unknown is skipped."""
    for name, part in domain.file.parts.items():
        where = f"parts.{name}"
        if not has_known_names(domain, part):
            continue
        operation = domain.file.tools[part.tool].operation
        if not part.says and operation not in _SHARED_VERBS:
            yield (
                f"{where}.says",
                f"operation {operation} has no shared verb phrases; write some, with {{it}} for the rows",
            )
        for key, texts in (("says", part.says), ("asks", part.asks)):
            yield from _check_values(f"{where}.{key}", part, texts)
            yield from find_repeated(f"{where}.{key}", [text for each in _lists(texts).values() for text in each])
            for value, listed in _lists(texts).items():
                here = f"{where}.{key}.{value}" if value else f"{where}.{key}"
                for text in listed:
                    yield from _check_text(here, domain, name, text, is_question=key == "asks")


def check_shared_texts(domain: Domain) -> Iterator[FileProblem]:
    """Yields parts about the same kind of rows that share a text but not all of them, so that requests could repeat.

    Tasks that are said alike share their phrasings, and each world uses others of them; that is so only of equal lists.
    """
    parts = domain.file.parts
    texts = {name: own_texts(part) for name, part in parts.items()}
    said = {name: {each for text in own for each in alternatives_of(text)} for name, own in texts.items()}
    for name, other in combinations(parts, 2):
        shared = sorted(said[name] & said[other])
        if not shared or texts[name] == texts[other] or entity_of_part(domain, name) != entity_of_part(domain, other):
            continue
        if {number_of(domain, name), number_of(domain, other)} != {"one", "many"}:
            yield (
                f"parts.{other}",
                f"says {shared[0]!r} as {name} does, but not all of its texts; give both the same, or none",
            )


def _lists(texts: Mapping[str, list[str]] | list[str]) -> Mapping[str, list[str]]:
    """The texts of a part by the value they are for; those for any value have the key ""."""
    return texts if isinstance(texts, Mapping) else {"": texts}


def _check_values(where: str, part: c.Part, texts: Mapping[str, list[str]] | list[str]) -> Iterator[FileProblem]:
    """Yields values of the argument `by_value` without texts, and texts for values that it does not have."""
    if not isinstance(texts, Mapping) or not texts:
        return
    if part.by_value is None:
        yield where, "texts by value need `by_value`, the name of the argument that has these values"
        return
    values = part.arguments.get(part.by_value)
    if isinstance(values, list):
        known = [str(each) for each in values]
        yield from find_unknown(where, texts, known, f"value of {part.by_value}")
        for value in dict.fromkeys(known):
            if not texts.get(value):
                yield where, f"has no texts for {part.by_value} {value}"


def _check_text(where: str, domain: Domain, name: str, text: str, *, is_question: bool) -> Iterator[FileProblem]:
    try:
        phrasing = phrasing_of(text)
    except ValueError as error:
        yield where, str(error)
        return
    yield from check_blanks(where, phrasing)
    yield from _check_ends(where, phrasing, is_question=is_question)
    if is_question and (pattern := _pattern_of(domain, text)):
        yield where, f"{text!r} is the shared pattern {pattern!r} with a verb phrase; write that among `says`"
    part = domain.file.parts[name]
    tool, has_rows = domain.file.tools[part.tool], entity_of_part(domain, name) is not None
    arguments = {each for each in part.arguments if _is_stated(part.arguments[each])}
    purposes = {each.does for each in tool.parameters.values()}
    known = [
        *arguments,
        *(slot for slot, purpose in _PURPOSES.items() if purpose in purposes),
        *(_ROWS if has_rows else ()),
    ]
    names = list(dict.fromkeys(slot.name for slot in phrasing.slots()))
    yield from find_unknown(where, names, known, "slot")
    for slot in _stated_twice(phrasing):
        yield where, f"{text!r} states {{{slot}}} twice; a pronoun stands for what was named before"
    yield from _check_fixed_words(where, phrasing, part)
    yield from _check_articles(where, domain, part, text)
    for argument in _needed(part, tool, arguments):
        slots = [argument, *(slot for slot, purpose in _PURPOSES.items() if tool.parameters[argument].does == purpose)]
        if not any(phrasing.always_states(slot) for slot in slots):
            yield where, f"{text!r} does not always state {{{slots[-1]}}}"
    is_own_row = tool.operation == "get" and "mine" in part.must_say  # "my salary" needs no words for the row
    if has_rows and not is_own_row and not any(phrasing.always_states(slot) for slot in _ROWS):
        yield where, f"{text!r} does not always name the rows; put {{it}} where they stand"


def _stated_twice(phrasing: Phrasing) -> list[str]:
    """The names of slots that some variant of a text has more than once."""
    variants = (phrasing.variant_parts(at) for at in range(phrasing.variants))
    counts = (Counter(part.name for part in parts if isinstance(part, Slot)) for parts in variants)
    return sorted({name for each in counts for name, number in each.items() if number > 1})


def _pattern_of(domain: Domain, text: str) -> str | None:
    """The pattern of the shared voice that a question is made of, so that another split could have it, too."""
    for pattern in chain.from_iterable(domain.voice.patterns.do.of(each) for each in ("neutral", "casual", "formal")):
        for each in alternatives_of(pattern):
            before, _, after = each.partition("{do}")
            if before and text.startswith(before) and text.endswith(after):
                return pattern
    return None


def _is_stated(value: object) -> bool:
    """Whether a request states an argument: one that is drawn from a list or otherwise, not one that follows from a row."""
    return isinstance(value, (list, Mapping)) and not fields_to_tell(value)


def _needed(part: c.Part, tool: c.Tool, arguments: Iterable[str]) -> Iterator[str]:
    """The parameters whose values every text must state."""
    for name, parameter in tool.parameters.items():
        selects = parameter.does == "select" and part.columns
        if selects or (name in arguments and part.arguments[name] != [None]):
            yield name


def _check_fixed_words(where: str, phrasing: Phrasing, part: c.Part) -> Iterator[FileProblem]:
    """Yields slots with words of their own although their value varies."""
    for slot in dict.fromkeys(phrasing.slots()):
        value = part.arguments.get(slot.name)
        is_fixed = isinstance(value, list) and (len(value) == 1 or slot.name == part.by_value)
        if slot.wording is not None and slot.name in part.arguments and not is_fixed:
            yield where, f"{phrasing.text!r}: {slot.name} varies, so its wording cannot be fixed; use `by_value`"
        if slot.wording is not None and slot.name in (*_ROWS, "columns"):
            yield where, f"{phrasing.text!r}: {{{slot.name}}} takes no words of its own"


def _check_articles(where: str, domain: Domain, part: c.Part, text: str) -> Iterator[FileProblem]:
    """Yields slots after "a" or "an" some of whose values need the other one: "a {kind} endorsement" about an address."""
    tool = domain.file.tools[part.tool]
    for article, slot in _ARTICLE_BEFORE_SLOT.findall(text):
        values = part.arguments.get(slot)
        if not isinstance(values, list):
            continue
        ways = domain.wordings_to_render(tool, slot)
        said = [way for value in values for way in ways.get(value) or (plain_words(str(value)),)]
        other = next((way for way in said if article_of(way) != article.casefold()), None)
        if other is not None:
            yield (
                where,
                f"{text!r} may say {article + ' ' + other!r}; put another word before {{{slot}}}, or use `by_value`",
            )


def _check_ends(where: str, phrasing: Phrasing, *, is_question: bool) -> Iterator[FileProblem]:
    for rendering in phrasing.plain_renderings():
        ends = _END_OF_SENTENCE.search(rendering)
        if is_question and not ends:
            yield where, f"{phrasing.text!r} is a whole sentence; end it with a question mark or a full stop"
        elif not is_question and ends:
            yield where, f"{phrasing.text!r} stands within a sentence; leave out {ends.group()!r} at its end"
        elif not is_question and rendering[:1].isupper():
            yield where, f"{phrasing.text!r} stands within a sentence; begin it with a verb in lower case"
        else:
            continue
        return
