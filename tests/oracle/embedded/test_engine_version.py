"""Code that makes other traces of the same catalogue says so, by `ENGINE_VERSION`."""

from __future__ import annotations

from hashlib import blake2b

import pytest

from gatling_sid.models import GoldTrace
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import SPLITS
from gatling_sid.schemas.versions import ENGINE_VERSION
from tests.conftest import CREATED_AT

PINNED = {
    11: {
        "library": ("a00e900c-0534532c-c53e5f68", "ee4b25be460d5272"),
        "workshop": ("db6dc04b-9d42e018-3cb1448a", "04bcc211b1881542"),
    }
}
"""By engine version: for each small domain its version, and a digest of its traces."""


@pytest.mark.parametrize("slug", ["library", "workshop"])
def test_the_same_engine_makes_the_same_traces(registry: DomainRegistry, slug: str) -> None:
    """If this fails, and the small domain did not change: raise `ENGINE_VERSION`, pin the new digest, tell CHANGELOG.md.

    Otherwise a run that was begun with the code before would be finished with other traces.
    """
    oracle, domain = ScenarioOracle(7, CREATED_AT), registry.domain(slug)
    digest = blake2b(digest_size=8)
    for split, index in [("train", at * 31) for at in range(150)] + [
        (split, at) for split in SPLITS for at in range(50)
    ]:
        trace = oracle.trace(Task(domain, split, index))
        assert isinstance(trace, GoldTrace)
        content = trace.model_dump_json(exclude={"metadata": {"catalogue"}})
        digest.update(content.encode())
    assert PINNED[ENGINE_VERSION][slug] == (domain.digest, digest.hexdigest())
