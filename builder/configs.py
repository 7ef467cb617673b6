"""Which shards a config has: those of one domain, or of all domains for the default config."""

from __future__ import annotations

from pathlib import Path

from gatling_sid.schemas.domain import SPLITS

DEFAULT_CONFIG = "default"


def split_paths(paths: list[Path], config: str = DEFAULT_CONFIG) -> dict[str, list[Path]]:
    """Groups those paths that belong to a config by split, and keeps their order."""
    by_split: dict[str, list[Path]] = {split: [] for split in SPLITS}
    for path in paths:
        if config in (DEFAULT_CONFIG, path.parent.name):
            by_split[path.name.partition("-")[0]].append(path)
    return {split: paths for split, paths in by_split.items() if paths}
