"""Validates traces again, from the written bytes of a run, a release in a folder or on the Hub, or a JSONL file.

Each plan is proven once, also if it occurs with several wordings. For a run or a release, the command also checks that
every row is in its place and agrees with the manifest, and lists requests of validation and test that nearly copy a
request of train.

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
from builder.judging import MAX_SHOWN, Tally, judge_source
from builder.sources import open_source
from gatling_sid.errors import ShardError
from scripts.command import FAILED, command, progress_bar


def arguments() -> argparse.ArgumentParser:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "source", help="folder of a finished run or of a release, a JSONL file, or OWNER/NAME on the Hub"
    )
    parser.add_argument("--revision", help="tag, branch or commit of a dataset on the Hub, such as v1.0.0")
    parser.add_argument("--every", type=int, default=1, help="judge only every N-th trace (default 1)")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="number of processes (default: one per core)"
    )
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Judges the traces, and prints the first findings and the counts."""
    args = arguments().parse_args(argv)
    for name in ("every", "workers"):
        if vars(args)[name] < 1:
            raise ShardError(f"--{name} is {vars(args)[name]}; it must be at least 1")
    source, total = open_source(args.source, args.revision), Tally()
    with progress_bar("traces") as bar:
        for tally in judge_source(source, every=args.every, workers=args.workers):
            print(
                "".join(f"{line}\n" for line in tally.examples[: MAX_SHOWN - len(total.examples)]), end="", flush=True
            )
            total += tally
            bar(total.judged_count, -(-source.rows // args.every), f"{total.rejected_by_rule.total():,} rejected")
    print(f"{total.judged_count:,} traces judged (wordings of {total.full_proofs:,} plans, each judged in full), "
          f"{total.gold_count:,} gold, "
          f"{total.partly_judged_count:,} judged in part, "
          f"{total.rejected_by_rule.total():,} rejected {dict(total.rejected_by_rule) or ''}".rstrip())  # fmt: skip
    if total.repeated_id_count:
        print(f"traces with the id of an earlier trace: {total.repeated_id_count:,}")
    if not total.judged_count:
        raise ShardError(f"{args.source} contains no traces")
    copies = count_near_copies(source.folder, source.files) if source.folder else 0
    return FAILED if total.rejected_by_rule or total.repeated_id_count or copies else 0


def count_near_copies(folder: Path, files: Sequence[str]) -> int:
    """Counts the requests of validation and test that nearly copy one of train, and prints the first of them."""
    copies: list[str] = []
    with progress_bar("shards") as bar:
        for number, (name, texts) in enumerate(near_copies(folder, files), start=1):
            copies += [f"{name}: {text!r} nearly copies a request of train" for text in texts]
            bar(number, len(files), f"{len(copies)} near-copies")
    print("\n".join([*copies[:MAX_SHOWN], f"{len(copies):,} requests of validation and test nearly copy one of train"]))
    return len(copies)


if __name__ == "__main__":
    raise SystemExit(main())
