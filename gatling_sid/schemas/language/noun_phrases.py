"""Noun phrases: how a request names the rows that it is about, composed of a noun and of phrases for conditions.

The notation of a phrase: `~` is the noun, `{}` the condition's value in any wording, `{past due}` the value in these
words, and `<is|are>` a verb that agrees with the noun. `"overdue ~"`, `"~ from {}"`, `"~ that <is|are> {still open}"`
and `"{}'s ~"` compose to "Harlow's overdue invoices that are still open". A phrase without `~` is a noun phrase by
itself, such as a name. `[taken|collected|]` are alternatives, each of which makes a phrase of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import islice, product
from typing import NamedTuple

from gatling_sid.schemas.language.phrasing import PhrasingPart, Slot

Words = tuple[PhrasingPart, ...]
"""Literal texts and slots, in order."""

_MAX_REALISATIONS = 8
"""Noun phrases that are composed for the same conditions; more would hardly be more varied."""
_MOST_CHOICES = 64
"""Choices of phrases for the same conditions that are looked at."""
_VALUE = re.compile(r"\{([^{}]*)\}")
_BEFORE_NUMBER = frozenset({"next", "first", "last"})
"""Superlatives that stand before their number: "the next three meetings"."""
_LONGER_WORD = re.compile(r"(?<![\w'])[a-z]{5,}(?![\w'=])")
_AGREEMENT = re.compile(r"<([^<>|]*)\|([^<>|]*)>")
_POSSESSIVE = re.compile(r"\{[^{}]*\}(?:'s|') .*~|(?:my|our|the) .*~", re.IGNORECASE)
_OWNER = re.compile(r".*(?:'s|s') |\S+ ")
_RELATIVE = re.compile(r"~,? (?:that|which|who|whose|where)\b")


class ConditionPhrase(NamedTuple):
    """A phrase for one condition; `before` and `after` surround the noun, and `is_whole` says that there is no noun.

    With `makes_definite`, the noun phrase cannot take "any" or "which" before it ("my invoices").
    """

    before: Words
    after: Words
    is_whole: bool
    makes_definite: bool
    is_relative: bool

    @property
    def has_open_value(self) -> bool:
        """Whether any wording of the value may stand in it; such a word is nearest to the noun ("open Data Engineer job")."""
        return any(isinstance(part, Slot) and part.wording is None for part in (*self.before, *self.after))

    @property
    def follows_name(self) -> bool:
        """Whether the phrase can stand after a name: "Leung from Sales", but not "junior Leung"."""
        return not self.before and not self.is_whole and not self.is_relative


class Superlative(NamedTuple):
    """The words for the first rows of an order, such as "newest", and the slots for their number and for the order.

    Those that stand `is_after` the noun are such as "sent last" in "the three invitations sent last".
    """

    number: Slot
    order: Slot | None
    words: str
    is_after: bool = False


def superlative_of(text: str, number: str, order: str) -> Superlative:
    """A superlative of the catalogue, "newest" or "~ sent last", with the names of its slots; "" if no slot is stated."""
    words = text.removeprefix("~ ")
    is_after = words != text
    if order:
        return Superlative(Slot(number, None), Slot(order, words), "", is_after)
    return Superlative(Slot(number, None), None, words, is_after)


@lru_cache(maxsize=16384)
def phrase_of(text: str, slot: str, *, plural: bool) -> ConditionPhrase:
    """Parses a phrase; the value becomes the slot of that name.

    Raises:
        ValueError: the text has more than one noun or is not well formed.

    """
    agreed = _AGREEMENT.sub(lambda match: match.group(2 if plural else 1), text)
    if agreed.count("~") > 1 or "<" in agreed or ">" in agreed:
        raise ValueError(f"{text!r} needs at most one ~, and <singular|plural> where a verb agrees")
    before, noun, after = agreed.partition("~")
    return ConditionPhrase(
        before=_parse_words(before if noun else agreed, slot),
        after=_parse_words(after, slot),
        is_whole=not noun,
        makes_definite=not noun or _POSSESSIVE.match(agreed) is not None,
        is_relative=_RELATIVE.search(agreed) is not None,
    )


def _parse_words(text: str, slot: str) -> Words:
    parts: list[PhrasingPart] = []
    position = 0
    for match in _VALUE.finditer(text):
        parts += [text[position : match.start()]] if match.start() > position else []
        parts.append(Slot(slot, match.group(1) or None))
        position = match.end()
    return tuple([*parts, text[position:]] if position < len(text) else parts)


def values_in(text: str) -> list[str]:
    """The words that a phrase fixes for its value, such as `still open`; none if any wording may stand there."""
    return [words for words in _VALUE.findall(text) if words]


class NounPhrases(NamedTuple):
    """The noun phrases for some rows: definite ones ("the overdue invoices"), and bare plurals ("overdue invoices").

    There is no bare plural for a single row, nor for rows such as "my invoices" or "the five newest invoices".
    """

    definite: tuple[Words, ...]
    bare: tuple[Words, ...]
    compact: tuple[Words, ...] = ()
    """Definite ones that end with the noun or a name, so that what follows cannot be misread as part of them."""
    compact_bare: tuple[Words, ...] = ()
    """Bare plurals that end with the noun: "how many employees I manage are there" is hard to read."""

    @property
    def are_names(self) -> bool:
        """Whether the row is called by a name alone, which takes a possessive: "Abigail's insurer"."""
        return all(len(each) == 1 and isinstance(each[0], Slot) for each in self.definite)

    @property
    def literal_words(self) -> int:
        """The literal words of the shortest definite noun phrase."""
        return min(map(literal_words, self.definite), default=0)


def literal_words(words: Words) -> int:
    """How many words there are beside values."""
    return sum(len(part.split()) for part in words if isinstance(part, str))


def noun_phrases(
    nouns: Mapping[str, str],
    phrases: Sequence[Sequence[ConditionPhrase]],
    *,
    plural: bool,
    superlatives: Sequence[Superlative] = (),
) -> NounPhrases:
    """Composes the noun phrases for rows that meet some conditions; `phrases` has the possible phrases of each.

    If there are `superlatives`, each of them can stand for the order, and the rows are the first ones of it.
    """
    possible = _beside_names(phrases)
    composed = _composed(nouns, possible, plural=plural, superlatives=superlatives)
    before_noun = [each for each in superlatives if not each.is_after]
    if superlatives and not before_noun:
        return composed
    compact = _composed(nouns, _ending_with_noun(possible), plural=plural, superlatives=before_noun)
    return composed._replace(compact=compact.definite, compact_bare=compact.bare)


def _composed(
    nouns: Mapping[str, str],
    possible: Sequence[Sequence[ConditionPhrase]],
    *,
    plural: bool,
    superlatives: Sequence[Superlative],
) -> NounPhrases:
    definite: list[Words] = []
    bare: list[Words] = []
    for at, chosen in enumerate(_plainest(_spread(possible, superlatives))):
        whole = next((each for each in chosen if each.is_whole), None)
        if whole is not None:
            definite.append(join_words(whole.before, *(each.after for each in chosen if each is not whole)))
            continue
        noun = list(nouns.values() if plural else nouns)[len(definite) % len(nouns)]
        fitting = _beside(superlatives, chosen)
        core = _around(noun, chosen, fitting[at % len(fitting)] if fitting else None)
        is_definite = bool(superlatives) or any(each.makes_definite for each in chosen)
        if not is_definite:
            definite += [join_words(("the ",), core)]
            definite += [join_words(("all the ",), core)] if plural and len(definite) % 3 == 1 else []
        else:
            definite.append(core)
        bare += [core] if plural and not is_definite else []
    return NounPhrases(_distinct(definite), _distinct(bare))


def are_sayable(
    phrases: Sequence[Sequence[ConditionPhrase]], superlatives: Sequence[Superlative], *, is_compact: bool = False
) -> bool:
    """Whether there is a noun phrase for rows that meet some conditions; a compact one ends with the noun."""
    possible = _beside_names(phrases)
    before_noun = [each for each in superlatives if not each.is_after]
    if is_compact and superlatives and not before_noun:
        return False
    choices = product(*(_ending_with_noun(possible) if is_compact else possible))
    return any(_fit_together(each, before_noun if is_compact else superlatives) for each in choices)


def _ending_with_noun(phrases: Sequence[Sequence[ConditionPhrase]]) -> Sequence[Sequence[ConditionPhrase]]:
    return [[each for each in alternatives if not each.after] for alternatives in phrases]


def _beside_names(phrases: Sequence[Sequence[ConditionPhrase]]) -> Sequence[Sequence[ConditionPhrase]]:
    """The phrases of which some can stand together: if one condition is a name, only what can follow it."""
    if not any(each and all(phrase.is_whole for phrase in each) for each in phrases):
        return phrases
    return [
        each if all(phrase.is_whole for phrase in each) else [phrase for phrase in each if phrase.follows_name]
        for each in phrases
    ]


def _fit_together(chosen: Sequence[ConditionPhrase], superlatives: Sequence[Superlative]) -> bool:
    """Whether phrases can be one noun phrase; "my Mateo's callback" and "junior Leung" cannot."""
    whole = [each for each in chosen if each.is_whole]
    if whole:
        return not superlatives and len(whole) == 1 and all(each.follows_name for each in chosen if not each.is_whole)
    if superlatives and not any(_is_beside(each, chosen) for each in superlatives):
        return False
    is_piled = sum(bool(each.after) for each in chosen) > 1
    return not is_piled and sum(bool(each.makes_definite and each.before) for each in chosen) <= 1


def _beside(superlatives: Sequence[Superlative], chosen: Sequence[ConditionPhrase]) -> list[Superlative]:
    """The superlatives that can stand beside phrases: after the noun, if there are adjectives before it.

    "The three firing alerts that went off last" is easier to read than "the three most recently raised firing alerts".
    """
    fitting = [each for each in superlatives if _is_beside(each, chosen)]
    has_adjectives = any(each.before and not each.makes_definite for each in chosen)
    return [each for each in fitting if has_adjectives and each.is_after] or fitting


def _is_beside(superlative: Superlative, chosen: Sequence[ConditionPhrase]) -> bool:
    """Whether a superlative can stand beside phrases: "the invoices from Pelham issued last" says two things at its end."""
    return not (superlative.is_after and any(each.after for each in chosen))


def _plainest(choices: Sequence[tuple[ConditionPhrase, ...]]) -> list[tuple[ConditionPhrase, ...]]:
    """The choices in which the fewest longer words are said twice."""
    rated = [(_words_said_twice(each), each) for each in choices]
    least = min((number for number, _ in rated), default=0)
    return [each for number, each in rated if number == least]


def _words_said_twice(chosen: Sequence[ConditionPhrase]) -> int:
    words = [word for each in chosen for word in _LONGER_WORD.findall(" ".join(map(str, (*each.before, *each.after))))]
    return len(words) - len(set(words))


def _spread(
    phrases: Sequence[Sequence[ConditionPhrase]], superlatives: Sequence[Superlative]
) -> list[tuple[ConditionPhrase, ...]]:
    """Some choices of one phrase for each condition that make a noun phrase; the first ones differ in all of them."""
    if not all(phrases):
        return []
    longest = max((len(each) for each in phrases), default=1)
    diagonal = [tuple(each[(turn + at) % len(each)] for at, each in enumerate(phrases)) for turn in range(longest)]
    choices = dict.fromkeys([*diagonal, *islice(product(*phrases), _MOST_CHOICES)])
    return list(islice((each for each in choices if _fit_together(each, superlatives)), _MAX_REALISATIONS))


def _around(noun: str, chosen: Iterable[ConditionPhrase], superlative: Superlative | None) -> Words:
    """The noun with what stands before it, of which a value in any words is nearest to it, and after it."""
    ordered = sorted(chosen, key=lambda each: (not each.makes_definite, each.has_open_value))
    after = [each.after for each in ordered]
    before = [each.before for each in ordered]
    if superlative is not None:
        words = superlative.order.wording if superlative.order else superlative.words
        order: Words = (superlative.order or superlative.words,)
        first_rows: Words = (superlative.number, " ", *order, " ")
        if superlative.is_after:
            first_rows = (superlative.number, " ")
            after.append((" ", *order))
        elif words in _BEFORE_NUMBER:
            first_rows = (*order, " ", superlative.number, " ")
        own = next((each.before for each in ordered if each.makes_definite and each.before), ("the ",))
        whose, rest = _divided_after_owner(own)
        before = [whose, first_rows, rest, *(each.before for each in ordered if not each.makes_definite)]
    return join_words(*before, (noun,), *after)


def _divided_after_owner(words: Words) -> tuple[Words, Words]:
    """Words such as "my incoming" or "our branch's own", divided after whose it is: there, a number stands."""
    at = 0 if isinstance(words[0], str) else 1
    literal = words[at] if at < len(words) else ""
    assert isinstance(literal, str)
    owner = _OWNER.match(literal)
    end = owner.end() if owner else len(literal)
    following: Words = (literal[end:], *words[at + 1 :]) if literal[end:] else words[at + 1 :]
    return (*words[:at], literal[:end]), following


def join_words(*parts: Words) -> Words:
    """The words one after the other; neighbouring literals become one."""
    joined: list[PhrasingPart] = []
    for each in (piece for part in parts for piece in part):
        if isinstance(each, str) and joined and isinstance(joined[-1], str):
            joined[-1] += each
        else:
            joined.append(each)
    return tuple(joined)


def _distinct(words: Iterable[Words]) -> tuple[Words, ...]:
    return tuple(islice(dict.fromkeys(words), _MAX_REALISATIONS))
