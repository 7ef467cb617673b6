"""Judges every row of a source again, from its written bytes, in as many processes as the caller allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

from builder.pieces import Piece, Source
from builder.placement import PlacementChecker, claim_finding
from builder.sources import read_piece
from builder.workers import deferred_garbage_collection, map_in_processes
from gatling_sid.errors import ShardError
from gatling_sid.models import Finding, GoldTrace
from gatling_sid.validators import TraceValidator
from gatling_sid.validators.proofs import ProvenPlans

MAX_SHOWN = 20
"""How many rejected rows a tally names. More of them rarely show further reasons."""
ROWS_PER_WORKER = 4_000
"""One more process is started for so many rows, because judging them takes longer than starting a process."""


@dataclass(frozen=True)
class Tally:
    """Counts of judged rows.

    `partly_judged_count` counts rows that break no rule, but to which some check could not be applied; they are not
    gold. `full_proofs` is how many plans were judged in full. `rejected_by_rule` counts rows by the first rule that each
    breaks.
    """

    judged_count: int = 0
    gold_count: int = 0
    partly_judged_count: int = 0
    full_proofs: int = 0
    rejected_by_rule: Counter[str] = field(default_factory=Counter)
    examples: tuple[str, ...] = ()
    """The first rejected rows, each with what is wrong with it."""
    ids: tuple[str, ...] = ()
    """Ids of rows, to find repeated ones; empty where a manifest says which rows a piece has."""
    repeated_id_count: int = 0
    """Number of rows that have the id of an earlier row."""

    def __add__(self, other: Tally) -> Tally:
        """The counts of both tallies together."""
        return Tally(
            self.judged_count + other.judged_count,
            self.gold_count + other.gold_count,
            self.partly_judged_count + other.partly_judged_count,
            self.full_proofs + other.full_proofs,
            self.rejected_by_rule + other.rejected_by_rule,
            (self.examples + other.examples)[:MAX_SHOWN],
            self.ids + other.ids,
            self.repeated_id_count + other.repeated_id_count,
        )


def judge_source(
    source: Source, *, every: int = 1, workers: int = 1, rows_per_worker: int = ROWS_PER_WORKER
) -> Iterator[Tally]:
    """Judges every `every`-th row of a source, and yields a tally after each part; their sum is the tally of the source.

    For every `rows_per_worker` rows to judge, one more process is started, up to `workers`.

    Raises:
        ShardError: a file is damaged, or a worker was killed.
        TraceFormatError: a row is not a trace.

    """
    seen: set[str] = set()
    for tally in _piece_tallies(source, every, min(workers, 1 + source.rows // every // rows_per_worker)):
        repeated_ids = list(_find_repeated(tally.ids, seen))
        examples = tuple(f"{each}: another trace has this id" for each in repeated_ids[:MAX_SHOWN])
        yield replace(tally, ids=(), repeated_id_count=len(repeated_ids), examples=tally.examples + examples)


def _find_repeated(ids: Iterable[str], seen: set[str]) -> Iterator[str]:
    """Yields the ids that are in `seen`, and adds all of them to it."""
    for each in ids:
        if each in seen:
            yield each
        seen.add(each)


def _piece_tallies(source: Source, every: int, workers: int) -> Iterator[Tally]:
    workers = min(workers, len(source.pieces))
    if workers <= 1:
        for piece in source.pieces:
            with deferred_garbage_collection():
                yield from judge_piece(piece, every)
        return
    try:
        for _, tally in map_in_processes(partial(_tally_piece, every=every), source.pieces, workers, _process_judge):
            yield tally
    except BrokenProcessPool:
        raise ShardError("a worker was killed; run the same command again") from None


def _tally_piece(piece: Piece, every: int) -> Tally:
    return sum(judge_piece(piece, every), Tally())


@lru_cache(maxsize=1)
def _process_judge() -> ProvenPlans:
    """The judge of this process. It remembers which plans it has proven, over all pieces."""
    return ProvenPlans(TraceValidator())


def judge_piece(piece: Piece, every: int = 1) -> Iterator[Tally]:
    """Yields the tally of each part of a piece. Also rows that are not judged are compared with the manifest.

    Raises:
        ShardError: the file is damaged.
        TraceFormatError: a row is not a trace.

    """
    judge, number = _process_judge(), piece.number
    placement = PlacementChecker(piece.row_range, judge.validator.registry) if piece.row_range else None
    for traces in read_piece(piece):
        to_judge = [at for at in range(len(traces)) if (number + at) % every == 0]
        yield _tally_traces(traces, to_judge, placement, judge)
        number += len(traces)
    if piece.row_range is not None and number != piece.number + piece.rows:
        problem = f"{piece.name} has {number - piece.number:,} rows; the manifest says {piece.rows:,}"
        yield Tally(rejected_by_rule=Counter(["rows_are_complete"]), examples=(problem,))


def _tally_traces(
    traces: Sequence[GoldTrace], to_judge: Sequence[int], placement: PlacementChecker | None, judge: ProvenPlans
) -> Tally:
    before = judge.full_proofs
    verdicts = dict(zip(to_judge, judge.verdicts([traces[at] for at in to_judge]), strict=True))
    findings = [[*(placement.findings(trace) if placement else ())] for trace in traces]
    for at, verdict in verdicts.items():
        findings[at] += [*verdict.findings, *claim_finding(traces[at], verdict)]
    return Tally(
        len(to_judge),
        sum(not findings[at] and not verdict.skipped for at, verdict in verdicts.items()),
        sum(not findings[at] and bool(verdict.skipped) for at, verdict in verdicts.items()),
        judge.full_proofs - before,
        Counter(each[0].rule for each in findings if each),
        tuple(_describe_rejected(zip(traces, findings, strict=True))),
        () if placement else tuple(trace.trace_id for trace in traces),
    )


def _describe_rejected(rows: Iterable[tuple[GoldTrace, Sequence[Finding]]]) -> list[str]:
    return [f"{trace.trace_id}: {findings[0]}" for trace, findings in rows if findings][:MAX_SHOWN]
