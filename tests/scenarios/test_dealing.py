"""Dealing scenarios and words: by weight, each case several times, no request twice."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from gatling_sid.errors import OracleError
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.scenarios.schedule import WORDINGS_PER_INSTANCE, capacity, instance_of_variant, scheduled_scenario
from gatling_sid.schemas.domain import SPLITS, Domain


def test_no_request_is_made_twice(library: Domain, oracle: ScenarioOracle) -> None:
    """Over all splits, each request has a text of its own."""
    traces = [oracle.trace(Task(library, split, index)) for split in SPLITS for index in range(1000)]
    texts = [trace.request.text for trace in traces if isinstance(trace, GoldTrace)]
    assert len(set(texts)) == 3000


def test_scenarios_are_dealt_by_weight(library: Domain) -> None:
    """Every seven traces hold each scenario as often as it weighs, and no scenario has a use twice."""
    hands = [scheduled_scenario(library, 1, "train", index) for index in range(700)]
    for start in range(0, 700, 7):
        assert Counter(name for name, _ in hands[start : start + 7]) == {
            name: scenario.weight for name, scenario in library.file.scenarios.items()
        }
    for name, scenario in library.file.scenarios.items():
        assert sorted(use for each, use in hands if each == name) == list(range(100 * scenario.weight))
    assert hands != [scheduled_scenario(library, 2, "train", index) for index in range(700)]


def test_cases_are_worded_several_times() -> None:
    """Each case is put into words as often as every other, never twice in a row."""
    cases = [instance_of_variant(use) for use in range(100 * WORDINGS_PER_INSTANCE * 5)]
    assert set(Counter(cases).values()) == {WORDINGS_PER_INSTANCE}
    assert all(one != two for one, two in pairwise(cases))


@pytest.mark.parametrize("split", SPLITS)
def test_capacity_can_be_used_up(library: Domain, oracle: ScenarioOracle, split: str) -> None:
    """The last trace within capacity can be made; far beyond, there are no words left."""
    assert capacity(library, split) > 1000
    assert isinstance(oracle.trace(Task(library, split, capacity(library, split) - 1)), GoldTrace)
    with pytest.raises(OracleError, match=r"cannot be worded \d+ times; add alternatives or phrasings$"):
        oracle.trace(Task(library, split, 10 * capacity(library, split)))
