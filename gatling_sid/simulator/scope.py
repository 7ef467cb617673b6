"""How much a goal needs and how much a call takes, in the same four measures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from typing import Any

from gatling_sid.models import Effect, Goal, ScopeMetadata, SensitivityTier, SystemPolicy, ToolCall, construct_trusted
from gatling_sid.schemas.domain import Domain
from gatling_sid.simulator.operations import CallResult, CompiledTool


def scope_of_request(
    goal: Goal, domain: Domain, policy: SystemPolicy, role: str | None, said_limits: Iterable[int] = ()
) -> ScopeMetadata:
    """The scope a request is entitled to, reads on the way included: it bounds every call of a plan that serves it.

    It follows from the goal, from what the rules in force have looked up before its changes, and from the numbers of
    rows that the request itself names, never from a plan. Rows: those shown, changed, exported or told of, plus one
    for each figure, new record and message about none; or the number named, if that is more.
    """
    exported = [effect for effect in goal.effects if effect.kind == "export"]
    rows = {(each.entity, key) for each in goal.shows for key in each.rows}
    rows |= {(each.entity, key) for each in goal.effects for key in each.rows}
    rows |= {(effect.entity, key) for effect in goal.effects for key in _named(effect, domain)}
    others = sum(len(each.values) for each in goal.measures) + sum(not effect.rows for effect in goal.effects)
    tiers = [_tier(domain, each.entity, tuple(each.fields)) for each in goal.shows]
    tiers += [_tier(domain, each.entity, (each.field, each.group_by)) for each in goal.measures]
    tiers += [_effect_tier(effect, domain) for effect in goal.effects]
    tiers += [
        _tier(domain, *evidence) for effect in goal.effects for evidence in _evidence(effect, domain, policy, role)
    ]
    return construct_trusted(
        ScopeMetadata,
        {
            "rows_requested": max(len(rows) + others, *said_limits, 1),
            "sensitivity_tier": max(tiers, key=lambda tier: tier.level, default=SensitivityTier.INTERNAL),
            "time_range_days": goal.time_range_days,
            "export_target": next((effect.target for effect in exported), None),
        },
    )


def requested_limits(calls: Iterable[ToolCall], tools: Mapping[str, CompiledTool]) -> list[int]:
    """The numbers of rows that the request itself names for calls."""
    return [
        int(call.arguments[source.argument])
        for call in calls
        for source in call.argument_sources
        if source.origin == "request"
        and call.tool_id in tools
        and source.argument == tools[call.tool_id].by_role.get("limit")
        and isinstance(call.arguments.get(source.argument), (int, float))
    ]


def _named(effect: Effect, domain: Domain) -> Iterator[str]:
    """Further records of its entity that an update names: what it writes into fields that hold a number of one."""
    known = domain.file.entities.get(effect.entity)
    fields = known.fields if known is not None and effect.kind == "update" else {}
    for name, value in effect.changes.items():
        if name in fields and fields[name].type == "id" and isinstance(value, str):
            yield value


def _evidence(
    effect: Effect, domain: Domain, policy: SystemPolicy, role: str | None
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(entity, fields) that rules in force have looked up before an effect comes to be."""
    makers = _makers(domain, effect.kind, effect.entity)
    for rule in domain.family.preconditions_of(policy) if makers else ():
        if rule.entity == effect.entity and any(rule.binds(role, each) for each in makers):
            yield rule.entity, rule.evidence


@lru_cache(maxsize=4096)
def _makers(domain: Domain, kind: str, entity: str) -> tuple[str, ...]:
    """The tools that bring about such an effect."""
    return tuple(i for i, tool in domain.tools.items() if tool.operation == kind and tool.entity == entity)


def _effect_tier(effect: Effect, domain: Domain) -> SensitivityTier:
    fields = effect.changes.get("fields", effect.changes)
    names = fields if isinstance(fields, (list, dict)) and all(isinstance(each, str) for each in fields) else ()
    return at_least_internal(_tier(domain, effect.entity, tuple(names)))


def at_least_internal(tier: SensitivityTier) -> SensitivityTier:
    """Anything done inside an organisation is internal at least."""
    return SensitivityTier.INTERNAL if tier.level < SensitivityTier.INTERNAL.level else tier


def days_of_period(tool: CompiledTool, arguments: Mapping[str, Any], today: date) -> int | None:
    """How many days a call looks back (or ahead), by its arguments or the tool's defaults; None if neither says."""
    spans = []
    for name, match in tool.periods:
        value = arguments.get(name, tool.defaults.get(name))
        if value is not None:
            is_date = match == "since"
            spans.append(max(0, (today - date.fromisoformat(value)).days) if is_date else int(value))
    return max(spans, default=None)


def scope_of_call(tool: CompiledTool, arguments: Mapping[str, Any], outcome: CallResult, today: date) -> ScopeMetadata:
    """The scope a call takes: rows it asks for or else returns, the highest tier it shows or writes, days, target."""
    returned = len(outcome.measured.values) if outcome.measured else len(outcome.rows)
    rows = arguments.get(tool.by_role.get("limit", ""), returned)
    written = tuple(name for effect in outcome.effects if "fields" not in effect.changes for name in effect.changes)
    tier = _tier(tool.domain, tool.entity, (*outcome.fields, *written))
    target = tool.by_role.get("target")
    return construct_trusted(
        ScopeMetadata,
        {
            "rows_requested": max(int(rows), 1),
            "sensitivity_tier": at_least_internal(tier) if outcome.effects else tier,
            "time_range_days": days_of_period(tool, arguments, today),
            "export_target": arguments.get(target) if target else None,
        },
    )


@lru_cache(maxsize=8192)
def _tier(domain: Domain, entity: str, fields: tuple[str | None, ...]) -> SensitivityTier:
    if entity not in domain.file.entities:
        return SensitivityTier.PUBLIC
    known = domain.file.entities[entity].fields
    return domain.highest_tier(entity, tuple(name for name in fields if name is not None and name in known))
