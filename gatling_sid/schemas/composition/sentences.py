"""Composes the sentences of a task: patterns of the shared voice, verb phrases of its parts, noun phrases of its rows.

The first part is said in a pattern of its kind: something to do ("Can you {do}?"), something to see ("I need {it}."), a
question. Further parts follow in the same sentence or in sentences of their own. What was named once is then a pronoun.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.composition.part_texts import ends_with_rows, texts_of
from gatling_sid.schemas.composition.targets import key_phrases
from gatling_sid.schemas.composition.tasks import ComposedTask, GroupWords, UseWords
from gatling_sid.schemas.language.noun_phrases import (
    NounPhrases,
    Superlative,
    Words,
    literal_words,
    noun_phrases,
    phrase_of,
)
from gatling_sid.schemas.language.phrasing import (
    SENTENCE_START,
    Alternatives,
    Phrasing,
    PhrasingPart,
    Slot,
    phrasing_of,
)
from gatling_sid.schemas.language.shared_voice import (
    MEASURES_OF_DURATIONS,
    Register,
    SharedVoice,
    part_of_split,
)
from gatling_sid.seeding import stream

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_PHRASINGS = {"train": 24, "validation": 8, "test": 8}
"""Phrasings that are composed for a task, by split; each has another pattern in its first sentence."""
_REGISTERS: tuple[Register, ...] = ("neutral",) * 24 + ("casual",) * 5 + ("formal",)
_SHARE_OF_JOINED, _MOST_JOINED = 0.6, 1
_SHARES_OF_SHORT_PATTERNS = ((0.25, 2), (0.75, 4))
"""Shares of patterns with at most so many words, the marker included: a quarter is as bare as "{do}, please."."""
_WORDS_OF_THEN = 5
"""Words of a pattern for what follows, the marker included; long links between sentences sound like a form letter."""
_MAX_DRAWS = 8
"""Draws for each first sentence before a task has fewer phrasings than wanted."""
_UNFIT_FOR_PRONOUN = re.compile(r"\bme \{it\}$|\b(?:up|out|down|off|back|away)\} \{it\}")
"""Texts that take no pronoun: "get me them", and "{status:turn down} them"."""
_WORD_OF_IT = r"(?:\{\w+(?::[^{}]*)?\}|\[[^\[\]]*\]|(?!(?:the|with|to|on|for|of|in)(?![\w-]))[\w-]+)"
_OF_IT = re.compile(rf"\bthe ({_WORD_OF_IT}(?: {_WORD_OF_IT})*) (?:of|for) \{{it\}}")
"""What is of the rows: "the salary of {it}" becomes "their salary" when they were named before."""
_EACH = re.compile(r"\beach of \{it\}|\{it\} have")
"""Texts in which "all the rows" would be said twice over."""
_HOW_MANY_ROWS = re.compile(r"\b(?:how many\}?|any) \{rows\}", re.IGNORECASE)
_LITERAL_WORDS_OF_FRAGMENT = 4
"""Literal words of a noun phrase that may be a whole request, such as "Overdue invoices from Pelham, please."."""
_POLITE = re.compile(r"\b(?:please|pls|plz|thanks|thank you|cheers)\b", re.IGNORECASE)
_SHARE_OF_BRIEF, _WORDS_OF_BRIEF = 0.7, 2
"""The share of requests for one thing that are as bare as "Delete my old drafts, please.", if one condition names the
rows, and the words of their patterns, the marker included."""
_PARTICLE = re.compile(r"([\w:{}]+) (up|out|down|off|back|away) \{it\}")
"""A verb with a particle: "turn down {it}" becomes "turn it down" when it was named before."""

Groups = tuple[Alternatives, ...]


class Opener(NamedTuple):
    """How the first sentence of a phrasing is made: by a pattern of some kind, or by a whole question (`ask`).

    `verb` is the verb phrase of a pattern of the kind `do`. No two phrasings of a task have the same pattern and verb. A
    brief one names the rows by their shortest noun phrases.
    """

    kind: Literal["do", "need", "any", "ask"]
    pattern: str
    verb: str
    register: Register
    is_brief: bool


class TaskPhrasings(Sequence[Phrasing]):
    """The phrasings of a task in a split, all different; each is composed when it is needed."""

    def __init__(self, task: ComposedTask, domain: Domain, voice: SharedVoice, split: str) -> None:
        """Chooses how each phrasing begins; `voice` has the texts of the split."""
        self._task, self._domain, self._voice, self._split = task, domain, voice, split
        self._name = task.shape.name
        self._further_verbs: dict[tuple[str, bool], Sequence[str]] = {}
        rng = stream(domain.slug, self._name, "nouns")
        self._nouns = [_noun_phrases_of(each, domain, rng) if each.target else None for each in task.groups]
        self._openers = _choose_openers(task, domain, voice, split, self._nouns)

    def __len__(self) -> int:
        """The number of phrasings in the split."""
        return len(self._openers)

    def __getitem__(self, index: Any) -> Any:
        """The phrasing with this index."""
        return self.compose(index) if isinstance(index, int) else [self.compose(at) for at in range(len(self))[index]]

    def register(self, index: int) -> Register:
        """The register in which a phrasing is written."""
        return self._openers[index].register

    def compose(self, index: int) -> Phrasing:
        """Composes one phrasing; its text, which only identifies it, is that of its pattern and its verb phrases."""
        rng = stream(self._domain.slug, self._name, self._split, index)
        composer = _Composer(self._task, self._domain, self._voice, self._nouns, self._verbs_of_further, rng)
        groups = composer.compose(self._openers[index])
        opener = self._openers[index]
        return Phrasing.composed("; ".join((opener.pattern, opener.verb, *composer.texts)), groups)

    def _verbs_of_further(self, at: int, use: UseWords, *, is_named: bool) -> Sequence[str]:
        """The verb phrases of a part that is not the first; `is_named` if its rows were named before it."""
        key = use.use.part, is_named
        if key not in self._further_verbs:
            verbs = _verbs(self._task.groups[at], use, self._domain, self._voice, self._split)
            if not is_named:
                verbs = _reading_well(verbs, self._nouns[at])
            elif use.tool.operation in ("list", "get") and not use.use.columns and not use.part.says:
                verbs = self._voice.verbs["show_again"]
            else:
                verbs = [text for text in verbs if not _UNFIT_FOR_PRONOUN.search(text)] or verbs
                target = self._task.groups[at].target
                if target is not None and target.is_many:  # "their name" is odd
                    verbs = [text for text in verbs if "with {columns}" in text] or verbs
            self._further_verbs[key] = verbs
        return self._further_verbs[key]


def _choose_openers(
    task: ComposedTask, domain: Domain, voice: SharedVoice, split: str, nouns: Sequence[NounPhrases | None]
) -> list[Opener]:
    """The first sentences of a task's phrasings, all different."""
    rng = stream(domain.slug, task.shape.name, split)
    group, number = task.groups[0], _PHRASINGS.get(split, _PHRASINGS["test"])
    use = group.uses[0]
    questions = _reading_well(_questions(group, domain, voice, split), nouns[0])
    verbs = _reading_well(_verbs(group, use, domain, voice, split), nouns[0])
    short_questions, short_verbs = _shortest(questions), _shortest(verbs)
    is_alone = len(task.groups) == len(group.uses) == 1
    is_simple = is_alone and (group.target is None or len(group.target.conditions) < 2)
    chosen: dict[tuple[str, str], Opener] = {}
    for _ in range(_MAX_DRAWS * number):
        register: Register = rng.choice(_REGISTERS)
        kind = _kind_of_first(group, nouns[0], rng, is_alone=is_alone)
        is_brief = is_simple and rng.random() < _SHARE_OF_BRIEF
        if kind == "ask":
            pattern = rng.choice(short_questions if is_brief else questions)
        else:
            may_be_fragment = is_simple and _may_be_fragment(group, nouns[0])
            pattern = _draw_pattern(voice, kind, register, rng, is_brief=is_brief, may_be_fragment=may_be_fragment)
        verb = rng.choice(short_verbs if is_brief else verbs) if kind == "do" else ""
        opener = Opener(kind, pattern, verb, "neutral" if kind == "ask" else register, is_brief)
        chosen.setdefault((pattern, verb), opener)
        if len(chosen) == number:
            break
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


