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
        tool = domain.file.tools[part.tool]
        rules = {rule: spec for role in part.roles for rule, spec in rules_binding(domain, role, part.tool)}
        for rule, spec in rules.items():
            entity = str(spec.parameters.get("entity"))
            for argument in _drawn_states(part, tool, spec) if spec.kind == "transitions" else ():
                remedy = f"add `by_value: {argument}`, with phrases for each value"
                yield f"parts.{name}.with", f"{rule} allows only certain steps of {argument}; {remedy}"
            is_of_rows = spec.kind in PRECONDITION_KINDS and entity != entity_of_part(domain, name)
            if is_of_rows and refers_to(domain, tool, entity, part.arguments):
                remedy = f"and the part is about other rows; write `of: {entity}`"
                yield f"parts.{name}.of", f"{rule} demands to look at the {entity} first, {remedy}"


def _drawn_states(part: c.Part, tool: c.Tool, rule: c.Rule) -> list[str]:
    """The arguments by which a part moves rows to a state that is drawn after them, although the rows decide the step."""
    if tool.entity != rule.parameters["entity"]:
        return []
    return [
        argument
        for argument, value in part.arguments.items()
        if tool.parameters[argument].does == "set"
        and tool.parameters[argument].field == rule.parameters["field"]
        and not (isinstance(value, list) and (len(value) == 1 or argument == part.by_value))
    ]
