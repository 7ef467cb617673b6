"""What a dataset Hub stores: files, commits, repositories, and uploads in the format of xet."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tests.support.hub_messages import HubError

LFS_SUFFIXES = (".parquet", ".arrow", ".png")


@dataclass(frozen=True)
class Blob:
    """The content of one file, and whether git holds it or only a pointer to it."""

    content: bytes
    lfs: bool

    @property
    def sha256(self) -> str:
        """The name under which large files are stored."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def oid(self) -> str:
        """The git object id: of the content, or of the pointer that stands for it."""
        held = self.content
        if self.lfs:
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(held)}\n"
            held = pointer.encode()
        return hashlib.sha1(b"blob %d\0" % len(held) + held, usedforsecurity=False).hexdigest()

    @property
    def etag(self) -> str:
        """The identity of the content for downloads."""
        return self.sha256 if self.lfs else self.oid

    def described(self, path: str) -> dict[str, Any]:
        """The entry of this file in a tree listing."""
        entry: dict[str, Any] = {"type": "file", "path": path, "oid": self.oid, "size": len(self.content)}
        if self.lfs:
            entry["lfs"] = {"oid": self.sha256, "size": len(self.content), "pointerSize": 130}
        return entry


@dataclass(frozen=True)
class Commit:
    """One immutable snapshot of a repository."""

    title: str
    parent: Commit | None
    files: Mapping[str, Blob]

    @property
    def oid(self) -> str:
        """The commit id: a hash of everything in the commit."""
        body = [self.title, self.parent.oid if self.parent else "", *(f"{k} {v.oid}" for k, v in self.files.items())]
        return hashlib.sha1("\n".join(body).encode(), usedforsecurity=False).hexdigest()


@dataclass
class Repo:
    """The branch `main`, and the tags."""

    private: bool
    head: Commit
    tags: dict[str, Commit] = field(default_factory=dict)

    def history(self) -> Iterator[Commit]:
        """The commits of `main`, newest first."""
        commit: Commit | None = self.head
        while commit:
            yield commit
            commit = commit.parent

    def at(self, revision: str) -> Commit:
        """The commit of a branch, a tag or a commit id."""
        if revision == "main":
            return self.head
        known = {commit.oid: commit for commit in self.history()} | self.tags
        if revision not in known:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return known[revision]


def is_large(path: str) -> bool:
    """Whether the Hub would store the file outside of git."""
    return path.endswith(LFS_SUFFIXES)


def xet_hash(raw: bytes) -> str:
    """A hash in the spelling of the xet protocol: four little-endian 64-bit numbers."""
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", raw))


def _ungroup(data: bytes) -> bytes:
    """Reverses the byte grouping of xet: first all bytes at position 0 of 4, then those at 1, 2 and 3."""
    out = bytearray(len(data))
    at = 0
    for place in range(4):
        size = len(range(place, len(data), 4))
        out[place::4] = data[at : at + size]
        at += size
    return bytes(out)


def chunks_of_xorb(xorb: bytes) -> Iterator[bytes]:
    """The chunks of an uploaded xorb, unpacked: each has 8 bytes of header; a footer may follow."""
    at = 0
    while at + 8 <= len(xorb) and xorb[at] == 0:
        packed, scheme = int.from_bytes(xorb[at + 1 : at + 4], "little"), xorb[at + 4]
        size = int.from_bytes(xorb[at + 5 : at + 8], "little")
        data = xorb[at + 8 : at + 8 + packed]
        if scheme:
            data = pa.Codec("lz4").decompress(data, decompressed_size=size).to_pybytes()
        yield _ungroup(data) if scheme == 2 else data
        at += 8 + packed


def files_of_shard(shard: bytes) -> Iterator[tuple[str, list[tuple[str, int, int]]]]:
    """SHA-256 of each file in an uploaded shard, with its terms: xorb, first chunk, chunk after the last."""
    at = 48
    while shard[at : at + 32] != b"\xff" * 32:
        flags, count = struct.unpack_from("<II", shard, at + 32)
        entries = range(at + 48, at + 48 * (1 + count), 48)
        terms = [(xet_hash(shard[at : at + 32]), *struct.unpack_from("<II", shard, at + 40)) for at in entries]
        at += 48 * (1 + count + (count if flags & 1 << 31 else 0))
        yield xet_hash(shard[at : at + 32]), terms
        at += 48
