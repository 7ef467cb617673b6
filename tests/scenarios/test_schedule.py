"""The schedule: scenarios by weight, each instance worded several times, and no request twice."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from gatling_sid.errors import OracleError
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.scenarios.schedule import (
    SUBSTITUTES,
    WORDINGS_PER_INSTANCE,
    WORLD_SIZE,
    instance_of_wording,
    scheduled_scenario,
    split_capacity,
)
from gatling_sid.schemas.domain import SPLITS, Domain


def test_no_request_is_made_twice(library: Domain, oracle: ScenarioOracle) -> None:
    """Over all splits, no two requests have the same text."""
    traces = [oracle.trace(Task(library, split, index)) for split in SPLITS for index in range(1000)]
    texts = [trace.request.text for trace in traces if isinstance(trace, GoldTrace)]
    assert len(set(texts)) == 3000


def test_scenarios_come_by_weight(library: Domain) -> None:
    """Every seven traces hold each scenario as often as its weight, and no wording index comes twice."""
    entries = [scheduled_scenario(library, 1, "train", index) for index in range(700)]
    for start in range(0, 700, 7):
        assert Counter(name for name, _ in entries[start : start + 7]) == {
            name: scenario.weight for name, scenario in library.file.scenarios.items()
        }
    for name, scenario in library.file.scenarios.items():
        assert sorted(wording_index for each, wording_index in entries if each == name) == list(
            range(100 * scenario.weight)
        )
    assert entries != [scheduled_scenario(library, 2, "train", index) for index in range(700)]


def test_instances_are_worded_several_times(workshop: Domain) -> None:
    """All instances have the same number of requests; a world begins with new ones, and a deck lies between two requests."""
    instances = [instance_of_wording(index) for index in range(100 * WORDINGS_PER_INSTANCE)]
    assert set(Counter(instances).values()) == {WORDINGS_PER_INSTANCE}
    places: dict[tuple[str, int], list[int]] = {}
    for index in range(2 * WORLD_SIZE):
        scenario, wording_index = scheduled_scenario(workshop, 1, "train", index)
        places.setdefault((scenario, instance_of_wording(wording_index)), []).append(index)
    assert max(map(len, places.values())) == WORDINGS_PER_INSTANCE
    assert all(min(found) // WORLD_SIZE == max(found) // WORLD_SIZE for found in places.values())
    gaps = [two - one for found in places.values() for one, two in pairwise(found)]
    assert sum(gaps) / len(gaps) >= 0.9 * len(workshop.scenarios_of("train-0"))


@pytest.mark.parametrize("split", SPLITS)
def test_capacity_can_be_used_up(library: Domain, oracle: ScenarioOracle, split: str) -> None:
    """The last trace within the capacity of a split can be made; far beyond, no wordings are left."""
    assert split_capacity(library, split) > 1000
    assert isinstance(oracle.trace(Task(library, split, split_capacity(library, split) - 1)), GoldTrace)
    far = (Task(library, split, 100 * split_capacity(library, split) + index) for index in range(7))  # every scenario
    with pytest.raises(OracleError, match=r"has no unused wording for request \d+ of its scenario; add "):
        list(map(oracle.trace, far))


def test_worlds_ask_for_their_own_scenarios(workshop: Domain) -> None:
    """Each world asks for its scenarios, each about equally often, and for no others."""
    for world in range(3):
        first = world * WORLD_SIZE
        names = Counter(scheduled_scenario(workshop, 1, "train", first + at)[0] for at in range(WORLD_SIZE))
        table = workshop.scenarios_of(f"train-{world}")
        assert names.keys() == set(table)
        assert names.keys() - table.shapes.keys() <= workshop.unserved.keys()
        assert max(names.values()) - min(names.values()) <= 1


def test_no_wording_index_is_used_twice(library: Domain, workshop: Domain) -> None:
    """Neither a request nor a substitute has the wording index of another request of its scenario, in whatever worlds."""
    whole = {"renew": library.file.scenarios["renew"]}
    mixed = Domain("workshop", workshop.file.model_copy(update={"scenarios": whole}), workshop.pools, workshop.voice)
    for domain in (library, workshop, mixed):
        used = [
            scheduled_scenario(domain, 1, "train", world * WORLD_SIZE + at, substitute)
            for world in range(3)
            for at in range(WORLD_SIZE)
            for substitute in range(SUBSTITUTES + 1)
        ]
        assert len({*used}) == len(used)


def test_composed_requests_are_different_texts(workshop: Domain, oracle: ScenarioOracle) -> None:
    """Requests of two worlds, which have some scenarios in common, and those of other splits have different texts."""
    places = [("train", at) for at in range(250)] + [("train", WORLD_SIZE + at) for at in range(250)]
    places += [(split, at) for split in ("validation", "test") for at in range(100)]
    traces = [oracle.trace(Task(workshop, *place)) for place in places]
    texts = [trace.request.text.casefold() for trace in traces if isinstance(trace, GoldTrace)]
    assert len({*texts}) == len(texts) >= 690
