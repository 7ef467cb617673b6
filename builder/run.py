"""A generation run: worker processes make the shards in any order, and each shard depends on the settings alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, Protocol

from builder.audit import count_repeated_texts, examples_of_repeated_texts, request_texts
from builder.shards import (
    Receipt,
    RunSettings,
    Shard,
    ShardPart,
    domains_changed_message,
    open_run,
    read_receipt,
    shards_of,
    write_manifest,
    write_shard,
)
from builder.workers import deferred_garbage_collection, map_in_processes
from gatling_sid.errors import CatalogueError, GenerationError, ShardError
from gatling_sid.generator import Rejection, generate
from gatling_sid.models import Finding, GoldTrace, Verdict
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Oracle, Task
from gatling_sid.scenarios.schedule import split_capacity
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import SPLITS, Domain
from gatling_sid.simulator.world import LAST_DAY
from gatling_sid.validators import TraceValidator
from gatling_sid.validators.proofs import ProvenPlans

TRACES_AT_ONCE = 2048
"""Traces that are made, judged and written at a time; this limits the memory of a worker."""
MAX_TRACES = 10**11
"""Traces per run: the index in a trace's id has at most 11 digits."""
TRACES_PER_ONLINE_STEP = 20_000
"""Traces that an online oracle makes at a time, in complete shards of any domain.

There are so many because each phase starts only when the phase before it has finished.
"""

TRACES_QUICKER_THAN_LOADING = 64
"""Traces that are made sooner than another process would have loaded their domain and composed its tasks.

The shards of a domain that have so few together are made by the same process.
"""


class OnlineOracle(Oracle, Protocol):
    """An oracle that works over the network: it runs in one process, and may fail to make some traces."""

    def remember_texts(self, texts: Iterable[str]) -> None:
        """Adds request texts that the oracle must not write again."""
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
    """Settings of a run of `total` traces, divided evenly among domains and by share among splits.

    Raises:
        GenerationError: a number is out of range, or a domain has not so many different requests.
        UnknownDomainError: a domain does not exist.

    """
    if shard_size < 1:
        raise GenerationError(f"shard size is {shard_size}; it must be at least 1")
    if created_at.date() < LAST_DAY:
        raise GenerationError(
            f"created_at is {created_at.date()}; it must be {LAST_DAY} or later, the last date of the simulated worlds"
        )
    registry, totals = DomainRegistry(), plan_totals(domains, total, splits)
    for slug, parts in totals.items() if oracle == ScenarioOracle.name else ():
        for split, number in parts.items():
            capacity = split_capacity(registry.domain(slug), split)
            if number > capacity:
                raise GenerationError(
                    f"{slug} has {capacity:,} different requests for {split}, but {number:,} are needed; "
                    "lower --total, or add phrasings to the domain"
                )
    catalogue = {slug: registry.digest_on_disk(slug) for slug in totals}
    return RunSettings(seed, oracle, created_at.isoformat(), shard_size, totals, catalogue)


def plan_totals(domains: Sequence[str], total: int, splits: Mapping[str, float]) -> dict[str, dict[str, int]]:
    """Traces by domain (slug) and split: `total` divided evenly among domains and by share among splits.

    No domain file is loaded. An empty list of names means all domains.

    Raises:
        GenerationError: a number is out of range.
        UnknownDomainError: a domain does not exist.

    """
    if total < 1:
        raise GenerationError(f"total is {total}; ask for at least 1 trace")
    if total > MAX_TRACES:
        raise GenerationError(f"total has {len(str(total))} digits; a run has at most {MAX_TRACES:,} traces")
    unknown = sorted(set(splits) - set(SPLITS))
    if unknown or not splits or min(splits.values()) < 0 or not 0 < sum(splits.values()) < 1e6:
        raise GenerationError(f"splits are shares of {', '.join(SPLITS)}, such as train=0.9,validation=0.05,test=0.05")
    registry = DomainRegistry()
    chosen = sorted({registry.slug_of(name) for name in domains}) or registry.slugs()
    return {
        slug: {split: n for split, n in split_by_share(part, splits).items() if n}
        for slug, part in split_by_share(total, dict.fromkeys(chosen, 1.0)).items()
        if part
    }


