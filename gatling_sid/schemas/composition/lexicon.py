"""The words by which the phrases of a domain state values: of conditions, of the arguments of parts, of orders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.language.alternatives import alternatives_of
from gatling_sid.schemas.language.noun_phrases import values_in
from gatling_sid.schemas.language.phrasing import phrasing_of
from gatling_sid.schemas.language.shared_voice import MEASURES_OF_DURATIONS, SharedVoice

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

Topic = tuple[str, str]
"""What a wording is about: (entity, field), or (`(tools)`, purpose)."""


def wordings_in_phrases(domain: Domain, voice: SharedVoice) -> Iterator[tuple[Topic, Any, str]]:
    """Yields (topic, value, wording) of every value whose words a phrase fixes."""
    for name, entity in domain.file.entities.items():
        for field_name, field in entity.fields.items():
            yield from (((name, field_name), value, words) for value, words in _wordings_of_field(field))
    for part in domain.file.parts.values():
        for said in (part.says, part.asks):
            for key, listed in said.items() if isinstance(said, Mapping) else [("", said)]:
                for text in listed:
                    yield from _wordings_of_part(domain, part, key, text)
    of_durations = {called: measure for measure, called in MEASURES_OF_DURATIONS.items()}
    for texts_by_use in (voice.verbs, voice.questions):
        for use, listed in texts_by_use.items():
            for text in listed:
                slots = [each for each in phrasing_of(text).slots() if each.name == "measure" and each.wording]
                measure = of_durations.get(use, use)
                yield from ((("(tools)", "measure"), measure, each.wording or "") for each in slots)


def _wordings_of_field(field: c.EntityField) -> Iterator[tuple[Any, str]]:
    for key, texts in field.said.items() if isinstance(field.said, Mapping) else ():
        value = key == "true" if field.type == "flag" else key
        for phrase in (each for text in texts for each in alternatives_of(text)):
            yield from ((value, words) for words in values_in(phrase))


def _wordings_of_part(domain: Domain, part: c.Part, value: str, text: str) -> Iterator[tuple[Topic, Any, str]]:
    tool = domain.file.tools[part.tool]
    for slot in phrasing_of(text).slots():
        parameter = tool.parameters.get(slot.name)
        if slot.wording is None or parameter is None:
            continue
        given = part.arguments.get(slot.name)
        fixed = (
            value if slot.name == part.by_value else given[0] if isinstance(given, list) and len(given) == 1 else None
        )
        if fixed is not None:
            fixed = _as_written(given, fixed)
            yield domain.topic_of(tool, parameter), fixed, slot.wording


def _as_written(given: Any, text: Any) -> Any:
    """The value of a list that is written like a text, since the keys of a mapping are texts."""
    return next((each for each in given or () if str(each) == str(text)), text) if isinstance(given, list) else text
