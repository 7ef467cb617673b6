"""A sample of the traces of a domain: each is made as it would be proposed first, judged, counted and kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from gatling_sid.domain_check.draft import DraftFile
from gatling_sid.errors import CatalogueError
from gatling_sid.models import Finding, GoldTrace
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.quality.quality_counts import QualityCounts
from gatling_sid.scenarios.instances import instance_at, why_no_instance
from gatling_sid.scenarios.schedule import WORLD_SIZE, instance_of_wording, scheduled_scenario, world_name
from gatling_sid.scenarios.scheduled_request import scheduled_request_at
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.composition.table import ScenarioTable
from gatling_sid.schemas.domain import Domain
from gatling_sid.seeding import stream
from gatling_sid.simulator.world import world_of
from gatling_sid.validators import TraceValidator

_SPLITS = ("train", "train", "train", "validation", "train", "train", "train", "test")
"""The splits take turns; the measures of texts look at those of train alone."""
_PAIRS_PER_TRACE = 1 / 4
_WORLDS_SEARCHED = 4
"""Worlds in which tasks of a certain name are looked for: each of them has another list of tasks."""
_HOPELESS = 6
"""Tasks that found no rows after which a part is given up; a draw that is impossible would take minutes otherwise."""


class JudgedTrace(NamedTuple):
    """A trace of the sample with what is wrong with it."""

    trace: GoldTrace
    findings: list[Finding]

    @property
    def scenario(self) -> str:
        """The scenario that the trace is of."""
        return str(self.trace.metadata["scenario"])


class Sample(NamedTuple):
    """Judged traces, and how many tasks did or did not find rows in their world, by the part or scenario.

    `why_not_drawn` has what the last of them failed at.
    """

    judged: list[JudgedTrace]
    drawn: Counter[str]
    not_drawn: Counter[str]
    why_not_drawn: dict[str, str]
    counts: QualityCounts


def sample_of_draft(
    draft: DraftFile, number: int, *, seed: int, name: str = "", measures: bool = True
) -> tuple[DraftFile, Sample | None]:
    """The sample of what can be used of a draft, None if that is nothing.

    If no world can be populated, this becomes a problem of the draft.
    """
    if draft.domain is None or not draft.domain.scenarios_of("train-0"):
        return draft, None
    try:
        return draft, draw_sample(draft.domain, number, seed=seed, name=name, measures=measures)
    except CatalogueError as error:
        return draft._replace(domain=None, problems=[*draft.problems, (error.where, error.problem)]), None


def draw_sample(domain: Domain, number: int, *, seed: int, name: str = "", measures: bool = True) -> Sample:
    """Makes and judges this many traces, or fewer if there are no more tasks whose name contains `name`.

    Without `measures`, the traces are judged only.
    """
    registry = DomainRegistry.of_domain(domain)
    validator, oracle = TraceValidator(registry), ScenarioOracle(seed, datetime(2026, 1, 1, tzinfo=UTC))
    counts = QualityCounts(domain, registry, stream(seed, domain.slug, "pairs"))
    sample = Sample([], Counter(), Counter(), {}, counts)
    pairs = 0.0
    for split, index in _coordinates(domain, number, seed, name):
        if len(sample.judged) == number:
            break
        if not _is_drawn(sample, domain, seed, split, index):
            continue
        trace = oracle.trace(Task(domain, split, index))
        request = scheduled_request_at(domain, seed, split, index, 0)
        assert isinstance(trace, GoldTrace)
        assert request is not None
        findings = validator.findings(trace)
        sample.judged.append(JudgedTrace(trace, findings))
        counts.add_verdict(is_gold=not findings)
        if findings or not measures:
            continue
        counts.add(trace, request, with_text=split == "train")
        pairs += _PAIRS_PER_TRACE
        if pairs >= 1:
            counts.add_pair(trace, request)
            pairs -= 1
    return sample


def _coordinates(domain: Domain, number: int, seed: int, name: str) -> Iterator[tuple[str, int]]:
    """Yields (split, index) of so many tasks whose name contains `name`; of all tasks, twice as many as are wanted."""
    if not name:
        yield from ((_SPLITS[index % len(_SPLITS)], index) for index in range(2 * number))
        return
    for index in range(_WORLDS_SEARCHED * WORLD_SIZE):
        if number > 0 and name.casefold() in scheduled_scenario(domain, seed, "train", index)[0].casefold():
            number -= 1
            yield "train", index


def _is_drawn(sample: Sample, domain: Domain, seed: int, split: str, index: int) -> bool:
    """Whether the scheduled task finds rows in its world; a part that never does is given up after some tasks."""
    scenario, wording_index = scheduled_scenario(domain, seed, split, index)
    world = world_name(split, index)
    names = parts_of_scenario(domain.scenarios_of(world), scenario)
    if any(sample.not_drawn[each] >= _HOPELESS and not sample.drawn[each] for each in names):
        return False
    coordinates = world_of(domain, seed, world), scenario, instance_of_wording(wording_index), 0
    is_drawn = instance_at(*coordinates) is not None
    (sample.drawn if is_drawn else sample.not_drawn).update(names)
    if not is_drawn:
        sample.why_not_drawn.update(dict.fromkeys(names, why_no_instance(*coordinates)))
    return is_drawn


def parts_of_scenario(scenarios: ScenarioTable, scenario: str) -> list[str]:
    """The parts that a scenario is composed of or, if it is written whole, itself."""
    if not scenarios.is_composed(scenario):
        return [scenario]
    return [use.part for group in scenarios.task(scenario).shape.groups for use in group.uses]
