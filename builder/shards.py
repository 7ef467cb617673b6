"""Shards: Arrow stream files that hold a domain's split, each with a receipt; and a manifest that lists all of them.

    <run>/settings.json                              the settings of the run; written first
    <run>/<domain>/<split>-00003-of-00012.arrow      traces, complete as soon as the file exists
    <run>/<domain>/<split>-00003-of-00012.json       its receipt: rows, checksum, rejections, proofs
    <run>/manifest.json                              all receipts; written last

Files are written under a temporary name and then renamed. Progress is read from the files: a shard is finished when
its receipt exists and its checksum is right.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
from pyarrow import ipc

from builder.columns import SCHEMA
from builder.features import table_of, traces_of
from gatling_sid.errors import ShardError
from gatling_sid.generator import Rejection
from gatling_sid.models import GoldTrace

FORMAT_VERSION = 2
"""Version of the layout and columns of the files; raised when a reader of the version before could not read them."""
SETTINGS, MANIFEST = "settings.json", "manifest.json"
WRITE_OPTIONS = ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True)
class RunSettings:
    """All that a run's bytes depend on: `totals` are traces by domain and split, `catalogue` the version of each domain."""

    seed: int
    oracle: str
    created_at: str
    shard_size: int
    totals: dict[str, dict[str, int]]
    catalogue: dict[str, str]
    format: int = FORMAT_VERSION


class Shard(NamedTuple):
    """One of the `of` shards of a domain's split: shard `number` holds the traces with index in [start, stop)."""

    domain: str
    split: str
    number: int
    of: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        """Path of the file within a run."""
        return f"{self.domain}/{self.split}-{self.number:05d}-of-{self.of:05d}.arrow"


class Receipt(NamedTuple):
    """What a shard contains, and what was rejected and proven while it was made."""

    name: str
    rows: int
    sha256: str
    rejections: list[Rejection]
    full_proofs: int
    """How many proposals were judged in full; the others share a plan that was proven in this shard."""

    def as_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {**self._asdict(), "rejections": [each._asdict() for each in self.rejections]}