def split_by_share(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Divides `total` by shares, using the largest remainders; the parts add up exactly."""
    share_sum = sum(shares.values())
    exact = {name: total * share / share_sum for name, share in shares.items()}
    parts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: parts[name] - exact[name])
    for name in by_remainder[: total - sum(parts.values())]:
        parts[name] += 1
    return parts


# --- one shard -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _validator() -> TraceValidator:
    """The validator of this process, kept from shard to shard with the domains that it has loaded."""
    return TraceValidator(DomainRegistry())


def make_shard(root: Path, settings: RunSettings, shard: Shard) -> Receipt:
    """Makes, judges and writes one shard.

    Raises:
        GenerationError: no attempt at a trace was gold, so the domain file is wrong; or that file was edited since the
            run began.
        ShardError: the shard cannot be written.

    """
    validator = _validator()
    _check_settings(root, settings, [shard.domain], validator.registry)
    domain = validator.registry.domain(shard.domain)
    oracle = ScenarioOracle(settings.seed, datetime.fromisoformat(settings.created_at))
    # Every shard begins without proofs, so that its `full_proofs` does not depend on which shards were made before.
    return write_shard(root, shard, _make_parts(domain, shard, oracle, ProvenPlans(validator)))


def _check_settings(root: Path, settings: RunSettings, domains: Iterable[str], registry: DomainRegistry) -> None:
    """Refuses domains whose version, on disk now or as loaded before, is not the one in the settings.

    A loaded domain never changes. So if its file is edited while a shard is made, the rows of that shard still have the
    version in the settings, and the next call of this function stops the run.

    Raises:
        GenerationError: a domain file or the pools were edited since the run began; says what to do.

    """
    for slug in domains:
        try:
            unchanged = registry.digest_on_disk(slug) == settings.catalogue[slug] == registry.domain(slug).digest
        except CatalogueError:  # the file was removed, or is being saved
            unchanged = False
        if not unchanged:
            raise GenerationError(domains_changed_message(root, [slug]))


def _make_shards_online(
    root: Path, settings: RunSettings, shards: Sequence[Shard], oracle: OnlineOracle
) -> Iterator[tuple[Shard, Receipt]]:
    """Makes several shards at a time; they leave out the traces that the oracle cannot make."""
    registry = _validator().registry
    for group in _in_groups(shards, TRACES_PER_ONLINE_STEP):
        _check_settings(root, settings, dict.fromkeys(shard.domain for shard in group), registry)
        tasks = {shard: _tasks_of(shard, registry) for shard in group}
        judge = _ShardJudge(tasks, _validator())
        result = generate([task for each in tasks.values() for task in each], oracle, judge)
        traces = {trace.trace_id: trace for trace in result.traces}
        rejections: dict[str, list[Rejection]] = {}
        for each in result.rejections:
            rejections.setdefault(each.trace_id, []).append(each)
        for shard in group:
            ids = [task.trace_id for task in tasks[shard]]
            own_traces = [traces[each] for each in ids if each in traces]
            own_rejections = [rejection for each in ids for rejection in rejections.get(each, ())]
            part = ShardPart(own_traces, own_rejections, judge.proofs[shard].full_proofs)
            yield shard, write_shard(root, shard, [part])


class _ShardJudge:
    """Judges the traces of several shards, each with the proofs of its own shard alone.

    So a shard's `full_proofs` does not depend on which other shards are made in the same call.
    """

    def __init__(self, tasks: Mapping[Shard, Sequence[Task]], validator: TraceValidator) -> None:
        self.proofs = {shard: ProvenPlans(validator) for shard in tasks}
        self._shards = {task.trace_id: shard for shard, each in tasks.items() for task in each}

    def findings(self, trace: GoldTrace) -> list[Finding]:
        """Everything that is wrong with one trace."""
        return self.verdicts([trace])[0].findings

    def verdicts(self, traces: Sequence[GoldTrace]) -> list[Verdict]:
        """One verdict per trace, in the same order."""
        return [self.proofs[self._shards[trace.trace_id]].verdicts([trace])[0] for trace in traces]


def _tasks_of(shard: Shard, registry: DomainRegistry) -> list[Task]:
    domain = registry.domain(shard.domain)
    return [Task(domain, shard.split, index) for index in range(shard.start, shard.stop)]


def _in_groups(shards: Sequence[Shard], most: int) -> Iterator[list[Shard]]:
    """Groups of successive shards with at most so many traces; a shard with more is a group of its own."""
    group: list[Shard] = []
    for shard in shards:
        if group and sum(each.stop - each.start for each in [*group, shard]) > most:
            yield group
            group = []
        group.append(shard)
    yield from [group] if group else []


def _make_parts(domain: Domain, shard: Shard, oracle: Oracle, judge: ProvenPlans) -> Iterator[ShardPart]:
    for start in range(shard.start, shard.stop, TRACES_AT_ONCE):
        tasks = [Task(domain, shard.split, index) for index in range(start, min(start + TRACES_AT_ONCE, shard.stop))]
        before = judge.full_proofs
        result = generate(tasks, oracle, judge)
        if result.abandoned_tasks:
            task = result.abandoned_tasks[0]
            last = [each for each in result.rejections if each.trace_id == task.trace_id][-1]
            of_scenario = f" ({last.scenario})" if last.scenario else ""
            raise GenerationError(
                f"{task.trace_id} was given up after {oracle.max_attempts} attempts; the last one{of_scenario}: "
                f"{last.reason}: {last.message}"
            )
        yield ShardPart(result.traces, result.rejections, judge.full_proofs - before)


# --- all shards ------------------------------------------------------------------------------------------------


class Progress(NamedTuple):
    """Progress of a run: rows that exist, rows in total, rejections, rows that this call made, seconds of this call."""

    done: int
    total: int
    rejected: int
    new_rows: int
    seconds: float

    @property
    def rate(self) -> float:
        """Traces per second that this call made."""
        return self.new_rows / self.seconds if self.seconds else 0.0

    @property
    def eta(self) -> float | None:
        """Seconds left at this rate; None if nothing was made yet."""
        return (self.total - self.done) / self.rate if self.rate else None

    @property
    def pass_rate(self) -> float:
        """Share of all proposals that were gold."""
        return self.done / (self.done + self.rejected) if self.done else 0.0


@dataclass(frozen=True)
class RunResult:
    """A finished run: all receipts, how many rows this call made, and the seconds it took."""

    receipts: list[Receipt]
    new_rows: int
    seconds: float


def run(
    root: Path,
    settings: RunSettings,
    *,
    workers: int,
    report: Callable[[Progress], None],
    online: OnlineOracle | None = None,
) -> RunResult:
    """Makes every missing shard of a run, then the manifest; the same call finishes an interrupted run.

    With an `online` oracle, this process makes all of them.

    Raises:
        ShardError: the folder cannot be used or written, or an earlier version of this program began the run; complete
            shards are kept.
        GenerationError: a shard cannot be made, a domain file was edited since the run began, or request texts repeat.
        OracleError: the online oracle cannot continue; call this again to make what is missing.

    """
    open_run(root, settings)
    _validator.cache_clear()  # files that an earlier run of this process loaded may have been edited since
    started = time.monotonic()
    shards = shards_of(settings)
    receipts = {shard: receipt for shard in shards if (receipt := read_receipt(root, shard)) is not None}
    total, new_rows = sum(shard.stop - shard.start for shard in shards), 0

    def report_progress() -> None:
        rejected = sum(len(each.rejections) for each in receipts.values())
        done = sum(each.rows for each in receipts.values())
        report(Progress(done, total, rejected, new_rows, time.monotonic() - started))

    report_progress()
    if online is not None:
        for receipt in receipts.values():
            for texts in request_texts(root / receipt.name):
                online.remember_texts(texts)
    missing = [shard for shard in shards if shard not in receipts]
    new_receipts = (
        _make_shards(root, settings, missing, workers)
        if online is None
        else _make_shards_online(root, settings, missing, online)
    )
    for shard, receipt in new_receipts:
        receipts[shard] = receipt
        new_rows += receipt.rows
        report_progress()
    ordered = [receipts[shard] for shard in shards]
    paths = [root / each.name for each in ordered]
    repeated = count_repeated_texts(paths)
    if repeated:
        examples = examples_of_repeated_texts(paths, 3)
        raise GenerationError(
            f"{repeated} request texts repeat: {'; '.join(examples)}. Tasks of these domains can be said in the same words; "
            "word their parts otherwise"
        )
    write_manifest(root, settings, ordered, repeated_texts=repeated)
    return RunResult(ordered, new_rows, time.monotonic() - started)


def _make_shards(
    root: Path, settings: RunSettings, shards: Sequence[Shard], workers: int
) -> Iterator[tuple[Shard, Receipt]]:
    """Makes shards, and yields each as soon as it is finished, in no particular order."""
    if workers == 1 or len(shards) <= 1:
        for shard in shards:
            with deferred_garbage_collection():
                receipt = make_shard(root, settings, shard)
            yield shard, receipt
        return
    of_domain = [list(each) for _, each in groupby(shards, key=lambda shard: shard.domain)]
    groups = [group for each in of_domain for group in _in_groups(each, TRACES_QUICKER_THAN_LOADING)]
    try:
        for group, receipts in map_in_processes(partial(_make_group, root, settings), groups, workers, _validator):
            yield from zip(group, receipts, strict=True)
    except BrokenProcessPool:
        raise GenerationError("a worker process was killed; run the same command again to continue") from None


def _make_group(root: Path, settings: RunSettings, shards: Sequence[Shard]) -> list[Receipt]:
    return [make_shard(root, settings, shard) for shard in shards]


def rejections_by_reason(receipts: Sequence[Receipt]) -> dict[str, int]:
    """Counts rejected proposals by the rule that rejected them, the most frequent first."""
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
