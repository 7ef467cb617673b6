"""What traces to be judged are cut into: pieces, some thousand rows that lie together, each with its place."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from builder.shards import RunSettings
from gatling_sid.oracle.embedded.oracle import ScenarioOracle


class RowRange(NamedTuple):
    """The rows that belong to a piece by the manifest: those of a domain's split from index `first` on, below `end`."""

    domain: str
    split: str
    first: int
    end: int
    settings: RunSettings

    @property
    def is_dense(self) -> bool:
        """Whether every index has a row; an online oracle may have left some out."""
        return self.settings.oracle == ScenarioOracle.name


class Piece(NamedTuple):
    """Part of a file: row groups of Parquet or bytes of lines from `start` to before `stop`, or all of a shard.

    `number` is that of its first row in the source, `rows` how many it has; of lines, blank ones count. Where no
    manifest says what belongs there, it has no place.
    """

    path: Path
    name: str
    start: int
    stop: int
    number: int
    rows: int
    row_range: RowRange | None = None


class Source(NamedTuple):
    """Pieces in the order of their rows and, if several files belong together, their names within a folder."""

    pieces: list[Piece]
    folder: Path | None = None
    files: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows there are; 0 if that is not known beforehand."""
        return sum(piece.rows for piece in self.pieces)
