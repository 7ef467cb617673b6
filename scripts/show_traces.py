"""Prints traces of a release as readable text, loaded with `load_dataset`.

python -m scripts.show_traces out/release
python -m scripts.show_traces gatling/sid --config finance --split test --number 30
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence

from builder.features import from_row
from gatling_sid.errors import ShardError
from gatling_sid.schemas import DomainRegistry
from gatling_sid.views.text import to_text
from scripts.command import command


def arguments() -> argparse.ArgumentParser:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", help="a release folder, or a dataset repository on the Hub")
    parser.add_argument("--config", default=None, help="config of one domain (default: all domains)")
    parser.add_argument("--split", default="train", help="train, validation or test (default train)")
    parser.add_argument("--number", type=int, default=1, help="number of traces, drawn at random (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="random seed for drawing the traces (default 0)")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Loads the release, draws traces at random and prints them."""
    args = arguments().parse_args(argv)
    if args.number < 1:
        raise ShardError(f"--number is {args.number}; it must be at least 1")
    import datasets  # noqa: PLC0415 - takes a second, which help and wrong arguments need not wait for

    datasets.disable_progress_bars()
    try:
        rows = datasets.load_dataset(args.release, args.config, split=args.split)
    except (FileNotFoundError, ValueError, ConnectionError) as error:
        raise ShardError(f"{args.release} cannot be loaded as a dataset: {str(error).splitlines()[0]}") from None
    registry = DomainRegistry()
    drawn = random.Random(args.seed).sample(range(len(rows)), min(args.number, len(rows)))
    print(f"\n\n{'─' * 110}\n\n".join(to_text(from_row(rows[index]), registry) for index in drawn))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
