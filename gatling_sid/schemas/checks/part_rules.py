"""Checks what rules demand of parts: values that a draw can take into account, and look-ups that a plan can make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.checks.problems import FileProblem
from gatling_sid.schemas.composition.rules import refers_to, rules_binding
from gatling_sid.schemas.composition.shapes import entity_of_part
from gatling_sid.schemas.constraints import PRECONDITION_KINDS

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain


def check_part_rules(domain: Domain) -> Iterator[FileProblem]:
    """Yields parts whose tasks would break a rule that binds them; parts and policy must have no problems."""
    for name, part in domain.file.parts.items():
        rules = {rule: spec for role in part.roles for rule, spec in rules_binding(domain, role, part.tool)}
        for rule, spec in rules.items():
            if spec.kind == "transitions":
                yield from _check_step(f"parts.{name}.with", domain, part, rule, spec)
            if spec.kind in PRECONDITION_KINDS:
                yield from _check_row_to_look_up(f"parts.{name}.of", domain, name, rule, spec)


def _check_step(where: str, domain: Domain, part: c.Part, rule: str, spec: c.Rule) -> Iterator[FileProblem]:
    """Yields a problem if the state to which a part moves rows is drawn later than the rows, which must allow the step."""
    tool = domain.file.tools[part.tool]
    for argument, value in part.arguments.items():
        sets_state = (
            tool.parameters[argument].does == "set" and tool.parameters[argument].field == spec.parameters["field"]
        )
        is_fixed = isinstance(value, list) and (len(value) == 1 or argument == part.by_value)
        if sets_state and tool.entity == spec.parameters["entity"] and not is_fixed:
            yield (
                where,
                f"{rule} allows only certain steps of {argument}; add `by_value: {argument}`, with phrases for each value",
            )


def _check_row_to_look_up(where: str, domain: Domain, name: str, rule: str, spec: c.Rule) -> Iterator[FileProblem]:
    """Yields a problem if a new row refers to one that a rule wants to be looked up, and the part is about other rows."""
    part, entity = domain.file.parts[name], str(spec.parameters["entity"])
    tool = domain.file.tools[part.tool]
    if entity != entity_of_part(domain, name) and refers_to(domain, tool, entity, part.arguments):
        yield (
            where,
            f"{rule} demands to look at the {entity} first, and the part is about other rows; write `of: {entity}`",
        )
