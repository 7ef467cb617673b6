"""Judging what was written: traces per second of CPU on one core, decoding included, and the same verdicts as one by one.

    python -m scripts.generate_shards --total 20000 --output-dir out/run
    python -m benchmarks.judging out/run

Absolute figures drift with the machine, so each is also given as a multiple of what validating one trace's plain data
with pydantic costs in the same run.
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


def traces_of(name: str, revision: str | None) -> Iterator[list[GoldTrace]]:
    """All traces of a source, batch by batch."""
    return (traces for piece in open_source(name, revision).pieces for traces in read_piece(piece))


def main() -> None:
    """Judges a source as the command does, then compares the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "source", help="folder of a finished run or of a release, a JSONL file, or OWNER/NAME on the Hub"
    )
    parser.add_argument("--revision", help="tag, branch or commit of a dataset on the Hub")
    args = parser.parse_args()

    registry = DomainRegistry()
    for slug in registry.slugs():
        registry.domain(slug)
    start, whole = time.process_time(), Tally()
    for tally in judge_source(open_source(args.source, args.revision)):
        whole += tally
    seconds, memory = time.process_time() - start, megabytes()

    validator = TraceValidator(registry)
    proofs, alike, one_by_one = ProvenPlans(validator), 0, 0.0
    with deferred_garbage_collection():
        for traces in traces_of(args.source, args.revision):
            shared = proofs.verdicts(traces)
            start = time.process_time()
            reports = [validator.validate_trace(trace)[1] for trace in traces]
            one_by_one += time.process_time() - start
            alike += sum(
                (not verdict.findings, verdict == ([], [])) == (report["overall_valid"], report["validated"])
                for verdict, report in zip(shared, reports, strict=True)
            )
    sample = next(traces_of(args.source, args.revision))[:200]
    baseline = baseline_seconds(sample)

    print(
        f"{whole.judged:,} traces, {whole.gold:,} gold, {whole.rejected.total():,} rejected, {whole.full_proofs:,} plans proven"
    )
    print(f"{whole.judged / seconds:,.0f} traces per CPU second from written bytes: {seconds / whole.judged * 1e6:.0f} µs "
          f"each, {seconds / whole.judged / baseline:.2f} times the baseline; catalogue and worlds loaded on the way")  # fmt: skip
    print(f"{whole.judged / one_by_one:,.0f} traces per CPU second one by one, without decoding; the same verdict on "
          f"{alike:,} of {whole.judged:,}")  # fmt: skip
    print(f"baseline: validating one such trace's plain data with pydantic, {baseline * 1e6:.0f} µs")
    print(f"peak memory: {memory:.0f} MB")


if __name__ == "__main__":
    main()
