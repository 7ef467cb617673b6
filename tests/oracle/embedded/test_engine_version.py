"""Code that makes other traces of the same catalogue says so, by `ENGINE_VERSION`."""

from __future__ import annotations

from hashlib import blake2b

from gatling_sid.models import GoldTrace
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas.domain import SPLITS, Domain
from gatling_sid.schemas.versions import ENGINE_VERSION
from tests.conftest import CREATED_AT

PINNED = {3: ("dd24a442-1b3ce2a9-1d62f047", "289b355cebf93e7a")}
"""By engine version: the version of the small domain, and a digest of its traces."""


def test_the_same_engine_makes_the_same_traces(library: Domain) -> None:
    """If this fails, and the small domain did not change: raise `ENGINE_VERSION`, pin the new digest, tell CHANGELOG.md.

    Otherwise a run that was begun with the code before would be finished with other traces.
    """
    oracle = ScenarioOracle(7, CREATED_AT)
    digest = blake2b(digest_size=8)
    for split, index in [("train", at * 31) for at in range(150)] + [
        (split, at) for split in SPLITS for at in range(50)
    ]:
        trace = oracle.trace(Task(library, split, index))
        assert isinstance(trace, GoldTrace)
        content = trace.model_dump_json(exclude={"metadata": {"catalogue"}})
        digest.update(content.encode())
    assert PINNED[ENGINE_VERSION] == (library.digest, digest.hexdigest())
