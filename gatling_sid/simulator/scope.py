"""How much a goal needs and how much a call takes, in the same four measures."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any

from gatling_sid.models import Effect, Goal, ScopeMetadata, SensitivityTier, trusted
from gatling_sid.schemas.domain import Domain
from gatling_sid.simulator.operations import CompiledTool, Outcome


def scope_of_goal(goal: Goal, domain: Domain) -> ScopeMetadata:
    """The scope a request is entitled to: from its goal alone, never from a plan.

    Rows are those shown or exported plus one per figure, or, if there are none, those changed; at least 1.
    """
    seen = {(each.entity, key) for each in goal.shows for key in each.rows}
    exported = [effect for effect in goal.effects if effect.kind == "export"]
    seen |= {(effect.entity, key) for effect in exported for key in effect.rows}
    figures = sum(len(each.values) for each in goal.measures)
    changed = sum(len(effect.rows) or 1 for effect in goal.effects if effect.kind != "export")
    tiers = [_tier(domain, each.entity, tuple(each.fields)) for each in goal.shows]
    tiers += [_tier(domain, each.entity, (each.field, each.group_by)) for each in goal.measures]
    tiers += [_effect_tier(effect, domain) for effect in goal.effects]
    return trusted(
        ScopeMetadata,
        {
            "rows_requested": len(seen) + figures or max(changed, 1),
            "sensitivity_tier": max(tiers, key=lambda tier: tier.level, default=SensitivityTier.INTERNAL),
            "time_range_days": goal.time_range_days,
            "export_target": next((effect.target for effect in exported), None),
        },
    )


def _effect_tier(effect: Effect, domain: Domain) -> SensitivityTier:
    return at_least_internal(_tier(domain, effect.entity, tuple(effect.changes.get("fields", effect.changes))))


def at_least_internal(tier: SensitivityTier) -> SensitivityTier:
    """Anything done inside an organisation is internal at least."""
    return SensitivityTier.INTERNAL if tier.level < SensitivityTier.INTERNAL.level else tier


def days_asked(tool: CompiledTool, arguments: Mapping[str, Any], today: date) -> int | None:
    """How many days a call looks back (or ahead), by its arguments or the tool's defaults; None if neither says."""
    arguments = {**tool.defaults, **arguments} if tool.defaults else arguments
    spans = []
    for name, _, match in tool.filters:
        if name in arguments:
            if match in ("within_days", "next_days"):
                spans.append(int(arguments[name]))
            elif match == "since":
                spans.append(max(0, (today - date.fromisoformat(arguments[name])).days))
    return max(spans, default=None)


def scope_of_call(tool: CompiledTool, arguments: Mapping[str, Any], outcome: Outcome, today: date) -> ScopeMetadata:
    """The scope a call takes: rows it asks for or else returns, the highest tier it shows or writes, days, target."""
    returned = len(outcome.figure.values) if outcome.figure else len(outcome.rows)
    rows = arguments.get(tool.by_role.get("limit", ""), returned)
    written = tuple(name for effect in outcome.effects if "fields" not in effect.changes for name in effect.changes)
    tier = _tier(tool.domain, tool.entity, (*outcome.fields, *written))
    target = tool.by_role.get("target")
    return trusted(
        ScopeMetadata,
        {
            "rows_requested": max(int(rows), 1),
            "sensitivity_tier": at_least_internal(tier) if outcome.effects else tier,
            "time_range_days": days_asked(tool, arguments, today),
            "export_target": arguments.get(target) if target else None,
        },
    )


@lru_cache(maxsize=8192)
def _tier(domain: Domain, entity: str, fields: tuple[str | None, ...]) -> SensitivityTier:
    if entity not in domain.file.entities:
        return SensitivityTier.PUBLIC
    known = domain.file.entities[entity].fields
    return domain.highest(entity, [name for name in fields if name is not None and name in known])
