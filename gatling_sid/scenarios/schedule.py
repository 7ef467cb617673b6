"""Which scenario, case, world and wording the n-th trace of a split gets: a function of its coordinates alone."""

from __future__ import annotations

from functools import lru_cache

from gatling_sid.scenarios.rendering import wording_space_of
from gatling_sid.schemas.domain import Domain
from gatling_sid.seeding import stream

WORLD_SIZE = 4096
"""Traces that share a world; the next ones live in another, with other people and records."""
WORDINGS_PER_INSTANCE = 9
"""How often a case (who asks for what under which policy, and the plan) is put into words, each time in others."""
_WORDING_DISTANCE = 5
"""Wordings of a case are this many uses of the scenario apart, so that a batch seldom holds two."""


def scheduled_scenario(domain: Domain, seed: int, split: str, index: int) -> tuple[str, int]:
    """The scenario of the `index`-th trace, and how often it came before in this split.

    Scenarios are dealt from a deck that holds each as often as its weight, shuffled anew for every round.
    """
    round_, place = divmod(index, _schedule_length(domain))
    scenario, rank, weight = _shuffled_schedule(domain, seed, split, round_)[place]
    return scenario, round_ * weight + rank


@lru_cache(maxsize=256)
def _schedule_length(domain: Domain) -> int:
    return sum(each.weight for each in domain.file.scenarios.values())


@lru_cache(maxsize=256)
def _shuffled_schedule(domain: Domain, seed: int, split: str, round_: int) -> list[tuple[str, int, int]]:
    cards = [(name, rank, s.weight) for name, s in domain.file.scenarios.items() for rank in range(s.weight)]
    stream(domain.digest, seed, domain.slug, split, "deck", round_).shuffle(cards)
    return cards


def world_name(split: str, index: int, fallback: int) -> str:
    """The world a trace plays in, or a spare one where that holds nothing that fits: `train-3`, `train-3.1`."""
    return f"{split}-{index // WORLD_SIZE}" + (f".{fallback}" if fallback else "")


def instance_of_variant(variant_index: int) -> int:
    """The case that the `use`-th request of a scenario puts into words; every case has `WORDINGS` uses."""
    group, place = divmod(variant_index, WORDINGS_PER_INSTANCE * _WORDING_DISTANCE)
    return group * _WORDING_DISTANCE + place % _WORDING_DISTANCE


def capacity(domain: Domain, split: str) -> int:
    """How many traces a split can hold before a scenario would have to repeat its words."""
    rounds = min(
        wording_space_of(domain, name, split).capacity() // scenario.weight
        for name, scenario in domain.file.scenarios.items()
    )
    return rounds * _schedule_length(domain)
