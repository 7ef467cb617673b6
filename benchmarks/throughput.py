"""Fully proven traces per second of CPU on one core, written to disk, by stage; and that memory does not grow.

    python -m benchmarks.throughput [--traces 48000]

Absolute figures drift with the machine, so each is also given as a multiple of what validating one trace's plain data
with pydantic costs in the same run.
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

from builder.features import SCHEMA, table_of
from builder.run import BATCH
from builder.shards import WRITE_OPTIONS
from gatling_sid.models import GoldTrace, construct_trusted
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.validators import TraceValidator
from gatling_sid.validators.proofs import ProvenPlans

STAGES = ("propose", "prove", "columns", "write")


class Stopwatch:
    """CPU seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the CPU time of a block to a stage."""
        start = time.process_time()
        yield
        self.seconds[name] += time.process_time() - start


def megabytes() -> float:
    """The most memory this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def baseline_seconds(sample: Sequence[GoldTrace]) -> float:
    """CPU seconds for validating the plain data of one of these traces with pydantic."""
    plain = [trace.model_dump() for trace in sample]
    start = time.process_time()
    for _ in range(5):
        for each in plain:
            GoldTrace.model_validate(each)
    return (time.process_time() - start) / (5 * len(plain))


def main() -> None:
    """Runs the line by hand, batch by batch, over all domains in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=48_000)
    total = parser.parse_args().traces

    registry = DomainRegistry()
    judge = ProvenPlans(TraceValidator(registry))
    oracle = ScenarioOracle(7, datetime(2026, 11, 22, tzinfo=UTC))
    domains = [registry.domain(slug) for slug in registry.slugs()]
    per_domain = total // len(domains)
    gc.freeze()
    gc.disable()
    watch, made, rejected, calls, memory = Stopwatch(), 0, 0, 0, list[tuple[int, float]]()
    sample: list[GoldTrace] = []
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "shard.arrow").open("wb") as file:
        with ipc.new_stream(file, SCHEMA, options=WRITE_OPTIONS) as writer:
            for domain in domains:
                for start in range(0, per_domain, BATCH):
                    indices = range(start, min(start + BATCH, per_domain))
                    with watch.stage("propose"):
                        proposals = [oracle.trace(Task(domain, "train", index)) for index in indices]
                    traces = [each for each in proposals if isinstance(each, GoldTrace)]
                    with watch.stage("prove"):
                        verdicts = judge.verdicts(traces)
                    gold = [trace for trace, verdict in zip(traces, verdicts, strict=True) if verdict.is_gold]
                    gold = [construct_trusted(GoldTrace, {**trace.__dict__, "validated": True}) for trace in gold]
                    with watch.stage("columns"):
                        table = table_of(gold)
                    with watch.stage("write"):
                        writer.write_table(table)
                    made += len(gold)
                    rejected += len(proposals) - len(gold)
                    calls += sum(len(trace.graph.calls) for trace in gold)
                    sample = gold[:200]
                    gc.collect()
                memory.append((made, megabytes()))
        bytes_per_trace = (Path(folder) / "shard.arrow").stat().st_size / made

    baseline = baseline_seconds(sample) * 1e6

    print(
        f"{made:,} traces over {len(domains)} domains, {calls / made:.2f} calls each, {rejected} rejected as proposed"
    )
    print(f"{'stage':12}{'µs/trace':>10}{'x baseline':>12}")
    for name in STAGES:
        micro = watch.seconds[name] / made * 1e6
        print(f"{name:12}{micro:>10.0f}{micro / baseline:>12.2f}")
    whole = sum(watch.seconds[name] for name in STAGES)
    print(f"{'all':12}{whole / made * 1e6:>10.0f}{whole / made * 1e6 / baseline:>12.2f}")
    print(f"baseline: validating one such trace's plain data with pydantic, {baseline:.0f} µs")
    print(f"{made / whole:,.0f} traces per CPU second on one core; {bytes_per_trace:.0f} bytes each")
    print("peak memory: " + ", ".join(f"{peak:.0f} MB after {n:,}" for n, peak in memory))


if __name__ == "__main__":
    main()
