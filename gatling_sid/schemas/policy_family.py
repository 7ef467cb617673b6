"""The policies of a domain: one family of rules, each member with its own values, made when it is first asked for."""

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
    PRECONDITION_KINDS,
    Parameters,
    Precondition,
    parameters_of,
    read_constraints,
)
from gatling_sid.schemas.language.wording import join_list
from gatling_sid.schemas.references import parse_reference

_MEMBER = re.compile(r"(\d{1,4}(\.\d{1,4})*)?", re.ASCII)
"""What follows the domain in the id of a policy: the place of its value on each axis."""


class _Member(NamedTuple):
    """A policy of the family: the record that is shared, its parameters, and all that it said when it was made."""

    policy: SystemPolicy
    parameters: list[tuple[str, str, Parameters | str]]
    content: bytes

    def is_edited(self) -> bool:
        """Whether somebody changed the shared record."""
        try:
            return policy_bytes(self.policy) != self.content
        except ValueError:
            return True


class PolicyFamily:
    """The policies that a domain file describes: a member is told by the place of its value on each axis."""

    def __init__(self, slug: str, file: c.DomainFile) -> None:
        """Makes no member yet."""
        self.slug = slug
        self._name, self._spec, self._tools = file.name, file.policy, [f"{slug}.{name}" for name in file.tools]
        self._members: dict[tuple[int, ...], _Member] = {}
        self._published: dict[str, _Member] = {}
        self._rules: dict[tuple[int, ...], frozenset[str]] = {}

    @cached_property
    def default_policy(self) -> SystemPolicy:
        """The default member of the family: the first value of every axis, every rule in force."""
        return self.policy(tuple(0 for _ in self.axis_sizes))

    @cached_property
    def axis_values(self) -> dict[str, list[Any]]:
        """The values of each axis of the family; a rule that is in force only sometimes is one too: true or false."""
        rules = self._spec.rules
        return {**self._spec.vary, **{name: [True, False] for name, rule in rules.items() if rule.sometimes}}

    @cached_property
    def axis_sizes(self) -> tuple[int, ...]:
        """How many values each axis of the family has."""
        return tuple(len(values) for values in self.axis_values.values())

    @property
    def size(self) -> int:
        """How many members the family has."""
        return prod(self.axis_sizes)

    def policy(self, member: tuple[int, ...]) -> SystemPolicy:
        """The member that takes the given value of each axis; the record is shared: copy it before editing."""
        if member not in self._members:
            made = self._member(member)
            self._members[member] = self._published[made.policy.policy_id] = made
        return self._members[member].policy

    def published(self, policy_id: str) -> SystemPolicy | None:
        """The member of the family that bears this id, as it was published, or None if none does."""
        slug, _, code = policy_id.partition("-")
        if slug != self.slug or not _MEMBER.fullmatch(code):
            return None
        member, sizes = tuple(map(int, code.split("."))) if code else (), self.axis_sizes
        is_member = len(member) == len(sizes) and all(at < size for at, size in zip(member, sizes, strict=True))
        if not is_member:
            return None
        if member in self._members and self._members[member].is_edited():
            del self._members[member]  # by whoever edits a trace in place; it is made anew
        return self.policy(member)

    def own_record(self, policy: SystemPolicy) -> SystemPolicy | None:
        """The family's own record of a policy that says, to the type, what the member of that id says; else None."""
        own = self.published(policy.policy_id)
        if own is None or own is policy:
            return own
        try:
            return own if policy_bytes(policy) == self._published[own.policy_id].content else None
        except ValueError:  # it holds what is no plain value
            return None

    def parameters_of(self, policy: SystemPolicy) -> list[tuple[str, str, Parameters | str]] | None:
        """(constraint id, kind, parameters) of a policy that is one of the family's own records, else None."""
        own = self._published.get(policy.policy_id)
        return own.parameters if own is not None and own.policy is policy else None

    def preconditions_of(self, policy: SystemPolicy) -> list[Precondition]:
        """The rules of a policy that condition a change on a look-up; those that are not well formed are left out."""
        own = self.parameters_of(policy)
        parsed = own if own is not None else read_constraints(policy)
        return [each for _, kind, each in parsed if kind in PRECONDITION_KINDS and isinstance(each, Precondition)]

    def rules_in_force(self, member: tuple[int, ...]) -> frozenset[str]:
        """Names of the rules that the member has."""
        if member not in self._rules:
            axes = self.axis_values_of(member)
            rules = self._spec.rules.items()
            self._rules[member] = frozenset(name for name, rule in rules if not rule.sometimes or axes[name])
        return self._rules[member]

    @cached_property
    def always_forbidden(self) -> frozenset[str]:
        """Tools, by full id, that every member of the family forbids to everyone."""
        always = [rule for rule in self._spec.rules.values() if rule.kind == "may_not_call" and not rule.sometimes]
        barred = [rule.parameters.get("tools") for rule in always if rule.parameters.get("roles") is None]
        return frozenset(f"{self.slug}.{name}" for tools in barred if isinstance(tools, list) for name in tools)

    def axis_values_of(self, member: tuple[int, ...]) -> dict[str, Any]:
        """The member's value of each axis."""
        return {name: values[at] for (name, values), at in zip(self.axis_values.items(), member, strict=True)}

    def _member(self, member: tuple[int, ...]) -> _Member:
        axes, names = self.axis_values_of(member), self.rules_in_force(member)
        rules = [(name, rule) for name, rule in self._spec.rules.items() if name in names]
        constraints = [self._constraint(index, name, rule, axes) for index, (name, rule) in enumerate(rules)]
        said = {name: _render_value(value) for name, value in axes.items()}
        parsed: list[tuple[str, str, Parameters | str]] = [
            (each.constraint_id, each.kind, parameters_of(each)) for each in constraints
        ]
        policy = SystemPolicy(
            policy_id=f"{self.slug}-{'.'.join(map(str, member))}" if member else self.slug,
            domain=self._name,
            description=self._spec.description,
            rules=[rule.says.format(**said) for _, rule in rules],
            forbidden_operations=self._forbidden(constraints),
            scope_limits=_scope_limits(constraints),
            constraints=constraints,
        )
        return _Member(policy, parsed, policy_bytes(policy))

    def _forbidden(self, constraints: list[Constraint]) -> list[str]:
        """Tools that nobody may call, each once."""
        bars = [each.parameters for each in constraints if each.kind == "may_not_call"]
        barred = [each.get("tools") for each in bars if each.get("roles") is None]
        return list(dict.fromkeys(tool for tools in barred for tool in (self._tools if tools is None else tools)))

    def _constraint(self, index: int, name: str, rule: c.Rule, axes: Mapping[str, Any]) -> Constraint:
        parameters = {key: _fill_axes(value, axes) for key, value in rule.parameters.items()}
        if parameters.get("tools") is not None:
            parameters["tools"] = [f"{self.slug}.{tool}" for tool in parameters["tools"]]
        if "notify" in parameters:
            parameters["notify"] = f"{self.slug}.{parameters['notify']}"
        return Constraint(constraint_id=name, kind=rule.kind, rule=index, parameters=parameters)


def _fill_axes(value: Any, axes: Mapping[str, Any]) -> Any:
    reference = parse_reference(value) if isinstance(value, str) else None
    return axes[str(reference.path[0])] if reference and reference.root == "policy" else value


def _render_value(value: Any) -> str:
    if isinstance(value, list):
        return join_list([_render_value(each) for each in value])
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def _scope_limits(constraints: list[Constraint]) -> dict[str, Any]:
    """The limits that bind everyone at every call, in the short form."""
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
