"""A release: a finished run as a tree of Parquet files that any reader opens without our code.

<tree>/README.md                                     the card; its YAML lists configs and splits
<tree>/data/<domain>/<split>-00000-of-00003.parquet  one layout for the default config and the domains'
<tree>/manifest.json                                 how it was generated
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from builder.audit import count_by_catalogue, count_unvalidated
from builder.features import SCHEMA
from builder.shards import MANIFEST, complete_file, read_manifest, read_tables, remove_partial_files, verified_shards
from builder.sid import DEFAULT_CONFIG, split_paths
from gatling_sid.errors import ShardError
from gatling_sid.schemas.domain import SPLITS

ROWS_PER_FILE = 100_000
ROWS_PER_GROUP = 2_000
DATA = "data"
STAGED = ".data.part"
"""Where data is written before it takes the place of an earlier release's."""

Layout = dict[str, dict[str, int]]
"""Number of files by domain and split."""


def write_data(run: Path, tree: Path) -> Layout:
    """Writes a run's Parquet files and manifest into `tree`, replacing what a former call left there.

    The same run gives the same bytes.

    Raises:
        ShardError: the run is unfinished or damaged, holds rows that are not validated or of another catalogue;
            `tree` is not a release or cannot be written.

    """
    manifest = read_manifest(run)
    verified = verified_shards(run, manifest)
    _check_catalogue(verified, manifest["settings"]["catalogue"])
    _check_gold(verified)
    _clear(tree)
    layout: Layout = {}
    for domain in manifest["settings"]["totals"]:
        for split, paths in split_paths(verified, domain).items():
            if files := _write_split(tree / STAGED / domain, split, paths):
                layout.setdefault(domain, {})[split] = (
                    files  # a split without a file would keep readers from all others
                )
    if not layout:
        raise ShardError(f"{run} holds no traces; there is nothing to release")
    shutil.rmtree(tree / DATA, ignore_errors=True)
    (tree / STAGED).rename(tree / DATA)
    with complete_file(tree / MANIFEST) as file:
        file.write((run / MANIFEST).read_bytes())
    return layout


def _check_catalogue(shards: list[Path], catalogue: dict[str, str]) -> None:
    """Every row was made with the version of its domain that the manifest names. Raises ShardError."""
    for path in shards:
        domain = path.parent.name
        others = {
            version: rows for version, rows in count_by_catalogue(path).items() if version != catalogue.get(domain)
        }
        if others:
            told = ", ".join(f"{version} (rows: {rows:,})" for version, rows in others.items())
            raise ShardError(
                f"{path}: rows were made with {domain}.yaml of version {told}, {MANIFEST} says {catalogue.get(domain)}: "
                "the file was edited while the run was going. Nothing is released; generate the run again, into another "
                "folder"
            )


def _check_gold(shards: list[Path]) -> None:
    """Every row is validated. Raises ShardError."""
    for path in shards:
        if number := count_unvalidated(path):
            raise ShardError(
                f"{path}: {number:,} rows are not validated, since no judge said that their words ask for their goal. "
                "A release holds proven gold alone; generate the run with --judged 1"
            )


_RELEASE_FILE = re.compile(rf"{DATA}/\w+/\.?({'|'.join(SPLITS)})-\d+-of-\d+\.parquet(\.\d+\.part)?")


_TEMPORARY_FILES = {STAGED, ".cache", ".gitattributes"}
"""What an interrupted call, or the Hub's client, may have left beside a release."""


def is_released(path: str) -> bool:
    """Whether a file of a tree, by its path there, is part of a release; nothing else ever leaves the machine."""
    return path in (MANIFEST, "README.md", "LICENSE") or bool(
        re.fullmatch(rf"{DATA}/\w+/\w+-\d+-of-\d+\.parquet", path)
    )


def _clear(tree: Path) -> None:
    if tree.is_file():
        raise ShardError(f"{tree} is a file; name a folder")
    ours = {DATA, MANIFEST, "README.md", "LICENSE"}
    if tree.is_dir():
        remove_partial_files(tree)
        others = sorted(
            each.name for each in tree.iterdir() if each.name not in ours and each.name not in _TEMPORARY_FILES
        )
        data = [path.relative_to(tree) for path in (tree / DATA).rglob("*") if path.is_file()]
        others += sorted(str(path) for path in data if not _RELEASE_FILE.fullmatch(path.as_posix()))
        if others:
            raise ShardError(f"{tree} holds {', '.join(others[:3])}, which no release has; name another folder")
        shutil.rmtree(tree / STAGED, ignore_errors=True)


def _write_split(folder: Path, split: str, paths: list[Path]) -> int:
    rows: int = sum(table.num_rows for path in paths for table in read_tables(path))
    files = -(-rows // ROWS_PER_FILE)
    groups = regroup((table for path in paths for table in read_tables(path)), ROWS_PER_GROUP)
    left = rows
    for number in range(files):
        with (
            complete_file(folder / f"{split}-{number:05d}-of-{files:05d}.parquet") as file,
            pq.ParquetWriter(file, SCHEMA, compression="zstd", compression_level=3, write_page_index=True) as writer,
        ):
            for _ in range(-(-min(left, ROWS_PER_FILE) // ROWS_PER_GROUP)):
                writer.write_table(next(groups), row_group_size=ROWS_PER_GROUP)
        left -= ROWS_PER_FILE
    return files


def regroup(tables: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """The rows of tables in tables of that size; the last is shorter."""
    held: list[pa.Table] = []
    rows = 0
    for table in tables:
        held.append(table)
        rows += table.num_rows
        while rows >= size:
            together = pa.concat_tables(held)
            yield together.slice(0, size)
            held = [together.slice(size)]
            rows -= size
    if rows:
        yield pa.concat_tables(held)


def configs(layout: Layout) -> list[dict[str, object]]:
    """The `configs` of the README: the default over all domains first, then one per domain."""
    splits = [split for split in ("train", "validation", "test") if any(split in each for each in layout.values())]
    everything = [{"split": split, "path": f"{DATA}/*/{split}-*.parquet"} for split in splits]
    result: list[dict[str, object]] = [{"config_name": DEFAULT_CONFIG, "default": True, "data_files": everything}]
    for domain, mine in sorted(layout.items()):
        files = [{"split": s, "path": f"{DATA}/{domain}/{s}-*.parquet"} for s in splits if s in mine]
        result.append({"config_name": domain, "data_files": files})
    return result
