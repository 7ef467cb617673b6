"""Measures the quality of the data: texts, shapes, plans, and what the policy decides, per domain and beside its aims.

    python -m benchmarks.data_quality [--domains hr finance] [--total 80000] [--pairs 400] [--json FILE]

It makes the first traces of each domain's train split, without judging them, except for the raw pass rate. Of these it
takes one shuffled sample, whose beginning every measure of texts uses: an aim holds for so many texts as it names, and is
not judged on fewer ("few"). Two processes take a domain each; 80,000 traces of each take about five minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from benchmarks.plan_measures import PlanCounts, argument_values
from benchmarks.policy_measures import LimitCounts, PairCounts, TraceLimits, trace_limits
from benchmarks.text_measures import ALL, MANY, Text, mask, text_values
from builder.workers import map_in_processes
from gatling_sid.models import INTENTS, GoldTrace
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.scenarios.scheduled_request import scheduled_request_at
from gatling_sid.schemas import DomainRegistry
from gatling_sid.seeding import stream
from gatling_sid.validators import TraceValidator
from gatling_sid.validators.proofs import ProvenPlans
from gatling_sid.validators.trace_context import TraceContext

JUDGED = 2_000
"""Traces that are judged for the raw pass rate."""
SPOKEN_OF = 100
"""Traces that a limit must concern before its aim is judged."""
SHUFFLE_SEED = 14
WORKERS = 2

_ItemT = TypeVar("_ItemT")


class Aim(NamedTuple):
    """The range in which a value should lie, with its ends."""

    least: float = -math.inf
    most: float = math.inf

    def __str__(self) -> str:
        if self.least == -math.inf:
            return f"<= {self.most:g}"
        return f">= {self.least:g}" if self.most == math.inf else f"{self.least:g}-{self.most:g}"


class Measured(NamedTuple):
    """The value of a measure over a number of texts or traces; its aim is judged if they are at least `needed`."""

    name: str
    value: float
    over: int
    needed: int = 0
    aim: Aim | None = None

    @property
    def verdict(self) -> str:
        """Whether the aim is met: ok, MISS, "few" if there are too few texts or traces, or nothing without an aim."""
        if self.aim is None or self.over < self.needed:
            return "" if self.aim is None else "few"
        return "ok" if self.aim.least <= self.value <= self.aim.most else "MISS"


AIMS: Mapping[str, Aim] = {
    "raw pass rate": Aim(least=0.98),
    "self_bleu4 at 500": Aim(most=0.5),
    "distinct_2 at 500": Aim(least=0.46),
    "distinct_3 at 500": Aim(least=0.68),
    "skel8_frac at 2,000": Aim(most=0.04),
    "cr_zlib at 2,000": Aim(most=3.1),
    "tokens, standard deviation at 2,000": Aim(least=15),
    "seven tokens or fewer at 2,000": Aim(least=0.05),
    "nd_char5 at 10,000": Aim(most=0.02),
    "ndm_char5 at 10,000": Aim(most=0.06),
    "question mark at 10,000": Aim(least=0.4),
    "can you, could you at 10,000": Aim(least=0.15),
    "I need, want, 'd like at 10,000": Aim(least=0.12),
    "colon at 10,000": Aim(most=0.15),
    "spaced dash at 10,000": Aim(most=0.04),
    "all lower case at 10,000": Aim(most=0.08),
    "opening, reason or closing at 10,000": Aim(most=0.5),
    "ndm_char5 at 80,000": Aim(most=0.15),
    "distinct scenarios": Aim(least=40),
    "distinct goal shapes": Aim(least=300),
    "distinct plan shapes": Aim(least=60),
    "calls per trace": Aim(2.5, 3.5),
    "two or more calls": Aim(least=0.65),
    "data flow, of two or more calls": Aim(least=0.6),
    "five or more calls": Aim(least=0.1),
    "argument values literally in the text": Aim(0.3, 0.55),
    **{f"intent {intent}": Aim(0.08, 0.3) for intent in INTENTS},
    "plan breaks another policy": Aim(least=0.4),
    "not gold under another policy": Aim(least=0.6),
    "another plan under another policy": Aim(least=0.3),
}
"""Aims for each domain by itself."""

LIMIT_AIM = Aim(least=0.08)
"""Share of the traces that a numeric limit concerns in which it is met exactly."""

AIMS_OF_ALL_DOMAINS: Mapping[str, Aim] = {
    "self_bleu4 at 500": Aim(most=0.32),
    "self_bleu4 masked at 500": Aim(most=0.33),
    "distinct_2 at 500": Aim(least=0.56),
    "distinct_3 at 500": Aim(least=0.8),
    "open3_eff at 500": Aim(least=150),
    "skel8_frac at 2,000": Aim(most=0.01),
    "cr_zlib at 2,000": Aim(most=2.8),
    "dup_template at 2,000": Aim(most=0.005),
    "open3_eff at 2,000": Aim(least=300),
    "nd_char5 at 10,000": Aim(most=0.01),
    "ndm_char5 at 10,000": Aim(most=0.03),
    "dup_template at 10,000": Aim(most=0.01),
    "open3_eff at 10,000": Aim(least=500),
}
"""Aims for the texts of all domains together."""


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
        print(*map(format_line, measured), sep="\n")
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


def format_line(each: Measured) -> str:
    """A line of a table: name, number of texts or traces, value, aim, verdict."""
    value = f"{each.value:,.0f}" if each.value >= 100 or each.name.startswith("distinct ") else f"{each.value:.4f}"
    return f"{each.name:52}{each.over:>8,}{value:>10}  {each.aim or ''!s:10}{each.verdict}".rstrip()


def as_plain(measured: Sequence[Measured]) -> dict[str, dict[str, object]]:
    """Measures by name, as plain data that JSON can hold."""
    return {
        each.name: {"over": each.over, "value": each.value, "aim": str(each.aim or ""), "verdict": each.verdict}
        for each in measured
    }


def shuffled(items: Sequence[_ItemT]) -> list[_ItemT]:
    """The items in an order that depends on their number alone; its beginning is a sample of them."""
    order = list(range(len(items)))
    random.Random(SHUFFLE_SEED).shuffle(order)
    return [items[at] for at in order]


# --- one domain ------------------------------------------------------------------------------------------------


def measure_domain(slug: str, *, total: int, seed: int, pairs: int) -> DomainQuality:
    """Makes the first `total` traces of a domain and measures them; each is looked at once and then forgotten."""
    registry = DomainRegistry()
    domain, judge = registry.domain(slug), ProvenPlans(TraceValidator(registry))
    oracle = ScenarioOracle(seed, datetime(2026, 11, 22, tzinfo=UTC))
    rng = stream(seed, slug, "pairs")
    indices_of_pairs = set(rng.sample(range(total), min(pairs, total)))
    plan_counts, limit_counts, pair_counts = PlanCounts(), LimitCounts(), PairCounts()
    limits_of_instance: dict[tuple[object, ...], TraceLimits] = {}
    texts, gold = list[Text](), 0
    for index in range(total):
        if index % 10_000 == 0:
            print(f"{slug}: {index:,} of {total:,} traces", file=sys.stderr, flush=True)
        trace = oracle.trace(Task(domain, "train", index))
        request = scheduled_request_at(domain, seed, "train", index, 0)
        if not isinstance(trace, GoldTrace) or request is None:
            continue
        if index < JUDGED:
            gold += judge.verdicts([trace])[0].is_gold
        values, rendered = argument_values(trace), request.rendered
        is_framed = rendered.core[0] > 0 or rendered.core[1] < len(rendered.text)
        texts.append(Text(rendered.text, mask(rendered.text, values), is_framed))
        plan_counts.add(trace, domain, values)
        instance = request.world.name, request.scenario, request.instance_index
        if instance not in limits_of_instance:
            limits_of_instance[instance] = trace_limits(TraceContext(trace, registry))
        limit_counts.add(limits_of_instance[instance])
        if index in indices_of_pairs:
            pair_counts.add(trace, request, registry, rng)
    print(f"{slug}: {total:,} traces made; measuring their texts", file=sys.stderr, flush=True)
    texts = shuffled(texts)
    judged = min(total, JUDGED)
    measured = [
        Measured("raw pass rate", gold / judged, judged, 0, AIMS["raw pass rate"]),
        *measure_texts(texts, AIMS),
        *measure_shapes(plan_counts),
        *(Measured(name, value, plan_counts.traces, 0, AIMS.get(name)) for name, value in plan_counts.means()),
        *(Measured(name, n / max(1, of), of, 0, AIMS.get(name)) for name, n, of in pair_counts.shares()),
        *measure_limits(limit_counts),
    ]
    return DomainQuality(measured, limit_counts.rules_without_traces(domain), texts[:MANY])


def measure_texts(texts: Sequence[Text], aims: Mapping[str, Aim]) -> Iterator[Measured]:
    """Yields the measures of texts, with those aims."""
    for name, size, value in text_values(texts):
        yield Measured(name, value, min(size, len(texts)), size, aims.get(name))


def measure_shapes(counts: PlanCounts) -> Iterator[Measured]:
    """Yields how many different scenarios and shapes there are; such numbers grow with that of the traces."""
    for name, number in (
        ("distinct scenarios", len(counts.scenarios)),
        ("distinct goal shapes", len(counts.goal_shapes)),
        ("distinct plan shapes", len(counts.plan_shapes)),
    ):
        yield Measured(name, number, counts.traces, ALL, AIMS[name])


def measure_limits(counts: LimitCounts) -> Iterator[Measured]:
    """Yields how many rules concern a trace, and for each numeric limit how often it is met exactly."""
    yield Measured("rules in force", counts.rules_in_force / counts.traces, counts.traces)
    yield Measured("rules that concern a trace", counts.concerned.total() / counts.traces, counts.traces)
    for limit in sorted(counts.spoken_of):
        over = counts.spoken_of[limit]
        yield Measured(f"met exactly: {'.'.join(limit)}", counts.met_exactly[limit] / over, over, SPOKEN_OF, LIMIT_AIM)


if __name__ == "__main__":
    main()
