"""Measures the quality of the data: texts, shapes, plans, and what the policy decides, per domain and beside its aims.

    python -m benchmarks.data_quality [--domains hr finance] [--total 80000] [--pairs 400] [--json FILE]

It makes the first traces of each domain's train split, without judging them, except for the raw pass rate. Of these it
takes one shuffled sample, whose beginning every measure of texts uses: an aim holds for so many texts as it names, and is
not judged on fewer ("few"). Two processes take a domain each; 80,000 traces of each take about five minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from builder.workers import map_in_processes
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.quality.aims import AIMS_OF_ALL_DOMAINS, Measured
from gatling_sid.quality.quality_counts import JUDGED, QualityCounts, measure_texts, shuffled
from gatling_sid.quality.text_measures import ALL, MANY, Text
from gatling_sid.scenarios.scheduled_request import scheduled_request_at
from gatling_sid.schemas import DomainRegistry
from gatling_sid.seeding import stream
from gatling_sid.validators import TraceValidator
from gatling_sid.validators.proofs import ProvenPlans

WORKERS = 2


class DomainQuality(NamedTuple):
    """What was measured of a domain, its rules that concern no trace, and a sample of its texts."""

    measured: list[Measured]
    unused_rules: list[str]
    texts: list[Text]


def main() -> None:
    """Measures domain by domain in two processes, then all domains together, and prints the tables."""
    args = arguments().parse_args()
    registry = DomainRegistry()
    slugs = sorted({registry.slug_of(name) for name in args.domains}) or registry.slugs()
    measure = partial(measure_domain, total=args.total, seed=args.seed, pairs=args.pairs)
    results: dict[str, DomainQuality] = dict(map_in_processes(measure, slugs, WORKERS, DomainRegistry))
    tables = {slug: results[slug].measured for slug in slugs}
    if len(slugs) > 1:
        texts = shuffled([text for slug in slugs for text in results[slug].texts])
        tables["all domains"] = list(measure_texts(texts[:MANY], AIMS_OF_ALL_DOMAINS))
    for title, measured in tables.items():
        print(f"\n{title:52}{'over':>8}{'value':>10}  aim")
        print(*measured, sep="\n")
        if title in results:
            print(f"rules that concern no trace: {', '.join(results[title].unused_rules) or 'none'}")
    misses = {title: sum(each.verdict == "MISS" for each in measured) for title, measured in tables.items()}
    print("\naims missed: " + ", ".join(f"{title} {count}" for title, count in misses.items()))
    if args.json:
        values = {title: as_plain(measured) for title, measured in tables.items()}
        unused_rules = {slug: results[slug].unused_rules for slug in slugs}
        plain = {"measures": values, "rules that concern no trace": unused_rules}
        args.json.write_text(json.dumps(plain, indent=1) + "\n")


def arguments() -> argparse.ArgumentParser:
    """The command line of this benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domains", nargs="+", default=[], help="names or slugs (default: all)")
    parser.add_argument("--total", type=int, default=ALL, help=f"traces of each domain (default {ALL})")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the traces (default 0)")
    parser.add_argument("--pairs", type=int, default=400, help="traces judged under another policy (default 400)")
    parser.add_argument("--json", type=Path, help="file to write all values to")
    return parser


def as_plain(measured: Sequence[Measured]) -> dict[str, dict[str, object]]:
    """Measures by name, as plain data that JSON can hold."""
    return {
        each.name: {"over": each.over, "value": each.value, "aim": str(each.aim or ""), "verdict": each.verdict}
        for each in measured
    }


# --- one domain ------------------------------------------------------------------------------------------------


def measure_domain(slug: str, *, total: int, seed: int, pairs: int) -> DomainQuality:
    """Makes the first `total` traces of a domain and measures them; each is looked at once and then forgotten."""
    registry = DomainRegistry()
    domain, judge = registry.domain(slug), ProvenPlans(TraceValidator(registry))
    oracle = ScenarioOracle(seed, datetime(2026, 11, 22, tzinfo=UTC))
    counts = QualityCounts(domain, registry, stream(seed, slug, "pairs"))
    indices_of_pairs = set(stream(seed, slug, "indices of pairs").sample(range(total), min(pairs, total)))
    for index in range(total):
        if index % 10_000 == 0:
            print(f"{slug}: {index:,} of {total:,} traces", file=sys.stderr, flush=True)
        trace = oracle.trace(Task(domain, "train", index))
        request = scheduled_request_at(domain, seed, "train", index, 0)
        if index < JUDGED:
            counts.add_verdict(is_gold=isinstance(trace, GoldTrace) and judge.verdicts([trace])[0].is_gold)
        if not isinstance(trace, GoldTrace) or request is None:
            continue
        counts.add(trace, request)
        if index in indices_of_pairs:
            counts.add_pair(trace, request)
    print(f"{slug}: {total:,} traces made; measuring their texts", file=sys.stderr, flush=True)
    return DomainQuality(
        list(counts.measure()), counts.limits.rules_without_traces(domain), counts.shuffled_texts()[:MANY]
    )


if __name__ == "__main__":
    main()
