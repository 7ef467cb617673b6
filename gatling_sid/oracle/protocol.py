"""What every oracle is to the generator: tasks in, proposals out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from gatling_sid.models import Finding, GoldTrace, Verdict
from gatling_sid.scenarios.scheduled_request import trace_id_of
from gatling_sid.schemas.domain import Domain


@dataclass(frozen=True, slots=True)
class Task:
    """One trace to be made: the `index`-th of a domain's split.

    A task comes again with the next `attempt` after its proposal was rejected; `previous` is that proposal and
    `findings` what the validator said of it, for oracles that can repair.
    """

    domain: Domain
    split: str
    index: int
    attempt: int = 0
    previous: GoldTrace | None = None
    findings: tuple[str, ...] = ()

    @property
    def trace_id(self) -> str:
        """Unique over the dataset: `finance_train_00000042`."""
        return trace_id_of(self.domain, self.split, self.index)


class Failure(NamedTuple):
    """No proposal: `reason` is a short name to count by, `detail` says more."""

    reason: str
    detail: str


class Oracle(Protocol):
    """Proposes a trace for every task. Neither validator nor generator knows which oracle spoke."""

    name: str
    max_attempts: int

    def propose(self, tasks: Sequence[Task]) -> Iterable[GoldTrace | Failure]:
        """One proposal per task, in the order of the tasks."""
        ...


class Judge(Protocol):
    """Finds what is wrong with traces: a `TraceValidator`, or `ProvenPlans` around one."""

    def findings(self, trace: GoldTrace) -> list[Finding]:
        """Everything wrong with one trace; empty if no check failed."""
        ...

    def verdicts(self, traces: Sequence[GoldTrace]) -> list[Verdict]:
        """For each trace, what is wrong with it or, if nothing is, what could not be judged; neither for gold."""
        ...
