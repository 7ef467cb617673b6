"""Noun phrases: how a request names the rows that it is about, composed of a noun and of phrases for conditions.

The notation of a phrase: `~` is the noun, `{}` the condition's value in any wording, `{past due}` the value in these
words, and `<is|are>` a verb that agrees with the noun. `"overdue ~"`, `"~ from {}"`, `"~ that <is|are> {still open}"`
and `"{}'s ~"` compose to "Harlow's overdue invoices that are still open". A phrase without `~` is a noun phrase by
itself, such as a name. `[taken|collected|]` are alternatives, each of which makes a phrase of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice, product
from typing import NamedTuple

from gatling_sid.schemas.language.phrasing import PhrasingPart, Slot

Words = tuple[PhrasingPart, ...]
"""Literal texts and slots, in order."""

_MAX_REALISATIONS = 8
"""Noun phrases that are composed for the same conditions; more would hardly be more varied."""
_VALUE = re.compile(r"\{([^{}]*)\}")
_LONGER_WORD = re.compile(r"(?<![\w'])[a-z]{5,}(?![\w'=])")
_AGREEMENT = re.compile(r"<([^<>|]*)\|([^<>|]*)>")
_POSSESSIVE = re.compile(r"\{[^{}]*\}(?:'s|') .*~|(?:my|our|the) .*~", re.IGNORECASE)
_RELATIVE_PRONOUN = re.compile(r" (?:that|which|who)(?= )")
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
    """The words for the first rows of an order, such as "newest", and the slots for their number and for the order."""

    number: Slot
    order: Slot | None
    words: str


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
    superlative: Superlative | None = None,
) -> NounPhrases:
    """Composes the noun phrases for rows that meet some conditions; `phrases` has the possible phrases of each."""
    definite: list[Words] = []
    bare: list[Words] = []
    possible = _beside_names(phrases)
    sayable = [each for each in _spread(possible) if _fit_together(each, superlative)] if all(possible) else []
    for chosen in _plainest(sayable):
        whole = next((each for each in chosen if each.is_whole), None)
        if whole is not None:
            definite.append(join_words(whole.before, *(each.after for each in chosen if each is not whole)))
            continue
        noun = list(nouns.values() if plural else nouns)[len(definite) % len(nouns)]
        core = _around(noun, chosen, superlative)
        is_definite = superlative is not None or any(each.makes_definite for each in chosen)
        if superlative is None and not any(each.makes_definite for each in chosen):
            definite += [join_words(("the ",), core)]
            definite += [join_words(("all the ",), core)] if plural and len(definite) % 3 == 1 else []
        else:
            definite.append(core)
        bare += [core] if plural and not is_definite else []
    return NounPhrases(_distinct(definite), _distinct(bare))


def are_sayable(phrases: Sequence[Sequence[ConditionPhrase]], superlative: Superlative | None) -> bool:
    """Whether there is a noun phrase for rows that meet some conditions."""
    possible = _beside_names(phrases)
    return all(possible) and any(_fit_together(each, superlative) for each in _spread(possible))


def _beside_names(phrases: Sequence[Sequence[ConditionPhrase]]) -> Sequence[Sequence[ConditionPhrase]]:
    """The phrases of which some can stand together: if one condition is a name, only what can follow it."""
    if not any(each and all(phrase.is_whole for phrase in each) for each in phrases):
        return phrases
    return [
        each if all(phrase.is_whole for phrase in each) else [phrase for phrase in each if phrase.follows_name]
        for each in phrases
    ]


def _fit_together(chosen: Sequence[ConditionPhrase], superlative: Superlative | None) -> bool:
    """Whether phrases can be one noun phrase; "my Mateo's callback" and "junior Leung" cannot."""
    whole = [each for each in chosen if each.is_whole]
    if whole:
        return (
            superlative is None and len(whole) == 1 and all(each.follows_name for each in chosen if not each.is_whole)
        )
    return sum(bool(each.makes_definite and each.before) for each in chosen) <= 1


def _plainest(choices: Iterable[tuple[ConditionPhrase, ...]]) -> list[tuple[ConditionPhrase, ...]]:
    """The choices with the fewest phrases after the noun, where a second one is easily misread, and without repetition."""
    rated = [(_weight_after(each), each) for each in choices]
    least = min((weight for weight, _ in rated), default=0)
    return [each for weight, each in rated if weight <= max(least, 1)]


def _weight_after(chosen: Sequence[ConditionPhrase]) -> int:
    """How many phrases stand after the noun, and how many longer words are said twice."""
    words = [word for each in chosen for word in _LONGER_WORD.findall(" ".join(map(str, (*each.before, *each.after))))]
    return sum(bool(each.after) for each in chosen) + 2 * (len(words) - len(set(words)))


def _spread(phrases: Sequence[Sequence[ConditionPhrase]]) -> Iterator[tuple[ConditionPhrase, ...]]:
    """Some choices of one phrase for each condition; the first ones differ in all of them."""
    longest = max((len(each) for each in phrases), default=1)
    diagonal = [tuple(each[(turn + at) % len(each)] for at, each in enumerate(phrases)) for turn in range(longest)]
    yield from islice(dict.fromkeys([*diagonal, *islice(product(*phrases), 2 * _MAX_REALISATIONS)]), _MAX_REALISATIONS)


def _around(noun: str, chosen: Iterable[ConditionPhrase], superlative: Superlative | None) -> Words:
    """The noun with what stands before and after it; relative clauses come last, and two of them are joined."""
    ordered = sorted(chosen, key=lambda each: (not each.makes_definite, each.is_relative, each.has_open_value))
    before = [each.before for each in ordered]
    if superlative is not None:
        order = (" ", superlative.order, " ") if superlative.order else (f" {superlative.words} ",)
        own = [each.before for each in ordered if each.makes_definite and each.before]
        others = [each.before for each in ordered if not each.makes_definite]
        before = [*(own or [("the ",)]), (superlative.number, *order), *others]
    after = sorted((each for each in chosen if each.after), key=lambda each: literal_words(each.after))
    clauses: list[Words] = []
    for each in (each for each in after if each.is_relative):
        clauses.append(_continued(each.after, clauses[-1]) if clauses else each.after)
    return join_words(*before, (noun,), *(each.after for each in after if not each.is_relative), *clauses)


def _continued(clause: Words, before: Words) -> Words:
    """A clause after another: "that starts at 11 and takes an hour" needs no second "that"."""
    first = str(clause[0])
    relative = _RELATIVE_PRONOUN.match(first)
    is_repeated = relative is not None and str(before[0]).startswith(relative.group())
    rest = first[relative.end() :] if relative is not None and is_repeated else first
    return (f" and{rest}", *clause[1:])


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
