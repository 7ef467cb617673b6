"""Chat rows go into a dataset and come back as they were."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import datasets
import pytest

from builder.chat_features import chat_features
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import Domain
from gatling_sid.views import to_messages
from tests.support.observations import observe


def test_chat_rows_survive_a_dataset(gold: list[GoldTrace], registry: DomainRegistry, library: Domain) -> None:
    """Rows have no further keys, and so no more characters; without the features they have more."""
    rows = [to_messages(observe(trace, registry), library.schemas, registry=registry) for trace in gold[:40]]

    loaded = datasets.Dataset.from_list(rows, features=chat_features())
    assert list(loaded) == rows
    assert [len(json.dumps(row)) for row in loaded] == [len(json.dumps(row)) for row in rows]
    assert len(json.dumps(list(datasets.Dataset.from_list(rows)))) > len(json.dumps(rows))


def test_the_readme_shows_how_chats_are_made(shipped_finance: list[GoldTrace]) -> None:
    """The lines of the README make a dataset of chats from rows as readers get them."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (code,) = [each for each in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "to_messages" in each]
    names: dict[str, Any] = {"finance": {"train": [trace.to_training_format() for trace in shipped_finance]}}
    exec(code, names)  # noqa: S102 - the README is ours

    assert list(names["dataset"]) == names["chats"]
    assert len(names["chats"]) == len(shipped_finance)


@pytest.fixture
def shipped_finance(oracle: ScenarioOracle) -> list[GoldTrace]:
    """A few traces of Finance, with what their calls returned."""
    registry = DomainRegistry()
    traces = (oracle.trace(Task(registry.domain("finance"), "train", index)) for index in range(8))
    return [observe(trace, registry) for trace in traces if isinstance(trace, GoldTrace)]
