"""The shared voice: sentence patterns, verb phrases, openings, closings and reasons that every domain uses.

`voice.yaml` explains the notation. Every list is divided among the splits, so that train and test share no pattern, no
reason and no opening or closing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

from pydantic import Field, ValidationError

from gatling_sid.errors import CatalogueError
from gatling_sid.schemas.language.voice_checks import voice_problems
from gatling_sid.schemas.strict import StrictModel
from gatling_sid.schemas.yaml_loading import parse_yaml_bytes

Register = Literal["neutral", "casual", "formal"]
HOURS_OF_DAY: Mapping[str, tuple[int, int]] = {"morning": (6, 12), "afternoon": (12, 18), "evening": (18, 22)}
"""The hours, from and until, at which an opening of that time of day fits."""
MEASURES_OF_DURATIONS: Mapping[str, str] = {"maximum": "longest", "minimum": "shortest"}
"""The measures that are called otherwise when they are of a length of time; the voice has texts for both."""
_FRAGMENT = re.compile(r"(?:any )?\{(?:it|rows)\}", re.IGNORECASE)
"""The start of a pattern that has no verb before its rows."""
_THANKS = re.compile(r"\b(?:thank|thanks|thx|thnx|tysm|cheers|ta|appreciate|appreciated|grateful)\b", re.IGNORECASE)
"""What nobody says twice, or before the last of several requests."""
FEWEST_TO_DIVIDE = 3
"""The texts of a list that can be divided among the splits; shorter lists belong to all."""
_SHARE_OF_SPLIT = 10
"""Of this many texts, one is kept for validation and one for test."""


class ByRegister(StrictModel):
    """Texts by the register in which people write."""

    neutral: list[str] = Field(min_length=1)
    casual: list[str] = Field(min_length=1)
    formal: list[str] = Field(min_length=1)

    def of(self, register: Register) -> list[str]:
        """The texts of one register."""
        return {"neutral": self.neutral, "casual": self.casual, "formal": self.formal}[register]


class Openings(ByRegister):
    """What stands before a request; those of a time of day are neutral and fit only then."""

    morning: list[str] = Field(min_length=1)
    afternoon: list[str] = Field(min_length=1)
    evening: list[str] = Field(min_length=1)


class Patterns(StrictModel):
    """Sentences with a place for a verb phrase (`do`, `then`) or a noun phrase (`need`, `any`); `then` follows another."""

    do: ByRegister
    need: ByRegister
    any: ByRegister
    then: list[str] = Field(min_length=1)


class Reasons(StrictModel):
    """Sentences that say why: to look something up, to change something, or either."""

    read: list[str]
    change: list[str]
    any: list[str]


class Composed(StrictModel):
    """What the assistant writes around the facts that it passes on: before, for each, and after; tails may be empty."""

    heads: list[str] = Field(min_length=1)
    facts: list[str] = Field(min_length=1)
    tails: list[str] = Field(min_length=1)


class SharedVoice(StrictModel):
    """The content of `voice.yaml`; two are the same only if they are one object.

    `durations` are last words of names of fields whose maximum is the longest one, such as "time".
    """

    __hash__ = object.__hash__

    @lru_cache(maxsize=1024)  # noqa: B019 - voices live as long as the process
    def patterns_of(
        self,
        kind: str,
        register: Register,
        *,
        with_fragments: bool = True,
        with_thanks: bool = True,
    ) -> tuple[str, ...]:
        """The patterns of a kind and register; without fragments, "{it}?" is left out; without thanks, "{do}, thanks."."""
        texts = {
            "do": self.patterns.do,
            "need": self.patterns.need,
            "any": self.patterns.any,
        }
        return tuple(
            each
            for each in texts[kind].of(register)
            if (with_fragments or not _FRAGMENT.match(each)) and (with_thanks or not thanks(each))
        )

    patterns: Patterns
    joins: list[str]
    durations: list[str]
    verbs: dict[str, list[str]]
    questions: dict[str, list[str]]
    about_session: list[str]
    composed: Composed
    openings: Openings
    closings: ByRegister
    reasons: Reasons


@lru_cache(maxsize=4096)
def thanks(text: str) -> bool:
    """Whether a text thanks somebody."""
    return _THANKS.search(text) is not None


@lru_cache(maxsize=2)
def parse_shared_voice(content: bytes, name: str) -> SharedVoice:
    """The shared voice in these bytes. Raises CatalogueError, which names the key of the first thing that is wrong."""
    try:
        voice = SharedVoice.model_validate_json(json.dumps(parse_yaml_bytes(content, name)))
    except ValidationError as error:
        first = error.errors()[0]
        raise CatalogueError(
            name, ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        ) from None
    for key, problem in voice_problems(voice.model_dump()):
        raise CatalogueError(name, key, problem)
    return voice


@lru_cache(maxsize=16)
def voice_of_split(voice: SharedVoice, split: str) -> SharedVoice:
    """The shared voice with only those texts that a split may use; joins are few and belong to all."""

    def keep(content: Any) -> Any:
        if isinstance(content, dict):
            return {
                key: value if key in ("joins", "durations", "composed") else keep(value)
                for key, value in content.items()
            }
        return list(part_of_split(content, split))

    return SharedVoice.model_validate_json(json.dumps(keep(voice.model_dump())))


@lru_cache(maxsize=4096)
def hours_of_opening(voice: SharedVoice, opening: str) -> tuple[int, int]:
    """The hours, from and until, at which people write an opening: all of them unless it names a time of day."""
    for time_of_day, hours in HOURS_OF_DAY.items():
        if opening in getattr(voice.openings, time_of_day):
            return hours
    return 0, 24


def part_of_split(texts: Sequence[str], split: str) -> Sequence[str]:
    """The texts that a split may use: of ten neighbours, one is for validation and one for test.

    Of a list that is too short to be divided so, the last is for test and the one before for validation; a list of one or
    two is not divided.
    """
    if len(texts) < FEWEST_TO_DIVIDE:
        return texts
    if len(texts) < _SHARE_OF_SPLIT:
        return {"test": texts[-1:], "validation": texts[-2:-1]}.get(split, texts[:-2])
    last = {"test": (_SHARE_OF_SPLIT - 1,), "validation": (_SHARE_OF_SPLIT - 2,)}.get(split, range(_SHARE_OF_SPLIT - 2))
    return [text for at, text in enumerate(texts) if at % _SHARE_OF_SPLIT in last]
