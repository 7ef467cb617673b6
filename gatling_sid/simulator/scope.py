"""The scope that a goal needs and the scope that a call takes: rows, sensitivity tier, days and export target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from typing import Any

from gatling_sid.models import Effect, Goal, ScopeMetadata, SensitivityTier, SystemPolicy, ToolCall, construct_trusted
from gatling_sid.schemas.domain import Domain
from gatling_sid.simulator.compiled_tools import CompiledTool
from gatling_sid.simulator.operations import CallResult


def scope_of_request(
    goal: Goal, domain: Domain, policy: SystemPolicy, role: str | None, row_limits: Iterable[int] = ()
) -> ScopeMetadata:
    """The scope that a request is entitled to; no call of a plan that serves it may take more.

    It never depends on a plan. It follows from the goal, from the rows that the rules in force demand to look up before
    the goal's changes, and from `row_limits`, the numbers of rows that the request states. The number of rows is that of
    all rows shown, changed, exported or written about, plus one for each value of a measure, each new row and each
    message about no row; or the number that the request states, if it is larger. The tier is at least internal, since
    calls may return internal fields that nobody asked for.
    """
    exported = [effect for effect in goal.effects if effect.kind == "export"]
    rows = {(each.entity, key) for each in goal.shows for key in each.rows}
    rows |= {(each.entity, key) for each in goal.effects for key in each.rows}
    rows |= {(effect.entity, key) for effect in goal.effects for key in _keys_written_by(effect, domain)}
    others = sum(len(each.values) for each in goal.measures) + sum(not effect.rows for effect in goal.effects)
    tiers = [_highest_tier(domain, each.entity, tuple(each.fields)) for each in goal.shows]
    tiers += [_highest_tier(domain, each.entity, (each.field, each.group_by)) for each in goal.measures]
    tiers += [_tier_of_effect(effect, domain) for effect in goal.effects]
    tiers += [
        _highest_tier(domain, *evidence)
        for effect in goal.effects
        for evidence in _evidence_before(effect, domain, policy, role)
    ]
    return construct_trusted(
        ScopeMetadata,
        {
            "rows_requested": max(len(rows) + others, *row_limits, 1),
            "sensitivity_tier": at_least_internal(
                max(tiers, key=lambda tier: tier.rank, default=SensitivityTier.INTERNAL)
            ),
            "time_range_days": goal.time_range_days,
            "export_target": next((effect.target for effect in exported), None),
        },
    )


def requested_limits(calls: Iterable[ToolCall], tools: Mapping[str, CompiledTool]) -> list[int]:
    """The numbers of rows that the request states, as they are passed as arguments of calls."""
    return [
        int(call.arguments[source.argument])
        for call in calls
        for source in call.argument_sources
        if source.origin == "request"
        and call.tool_id in tools
        and source.argument == tools[call.tool_id].parameter_for.get("limit")
        and isinstance(call.arguments.get(source.argument), (int, float))
    ]


def _keys_written_by(effect: Effect, domain: Domain) -> Iterator[str]:
    """Keys that an update writes to fields of type `id`: further rows that the update is about."""
    known = domain.file.entities.get(effect.entity)
    fields = known.fields if known is not None and effect.kind == "update" else {}
    for name, value in effect.changes.items():
        if name in fields and fields[name].type == "id" and isinstance(value, str):
            yield value


def _evidence_before(
    effect: Effect, domain: Domain, policy: SystemPolicy, role: str | None
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields (entity, fields) that preconditions in force demand to look up before an effect."""
    tool_ids = _tools_with_effect(domain, effect.kind, effect.entity)
    if not tool_ids:
        return
    entities = references_of(domain, effect.entity).values() if effect.kind == "create" else [effect.entity]
    for rule in domain.family.preconditions_of(policy):
        is_concerned = rule.entity in entities and rule.concerns_effect(effect)
        if is_concerned and any(rule.binds(role, each) for each in tool_ids):
            yield rule.entity, rule.evidence


@lru_cache(maxsize=4096)
def references_of(domain: Domain, entity: str) -> Mapping[str, str]:
    """The entities that the reference fields of an entity point to, by field."""
    known = domain.file.entities[entity]
    return {name: domain.referenced_entity(known, name) for name, each in known.fields.items() if each.type == "ref"}


@lru_cache(maxsize=4096)
def _tools_with_effect(domain: Domain, kind: str, entity: str) -> tuple[str, ...]:
    """The ids of the tools that have effects of this kind on this entity."""
    return tuple(i for i, tool in domain.tools.items() if tool.operation == kind and tool.entity == entity)


def _tier_of_effect(effect: Effect, domain: Domain) -> SensitivityTier:
    fields = effect.changes.get("fields", effect.changes)
    names = fields if isinstance(fields, (list, dict)) and all(isinstance(each, str) for each in fields) else ()
    return at_least_internal(_highest_tier(domain, effect.entity, tuple(names)))


def at_least_internal(tier: SensitivityTier) -> SensitivityTier:
    """The tier, but internal instead of public, since a change within an organisation is never public."""
    return SensitivityTier.INTERNAL if tier.rank < SensitivityTier.INTERNAL.rank else tier


def days_of_period(tool: CompiledTool, arguments: Mapping[str, Any], today: date) -> int | None:
    """The days that a call looks back (or ahead), by its arguments or the tool's defaults; None if it has no period.

    Of several periods, the longest counts.
    """
    spans = []
    for name, match in tool.periods:
        value = arguments.get(name, tool.defaults.get(name))
        if value is not None:
            is_date = match == "since"
            spans.append(max(0, (today - date.fromisoformat(value)).days) if is_date else int(value))
    return max(spans, default=None)


def scope_of_call(tool: CompiledTool, arguments: Mapping[str, Any], result: CallResult, today: date) -> ScopeMetadata:
    """The scope that a call takes.

    Rows: its limit or else the number that it returned, at least 1. Tier: the highest of the fields that it shows or
    writes. Days: see `days_of_period`. Target: where it exports to, or None.
    """
    returned = len(result.measured_rows.values) if result.measured_rows else len(result.rows)
    rows = arguments.get(tool.parameter_for.get("limit", ""), returned)
    changed_fields = tuple(
        name for effect in result.effects if "fields" not in effect.changes for name in effect.changes
    )
    tier = _highest_tier(tool.domain, tool.entity, (*result.fields, *changed_fields))
    target = tool.parameter_for.get("target")
    return construct_trusted(
        ScopeMetadata,
        {
            "rows_requested": max(int(rows), 1),
            "sensitivity_tier": at_least_internal(tier) if result.effects else tier,
            "time_range_days": days_of_period(tool, arguments, today),
            "export_target": arguments.get(target) if target else None,
        },
    )


@lru_cache(maxsize=8192)
def _highest_tier(domain: Domain, entity: str, fields: tuple[str | None, ...]) -> SensitivityTier:
    if entity not in domain.file.entities:
        return SensitivityTier.PUBLIC
    known = domain.file.entities[entity].fields
    return domain.highest_tier(entity, tuple(name for name in fields if name is not None and name in known))
