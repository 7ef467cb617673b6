"""The policies of a domain: one family of rules; each member has its own values and is made when first needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

from gatling_sid.digests import policy_bytes
from gatling_sid.models import Constraint, SystemPolicy
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.constraints import (
    Parameters,
    Precondition,
    parameters_of,
    read_constraints,
)
from gatling_sid.schemas.language.wording import join_list
from gatling_sid.schemas.references import parse_reference
from gatling_sid.schemas.tool_ids import tool_id_of

_MEMBER = re.compile(r"(\d{1,4}(\.\d{1,4})*)?", re.ASCII)
"""What follows the domain in the id of a policy: the position of its value on each axis."""


class _Member(NamedTuple):
    """A policy of the family: the shared record, its parsed constraints, its bytes when it was made.

    `by_kind` has the constraints of the kinds that were asked for.
    """

    policy: SystemPolicy
    parameters: list[tuple[str, str, Parameters | str]]
    original_bytes: bytes
    by_kind: dict[str, list[tuple[str, str, Parameters | str]]]

    def is_edited(self) -> bool:
        """Whether the shared record was changed in place."""
        try:
            return policy_bytes(self.policy) != self.original_bytes
        except ValueError:
            return True


class PolicyFamily:
    """The policies that a domain file describes; a member is identified by the position of its value on each axis."""

    def __init__(self, slug: str, file: c.DomainFile) -> None:
        """Reads names only; members are made when they are first needed."""
        self.slug = slug
        self._name, self._section, self._tools = file.name, file.policy, [tool_id_of(slug, name) for name in file.tools]
        self._members: dict[tuple[int, ...], _Member] = {}
        self._members_by_id: dict[str, _Member] = {}
        self._rules_in_force: dict[tuple[int, ...], frozenset[str]] = {}
        self._axis_values: dict[tuple[int, ...], dict[str, Any]] = {}

    @cached_property
    def default_policy(self) -> SystemPolicy:
        """The default member of the family: it has the first value of every axis, and all rules."""
        return self.policy(tuple(0 for _ in self.axis_sizes))

    @cached_property
    def axis_values(self) -> dict[str, list[Any]]:
        """The values of each axis; a rule that is in force only sometimes is an axis too, with the values true and false."""
        rules = self._section.rules
        return {**self._section.vary, **{name: [True, False] for name, rule in rules.items() if rule.sometimes}}

    @cached_property
    def axis_sizes(self) -> tuple[int, ...]:
        """How many values each axis has."""
        return tuple(len(values) for values in self.axis_values.values())

    @cached_property
    def kinds(self) -> frozenset[str]:
        """The kinds of the family's rules."""
        return frozenset(rule.kind for rule in self._section.rules.values())

    @property
    def size(self) -> int:
        """How many members the family has: the product of `axis_sizes`."""
        return prod(self.axis_sizes)

    def policy(self, member: tuple[int, ...]) -> SystemPolicy:
        """The member with the given position on each axis; the record is shared, so copy it before you edit it."""
        if member not in self._members:
            new = self._make_member(member)
            self._members[member] = self._members_by_id[new.policy.policy_id] = new
        return self._members[member].policy

    def member_of(self, policy_id: str) -> tuple[int, ...] | None:
        """The position of the value on each axis that a policy id states, or None if no member of the family has it."""
        slug, _, code = policy_id.partition("-")
        if slug != self.slug or not _MEMBER.fullmatch(code):
            return None
        member, sizes = tuple(map(int, code.split("."))) if code else (), self.axis_sizes
        is_member = len(member) == len(sizes) and all(at < size for at, size in zip(member, sizes, strict=True))
        return member if is_member else None

    def policy_by_id(self, policy_id: str) -> SystemPolicy | None:
        """The member that has this id, with its original content, or None if there is no such member."""
        member = self.member_of(policy_id)
        if member is None:
            return None
        if member in self._members and self._members[member].is_edited():
            del self._members[member]  # somebody edited a trace in place; the member is made again
        return self.policy(member)

    def own_record(self, policy: SystemPolicy) -> SystemPolicy | None:
        """The family's own record, if the policy equals the member of that id in every value and type; else None."""
        record = self.policy_by_id(policy.policy_id)
        if record is None or record is policy:
            return record
        try:
            return record if policy_bytes(policy) == self._members_by_id[record.policy_id].original_bytes else None
        except ValueError:  # it contains a value that JSON cannot represent
            return None

    def parsed_constraints(self, policy: SystemPolicy) -> list[tuple[str, str, Parameters | str]] | None:
        """(constraint id, kind, parameters) of each constraint, if the policy is one of the family's own records; else None."""
        own = self._members_by_id.get(policy.policy_id)
        return own.parameters if own is not None and own.policy is policy else None

    def parsed_of_kind(self, policy: SystemPolicy, kind: str) -> list[tuple[str, str, Parameters | str]]:
        """(constraint id, kind, parameters or what is wrong with them) of a policy's constraints of this kind."""
        own = self._members_by_id.get(policy.policy_id)
        if own is None or own.policy is not policy:
            return list(read_constraints(policy, {kind}))
        if kind not in own.by_kind:
            own.by_kind[kind] = [each for each in own.parameters if each[1] == kind]
        return own.by_kind[kind]

    def preconditions_of(self, policy: SystemPolicy) -> list[Precondition]:
        """The preconditions among the rules of a policy; those that are not well formed are left out."""
        parsed = self.parsed_constraints(policy)
        parsed = parsed if parsed is not None else read_constraints(policy)
        return [each for _, _, each in parsed if isinstance(each, Precondition)]

    def rules_in_force(self, member: tuple[int, ...]) -> frozenset[str]:
        """The names of the rules that the member has."""
        if member not in self._rules_in_force:
            axes = self.axis_values_of(member)
            rules = self._section.rules.items()
            self._rules_in_force[member] = frozenset(name for name, rule in rules if not rule.sometimes or axes[name])
        return self._rules_in_force[member]

    @cached_property
    def always_forbidden_tools(self) -> frozenset[str]:
        """Full ids of the tools that every member of the family forbids to everyone."""
        rules = [rule for rule in self._section.rules.values() if rule.kind == "may_not_call" and not rule.sometimes]
        tool_lists = [rule.parameters.get("tools") for rule in rules if rule.parameters.get("roles") is None]
        return frozenset(
            tool_id_of(self.slug, name) for tools in tool_lists if isinstance(tools, list) for name in tools
        )

    def axis_values_of(self, member: tuple[int, ...]) -> dict[str, Any]:
        """The member's value on each axis, by name of the axis; the mapping is shared, so do not change it."""
        if member not in self._axis_values:
            axes = zip(self.axis_values.items(), member, strict=True)
            self._axis_values[member] = {name: values[at] for (name, values), at in axes}
        return self._axis_values[member]

    def _make_member(self, member: tuple[int, ...]) -> _Member:
        axes, names = self.axis_values_of(member), self.rules_in_force(member)
        rules = [(name, rule) for name, rule in self._section.rules.items() if name in names]
        constraints = [self._make_constraint(index, name, rule, axes) for index, (name, rule) in enumerate(rules)]
        words = {name: _render_value(value) for name, value in axes.items()}
        parsed: list[tuple[str, str, Parameters | str]] = [
            (each.constraint_id, each.kind, parameters_of(each)) for each in constraints
        ]
        policy = SystemPolicy(
            policy_id=f"{self.slug}-{'.'.join(map(str, member))}" if member else self.slug,
            domain=self._name,
            description=self._section.description,
            rules=[rule.says.format(**words) for _, rule in rules],
            forbidden_operations=self._forbidden_tools(constraints),
            scope_limits=_scope_limits(constraints),
            constraints=constraints,
        )
        return _Member(policy, parsed, policy_bytes(policy), {})

    def _forbidden_tools(self, constraints: list[Constraint]) -> list[str]:
        """The tools that nobody may call, without repetition."""
        parameters = [each.parameters for each in constraints if each.kind == "may_not_call"]
        tool_lists = [each.get("tools") for each in parameters if each.get("roles") is None]
        return list(dict.fromkeys(tool for tools in tool_lists for tool in (self._tools if tools is None else tools)))

    def _make_constraint(self, index: int, name: str, rule: c.Rule, axes: Mapping[str, Any]) -> Constraint:
        parameters = {key: _value_for_member(value, axes) for key, value in rule.parameters.items()}
        if parameters.get("tools") is not None:
            parameters["tools"] = [tool_id_of(self.slug, tool) for tool in parameters["tools"]]
        if "notify" in parameters:
            parameters["notify"] = tool_id_of(self.slug, parameters["notify"])
        return Constraint(constraint_id=name, kind=rule.kind, rule=index, parameters=parameters)


def _value_for_member(value: Any, axes: Mapping[str, Any]) -> Any:
    reference = parse_reference(value) if isinstance(value, str) else None
    return axes[str(reference.path[0])] if reference and reference.root == "policy" else value


def _render_value(value: Any, conjunction: str = "and") -> str:
    if isinstance(value, list):
        return join_list([_render_value(each) for each in value], conjunction) if value else "nothing"
    if isinstance(value, dict):
        return ", ".join(f"{before} to {_render_value(after, 'or')}" for before, after in value.items())
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def _scope_limits(constraints: list[Constraint]) -> dict[str, Any]:
    """The limits that bind everyone at every call, in the form of `SystemPolicy.scope_limits`."""
    names = {
        "row_limit": ("max_rows", "max_results"),
        "time_range": ("max_days", "max_time_range_days"),
        "sensitivity_ceiling": ("max_tier", "max_sensitivity_tier"),
        "export_targets": ("allowed", "allowed_export_targets"),
    }
    return {
        names[each.kind][1]: each.parameters[names[each.kind][0]]
        for each in constraints
        if each.kind in names
        and not {"roles", "tools", "entity"} & {k for k, v in each.parameters.items() if v is not None}
    }
