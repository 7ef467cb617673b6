"""Composes the sentences of a task: patterns of the shared voice, verb phrases of its parts, noun phrases of its rows.

The first part is said in a pattern of its kind: something to do ("Can you {do}?"), something to see ("I need {it}."), a
question. Further parts follow in the same sentence or in sentences of their own. What was named once is then a pronoun.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from gatling_sid.schemas.composition.openers import (
    Opener,
    Openers,
    can_stand_around,
    ends_with_quotation,
    ends_with_verb,
)
from gatling_sid.schemas.composition.part_texts import ends_with_rows
from gatling_sid.schemas.composition.row_phrases import noun_phrases_of_rows
from gatling_sid.schemas.composition.tasks import ComposedTask, UseWords
from gatling_sid.schemas.composition.verbs import argument_for, verbs_of
from gatling_sid.schemas.language.noun_phrases import (
    NounPhrases,
    Words,
    literal_words,
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
    Register,
    SharedVoice,
    thanks,
)
from gatling_sid.seeding import stream

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_SHARE_OF_JOINED, _MOST_JOINED = 0.6, 1
_UNFIT_FOR_PRONOUN = re.compile(
    r"\bme\]? \{it\}$|\b(?:up|out|down|off|back|away|(?<=pass )on|(?<=send )on)(?:\}|(?:\|[^\[\]]*)?\]) \{it\}"
)
"""Texts that take no pronoun: "get me them", "{status:turn down} them", "[open|pull up] them" and "[take back|pull] them"."""
_WORD_OF_IT = r"(?:\{\w+(?::[^{}]*)?\}|\[[^\[\]]*\]|(?!(?:the|with|to|on|for|of|in)(?![\w-]))[\w-]+)"
_OF_IT = re.compile(rf"\bthe ({_WORD_OF_IT}(?: (?:of )?{_WORD_OF_IT})*) (?:of|for) \{{it\}}")
"""What is of the rows: "the salary of {it}" becomes "their salary" when they were named before."""
_EACH = re.compile(r"\beach of \{it\}|\{it\} have")
"""Texts in which "all the rows" would be said twice over."""
_POLITE = re.compile(r"\b(?:please|pls|plz|thanks|thank you|cheers)\b", re.IGNORECASE)
_ORDER_IN_TIME = re.compile(r"\b(?:then|after|afterwards)\b", re.IGNORECASE)
_PARTICLE = re.compile(
    r"([\w:{}]+|\[[^\[\]]*\]) (up|out|down|off|back|away|(?<=pass )on|(?<=hand )on|(?<=send )on) \{it\}"
)
"""A verb with a particle: "turn down {it}" becomes "turn it down" when it was named before."""

Groups = tuple[Alternatives, ...]


class TaskPhrasings(Sequence[Phrasing]):
    """The phrasings of a task in a split, all different; each is composed when it is needed."""

    def __init__(self, task: ComposedTask, domain: Domain, voice: SharedVoice, split: str) -> None:
        """Chooses how each phrasing begins; `voice` has the texts of the split."""
        self._task, self._domain, self._voice, self._split = task, domain, voice, split
        self._said = task.shape.said
        self._further_verbs: dict[tuple[str, bool], Sequence[str]] = {}
        rng = stream(domain.slug, self._said, "nouns")
        self._nouns = [noun_phrases_of_rows(each, domain, rng) if each.target else None for each in task.groups]
        self._openers = Openers(task, domain, voice, split, self._nouns[0])

    def __len__(self) -> int:
        """The number of phrasings in the split."""
        return len(self._openers)

    def __getitem__(self, index: Any) -> Any:
        """The phrasing with this index."""
        return self.compose(index) if isinstance(index, int) else [self.compose(at) for at in range(len(self))[index]]

    def manner(self, index: int) -> tuple[Register, bool]:
        """The register in which a phrasing is written, and whether it thanks, so that nothing around it need do so."""
        opener = self._openers.at(index)
        return opener.register, thanks(opener.pattern)

    def compose(self, index: int) -> Phrasing:
        """Composes one phrasing; its text, which only identifies it, is that of its pattern and its verb phrases."""
        rng = stream(self._domain.slug, self._said, self._split, index)
        composer = _Composer(self._task, self._domain, self._voice, self._nouns, self._verbs_of_further, rng)
        opener = self._openers.at(index)
        groups = composer.compose(opener)
        return Phrasing.composed("; ".join((opener.pattern, opener.verb, *composer.texts)), groups)

    def _verbs_of_further(self, at: int, use: UseWords, *, is_named: bool) -> Sequence[str]:
        """The verb phrases of a part that is not the first; `is_named` if its rows were named before it."""
        key = use.use.part, is_named
        if key not in self._further_verbs:
            nouns = None if is_named else self._nouns[at]
            verbs = verbs_of(self._task.groups[at], use, self._domain, self._voice, self._split, nouns)
            if is_named and use.tool.operation in ("list", "get") and not use.use.columns and not use.part.says:
                verbs = self._voice.verbs["show_again"]
            elif is_named:
                verbs = [text for text in verbs if not _UNFIT_FOR_PRONOUN.search(text)] or verbs
            self._further_verbs[key] = verbs
        return self._further_verbs[key]


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
            for each in others:
                verb = self._choose_verb(*each)
                join = self.rng.choice(_joins_of(self.voice, is_about_same=each[0] == first[0]))
                joined = (*joined, *_literal(join), *self._expand(verb, *each))
            if can_stand_around(opener.pattern, verb):
                return _in_pattern(opener.pattern, joined)
            self.texts, self.named, self.measured = [], set(), set()
        groups = self._first_sentence(opener, *first)
        for before, each in pairwise(uses):
            verb = self._choose_verb(*each)
            pattern = self._link(verb, is_about_same=each[0] == before[0])
            groups = (*groups, *_literal(" "), *_in_pattern(pattern, self._expand(verb, *each)))
        return groups

    def _pick(self, texts: Sequence[str]) -> str:
        text = self.rng.choice(self._unused(texts))
        self.texts.append(text)
        return text

    def _link(self, verb: str, *, is_about_same: bool) -> str:
        """A pattern for what follows: it begins otherwise than those before; "please" and "can you" are said once."""
        begun = {_first_word(each) for each in self.texts}
        links = _links_of(self.voice, is_about_same=is_about_same, is_quoting=ends_with_quotation(verb))
        repeated = [
            (each.first_word in begun) + (self.is_polite and each.is_polite) + (self.is_asked and each.is_asked)
            for each in links
        ]
        least = min(repeated)
        link = self.rng.choice([each for each, times in zip(links, repeated, strict=True) if times == least])
        self.texts.append(link.pattern)
        self.is_polite |= link.is_polite
        self.is_asked |= link.is_asked
        return link.pattern

    def _unused(self, texts: Sequence[str]) -> Sequence[str]:
        return [each for each in texts if each not in self.texts] or texts

    def _first_sentence(self, opener: Opener, at: int, use: UseWords) -> Groups:
        match opener.kind:
            case "ask":
                question = opener.pattern
                if use.tool.operation == "aggregate" and not use.part.asks:
                    ending = question[-1] if question[-1] in ".?!" else ""
                    question = question.removesuffix(ending) + self._grouping(question, at, use) + ending
                return _sentence(self._expand(question, at, use))
            case "any":
                return _in_pattern(opener.pattern, self._rows(at))
            case "need":
                return _in_pattern(opener.pattern, self._it(at))
        return _in_pattern(opener.pattern, self._expand(self._with_group(opener.verb, at, use), at, use))

    def _with_group(self, verb: str, at: int, use: UseWords) -> str:
        """A verb phrase for a measure with what it is grouped by, if it is."""
        return verb + self._grouping(verb, at, use) if use.tool.operation == "aggregate" and not use.part.says else verb

    def _grouping(self, text: str, at: int, use: UseWords) -> str:
        """What a measure is grouped by; a comma keeps it apart from what does not end with the noun of the rows."""
        if argument_for(use, "group") not in dict(use.use.choices):
            return ""
        is_last = ends_with_rows(text) and (at in self.named or bool(self._noun_phrases(at).compact))
        comma = "" if is_last else ","
        return f"{comma} {self._pick(self.voice.verbs['grouped'])}"

    def _choose_verb(self, at: int, use: UseWords) -> str:
        """A verb phrase for a part that is not the first."""
        verbs = self.verbs_of_further(at, use, is_named=at in self.named)
        return self._with_group(self._pick(verbs), at, use)

    def _expand(self, text: str, at: int, use: UseWords) -> Groups:
        """A text with its noun phrases and its slots, which get the names that they have in the task."""
        if at not in self.named and self.task.groups[at].target and self._noun_phrases(at).are_names:
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
            markers["rows"] = self._rows(at, is_compact=not ends_with_rows(text))
        return _splice(text, markers, use.slots)

    def _it(self, at: int, *, is_each: bool = False, is_compact: bool = False) -> Groups:
        group = self.task.groups[at]
        assert group.target is not None
        if at in self.named:
            entity = self.domain.file.entities[group.target.entity]
            # After a figure, "them" could be the figures, and "those" the largest ones.
            if at in self.measured and entity.pronoun != "them":
                return _literal(f"{'' if is_each else 'all '}those {next(iter(entity.noun.values()))}")
            if self._is_one_of_several(at):
                phrases = self._noun_phrases(at)
                return (phrases.definite,) if phrases.are_names else _literal(f"the {next(iter(entity.noun))}")
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

    def _is_one_of_several(self, at: int) -> bool:
        """Whether the rows are one person and another one may have been named, so that "them" could be either."""
        target = self.task.groups[at].target
        assert target is not None
        entity = self.domain.file.entities[target.entity]
        return entity.pronoun == "them" and not target.is_many and len(self.task.groups) > 1

    def _possessive(self, at: int) -> str:
        """Whose something is, of rows that were named before."""
        target = self.task.groups[at].target
        assert target is not None
        if self._is_one_of_several(at):
            return "{it}'s"
        is_thing = not target.is_many and self.domain.file.entities[target.entity].pronoun == "it"
        return "its" if is_thing else "their"

    def _rows(self, at: int, *, is_compact: bool = False) -> Groups:
        self.named.add(at)
        phrases = self._noun_phrases(at)
        bare = phrases.compact_bare if is_compact and phrases.compact_bare else phrases.bare
        return (self._of_length(bare or phrases.definite),)

    def _noun_phrases(self, at: int) -> NounPhrases:
        phrases = self.nouns[at]
        assert phrases is not None
        return phrases


class _Link(NamedTuple):
    """A pattern for what follows, and what should not be said twice in a request."""

    pattern: str
    first_word: str
    is_polite: bool
    is_asked: bool


@lru_cache(maxsize=64)
def _links_of(voice: SharedVoice, *, is_about_same: bool, is_quoting: bool) -> tuple[_Link, ...]:
    """The patterns for what follows: unrelated wishes are not linked by "after that", and a quotation stands last."""
    patterns = voice.patterns.then
    fitting = [each for each in patterns if is_about_same or not _ORDER_IN_TIME.search(each)] or patterns
    fitting = [each for each in fitting if not is_quoting or ends_with_verb(each)] or fitting
    return tuple(_Link(each, _first_word(each), _is_polite(each), "?" in each) for each in fitting)


@lru_cache(maxsize=16)
def _joins_of(voice: SharedVoice, *, is_about_same: bool) -> list[str]:
    """The words between two verb phrases: unrelated wishes are not joined by "and then"."""
    return [each for each in voice.joins if is_about_same or not _ORDER_IN_TIME.search(each)] or voice.joins


@lru_cache(maxsize=4096)
def _is_polite(text: str) -> bool:
    return _POLITE.search(text) is not None


@lru_cache(maxsize=4096)
def _first_word(text: str) -> str:
    return text.partition(" ")[0].strip(",").lower()


def _in_pattern(pattern: str, core: Groups) -> Groups:
    """A pattern of the shared voice with its core, as a sentence."""
    return _sentence(_splice(pattern, {"do": core, "it": core, "rows": core}, {}))


def _sentence(groups: Groups) -> Groups:
    return (*_literal(SENTENCE_START), *groups)


def _literal(text: str) -> Groups:
    return (((text,),),)


class _Piece(NamedTuple):
    """A part of a text: a marker that is to be replaced, or groups without one."""

    marker: str
    groups: Groups
    has_slots: bool


_MARKERS = frozenset({"do", "it", "rows"})


@lru_cache(maxsize=16384)
def _pieces_of(text: str) -> tuple[_Piece, ...]:
    pieces: list[_Piece] = []
    groups: list[Alternatives] = []
    for group in phrasing_of(text).groups:
        if len(group) > 1:
            groups.append(group)
            continue
        together: list[PhrasingPart] = []
        for part in group[0]:
            if isinstance(part, Slot) and part.name in _MARKERS and part.wording is None:
                pieces += [
                    _piece((*groups, (tuple(together),)) if together else tuple(groups)),
                    _Piece(part.name, (), has_slots=False),
                ]
                groups, together = [], []
            else:
                together.append(part)
        groups += [(tuple(together),)] if together else []
    return tuple(each for each in (*pieces, _piece(tuple(groups))) if each.marker or each.groups)


def _piece(groups: Groups) -> _Piece:
    return _Piece("", groups, any(isinstance(part, Slot) for group in groups for parts in group for part in parts))


def _splice(text: str, markers: Mapping[str, Groups], renamed: Mapping[str, str]) -> Groups:
    """The groups of a text, in which markers are replaced by groups, and slots renamed."""
    groups: list[Alternatives] = []
    for piece in _pieces_of(text):
        if piece.marker:
            groups += markers[piece.marker]
        elif piece.has_slots and renamed:
            groups += (tuple(tuple(_renamed(p, renamed) for p in parts) for parts in group) for group in piece.groups)
        else:
            groups += piece.groups
    return tuple(groups)


def _renamed(part: PhrasingPart, renamed: Mapping[str, str]) -> PhrasingPart:
    return part._replace(name=renamed.get(part.name, part.name)) if isinstance(part, Slot) else part
