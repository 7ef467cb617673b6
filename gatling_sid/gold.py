"""The straight line with the catalogue's own judge: where an oracle's proposals meet the validator.

Oracle and validators never import each other; this stands above both, and an agent that is given no other line uses
this one.
"""

from __future__ import annotations

from collections.abc import Sequence

from gatling_sid.generator import Yield, generate
from gatling_sid.oracle.protocol import Oracle, Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.validators import TraceValidator


class GoldLine:
    """Judges by the full validator and hands its findings back for repair."""

    def __init__(self, registry: DomainRegistry) -> None:
        """Judges against this catalogue."""
        self.judge = TraceValidator(registry)

    def generate(self, tasks: Sequence[Task], oracle: Oracle) -> Yield:
        """Gold for every task, as far as the oracle gets there; see `generator.generate`."""
        return generate(tasks, oracle, self.judge)
