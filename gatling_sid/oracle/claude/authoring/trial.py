"""A domain file on trial: loaded by itself, its traces made and judged."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from gatling_sid.models import GoldTrace
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Failure, Judge, Task
from gatling_sid.scenarios.rendering import wording_space_of
from gatling_sid.scenarios.schedule import scheduled_scenario
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import Domain

JudgeOf = Callable[[DomainRegistry], Judge]
_SEED = 1
_SEARCHED = 60_000


class CandidateDomain:
    """The domain of a file, an oracle that speaks for it and a judge of what it says."""

    def __init__(self, domain: Domain, judge: Judge, created_at: datetime) -> None:
        self.domain = domain
        self.judge = judge
        self._oracle = ScenarioOracle(_SEED, created_at)

    def traces(self, scenario: str | None = None, phrasing: str | None = None) -> Iterator[GoldTrace | Failure]:
        """Proposals, unjudged: of every scenario or of one, worded in every way or with one of its phrasings."""
        place, count = 0, 1
        if scenario and phrasing:
            place = self.domain.file.scenarios[scenario].phrasings.index(phrasing)
            count = len(wording_space_of(self.domain, scenario, "train").phrasings)
        for index in range(_SEARCHED):
            name, use = scheduled_scenario(self.domain, self._oracle.seed, "train", index)
            if scenario in (None, name) and use % count == place:
                yield self._oracle.trace(Task(self.domain, "train", index))

    @staticmethod
    def case(trace: GoldTrace) -> tuple[object, object, object]:
        """What traces that differ in their words alone have in common."""
        return trace.metadata["world"], trace.metadata["scenario"], trace.metadata["case"]

    def problem(self, proposal: GoldTrace | Failure) -> str | None:
        """Why a proposal is not gold."""
        if isinstance(proposal, Failure):
            return f"proof: {proposal.reason}: {proposal.detail}"
        found = self.judge.findings(proposal)
        return f"proof: {proposal.request.text!r}: {found[0]}" if found else None

    def problem_of_first(self, count: int) -> str | None:
        """What is wrong with the first of so many proposals, over all scenarios and policies, that is not gold."""
        for _, proposal in zip(range(count), self.traces(), strict=False):
            if problem := self.problem(proposal):
                return problem
        return None


@contextmanager
def load_candidate(text: str, file: str, judge_of: JudgeOf, created_at: datetime) -> Iterator[CandidateDomain]:
    """A domain file's text as if it stood in a catalogue. Raises CatalogueError naming the key that is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        path.write_text(text, encoding="utf-8")
        registry = DomainRegistry(path.parent)
        yield CandidateDomain(registry.domain(path.stem), judge_of(registry), created_at)
