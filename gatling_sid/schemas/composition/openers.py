"""How the first sentence of a phrasing begins: a pattern of the shared voice with a verb phrase, or a whole question."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from gatling_sid.schemas.composition.part_texts import texts_of_use
from gatling_sid.schemas.composition.tasks import ComposedTask, GroupWords
from gatling_sid.schemas.composition.verbs import questions_of, reading_well, verbs_of
from gatling_sid.schemas.language.noun_phrases import NounPhrases
from gatling_sid.schemas.language.shared_voice import Register, SharedVoice
from gatling_sid.seeding import stream

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_PHRASINGS = {"train": 64, "validation": 8, "test": 8}
"""Phrasings that are composed for a task, by split; each has another pattern in its first sentence."""
_REGISTERS: tuple[Register, ...] = ("neutral",) * 24 + ("casual",) * 5 + ("formal",)
_SHARES_OF_SHORT_PATTERNS = ((0.25, 2), (0.75, 5))
"""Shares of patterns with at most so many words, the marker included: a quarter is as bare as "{do}, please."."""
_MAX_DRAWS = 8
"""Draws for each first sentence before a task has fewer phrasings than wanted."""
FEWEST_PHRASINGS, _MOST_DRAWS = 4, 10_000
"""The phrasings that a task has at least, and the draws after which even these are given up, which never happens."""
_LITERAL_WORDS_OF_FRAGMENT = 4
"""Literal words of a noun phrase that may be a whole request, such as "Overdue invoices from Pelham, please."."""
_SHARE_OF_BRIEF, _WORDS_OF_BRIEF = 0.7, 2
"""The share of requests for one thing that are as bare as "Delete my old drafts, please.", and the words of their
patterns, the marker included."""
_THANKS = re.compile(r"\b(?:thanks|thank you|thx|cheers|ta|appreciate)\b", re.IGNORECASE)
_OF_OR_FOR = re.compile(r"\b(?:of|for)(?= \{it\})")
"""Words that make no difference if the row has a name: "Abigail's insurer" is the insurer of and for her."""


class Opener(NamedTuple):
    """How the first sentence of a phrasing is made: by a pattern of some kind, or by a whole question (`ask`).

    `verb` is the verb phrase of a pattern of the kind `do`. No two phrasings of a task begin with the same words. A
    brief one names the rows by their shortest noun phrases.
    """

    kind: Literal["do", "need", "any", "ask"]
    pattern: str
    verb: str
    register: Register
    is_brief: bool


def choose_openers(
    task: ComposedTask, domain: Domain, voice: SharedVoice, split: str, nouns: Sequence[NounPhrases | None]
) -> list[Opener]:
    """The first sentences of a task's phrasings, all different."""
    rng = stream(domain.slug, task.shape.name, split)
    group, number = task.groups[0], _PHRASINGS.get(split, _PHRASINGS["test"])
    use = group.uses[0]
    questions = reading_well(questions_of(group, domain, voice, split), nouns[0])
    verbs = reading_well(verbs_of(group, use, domain, voice, split), nouns[0])
    short_questions, short_verbs = _shortest(questions), _shortest(verbs)
    is_alone = len(task.groups) == len(group.uses) == 1
    is_simple = is_alone and (group.target is None or len(group.target.conditions) < 2)
    chosen: dict[str, Opener] = {}
    for draw in range(_MOST_DRAWS):
        if len(chosen) >= (number if draw < _MAX_DRAWS * number else FEWEST_PHRASINGS):
            break
        register: Register = rng.choice(_REGISTERS)
        kind = _kind_of_first(group, nouns[0], rng, is_alone=is_alone)
        is_brief = is_alone and rng.random() < _SHARE_OF_BRIEF
        if kind == "ask":
            pattern = rng.choice(short_questions if is_brief else questions)
        else:
            may_be_fragment = is_simple and _may_be_fragment(group, nouns[0])
            pattern = _draw_pattern(voice, kind, register, rng, is_brief=is_brief, may_be_fragment=may_be_fragment)
        verb = rng.choice(short_verbs if is_brief else verbs) if kind == "do" else ""
        if not is_alone and _THANKS.search(pattern):
            continue  # nobody thanks before the last of several requests
        text = _OF_OR_FOR.sub("of", pattern.replace("{do}", verb).replace("{rows}", "{it}")).casefold()
        chosen.setdefault(text, Opener(kind, pattern, verb, "neutral" if kind == "ask" else register, is_brief))
    return list(chosen.values())


def _shortest(texts: Sequence[str]) -> Sequence[str]:
    """The shortest third of the texts."""
    return sorted(texts, key=len)[: (len(texts) + 2) // 3]


def _may_be_fragment(group: GroupWords, nouns: NounPhrases | None) -> bool:
    """Whether the noun phrases of the rows can be a whole request."""
    is_short = nouns is not None and nouns.literal_words <= _LITERAL_WORDS_OF_FRAGMENT
    return is_short and group.target is not None and group.target.is_many and not group.uses[0].use.columns


def _draw_pattern(
    voice: SharedVoice, kind: str, register: Register, rng: random.Random, *, is_brief: bool, may_be_fragment: bool
) -> str:
    """A pattern of the shared voice, mostly a short one, since most people do not write many words around a request."""
    chance = rng.random()
    shares = ((1.0, _WORDS_OF_BRIEF),) if is_brief else _SHARES_OF_SHORT_PATTERNS
    for share, words in (*shares, (1.0, None)):
        patterns = voice.patterns_of(kind, register, words, with_fragments=may_be_fragment) if chance < share else ()
        if patterns:
            return rng.choice(patterns)
    return rng.choice(voice.patterns_of(kind, register))


def _kind_of_first(
    group: GroupWords, nouns: NounPhrases | None, rng: random.Random, *, is_alone: bool
) -> Literal["do", "need", "any", "ask"]:
    """A kind of first sentence that suits the first part; "I need Abigail with her insurer" suits nobody.

    If more is asked for, it is an order: "I'm looking for the invoice. Then pay it." is odd.
    """
    use = group.uses[0]
    if texts_of_use(use.part.asks, use.part, use.use):
        return rng.choice(("ask", "do"))
    match use.tool.operation:
        case "list" | "get" if use.part.says:
            return "do"
        case "list" | "get" if use.use.columns:
            return rng.choice(("do", "ask"))
        case "list" | "get" if not is_alone:
            return "do"
        case "list" | "get":
            return rng.choice(("do", "do", "need", "any", "any") if nouns and nouns.bare else ("do", "need"))
        case "aggregate" if not use.part.says:
            return rng.choice(("do", "ask", "ask"))
    return "do"
