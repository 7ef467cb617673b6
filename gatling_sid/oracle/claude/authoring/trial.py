"""A domain file that is not in the catalogue yet: it is loaded by itself, and its traces are made and judged."""

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

JudgeOf = Callable[[DomainRegistry], Judge]
_SEED = 1  # any other than that of the examples in the prompts
_MAX_SEARCHED = 60_000  # indices: a scenario has its share among the first of them, whatever its weight


class CandidateDomain:
    """A domain whose file is being written, with an oracle that makes its traces and a judge of them."""

    def __init__(self, domain: Domain, judge: Judge, created_at: datetime) -> None:
        self.domain = domain
        self.judge = judge
        self._oracle = ScenarioOracle(_SEED, created_at)

    def traces(self, scenario: str | None = None, phrasing: str | None = None) -> Iterator[GoldTrace | Failure]:
        """Proposals that are not judged yet, of all scenarios or of one, with all phrasings or with one."""
        place, count = 0, 1
        if scenario and phrasing:
            place = self.domain.file.scenarios[scenario].phrasings.index(phrasing)
            count = len(wording_space_of(self.domain, scenario, "train").phrasings)
        for index in range(_MAX_SEARCHED):
            name, variant_index = scheduled_scenario(self.domain, self._oracle.seed, "train", index)
            if scenario in (None, name) and variant_index % count == place:
                yield self._oracle.trace(Task(self.domain, "train", index))

    @staticmethod
    def instance_key(trace: GoldTrace) -> tuple[object, object, object]:
        """What traces that differ only in their words have in common."""
        return trace.metadata["world"], trace.metadata["scenario"], trace.metadata["instance"]

    def problem_with(self, proposal: GoldTrace | Failure) -> str | None:
        """Why a proposal is not gold, or None if it is."""
        if isinstance(proposal, Failure):
            return f"proof: {proposal.reason}: {proposal.detail}"
        found = self.judge.findings(proposal)
        return f"proof: {proposal.request.text!r}: {found[0]}" if found else None

    def problem_of_first(self, count: int) -> str | None:
        """What is wrong with the first of `count` proposals of all scenarios that is not gold, or None."""
        for _, proposal in zip(range(count), self.traces(), strict=False):
            if problem := self.problem_with(proposal):
                return problem
        return None


@contextmanager
def load_candidate(text: str, file: str, judge_of: JudgeOf, created_at: datetime) -> Iterator[CandidateDomain]:
    """Loads the text of a domain file as if it stood in a catalogue. Raises CatalogueError naming the wrong key."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        path.write_text(text, encoding="utf-8")
        registry = DomainRegistry(path.parent)
        yield CandidateDomain(registry.domain(path.stem), judge_of(registry), created_at)
