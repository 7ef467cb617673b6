"""How the first sentence of a phrasing begins: a pattern of the shared voice with a verb phrase, or a whole question."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, NamedTuple

from gatling_sid.schemas.composition.part_texts import texts_of_use
from gatling_sid.schemas.composition.tasks import ComposedTask, GroupWords
from gatling_sid.schemas.composition.verbs import questions_of, verbs_of
from gatling_sid.schemas.language.alternatives import alternatives_of
from gatling_sid.schemas.language.noun_phrases import NounPhrases
from gatling_sid.schemas.language.shared_voice import Register, SharedVoice
from gatling_sid.seeding import permute, seed_of

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_KindName = Literal["do", "need", "any", "ask"]
_PHRASINGS = {"train": 384, "validation": 8, "test": 8}
"""Phrasings of a task, by split; each has another pattern or verb phrase in its first sentence. There are so many because
each world in which a task is said takes others: the 20 worlds of 80,000 requests take 18 each."""
FEWEST_PHRASINGS = 6
"""The phrasings that a task has at least."""
_REGISTERS: Mapping[Register, float] = {"neutral": 0.8, "casual": 0.17, "formal": 0.03}
_LENGTHS: Mapping[tuple[int, int], float] = {(0, 3): 0.4, (4, 5): 0.3, (6, 99): 0.3}
"""Shares of patterns by their words, the marker included: two fifths are as bare as "Can you {do}?"."""
_I_NEED, _SHARE_OF_NEEDS = re.compile(r"(?:I|I'd|I'll)? ?(?:need|want|like|would like) ", re.IGNORECASE), 0.35
"""Patterns in which people say what they need, and their share of those that are not brief."""
_SHARE_OF_BRIEF, _WORDS_OF_BRIEF = 0.4, (0, 3)
"""The share of requests for one thing that are as bare as "Delete my old drafts, please.", and the words of their
patterns. They name the rows by their shortest noun phrases, and use the shortest third of the verb phrases."""
_LITERAL_WORDS_OF_FRAGMENT = 4
"""Literal words of a noun phrase that may be a whole request, such as "Overdue invoices from Pelham, please."."""
_OF_OR_FOR = re.compile(r"\b(?:of|for)(?= \{it\})")
"""Words that make no difference if the row has a name: "Abigail's insurer" is the insurer of and for her."""
_QUOTATION_MARKS = ('"', "”", "'")


class Opener(NamedTuple):
    """How the first sentence of a phrasing is made: by a pattern of some kind, or by a whole question (`ask`).

    `verb` is the verb phrase of a pattern of the kind `do`. A brief one names the rows by their shortest noun phrases.
    """

    kind: _KindName
    pattern: str
    verb: str
    register: Register
    is_brief: bool


class _Kind(NamedTuple):
    """First sentences that are made in the same way: each pattern with each verb phrase; `share` is their frequency."""

    kind: _KindName
    register: Register
    patterns: Sequence[str]
    verbs: Sequence[str]
    share: float
    is_brief: bool = False

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.patterns) * len(self.verbs)

    def at(self, serial: int, start: int) -> Opener:
        """The one with this number, in an order that begins at `start` and puts successive ones far apart."""
        code = permute(serial, self.size, start)
        pattern, verb = self.patterns[code % len(self.patterns)], self.verbs[code // len(self.patterns)]
        return Opener(self.kind, pattern, verb, self.register, self.is_brief)


class Openers:
    """The first sentences of a task's phrasings, all different; each is computed from its number alone."""

    def __init__(
        self, task: ComposedTask, domain: Domain, voice: SharedVoice, split: str, nouns: NounPhrases | None
    ) -> None:
        """Takes the task, the texts of the split, and the noun phrases for the rows of the first part."""
        kinds = [each for each in _kinds_of(task, domain, voice, split, nouns) if each.size and each.share]
        numbers = _numbers_of(kinds, _PHRASINGS.get(split, _PHRASINGS["test"]))
        self._kinds, self._ends = [kind for kind, _ in numbers], list(accumulate(number for _, number in numbers))
        self._start = seed_of(domain.slug, task.shape.said, split)

    def __len__(self) -> int:
        """How many there are, at least FEWEST_PHRASINGS."""
        return self._ends[-1]

    def at(self, index: int) -> Opener:
        """The opener with this index; successive ones are of all kinds, so each world has some of every kind."""
        at, serial = self._place(index)
        return self._kinds[at].at(serial, self._start)

    def _place(self, index: int) -> tuple[int, int]:
        """The kind of an opener, and its number among those of this kind. Raises IndexError."""
        if not 0 <= index < len(self):
            raise IndexError(f"opener {index} of {len(self)}")
        place = permute(index, len(self), self._start)
        at = bisect_right(self._ends, place)
        return at, self._ends[at] - 1 - place


