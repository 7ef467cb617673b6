"""Measures how fast gold traces are made, judged and written on one core, stage by stage, and the memory this takes.

    python -m benchmarks.throughput [--traces 48000]

Every domain is one shard, made as `generate_shards` makes it: garbage is collected once, at its end, and each shard
begins without proofs. The last rows also count what all shards share: loading the catalogue and starting Python.

Figures depend on the machine and on its other work. Compare only runs on the same machine whose reference times, printed
at the end, are about equal.
"""

from __future__ import annotations

import argparse
import gc
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pyarrow import ipc

from builder.columns import SCHEMA
from builder.features import table_of
from builder.run import TRACES_AT_ONCE
from builder.shards import WRITE_OPTIONS
from builder.workers import deferred_garbage_collection
from gatling_sid.models import GoldTrace, replace_fields
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import Domain
from gatling_sid.validators import TraceValidator
from gatling_sid.validators.proofs import ProvenPlans

STAGES = ("propose", "prove", "columns", "write", "garbage")
"""To propose traces, judge them, turn gold into columns, write these, and collect garbage."""


class Stopwatch:
    """Adds up CPU seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the CPU time of a block to a stage."""
        start = time.process_time()
        yield
        self.seconds[name] += time.process_time() - start


class Counts:
    """Numbers of gold traces, of their calls, of rejections and of plans proven in full."""

    def __init__(self) -> None:
        self.gold = self.calls = self.rejected = self.full_proofs = 0


def megabytes() -> float:
    """The peak memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def baseline_seconds(sample: Sequence[GoldTrace]) -> float:
    """CPU seconds that pydantic takes to validate the plain data of one of these traces; tells how fast a machine is."""
    plain = [trace.model_dump() for trace in sample]
    start = time.process_time()
    for _ in range(5):
        for each in plain:
            GoldTrace.model_validate(each)
    return (time.process_time() - start) / (5 * len(plain))


def make_shard(
    domain: Domain,
    size: int,
    validator: TraceValidator,
    writer: ipc.RecordBatchStreamWriter,
    watch: Stopwatch,
    counts: Counts,
) -> list[GoldTrace]:
    """Makes, judges and writes the first `size` traces of a domain; returns its last gold ones."""
    oracle, judge = ScenarioOracle(7, datetime(2026, 11, 22, tzinfo=UTC)), ProvenPlans(validator)
    gold: list[GoldTrace] = []
    for start in range(0, size, TRACES_AT_ONCE):
        with watch.stage("propose"):
            indices = range(start, min(start + TRACES_AT_ONCE, size))
            proposals = [oracle.trace(Task(domain, "train", index)) for index in indices]
        with watch.stage("prove"):
            traces = [each for each in proposals if isinstance(each, GoldTrace)]
            verdicts = judge.verdicts(traces)
            gold = [
                replace_fields(trace, validated=True)
                for trace, verdict in zip(traces, verdicts, strict=True)
                if verdict.is_gold
            ]
        with watch.stage("columns"):
            table = table_of(gold)
        with watch.stage("write"):
            writer.write_table(table)
        counts.gold += len(gold)
        counts.calls += sum(len(trace.graph.calls) for trace in gold)
        counts.rejected += len(proposals) - len(gold)
    counts.full_proofs += judge.full_proofs
    with watch.stage("garbage"):
        gc.collect()
    return gold


def main() -> None:
    """Makes one shard of each domain and prints the time and memory that this took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--traces", type=int, default=48_000, help="number of traces, all domains together (default 48000)"
    )
    total = parser.parse_args().traces

    registry = DomainRegistry()
    validator = TraceValidator(registry)
    domains = [registry.domain(slug) for slug in registry.slugs()]
    watch, counts, memory = Stopwatch(), Counts(), list[tuple[int, float]]()
    sample: list[GoldTrace] = []
    with tempfile.TemporaryDirectory() as folder, deferred_garbage_collection():
        path = Path(folder) / "shards.arrow"
        with path.open("wb") as file, ipc.new_stream(file, SCHEMA, options=WRITE_OPTIONS) as writer:
            for domain in domains:
                sample = make_shard(domain, total // len(domains), validator, writer, watch, counts)[:200]
                memory.append((counts.gold, megabytes()))
        bytes_per_trace = path.stat().st_size / counts.gold
    process_seconds = time.process_time()

    print(
        f"{counts.gold:,} traces of {len(domains)} domains, {counts.calls / counts.gold:.2f} calls each; "
        f"{counts.full_proofs:,} plans proven in full; {counts.rejected:,} proposals rejected"
    )
    print(f"{'stage':20}{'µs/trace':>10}")
    for name in STAGES:
        print(f"{name:20}{watch.seconds[name] / counts.gold * 1e6:>10.0f}")
    stage_seconds = sum(watch.seconds.values())
    print(f"{'all stages':20}{stage_seconds / counts.gold * 1e6:>10.0f}")
    print(f"{'whole process':20}{process_seconds / counts.gold * 1e6:>10.0f}")
    print(
        f"{counts.gold / stage_seconds:,.0f} traces per CPU second on one core "
        f"({counts.gold / process_seconds:,.0f} with start-up and loading); {bytes_per_trace:.0f} bytes each"
    )
    print("peak memory: " + ", ".join(f"{peak:.0f} MB after {n:,}" for n, peak in memory))
    print(f"reference: pydantic validates the plain data of one such trace in {baseline_seconds(sample) * 1e6:.0f} µs")


if __name__ == "__main__":
    main()
