"""The scheduled request at an index: scenario, world, instance and words, computed from a trace's coordinates.

The embedded oracle makes a plan for this request. The validator computes the request again, so that a trace is not gold
if its words, goal or principal differ from those that its coordinates give.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from gatling_sid.scenarios.instances import Instance, instance_at
from gatling_sid.scenarios.moments import allowed_hours, draw_moment
from gatling_sid.scenarios.rendering import RenderedRequest, Span, render_request
from gatling_sid.scenarios.schedule import SUBSTITUTES, instance_of_wording, scheduled_scenario, world_name
from gatling_sid.schemas.domain import SPLITS, Domain
from gatling_sid.schemas.tool_ids import tool_id_of
from gatling_sid.seeding import stream
from gatling_sid.simulator.world import World, world_of

_SENTENCE_END = re.compile(r"[.!?](?= )")


class ScheduledRequest(NamedTuple):
    """A request as its coordinates give it; `moment` is the time at which it is made, on the date of the world."""

    scenario: str
    instance_index: int
    world: World
    instance: Instance
    rendered: RenderedRequest
    sentence_ends: tuple[int, ...]
    moment: datetime


@lru_cache(maxsize=8192)
def scheduled_request_at(domain: Domain, seed: int, split: str, index: int, attempt: int) -> ScheduledRequest | None:
    """The request of the `index`-th trace of a split at an attempt, or None if no world has an instance of its scenario."""
    world = world_of(domain, seed, world_name(split, index))
    for substitute in range(SUBSTITUTES + 1):
        scenario, wording_index = scheduled_scenario(domain, seed, split, index, substitute)
        instance_index = instance_of_wording(wording_index)
        instance = instance_at(world, scenario, instance_index, attempt)
        if instance is not None:
            break
    else:
        return None
    rng = stream(seed, trace_id_of(domain, split, index), attempt)
    rendered = render_request(world.scenarios, scenario, wording_index, instance.slots, world.today, rng)
    hours = _hours_of(world, scenario, instance_index, attempt)
    moment = draw_moment(domain, hours, world.today, rendered.opening, rng)
    return ScheduledRequest(scenario, instance_index, world, instance, rendered, sentence_ends(rendered), moment)


@lru_cache(maxsize=2048)
def _hours_of(world: World, scenario: str, instance_index: int, attempt: int) -> Sequence[int]:
    """The hours at which the plan of an instance may be carried out."""
    instance = instance_at(world, scenario, instance_index, attempt)
    assert instance is not None
    domain = world.domain
    spec = world.scenarios[scenario]
    asked = [*spec.plan, *(spec.variant.plan if spec.variant else ())]
    steps = (step for step in asked if step.is_in_force(instance.rules))
    tool_ids = [tool_id_of(domain.slug, step.tool) for step in steps]
    return allowed_hours(domain, instance.policy, instance.principal.role, tool_ids)


def trace_id_of(domain: Domain, split: str, index: int) -> str:
    """The id of a trace, unique over the dataset: `finance_train_00000042`."""
    return f"{domain.slug}_{split}_{index:08d}"


def split_and_index(trace_id: str, domain: Domain) -> tuple[str, int] | None:
    """The split and the index that a trace id contains, or None if it is not an id of the domain."""
    split, _, number = trace_id.removeprefix(f"{domain.slug}_").partition("_")
    if split not in SPLITS or not 8 <= len(number) <= 12 or not (number.isascii() and number.isdecimal()):
        return None
    return (split, int(number)) if trace_id_of(domain, split, int(number)) == trace_id else None


def sentences_around(request: ScheduledRequest, spans: Sequence[Span]) -> str:
    """The sentences of a request that contain these spans; without spans, its core, which leaves out the frame."""
    rendered = request.rendered
    start, end = rendered.core
    if spans:
        first, last = min(spans)[0], max(each[1] for each in spans)
        for stop in request.sentence_ends:
            if stop <= first:
                start = stop
            elif stop >= last:
                end = stop
                break
    return rendered.text[start:end].strip()


def sentence_ends(rendered: RenderedRequest) -> tuple[int, ...]:
    """Where in the text the sentences of a request's core end; opening, reason and closing are left out."""
    return tuple(match.end() for match in _SENTENCE_END.finditer(rendered.text, *rendered.core))
