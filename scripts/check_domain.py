"""Checks a domain file: whether it loads, whether its traces pass, and how varied they are.

python -m scripts.check_domain finance
python -m scripts.check_domain finance --traces 3000 --show 30
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from gatling_sid.errors import GenerationError
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.claude.prompts.system_prompts import MIN_VARIANTS
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Failure, Task
from gatling_sid.scenarios.schedule import split_capacity
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import SPLITS, Domain
from gatling_sid.schemas.language.phrasing import phrasing_of
from gatling_sid.validators import TraceValidator
from gatling_sid.views.text import to_text
from scripts.command import FAILED, command


def arguments() -> argparse.ArgumentParser:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domain", help="a domain's name or slug")
    parser.add_argument("--traces", type=int, default=1000, help="number of traces to make and judge (default 1000)")
    parser.add_argument("--show", type=int, default=0, help="number of traces to print in full (default 0)")
    parser.add_argument("--seed", type=int, default=7, help="random seed of the traces (default 7)")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Makes traces with one attempt each, judges them, and prints statistics and findings."""
    args = arguments().parse_args(argv)
    if args.traces < 1 or args.show < 0:
        raise GenerationError("--traces must be at least 1, and --show at least 0")
    registry = DomainRegistry()
    domain, validator = registry.domain(args.domain), TraceValidator(registry)
    oracle = ScenarioOracle(args.seed, datetime(2026, 1, 1, tzinfo=UTC))
    proposals = [oracle.trace(Task(domain, SPLITS[index % 3], index)) for index in range(args.traces)]
    traces = [each for each in proposals if isinstance(each, GoldTrace)]
    for trace in traces[: args.show]:
        print(to_text(trace, registry), "\n")
    problems = Counter(each.detail for each in proposals if isinstance(each, Failure))
    for trace in traces:
        problems.update(f"{trace.metadata['scenario']}: {each}" for each in validator.findings(trace)[:1])
    if traces:
        print("\n".join(describe_domain(domain, traces)))
    print(f"raw pass rate {1 - sum(problems.values()) / len(proposals):.2%} of {len(proposals):,}")
    for problem, times in problems.most_common(20):
        print(f"  {times} x {problem}")
    return FAILED if problems else 0


def describe_domain(domain: Domain, traces: Sequence[GoldTrace]) -> Iterable[str]:
    """Yields lines of statistics about the traces of a domain, with targets."""
    calls = [len(trace.graph.calls) for trace in traces]
    number = len(traces)
    with_data_flow = sum(any(s.origin == "call" for c in t.graph.calls for s in c.argument_sources) for t in traces)
    words = sorted(len(trace.request.text.split()) for trace in traces)
    intents = Counter(trace.request.intent_category for trace in traces)
    used_tools = {call.tool_id for trace in traces for call in trace.graph.calls}
    yield f"calls per trace {sum(calls) / number:.2f} (aim 2.5-3.5)"
    multi_call, many_calls = sum(n > 1 for n in calls) / number, sum(n > 4 for n in calls) / number
    yield f"two or more calls {multi_call:.0%} (aim 65% or more), five or more {many_calls:.0%} (aim 10% or more)"
    yield f"with data flow {with_data_flow / number:.0%}; words per request {words[0]} to {words[-1]}, median {words[number // 2]}"
    yield "intents " + ", ".join(f"{name} {n / number:.0%}" for name, n in intents.most_common()) + " (aim 8-30% each)"
    unused = sorted(domain.tools.keys() - used_tools - domain.family.always_forbidden_tools)
    yield f"tools never used: {', '.join(unused) or 'none'}; not counting those that every policy forbids: " + (
        ", ".join(sorted(domain.family.always_forbidden_tools)) or "none"
    )
    yield f"policies {domain.family.size:,}; wordings {', '.join(f'{s} {split_capacity(domain, s):,}' for s in SPLITS)}"
    with_few_variants = [
        text
        for s in domain.file.scenarios.values()
        for text in s.phrasings
        if phrasing_of(text).variants < MIN_VARIANTS
    ]
    yield f"phrasings with fewer than {MIN_VARIANTS} variants: {len(with_few_variants)}"


if __name__ == "__main__":
    raise SystemExit(main())
