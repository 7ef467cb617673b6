"""The interfaces of oracles, which propose traces for tasks, and of judges, which give verdicts on traces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, Protocol

from gatling_sid.models import Finding, GoldTrace, Verdict
from gatling_sid.scenarios.scheduled_request import trace_id_of
from gatling_sid.schemas.domain import Domain


@dataclass(frozen=True, slots=True)
class Task:
    """One trace to be made: the `index`-th of a domain's split.

    After a rejection, the oracle gets the task again with the next `attempt`. Then `previous` is the rejected trace
    (None after a failure) and `findings` are its findings as text, for oracles that can repair a trace.
    """

    domain: Domain
    split: str
    index: int
    attempt: int = 0
    previous: GoldTrace | None = None
    findings: tuple[str, ...] = ()

    @property
    def trace_id(self) -> str:
        """The id of the trace, unique over the dataset: `finance_train_00000042`."""
        return trace_id_of(self.domain, self.split, self.index)


class FailureKind(Enum):
    """What an oracle can do about a failure."""

    REPAIRABLE = auto()
    """The same request may get a better plan."""
    UNREPAIRABLE = auto()
    """The request cannot be served: it must be replaced by another."""
    REFUSED = auto()
    """The model refused the request: it must be replaced by another and must not be reworded."""
    NO_RESPONSE = auto()
    """The model gave no response, so nothing is known about the request."""


class Failure(NamedTuple):
    """Says why an oracle proposes no trace: `reason` is a short name that is counted, `detail` a sentence."""

    reason: str
    detail: str
    kind: FailureKind = FailureKind.REPAIRABLE

    @property
    def is_repairable(self) -> bool:
        """Whether the oracle may attempt the same request again."""
        return self.kind in (FailureKind.REPAIRABLE, FailureKind.NO_RESPONSE)


class Oracle(Protocol):
    """Proposes a trace for every task, `max_attempts` times at most; `name` becomes `metadata.oracle` of its traces."""

    name: str
    max_attempts: int

    def propose(self, tasks: Sequence[Task]) -> Iterable[GoldTrace | Failure]:
        """Yields or returns one proposal per task, in the order of the tasks."""
        ...


class Judge(Protocol):
    """Finds what is wrong with traces: a `TraceValidator`, or `ProvenPlans` around one."""

    def findings(self, trace: GoldTrace) -> list[Finding]:
        """All findings about one trace; empty if no check failed."""
        ...

    def verdicts(self, traces: Sequence[GoldTrace]) -> list[Verdict]:
        """One verdict per trace: its findings or, if there are none, what could not be judged; both are empty for gold."""
        ...
