"""The values of the policy's axes under which a role may make a call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gatling_sid.models import SensitivityTier, TrustTier
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.composition.rules import axis_of, rules_binding

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

Givens = dict[str, list[Any]]
"""Values by axis; a rule that is in force only sometimes is an axis too. An axis that does not matter is left out."""


@lru_cache(maxsize=16384)
def givens_for(
    domain: Domain,
    role: str,
    tool: str,
    shown: tuple[str, ...] = (),
    others: tuple[str, ...] = (),
    choices: tuple[tuple[str, Any], ...] = (),
    taken: tuple[tuple[str, str, str], ...] = (),
    without: str | None = None,
) -> Givens | None:
    """The values of axes under which a role may call a tool; None if there are none.

    The call shows the fields `shown`; it filters by, writes or measures the `others`, and has the arguments `choices`.
    `taken` are (argument, entity, field) of arguments that are taken from rows. The rule `without` is left out.
    """
    givens: Givens = {}
    for name, rule in rules_binding(domain, role, tool):
        if name == without:
            continue
        for axis, is_allowed in demands_of_rule(domain, name, rule, tool, shown, choices, taken, others):
            values = domain.family.axis_values.get(axis, [True])
            allowed = [value for value in givens.get(axis, values) if is_allowed(value)]
            givens[axis] = allowed
            if not allowed:
                return None
    sizes = {axis: len(values) for axis, values in domain.family.axis_values.items()}
    return {axis: values for axis, values in givens.items() if len(values) < sizes.get(axis, 0)}


def demands_of_rule(
    domain: Domain,
    name: str,
    rule: c.Rule,
    tool: str,
    shown: tuple[str, ...],
    choices: tuple[tuple[str, Any], ...],
    taken: tuple[tuple[str, str, str], ...],
    others: tuple[str, ...] = (),
) -> Iterator[tuple[str, Any]]:
    """Yields (axis, test of a value of the axis) of a rule that a call must keep; see `givens_for` for the call."""
    spec = domain.file.tools[tool]
    tier = domain.highest_tier(spec.entity, (*shown, *others))
    yield from _demands(name, rule, spec, tool, tier, len(shown), dict(choices))
    yield from _demands_of_sources(domain, name, rule, taken)


def _demands(
    name: str,
    rule: c.Rule,
    tool: c.Tool,
    name_of_tool: str,
    tier: SensitivityTier,
    fields: int,
    choices: dict[str, Any],
) -> Iterator[tuple[str, Any]]:
    """Yields (axis, test of a value of the axis) of a rule that a call must keep."""
    given = rule.parameters
    target = next((argument for argument, each in tool.parameters.items() if each.does == "target"), "")
    match rule.kind:
        case "may_not_call":
            axis = axis_of(given.get("tools"))
            if axis is None:
                yield name, lambda value: value is False
            else:
                yield axis, lambda value: name_of_tool not in value
        case "sensitivity_ceiling" if given.get("entity") in (None, tool.entity):
            yield _test(name, given["max_tier"], lambda value: tier.rank <= SensitivityTier(value).rank)
        case "field_limit" if fields:
            yield _test(name, given["max_fields"], lambda value: fields <= value)
        case "argument_values" if given["argument"] in choices:
            yield _test(name, given["allowed"], lambda value: choices[given["argument"]] in value)
        case "export_targets" if target in choices:
            yield _test(name, given["allowed"], lambda value: choices[target] in value)
        case "argument_max" if isinstance(choices.get(given["argument"]), (int, float)):
            yield _test(name, given["max_value"], lambda value: choices[given["argument"]] <= value)


def _demands_of_sources(
    domain: Domain, name: str, rule: c.Rule, taken: tuple[tuple[str, str, str], ...]
) -> Iterator[tuple[str, Any]]:
    """Yields (axis, test of a value of the axis) of a rule about where arguments may come from."""
    given = rule.parameters
    for argument, entity, field in taken:
        if rule.kind == "trusted_source" and argument in given["arguments"]:
            tier = domain.least_trust(entity, field)
            yield _test(name, given["least"], lambda value, tier=tier: TrustTier(value).is_at_most(tier))
        if rule.kind == "system_of_record" and argument == given["argument"]:
            record = domain.original_field(given["entity"], given["field"])
            if domain.original_field(entity, field) != record:
                yield name, lambda value: value is False


def _test(name: str, value: Any, is_allowed: Any) -> tuple[str, Any]:
    """The axis that a parameter names with the test of its values; for a fixed value, the rule itself as axis."""
    axis = axis_of(value)
    if axis is not None:
        return axis, is_allowed
    return name, lambda in_force: in_force is False or is_allowed(value)


def merge_givens(found: Iterable[Givens | None]) -> tuple[tuple[str, tuple[Any, ...]], ...] | None:
    """The values under which all calls are allowed; None if there are none."""
    merged: Givens = {}
    for each in found:
        if each is None:
            return None
        for axis, values in each.items():
            merged[axis] = [value for value in merged.get(axis, values) if value in values]
            if not merged[axis]:
                return None
    return tuple((axis, tuple(values)) for axis, values in merged.items())
