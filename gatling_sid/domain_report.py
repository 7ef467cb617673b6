"""The report of a finished domain: pass rates, reasons of rejections, and cost per trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gatling_sid.generator import Rejection
from gatling_sid.oracle.claude.oracle import MAX_PLANS


@dataclass(frozen=True)
class DomainReport:
    """The result of a domain: how many of `tasks` were gold at the first plan, after at most two repairs, and in total.

    The tasks that are only part of the total needed another request.
    """

    domain: str
    tasks: int
    gold_at_once: int
    gold_after_repair: int
    gold: int
    rejected_by: dict[str, int]
    cost_usd: float

    def __str__(self) -> str:
        """The report in one line."""
        per_trace = f"${self.cost_usd / self.gold:.6f}" if self.gold else "-"
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.rejected_by.items())
        return (
            f"{self.domain}: {self.gold:,} of {self.tasks:,}, raw pass rate {self.gold_at_once / max(1, self.tasks):.1%}, "
            f"after repair {self.gold_after_repair / max(1, self.tasks):.1%}, {per_trace} a trace"
            + (f" ({reasons})" if reasons else "")
        )


def domain_report(domain: str, tasks: int, gold: int, rejections: Sequence[Rejection], cost_usd: float) -> DomainReport:
    """The report of a domain, computed from its rejections."""
    counts: dict[str, int] = {}
    for each in rejections:
        counts[each.reason] = counts.get(each.reason, 0) + 1
    times = Counter(each.trace_id for each in rejections)
    replaced = {each.trace_id for each in rejections if not each.is_repairable}
    not_repaired = {trace_id for trace_id, count in times.items() if count >= MAX_PLANS or trace_id in replaced}
    ordered = dict(sorted(counts.items(), key=lambda each: -each[1]))
    return DomainReport(domain, tasks, tasks - len(times), tasks - len(not_repaired), gold, ordered, cost_usd)