def shards_of(settings: RunSettings) -> list[Shard]:
    """Every shard of a run, in the order they are numbered."""
    result = []
    for domain, splits in settings.totals.items():
        for split, total in splits.items():
            count = -(-total // settings.shard_size)
            for number in range(count):
                start = number * settings.shard_size
                stop = min(start + settings.shard_size, total)
                result.append(Shard(domain, split, number, count, start, stop))
    return result


# --- files that are complete once they exist -------------------------------------------------------------------


@contextmanager
def complete_file(path: Path) -> Iterator[IO[bytes]]:
    """Opens a temporary file that is renamed to `path` at the end, so that no reader ever sees half a file.

    Raises:
        ShardError: the disk is full, or the folder cannot be written; no temporary file is left.

    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise ShardError(f"{path} cannot be written: {error.strerror or error}; complete files are kept") from None
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file, completely or not at all. Raises ShardError."""
    with complete_file(path) as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n")


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises ShardError naming the file."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ShardError(f"{path} cannot be read: {error}") from None


def remove_partial_files(folder: Path) -> None:
    """Removes the temporary files that interrupted writers left."""
    for part in folder.rglob(".*.part"):
        with suppress(OSError):
            part.unlink()


# --- shards ----------------------------------------------------------------------------------------------------


class _HashingFile:
    """A binary file that is hashed as it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.closed = False

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True


class ShardPart(NamedTuple):
    """Part of a shard: traces, the rejected proposals for them, and how many proposals were judged in full."""

    traces: list[GoldTrace]
    rejections: list[Rejection]
    full_proofs: int = 0


def write_shard(root: Path, shard: Shard, parts: Iterable[ShardPart]) -> Receipt:
    """Writes a shard from its parts, then its receipt.

    Raises:
        ShardError: the disk is full, or a trace does not fit the columns.

    """
    path = root / shard.name
    rows, rejections, full_proofs = 0, list[Rejection](), 0
    with complete_file(path) as file:
        hashed = _HashingFile(file)
        with ipc.new_stream(pa.PythonFile(hashed, mode="w"), SCHEMA, options=WRITE_OPTIONS) as writer:
            for part in parts:
                rejections += part.rejections
                rows += len(part.traces)
                full_proofs += part.full_proofs
                if part.traces:
                    writer.write_table(table_of(part.traces))
    receipt = Receipt(shard.name, rows, hashed.digest.hexdigest(), rejections, full_proofs)
    write_json(path.with_suffix(".json"), receipt.as_json())
    return receipt


def read_receipt(root: Path, shard: Shard) -> Receipt | None:
    """The receipt of a complete shard, or None: a shard that was cut or altered counts as missing.

    Raises:
        ShardError: an earlier version of this program wrote the receipt, so its counts cannot be added to those of
            other shards.

    """
    path = root / shard.name
    try:
        stored = json.loads(path.with_suffix(".json").read_bytes())
        rejections = [Rejection(**each) for each in stored["rejections"]]
        receipt = Receipt(stored["name"], stored["rows"], stored["sha256"], rejections, stored.get("full_proofs", -1))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if receipt.name != shard.name or checksum(path) != receipt.sha256:
        return None
    if "full_proofs" not in stored:
        raise ShardError(_older_receipt_message(root, path.with_suffix(".json")))
    return receipt if isinstance(receipt.full_proofs, int) and receipt.full_proofs >= 0 else None


def _older_receipt_message(root: Path, receipt: Path) -> str:
    return (
        f"{receipt} was written by an earlier version of this program: it does not say how many plans were proven in "
        f"full (full_proofs). A run cannot mix versions: name another folder, or remove {root} to generate it "
        f"again. If {MANIFEST} is there, the run is finished, and can be validated and released as it is"
    )


def checksum(path: Path) -> str | None:
    """SHA-256 of a file, or None if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def read_tables(path: Path) -> Iterator[pa.Table]:
    """Yields the parts of a shard as tables of `SCHEMA`.

    Raises:
        ShardError: the file is cut, damaged, or has other columns.

    """
    try:
        with pa.OSFile(str(path), "rb") as file, ipc.open_stream(file) as reader:
            if not reader.schema.equals(SCHEMA):
                raise ShardError(f"{path} has other columns than this version writes; generate it again")
            for batch in reader:
                batch.validate(full=True)  # a flipped bit may give invalid UTF-8 or an offset beyond the buffer
                yield pa.Table.from_batches([batch])
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, ShardError):
            raise
        raise ShardError(f"{path} is not a complete shard ({error}); run the same generate command again") from None


def read_traces(path: Path) -> Iterator[GoldTrace]:
    """Yields the traces of a shard as validated records. Raises ShardError, TraceFormatError."""
    for table in read_tables(path):
        yield from traces_of(table)


# --- runs ------------------------------------------------------------------------------------------------------


def open_run(root: Path, settings: RunSettings) -> None:
    """Prepares a folder for a run: a new folder gets the settings; one with equal settings is continued.

    Raises:
        ShardError: the folder is a file, cannot be written, or contains other files or another run.

    """
    try:
        _prepare_folder(root, settings)
    except ShardError:
        raise
    except OSError as error:
        raise ShardError(f"{root} cannot be used: {error.strerror}") from None


def _prepare_folder(root: Path, settings: RunSettings) -> None:
    if root.exists() and not root.is_dir():
        raise ShardError(f"{root} is a file; name a folder")
    stored = root / SETTINGS
    if stored.exists():
        _refuse_other_run(root, read_json(stored), asdict(settings))
    elif root.is_dir() and any(not each.name.startswith(".") for each in root.iterdir()):
        raise ShardError(f"{root} is not empty and contains no run; name another folder")
    else:
        write_json(stored, asdict(settings))
    remove_partial_files(root)


def _refuse_other_run(root: Path, stored: Any, settings: dict[str, Any]) -> None:
    if domains := _changed_domains(stored, settings):
        raise ShardError(domains_changed_message(root, domains))
    if difference := _describe_difference(stored, settings):
        raise ShardError(f"{root} contains a run with other settings ({difference}); name another folder, or remove it")


