"""Checks that no word or phrase could mean two fields of one entity, such as a "start date" of the job or of the leave."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.checks.problems import FileProblem, entity_referred_to, find_repeated
from gatling_sid.schemas.language.wording import plain_words
from gatling_sid.schemas.population import CopyFill

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_NUMBERS = ("money", "number", "integer")
_MATCHES: tuple[str, ...] = get_args(c.Match)


def check_called(domain: Domain) -> Iterator[FileProblem]:
    """Yields names of fields that two fields of an entity have, as a name of their own or since they have no other."""
    for name, entity in domain.file.entities.items():
        fields_by_words: dict[str, str] = {}
        for field_name, field in entity.fields.items():
            where = f"entities.{name}.fields.{field_name}.called"
            yield from find_repeated(where, field.called)
            for words in dict.fromkeys(field.called or [plain_words(field_name)]):
                other = fields_by_words.setdefault(words.casefold(), field_name)
                if other != field_name:
                    yield where, f"{words!r} could mean {other} or {field_name}; call one of them otherwise"


def check_ambiguous_phrases(domain: Domain) -> Iterator[FileProblem]:
    """Yields phrases that two fields of an entity share although a reader could not tell which of them is meant."""
    for name, entity in domain.file.entities.items():
        fields_by_phrase: dict[tuple[str, str | None], str] = {}
        for field_name, field in entity.fields.items():
            for key, text in _phrases(field):
                kind = _kind_of_values(entity, field_name, key)
                other = fields_by_phrase.setdefault((text.casefold(), kind), field_name)
                if other != field_name and kind is not None:
                    where = f"entities.{name}.fields.{field_name}.said" + (f".{key}" if key else "")
                    yield where, f"{text!r} could mean {other} or {field_name}; say one of them otherwise"


def _phrases(field: c.EntityField) -> Iterator[tuple[str, str]]:
    by_key = field.said if isinstance(field.said, dict) else {"": field.said}
    yield from ((key, text) for key, texts in by_key.items() for text in texts)


def _kind_of_values(entity: c.Entity, name: str, key: str) -> str | None:
    """What the value of a phrase looks like to a reader; None if it tells by itself which field is meant."""
    field = entity.fields[name]
    if key == "mine" or field.type in ("date", "time", "flag", "text"):
        return "mine" if key == "mine" else field.type
    if field.type in _NUMBERS:
        return "number"
    if field.type == "choice":
        return "words" if key not in ("", *_MATCHES) else None  # other values are seldom the same in two fields
    return _entity_described(entity, name)


def _entity_described(entity: c.Entity, name: str) -> str | None:
    """The entity of the row that a reference, or a field copied from its row, says something of."""
    field = entity.fields[name]
    if isinstance(field.populate, CopyFill):
        reference = field.populate.copy_of.partition(".")[0]
        return entity_referred_to(entity.fields[reference]) if reference in entity.fields else None
    return entity_referred_to(field)
