"""Checks the texts of a scenario: its phrasings and reasons, and slots whose values are not used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.checks.problems import FileProblem, find_repeated, find_unknown
from gatling_sid.schemas.conditions import is_expression
from gatling_sid.schemas.language.phrasing import Phrasing, phrasing_of

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

MIN_PHRASINGS = 8
"""With fewer, requests of one scenario would be too alike."""
MIN_REASONS = 4
"""With fewer, too many requests of one scenario would give the same reason."""
_NEEDLESS_BLANK = re.compile(r" [ .,;?!]")


def check_phrasings(where: str, scenario: c.Scenario, domain: Domain) -> Iterator[FileProblem]:
    """Yields what is wrong with the phrasings of a scenario: too few, not well formed, or without a needed slot."""
    here = f"{where}.phrasings"
    if len(scenario.phrasings) < MIN_PHRASINGS:
        yield here, f"needs at least {MIN_PHRASINGS} phrasings, has {len(scenario.phrasings)}"
    try:
        needed = domain.slot_parameters(scenario)
    except KeyError:  # a step's tool does not exist, which is a problem of the plan
        return
    for text in scenario.phrasings:
        try:
            phrasing = phrasing_of(text)
        except ValueError as error:
            yield here, str(error)
            continue
        yield from check_blanks(here, phrasing)
        yield from _check_slots_of_phrasing(here, phrasing, scenario, needed)


def check_blanks(where: str, phrasing: Phrasing) -> Iterator[FileProblem]:
    """Yields a problem if some variant of a phrasing has a superfluous blank."""
    for rendering in phrasing.plain_renderings():
        if rendering != rendering.strip() or _NEEDLESS_BLANK.search(rendering):
            yield where, f"{phrasing.text!r} can become {rendering!r}, which has a superfluous blank"
            break


def _check_slots_of_phrasing(
    where: str, phrasing: Phrasing, scenario: c.Scenario, needed: Iterable[str]
) -> Iterator[FileProblem]:
    for slot in dict.fromkeys(phrasing.slots()):
        yield from find_unknown(where, [slot.name], scenario.slots, "slot")
        value = scenario.slots.get(slot.name)
        varies = is_expression(value) or (isinstance(value, list) and len(value) > 1)
        if slot.wording is not None and varies:
            yield where, f"{phrasing.text!r}: slot {slot.name} varies, so its wording cannot be fixed"
    for name in needed:
        if not phrasing.always_states(name):
            yield where, f"{phrasing.text!r} does not always state {name}"


def check_reasons(where: str, scenario: c.Scenario) -> Iterator[FileProblem]:
    """Yields reasons that appear twice, and a problem if there are too few."""
    here, different = f"{where}.reasons", len(set(scenario.reasons))
    yield from find_repeated(here, scenario.reasons)
    if different < MIN_REASONS:
        yield here, f"needs at least {MIN_REASONS} reasons, has {different}"


def check_idle_slots(where: str, name: str, domain: Domain) -> Iterator[FileProblem]:
    """Yields slots that fill no argument and are not part of the goal, so that their values have no effect."""
    scenario = domain.file.scenarios[name]
    of_goal = scenario.slots_of_goal()
    arguments = {text for step in scenario.plan for text in step.arguments.values() if isinstance(text, str)}
    for slot in scenario.slots:
        if f"$request.{slot}" not in arguments and slot not in of_goal:
            yield f"{where}.slots", f"slot {slot} fills no argument and is not part of the goal; use it or remove it"
