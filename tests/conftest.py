"""Options and fixtures of the tests: a small invented domain, its oracle, and gold traces of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gatling_sid import instance_or_class_method
from gatling_sid.models import GoldTrace, replace_fields
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas import registry as registry_module
from gatling_sid.schemas.domain import Domain
from gatling_sid.validators import TraceValidator
from tests.support.commands import small_environment
from tests.support.domain_sample import DOMAINS_TESTED

CATALOGUE = Path(__file__).parent / "catalogue"
CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--all-domains` and `--changed-domains`."""
    parser.addoption("--all-domains", action="store_true", help="test every shipped domain, not a sample of them")
    parser.addoption("--changed-domains", action="store_true", help="test every shipped domain whose file changed")


def pytest_configure(config: pytest.Config) -> None:
    """Passes the options on to the test modules, which choose their domains when they are imported."""
    for which in ("changed", "all"):
        if config.getoption(f"{which}_domains"):
            os.environ[DOMAINS_TESTED] = which


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts with the longest tests, so that no worker is left alone with them at the end."""
    items.sort(key=lambda item: item.path.name != "test_readme.py")


@pytest.fixture(scope="session")
def registry() -> DomainRegistry:
    """A catalogue with two small domains, Library and Workshop."""
    return DomainRegistry(CATALOGUE)


@pytest.fixture(scope="session")
def library(registry: DomainRegistry) -> Domain:
    """The Library domain."""
    return registry.domain("library")


@pytest.fixture(scope="session")
def workshop(registry: DomainRegistry) -> Domain:
    """The Workshop domain, whose scenarios are composed of parts."""
    return registry.domain("workshop")


@pytest.fixture(scope="session")
def oracle() -> ScenarioOracle:
    """The embedded oracle with seed 1."""
    return ScenarioOracle(1, CREATED_AT)


@pytest.fixture(scope="session")
def validator(registry: DomainRegistry) -> TraceValidator:
    """The validator of the small catalogue."""
    return TraceValidator(registry)


@pytest.fixture(scope="session")
def gold(library: Domain, oracle: ScenarioOracle) -> list[GoldTrace]:
    """1,500 gold traces; tests copy before they change one."""
    traces = []
    for index in range(0, 10_500, 7):
        trace = oracle.trace(Task(library, "train", index))
        assert isinstance(trace, GoldTrace)
        traces.append(replace_fields(trace, validated=True))
    return traces


@pytest.fixture(scope="session")
def small_env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables of processes that know the Library alone, under the names of three shipped domains."""
    return small_environment(tmp_path_factory.mktemp("small"), "Finance", "Email", "HR")


@pytest.fixture(scope="module")
def small_domains(small_env: dict[str, str]) -> Iterator[None]:
    """Lets this process and its workers know the Library alone, while the tests of a module run.

    It is for tests of how runs are made, written and judged, which does not depend on what the domains are. The tasks of
    the Library are written whole: those of a shipped domain are composed for each world, which takes most of the time.
    """
    from builder.judging import _process_judge

    path = small_env["PYTHONPATH"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry_module, "CATALOGUE", Path(path.partition(os.pathsep)[0]) / "catalogue")
        patch.setenv("PYTHONPATH", path)
        patch.setattr(instance_or_class_method, "_SHARED_INSTANCES", {})  # those there are know the shipped domains
        _process_judge.cache_clear()
        yield
    _process_judge.cache_clear()
