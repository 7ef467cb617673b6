"""Looking at a finished run as a whole, from its written bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import ipc

from builder.features import SCHEMA
from gatling_sid.errors import ShardError


def request_texts(path: Path) -> Iterator[list[str]]:
    """The request texts of a shard, batch by batch; other columns are not even decompressed. Raises ShardError."""
    options = ipc.IpcReadOptions(included_fields=[SCHEMA.get_field_index("request")])
    try:
        with pa.OSFile(str(path), "rb") as file, ipc.open_stream(file, options=options) as reader:
            for batch in reader:
                yield batch.column(0).field("text").to_pylist()
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise ShardError(f"{path} is no complete shard ({error}); run the same generate command again") from None


def repeated_texts(paths: Sequence[Path]) -> int:
    """How many request texts, compared without case and blanks, occurred before; 8 bytes of memory a trace."""
    hashes = [
        np.frombuffer(b"".join(_digest(text) for text in texts), dtype="<u8")
        for path in paths
        for texts in request_texts(path)
    ]
    everything = np.sort(np.concatenate(hashes)) if hashes else np.empty(0, dtype="<u8")
    return int((everything[1:] == everything[:-1]).sum())


def _digest(text: str) -> bytes:
    return blake2b(" ".join(text.casefold().split()).encode(), digest_size=8).digest()
