"""A domain file that is not in the catalogue yet: loads it alone, makes its traces and judges them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from gatling_sid.models import GoldTrace
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Failure, Judge, Task
from gatling_sid.scenarios.schedule import scheduled_scenario
from gatling_sid.scenarios.wording_space import wording_space_of
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.domain_content import copy_continuation
from gatling_sid.schemas.registry import CATALOGUE

JudgeFactory = Callable[[DomainRegistry], Judge]
# Any seed other than that of the examples in the prompts.
_SEED = 1
# Indices that are searched for traces of one scenario; even one of the smallest weight occurs often among them.
_MAX_SEARCHED_INDICES = 60_000


class CandidateDomain:
    """A domain whose file is being written, with an oracle that makes its traces and a judge of them."""

    def __init__(self, domain: Domain, judge: Judge, created_at: datetime) -> None:
        self.domain = domain
        self.judge = judge
        self._oracle = ScenarioOracle(_SEED, created_at)

    def traces(self, scenario: str | None = None, phrasing: str | None = None) -> Iterator[GoldTrace | Failure]:
        """Proposals of all scenarios or of one, with all phrasings or with one; they are not judged yet."""
        position, count = 0, 1
        if scenario and phrasing:
            position = self.domain.file.scenarios[scenario].phrasings.index(phrasing)
            count = len(wording_space_of(self.domain.scenarios_of("train-0"), scenario).phrasings)
        for index in range(_MAX_SEARCHED_INDICES):
            name, variant_index = scheduled_scenario(self.domain, self._oracle.seed, "train", index)
            if scenario in (None, name) and variant_index % count == position:
                yield self._oracle.trace(Task(self.domain, "train", index))

    @staticmethod
    def instance_key(trace: GoldTrace) -> tuple[object, object, object]:
        """A key that is equal for traces that differ only in their words."""
        return trace.metadata["world"], trace.metadata["scenario"], trace.metadata["instance"]

    def find_problem_in_proposal(self, proposal: GoldTrace | Failure) -> str | None:
        """Says why a proposal is not gold, or returns None if it is gold."""
        if isinstance(proposal, Failure):
            return f"proof: {proposal.reason}: {proposal.detail}"
        found = self.judge.findings(proposal)
        return f"proof: {proposal.request.text!r}: {found[0]}" if found else None

    def find_problem_in_first(self, count: int) -> str | None:
        """Says why one of the first `count` proposals of all scenarios is not gold, or returns None if all are gold."""
        for _, proposal in zip(range(count), self.traces(), strict=False):
            if problem := self.find_problem_in_proposal(proposal):
                return problem
        return None


@contextmanager
def load_candidate(text: str, file: str, make_judge: JudgeFactory, created_at: datetime) -> Iterator[CandidateDomain]:
    """Loads the text of a domain file as if it were in a catalogue. Raises CatalogueError naming the wrong key."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        path.write_text(text, encoding="utf-8")
        copy_continuation(CATALOGUE / file, path)
        registry = DomainRegistry(path.parent)
        yield CandidateDomain(registry.domain(path.stem), make_judge(registry), created_at)
