"""Validates traces again, in full and from the written bytes: a run's shards, or a JSONL file of traces.

Of a run, requests of validation and test that nearly copy one of train are told as well.

python -m scripts.validate_shards out/run
python -m scripts.validate_shards traces.jsonl
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from builder.audit import near_copies
from builder.shards import read_manifest, read_traces, verified_shards
from gatling_sid.errors import ShardError, TraceFormatError
from gatling_sid.models import GoldTrace
from gatling_sid.validators import TraceValidator
from scripts.command import FAILED, command, progress_bar

_SHOWN = 20


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of a finished run, or a JSONL file")
    parser.add_argument("--every", type=int, default=1, help="only every N-th trace (default: all)")
    return parser


def read_jsonl(path: Path) -> Iterator[GoldTrace]:
    """The traces of a JSONL file, one per line.

    Raises:
        TraceFormatError: naming the line that is no trace.
        ShardError: the file cannot be read.

    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _trace_of(line, f"{path.name}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise ShardError(f"{path} cannot be read: {error}") from None


def _trace_of(line: str, where: str) -> GoldTrace:
    try:
        return GoldTrace.model_validate(json.loads(line, parse_constant=_refuse_constant))
    except ValidationError as error:
        first = error.errors()[0]
        raise TraceFormatError(
            where, ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
        ) from None
    except (ValueError, RecursionError) as error:
        raise TraceFormatError(where, f"is no JSON object of a trace: {error}") from None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def traces_of(source: Path) -> tuple[Iterator[GoldTrace], int]:
    """All traces of a run or a JSONL file, and how many there are (0 if not known beforehand)."""
    if source.is_dir():
        manifest = read_manifest(source)
        paths = verified_shards(source, manifest)
        return (trace for path in paths for trace in read_traces(path)), manifest["rows"]
    return read_jsonl(source), 0


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Judges, counts, names what is wrong."""
    args = arguments().parse_args(argv)
    validator = TraceValidator()
    traces, total = traces_of(args.source)
    judged = skipped = 0
    bad: Counter[str] = Counter()
    with progress_bar("traces") as bar:
        for number, trace in enumerate(traces):
            if number % max(args.every, 1):
                continue
            judged += 1
            valid, report = validator.validate_trace(trace)
            skipped += valid and not report["validated"]
            if not valid:
                messages = [
                    m
                    for check in report["checks"].values()
                    for k in check
                    if isinstance(check[k], list)
                    for m in check[k]
                ]
                bad[messages[0].partition(":")[0]] += 1
                if sum(bad.values()) <= _SHOWN:
                    print(f"{trace.trace_id}: {messages[0]}")
            bar(judged, total // max(args.every, 1), f"{sum(bad.values())} rejected")
    print(f"{judged:,} traces judged, {judged - sum(bad.values()) - skipped:,} gold, {skipped:,} judged in part, "
          f"{sum(bad.values()):,} rejected {dict(bad) or ''}".rstrip())  # fmt: skip
    if not judged:
        raise ShardError(f"{args.source} holds no traces")
    copies = copied(args.source) if args.source.is_dir() else 0
    return FAILED if bad or copies else 0


def copied(root: Path) -> int:
    """How many requests of validation and test nearly copy one of train; prints the first."""
    shards = [each["name"] for each in read_manifest(root)["shards"]]
    copies: list[str] = []
    with progress_bar("shards") as bar:
        for number, (name, texts) in enumerate(near_copies(root, shards), start=1):
            copies += [f"{name}: {text!r} nearly copies a request of train" for text in texts]
            bar(number, len(shards), f"{len(copies)} near-copies")
    print("\n".join([*copies[:_SHOWN], f"{len(copies):,} requests of validation and test nearly copy one of train"]))
    return len(copies)


if __name__ == "__main__":
    raise SystemExit(main())
