"""What is asked at an index: scenario, world, case and words, worked out from a trace's coordinates.

The oracle plans what is asked here; the validator works it out again, so that no trace can claim other words, another
goal or another person than its coordinates give.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, time
from functools import lru_cache
from typing import NamedTuple

from gatling_sid.scenarios.instances import TaskInstance, instance_at
from gatling_sid.scenarios.rendering import Said, Span, say
from gatling_sid.scenarios.schedule import case_of, dealt, world_name
from gatling_sid.schemas.domain import SPLITS, Domain
from gatling_sid.seeding import stream
from gatling_sid.simulator.world import World, world_of

SPARE_WORLDS = 8
"""Further worlds a case is looked for in, where a trace's own holds nothing that fits."""


class Asking(NamedTuple):
    """A request as its coordinates give it: `moment` is when it is made, on the world's day."""

    scenario: str
    case: int
    world: World
    instance: TaskInstance
    said: Said
    sentence_ends: tuple[int, ...]
    moment: datetime


@lru_cache(maxsize=8192)
def asking_at(domain: Domain, seed: int, split: str, index: int, attempt: int) -> Asking | None:
    """What the `index`-th trace of a split asks at an attempt, or None where no world holds a case of its scenario."""
    scenario, use = dealt(domain, seed, split, index)
    case = case_of(use)
    for spare in range(SPARE_WORLDS + 1):
        world = world_of(domain, seed, world_name(split, index, spare))
        instance = instance_at(world, scenario, case, attempt)
        if instance is not None:
            break
    else:
        return None
    rng = stream(domain.digest, seed, trace_id_of(domain, split, index), attempt)
    said = say(domain, scenario, split, use, instance.slots, world.today, rng)
    moment = datetime.combine(world.today, time(rng.randrange(7, 20), rng.randrange(60)), tzinfo=UTC)
    return Asking(scenario, case, world, instance, said, sentence_ends(said), moment)


def trace_id_of(domain: Domain, split: str, index: int) -> str:
    """Unique over the dataset: `finance_train_00000042`."""
    return f"{domain.slug}_{split}_{index:08d}"


def place_of(trace_id: str, domain: Domain) -> tuple[str, int] | None:
    """Split and index that a trace's id names, or None if it is no id of the domain."""
    split, _, number = trace_id.removeprefix(f"{domain.slug}_").partition("_")
    if split not in SPLITS or not 8 <= len(number) <= 12 or not (number.isascii() and number.isdecimal()):
        return None
    return (split, int(number)) if trace_id_of(domain, split, int(number)) == trace_id else None


def clause_of(asking: Asking, spans: Sequence[Span]) -> str:
    """The sentences of a request that hold these spans; without spans, all that it asks, without what is around it."""
    said = asking.said
    start, end = said.core
    if spans:
        first, last = min(spans)[0], max(each[1] for each in spans)
        for stop in asking.sentence_ends:
            if stop <= first:
                start = stop
            elif stop >= last:
                end = stop
                break
    return said.text[start:end].strip()


def sentence_ends(said: Said) -> tuple[int, ...]:
    """Where in the text the sentences of a request end, those around it left out."""
    return tuple(match.end() for match in _SENTENCE_END.finditer(said.text, *said.core))


_SENTENCE_END = re.compile(r"[.!?](?= )")
