"""What the rules of a domain mean for a task: rows that may be changed, what is looked up first, who is notified after."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.composition.shape_types import Group
from gatling_sid.schemas.constraints import PRECONDITION_KINDS
from gatling_sid.schemas.references import reference_in
from gatling_sid.schemas.tool_ids import limits_of_tool

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

Where = dict[str, Any]
"""Conditions by field, as in the `where` of a draw."""


class LookUp(NamedTuple):
    """A rule that demands that these fields of a row are read before a tool changes it."""

    rule: str
    fields: tuple[str, ...]
    is_list: bool
    """Whether the rule itself holds the list of fields, so that a call can take it from there."""


class Notice(NamedTuple):
    """A rule that demands a message to the address in a field of a row after a tool was called on the row."""

    rule: str
    tool: str
    recipient_field: str
    unless_own: str | None


@lru_cache(maxsize=4096)
def rules_binding(domain: Domain, role: str, tool: str) -> tuple[tuple[str, c.Rule], ...]:
    """(name, rule) of each rule that binds a role when it calls a tool, in some member of the family."""
    return tuple(_rules_binding(domain, role, tool))


def _rules_binding(domain: Domain, role: str, tool: str) -> Iterator[tuple[str, c.Rule]]:
    for name, rule in domain.file.policy.rules.items():
        roles, tools = rule.parameters.get("roles"), rule.parameters.get("tools")
        is_of_tool = not isinstance(tools, list) or tool in tools
        if (roles is None or role in roles) and is_of_tool:
            yield name, rule


def axis_of(value: Any) -> str | None:
    """The axis of the policy that a value of a rule names, or None."""
    reference = reference_in(value)
    return str(reference.path[0]) if reference is not None and reference.root == "policy" else None


def refers_to(domain: Domain, tool: c.Tool, entity: str, arguments: Collection[str]) -> bool:
    """Whether a call with these arguments creates a row that refers to one of the entity."""
    references = domain.references_to(tool.entity, entity, most_hops=1) if tool.operation == "create" else ()
    return any(tool.parameters[name].field in references for name in arguments if name in tool.parameters)


def look_ups(domain: Domain, role: str, name_of_tool: str, arguments: Collection[str], entity: str) -> list[LookUp]:
    """What is to be read of rows of an entity before a call with these arguments, which changes them or refers to them."""
    tool = domain.file.tools[name_of_tool]
    kinds = _KINDS_OF_OPERATION.get(tool.operation, ())
    fields_set = {*tool.sets, *(tool.parameters[name].field for name in arguments if name in tool.parameters)}
    found = []
    for name, rule in rules_binding(domain, role, name_of_tool):
        given = rule.parameters
        if rule.kind == "transitions" and given["field"] not in fields_set:
            continue
        if rule.kind == "at_most_field" and given["argument"] not in arguments:
            continue
        if rule.kind in kinds and given.get("entity") == entity:
            fields = given["fields"] if "fields" in given else [given["field"]]
            found.append(LookUp(name, tuple(_listed(domain, fields)), "fields" in given))
    return found


_KINDS_OF_OPERATION = {
    **dict.fromkeys(("update", "delete", "send"), tuple(PRECONDITION_KINDS)),
    "create": tuple(PRECONDITION_KINDS - {"transitions"}), "export": ("consent",),
}  # fmt: skip
"""The kinds of preconditions that are about calls of an operation."""


def evidence_of(domain: Domain, rule: str) -> tuple[str, ...]:
    """The fields that show whether a rule about rows allows a change."""
    given = domain.file.policy.rules[rule].parameters
    return tuple(_listed(domain, given["fields"] if "fields" in given else [given["field"]]))


def _listed(domain: Domain, value: Any) -> list[str]:
    """A list of names, or all names in the lists that an axis gives."""
    axis = axis_of(value)
    lists = [value] if axis is None else domain.family.axis_values[axis]
    return list(dict.fromkeys(name for each in lists for name in each))


def notices(domain: Domain, role: str, tool: str, entity: str) -> list[Notice]:
    """The messages that rules demand after a role called a tool on a row of the entity."""
    return [
        Notice(name, rule.parameters["notify"], rule.parameters["recipient_field"], rule.parameters.get("unless_own"))
        for name, rule in rules_binding(domain, role, tool)
        if rule.kind == "notify_after" and rule.parameters["entity"] == entity and rule.parameters.get("tools")
    ]


def rows_allowed(
    domain: Domain, role: str, tool: str, entity: str, changes: Mapping[str, Any], refused: str | None = None
) -> Where:
    """The conditions on rows of the entity under which every member of the family lets a role call a tool on them.

    `changes` are the values that the call writes, by field, as far as they are fixed. The rows must break the rule
    `refused`, if it is about rows.
    """
    return _rows_allowed(domain, role, tool, entity, tuple(changes.items()), refused)


@lru_cache(maxsize=8192)
def _rows_allowed(
    domain: Domain, role: str, tool: str, entity: str, fixed: tuple[tuple[str, Any], ...], refused: str | None
) -> Where:
    where: Where = {}
    changes = dict(fixed)
    for name, rule in rules_binding(domain, role, tool):
        given = rule.parameters
        if given.get("entity") != entity:
            continue
        if name == refused:
            _merge_all(where, _rows_excluded(name, rule, tool, changes))
            continue
        match rule.kind:
            case "own_records":
                merge(where, given["field"], {"in": [f"$principal.{given['attribute']}"]})
            case "not_own":
                merge(where, given["field"], {"not": f"$principal.{given['attribute']}"})
            case "approved_by":
                merge(where, given["field"], {"is_set": True, "not": f"$principal.{given['attribute']}"})
            case "state_before_change":
                merge(where, given["field"], {"in": given["allowed"]})
            case "amount_limit":
                merge(where, given["field"], {"at_most": given["max_value"]})
            case "consent":
                merge(where, given["field"], {"in": [True]})
            case "transitions" if given["field"] in changes:
                merge(where, given["field"], {"in": f"{limits_of_tool(tool)}.steps.{name}.{changes[given['field']]}"})
    for field, values in domain.file.tools[tool].requires.items() if domain.file.tools[tool].entity == entity else ():
        merge(where, field, {"in": list(values)})
    return where


def _rows_excluded(name: str, rule: c.Rule, tool: str, changes: Mapping[str, Any]) -> Where:
    """The conditions under which a row breaks a rule about rows."""
    given = rule.parameters
    field = str(given.get("field"))
    match rule.kind:
        case "state_before_change":
            return {field: {"not_in": given["allowed"], "is_set": True}}
        case "amount_limit":
            return {field: {"above": given["max_value"]}}
        case "consent":
            return {field: {"in": [False]}}
        case "not_own" | "approved_by":
            return {field: {"in": [f"$principal.{given['attribute']}"]}}
        case "transitions" if field in changes:
            return {field: {"not_in": f"{limits_of_tool(tool)}.steps.{name}.{changes[field]}", "is_set": True}}
    return {}


def rows_allowed_by_group(
    domain: Domain,
    role: str,
    group: Group,
    values: Sequence[Mapping[str, Any]],
    look_up: str | None,
    refused: str | None = None,
) -> Where:
    """The conditions under which all parts of a group may be applied to a row, and the row may be read.

    `values` has, for each part, what its arguments are in terms of draws, as far as they are known; `look_up` is the tool
    of the look-up, if there is one. The rows must break the rule `refused`, if it is about rows.
    """
    target = group.target
    assert target is not None
    where: Where = {}
    for use, arguments in zip(group.uses, values, strict=True):
        part = domain.file.parts[use.part]
        tool = domain.file.tools[part.tool]
        fields_set = {p.field or "": arguments.get(name) for name, p in tool.parameters.items() if p.does == "set"}
        if tool.entity == target.entity:
            fixed = {f: v for f, v in fields_set.items() if v is not None and not str(v).startswith("$")}
            _merge_all(where, rows_allowed(domain, role, part.tool, target.entity, fixed, refused))
            if tool.operation == "update":
                _merge_all(where, {f: {"not": v} for f, v in fields_set.items() if v is not None})
            for notice in notices(domain, role, part.tool, target.entity):
                if notice.unless_own:
                    merge(where, notice.recipient_field, {"not": f"$principal.{notice.unless_own}"})
        elif tool.operation == "create":
            _merge_all(where, _rows_that_a_new_one_may_refer_to(domain, role, part, target.entity, refused))
        allowed = chain(_values_allowed(domain, role, part, refused), _filters_allowed(domain, role, part, refused))
        for field, condition in allowed:
            merge(where, field, condition)
        for argument, chosen in use.choices:
            given = part.arguments.get(argument)
            for field in given[c.TELLS][chosen] if isinstance(given, Mapping) else ():
                merge(where, field, {"is_set": True})
        _merge_all(where, part.where)
    for name in filter(None, (target.search, look_up)):
        _merge_all(where, rows_allowed(domain, role, name, target.entity, {}))
    declaration, key = domain.file.roles[role], domain.file.entities[target.entity].key
    if target.entity == declaration.entity and key in declaration.attributes and target.search and not target.is_many:
        merge(where, key, {"not": f"$principal.{key}"})  # nobody searches for themselves by name
    return where


def _values_allowed(domain: Domain, role: str, part: c.Part, refused: str | None) -> Iterator[tuple[str, Where]]:
    """(field, condition) under which rules allow what a part takes from the found row as an argument."""
    for argument, given in part.arguments.items():
        reference = reference_in(given) if isinstance(given, str) else None
        if reference is None or reference.root != "found":
            continue
        field = str(reference.path[0])
        yield field, {"is_set": True}
        if domain.file.entities[part.of or domain.file.tools[part.tool].entity].fields[field].type == "email":
            yield from ((field, {"not": f"$principal.{each}"}) for each in _own_addresses(domain, role))
        for name, rule in rules_binding(domain, role, part.tool):
            if rule.parameters.get("argument") == argument and name != refused:
                match rule.kind:
                    case "argument_max":
                        yield field, {"at_most": f"{limits_of_tool(part.tool)}.most.{argument}"}
                    case "at_most_own":
                        yield field, {"at_most": f"$principal.{rule.parameters['attribute']}"}
                    case "argument_values":
                        yield field, {"in": f"{limits_of_tool(part.tool)}.allowed.{argument}"}
                    case "argument_days":
                        yield field, {"allowed_dates": f"{limits_of_tool(part.tool)}.dates.{argument}"}


def _own_addresses(domain: Domain, role: str) -> list[str]:
    """The attributes of a role that are addresses: nobody asks to be written to, or to be invited."""
    declaration = domain.file.roles[role]
    fields = domain.file.entities[declaration.entity].fields
    return [name for name in declaration.attributes if fields[name].type == "email"]


def _filters_allowed(domain: Domain, role: str, part: c.Part, refused: str | None) -> Iterator[tuple[str, Where]]:
    """(field, condition) under which rules allow what a part's own filters are given; such a filter is required."""
    for name, rule in rules_binding(domain, role, part.tool):
        parameter = domain.file.tools[part.tool].parameters.get(str(rule.parameters.get("argument")))
        if rule.kind == "argument_values" and parameter is not None and parameter.does == "filter" and name != refused:
            argument = rule.parameters["argument"]
            yield str(parameter.field), {"in": f"{limits_of_tool(part.tool)}.allowed.{argument}"}