def _verbs(group: GroupWords, use: UseWords, domain: Domain, voice: SharedVoice, split: str) -> Sequence[str]:
    """The verb phrases with which a part can be asked for."""
    own, verbs = texts_of(use.part.says, use.part, use.use), voice.verbs
    if own:
        return part_of_split(own, split)
    match use.tool.operation:
        case "list" | "get" if use.use.columns:
            return verbs["show_columns_of_many" if group.target and group.target.is_many else "show_columns_of_one"]
        case "aggregate":
            return verbs[_measure(use, domain, voice)]
        case "export":
            return verbs["export_columns" if use.use.columns else "export"]
        case "delete":
            return verbs["delete"]
    return [f"{each} {{it}}" for each in verbs["show"]]


def _questions(group: GroupWords, domain: Domain, voice: SharedVoice, split: str) -> Sequence[str]:
    """The whole questions by which the first part of a group can be asked for; none if it is no question's matter."""
    use = group.uses[0]
    own = texts_of(use.part.asks, use.part, use.use)
    if own:
        return part_of_split(own, split)
    if use.tool.operation == "aggregate":
        return voice.questions[_measure(use, domain, voice)]
    return voice.questions["columns_of_many" if group.target and group.target.is_many else "columns_of_one"]


def _kind_of_first(
    group: GroupWords, nouns: NounPhrases | None, rng: random.Random, *, is_alone: bool
) -> Literal["do", "need", "any", "ask"]:
    """A kind of first sentence that suits the first part; "I need Abigail with her insurer" suits nobody.

    If more is asked for, it is an order: "I'm looking for the invoice. Then pay it." is odd.
    """
    use, may_be_need = group.uses[0], is_alone and group.target is not None and group.target.is_many
    if texts_of(use.part.asks, use.part, use.use):
        return rng.choice(("ask", "do"))
    match use.tool.operation:
        case "list" | "get" if use.part.says:
            return "do"
        case "list" | "get" if use.use.columns:
            return rng.choice(("do", "do", "do", "ask", "ask", "ask", "need" if may_be_need else "ask"))
        case "list" | "get" if not is_alone:
            return "do"
        case "list" | "get":
            return rng.choice(("do", "do", "need", "any", "any") if nouns and nouns.bare else ("do", "need"))
        case "aggregate" if not use.part.says:
            return rng.choice(("do", "ask", "ask"))
    return "do"


