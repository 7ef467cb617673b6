"""Examines a finished run as a whole, from its written bytes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import ipc

from builder.columns import SCHEMA
from gatling_sid.errors import ShardError
from gatling_sid.novelty import Novelty


def _column(path: Path, name: str) -> Iterator[pa.Array]:
    """One column of a shard, in parts; the other columns are not decompressed. Raises ShardError."""
    options = ipc.IpcReadOptions(included_fields=[SCHEMA.get_field_index(name)])
    try:
        with pa.OSFile(str(path), "rb") as file, ipc.open_stream(file, options=options) as reader:
            for batch in reader:
                yield batch.column(0)
    except (OSError, pa.ArrowException, KeyError) as error:
        raise ShardError(f"{path} is not a complete shard ({error}); run the same generate command again") from None


def request_texts(path: Path) -> Iterator[list[str]]:
    """The request texts of a shard or a release's file, in lists. Raises ShardError."""
    if path.suffix == ".parquet":
        yield from _texts_of_parquet(path)
        return
    for requests in _column(path, "request"):
        yield requests.field("text").to_pylist()


def _texts_of_parquet(path: Path) -> Iterator[list[str]]:
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["request.text"]):
                yield batch.column(0).field("text").to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ShardError(f"{path} is not a complete Parquet file ({error})") from None


def count_unvalidated(path: Path) -> int:
    """Counts the rows of a shard that say they are not validated. Raises ShardError."""
    return sum(len(column) - column.true_count for column in _column(path, "validated"))


def count_by_catalogue(path: Path) -> Counter[str]:
    """Counts the rows of a shard by the version of the domain that they name in their metadata. Raises ShardError."""
    return Counter(_catalogue_of(text) for metadata in _column(path, "metadata") for text in metadata.to_pylist())


def _catalogue_of(metadata: str | None) -> str:
    try:
        content = json.loads(metadata or "null")
    except (ValueError, RecursionError):
        content = None
    return str(content.get("catalogue")) if isinstance(content, dict) else "unknown"


def count_repeated_texts(paths: Sequence[Path]) -> int:
    """Counts the request texts that occurred before, ignoring case and blanks; takes 8 bytes of memory per trace."""
    return len(_repeated_digests(paths))


def examples_of_repeated_texts(paths: Sequence[Path], number: int) -> list[str]:
    """So many of the request texts that occur more than once, each with the names of the files that have it."""
    repeated = {*_repeated_digests(paths).tolist()}
    found: dict[bytes, tuple[str, list[str]]] = {}
    for path in paths:
        for text in (text for texts in request_texts(path) for text in texts):
            digest = _digest_of(text)
            if int.from_bytes(digest, "little") in repeated:
                found.setdefault(digest, (text, []))[1].append(f"{path.parent.name}/{path.name}")
    return [f"{text!r} in {' and '.join(names)}" for text, names in list(found.values())[:number]]


def _repeated_digests(paths: Sequence[Path]) -> NDArray[np.uint64]:
    """The digest of each text that occurred before."""
    hashes = [
        np.frombuffer(b"".join(_digest_of(text) for text in texts), dtype="<u8")
        for path in paths
        for texts in request_texts(path)
    ]
    ordered = np.sort(np.concatenate(hashes)) if hashes else np.empty(0, dtype="<u8")
    return np.asarray(ordered[1:][ordered[1:] == ordered[:-1]], dtype=np.uint64)


def near_copies(root: Path, shards: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """For each shard, its name and those of its requests that nearly copy a training request of their domain.

    For shards of train, the list is empty. All words are compared, names and amounts included; see
    `gatling_sid.novelty`. The training texts of one domain are in memory at a time, about 900 bytes each.
    """
    for _, names in groupby(sorted(shards), lambda name: name.partition("/")[0]):
        training_texts = Novelty()
        for name in sorted(names, key=lambda name: (_split_of(name) != "train", name)):
            shard_texts = [text for texts in request_texts(root / name) for text in texts]
            if _split_of(name) == "train":
                for text in shard_texts:
                    training_texts.add(text)
                yield name, []
            else:
                yield name, [text for text in shard_texts if not training_texts.is_new(text)]


def _split_of(name: str) -> str:
    return name.partition("/")[2].partition("-")[0]


def _digest_of(text: str) -> bytes:
    return blake2b(" ".join(text.casefold().split()).encode(), digest_size=8).digest()