def _merge_all(where: Where, more: Mapping[str, Any]) -> None:
    for field, condition in more.items():
        merge(where, field, condition)


def _rows_that_a_new_one_may_refer_to(
    domain: Domain, role: str, part: c.Part, entity: str, refused: str | None
) -> Where:
    """The conditions on rows of an entity for which a part may create a row."""
    tool = domain.file.tools[part.tool]
    where: Where = {}
    _merge_all(where, dict(_owners_of_created(domain, role, part, tool)))
    if refers_to(domain, tool, entity, part.arguments):
        _merge_all(where, rows_allowed(domain, role, part.tool, entity, {}, refused))
    return where


def _owners_of_created(domain: Domain, role: str, part: c.Part, tool: c.Tool) -> Iterator[tuple[str, Any]]:
    """What the found row must have so that a row which is created for it belongs to the principal, if a rule demands it."""
    copies = domain.copied_fields(tool.entity)
    for _, rule in rules_binding(domain, role, part.tool):
        given = rule.parameters
        if rule.kind != "own_records" or given["entity"] != tool.entity:
            continue
        reference = copies[given["field"]].reference if given["field"] in copies else given["field"]
        argument = next(
            (n for n, each in tool.parameters.items() if each.does == "set" and each.field == reference), ""
        )
        source = str(part.arguments.get(argument, ""))
        if source.startswith("$found."):
            field = copies[given["field"]].field if given["field"] in copies else source.removeprefix("$found.")
            yield field, f"$principal.{given['attribute']}"


def merge(where: Where, field: str, condition: Any) -> None:
    """Adds a condition on a field; of two lists of values, those in both remain."""
    added = condition if isinstance(condition, Mapping) else {"in": [condition]}
    known = where.setdefault(field, {})
    for name, operand in added.items():
        if name == "in" and isinstance(known.get("in"), list) and isinstance(operand, list):
            known["in"] = [value for value in known["in"] if value in operand]
        elif name in ("in", "at_most") and known.get(name, operand) != operand:
            known[f"also_{name}"] = operand
        else:
            known.setdefault(name, operand)
