"""Opens and reads the sources of traces to judge: a run, a release in a folder or on the Hub, a file of traces."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from builder.columns import SCHEMA
from builder.features import traces_of
from builder.jsonl import cut_into_pieces, read_lines, stream_piece
from builder.pieces import Piece, RowRange, Source
from builder.placement import index_of
from builder.release import DATA, regroup
from builder.shards import MANIFEST, RunSettings, Shard, read_manifest, read_tables, shards_of, verified_shards
from gatling_sid.errors import ShardError, TraceFormatError
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.schemas.domain import SPLITS

ROWS_PER_PIECE = 8_192
"""Least number of rows of a piece of a Parquet file: so many that most plans occur in it with several wordings."""
ROWS_AT_ONCE = 2_048
"""Rows read at a time. Equal parts of them are decoded only once, which saves more time the more rows there are."""


def open_source(name: str, revision: str | None = None) -> Source:
    """Opens a path or, with a revision, a dataset repository on the Hub.

    Raises:
        ShardError: it does not exist, or is damaged; says what is wrong and where.

    """
    if revision is not None:
        from builder.hub_download import download  # noqa: PLC0415 - what is on disk needs no client

        return _open_release(download(name, revision))
    path = Path(name)
    try:
        if path.is_dir():
            return _open_release(path) if (path / DATA).is_dir() else _open_run(path)
        if path.suffix == ".parquet":
            return Source(_cut_parquet(path, path.name, 0))
        return Source(list(cut_into_pieces(path)) if path.is_file() or not path.exists() else [stream_piece(path)])
    except OSError as error:
        if isinstance(error, ShardError):
            raise
        hint = "" if path.exists() else "; to open a dataset on the Hub, add its --revision"
        raise ShardError(f"{name} cannot be read: {error.strerror or error}{hint}") from None


# --- runs and releases -----------------------------------------------------------------------------------------


_SETTINGS = TypeAdapter(RunSettings)


class _ManifestContent(NamedTuple):
    """What a manifest says: the settings of the run, and the number of rows of each shard."""

    settings: RunSettings
    rows: dict[Shard, int]


def _read_content(root: Path) -> _ManifestContent:
    manifest = read_manifest(root)
    try:
        settings = _SETTINGS.validate_json(json.dumps(manifest["settings"]), strict=True)
        shards = shards_of(settings)
        rows = {shard: int(each["rows"]) for shard, each in zip(shards, manifest["shards"], strict=True)}
        if [shard.name for shard in shards] != [each["name"] for each in manifest["shards"]]:
            raise ValueError("its shards are not those of its settings")
        incomplete = [
            s.name for s, n in rows.items() if settings.oracle == ScenarioOracle.name and n != s.stop - s.start
        ]
        if incomplete:
            raise ValueError(f"rows of {incomplete[0]} are missing in it")
        if any(not re.fullmatch(r"\w+", shard.domain) or shard.split not in SPLITS for shard in shards):
            raise ValueError("it names an impossible domain or split")
    except (ValueError, TypeError) as error:
        raise ShardError(f"{root / MANIFEST} is not a manifest of this version: {str(error).splitlines()[0]}") from None
    return _ManifestContent(settings, rows)


def _open_run(root: Path) -> Source:
    settings, rows = _read_content(root)
    pieces, number = list[Piece](), 0
    for path, (shard, size) in zip(verified_shards(root, read_manifest(root)), rows.items(), strict=True):
        row_range = RowRange(shard.domain, shard.split, shard.start, shard.stop, settings)
        pieces.append(Piece(path, shard.name, 0, 0, number, size, row_range))
        number += size
    return Source(pieces, root, tuple(shard.name for shard in rows))


def _open_release(tree: Path) -> Source:
    settings, rows = _read_content(tree)
    pieces, files, number = list[Piece](), list[str](), 0
    for domain, split, total in (
        (domain, *each) for domain, totals in settings.totals.items() for each in totals.items()
    ):
        split_pieces = _cut_split(tree / DATA, RowRange(domain, split, 0, total, settings), number)
        rows_found = sum(piece.rows for piece in split_pieces)
        expected = sum(size for shard, size in rows.items() if (shard.domain, shard.split) == (domain, split))
        if rows_found != expected:
            raise ShardError(f"{tree / DATA / domain} has {rows_found:,} rows of {split}; {MANIFEST} says {expected:,}")
        pieces += split_pieces
        files += dict.fromkeys(piece.name for piece in split_pieces)
        number += rows_found
    existing = {path.relative_to(tree / DATA).as_posix() for path in (tree / DATA).rglob("*") if path.is_file()}
    if others := sorted(existing.difference(files)):
        raise ShardError(f"{tree / DATA} contains {', '.join(others[:3])}, which {MANIFEST} does not list")
    return Source(pieces, tree / DATA, tuple(files))


def _cut_split(data: Path, rows: RowRange, number: int) -> list[Piece]:
    """Cuts the files of a split into pieces; each piece has the row range that its rows must be in.

    The range of a piece begins after the rows of the piece before it or, where rows may be missing, after its last id.
    """
    found = sorted((data / rows.domain).glob(f"{rows.split}-*-of-[0-9][0-9][0-9][0-9][0-9].parquet"))
    count = found[0].stem.rpartition("-")[2] if found else "0"
    names = [f"{rows.domain}/{rows.split}-{at:05d}-of-{count}.parquet" for at in range(int(count))]
    missing = [name for name in names if data / name not in found]
    if missing:
        raise ShardError(f"{data / missing[0]} is missing")
    found = [data / name for name in names]
    pieces, first = list[Piece](), 0
    for path, name in zip(found, names, strict=True):
        for piece in _cut_parquet(path, name, number + sum(each.rows for each in pieces)):
            pieces.append(piece._replace(row_range=rows._replace(first=first)))
            first += piece.rows
            if not rows.is_dense:
                first = max(first, (index_of(_last_id(piece), rows) or 0) + 1)
    return pieces


def _last_id(piece: Piece) -> str:
    try:
        with pq.ParquetFile(piece.path) as file:
            return str(file.read_row_group(piece.stop - 1, columns=["trace_id"])["trace_id"][-1].as_py())
    except (OSError, pa.ArrowException, KeyError, IndexError) as error:
        raise ShardError(f"{piece.path} is not a complete Parquet file ({error})") from None


def _cut_parquet(path: Path, name: str, number: int) -> list[Piece]:
    try:
        footer = pq.read_metadata(path)
        sizes = [footer.row_group(at).num_rows for at in range(footer.num_row_groups)]
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ShardError(f"{path} is not a complete Parquet file ({error})") from None
    pieces, start, rows = list[Piece](), 0, 0
    for stop, size in enumerate(sizes, start=1):
        rows += size
        if rows >= ROWS_PER_PIECE or stop == len(sizes):
            pieces.append(Piece(path, name, start, stop, number, rows))
            start, number, rows = stop, number + rows, 0
    return pieces


# --- reading ---------------------------------------------------------------------------------------------------


def read_piece(piece: Piece) -> Iterator[list[GoldTrace]]:
    """Yields the traces of a piece, several at a time.

    Raises:
        ShardError: the file is damaged.
        TraceFormatError: a row or line is not a trace; names it.

    """
    if piece.path.suffix not in (".arrow", ".parquet"):
        yield from read_lines(piece)
        return
    tables = _parquet_tables(piece) if piece.path.suffix == ".parquet" else read_tables(piece.path)
    for table in regroup(tables, ROWS_AT_ONCE):
        try:
            yield list(traces_of(table))
        except TraceFormatError as error:
            raise TraceFormatError(piece.name, str(error)) from None


def _parquet_tables(piece: Piece) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(piece.path) as file:
            if not file.schema_arrow.equals(SCHEMA):
                raise ShardError(
                    f"{piece.path} has other columns than this version writes; use a release of this version"
                )
            for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=range(piece.start, piece.stop)):
                batch.validate(full=True)
                yield pa.Table.from_batches([batch])
    except (OSError, ValueError, pa.ArrowException) as error:
        if isinstance(error, ShardError):
            raise
        raise ShardError(f"{piece.path} is not a complete Parquet file ({error})") from None
