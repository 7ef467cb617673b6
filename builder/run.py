"""A generation run: shards made by worker processes in any order, each a function of the settings alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple, Protocol

from builder.audit import count_repeated_texts, request_texts
from builder.shards import (
    Receipt,
    RunSettings,
    Shard,
    open_run,
    read_receipt,
    shards_of,
    why_domains_changed,
    write_manifest,
    write_shard,
)
from builder.workers import deferred_garbage_collection, map_in_processes
from gatling_sid.errors import CatalogueError, GenerationError, ShardError
from gatling_sid.generator import Rejection, generate
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Oracle, Task
from gatling_sid.scenarios.schedule import capacity
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import SPLITS, Domain
from gatling_sid.simulator.world import LAST_DAY
from gatling_sid.validators import TraceValidator
from gatling_sid.validators.proofs import ProvenPlans

BATCH = 2048
"""Traces made, judged and written at a time: what bounds a worker's memory."""
MOST_TRACES = 10**11
ONLINE_BATCH = 20_000
"""Traces of an online oracle made at a time, whole shards of any domain: its phases wait for each other."""


class OnlineOracle(Oracle, Protocol):
    """An oracle that answers over the network: one process, and some tasks may come to nothing."""

    def remember_texts(self, texts: Iterable[str]) -> None:
        """Request texts that are taken."""
        ...


def plan_run(
    domains: Sequence[str],
    total: int,
    splits: Mapping[str, float],
    *,
    seed: int,
    created_at: datetime,
    shard_size: int,
    oracle: str = ScenarioOracle.name,
) -> RunSettings:
    """Settings of a run of `total` traces, spread evenly over domains and by share over splits.

    Raises:
        GenerationError: a number that makes no sense, or more traces than a domain's wordings can tell apart.
        UnknownDomainError: no such domain.

    """
    if total < 1:
        raise GenerationError(f"total is {total}; ask for at least 1 trace")
    if total > MOST_TRACES:
        raise GenerationError(
            f"total has {len(str(total))} digits; no more than {MOST_TRACES:,} traces can be told apart"
        )
    if shard_size < 1:
        raise GenerationError(f"shard size is {shard_size}; it must be at least 1")
    if created_at.date() < LAST_DAY:
        raise GenerationError(
            f"created_at is {created_at.date()}; a trace is made on or after the day it plays on, the last is {LAST_DAY}"
        )
    unknown = sorted(set(splits) - set(SPLITS))
    if unknown or not splits or min(splits.values()) < 0 or not 0 < sum(splits.values()) < 1e6:
        raise GenerationError(f"splits are shares of {', '.join(SPLITS)}, such as train=0.9,validation=0.05,test=0.05")
    registry = DomainRegistry()
    chosen = sorted({registry.domain(name).slug for name in domains}) or registry.slugs()
    totals = {
        slug: {split: n for split, n in split_by_share(part, splits).items() if n}
        for slug, part in split_by_share(total, dict.fromkeys(chosen, 1.0)).items()
        if part
    }
    for slug, parts in totals.items():
        for split, number in parts.items():
            most = capacity(registry.domain(slug), split)
            if number > most and oracle == ScenarioOracle.name:
                raise GenerationError(
                    f"{slug} can word {most:,} different {split} requests, {number:,} are asked for; "
                    "ask for less, or add phrasings to the domain"
                )
    catalogue = {slug: registry.domain(slug).digest for slug in totals}
    return RunSettings(seed, oracle, created_at.isoformat(), shard_size, totals, catalogue)


def split_by_share(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """`total` divided by shares, by largest remainder; adds up exactly."""
    whole = sum(shares.values())
    exact = {name: total * share / whole for name, share in shares.items()}
    parts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: parts[name] - exact[name])
    for name in by_remainder[: total - sum(parts.values())]:
        parts[name] += 1
    return parts


# --- one shard -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _judge() -> ProvenPlans:
    return ProvenPlans(TraceValidator(DomainRegistry()))


def make_shard(root: Path, settings: RunSettings, shard: Shard) -> Receipt:
    """Makes, judges and writes one shard.

    Raises:
        GenerationError: a task was given up, which for the embedded oracle is a fault of the domain file; or that
            file was edited since the run began.
        ShardError: the shard cannot be written.

    """
    judge = _judge()
    _check_settings(root, settings, [shard.domain], judge.validator.registry)
    domain = judge.validator.registry.domain(shard.domain)
    oracle = ScenarioOracle(settings.seed, datetime.fromisoformat(settings.created_at))
    return write_shard(root, shard, _batches(domain, shard, oracle, judge))


def _check_settings(root: Path, settings: RunSettings, domains: Iterable[str], registry: DomainRegistry) -> None:
    """Domains are those of the run's settings: on disk at this moment, and as they were loaded whenever that was.

    What was loaded stays as it is, so the rows made next have the version that the settings name, whatever is edited
    meanwhile; the next shard then stops the run.

    Raises:
        GenerationError: a domain file, or the pools, were edited since the run began; says what to do.

    """
    for slug in domains:
        try:
            unchanged = registry.digest_on_disk(slug) == settings.catalogue[slug] == registry.domain(slug).digest
        except CatalogueError:  # gone, or saved by half
            unchanged = False
        if not unchanged:
            raise GenerationError(why_domains_changed(root, [slug]))


