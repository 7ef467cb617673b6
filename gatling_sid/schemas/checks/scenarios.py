"""Checks each part of each scenario, and that no phrasing is in two scenarios."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gatling_sid.schemas.checks.draws import check_draws, check_slots
from gatling_sid.schemas.checks.goals import check_goal
from gatling_sid.schemas.checks.phrasings import check_idle_slots, check_phrasings, check_reasons
from gatling_sid.schemas.checks.plans import check_forbidden_steps, check_plan
from gatling_sid.schemas.checks.problems import FileProblem, find_unknown

if TYPE_CHECKING:
    from gatling_sid.schemas import catalogue as c
    from gatling_sid.schemas.domain import Domain


def check_scenarios(domain: Domain) -> Iterator[FileProblem]:
    """Yields what is wrong with the scenarios of a domain; its other parts must have no problems."""
    scenario_of_phrasing: dict[str, str] = {}
    for name, scenario in domain.file.scenarios.items():
        where = f"scenarios.{name}"
        if scenario.variant is not None:
            yield f"{where}.variant", "only composed tasks are not simply served; write parts or `unserved`"
            continue
        yield from _check_roles_and_axes(where, scenario, domain)
        yield from check_draws(where, scenario, domain)
        yield from check_slots(where, scenario, domain)
        yield from check_goal(where, scenario, domain)
        yield from check_plan(where, scenario, domain)
        yield from check_forbidden_steps(where, scenario, domain)
        yield from check_phrasings(where, scenario, domain)
        yield from check_reasons(where, scenario)
        yield from check_idle_slots(where, name, domain)
        for text in scenario.phrasings:
            if text in scenario_of_phrasing:
                yield f"{where}.phrasings", f"{text!r} is also a phrasing of {scenario_of_phrasing[text]}"
            scenario_of_phrasing[text] = name


def _check_roles_and_axes(where: str, scenario: c.Scenario, domain: Domain) -> Iterator[FileProblem]:
    axes = domain.family.axis_values
    yield from find_unknown(f"{where}.roles", scenario.roles, domain.file.roles, "role")
    yield from find_unknown(f"{where}.given", scenario.given, axes, "axis")
    for axis, values in scenario.given.items():
        yield from find_unknown(f"{where}.given.{axis}", values, axes.get(axis, []), "value")
