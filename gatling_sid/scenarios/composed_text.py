"""Texts that the assistant writes from what it read, such as the message that tells a customer the due date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.language.wording import join_list, plain_words, wordings
from gatling_sid.seeding import stream

_SHARE_WITH_TAIL = 0.6


def compose_text(domain: Domain, entity: str, fields: Sequence[str], row: Mapping[str, Any], today: date) -> str:
    """The text that tells fields of a row; how it is put follows from the row, so that it is the same wherever it is made."""
    forms, spec = domain.voice.composed, domain.file.entities[entity]
    rng = stream(domain.slug, "composed", str(row[spec.key]), *fields)
    facts = [
        rng.choice(forms.facts)
        .replace("{field}", name_of_field(domain, entity, field))
        .replace("{value}", value_as_text(domain, entity, field, row[field], today))
        for field in fields
    ]
    tail = rng.choice(forms.tails) if rng.random() < _SHARE_WITH_TAIL else ""
    parts = (rng.choice(forms.heads), f"{join_list(facts)}.", tail)
    return " ".join(each for each in parts if each)


def name_of_field(domain: Domain, entity: str, field: str) -> str:
    """What a composed text calls a field."""
    called = domain.file.entities[entity].fields[field].called
    return called[0] if called else plain_words(field)


def value_as_text(domain: Domain, entity: str, field: str, value: Any, today: date) -> str:
    """How a composed text writes the value of a field."""
    spec = domain.file.entities[entity].fields[field]
    words = tuple(spec.words.get(value, ())) if isinstance(value, str) else ()
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (wordings(spec.kind, value, today, words) or (str(value),))[0]
