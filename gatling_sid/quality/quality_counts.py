"""Counts everything that is measured of the traces of one domain, and measures it beside the aims."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from gatling_sid.models import GoldTrace
from gatling_sid.quality.aims import AIMS, AIMS_WITH_OUTSIDE_CONTENT, LIMIT_AIM, Aim, Measured
from gatling_sid.quality.plan_measures import PlanCounts, values_of_arguments
from gatling_sid.quality.policy_measures import LimitCounts, PairCounts, TraceLimits, trace_limits
from gatling_sid.quality.text_measures import ALL, MEASURES_OF_EACH_TEXT, Text, mask, text_values
from gatling_sid.quality.trust_measures import TrustCounts
from gatling_sid.scenarios.scheduled_request import ScheduledRequest
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import Domain
from gatling_sid.validators.trace_context import TraceContext

JUDGED = 2_000
"""Traces that are judged for the raw pass rate; so many tell every other share of plans, too."""
PAIRS = 400
"""Traces that are judged under another policy."""
SPOKEN_OF = 100
"""Traces that a limit must concern before its aim is judged."""
_SHUFFLE_SEED = 14

_ItemT = TypeVar("_ItemT")


class QualityCounts:
    """What was counted of the traces of a domain; keeps their texts, and forgets the traces."""

    def __init__(self, domain: Domain, registry: DomainRegistry, rng: random.Random) -> None:
        """Starts with nothing counted; `rng` draws the other policy of each pair."""
        self.plans, self.limits, self.pairs = PlanCounts(), LimitCounts(), PairCounts()
        self.trust = TrustCounts()
        self.texts: list[Text] = []
        self._domain, self._registry, self._rng = domain, registry, rng
        self._judged = self._gold = 0
        self._limits_of_instance: dict[tuple[object, ...], TraceLimits] = {}

    def add_verdict(self, *, is_gold: bool) -> None:
        """Counts a proposal that was judged, or that failed and so is not gold."""
        self._judged += 1
        self._gold += is_gold

    def add(self, trace: GoldTrace, request: ScheduledRequest, *, with_text: bool = True) -> None:
        """Counts the plan and the limits of a trace, and keeps its text to measure it with the others."""
        values = values_of_arguments(trace)
        self.plans.add(trace, self._domain, values)
        self.trust.add(trace)
        instance = request.world.name, request.scenario, request.instance_index
        if instance not in self._limits_of_instance:
            self._limits_of_instance[instance] = trace_limits(TraceContext(trace, self._registry))
        self.limits.add(self._limits_of_instance[instance])
        if with_text:
            rendered = request.rendered
            is_framed = rendered.core[0] > 0 or rendered.core[1] < len(rendered.text)
            self.texts.append(Text(rendered.text, mask(rendered.text, values), is_framed))

    def add_pair(self, trace: GoldTrace, request: ScheduledRequest) -> None:
        """Judges a trace under another policy of its world, and counts the result."""
        self.pairs.add(trace, request, self._registry, self._rng)

    def shuffled_texts(self) -> list[Text]:
        """All texts in an order whose beginning is a sample of them."""
        return shuffled(self.texts)

    def measure(self) -> Iterator[Measured]:
        """Yields every measure of the domain."""
        pass_rate = self._gold / max(1, self._judged)
        yield Measured("raw pass rate", pass_rate, self._judged, JUDGED, AIMS["raw pass rate"], "mean")
        if self.texts:
            yield from measure_texts(self.shuffled_texts(), AIMS)
        if self.plans.traces:
            yield from _measure_shapes(self.plans)
            for name, value in self.plans.means():
                yield Measured(name, value, self.plans.traces, JUDGED, AIMS.get(name), "mean")
            has_outside = any(map(self._domain.fields_from_others, self._domain.file.entities))
            for name, share, of in self.trust.shares():
                is_judged = has_outside or name not in AIMS_WITH_OUTSIDE_CONTENT
                yield Measured(name, share, of, JUDGED, AIMS.get(name) if is_judged else None, "mean")
            for name, number, of in self.pairs.shares():
                yield Measured(name, number / max(1, of), of, PAIRS, AIMS.get(name), "mean")
            yield from _measure_limits(self.limits)


def measure_texts(texts: Sequence[Text], aims: Mapping[str, Aim]) -> Iterator[Measured]:
    """Yields the measures of texts, with those aims."""
    for name, size, value in text_values(texts):
        is_mean = name.partition(" at ")[0] in MEASURES_OF_EACH_TEXT
        yield Measured(name, value, min(size, len(texts)), size, aims.get(name), "mean" if is_mean else "sized")


def _measure_shapes(counts: PlanCounts) -> Iterator[Measured]:
    for name, number in (
        ("distinct scenarios", len(counts.scenarios)),
        ("distinct goal shapes", len(counts.goal_shapes)),
        ("distinct plan shapes", len(counts.plan_shapes)),
    ):
        yield Measured(name, number, counts.traces, ALL, AIMS[name], "count")


def _measure_limits(counts: LimitCounts) -> Iterator[Measured]:
    """Yields how many rules concern a trace, and for each numeric limit how often it is met exactly."""
    yield Measured("rules in force", counts.rules_in_force / counts.traces, counts.traces)
    yield Measured("rules that concern a trace", counts.concerned.total() / counts.traces, counts.traces)
    for limit in sorted(counts.spoken_of):
        over = counts.spoken_of[limit]
        share = counts.met_exactly[limit] / over
        yield Measured(f"met exactly: {'.'.join(limit)}", share, over, SPOKEN_OF, LIMIT_AIM, "mean")


def shuffled(items: Sequence[_ItemT]) -> list[_ItemT]:
    """The items in an order that depends on their number alone; its beginning is a sample of them."""
    order = list(range(len(items)))
    random.Random(_SHUFFLE_SEED).shuffle(order)
    return [items[at] for at in order]
