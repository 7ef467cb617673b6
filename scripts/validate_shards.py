"""Validates traces again, from the written bytes: a run, a release in a folder or on the Hub, or a JSONL file of traces.

Rows of one plan share its proof. Of a run and a release it is seen besides that every row is in its place and says what
the manifest says; and requests of validation and test that nearly copy one of train are told.

python -m scripts.validate_shards out/run
python -m scripts.validate_shards out/release --workers 2
python -m scripts.validate_shards gatling/sid --revision v1.0.0
python -m scripts.validate_shards traces.jsonl

The exit status is 0 if nothing was rejected.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from builder.audit import near_copies
from builder.judging import MOST_SHOWN, Tally, judge_source
from builder.sources import open_source
from gatling_sid.errors import ShardError
from scripts.command import FAILED, command, progress_bar


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "source", help="folder of a finished run or of a release, a JSONL file, or OWNER/NAME on the Hub"
    )
    parser.add_argument("--revision", help="tag, branch or commit of a dataset on the Hub, such as v1.0.0")
    parser.add_argument("--every", type=int, default=1, help="judge only every N-th trace (default: all)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Judges, counts, names what is wrong."""
    args = arguments().parse_args(argv)
    for name in ("every", "workers"):
        if vars(args)[name] < 1:
            raise ShardError(f"--{name} is {vars(args)[name]}; it must be at least 1")
    source, whole = open_source(args.source, args.revision), Tally()
    with progress_bar("traces") as bar:
        for tally in judge_source(source, every=args.every, workers=args.workers):
            print(
                "".join(f"{line}\n" for line in tally.examples[: MOST_SHOWN - len(whole.examples)]), end="", flush=True
            )
            whole += tally
            bar(whole.judged, -(-source.rows // args.every), f"{whole.rejected.total():,} rejected")
    print(f"{whole.judged:,} traces judged ({whole.full_proofs:,} plans proven), {whole.gold:,} gold, {whole.partly_judged:,} judged "
          f"in part, {whole.rejected.total():,} rejected {dict(whole.rejected) or ''}".rstrip())  # fmt: skip
    if whole.repeated:
        print(f"traces that have the id of another: {whole.repeated:,}")
    if not whole.judged:
        raise ShardError(f"{args.source} holds no traces")
    copies = count_near_copies(source.folder, source.files) if source.folder else 0
    return FAILED if whole.rejected or whole.repeated or copies else 0


def count_near_copies(folder: Path, files: Sequence[str]) -> int:
    """How many requests of validation and test nearly copy one of train; prints the first."""
    copies: list[str] = []
    with progress_bar("shards") as bar:
        for number, (name, texts) in enumerate(near_copies(folder, files), start=1):
            copies += [f"{name}: {text!r} nearly copies a request of train" for text in texts]
            bar(number, len(files), f"{len(copies)} near-copies")
    print(
        "\n".join([*copies[:MOST_SHOWN], f"{len(copies):,} requests of validation and test nearly copy one of train"])
    )
    return len(copies)


if __name__ == "__main__":
    raise SystemExit(main())
