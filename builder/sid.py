"""The `datasets` builder of a finished run: one config per domain, and a default config with all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import datasets
import pyarrow as pa
from datasets.builder import Key

from builder.columns import SCHEMA
from builder.configs import DEFAULT_CONFIG, split_paths
from builder.shards import FORMAT_VERSION, MANIFEST, read_manifest, read_tables, verified_shards
from gatling_sid.errors import ShardError
from gatling_sid.schemas import DomainRegistry

DATASET_VERSION = datasets.Version(f"{FORMAT_VERSION}.0.0")
"""The version that `datasets` shows for a config; it is the version of the columns, not of a release."""
FEATURES = datasets.Features.from_arrow_schema(SCHEMA)
"""The columns in terms of `datasets`: nested structs, and `Json()` for what has no fixed shape."""


@dataclass
class SidConfig(datasets.BuilderConfig):  # type: ignore[misc]
    """A part of a run: its `name` is a domain's slug, or `default` for all domains; `run` is the folder."""

    run: str = ""


class GatlingSid(datasets.ArrowBasedBuilder):  # type: ignore[misc]
    """Finished shards as splits: `GatlingSid("out/run", config_name="finance").download_and_prepare(…)`.

    Raises ShardError if the run is unfinished, or a shard is missing or altered.
    """

    BUILDER_CONFIG_CLASS = SidConfig
    BUILDER_CONFIGS: ClassVar[list[SidConfig]] = [
        SidConfig(name=name, version=DATASET_VERSION) for name in (DEFAULT_CONFIG, *DomainRegistry().slugs())
    ]
    DEFAULT_CONFIG_NAME = DEFAULT_CONFIG
    DEFAULT_WRITER_BATCH_SIZE = 2000

    def __init__(self, run: str | Path, **kwargs: Any) -> None:
        """Opens a run; further arguments are those of a `datasets` builder (`config_name`, `cache_dir`, …)."""
        read_manifest(Path(run))
        # Each run must have its own cache, whose folder is named after this hash.
        digest = hashlib.sha256((Path(run) / MANIFEST).read_bytes()).hexdigest()[:16]
        super().__init__(run=str(run), hash=digest, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=FEATURES, license="apache-2.0")

    def _split_generators(self, _dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        by_split = shards_by_split(Path(self.config.run), self.config.name)
        if not by_split:
            raise ShardError(f"{self.config.run} contains no traces of {self.config.name}")
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"paths": [str(path) for path in paths]})
            for split, paths in by_split.items()
        ]

    def _generate_tables(self, paths: list[str]) -> Iterator[tuple[Key, pa.Table]]:
        for number, path in enumerate(paths):
            for batch, table in enumerate(read_tables(Path(path))):
                yield Key(number, batch), table

    def _generate_shards(self, paths: list[str]) -> Iterator[str]:
        yield from paths


def shards_by_split(run: Path, config: str = DEFAULT_CONFIG) -> dict[str, list[Path]]:
    """The verified shards of a config by split, in the order of the run. Raises ShardError."""
    return split_paths(verified_shards(run, read_manifest(run)), config)
