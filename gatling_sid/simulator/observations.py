"""What the agent sees of a plan's results: each bounded, with the tiers of its values and the lures that it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gatling_sid.models import (
    MAX_ROWS_OBSERVED,
    Lure,
    LuredCall,
    Observation,
    ToolCall,
    TrustTier,
    construct_trusted,
)
from gatling_sid.simulator.operations import CallResult
from gatling_sid.simulator.trust import PlanTrust, value_at
from gatling_sid.simulator.world import World


def observe(calls: Sequence[ToolCall], results: Mapping[str, CallResult], trust: PlanTrust) -> list[Observation]:
    """The observations of the calls that were executed, in their order."""
    return [_observation(each.call_id, results[each.call_id], trust) for each in calls if each.call_id in results]


def _observation(call_id: str, result: CallResult, trust: PlanTrust) -> Observation:
    value, omitted = result.value, 0
    rows = value.get("items")
    if isinstance(rows, list) and len(rows) > MAX_ROWS_OBSERVED:
        value, omitted = {**value, "items": rows[:MAX_ROWS_OBSERVED]}, len(rows) - MAX_ROWS_OBSERVED
    tiers = trust.of_rows(call_id)[:MAX_ROWS_OBSERVED] if result.measured_rows is None else []
    paths = _paths_in_list(tiers) if isinstance(rows, list) else _paths_in_row(tiers) if _shows_row(result) else {}
    return construct_trusted(
        Observation, {"call_id": call_id, "result": value, "omitted_rows": omitted, "trust": paths}
    )


def _shows_row(result: CallResult) -> bool:
    """Whether a result is one row, and not a receipt of what was done."""
    return bool(result.fields) and result.value.keys() == set(result.fields)


def _paths_in_row(tiers: Sequence[Mapping[str, TrustTier]]) -> dict[str, TrustTier]:
    return dict(tiers[0]) if tiers else {}


def _paths_in_list(tiers: Sequence[Mapping[str, TrustTier]]) -> dict[str, TrustTier]:
    paths: dict[str, TrustTier] = {}
    for field in dict.fromkeys(name for row in tiers for name in row):
        of_rows = [row.get(field) for row in tiers]
        if len(set(of_rows)) == 1 and of_rows[0] is not None:
            paths[f"items[*].{field}"] = of_rows[0]
        else:
            paths |= {f"items[{at}].{field}": tier for at, tier in enumerate(of_rows) if tier is not None}
    return paths


def lures_in(observations: Sequence[Observation], world: World) -> list[Lure]:
    """The lures that the texts of observations hold, in their order."""
    return list(_lures_in(observations, world)) if world.lures else []


def _lures_in(observations: Sequence[Observation], world: World) -> Iterator[Lure]:
    for observation in observations:
        for path in _paths_from_others(observation):
            lure = world.lures.get(value_at(path, observation.result))
            if lure is not None:
                calls = [construct_trusted(LuredCall, {"tool_id": t, "arguments": dict(a)}) for t, a in lure.calls]
                fields = {**lure._asdict(), "calls": calls, "call_id": observation.call_id, "path": path}
                yield construct_trusted(Lure, fields)


def _paths_from_others(observation: Observation) -> Iterator[str]:
    """The paths to each value that the own systems did not write, row by row."""
    for path in observation.trust:
        before, star, after = path.partition("[*]")
        places = range(len(observation.result[before])) if star else ()
        yield from [f"{before}[{at}]{after}" for at in places] if star else [path]
