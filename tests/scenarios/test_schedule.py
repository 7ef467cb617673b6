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
    WORDINGS_PER_INSTANCE,
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


def test_instances_are_worded_several_times() -> None:
    """All instances have the same number of requests, and no two successive requests have the same instance."""
    instances = [instance_of_wording(index) for index in range(100 * WORDINGS_PER_INSTANCE * 5)]
    assert set(Counter(instances).values()) == {WORDINGS_PER_INSTANCE}
    assert all(one != two for one, two in pairwise(instances))


@pytest.mark.parametrize("split", SPLITS)
def test_capacity_can_be_used_up(library: Domain, oracle: ScenarioOracle, split: str) -> None:
    """The last trace within the capacity of a split can be made; far beyond, no wordings are left."""
    assert split_capacity(library, split) > 1000
    assert isinstance(oracle.trace(Task(library, split, split_capacity(library, split) - 1)), GoldTrace)
    with pytest.raises(OracleError, match=r"has no unused wording for request \d+ of its scenario; add "):
        oracle.trace(Task(library, split, 10 * split_capacity(library, split)))
