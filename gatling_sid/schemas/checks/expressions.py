"""Checks expressions of a scenario, such as `$invoice.vendor_id`: what they name must exist."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.checks.problems import FileProblem, find_unknown
from gatling_sid.schemas.references import ALL_ELEMENTS, Reference, reference_in

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain


def check_expressions(
    where: str, value: Any, scenario: c.Scenario, domain: Domain, roots: Collection[str]
) -> Iterator[FileProblem]:
    """Yields what is wrong with the expressions in a value of a scenario, however nested; each begins with a root."""
    if isinstance(value, Mapping):
        for each in value.values():
            yield from check_expressions(where, each, scenario, domain, roots)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from check_expressions(where, each, scenario, domain, roots)
    elif (reference := reference_in(value)) is not None:
        yield from find_unknown(where, [reference.root], roots, "drawn value above")
        yield from _check_reference(where, reference, scenario, domain)


def _check_reference(where: str, reference: Reference, scenario: c.Scenario, domain: Domain) -> Iterator[FileProblem]:
    first = str(reference.path[0]) if reference.path else ""
    if reference.root == "policy":
        yield from find_unknown(where, [first], domain.file.policy.vary, "axis")
    if reference.root == "principal":
        yield from check_attribute(where, first, scenario, domain)
    entity = entity_of_draw(scenario.draw.get(reference.root))
    if entity in domain.file.entities:
        names = [str(step) for step in reference.path if isinstance(step, str) and step not in (ALL_ELEMENTS, "count")]
        yield from find_unknown(where, names, domain.file.entities[entity].fields, f"field of {entity}")


def check_attribute(where: str, name: str, scenario: c.Scenario, domain: Domain) -> Iterator[FileProblem]:
    """Yields a problem for each role of the scenario whose people have no such attribute."""
    for role in scenario.roles:
        if role in domain.file.roles:
            yield from find_unknown(where, [name], domain.file.roles[role].attributes, f"attribute of {role}")


def entity_of_draw(draw: c.Draw | None) -> str | None:
    """The entity whose row or rows a declaration draws; None if it draws a plain value."""
    match draw:
        case c.OneRowDraw(one=entity) | c.AllRowsDraw(all=entity) | c.RowByKeyDraw(row=entity):
            return entity
    return None