def _measure(use: UseWords, domain: Domain, voice: SharedVoice) -> str:
    """The measure as the voice calls it: the maximum of a length of time is the longest."""
    choices = dict(use.use.choices)
    measure = str(choices.get(_argument(use, "measure"), "count"))
    field = choices.get(_argument(use, "measured"))
    if measure in MEASURES_OF_DURATIONS and field is not None:
        called = domain.file.entities[use.tool.entity].fields[str(field)].called
        is_duration = bool(called) and called[0].split()[-1] in voice.durations
        measure = MEASURES_OF_DURATIONS[measure] if is_duration else measure
    return measure


def _reading_well(texts: Sequence[str], nouns: NounPhrases | None) -> Sequence[str]:
    """The texts that read well with the noun phrases of some rows, if there are such texts.

    After "how many" stands a bare plural, and noun phrases that do not end with the noun stand at the end.
    """
    if nouns is None:
        return texts
    if not nouns.bare:
        texts = [each for each in texts if not _HOW_MANY_ROWS.search(each)] or texts
    if not nouns.compact:
        texts = [each for each in texts if ends_with_rows(each)] or texts
    return texts


class _Composer:
    """Composes one phrasing of a task."""

    def __init__(
        self,
        task: ComposedTask,
        domain: Domain,
        voice: SharedVoice,
        nouns: Sequence[NounPhrases | None],
        verbs_of_further: Callable[..., Sequence[str]],
        rng: random.Random,
    ) -> None:
        self.task, self.domain, self.voice = task, domain, voice
        self.nouns, self.verbs_of_further, self.rng = nouns, verbs_of_further, rng
        self.texts: list[str] = []
        self.named: set[int] = set()
        self.measured: set[int] = set()
        self.is_brief = self.is_polite = self.is_asked = False

    def compose(self, opener: Opener) -> Groups:
        """The groups of the phrasing: a first sentence, and what follows in it or after it."""
        uses = [(at, use) for at, group in enumerate(self.task.groups) for use in group.uses]
        first, *others = uses
        self.is_brief, self.is_polite = opener.is_brief, _is_polite(opener.pattern)
        self.is_asked = "?" in opener.pattern
        if opener.kind == "do" and 0 < len(others) <= _MOST_JOINED and self.rng.random() < _SHARE_OF_JOINED:
            joined = self._expand(self._with_group(opener.verb, *first), *first)
            for join, each in zip(self.rng.sample(self.voice.joins, len(others)), others, strict=True):
                joined = (*joined, *_literal(join), *self._verb_phrase(*each))
            return _in_pattern(opener.pattern, joined)
        groups = self._first_sentence(opener, *first)
        for each in others:
            pattern = self._link()
            groups = (*groups, *_literal(" "), *_in_pattern(pattern, self._verb_phrase(*each)))
        return groups

    def _pick(self, texts: Sequence[str]) -> str:
        text = self.rng.choice(self._unused(texts))
        self.texts.append(text)
        return text

    def _link(self) -> str:
        """A pattern for what follows: it begins otherwise than those before; "please" and "can you" are said once."""
        patterns = self.voice.patterns_of("then", "neutral", _WORDS_OF_THEN)
        begun = {_first_word(each) for each in self.texts}
        for _ in range(_MAX_DRAWS):
            pattern = self.rng.choice(patterns)
            is_repeated = (self.is_polite and _is_polite(pattern)) or (self.is_asked and "?" in pattern)
            if _first_word(pattern) not in begun and not is_repeated:
                break
        self.texts.append(pattern)
        self.is_polite = self.is_polite or _is_polite(pattern)
        self.is_asked = self.is_asked or "?" in pattern
        return pattern

    def _unused(self, texts: Sequence[str]) -> Sequence[str]:
        return [each for each in texts if each not in self.texts] or texts

    def _first_sentence(self, opener: Opener, at: int, use: UseWords) -> Groups:
        match opener.kind:
            case "ask":
                question = opener.pattern
                if use.tool.operation == "aggregate" and not use.part.asks:
                    ending = question[-1] if question[-1] in ".?!" else ""
                    question = question.removesuffix(ending) + self._grouping(at, use) + ending
                return _sentence(self._expand(question, at, use))
            case "any":
                return _in_pattern(opener.pattern, self._rows(at))
            case "need":
                rows = self._it(at)
                if use.use.columns:
                    rows = (*rows, *self._expand(" with {columns}", at, use))
                return _in_pattern(opener.pattern, rows)
        return _in_pattern(opener.pattern, self._expand(self._with_group(opener.verb, at, use), at, use))

    def _with_group(self, verb: str, at: int, use: UseWords) -> str:
        """A verb phrase for a measure with what it is grouped by, if it is."""
        return verb + self._grouping(at, use) if use.tool.operation == "aggregate" and not use.part.says else verb

    def _grouping(self, at: int, use: UseWords) -> str:
        """What a measure is grouped by; a comma keeps it apart from a noun phrase that does not end with the noun."""
        if _argument(use, "group") not in dict(use.use.choices):
            return ""
        comma = "" if at in self.named or self._noun_phrases(at).compact else ","
        return f"{comma} {self._pick(self.voice.verbs['grouped'])}"

    def _verb_phrase(self, at: int, use: UseWords) -> Groups:
        """A verb phrase for a part that is not the first."""
        verbs = self.verbs_of_further(at, use, is_named=at in self.named)
        return self._expand(self._with_group(self._pick(verbs), at, use), at, use)

    def _expand(self, text: str, at: int, use: UseWords) -> Groups:
        """A text with its noun phrases and its slots, which get the names that they have in the task."""
        if at not in self.named and self._are_names(at):
            text = _OF_IT.sub(r"{it}'s \1", text)
        if use.tool.operation == "aggregate":
            self.measured.add(at)
        elif at in self.named and at not in self.measured:
            text = _OF_IT.sub(lambda match: f"{self._possessive(at)} {match.group(1)}", text)
            text = _PARTICLE.sub(r"\1 {it} \2", text)
        markers: dict[str, Groups] = {}
        if "{it}" in text:
            is_last = ends_with_rows(text)
            markers["it"] = self._it(at, is_each=_EACH.search(text) is not None, is_compact=not is_last)
        if "{rows}" in text:
            markers["rows"] = self._rows(at)
        return _splice(phrasing_of(text), markers, use.slots)

    def _it(self, at: int, *, is_each: bool = False, is_compact: bool = False) -> Groups:
        group = self.task.groups[at]
        assert group.target is not None
        if at in self.named:
            entity = self.domain.file.entities[group.target.entity]
            if at in self.measured and entity.pronoun != "them":  # "them" could be the figures
                return _literal(f"those {self.rng.choice(list(entity.noun.values()))}")
            return _literal("them" if group.target.is_many else entity.pronoun)
        self.named.add(at)
        phrases = self._noun_phrases(at)
        definite = phrases.compact if is_compact and phrases.compact else phrases.definite
        if is_each:
            definite = tuple(each for each in definite if not str(each[0]).startswith("all ")) or definite
        return (self._of_length(definite),)

    def _of_length(self, phrases: tuple[Words, ...]) -> tuple[Words, ...]:
        """The shortest noun phrases if the request is brief, else all of them."""
        if not self.is_brief:
            return phrases
        least = min(map(literal_words, phrases), default=0)
        return tuple(each for each in phrases if literal_words(each) == least)

    def _are_names(self, at: int) -> bool:
        """Whether the row is called by a name alone, which takes a possessive: "Abigail's insurer"."""
        phrases = self.nouns[at]
        return phrases is not None and all(len(each) == 1 and isinstance(each[0], Slot) for each in phrases.definite)

    def _possessive(self, at: int) -> str:
        target = self.task.groups[at].target
        assert target is not None
        is_thing = not target.is_many and self.domain.file.entities[target.entity].pronoun == "it"
        return "its" if is_thing else "their"

    def _rows(self, at: int) -> Groups:
        self.named.add(at)
        phrases = self._noun_phrases(at)
        return (self._of_length(phrases.bare or phrases.definite),)

    def _noun_phrases(self, at: int) -> NounPhrases:
        phrases = self.nouns[at]
        assert phrases is not None
        return phrases


