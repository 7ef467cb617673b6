"""Writes a release: a finished run as a tree of Parquet files that any reader can open without this package.

<tree>/README.md                                     the card; its YAML lists configs and splits
<tree>/data/<domain>/<split>-00000-of-00003.parquet  shared by the default config and the domains'
<tree>/manifest.json                                 settings and checksums of the run
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from builder.audit import count_by_catalogue, count_unvalidated
from builder.columns import SCHEMA
from builder.configs import DEFAULT_CONFIG, split_paths
from builder.shards import MANIFEST, complete_file, read_manifest, read_tables, remove_partial_files, verified_shards
from gatling_sid.errors import PublishError, ShardError
from gatling_sid.schemas.domain import SPLITS

ROWS_PER_FILE = 100_000
"""Rows of a Parquet file; a smaller split is one file."""
ROWS_PER_GROUP = 5_000
"""Rows of a row group, which is what a reader must hold in memory at a time; policies and plans recur within it."""
COMPRESSION_LEVEL = 9
"""Level of zstd; files are read far more often than written."""
DATA = "data"
STAGING_FOLDER = ".data.part"
"""The folder for new data. When the data is complete, it replaces that of an earlier release."""

Layout = dict[str, dict[str, int]]
"""Number of files by domain and split."""


def write_data(
    run: Path, tree: Path, *, rows_per_file: int = ROWS_PER_FILE, rows_per_group: int = ROWS_PER_GROUP
) -> Layout:
    """Writes a run's Parquet files and manifest into `tree`, replacing an earlier release there.

    The same run gives the same bytes. Returns the number of files by domain and split.

    Raises:
        ShardError: the run is unfinished or damaged, or contains rows that are not validated or were made with another
            version of their domain; or `tree` contains other files than a release, or cannot be written.

    """
    manifest = read_manifest(run)
    verified = verified_shards(run, manifest)
    _check_catalogue(verified, manifest["settings"]["catalogue"])
    _check_gold(verified)
    _check_folder(tree)
    layout: Layout = {}
    for domain in manifest["settings"]["totals"]:
        for split, paths in split_paths(verified, domain).items():
            if files := _write_split(tree / STAGING_FOLDER / domain, split, paths, rows_per_file, rows_per_group):
                # A split without files is left out: it would keep readers from loading the others.
                layout.setdefault(domain, {})[split] = files
    if not layout:
        raise ShardError(f"{run} contains no traces; there is nothing to release")
    shutil.rmtree(tree / DATA, ignore_errors=True)
    (tree / STAGING_FOLDER).rename(tree / DATA)
    with complete_file(tree / MANIFEST) as file:
        file.write((run / MANIFEST).read_bytes())
    return layout


def _check_catalogue(shards: list[Path], catalogue: dict[str, str]) -> None:
    """Raises ShardError if a row was made with another version of its domain than the manifest names."""
    for path in shards:
        domain = path.parent.name
        others = {
            version: rows for version, rows in count_by_catalogue(path).items() if version != catalogue.get(domain)
        }
        if others:
            versions = ", ".join(f"{version} (rows: {rows:,})" for version, rows in others.items())
            raise ShardError(
                f"{path}: rows were made with {domain}.yaml of version {versions}, but {MANIFEST} says "
                f"{catalogue.get(domain)}: the file was edited during the run. Nothing was released; generate the run "
                "again in another folder"
            )


def _check_gold(shards: list[Path]) -> None:
    """Raises ShardError if a row is not validated."""
    for path in shards:
        if number := count_unvalidated(path):
            raise ShardError(
                f"{path}: {number:,} rows are not validated, because Claude did not judge whether their words ask for their "
                "goal. A release contains only validated traces; generate the run again with --judge-share 1"
            )


_RELEASE_FILE = re.compile(rf"{DATA}/\w+/\.?({'|'.join(SPLITS)})-\d+-of-\d+\.parquet(\.\d+\.part)?")


_TEMPORARY_FILES = {STAGING_FOLDER, ".cache", ".gitattributes"}
"""Names that an interrupted call or the Hub's client may leave in a release's folder."""


def is_released(path: str) -> bool:
    """Whether the file at this path within a tree is part of a release; nothing else is ever uploaded."""
    return path in (MANIFEST, "README.md", "LICENSE") or bool(
        re.fullmatch(rf"{DATA}/\w+/\w+-\d+-of-\d+\.parquet", path)
    )


def _check_folder(tree: Path) -> None:
    """Raises ShardError if the folder contains anything but a release; removes what an interrupted call left."""
    if tree.is_file():
        raise ShardError(f"{tree} is a file; name a folder")
    expected = {DATA, MANIFEST, "README.md", "LICENSE"}
    if tree.is_dir():
        remove_partial_files(tree)
        others = sorted(
            each.name for each in tree.iterdir() if each.name not in expected and each.name not in _TEMPORARY_FILES
        )
        data = [path.relative_to(tree) for path in (tree / DATA).rglob("*") if path.is_file()]
        others += sorted(str(path) for path in data if not _RELEASE_FILE.fullmatch(path.as_posix()))
        if others:
            raise ShardError(
                f"{tree} contains {', '.join(others[:3])}, which is not part of a release; name another folder"
            )
        shutil.rmtree(tree / STAGING_FOLDER, ignore_errors=True)


def _write_split(folder: Path, split: str, paths: list[Path], rows_per_file: int, rows_per_group: int) -> int:
    """Writes the Parquet files of a split, and returns how many there are."""
    rows: int = sum(table.num_rows for path in paths for table in read_tables(path))
    files = -(-rows // rows_per_file)
    groups = regroup((table for path in paths for table in read_tables(path)), rows_per_group)
    rows_left = rows
    for number in range(files):
        with (
            complete_file(folder / f"{split}-{number:05d}-of-{files:05d}.parquet") as file,
            pq.ParquetWriter(
                file, SCHEMA, compression="zstd", compression_level=COMPRESSION_LEVEL, write_page_index=True
            ) as writer,
        ):
            for _ in range(-(-min(rows_left, rows_per_file) // rows_per_group)):
                writer.write_table(next(groups), row_group_size=rows_per_group)
        rows_left -= rows_per_file
    return files


def regroup(tables: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """Yields the same rows as tables of `size` rows each; the last one may be shorter."""
    waiting: list[pa.Table] = []
    rows = 0
    for table in tables:
        waiting.append(table)
        rows += table.num_rows
        while rows >= size:
            joined = pa.concat_tables(waiting)
            yield joined.slice(0, size)
            waiting = [joined.slice(size)]
            rows -= size
    if rows:
        yield pa.concat_tables(waiting)


def configs(layout: Layout) -> list[dict[str, object]]:
    """The `configs` of the README: first the default with all domains, then one config per domain."""
    splits = [split for split in SPLITS if any(split in each for each in layout.values())]
    all_files = [{"split": split, "path": f"{DATA}/*/{split}-*.parquet"} for split in splits]
    result: list[dict[str, object]] = [{"config_name": DEFAULT_CONFIG, "default": True, "data_files": all_files}]
    for domain, files_by_split in sorted(layout.items()):
        files = [{"split": s, "path": f"{DATA}/{domain}/{s}-*.parquet"} for s in splits if s in files_by_split]
        result.append({"config_name": domain, "data_files": files})
    return result


def tag_of(version: str) -> str:
    """The tag of a version: `1.2.0` and `v1.2.0` give `v1.2.0`. Raises PublishError for anything else."""
    number = r"(?:0|[1-9][0-9]*)"
    if not re.fullmatch(rf"v?{number}\.{number}\.{number}", version):
        raise PublishError(f"{version!r} is not a version; write three numbers, like 1.2.0")
    return f"v{version.removeprefix('v')}"
