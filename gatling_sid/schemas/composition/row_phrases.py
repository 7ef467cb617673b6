"""The noun phrases for the rows of a group: of the conditions that describe them, or of their key."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.composition.targets import key_phrases, words_of_order
from gatling_sid.schemas.composition.tasks import GroupWords
from gatling_sid.schemas.language.noun_phrases import NounPhrases, noun_phrases, phrase_of, superlative_of

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain


def noun_phrases_of_rows(group: GroupWords, domain: Domain, rng: random.Random) -> NounPhrases:
    """The noun phrases for the rows that a group is about; `rng` decides which phrases come first."""
    target = group.target
    assert target is not None
    entity = domain.file.entities[target.entity]
    nouns = dict([*entity.noun.items()][:1]) if _take_first_noun(group) else entity.noun
    if target.by_key:
        phrases = [[phrase_of(text, group.key_slot, plural=False) for text in _shuffled(key_phrases(entity), rng)]]
        return noun_phrases(nouns, phrases, plural=False)
    phrases = [
        [
            phrase_of(text, group.slots.get(each, ""), plural=target.is_many)
            for text in _shuffled(each.phrases(entity), rng)
        ]
        for each in sorted(target.conditions, key=lambda each: _place_in_phrase(entity, each.field))
    ]
    superlatives = [
        superlative_of(text, group.number_slot, group.order_slot if target.order else "")
        for text in _shuffled(words_of_order(domain, target), rng)
    ]
    return noun_phrases(nouns, phrases, plural=target.is_many, superlatives=superlatives)


def _take_first_noun(group: GroupWords) -> bool:
    """Whether the rows go by the first of their nouns alone.

    They do if nothing describes them: other domains may have the other nouns, and would ask in the same words (see
    `domain_check/shared_nouns.py`). They do, too, if they are named by their noun again after a figure.
    """
    assert group.target is not None
    is_named_twice = len(group.uses) > 1 and any(use.tool.operation == "aggregate" for use in group.uses)
    return is_named_twice or not (group.target.conditions or group.target.by_key or group.target.order)


def _place_in_phrase(entity: c.Entity, field: str) -> tuple[bool, int]:
    """Where a condition stands before the noun: names of people and places first, kinds and states nearest to the noun."""
    return entity.fields[field].type in ("choice", "flag"), -list(entity.fields).index(field)


def _shuffled(texts: Sequence[str], rng: random.Random) -> list[str]:
    return rng.sample(texts, len(texts))