@lru_cache(maxsize=4096)
def _is_polite(text: str) -> bool:
    return _POLITE.search(text) is not None


@lru_cache(maxsize=4096)
def _first_word(text: str) -> str:
    return text.partition(" ")[0].strip(",").lower()


def _in_pattern(pattern: str, core: Groups) -> Groups:
    """A pattern of the shared voice with its core, as a sentence."""
    return _sentence(_splice(phrasing_of(pattern), {"do": core, "it": core, "rows": core}))


def _sentence(groups: Groups) -> Groups:
    return (*_literal(SENTENCE_START), *groups)


def _noun_phrases_of(group: GroupWords, domain: Domain, rng: random.Random) -> NounPhrases:
    target = group.target
    assert target is not None
    entity = domain.file.entities[target.entity]
    if target.by_key:
        phrases = [[phrase_of(text, group.key_slot, plural=False) for text in _shuffled(key_phrases(entity), rng)]]
        return noun_phrases(entity.noun, phrases, plural=False)
    phrases = [
        [
            phrase_of(text, group.slots.get(each, ""), plural=target.is_many)
            for text in _shuffled(each.phrases(entity), rng)
        ]
        for each in sorted(target.conditions, key=lambda each: _place_in_phrase(entity, each.field))
    ]
    superlative = None
    if target.order is not None and target.search is not None:
        tool = domain.file.tools[target.search]
        words = rng.choice(tool.first_said) if not target.order else ""
        order = None
        if target.order:
            sort = next(each for each in tool.parameters.values() if each.does == "sort")
            order = Slot(group.order_slot, rng.choice(sort.words[target.order]))
        superlative = Superlative(Slot(group.number_slot, None), order, words)
    return noun_phrases(entity.noun, phrases, plural=target.is_many, superlative=superlative)


