"""The scenario, instance, world and wording of the n-th trace of a split, computed from its coordinates alone."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from gatling_sid.scenarios.wording_space import wording_capacity
from gatling_sid.schemas.domain import Domain
from gatling_sid.seeding import stream

WORLD_SIZE = 4096
"""Traces that share a world. To populate a world takes as long as to make about 100 traces, so 2 to 3 % of the time with
this number; with a larger one, the same people and rows would appear too often."""
WORDINGS_PER_INSTANCE = 6
"""Requests with the same instance, each worded differently, so that models learn that wording does not change a plan."""
_WORDING_DISTANCE = 2
"""Distance, in requests of the scenario, between two wordings of an instance, so that a training batch rarely has both."""
_ROUNDS_IN_STEPS_OF = WORDINGS_PER_INSTANCE * _WORDING_DISTANCE
"""Rounds of a world are counted up to a multiple of this, so that a world begins with new instances."""
SUBSTITUTES = 3
"""Other scenarios that are tried for a request whose scenario has no instance in its world, which is rare."""


def scheduled_scenario(domain: Domain, seed: int, split: str, index: int, substitute: int = 0) -> tuple[str, int]:
    """The scenario of the `index`-th trace of a split, and its wording index, which no other trace of the scenario has.

    A world uses one deck, a list of scenarios, which is shuffled again for every round. If nothing in the world fits a
    scenario, the request takes a `substitute`: the first, second or third entry that follows in the deck, with a wording
    index that is kept for this.
    """
    world, place = divmod(index, WORLD_SIZE)
    deck = _deck(domain, world % domain.scenarios.number_of_decks)
    round_, at = divmod(place, len(deck.entries))
    position = _shuffled_positions(domain, seed, split, world, round_)[at]
    scenario, entry = deck.entries[(position + substitute) % len(deck.entries)]
    earlier_worlds = world // domain.scenarios.number_of_decks
    turn = (earlier_worlds * (1 + SUBSTITUTES) + substitute) * deck.rounds + round_
    return scenario, turn * deck.weights[scenario] + entry


class _Deck(NamedTuple):
    """(scenario, its number among the entries of that scenario); how many there are; the rounds that a world counts."""

    entries: list[tuple[str, int]]
    weights: dict[str, int]
    rounds: int


@lru_cache(maxsize=64)
def _deck(domain: Domain, number: int) -> _Deck:
    weights = domain.scenarios.weights(number)
    entries = [(name, entry) for name, weight in weights.items() for entry in range(weight)]
    rounds = -(-WORLD_SIZE // len(entries))
    return _Deck(entries, weights, -(-rounds // _ROUNDS_IN_STEPS_OF) * _ROUNDS_IN_STEPS_OF)


@lru_cache(maxsize=64)
def _shuffled_positions(domain: Domain, seed: int, split: str, world: int, round_: int) -> list[int]:
    """The order in which the entries of a world's deck are asked for in one round."""
    positions = list(range(len(_deck(domain, world % domain.scenarios.number_of_decks).entries)))
    stream(seed, domain.slug, split, "schedule", world, round_).shuffle(positions)
    return positions


def world_name(split: str, index: int) -> str:
    """The world of a trace: `train-3`."""
    return f"{split}-{index // WORLD_SIZE}"


def instance_of_wording(wording_index: int) -> int:
    """The number of the instance that a scenario's request with this wording index has.

    Each instance has WORDINGS_PER_INSTANCE requests; the instances of a group of _WORDING_DISTANCE take turns.
    """
    group, place = divmod(wording_index, WORDINGS_PER_INSTANCE * _WORDING_DISTANCE)
    return group * _WORDING_DISTANCE + place % _WORDING_DISTANCE


def split_capacity(domain: Domain, split: str) -> int:
    """How many traces a split can have before a scenario would have to repeat a wording."""
    deck = _deck(domain, 0)
    turns = min(wording_capacity(domain, name, split) // weight for name, weight in deck.weights.items())
    worlds, rest = divmod(turns, (1 + SUBSTITUTES) * deck.rounds)
    return worlds * domain.scenarios.number_of_decks * WORLD_SIZE + min(WORLD_SIZE, max(0, rest - SUBSTITUTES * deck.rounds) * len(deck.entries))