def _numbers_of(kinds: Sequence[_Kind], wanted: int) -> list[tuple[_Kind, int]]:
    """How many first sentences of each kind there are: by their shares; kinds that have too few leave theirs to others."""
    numbers: list[tuple[_Kind, int]] = []
    share_left = sum(kind.share for kind in kinds)
    for kind in sorted(kinds, key=lambda each: each.size / each.share):
        number = min(kind.size, round(wanted * kind.share / share_left))
        numbers.append((kind, number))
        wanted, share_left = wanted - number, share_left - kind.share
    return numbers


def _kinds_of(
    task: ComposedTask, domain: Domain, voice: SharedVoice, split: str, nouns: NounPhrases | None
) -> Iterator[_Kind]:
    """Yields the kinds of first sentences that suit a task; no two have a sentence in common."""
    group, use = task.groups[0], task.groups[0].uses[0]
    is_alone = len(task.groups) == len(group.uses) == 1
    is_simple = is_alone and (group.target is None or len(group.target.conditions) < 2)
    with_fragments = is_simple and _may_be_fragment(group, nouns)
    kinds = _kinds_of_first(group, nouns, is_alone=is_alone)
    for kind, number in Counter(kinds).items():
        share = number / len(kinds)
        if kind == "ask":
            questions = _all_different(questions_of(group, domain, voice, split, nouns), nouns)
            yield from _with_questions(questions, share, is_alone=is_alone)
            continue
        verbs: Sequence[str] = [""]
        if kind == "do":
            verbs = _all_different(verbs_of(group, use, domain, voice, split, nouns), nouns)
        patterns = partial(_patterns_of, voice, kind, with_fragments=with_fragments, with_thanks=is_alone)
        yield from _with_patterns(kind, patterns, verbs, share, is_alone=is_alone)


def _with_questions(questions: Sequence[str], share: float, *, is_alone: bool) -> Iterator[_Kind]:
    brief, longer = _divided_by_length(questions) if is_alone else ([], questions)
    share_of_brief = share * _SHARE_OF_BRIEF if brief else 0.0
    yield _Kind("ask", "neutral", brief, [""], share_of_brief, is_brief=True)
    yield _Kind("ask", "neutral", longer, [""], share - share_of_brief)


def _with_patterns(
    kind: _KindName, patterns_of: Callable[..., _Patterns], verbs: Sequence[str], share: float, *, is_alone: bool
) -> Iterator[_Kind]:
    """Patterns of each register with verb phrases; those that end with a quotation go with other patterns."""
    quoting = [each for each in verbs if ends_with_quotation(each)]
    others = [each for each in verbs if not ends_with_quotation(each)]
    for some in filter(None, (quoting, others)):
        for register, of_register in _REGISTERS.items():
            of_both = share * of_register * len(some) / len(verbs)
            patterns = patterns_of(register, is_quoting=some is quoting)
            yield from _of_register(kind, register, patterns, some, of_both, is_alone=is_alone)


def _of_register(
    kind: _KindName, register: Register, patterns: _Patterns, verbs: Sequence[str], share: float, *, is_alone: bool
) -> Iterator[_Kind]:
    """Brief sentences, then what people need, then the others by their length."""
    brief, longer = _divided_by_length(verbs) if is_alone else ([], verbs)
    of_brief = share * _SHARE_OF_BRIEF if patterns.brief and brief else 0.0
    yield _Kind(kind, register, patterns.brief, brief, of_brief, is_brief=True)
    of_needs = (share - of_brief) * _SHARE_OF_NEEDS if patterns.needs else 0.0
    yield _Kind(kind, register, patterns.needs, verbs, of_needs)
    for words, others in patterns.others.items():
        verbs_of_length = longer if words == _WORDS_OF_BRIEF else verbs
        yield _Kind(kind, register, others, verbs_of_length, (share - of_brief - of_needs) * _LENGTHS[words])


