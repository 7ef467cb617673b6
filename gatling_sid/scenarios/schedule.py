"""The scenario, instance, world and wording of the n-th trace of a split, computed from its coordinates alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from gatling_sid.errors import OracleError
from gatling_sid.scenarios.wording_space import wording_capacity
from gatling_sid.schemas.domain import Domain
from gatling_sid.seeding import stream

WORLD_SIZE = 4096
"""Traces that share a world. To populate a world takes as long as to make about 100 traces, so 2 to 3 % of the time with
this number; with a larger one, the same people and rows would appear too often."""
WORDINGS_PER_INSTANCE = 3
"""Requests with the same instance, each worded differently, so that models learn that wording does not change a plan. With
nine, traces are made about 1.4 times as fast, but three in ten of a domain's 80,000 texts, their values masked, are
near-copies."""
SUBSTITUTES = 3
"""Other scenarios that are tried for a request whose scenario has no instance in its world, which is rare."""


def scheduled_scenario(domain: Domain, seed: int, split: str, index: int, substitute: int = 0) -> tuple[str, int]:
    """The scenario of the `index`-th trace of a split, and its wording index, which no other trace of the scenario has.

    A world uses one deck, a list of its scenarios, which is shuffled again for every round. If nothing in the world fits a
    scenario, the request takes a `substitute`: one of the entries that follow in this round, with a wording index that is
    kept for this.

    Raises:
        OracleError: the world has so few scenarios that wording indices would repeat.

    """
    world, place = divmod(index, WORLD_SIZE)
    deck = _deck(domain, world_name(split, index))
    round_, at = divmod(place, len(deck.entries))
    positions = _shuffled_positions(domain, seed, split, world, round_)
    scenario, entry = deck.entries[positions[(at + substitute) % len(positions)]]
    weight, rounds = deck.weights[scenario], _most_rounds(domain)
    if round_ >= rounds:
        raise OracleError(
            f"{world_name(split, index)} of {domain.slug} has {len(deck.entries)} scenarios only, less than half as many as "
            "train-0; write more parts"
        )
    turn = world * rounds + round_
    if substitute:
        turn = _first_turn_of_substitutes(domain, scenario, split, weight)
        turn += (world * SUBSTITUTES + substitute - 1) * rounds + round_
    return scenario, turn * weight + entry


def _first_turn_of_substitutes(domain: Domain, scenario: str, split: str, weight: int) -> int:
    """The first turn that is kept for substitutes, which are few, so that the others have the first wordings."""
    return wording_capacity(domain, scenario, split) // weight // (1 + SUBSTITUTES)


class _Deck(NamedTuple):
    """(scenario, its number among the entries of that scenario); and how many entries a scenario has."""

    entries: list[tuple[str, int]]
    weights: Mapping[str, int]


@lru_cache(maxsize=64)
def _deck(domain: Domain, world: str) -> _Deck:
    weights = domain.scenarios_of(world).weights
    return _Deck([(name, entry) for name, weight in weights.items() for entry in range(weight)], weights)


@lru_cache(maxsize=64)
def _most_rounds(domain: Domain) -> int:
    """The rounds that are counted for each world: a multiple of WORDINGS_PER_INSTANCE, and never less than a world has.

    Decks of composed tasks differ in length, so twice the rounds of one of them are counted.
    """
    rounds = -(-WORLD_SIZE // len(_deck(domain, "train-0").entries))
    return -(-rounds * (2 if domain.file.parts else 1) // WORDINGS_PER_INSTANCE) * WORDINGS_PER_INSTANCE


@lru_cache(maxsize=64)
def _shuffled_positions(domain: Domain, seed: int, split: str, world: int, round_: int) -> list[int]:
    """The order in which the entries of a world's deck are asked for in one round."""
    positions = list(range(len(_deck(domain, f"{split}-{world}").entries)))
    stream(seed, domain.slug, split, "schedule", world, round_).shuffle(positions)
    return positions


def world_name(split: str, index: int) -> str:
    """The world of a trace: `train-3`."""
    return f"{split}-{index // WORLD_SIZE}"


def instance_of_wording(wording_index: int) -> int:
    """The number of the instance that a scenario's request with this wording index has.

    Rounds of a world are counted up to a multiple of WORDINGS_PER_INSTANCE, so that a world begins with a new instance. A
    deck lies between two wordings of an instance, so that a training batch rarely has both.
    """
    return wording_index // WORDINGS_PER_INSTANCE


def split_capacity(domain: Domain, split: str) -> int:
    """How many traces a split can have before a scenario would have to repeat a wording, or a somewhat lower number."""
    deck = _deck(domain, "train-0")
    shortest = len(deck.entries) // (2 if domain.file.parts else 1)
    capacity = []
    for name, weight in deck.weights.items():
        turns = _first_turn_of_substitutes(domain, name, split, weight)
        worlds, rounds = divmod(turns, _most_rounds(domain))
        capacity.append(worlds * WORLD_SIZE + min(WORLD_SIZE, rounds * shortest))
    return min(capacity)