def _place_in_phrase(entity: c.Entity, field: str) -> tuple[bool, int]:
    """Where a condition stands before the noun: names of people and places first, kinds and states nearest to the noun."""
    return entity.fields[field].type in ("choice", "flag"), -list(entity.fields).index(field)


def _shuffled(texts: Sequence[str], rng: random.Random) -> list[str]:
    return rng.sample(texts, len(texts))


def _argument(use: UseWords, purpose: str) -> str:
    return use.arguments.get(purpose, "")


def _literal(text: str) -> Groups:
    return (((text,),),)


def _splice(phrasing: Phrasing, markers: Mapping[str, Groups], renamed: Mapping[str, str] | None = None) -> Groups:
    """The groups of a phrasing, in which markers are replaced by groups, and slots renamed."""
    return tuple(_spliced(phrasing, markers, renamed or {}))


def _spliced(phrasing: Phrasing, markers: Mapping[str, Groups], renamed: Mapping[str, str]) -> Iterator[Alternatives]:
    for group in phrasing.groups:
        if len(group) > 1:
            yield tuple(tuple(_renamed(part, renamed) for part in parts) for parts in group)
            continue
        together: list[PhrasingPart] = []
        for part in group[0]:
            if isinstance(part, Slot) and part.name in markers and part.wording is None:
                if together:
                    yield (tuple(together),)
                    together = []
                yield from markers[part.name]
            else:
                together.append(_renamed(part, renamed))
        if together:
            yield (tuple(together),)


def _renamed(part: PhrasingPart, renamed: Mapping[str, str]) -> PhrasingPart:
    return part._replace(name=renamed.get(part.name, part.name)) if isinstance(part, Slot) else part
