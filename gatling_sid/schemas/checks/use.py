"""Checks that all of a domain is in use: roles ask, tools are called, rules bind somebody, and parts lead tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.checks.part_shapes import why_no_shape
from gatling_sid.schemas.checks.problems import FileProblem, expressions_in
from gatling_sid.schemas.composition.shapes import draw_shapes, entity_of_part
from gatling_sid.schemas.composition.tasks import build_task
from gatling_sid.schemas.tool_ids import tool_id_of

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_SHAPES_PER_PART = 12
_READING = ("list", "get")


def check_asked(domain: Domain) -> Iterator[FileProblem]:
    """Yields a problem if nobody asks for anything."""
    if not domain.file.parts and not domain.file.scenarios:
        yield "parts", "nobody asks for anything; write `parts`, or `scenarios` for what cannot be composed"


def use_problems(domain: Domain) -> Iterator[FileProblem]:
    """Yields parts that lead no task, and roles, tools and rules that no task needs; the domain must have loaded.

    It draws tasks, which takes a second; loading leaves it out, so that a draft whose parts are still missing can be used.
    """
    yield from _check_roles_and_rules(domain)
    called = {step.tool for scenario in domain.file.scenarios.values() for step in scenario.plan}
    for name in domain.file.parts:
        shapes = draw_shapes(domain, {name: _SHAPES_PER_PART}, "any")
        if not shapes:
            yield f"parts.{name}", f"leads no task: {why_no_shape(domain, name)}"
        called |= {step.tool for shape in shapes for step in build_task(domain, shape).scenario.plan}
    for tool in domain.file.tools:
        if tool not in called and tool_id_of(domain.slug, tool) not in domain.family.always_forbidden_tools:
            yield (
                f"tools.{tool}",
                "no task calls it, neither for a part nor to search, look up or notify; write a part for it, or remove it",
            )


def _check_roles_and_rules(domain: Domain) -> Iterator[FileProblem]:
    """Yields roles that ask for nothing and rules that bind nothing, as far as names tell."""
    tools_by_role = {role: {*_tools_of_role(domain, role)} for role in domain.file.roles}
    for role, tools in tools_by_role.items():
        if not tools:
            yield f"roles.{role}", "asks for nothing; name it in the `roles` of a part or a scenario, or remove it"
    for name, rule in domain.file.policy.rules.items():
        binds = {tool for role in _roles_of_rule(domain, rule.parameters) for tool in tools_by_role[role]}
        named = _tools_named(domain, rule.parameters)
        if not _may_be_idle(rule) and (not binds if named is None else binds.isdisjoint(named)):
            yield f"policy.rules.{name}", "binds nothing that its roles ask for; write a part it decides, or remove it"


def _may_be_idle(rule: c.Rule) -> bool:
    """Whether a rule forbids tools that nobody asks for, since they are never allowed to somebody or are for nobody."""
    return rule.kind == "may_not_call" and (not rule.sometimes or rule.parameters.get("roles") is None)


def _roles_of_rule(domain: Domain, parameters: Mapping[str, Any]) -> list[str]:
    roles = parameters.get("roles")
    return list(domain.file.roles) if roles is None else roles


def _tools_named(domain: Domain, parameters: Mapping[str, Any]) -> set[str] | None:
    """The tools that a rule names, itself or by an axis; None if it binds all tools."""
    tools = parameters.get("tools")
    if tools is None:
        return None
    axes = [domain.file.policy.vary[str(each.path[0])] for each in expressions_in(tools)]
    return {tool for values in axes for each in values for tool in each} if axes else {*tools}


def _tools_of_role(domain: Domain, role: str) -> Iterator[str]:
    """The tools that the requests of a role may need: those of its parts, and those that search, look up or notify."""
    file = domain.file
    for scenario in file.scenarios.values():
        yield from (step.tool for step in scenario.plan if role in scenario.roles)
    for name, part in file.parts.items():
        if role not in part.roles:
            continue
        yield part.tool
        entity = entity_of_part(domain, name)
        if entity is None:
            continue
        spec = file.entities[entity]
        referenced = {domain.referenced_entity(spec, f) for f, field in spec.fields.items() if field.type == "ref"}
        read = {entity, *referenced}
        yield from (tool for tool, each in file.tools.items() if each.operation in _READING and each.entity in read)
        yield from (
            str(rule.parameters["notify"])
            for rule in file.policy.rules.values()
            if rule.parameters.get("notify") and rule.parameters.get("entity") == entity
        )
