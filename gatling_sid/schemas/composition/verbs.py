"""What a part is called in sentences: verb phrases and whole questions, of the part itself or of the shared voice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gatling_sid.schemas.composition.part_texts import ends_with_rows, texts_of_use
from gatling_sid.schemas.composition.tasks import GroupWords, UseWords
from gatling_sid.schemas.language.noun_phrases import NounPhrases
from gatling_sid.schemas.language.shared_voice import (
    FEWEST_TO_DIVIDE,
    MEASURES_OF_DURATIONS,
    SharedVoice,
    part_of_split,
)

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_ONE_COLUMN = re.compile(r"\bwhat(?:'s| is)\b[^{]*\{columns\}", re.IGNORECASE)
_SEVERAL_COLUMNS = re.compile(r"\bwhat are the \{columns\}|\b(?:with|including) \{columns\}", re.IGNORECASE)
"""Texts for one column and for several: "what are the name", "a list with name"."""
_FETCHES = re.compile(r"(?:pull|bring|look) up|get|find")
_HOW_MANY_ROWS = re.compile(r"\b(?:how many\}?|any) \{rows\}", re.IGNORECASE)


def verbs_of(
    group: GroupWords, use: UseWords, domain: Domain, voice: SharedVoice, split: str, nouns: NounPhrases | None
) -> Sequence[str]:
    """The verb phrases with which a part can be asked for; `nouns` are those of its rows, None if they were named before.

    Of a part's own texts, those that read well are divided among the splits, so that each split has one.
    """
    own = texts_of_use(use.part.says, use.part, use.use)
    if own:
        return part_of_split(_reading_well(own, nouns, use), split)
    return _reading_well(_shared_verbs(group, use, domain, voice), nouns, use)


def _shared_verbs(group: GroupWords, use: UseWords, domain: Domain, voice: SharedVoice) -> Sequence[str]:
    verbs = voice.verbs
    match use.tool.operation:
        case "list" | "get" if use.use.columns:
            texts = verbs["show_columns_of_many" if group.target and group.target.is_many else "show_columns_of_one"]
            return (_shows_people(use, domain) and [each for each in texts if not _FETCHES.match(each)]) or texts
        case "aggregate":
            return verbs[_measure(use, domain, voice)]
        case "export":
            return verbs["export_columns" if use.use.columns else "export"]
        case "delete":
            return verbs["delete"]
    return [f"{each} {{it}}" for each in verbs["show"]]


def questions_of(
    group: GroupWords, domain: Domain, voice: SharedVoice, split: str, nouns: NounPhrases | None
) -> Sequence[str]:
    """The whole questions by which the first part of a group can be asked for; none if it is no question's matter."""
    use = group.uses[0]
    own = texts_of_use(use.part.asks, use.part, use.use)
    if own:
        fitting = _reading_well(own, nouns, use)
        return (
            part_of_split(fitting, split) if len(fitting) >= FEWEST_TO_DIVIDE else ()
        )  # else all splits would ask the same
    return _reading_well(_shared_questions(group, use, domain, voice), nouns, use)


def _shared_questions(group: GroupWords, use: UseWords, domain: Domain, voice: SharedVoice) -> Sequence[str]:
    if use.tool.operation == "aggregate":
        return voice.questions[_measure(use, domain, voice)]
    questions = voice.questions["columns_of_many" if group.target and group.target.is_many else "columns_of_one"]
    return [each for each in questions if not each.startswith("What")] if _shows_people(use, domain) else questions


def _shows_people(use: UseWords, domain: Domain) -> bool:
    """Whether a column names people: nobody asks "what's the approver", or to "pull up the approver"."""
    fields = domain.file.entities[use.tool.entity].fields
    return any(fields[each].type == "person" for each in use.use.columns)


def _measure(use: UseWords, domain: Domain, voice: SharedVoice) -> str:
    """The measure as the voice calls it: the maximum of a length of time is the longest."""
    choices = dict(use.use.choices)
    measure = str(choices.get(argument_for(use, "measure"), "count"))
    field = choices.get(argument_for(use, "measured"))
    if measure in MEASURES_OF_DURATIONS and field is not None:
        called = domain.file.entities[use.tool.entity].fields[str(field)].called
        is_duration = bool(called) and called[0].split()[-1] in voice.durations
        measure = MEASURES_OF_DURATIONS[measure] if is_duration else measure
    return measure


def _reading_well(texts: Sequence[str], nouns: NounPhrases | None, use: UseWords) -> Sequence[str]:
    """The texts that read well with the columns of a part and the noun phrases of some rows, if there are such texts.

    After "how many" stands a bare plural that ends with the noun, and noun phrases that do not end with it stand at the
    end. A verb agrees with the number of columns, and a list is not "with name".
    """
    if len(use.use.columns) == 1:
        texts = [each for each in texts if not _SEVERAL_COLUMNS.search(each)] or texts
    elif use.use.columns:
        texts = [each for each in texts if not _ONE_COLUMN.search(each)] or texts
    if nouns is None:
        return texts
    if not nouns.compact_bare:
        texts = [each for each in texts if not _HOW_MANY_ROWS.search(each)] or texts
    if not nouns.compact:
        texts = [each for each in texts if ends_with_rows(each)] or texts
    return texts


def argument_for(use: UseWords, purpose: str) -> str:
    """The argument of a part's tool that has this purpose, or "" if there is none."""
    return use.arguments.get(purpose, "")
