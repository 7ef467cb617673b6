"""Applies every kind of tampering to new gold traces, and counts how often it was rejected, and by which rule first.

    python -m benchmarks.tampering [--traces 300] [--kinds add_read add_change …]

Each kind is tried on gold traces of all domains, splits and attempts in equal shares, until it has applied often enough.
If a domain has too few such traces, more are taken from the domains after it. The exit status is 1 if a verdict is wrong
or a kind never applied.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from gatling_sid.models import GoldTrace, Verdict
from gatling_sid.validators.checks import CHECKS, judge, why_skipped
from gatling_sid.validators.trace_context import TraceContext
from tests.validators.tampering import tamper
from tests.validators.tampering.gold_traces import REGISTRY, gold
from tests.validators.tampering.listing import LISTED, Kind


@dataclass
class KindResult:
    """Results of one kind: `first_rules` counts the rules that rejected it first, `wrong` holds ids of traces judged wrongly."""

    kind: Kind
    applied: int = 0
    first_rules: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def judge(self, trace: GoldTrace) -> None:
        """Judges a trace that was tampered with, from its JSON bytes, and counts the verdict."""
        context = TraceContext(GoldTrace.model_validate_json(trace.model_dump_json()), REGISTRY)
        verdict = judge(context)
        self.applied += 1
        if not verdict.is_gold:
            self.first_rules[first_reason(context, verdict)] += 1
        if verdict.is_gold != self.kind.is_accepted:
            self.wrong.append(trace.trace_id)

    def __str__(self) -> str:
        rule, times = next(iter(self.first_rules.most_common(1)), ("-", 0))
        rejected = self.first_rules.total()
        how = f"{rule} ({times})" if rejected else "-"
        remark = f"  WRONG: {len(self.wrong)}, such as {self.wrong[0]}" if self.wrong else ""
        return f"{self.kind.name:40}{self.kind.verdict:10}{self.applied:>8}{rejected:>9}  {how}{remark}"


def first_reason(context: TraceContext, verdict: Verdict) -> str:
    """The rule of the first finding about a trace that is not gold or, without findings, the check that was skipped."""
    if verdict.findings:
        return verdict.findings[0].rule
    return next(f"{name} not judged" for name in CHECKS if why_skipped(context, name))


def gold_traces(slug: str, attempts: int) -> Iterator[str]:
    """Yields the gold traces of a domain, as JSON, among so many attempts to make one."""
    for number in range(attempts):
        if (trace := gold(REGISTRY.domain(slug), number)) is not None:
            yield trace


def main() -> int:
    """Tries the kinds domain by domain, because worlds take long to make; prints a line for each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=300, help="how often each kind should apply (default 300)")
    parser.add_argument("--tries", type=int, default=600, help="gold traces of a domain to try, at most (default 600)")
    parser.add_argument("--kinds", nargs="+", choices=sorted(LISTED), default=list(LISTED), metavar="KIND")
    args = parser.parse_args()

    results = [KindResult(LISTED[name]) for name in args.kinds]
    slugs = REGISTRY.slugs()
    for place, slug in enumerate(slugs, start=1):
        traces = list(gold_traces(slug, args.tries))
        share = args.traces * place // len(slugs)
        for result in results:
            for trace in traces:
                if result.applied >= share:
                    break
                if (other := tamper(result.kind.name, trace)) is not None:
                    result.judge(other)
        print(f"{slug}: {len(traces)} gold traces", file=sys.stderr, flush=True)

    print(f"{'kind':40}{'should be':10}{'applied':>8}{'rejected':>9}  most often rejected first by")
    print(*results, sep="\n")
    failed = [result.kind.name for result in results if result.wrong or not result.applied]
    print(
        f"{len(results)} kinds, {sum(result.applied for result in results):,} traces; wrong or never applied: {len(failed)} kinds"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