class _Patterns(NamedTuple):
    """The patterns of a kind and register: brief ones, those that say what people need, and the others by their words."""

    brief: Sequence[str]
    needs: Sequence[str]
    others: Mapping[tuple[int, int], Sequence[str]]


@lru_cache(maxsize=256)
def _patterns_of(
    voice: SharedVoice,
    kind: _KindName,
    register: Register,
    *,
    with_fragments: bool,
    with_thanks: bool,
    is_quoting: bool,
) -> _Patterns:
    fitting = [
        each
        for each in voice.patterns_of(kind, register, with_fragments=with_fragments, with_thanks=with_thanks)
        if not is_quoting or ends_with_verb(each)
    ]
    needs = [each for each in fitting if kind == "do" and _I_NEED.match(each)]
    others = [each for each in fitting if each not in needs]
    by_length = {words: _of_words(others, words) for words in _LENGTHS}
    return _Patterns(_of_words(fitting, _WORDS_OF_BRIEF), needs, by_length)


def _of_words(patterns: Sequence[str], words: tuple[int, int]) -> list[str]:
    """The patterns with that many words, at least and at most, the marker included."""
    return [each for each in patterns if words[0] <= len(each.split()) <= words[1]]


def can_stand_around(pattern: str, verb: str) -> bool:
    """Whether a pattern suits a verb phrase: after a quotation nothing follows, not even "please"."""
    return not ends_with_quotation(verb) or ends_with_verb(pattern)


def ends_with_quotation(verb: str) -> bool:
    """Whether a verb phrase ends with a quoted text."""
    return verb[-1:] in _QUOTATION_MARKS


def ends_with_verb(pattern: str) -> bool:
    """Whether nothing stands behind the verb phrase of a pattern."""
    return pattern.rstrip(".?!").endswith("{do}")


def _divided_by_length(texts: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The shortest third of the texts, and the others; a single text is among the shortest."""
    ordered = sorted(texts, key=len)
    number = (len(texts) + 2) // 3
    return ordered[:number], ordered[number:]


def _all_different(texts: Sequence[str], nouns: NounPhrases | None) -> Sequence[str]:
    """The texts that differ once the rows are named, whichever of their alternatives are taken."""
    if nouns is None or not nouns.are_names:
        return texts
    different: list[str] = []
    seen: set[str] = set()
    for text in texts:
        said = {_OF_OR_FOR.sub("of", each) for each in alternatives_of(text)}
        different += [text] if said.isdisjoint(seen) else []
        seen |= said
    return different


def _may_be_fragment(group: GroupWords, nouns: NounPhrases | None) -> bool:
    """Whether the noun phrases of the rows can be a whole request."""
    is_short = nouns is not None and nouns.literal_words <= _LITERAL_WORDS_OF_FRAGMENT
    return is_short and group.target is not None and group.target.is_many and not group.uses[0].use.columns


def _kinds_of_first(group: GroupWords, nouns: NounPhrases | None, *, is_alone: bool) -> tuple[_KindName, ...]:
    """The kinds of first sentences that suit the first part; "I need Abigail with her insurer" suits nobody.

    If more is asked for, it is an order: "I'm looking for the invoice. Then pay it." is odd.
    """
    use = group.uses[0]
    if texts_of_use(use.part.asks, use.part, use.use):
        return "ask", "do"
    match use.tool.operation:
        case "list" | "get" if use.part.says:
            return ("do",)
        case "list" | "get" if use.use.columns:
            return "do", "ask"
        case "list" | "get" if not is_alone:
            return ("do",)
        case "list" | "get":
            return ("do", "do", "need", "any", "any") if nouns and nouns.bare else ("do", "need")
        case "aggregate" if not use.part.says:
            return "do", "ask", "ask"
    return ("do",)
