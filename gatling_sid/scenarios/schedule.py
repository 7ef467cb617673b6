"""The scenario, instance, world and wording of the n-th trace of a split, computed from its coordinates alone."""

from __future__ import annotations

from functools import lru_cache

from gatling_sid.scenarios.wording_space import wording_space_of
from gatling_sid.schemas.domain import Domain
from gatling_sid.seeding import stream

WORLD_SIZE = 4096
"""Traces that share a world. To populate a world takes as long as to make about 100 traces, so 2 to 3 % of the time with
this number; with a larger one, the same people and rows would appear too often."""
WORDINGS_PER_INSTANCE = 9
"""Requests with the same instance, each worded differently, so that models learn that wording does not change a plan."""
_WORDING_DISTANCE = 5
"""Distance, in requests of the scenario, between two wordings of an instance, so that a training batch rarely has both."""


def scheduled_scenario(domain: Domain, seed: int, split: str, index: int) -> tuple[str, int]:
    """The scenario of the `index`-th trace of a split, and how many earlier traces of the split have the same.

    The schedule is a list that contains each scenario as often as its weight says; it is shuffled again for every round.
    """
    round_, place = divmod(index, _schedule_length(domain))
    scenario, rank, weight = _shuffled_schedule(domain, seed, split, round_)[place]
    return scenario, round_ * weight + rank


@lru_cache(maxsize=256)
def _schedule_length(domain: Domain) -> int:
    return sum(each.weight for each in domain.file.scenarios.values())


@lru_cache(maxsize=256)
def _shuffled_schedule(domain: Domain, seed: int, split: str, round_: int) -> list[tuple[str, int, int]]:
    """One round: (scenario, its rank among the entries of that scenario, its weight)."""
    entries = [(name, rank, s.weight) for name, s in domain.file.scenarios.items() for rank in range(s.weight)]
    stream(seed, domain.slug, split, "schedule", round_).shuffle(entries)
    return entries


def world_name(split: str, index: int, fallback: int) -> str:
    """The world of a trace, `train-3`, or the fallback world of that number, `train-3.1`; fallback 0 is none."""
    return f"{split}-{index // WORLD_SIZE}" + (f".{fallback}" if fallback else "")


def instance_of_wording(wording_index: int) -> int:
    """The number of the instance that a scenario's request with this wording index has.

    Each instance has WORDINGS_PER_INSTANCE requests; the instances of a group of _WORDING_DISTANCE take turns.
    """
    group, place = divmod(wording_index, WORDINGS_PER_INSTANCE * _WORDING_DISTANCE)
    return group * _WORDING_DISTANCE + place % _WORDING_DISTANCE


def split_capacity(domain: Domain, split: str) -> int:
    """How many traces a split can have before a scenario would have to repeat a wording."""
    rounds = min(
        wording_space_of(domain, name, split).capacity() // scenario.weight
        for name, scenario in domain.file.scenarios.items()
    )
    return rounds * _schedule_length(domain)
