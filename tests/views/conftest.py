"""Traces with observations: of the small library, and of domains of the shipped catalogue."""

from __future__ import annotations

import pytest

from gatling_sid.models import GoldTrace
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import DomainRegistry
from tests.support.domain_sample import sampled_domains
from tests.support.observations import observe

STEP = 37
"""Distance of the indices that are drawn, so that few traces share a plan."""


@pytest.fixture(scope="session")
def observed(gold: list[GoldTrace], registry: DomainRegistry) -> list[GoldTrace]:
    """300 gold traces of the library, with what their calls returned."""
    return [observe(trace, registry) for trace in gold[:300]]


@pytest.fixture(scope="session")
def shipped_registry() -> DomainRegistry:
    """The catalogue that ships."""
    return DomainRegistry()


@pytest.fixture(scope="session", params=sampled_domains())
def shipped(
    request: pytest.FixtureRequest, shipped_registry: DomainRegistry, oracle: ScenarioOracle
) -> list[GoldTrace]:
    """150 traces of a shipped domain, with what their calls returned."""
    domain = shipped_registry.domain(request.param)
    traces = (oracle.trace(Task(domain, "train", index * STEP)) for index in range(150))
    return [observe(trace, shipped_registry) for trace in traces if isinstance(trace, GoldTrace)]
