"""How every kind of tampering fares on freshly made gold: how often it applied, was refused, and by which rule first.

    python -m benchmarks.tampering [--traces 300] [--kinds read_added change_added …]

Each kind is tried on gold of all domains, splits and attempts in equal shares, until it has applied so often; what a
domain lacks of its share, the next ones make up. Ends with 1 if a verdict is wrong or a kind never applied.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from gatling_sid.models import GoldTrace
from gatling_sid.validators.checks import CHECKS
from tests.validators.tampering import tampered
from tests.validators.tampering.listing import LISTED, Kind
from tests.validators.tampering.scene import REGISTRY, VALIDATOR, gold


@dataclass
class Fate:
    """What became of a kind; `first` counts what refused it first, `wrong` holds ids of traces wrongly judged."""

    kind: Kind
    applied: int = 0
    first: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def judge(self, trace: GoldTrace) -> None:
        """Counts the verdict on one trace that was tampered with, read from the bytes that hold it."""
        _, report = VALIDATOR.validate_trace(GoldTrace.model_validate_json(trace.model_dump_json()))
        self.applied += 1
        if not report["validated"]:
            self.first[next(refusals(report))] += 1
        if report["validated"] != self.kind.is_accepted:
            self.wrong.append(trace.trace_id)

    def __str__(self) -> str:
        rule, times = next(iter(self.first.most_common(1)), ("-", 0))
        refused = self.first.total()
        how = f"{rule} ({times})" if refused else "-"
        remark = f"  WRONG: {len(self.wrong)}, such as {self.wrong[0]}" if self.wrong else ""
        return f"{self.kind.name:40}{self.kind.verdict:10}{self.applied:>8}{refused:>9}  {how}{remark}"


def refusals(report: dict[str, object]) -> Iterator[str]:
    """The rules that a report names, in the order of the checks; then the checks that could not be judged."""
    checks = report["checks"]
    assert isinstance(checks, dict)
    for name, check in CHECKS.items():
        yield from (message.partition(":")[0] for message in checks[name][check.messages])
    yield from (f"{name} not judged" for name in CHECKS if "skipped" in checks[name])


def pool(slug: str, most: int) -> Iterator[str]:
    """Up to so many gold traces of a domain as JSON, kept so that every kind goes through the same ones."""
    for number in range(most):
        if (trace := gold(REGISTRY.domain(slug), number)) is not None:
            yield trace


def main() -> int:
    """Tries the kinds domain by domain, since worlds are dear, and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=300, help="how often each kind is to apply (default 300)")
    parser.add_argument(
        "--tries", type=int, default=600, help="gold traces of a domain to look at, at most (default 600)"
    )
    parser.add_argument("--kinds", nargs="+", choices=sorted(LISTED), default=list(LISTED), metavar="KIND")
    args = parser.parse_args()

    fates = [Fate(LISTED[name]) for name in args.kinds]
    slugs = REGISTRY.slugs()
    for place, slug in enumerate(slugs, start=1):
        traces = list(pool(slug, args.tries))
        share = args.traces * place // len(slugs)
        for fate in fates:
            for trace in traces:
                if fate.applied >= share:
                    break
                if (other := tampered(fate.kind.name, trace)) is not None:
                    fate.judge(other)
        print(f"{slug}: {len(traces)} gold traces", file=sys.stderr, flush=True)

    print(f"{'kind':40}{'should be':10}{'applied':>8}{'refused':>9}  most often refused first by")
    print(*fates, sep="\n")
    bad = [fate.kind.name for fate in fates if fate.wrong or not fate.applied]
    print(
        f"{len(fates)} kinds, {sum(fate.applied for fate in fates):,} traces; not as they should be: {len(bad)} kinds"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
