"""The pieces that a source of traces is cut into: a few thousand consecutive rows each, judged by one process."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from builder.shards import RunSettings
from gatling_sid.oracle.embedded.oracle import ScenarioOracle


class RowRange(NamedTuple):
    """The rows that the manifest expects: those of a domain's split with an index of at least `first` and below `end`."""

    domain: str
    split: str
    first: int
    end: int
    settings: RunSettings

    @property
    def is_dense(self) -> bool:
        """Whether every index must have a row; in a run of an online oracle, some may be missing."""
        return self.settings.oracle == ScenarioOracle.name


class Piece(NamedTuple):
    """Part of a file: Parquet row groups or bytes of a JSONL file in [start, stop), or a whole shard.

    `number` is the number of its first row in the source, `rows` how many rows it has (blank lines count).
    `row_range` is None where no manifest says which rows belong there.
    """

    path: Path
    name: str
    start: int
    stop: int
    number: int
    rows: int
    row_range: RowRange | None = None


class Source(NamedTuple):
    """Pieces in the order of their rows; a run or release also has its `folder` and the names of its files there."""

    pieces: list[Piece]
    folder: Path | None = None
    files: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Number of rows; 0 if it is not known before reading."""
        return sum(piece.rows for piece in self.pieces)
