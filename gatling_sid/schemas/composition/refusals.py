"""Tasks that are not simply served: those of which a rule forbids a part, and those that could mean several rows.

Such a task is a served one with the same words. What a rule forbids is drawn so that just this rule is broken: a row that
it excludes, a value beyond its limit, or a policy under which the call is not allowed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.composition.givens import Givens, demands_of_rule
from gatling_sid.schemas.composition.look_ups import found_arguments, look_up_needs
from gatling_sid.schemas.composition.rules import axis_of, evidence_of, refers_to, rules_binding
from gatling_sid.schemas.composition.shape_types import Group, RefusedGroup, Use

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_KINDS_ABOUT_ROWS = ("state_before_change", "amount_limit", "consent", "not_own", "approved_by", "transitions")
_KINDS_ABOUT_VALUES = (
    "argument_max",
    "at_most_own",
    "argument_values",
    "argument_days",
    "export_targets",
    "at_most_field",
)
_KINDS_ABOUT_CALLS = (
    "may_not_call", "sensitivity_ceiling", "argument_values", "export_targets", "argument_max",
    "trusted_source",
)  # fmt: skip
_CHANGING = ("update", "delete", "send")


def draw_refusal(domain: Domain, role: str, groups: tuple[Group, ...], rng: random.Random) -> RefusedGroup | None:
    """One of the ways in which a rule can forbid one group of a task; None if there are none."""
    possible = [
        each
        for at, group in enumerate(groups)
        if len(group.uses) == 1  # else the other part of the group could be done
        for each in _refusals_of(domain, role, at, group.uses)
        if not rests_on_row(domain, each) or _is_shown(domain, role, group, each.rule)
    ]
    by_way = [[each for each in possible if each.way == way] for way in ("row", "value", "policy")]
    ways = [each for each in by_way if each]
    return rng.choice(rng.choice([*ways, *ways[:1]])) if ways else None  # rules about rows decide least often


def rests_on_row(domain: Domain, refusal: RefusedGroup) -> bool:
    """Whether a row decides that the rule forbids the group, so that it has to be looked up first."""
    return refusal.way == "row" or domain.file.policy.rules[refusal.rule].kind == "at_most_field"


@lru_cache(maxsize=16384)
def _refusals_of(domain: Domain, role: str, at: int, uses: tuple[Use, ...]) -> tuple[RefusedGroup, ...]:
    return tuple(dict.fromkeys(each for use in uses for each in _refusals_of_use(domain, role, at, use)))


def _is_shown(domain: Domain, role: str, group: Group, rule: str) -> bool:
    """Whether the search or the look-up of a single row shows what a rule about rows decides by."""
    if group.target is None or group.target.is_many:
        return False
    needs = look_up_needs(domain, role, group)
    shown = {*domain.file.tools[group.target.search].returns} if group.target.search else set()
    shown |= {*domain.file.tools[needs.tool].returns} if needs.tool else set()
    return {*evidence_of(domain, rule)} <= shown


def _refusals_of_use(domain: Domain, role: str, at: int, use: Use) -> Iterator[RefusedGroup]:
    part = domain.file.parts[use.part]
    tool = domain.file.tools[part.tool]
    for name, rule in rules_binding(domain, role, part.tool):
        if _has_other_way(domain, role, rule, use) or can_be_split(rule, tool):
            continue
        if rule.kind in _KINDS_ABOUT_ROWS and _excludes_rows(domain, rule, part, use):
            yield RefusedGroup(at, name, "row")
        if rule.kind in _KINDS_ABOUT_VALUES and _limits_value(rule, tool, part, use):
            yield RefusedGroup(at, name, "value")
        if rule.kind in _KINDS_ABOUT_CALLS:
            axis = _axis_that_forbids(domain, name, rule, use)
            if axis is not None:
                yield RefusedGroup(at, name, "policy", axis)


def can_be_split(rule: c.Rule, tool: c.Tool) -> bool:
    """Whether several calls that keep the rule could do what it forbids one call to do.

    Fields beyond a limit can be had call by call, and a figure follows from those of its groups or from other measures.
    """
    if rule.kind == "field_limit":
        return True
    argument = tool.parameters.get(str(rule.parameters.get("argument")))
    return rule.kind == "argument_values" and argument is not None and argument.does in ("measure", "group")


def _has_other_way(domain: Domain, role: str, rule: c.Rule, use: Use) -> bool:
    """Whether a tool that the rule does not bind, and that is not always forbidden to the role, could do the same."""
    part, bound = domain.file.parts[use.part], rule.parameters.get("tools")
    tool = domain.file.tools[part.tool]
    if bound is None:
        return False
    names = {*part.arguments, *(name for name, each in tool.parameters.items() if each.required)}
    names |= {name for name, each in tool.parameters.items() if each.does == "select" and use.columns}
    needed = {_purpose(tool.parameters[name]) for name in names}
    return any(
        (other.operation, other.entity) == (tool.operation, tool.entity)
        and needed <= {_purpose(each) for each in other.parameters.values()}
        and not _is_always_forbidden(domain, role, name)
        for name, other in domain.file.tools.items()
        if name != part.tool and not (isinstance(bound, list) and name in bound)
    )


def _purpose(parameter: c.Parameter) -> tuple[str, str | None, str]:
    return parameter.does, parameter.field, parameter.match


def _is_always_forbidden(domain: Domain, role: str, tool: str) -> bool:
    return any(
        rule.kind == "may_not_call" and not rule.sometimes and isinstance(rule.parameters.get("tools"), list)
        for _, rule in rules_binding(domain, role, tool)
    )


def _excludes_rows(domain: Domain, rule: c.Rule, part: c.Part, use: Use) -> bool:
    """Whether a rule about rows forbids to change some, or to create a row that refers to some."""
    given, tool = rule.parameters, domain.file.tools[part.tool]
    if refers_to(domain, tool, given["entity"], part.arguments):
        return rule.kind != "transitions"
    if given["entity"] != tool.entity or tool.operation not in _CHANGING:
        return False
    fixed = {tool.parameters[name].field for name, _ in use.choices}
    return rule.kind != "transitions" or given["field"] in fixed


def _limits_value(rule: c.Rule, tool: c.Tool, part: c.Part, use: Use) -> bool:
    """Whether a rule limits a value that the request states, and that is drawn."""
    if tool.operation == "aggregate":
        return False  # its arguments are part of what is asked for, and are not drawn
    targets = [name for name, each in tool.parameters.items() if each.does == "target"]
    names = targets if rule.kind == "export_targets" else [rule.parameters["argument"]]
    if rule.kind == "at_most_field" and rule.parameters["entity"] != (part.of or tool.entity):
        return False
    return any(_is_drawn(part.arguments.get(name)) and name not in dict(use.choices) for name in names)


def _is_drawn(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and len(value) > 1)


def _axis_that_forbids(domain: Domain, name: str, rule: c.Rule, use: Use) -> tuple[str, tuple[int, ...]] | None:
    """The axis of the policy by which this rule alone forbids the call, with the places of the values under which it does."""
    part = domain.file.parts[use.part]
    tool = domain.file.tools[part.tool]
    shown = (use.columns or tuple(tool.returns)) if tool.operation in ("list", "get", "export") else ()
    single = [(n, v[0]) for n, v in part.arguments.items() if isinstance(v, list) and len(v) == 1]
    entity = part.of or tool.entity
    taken = tuple((argument, entity, field) for argument, field in found_arguments(part))
    if any(not domain.has_fixed_trust(entity, field) for _, entity, field in taken) and rule.kind == "trusted_source":
        return None
    demands = list(demands_of_rule(domain, name, rule, part.tool, shown, (*use.choices, *single), taken))
    if len(demands) != 1:
        return None
    axis, is_allowed = demands[0]
    values = domain.family.axis_values.get(axis, [True])
    forbidden = tuple(at for at, each in enumerate(values) if not is_allowed(each))
    sharing = [
        other
        for other, each in domain.file.policy.rules.items()
        if other != name and axis in {axis_of(value) for value in each.parameters.values()}
    ]
    return (axis, forbidden) if forbidden and not sharing else None


def given_by(refusal: RefusedGroup, domain: Domain) -> Givens:
    """The values of axes under which the rule of a refusal is in force and forbids the task."""
    given: Givens = {refusal.rule: [True]} if domain.file.policy.rules[refusal.rule].sometimes else {}
    if refusal.axis is not None:
        axis, places = refusal.axis
        values = domain.family.axis_values.get(axis, [True])
        given[axis] = [values[at] for at in places]
    return given
