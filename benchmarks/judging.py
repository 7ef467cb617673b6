"""Measures judging from written bytes: traces per CPU second on one core, and that verdicts equal those of single traces.

    python -m scripts.generate_shards --total 20000 --output-dir out/run
    python -m benchmarks.judging out/run

Absolute times depend on the machine, so each is also given as a multiple of the time that pydantic takes, in the same
run, to validate the plain data of one trace.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

from benchmarks.throughput import baseline_seconds, megabytes
from builder.judging import Tally, judge_source
from builder.sources import open_source, read_piece
from builder.workers import deferred_garbage_collection
from gatling_sid.models import GoldTrace
from gatling_sid.schemas import DomainRegistry
from gatling_sid.validators import TraceValidator
from gatling_sid.validators.proofs import ProvenPlans


def read_batches(name: str, revision: str | None) -> Iterator[list[GoldTrace]]:
    """Yields all traces of a source, several at a time."""
    return (traces for piece in open_source(name, revision).pieces for traces in read_piece(piece))


def main() -> None:
    """Judges a source as `validate_shards` does, and compares the verdicts with those of single traces."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "source", help="folder of a finished run or of a release, a JSONL file, or OWNER/NAME on the Hub"
    )
    parser.add_argument("--revision", help="tag, branch or commit of a dataset on the Hub")
    args = parser.parse_args()

    registry = DomainRegistry()
    for slug in registry.slugs():
        registry.domain(slug)
    start, total = time.process_time(), Tally()
    for tally in judge_source(open_source(args.source, args.revision)):
        total += tally
    seconds, memory = time.process_time() - start, megabytes()

    validator = TraceValidator(registry)
    proofs, equal_verdicts, single_seconds = ProvenPlans(validator), 0, 0.0
    with deferred_garbage_collection():
        for traces in read_batches(args.source, args.revision):
            verdicts = proofs.verdicts(traces)
            start = time.process_time()
            reports = [validator.validate_trace(trace)[1] for trace in traces]
            single_seconds += time.process_time() - start
            equal_verdicts += sum(
                (not verdict.findings, verdict == ([], [])) == (report["overall_valid"], report["validated"])
                for verdict, report in zip(verdicts, reports, strict=True)
            )
    sample = next(read_batches(args.source, args.revision))[:200]
    baseline = baseline_seconds(sample)

    print(
        f"{total.judged_count:,} traces, {total.gold_count:,} gold, {total.rejected_by_rule.total():,} rejected, "
        f"{total.full_proofs:,} plans proven in full"
    )
    count = total.judged_count
    print(
        f"{count / seconds:,.0f} traces per CPU second from written bytes, with loading of catalogue and worlds: "
        f"{seconds / count * 1e6:.0f} µs each, {seconds / count / baseline:.2f} times the baseline"
    )
    print(
        f"{count / single_seconds:,.0f} traces per CPU second one by one, without decoding; the same verdict on "
        f"{equal_verdicts:,} of {count:,}"
    )
    print(f"baseline: validating one such trace's plain data with pydantic, {baseline * 1e6:.0f} µs")
    print(f"peak memory: {memory:.0f} MB")


if __name__ == "__main__":
    main()
