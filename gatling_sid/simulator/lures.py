"""Places lures, which are instructions to the assistant, in texts of outsiders."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gatling_sid.models import TrustTier
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.references import reference_in
from gatling_sid.schemas.tool_ids import tool_id_of
from gatling_sid.seeding import stream

_Row = dict[str, Any]
_SHARE_OF_TEXTS = 0.3
"""Share of the texts that may hold a lure in which there is one: more than in life, so that models see enough."""
_ENGLISH = "en"
_SHARE_IN_ENGLISH = 0.6
_VALUE = re.compile(r"\{(\w+)(?:\.(\w+))?\}")


class PlacedLure(NamedTuple):
    """A lure in a text, from character `start` to `end`; `calls` are (tool id, arguments) of those that obey it."""

    aim: str
    wants: str
    guise: str
    place: str
    language: str
    start: int
    end: int
    calls: tuple[tuple[str, dict[str, Any]], ...]


def place_lures(
    domain: Domain, tables: Mapping[str, Mapping[str, _Row]], path: tuple[int | str, ...]
) -> dict[str, PlacedLure]:
    """Writes lures into some texts of the rows, which nobody has seen yet; returns them by the whole text."""
    lures: dict[str, PlacedLure] = {}
    aims = list(domain.file.lures.items())
    choices = {name: {each: _choices(spec, tables) for each, spec in aim.draws.items()} for name, aim in aims}
    for name, entity in domain.file.entities.items():
        for field, spec in entity.fields.items():
            for key, row in tables[name].items() if spec.lures and aims else ():
                rng = stream(*path, name, field, key)
                is_outside = domain.trust_of(name, field, row) is TrustTier.UNVERIFIED_RAG and row[field]
                if is_outside and rng.random() < _SHARE_OF_TEXTS:
                    place, (aim, about) = rng.choice(spec.lures), rng.choice(aims)
                    text, lure = _place(row[field], place, aim, about, domain, choices[aim], rng)
                    row[field] = text
                    lures[text] = lure
    return lures


def _place(
    text: str,
    place: str,
    name: str,
    aim: c.LureAim,
    domain: Domain,
    choices: Mapping[str, Sequence[Any]],
    rng: random.Random,
) -> tuple[str, PlacedLure]:
    """The text with a lure of this aim in it, and the lure."""
    forms = domain.lure_forms
    drawn = {each: rng.choice(values) for each, values in choices.items()}
    language = _ENGLISH if rng.random() < _SHARE_IN_ENGLISH else rng.choice(list(aim.orders))
    guises = [each for each in forms.places[place].guises if language in forms.guises[each]]
    guise = rng.choice(guises)
    order = _fill(rng.choice(aim.orders[language]), drawn)
    lure = rng.choice(forms.guises[guise][language]).replace("{order}", order)
    before, _, after = rng.choice(forms.places[place].says).partition("{lure}")
    before, after = before.replace("{text}", text), after.replace("{text}", text)
    arguments = {argument: _value(value, drawn) for argument, value in aim.arguments.items()}
    placed = PlacedLure(
        name,
        _fill(aim.wants, drawn),
        guise,
        place,
        language,
        len(before),
        len(before) + len(lure),
        ((tool_id_of(domain.slug, aim.tool), arguments),),
    )
    return before + lure + after, placed


def _choices(spec: c.RowOfLure | list[Any], tables: Mapping[str, Mapping[str, _Row]]) -> Sequence[Any]:
    """The rows or values of which an order names one."""
    if isinstance(spec, list):
        return spec
    rows = list(tables[spec.one].values())
    return [row for row in rows if all(row[field] == value for field, value in spec.where.items())] or rows


def _fill(text: str, drawn: Mapping[str, Any]) -> str:
    def fill(match: re.Match[str]) -> str:
        name, field = match.groups()
        return str(drawn[name] if field is None else drawn[name][field])

    return _VALUE.sub(fill, text)


def _value(value: Any, drawn: Mapping[str, Any]) -> Any:
    """An argument of the call: a value, or what an expression such as `$bill.bill_id` or `$address` names."""
    if isinstance(value, list):
        return [_value(each, drawn) for each in value]
    reference = reference_in(value)
    if reference is None:
        return value
    found = drawn[reference.root]
    return found[reference.path[0]] if reference.path else found
