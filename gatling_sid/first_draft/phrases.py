"""Rough phrases by which people state the fields of an entity, by type; each names its field, so that none is ambiguous."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gatling_sid.first_draft.nouns import NUMBERS, DraftEntity
from gatling_sid.schemas.language.nouns import with_article

_DIRECTION = re.compile(r"\b(?:next|last|past|previous|coming|upcoming) ")
"""Words that would contradict a period on the other side of today."""


def phrases_of(
    entity: DraftEntity, field: str, entities: Mapping[str, DraftEntity]
) -> dict[str, list[str]] | list[str]:
    """The phrases for a field; none for what people hardly say."""
    spec, words = entity.spec.fields[field], entity.words(field)
    if field == entity.spec.key:
        return [f"{entity.noun} {{}}", f"{entity.noun} number {{}}", f"the {entity.noun} {{}}"]
    if not entity.is_open(field):
        return []
    if field == entity.name_field:
        named = [f"the {entity.noun} {{}}", f"the {entity.noun} called {{}}"]
        return ["{}", *named] if spec.type == "person" else [*named, f"{{}}, the {entity.noun}"]
    if spec.type == "choice" and entity.choices(field):
        return [f"~ with {words} {{}}", f"~ whose {words} is {{}}", f"~ that <has|have> {{}} as {words}"]
    if spec.type == "flag":
        return {"true": [f"~ {{marked {words}}}"], "false": [f"~ {{not marked {words}}}"]}
    if spec.type in NUMBERS:
        least = [f"~ with {with_article(words)} of {{}} or more", f"~ whose {words} is at least {{}}"]
        most = [f"~ with {with_article(words)} of {{}} or less", f"~ whose {words} is at most {{}}"]
        return {"at_least": least, "at_most": most}
    if spec.type == "date":
        words = _DIRECTION.sub("", words)
        texts = [f"~ with {with_article(words)} in {{}}", f"~ whose {words} is in {{}}"]
        is_past, is_ahead = entity.days_of(field)
        return {**({"within_days": texts} if is_past else {}), **({"next_days": texts} if is_ahead else {})}
    if spec.type == "ref":
        return _phrases_of_reference(entity, field, entities)
    return []


def _phrases_of_reference(
    entity: DraftEntity, field: str, entities: Mapping[str, DraftEntity]
) -> dict[str, list[str]] | list[str]:
    words, name = entity.words(field), entities[entity.references[field]].name_field
    said: dict[str, list[str]] = {}
    if field == entity.owner:
        said["mine"] = ["my ~", "~ of mine", "~ that <belongs|belong> to me"]
    if name is not None:
        said[name] = [f"~ with {{}} as {words}", f"~ whose {words} is {{}}"]
    return said


def with_phrases(content: dict[str, Any], entity: DraftEntity, entities: Mapping[str, DraftEntity]) -> dict[str, Any]:
    """The entity as the author wrote it, with nouns, names of fields and phrases where there were none."""
    fields: dict[str, Any] = {}
    for name, field in content["fields"].items():
        said = phrases_of(entity, name, entities)
        is_plain = name == entity.words(name)
        called = {} if "called" in field or is_plain else {"called": [entity.words(name)]}
        fields[name] = {**field, **called, **({"said": said} if said and "said" not in field else {})}
    return {**content, "noun": {entity.noun: entity.plural, **content.get("noun", {})}, "fields": fields}