def _make_shards_online(
    root: Path, settings: RunSettings, shards: Sequence[Shard], oracle: OnlineOracle
) -> Iterator[tuple[Shard, Receipt]]:
    """Several shards at a time; what the oracle cannot make is left out of them."""
    judge = _judge()
    for group in _in_groups(shards):
        _check_settings(root, settings, dict.fromkeys(shard.domain for shard in group), judge.validator.registry)
        made = generate([task for shard in group for task in _tasks_of(shard, judge)], oracle, judge)
        traces = {trace.trace_id: trace for trace in made.traces}
        rejections: dict[str, list[Rejection]] = {}
        for each in made.rejections:
            rejections.setdefault(each.trace_id, []).append(each)
        for shard in group:
            ids = [task.trace_id for task in _tasks_of(shard, judge)]
            mine = [traces[each] for each in ids if each in traces]
            rejected = [rejection for each in ids for rejection in rejections.get(each, ())]
            yield shard, write_shard(root, shard, [(mine, rejected)])


def _tasks_of(shard: Shard, judge: ProvenPlans) -> list[Task]:
    domain = judge.validator.registry.domain(shard.domain)
    return [Task(domain, shard.split, index) for index in range(shard.start, shard.stop)]


def _in_groups(shards: Sequence[Shard]) -> Iterator[list[Shard]]:
    group: list[Shard] = []
    for shard in shards:
        if group and sum(each.stop - each.start for each in [*group, shard]) > ONLINE_BATCH:
            yield group
            group = []
        group.append(shard)
    yield from [group] if group else []


def _batches(
    domain: Domain, shard: Shard, oracle: Oracle, judge: ProvenPlans
) -> Iterator[tuple[list[GoldTrace], list[Rejection]]]:
    for start in range(shard.start, shard.stop, BATCH):
        tasks = [Task(domain, shard.split, index) for index in range(start, min(start + BATCH, shard.stop))]
        made = generate(tasks, oracle, judge)
        if made.given_up:
            task = made.given_up[0]
            last = [each for each in made.rejections if each.trace_id == task.trace_id][-1]
            raise GenerationError(
                f"{task.trace_id} was given up after {oracle.max_attempts} attempts; the last ({last.scenario}): "
                f"{last.reason}: {last.message}"
            )
        yield made.traces, made.rejections


# --- all shards ------------------------------------------------------------------------------------------------


class Progress(NamedTuple):
    """How far a run is: rows done of all, rejections so far, rows made in this process and the seconds it took."""

    done: int
    total: int
    rejected: int
    made: int
    seconds: float

    @property
    def rate(self) -> float:
        """Traces per second in this sitting."""
        return self.made / self.seconds if self.seconds else 0.0

    @property
    def eta(self) -> float | None:
        """Seconds left at this rate."""
        return (self.total - self.done) / self.rate if self.rate else None

    @property
    def pass_rate(self) -> float:
        """Share of proposals that were gold as proposed."""
        return self.done / (self.done + self.rejected) if self.done else 0.0


@dataclass(frozen=True)
class RunResult:
    """A run that is complete."""

    receipts: list[Receipt]
    made: int
    seconds: float


def run(
    root: Path,
    settings: RunSettings,
    *,
    workers: int,
    report: Callable[[Progress], None],
    online: OnlineOracle | None = None,
) -> RunResult:
    """Makes every shard of a run that is not there yet, then the manifest; the same call finishes an interrupted run.

    With an `online` oracle all is made in this process.

    Raises:
        ShardError: the folder cannot be used or written; what is complete stays.
        GenerationError: a shard cannot be made, a domain file was edited since the run began, or request texts repeat.
        OracleError: the online oracle cannot go on; what it has not made does not count as finished.

    """
    open_run(root, settings)
    _judge.cache_clear()  # what an earlier run of this process loaded may have been edited since
    started = time.monotonic()
    shards = shards_of(settings)
    receipts = {shard: receipt for shard in shards if (receipt := read_receipt(root, shard)) is not None}
    total, made = sum(shard.stop - shard.start for shard in shards), 0

    def tell() -> None:
        rejected = sum(len(each.rejections) for each in receipts.values())
        done = sum(each.rows for each in receipts.values())
        report(Progress(done, total, rejected, made, time.monotonic() - started))

    tell()
    if online is not None:
        for receipt in receipts.values():
            for texts in request_texts(root / receipt.name):
                online.remember_texts(texts)
    missing = [shard for shard in shards if shard not in receipts]
    making = (
        _make_shards(root, settings, missing, workers)
        if online is None
        else _make_shards_online(root, settings, missing, online)
    )
    for shard, receipt in making:
        receipts[shard] = receipt
        made += receipt.rows
        tell()
    ordered = [receipts[shard] for shard in shards]
    repeated = count_repeated_texts([root / each.name for each in ordered])
    if repeated:
        raise GenerationError(f"{repeated} request texts repeat; the domain needs more phrasings")
    write_manifest(root, settings, ordered, repeated_texts=repeated)
    return RunResult(ordered, made, time.monotonic() - started)


def _make_shards(
    root: Path, settings: RunSettings, shards: Sequence[Shard], workers: int
) -> Iterator[tuple[Shard, Receipt]]:
    """Shards as they are finished, in no particular order."""
    if workers == 1 or len(shards) <= 1:
        for shard in shards:
            with deferred_garbage_collection():
                receipt = make_shard(root, settings, shard)
            yield shard, receipt
        return
    try:
        yield from map_in_processes(partial(make_shard, root, settings), shards, workers, _judge)
    except BrokenProcessPool:
        raise GenerationError("a worker was killed; run the same command again to go on") from None


def rejections_by_reason(receipts: Sequence[Receipt]) -> dict[str, int]:
    """How many proposals each rule rejected."""
    counts: dict[str, int] = {}
    for receipt in receipts:
        for rejection in receipt.rejections:
            counts[rejection.reason] = counts.get(rejection.reason, 0) + 1
    return dict(sorted(counts.items(), key=lambda each: -each[1]))


__all__ = [
    "Progress",
    "RunResult",
    "ShardError",
    "make_shard",
    "plan_run",
    "rejections_by_reason",
    "run",
    "split_by_share",
]
