"""Declared scopes differ from what the calls take and the goal needs."""

from __future__ import annotations

import random
from collections.abc import Callable

from gatling_sid.models import GoldTrace, ScopeMetadata, SensitivityTier

TIERS = list(SensitivityTier)
Change = Callable[[ScopeMetadata], object]


def _tier(steps: int) -> Change:
    """A change that moves the tier up or down; it does not apply beyond the highest and the lowest."""

    def change(scope: ScopeMetadata) -> object:
        at = scope.sensitivity_tier.rank - 1 + steps
        return None if not 0 <= at < len(TIERS) else {"sensitivity_tier": TIERS[at]}

    return change


def _rows(scope: ScopeMetadata, more: int) -> object:
    return {"rows_requested": (scope.rows_requested or 0) + more}


def _days(scope: ScopeMetadata, more: int) -> object:
    days = scope.time_range_days
    if days is None:
        return {"time_range_days": 30} if more > 0 else None
    return {"time_range_days": days + more if days + more > 0 else None}


def _target(scope: ScopeMetadata) -> object:
    return {"export_target": "elsewhere" if scope.export_target is None else None}


CHANGES: dict[tuple[str, str], Change] = {
    ("raise", "rows"): lambda scope: _rows(scope, 1),
    ("lower", "rows"): lambda scope: _rows(scope, -1),
    ("raise", "tier"): _tier(1),
    ("lower", "tier"): _tier(-1),
    ("raise", "days"): lambda scope: _days(scope, 1),
    ("lower", "days"): lambda scope: _days(scope, -1),
    ("change", "target"): _target,
}


def _change_expected_scope(change: Change) -> Callable[[GoldTrace, random.Random], GoldTrace | None]:
    def tamper(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
        update = change(trace.request.expected_scope)
        if not isinstance(update, dict):
            return None
        trace.request.expected_scope = trace.request.expected_scope.model_copy(update=update)
        return trace

    return tamper


def _change_declared_scope(change: Change) -> Callable[[GoldTrace, random.Random], GoldTrace | None]:
    def tamper(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
        calls = [each for each in trace.graph.calls if isinstance(change(each.scope), dict)]
        if not calls:
            return None
        call = rng.choice(calls)
        call.scope = call.scope.model_copy(update=change(call.scope))  # type: ignore[arg-type]
        return trace

    return tamper


SCOPES = {f"{verb}_expected_{part}": _change_expected_scope(change) for (verb, part), change in CHANGES.items()} | {
    f"{verb}_declared_{part}": _change_declared_scope(change) for (verb, part), change in CHANGES.items()
}
