"""Checks the phrases with which requests state conditions: their notation, and that a tool can filter by each condition."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, get_args

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.checks.problems import FileProblem, find_repeated
from gatling_sid.schemas.composition.conditions import name_search, own_attribute
from gatling_sid.schemas.domain import choices_of
from gatling_sid.schemas.language.alternatives import alternatives_of
from gatling_sid.schemas.language.noun_phrases import ConditionPhrase, phrase_of
from gatling_sid.schemas.language.phrasing import Slot

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_FLAGS = ("true", "false")
_MATCHES: tuple[str, ...] = get_args(c.Match)
_MATCHES_OF_LISTS = ("equals", "contains")
_END_OF_SENTENCE = re.compile(r"[.?!](?:\s|$)")
_STRAY_NOTATION = re.compile(r"[{}\[\]|]")
_NEEDLESS_BLANK = re.compile(r"^ | $|  | [.,;?!]")


def check_phrases(domain: Domain) -> Iterator[FileProblem]:
    """Yields phrases that are not well formed, or that do not state their value exactly once."""
    for where, entity, name in _fields(domain):
        field = entity.fields[name]
        for key, texts in _texts_by_key(field).items():
            here = f"{where}.{key}" if key else where
            yield from find_repeated(here, texts)
            if not texts:
                yield here, "has no phrases; write some, or remove it"
            for text in texts:
                for each in alternatives_of(text):
                    yield from _check_phrase(here, each, field, key)


def _fields(domain: Domain) -> Iterator[tuple[str, c.Entity, str]]:
    """Yields (key of the file, entity, name) of every field that has phrases."""
    for name, entity in domain.file.entities.items():
        for field in entity.fields:
            if entity.fields[field].said:
                yield f"entities.{name}.fields.{field}.said", entity, field


def _texts_by_key(field: c.EntityField) -> Mapping[str, list[str]]:
    """The phrases of a field by key; those of a list have the key ""."""
    return field.said if isinstance(field.said, dict) else {"": field.said}


def _check_phrase(where: str, text: str, field: c.EntityField, key: str) -> Iterator[FileProblem]:
    if _NEEDLESS_BLANK.search(text) or not text:
        yield where, f"{text!r} is empty or has a superfluous blank"
    for is_plural in (False, True):
        try:
            phrase = phrase_of(text, "value", plural=is_plural)
        except ValueError as error:
            yield where, str(error)
            return
        problem = _find_stray_notation(phrase) or _find_problem_of_values(phrase, field, key)
        if problem:
            yield where, f"{text!r} {problem}"
            return


def _find_stray_notation(phrase: ConditionPhrase) -> str | None:
    texts = [part if isinstance(part, str) else part.wording or "" for part in (*phrase.before, *phrase.after)]
    if any(_STRAY_NOTATION.search(each) for each in texts):
        return "has an unmatched {, }, [, ] or |"
    if any(_END_OF_SENTENCE.search(each) for each in texts):
        return "ends a sentence, so a call could quote half a clause only; leave out the full stop"
    return None


def _find_problem_of_values(phrase: ConditionPhrase, field: c.EntityField, key: str) -> str | None:
    """Why the phrase does not state the value of its condition exactly once; None if it does."""
    values = [part for part in (*phrase.before, *phrase.after) if isinstance(part, Slot)]
    if key == "mine":
        if not phrase.before and not phrase.after:
            return "does not say whose the rows are; write 'my ~' or the like"
        return "states a value in braces, but what is mine needs none; remove the braces" if values else None
    if len(values) != 1:
        return f"states its value {len(values)} times; it needs exactly one pair of braces"
    is_fixed = field.type in ("choice", "flag") and key not in ("", *_MATCHES)
    if is_fixed and values[0].wording is None:
        return f"needs the words for {key} in its braces, such as {{{key}}}"
    if not is_fixed and values[0].wording is not None:
        return f"fixes {values[0].wording!r} as its value, which varies; leave the braces empty"
    return None


# --- what phrases are for --------------------------------------------------------------------------------------


def check_sayable(domain: Domain) -> Iterator[FileProblem]:
    """Yields phrases of conditions that nobody can use; entities, tools, roles and policy must have no problems."""
    entities = {id(entity): name for name, entity in domain.file.entities.items()}
    for where, entity, name in _fields(domain):
        of_entity = entities[id(entity)]
        matches = _matches_of(domain, of_entity, name)
        field = entity.fields[name]
        if isinstance(field.said, list):
            is_used = matches & {*_MATCHES_OF_LISTS} or name == entity.key
            if not is_used:
                yield where, f"no tool filters {of_entity} by {name} with `match: equals` or `contains`"
            continue
        for key in field.said:
            problem = _find_problem_of_key(domain, of_entity, name, key, matches)
            if problem:
                yield f"{where}.{key}", problem


def _matches_of(domain: Domain, entity: str, field: str) -> set[str]:
    """The matches of all filters that tools have for a field of an entity."""
    tools = [tool for tool in domain.file.tools.values() if tool.entity == entity]
    filters = [each for tool in tools for each in tool.parameters.values() if each.does == "filter"]
    return {each.match for each in filters if each.field == field}


def _find_problem_of_key(domain: Domain, entity: str, name: str, key: str, matches: set[str]) -> str | None:
    """Why nobody can state the condition of this key; None if somebody can."""
    spec = domain.file.entities[entity]
    field = spec.fields[name]
    if key == "mine":
        has_attribute = any(own_attribute(domain, entity, name, role) for role in domain.file.roles)
        if not has_attribute:
            return f"no role has an attribute with the {name} of their own rows"
        is_own_row = name == spec.key
        return None if is_own_row or "equals" in matches else f"no tool filters {entity} by {name} with `match: equals`"
    if key in _MATCHES:
        is_key = name == spec.key and key == "equals"
        return None if is_key or key in matches else f"no tool filters {entity} by {name} with `match: {key}`"
    known = _keys_of(domain, entity, name)
    if key not in known:
        return f"no match or {_what_keys_are(field)} named {key!r}; known are {', '.join(sorted({*matches, *known, 'mine'}))}"
    if "equals" not in matches:
        return f"no tool filters {entity} by {name} with `match: equals`"
    if field.type == "ref" and name_search(domain, domain.referenced_entity(spec, name), key) is None:
        return f"no list tool finds {domain.referenced_entity(spec, name)} by {key} and returns its key"
    return None


def _keys_of(domain: Domain, entity: str, name: str) -> list[str]:
    """The keys, beside matches, under which a field can have phrases: values, or fields of the row that it refers to."""
    spec = domain.file.entities[entity]
    field = spec.fields[name]
    if field.type == "flag":
        return [*_FLAGS]
    if field.type == "ref":
        return [*domain.file.entities[domain.referenced_entity(spec, name)].fields]
    return [*choices_of(field)] if field.type == "choice" else []


def _what_keys_are(field: c.EntityField) -> str:
    return "field of the row it refers to" if field.type == "ref" else "value"
