"""Checks the policy family: its axes, the sentences and constraints of its rules, and its members."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from gatling_sid.models import Constraint
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.checks.problems import FileProblem, find_impossible_choices, find_unknown, placeholders
from gatling_sid.schemas.conditions import is_expression
from gatling_sid.schemas.constraints import KINDS, parameters_of
from gatling_sid.schemas.references import reference_in

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_NUMBERS = ("money", "integer", "number")
_TYPES_OF_FIELD: Mapping[str, tuple[str, ...]] = {"at_most_field": _NUMBERS, "consent": ("flag",)}
"""By kind of constraint: the types of fields that it can compare."""
_TYPES_OF_ARGUMENT: Mapping[str, tuple[str, ...]] = {"at_most_field": _NUMBERS, "argument_days": ("date",)}
"""By kind of constraint: the types of arguments that it can compare."""


def check_policy(domain: Domain) -> Iterator[FileProblem]:
    """Yields what is wrong with the policy of a domain; a tool whose entity is unknown is skipped."""
    policy = domain.file.policy
    for axis, values in policy.vary.items():
        if len(values) < 2:
            yield f"policy.vary.{axis}", "needs two or more values"
        if any(value in ([], "", None) for value in values):
            yield f"policy.vary.{axis}", "one of its values is empty"
    for name, rule in policy.rules.items():
        yield from _check_rule(name, rule, domain)


def check_members(domain: Domain) -> Iterator[FileProblem]:
    """Yields why policies cannot be made; makes enough of them to use every value of every axis."""
    for member in zip_longest(*(range(size) for size in domain.family.axis_sizes), fillvalue=0):
        try:
            domain.family.policy(tuple(member))
        except (ValueError, KeyError) as error:
            yield "policy.rules", str(error)


def _check_rule(name: str, rule: c.Rule, domain: Domain) -> Iterator[FileProblem]:
    axes, where = domain.file.policy.vary, f"policy.rules.{name}"
    yield from find_unknown(f"{where}.kind", [rule.kind], KINDS, "kind of constraint")
    if rule.sometimes and name in axes:
        yield where, f"{name} is the name of an axis; a rule that is in force sometimes is an axis too, so rename one"
    yield from find_unknown(f"{where}.says", placeholders(rule.says), axes, "axis")
    yield from _check_axis_names(f"{where}.with", rule, axes)
    problem = _find_problem_in_parameters(name, rule, axes)
    if problem:
        yield f"{where}.with", problem
    else:
        yield from _check_constraint(f"{where}.with", rule, domain)


def _check_axis_names(where: str, rule: c.Rule, axes: Mapping[str, list[Any]]) -> Iterator[FileProblem]:
    """Yields expressions in a rule's parameters that are not exactly the name of an axis."""
    for value in rule.parameters.values():
        reference = reference_in(value)
        if reference:
            if reference.root != "policy" or len(reference.path) != 1:
                yield where, f"{value} must be $policy.<axis>"
            else:
                yield from find_unknown(where, [str(reference.path[0])], axes, "axis")


def _find_problem_in_parameters(name: str, rule: c.Rule, axes: Mapping[str, list[Any]]) -> str | None:
    """Why the rule's parameters, with the first value of each axis, are not those of its kind; None if they are."""
    first = {f"$policy.{axis}": values[0] for axis, values in axes.items() if values}
    given = {
        key: first.get(value, value) if isinstance(value, str) else value for key, value in rule.parameters.items()
    }
    try:
        parameters_of(Constraint(constraint_id=name, kind=rule.kind, parameters=given, rule=0))
    except ValueError as error:
        return str(error)
    return None


def _check_constraint(where: str, rule: c.Rule, domain: Domain) -> Iterator[FileProblem]:
    """Yields names in a rule's parameters that do not exist; `check_members` judges what an axis gives."""
    given = {key: value for key, value in rule.parameters.items() if not is_expression(value)}
    file = domain.file
    yield from find_unknown(where, given.get("roles") or (), file.roles, "role")
    tools = [*_tools_of_rule(rule, domain), *([given["notify"]] if "notify" in given else ())]
    yield from find_unknown(where, tools, file.tools, "tool")
    yield from _check_fields_of_rule(where, rule.kind, given, file)
    for tool in tools:
        if tool in file.tools and file.tools[tool].entity in file.entities:
            yield from _check_arguments_of_rule(where, rule.kind, given, tool, domain)
    attributes = [given[key] for key in ("attribute", "unless_own") if given.get(key) is not None]
    for role in given.get("roles") or file.roles:
        if role in file.roles:
            yield from find_unknown(where, attributes, file.roles[role].attributes, f"attribute of {role}")
    yield from _check_ranges(where, given)
    if given.get("notify") in file.tools:
        yield from _check_notice(where, given, file.tools[given["notify"]])
        for tool in tools:
            if tool in file.tools and file.tools[tool].operation == "delete":
                yield where, f"{tool} deletes the row, and nobody can be written to about it then; name other tools"
            elif tool in file.tools and file.tools[tool].entity != given.get("entity", file.tools[tool].entity):
                yield where, f"{tool} is not about rows of {given['entity']}, so no message would be demanded after it"


