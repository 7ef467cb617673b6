"""Judging what was written: every row of a source again, from its bytes, in as many processes as are given."""

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

MOST_SHOWN = 20
"""How many rejected rows a tally names."""
_WORTH_A_WORKER = 4_000
"""Rows that take longer to judge than a process to start."""


@dataclass(frozen=True)
class Tally:
    """What became of some rows.

    Of those `judged`, some are `gold`, some were judged in part, for the rest of what they say nothing here can tell;
    `proofs` plans were judged in full. `rejected` counts rows by the first rule that each breaks.
    """

    judged: int = 0
    gold: int = 0
    partly_judged: int = 0
    full_proofs: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    examples: tuple[str, ...] = ()
    """The first rejected rows, and what is wrong with each."""
    ids: tuple[str, ...] = ()
    """Of rows whose place no manifest knows."""
    repeated: int = 0
    """Rows whose id another row had before."""

    def __add__(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(
            self.judged + other.judged,
            self.gold + other.gold,
            self.partly_judged + other.partly_judged,
            self.full_proofs + other.full_proofs,
            self.rejected + other.rejected,
            (self.examples + other.examples)[:MOST_SHOWN],
            self.ids + other.ids,
            self.repeated + other.repeated,
        )


def judge_source(source: Source, *, every: int = 1, workers: int = 1) -> Iterator[Tally]:
    """Tallies of a source's rows as they are judged, of which only each `every`-th is; their sum is that of all.

    Raises:
        ShardError: a file is damaged, or a worker was killed.
        TraceFormatError: a row is no trace.

    """
    seen: set[str] = set()
    for tally in _piece_tallies(source, every, workers):
        again = list(_count_repeated(tally.ids, seen))
        told = tuple(f"{each}: another trace has this id" for each in again[:MOST_SHOWN])
        yield replace(tally, ids=(), repeated=len(again), examples=tally.examples + told)


def _count_repeated(ids: Iterable[str], seen: set[str]) -> Iterator[str]:
    """Those that were seen before; the others are seen from now on."""
    for each in ids:
        if each in seen:
            yield each
        seen.add(each)


def _piece_tallies(source: Source, every: int, workers: int) -> Iterator[Tally]:
    workers = min(workers, len(source.pieces), 1 + source.rows // every // _WORTH_A_WORKER)
    if workers <= 1:
        for piece in source.pieces:
            with deferred_garbage_collection():
                yield from judge_piece(piece, every)
        return
    try:
        for _, tally in map_in_processes(partial(_whole, every=every), source.pieces, workers, _judge):
            yield tally
    except BrokenProcessPool:
        raise ShardError("a worker was killed; run the same command again") from None


def _whole(piece: Piece, every: int) -> Tally:
    return sum(judge_piece(piece, every), Tally())


@lru_cache(maxsize=1)
def _judge() -> ProvenPlans:
    return ProvenPlans(TraceValidator())


def judge_piece(piece: Piece, every: int = 1) -> Iterator[Tally]:
    """A tally of each batch of a piece's rows; every row is held against its place. Raises as `judge` does."""
    judge, number = _judge(), piece.number
    rows = PlacementChecker(piece.row_range, judge.validator.registry) if piece.row_range else None
    for traces in read_piece(piece):
        yield _tally(traces, [at for at in range(len(traces)) if (number + at) % every == 0], rows, judge)
        number += len(traces)
    if piece.row_range is not None and number != piece.number + piece.rows:
        held = f"{piece.name} holds {number - piece.number:,} rows; the manifest says {piece.rows:,}"
        yield Tally(rejected=Counter(["rows_are_complete"]), examples=(held,))


def _tally(
    traces: Sequence[GoldTrace], drawn: Sequence[int], rows: PlacementChecker | None, judge: ProvenPlans
) -> Tally:
    before = judge.full_proofs
    verdicts = dict(zip(drawn, judge.verdicts([traces[at] for at in drawn]), strict=True))
    found = [[*(rows.findings(trace) if rows else ())] for trace in traces]
    for at, verdict in verdicts.items():
        found[at] += [*verdict.findings, *claim_finding(traces[at], verdict)]
    return Tally(
        len(drawn),
        sum(not found[at] and not verdict.skipped for at, verdict in verdicts.items()),
        sum(not found[at] and bool(verdict.skipped) for at, verdict in verdicts.items()),
        judge.full_proofs - before,
        Counter(each[0].rule for each in found if each),
        tuple(_examples(zip(traces, found, strict=True))),
        () if rows else tuple(trace.trace_id for trace in traces),
    )


def _examples(rows: Iterable[tuple[GoldTrace, Sequence[Finding]]]) -> list[str]:
    return [f"{trace.trace_id}: {found[0]}" for trace, found in rows if found][:MOST_SHOWN]
