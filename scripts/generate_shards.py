"""Generates GoldTraces as Arrow shards; the same command again finishes a run that was interrupted.

python -m scripts.generate_shards --sample
python -m scripts.generate_shards --total 50000 --domains finance,hr --seed 7 --output-dir out/run --workers 2
python -m scripts.generate_shards --oracle claude --total 200 --domains hr --output-dir out/claude --max-cost-usd 1
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from builder.run import Progress, RunResult, plan_run, rejections_by_reason, run
from builder.shards import RunSettings
from gatling_sid.errors import GenerationError
from gatling_sid.scenarios.schedule import WORLD_SIZE
from scripts.command import command, progress_bar

SAMPLE = 100
MODEL = "claude-haiku-5-5"
SHARD_SIZE = 2 * WORLD_SIZE  # whole worlds, so that no two shards populate the same one
CREATED_AT = "2026-11-22T00:00:00+00:00"


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", action="store_true", help=f"{SAMPLE} traces over the domains, into out/sample")
    parser.add_argument("--total", type=int, help="traces over all domains and splits")
    parser.add_argument("--domains", default="", help="names, separated by commas; all if left out")
    parser.add_argument("--seed", type=int, default=7, help="another seed gives other traces (default 7)")
    parser.add_argument("--output-dir", type=Path, help="folder of the run; one run, one folder")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    parser.add_argument("--shard-size", type=int, default=SHARD_SIZE, help=f"traces per file (default {SHARD_SIZE})")
    parser.add_argument("--splits", default="train=0.9,validation=0.05,test=0.05", help="shares of the splits")
    parser.add_argument("--created-at", default=CREATED_AT, help=f"the traces' time stamp (default {CREATED_AT})")
    parser.add_argument("--oracle", choices=["scenario", "claude"], default="scenario", help="who proposes traces")
    online = parser.add_argument_group("with --oracle claude (costs money; the key is taken from ANTHROPIC_API_KEY)")
    online.add_argument("--model", default=MODEL, help=f"default {MODEL}")
    online.add_argument("--estimate", action="store_true", help="print calls, tokens and dollars, send nothing")
    online.add_argument("--max-cost-usd", type=float, help="stop before more than this can have been spent")
    online.add_argument("--batch", action="store_true", help="message batches: half the price, up to a day")
    online.add_argument(
        "--ledger", type=Path, help="what was asked and paid (default: claude-ledger.sqlite beside the run)"
    )
    online.add_argument(
        "--judged", type=float, default=1.0,
        help="share of gold that Claude judges too (default 1); the rest is not validated and cannot be released",
    )  # fmt: skip
    return parser


def parse_splits(text: str) -> dict[str, float]:
    """`train=0.9,test=0.1` as a dict. Raises GenerationError."""
    try:
        pairs = [part.split("=") for part in text.split(",")]
        shares = {name.strip(): float(share) for name, share in pairs}
    except ValueError:
        raise GenerationError(f"--splits {text!r} is not of the form train=0.9,validation=0.05,test=0.05") from None
    if len(shares) < len(pairs) or not all(map(math.isfinite, shares.values())):
        raise GenerationError(f"--splits {text!r} names a split twice, or a share that is no number")
    return shares


def parse_moment(text: str) -> datetime:
    """An ISO time, UTC if it names no zone. Raises GenerationError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise GenerationError(f"--created-at {text!r} is no ISO time such as {CREATED_AT}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Plans the run, runs it, says what came of it."""
    args = arguments().parse_args(argv)
    if args.sample == (args.total is not None):
        raise GenerationError("say either --sample or --total N")
    if args.workers < 1:
        raise GenerationError(f"--workers is {args.workers}; it must be at least 1")
    if args.output_dir is None and not args.sample:
        raise GenerationError("say where to write: --output-dir FOLDER")
    if args.oracle == "scenario" and (args.estimate or args.batch or args.max_cost_usd is not None):
        raise GenerationError(
            "the embedded oracle costs nothing; --estimate, --batch and --max-cost-usd need --oracle claude"
        )
    if not 0 <= args.judged <= 1:
        raise GenerationError(f"--judged is {args.judged}; it is a share from 0 to 1")
    root = args.output_dir or Path("out/sample")
    settings = plan_run(
        [name for name in args.domains.split(",") if name.strip()],
        SAMPLE if args.sample else args.total,
        parse_splits(args.splits),
        seed=args.seed,
        created_at=parse_moment(args.created_at),
        shard_size=args.shard_size,
        oracle="scenario" if args.oracle == "scenario" else f"claude/{args.model}",
    )
    if args.oracle == "claude":
        from scripts.claude_run import generate_online  # noqa: PLC0415 - the embedded path must not pay for the client

        return generate_online(root, settings, args)
    with progress_bar("traces") as bar:

        def report(progress: Progress) -> None:
            bar(progress.done, progress.total, f"{progress.rate:,.0f}/s, raw pass rate {progress.pass_rate:.2%}")

        finished = run(root, settings, workers=args.workers, report=report)
    print(summary(root, settings, finished))
    return 0


def summary(root: Path, settings: RunSettings, finished: RunResult) -> str:
    """What a finished run holds, domain by domain."""
    rows = sum(each.rows for each in finished.receipts)
    rejected = sum(len(each.rejections) for each in finished.receipts)
    lines = [f"{'domain':28}{'traces':>10}{'rejected':>10}{'raw pass rate':>15}"]
    for domain in settings.totals:
        mine = [each for each in finished.receipts if each.name.startswith(f"{domain}/")]
        n, bad = sum(each.rows for each in mine), sum(len(each.rejections) for each in mine)
        lines.append(f"{domain:28}{n:>10,}{bad:>10,}{n / (n + bad):>15.2%}")
    lines.append(f"{'all':28}{rows:>10,}{rejected:>10,}{rows / (rows + rejected):>15.2%}")
    lines += [f"  rejected by {reason}: {n}" for reason, n in rejections_by_reason(finished.receipts).items()]
    rate = f"{finished.made / finished.seconds:,.0f} traces/s" if finished.made else "nothing was missing"
    lines.append(f"{rows:,} traces in {root} ({finished.made:,} made now in {finished.seconds:.1f} s, {rate})")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