def _tools_of_rule(rule: c.Rule, domain: Domain) -> list[str]:
    """The tools that a rule names itself, or by an axis."""
    tools = rule.parameters.get("tools")
    reference = reference_in(tools)
    lists = domain.file.policy.vary.get(str(reference.path[0]), []) if reference and reference.path else [tools]
    return [tool for each in lists if isinstance(each, list) for tool in each]


def _check_ranges(where: str, given: Mapping[str, Any]) -> Iterator[FileProblem]:
    """Yields ranges of a rule that no value lies in; an hour range excludes its end."""
    for low, high, least in (("from_hour", "to_hour", 1), ("min_days", "max_days", 0)):
        first, last = given.get(low), given.get(high)
        if first is not None and last is not None and last - first < least:
            yield where, f"the range from {low} {first} to {high} {last} is empty"


def _check_fields_of_rule(where: str, kind: str, given: Mapping[str, Any], file: c.DomainFile) -> Iterator[FileProblem]:
    entity = given.get("entity")
    if entity is None:
        return
    yield from find_unknown(where, [entity], file.entities, "entity")
    if entity in file.entities:
        names = [given[key] for key in ("field", "recipient_field") if key in given] + list(given.get("fields", ()))
        known = file.entities[entity].fields
        yield from find_unknown(where, names, known, f"field of {entity}")
        field = given.get("field")
        if field in known:
            yield from find_impossible_choices(where, known[field], _allowed_values(given))
            yield from _check_type(where, field, known[field].type, _TYPES_OF_FIELD.get(kind))


def _allowed_values(given: Mapping[str, Any]) -> list[Any]:
    """The values of a field that a rule allows; for allowed steps, all values that a step leaves or reaches."""
    allowed = given.get("allowed", ())
    return (
        [*allowed, *(each for after in allowed.values() for each in after)] if isinstance(allowed, dict) else [*allowed]
    )


def _check_type(where: str, name: str, actual: str, types: tuple[str, ...] | None) -> Iterator[FileProblem]:
    """Yields a problem if a rule of this kind cannot compare the values of a field or parameter."""
    if types is not None and actual not in types:
        yield where, f"{name} is of type {actual}; it must be {' or '.join(types)}"


def _check_arguments_of_rule(
    where: str, kind: str, given: Mapping[str, Any], tool_name: str, domain: Domain
) -> Iterator[FileProblem]:
    tool = domain.file.tools[tool_name]
    names = [given["argument"]] if "argument" in given else given.get("arguments", ())
    yield from find_unknown(where, names, tool.parameters, f"parameter of {tool_name}")
    for name in names:
        parameter = tool.parameters.get(name)
        if parameter is None:
            continue
        if kind == "argument_values" and _may_be_omitted(parameter):
            yield where, f"{name} of {tool_name} may be left out, which allows every value; make it required"
        field = domain.field_of(tool, parameter)
        actual = field.type if field else domain.json_type(tool, parameter)[0]
        yield from _check_type(where, f"{name} of {tool_name}", actual, _TYPES_OF_ARGUMENT.get(kind))


def _may_be_omitted(parameter: c.Parameter) -> bool:
    """Whether a call can do without this filter; it then finds the rows of every value."""
    return parameter.does == "filter" and not parameter.required and parameter.default is None


def _check_notice(where: str, given: Mapping[str, Any], tool: c.Tool) -> Iterator[FileProblem]:
    """Yields why this tool cannot send the message that a rule demands to the required address."""
    if tool.operation != "send" or tool.entity != given.get("entity", tool.entity):
        yield where, f"{given['notify']} does not send messages about {given.get('entity')}"
    field = given.get("recipient_field", "")
    if tool.addressee and field and field not in tool.addressee:
        yield where, f"{given['notify']} sends messages only to {' or '.join(tool.addressee)}, not to {field}"