def _changed_domains(stored: Any, settings: dict[str, Any]) -> list[str]:
    """The domains of which the stored run has another version; empty if other settings differ too."""
    versions = stored.get("catalogue") if isinstance(stored, dict) else None
    if not isinstance(versions, dict) or {**stored, "catalogue": settings["catalogue"]} != settings:
        return []
    return [slug for slug, digest in settings["catalogue"].items() if versions.get(slug) != digest]


def domains_changed_message(root: Path, domains: Iterable[str]) -> str:
    """The error text for a run in `root` whose domain files were edited after it began; says what to do."""
    files = ", ".join(f"{slug}.yaml" for slug in domains)
    return (
        f"{files} (or pools.yaml, or gatling_sid itself) changed after the run in {root} began; complete shards are kept. "
        "If the change was a mistake, undo it and run the same command again to finish the run; "
        "if not, name another folder, because a run uses one version of each domain"
    )


def _describe_difference(stored: Any, settings: dict[str, Any]) -> str:
    if not isinstance(stored, dict):
        return "its settings cannot be read"
    return ", ".join(
        f"{key} is {_shorten(stored.get(key))} there, {_shorten(value)} here"
        for key, value in settings.items()
        if stored.get(key) != value
    )


def _shorten(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def write_manifest(root: Path, settings: RunSettings, receipts: list[Receipt], **run_statistics: Any) -> Path:
    """Writes the manifest of a finished run: settings, counts, checksums, rejections by reason. Raises ShardError.

    `run_statistics` are further facts about the whole run; returns the path of the manifest.
    """
    reasons: dict[str, int] = {}
    for receipt in receipts:
        for rejection in receipt.rejections:
            reasons[rejection.reason] = reasons.get(rejection.reason, 0) + 1
    rows, rejected = sum(r.rows for r in receipts), sum(len(r.rejections) for r in receipts)
    write_json(
        root / MANIFEST,
        {
            "settings": asdict(settings),
            "rows": rows,
            "rejected": rejected,
            "raw_pass_rate": round(rows / (rows + rejected), 6) if rows else 0.0,
            "rejections_by_reason": dict(sorted(reasons.items())),
            "full_proofs": sum(r.full_proofs for r in receipts),
            **run_statistics,
            "shards": [
                {"name": r.name, "rows": r.rows, "rejected": len(r.rejections), "sha256": r.sha256} for r in receipts
            ],
        },
    )
    return root / MANIFEST


def read_manifest(root: Path) -> dict[str, Any]:
    """The manifest of a finished run.

    Raises:
        ShardError: the run is unfinished, or its manifest is not of this version.

    """
    if not (root / MANIFEST).exists():
        raise ShardError(f"{root} contains no finished run (no {MANIFEST}); run the generate command to its end first")
    manifest: dict[str, Any] = read_json(root / MANIFEST)
    settings = manifest.get("settings") if isinstance(manifest, dict) else None
    shards = manifest.get("shards") if isinstance(manifest, dict) else None
    if (
        not isinstance(settings, dict)
        or settings.get("format") != FORMAT_VERSION
        or not isinstance(settings.get("totals"), dict)
        or not isinstance(settings.get("catalogue"), dict)
        or not isinstance(manifest.get("rows"), int)
        or not isinstance(shards, list)
        or not all(isinstance(each, dict) and each.keys() >= {"name", "rows", "sha256"} for each in shards)
    ):
        raise ShardError(f"{root / MANIFEST} is not a manifest of this version; generate the run again")
    return manifest


def verified_shards(root: Path, manifest: dict[str, Any]) -> list[Path]:
    """Paths of all shards of a manifest. Raises ShardError naming the first whose checksum is wrong."""
    paths = []
    for each in manifest["shards"]:
        path = root / each["name"]
        if checksum(path) != each["sha256"]:
            raise ShardError(f"{path} is missing or was altered; run the same generate command again")
        paths.append(path)
    return paths
