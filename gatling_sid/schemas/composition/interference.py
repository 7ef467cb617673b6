"""Whether two groups of a task interfere: by what they change, or because one seems to be about the rows of the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.composition.look_ups import fields_to_tell, found_arguments
from gatling_sid.schemas.composition.rules import rules_binding
from gatling_sid.schemas.composition.shape_types import Group, Target
from gatling_sid.schemas.constraints import PRECONDITION_KINDS

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain


def interferes(domain: Domain, first: Group, another: Group) -> bool:
    """Whether one of two groups reads or changes what the other one changes, or one seems to be about the other."""
    groups = (first, another)
    tools = [[domain.file.tools[domain.file.parts[use.part].tool] for use in group.uses] for group in groups]
    entities = [
        {*(tool.entity for tool in each), *([group.target.entity] if group.target else ())}
        for each, group in zip(tools, groups, strict=True)
    ]
    changed = [{t.entity for t in each if t.operation in ("create", "update", "delete")} for each in tools]
    names = [{domain.file.parts[use.part].tool for use in group.uses} for group in groups]
    counted = [rule.parameters.get("tools") for rule in domain.file.policy.rules.values() if rule.kind == "batch_limit"]
    periods = [any(each.is_period for each in group.target.conditions) for group in groups if group.target]
    return bool(
        entities[1] & changed[0]
        or changed[1] & entities[0]
        or any(names[0] & {*each} and names[1] & {*each} for each in counted if each)
        or sum(periods) > 1  # a goal has one period
        or _names_row_of(first.target, another.target)
        or _names_row_of(another.target, first.target)
        or _seems_to_be_of(domain, another.target, first.target)
        or _may_belong_to(domain, first.target, another.target)
    )


def disturbs(domain: Domain, role: str, part: str, other: str) -> bool:
    """Whether a part changes what another part about the same rows tells, or what the tool or a rule demands for it.

    A part that deletes the row also takes away the address that a message about no row goes to.
    """
    tools = [domain.file.tools[domain.file.parts[each].tool] for each in (part, other)]
    if tools[0].operation == "delete" and not is_about_rows(tools[1]):
        return True
    return not _fields_changed(domain, part).isdisjoint(_fields_relied_on(domain, role, other))


def is_about_rows(tool: c.Tool) -> bool:
    """Whether a call of a tool concerns rows that it names; a message may be about none."""
    return tool.operation != "send" or any(each.does == "about" for each in tool.parameters.values())


def _fields_changed(domain: Domain, part: str) -> set[str]:
    spec = domain.file.parts[part]
    tool = domain.file.tools[spec.tool]
    if tool.operation != "update":
        return set()
    return {
        *tool.sets,
        *(each.field for name, each in tool.parameters.items() if name in spec.arguments and each.field),
    }


def _fields_relied_on(domain: Domain, role: str, part: str) -> set[str]:
    spec = domain.file.parts[part]
    tool = domain.file.tools[spec.tool]
    announced = {
        field for given in spec.arguments.values() for fields in fields_to_tell(given).values() for field in fields
    }
    taken = {field for _, field in found_arguments(spec)}
    demanded = {
        rule.parameters["field"]
        for _, rule in rules_binding(domain, role, spec.tool)
        if rule.kind in PRECONDITION_KINDS and "field" in rule.parameters
    }
    return {*tool.requires, *announced, *taken, *demanded}


def _names_row_of(target: Target | None, others: Target | None) -> bool:
    """Whether a target names by its key what could be one of the rows of another one; then the key is known twice."""
    if target is None or others is None:
        return False
    return target.entity == others.entity and target.by_key and others.is_many


def _seems_to_be_of(domain: Domain, target: Target | None, earlier: Target | None) -> bool:
    """Whether the rows of a target could be taken for some of those named earlier, or for rows that belong to these.

    After "Rebecca's insurer", "the missed visit" is taken for hers; "Marek's missed visit" says whose it is, and so does a
    key. After "Keisha's room slot", "the confirmed meetings" are taken for hers, but not "the meetings about Halcyon".
    """
    if target is None or earlier is None or target.by_key:
        return False
    if target.entity == earlier.entity:
        return True
    stated = {each.field for each in target.conditions}
    if references := domain.references_to(target.entity, earlier.entity):
        return stated.isdisjoint(_fields_saying_whose(domain, target.entity, references))
    if any(each.how in ("via", "mine") or each.match == "contains" for each in target.conditions):
        return False
    named = {
        domain.referenced_entity(domain.file.entities[earlier.entity], each.field)
        for each in earlier.conditions
        if each.how == "via"
    }
    shared = [field for each in named for field in domain.references_to(target.entity, each)]
    return bool(shared) and stated.isdisjoint(_fields_saying_whose(domain, target.entity, shared))


def _may_belong_to(domain: Domain, target: Target | None, later: Target | None) -> bool:
    """Whether the rows of a target could be taken for some that belong to what is named later, since nothing else says whose.

    "Retract the declined invitation, and move the Juniper meeting": the one to Juniper?
    """
    if target is None or later is None or target.by_key:
        return False
    references = domain.references_to(target.entity, later.entity, most_hops=1)
    saying = _fields_saying_whose(domain, target.entity, references)
    return bool(references) and saying.isdisjoint(each.field for each in target.conditions)


def _fields_saying_whose(domain: Domain, entity: str, references: Sequence[str]) -> set[str]:
    """References of an entity, and the fields that are copied from the rows they point to."""
    copies = domain.copied_fields(entity)
    return {*references, *(name for name, source in copies.items() if source.reference in references)}
