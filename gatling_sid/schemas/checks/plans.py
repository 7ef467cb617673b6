"""Checks the plan of a scenario: its steps, where their arguments come from, and that no rule forbids them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.checks.expressions import check_attribute
from gatling_sid.schemas.checks.problems import FileProblem, find_unknown
from gatling_sid.schemas.references import reference_in

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain


def check_plan(where: str, scenario: c.Scenario, domain: Domain) -> Iterator[FileProblem]:
    """Yields what is wrong with the steps of a plan; each may use results of the steps before it."""
    earlier: dict[str, c.Tool] = {}
    for step in scenario.plan:
        here = f"{where}.plan.{step.step}"
        if step.step in earlier or step.step in ("request", "principal", "policy"):
            yield here, "another step, or a reserved word, has this name; choose another one"
        yield from find_unknown(here, [*step.when, *step.unless], domain.file.policy.rules, "rule")
        yield from find_unknown(here, step.after, earlier, "earlier step")
        if step.tool not in domain.file.tools:
            yield from find_unknown(here, [step.tool], domain.file.tools, "tool")
            continue
        tool = domain.file.tools[step.tool]
        yield from _check_arguments(f"{here}.arguments", step, tool)
        for name, expression in step.arguments.items():
            where_argument = f"{here}.arguments.{name}"
            if isinstance(expression, list):
                yield from _check_list(where_argument, expression, tool.parameters.get(name), earlier)
            else:
                yield from _check_expression(where_argument, expression, scenario, domain, earlier)
        earlier[step.step] = tool


def _check_arguments(where: str, step: c.Step, tool: c.Tool) -> Iterator[FileProblem]:
    yield from find_unknown(where, step.arguments, tool.parameters, f"parameter of {step.tool}")
    for name, parameter in tool.parameters.items():
        if parameter.required and name not in step.arguments:
            yield where, f"{step.tool} requires {name}"


def _check_list(
    where: str, expressions: list[str], parameter: c.Parameter | None, earlier: Mapping[str, c.Tool]
) -> Iterator[FileProblem]:
    """Yields a problem unless the list gathers results of earlier steps, for a parameter that takes keys."""
    if parameter is not None and parameter.does not in ("keys", "about"):
        yield where, f"a parameter with `does: {parameter.does}` takes one expression, not a list"
    for each in expressions:
        reference = reference_in(each)
        yield from find_unknown(where, [reference.root if reference else each], earlier, "earlier step")


def _check_expression(
    where: str, expression: str, scenario: c.Scenario, domain: Domain, earlier: Mapping[str, c.Tool]
) -> Iterator[FileProblem]:
    reference = reference_in(expression)
    if reference is None:
        yield where, f"{expression!r} has no source; use $request, $principal, $policy or an earlier step"
        return
    first = str(reference.path[0]) if reference.path else ""
    match reference.root:
        case "request":
            yield from find_unknown(where, [first], scenario.slots, "slot")
        case "principal":
            yield from check_attribute(where, first, scenario, domain)
        case "policy":
            rules = domain.file.policy.rules
            yield from find_unknown(where, [first], rules, "rule")
            if first in rules and (len(reference.path) < 2 or reference.path[1] not in rules[first].parameters):
                yield where, f"{expression} must be $policy.<rule>.<parameter>"
        case root:
            yield from find_unknown(where, [root], earlier, "earlier step")


def check_forbidden_steps(where: str, scenario: c.Scenario, domain: Domain) -> Iterator[FileProblem]:
    """Yields steps that a rule forbids to the scenario's roles, in some policy under which it can be asked for."""
    for name, rule in domain.file.policy.rules.items():
        roles = rule.parameters.get("roles")
        if rule.kind != "may_not_call" or not (roles is None or {*roles} & {*scenario.roles}):
            continue
        for step in scenario.plan:
            is_avoided = name in step.unless or True not in scenario.given.get(name, [True])
            if step.tool in _forbidden_tools(rule, scenario, domain) and not (rule.sometimes and is_avoided):
                remedy = f"; add `given: {{{name}: [false]}}`" if rule.sometimes else ""
                yield f"{where}.plan.{step.step}", f"{name} forbids {step.tool} to a role of this scenario{remedy}"


def _forbidden_tools(rule: c.Rule, scenario: c.Scenario, domain: Domain) -> Iterable[str]:
    """The tools of a rule, or those that an axis gives it where the scenario can be asked for."""
    tools = rule.parameters.get("tools")
    reference = reference_in(tools)
    if reference is None:
        return domain.file.tools if tools is None else tools
    axis = str(reference.path[0])
    values = domain.family.axis_values[axis]
    return [tool for value in values if value in scenario.given.get(axis, values) for tool in value]
