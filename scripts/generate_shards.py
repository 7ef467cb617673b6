"""Generates GoldTraces as Arrow shards. Run the same command again to finish an interrupted run.

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

from builder.run import Progress, RunResult, plan_run, plan_totals, rejections_by_reason, run
from builder.shards import RunSettings
from gatling_sid.errors import GenerationError
from gatling_sid.scenarios.schedule import WORLD_SIZE
from scripts.command import command, progress_bar

SAMPLE_SIZE = 100
SAMPLE_DOMAINS = ("finance", "hr", "healthcare", "devops", "email", "security")
"""Enough to see what the dataset is; all domains would take minutes to load."""
MODEL = "claude-haiku-5-5"
SHARD_SIZE = 2 * WORLD_SIZE
"""A multiple of the number of traces that share a world, so that no two shards populate the same world."""
DEFAULT_CREATED_AT = "2026-11-22T00:00:00+00:00"


def arguments() -> argparse.ArgumentParser:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", action="store_true", help=f"make {SAMPLE_SIZE} traces in out/sample")
    parser.add_argument("--total", type=int, help="number of traces, all domains and splits together")
    parser.add_argument(
        "--domains",
        default="",
        help=f"names of domains, separated by commas (default: all; of the sample {', '.join(SAMPLE_DOMAINS)})",
    )
    parser.add_argument("--seed", type=int, default=7, help="random seed (default 7)")
    parser.add_argument("--output-dir", type=Path, help="folder of the run; every run needs its own")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="number of processes (default: one per core)"
    )
    parser.add_argument("--shard-size", type=int, default=SHARD_SIZE, help=f"traces per file (default {SHARD_SIZE})")
    parser.add_argument("--splits", default="train=0.9,validation=0.05,test=0.05", help="share of each split")
    parser.add_argument(
        "--created-at",
        type=parse_moment,
        default=DEFAULT_CREATED_AT,
        help=f"time stamp of the traces (default {DEFAULT_CREATED_AT})",
    )
    parser.add_argument(
        "--oracle",
        choices=["scenario", "claude"],
        default="scenario",
        help="oracle that proposes the traces: scenario is the embedded one (default scenario)",
    )
    online = parser.add_argument_group("with --oracle claude (costs money; needs a key in ANTHROPIC_API_KEY)")
    online.add_argument("--model", default=MODEL, help=f"default {MODEL}")
    online.add_argument("--estimate", action="store_true", help="print calls, tokens and dollars, and send nothing")
    online.add_argument("--max-cost-usd", type=float, help="stop before the cost can exceed this")
    online.add_argument(
        "--batch", action="store_true", help="use message batches: cheaper (see --estimate), but slower"
    )
    online.add_argument(
        "--ledger", type=Path, help="file that records requests and costs (default: <output-dir>-claude-ledger.sqlite)"
    )
    online.add_argument(
        "--judge-share",
        type=float,
        default=1.0,
        help="share of the gold traces that Claude also judges, 0 to 1 (default 1); "
        "with less than 1, the run cannot be released",
    )
    # The former name of the option, which users may have in their scripts.
    online.add_argument("--judged", dest="judge_share", type=float, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def parse_splits(text: str) -> dict[str, float]:
    """Parses shares of splits such as `train=0.9,test=0.1`. Raises GenerationError."""
    try:
        pairs = [part.split("=") for part in text.split(",")]
        shares = {name.strip(): float(share) for name, share in pairs}
    except ValueError:
        raise GenerationError(f"--splits {text!r} is not of the form train=0.9,validation=0.05,test=0.05") from None
    if len(shares) < len(pairs) or not all(map(math.isfinite, shares.values())):
        raise GenerationError(f"--splits {text!r} names a split twice, or has a share that is not a number")
    return shares


def parse_moment(text: str) -> datetime:
    """Parses an ISO time; one without a time zone is UTC. Raises GenerationError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise GenerationError(f"--created-at {text!r} is not an ISO time such as {DEFAULT_CREATED_AT}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Plans the run, makes what is missing, and prints a summary."""
    args = arguments().parse_args(argv)
    if args.sample == (args.total is not None):
        raise GenerationError("give either --sample or --total N")
    if args.workers < 1:
        raise GenerationError(f"--workers is {args.workers}; it must be at least 1")
    if args.output_dir is None and not args.sample:
        raise GenerationError("give the output folder: --output-dir FOLDER")
    if args.oracle == "scenario" and (args.estimate or args.batch or args.max_cost_usd is not None):
        raise GenerationError(
            "the embedded oracle costs nothing; --estimate, --batch and --max-cost-usd need --oracle claude"
        )
    if not 0 <= args.judge_share <= 1:
        raise GenerationError(f"--judge-share is {args.judge_share}; it must be from 0 to 1")
    root = args.output_dir or Path("out/sample")
    selection = (
        [name for name in args.domains.split(",") if name.strip()] or (list(SAMPLE_DOMAINS) if args.sample else []),
        SAMPLE_SIZE if args.sample else args.total,
        parse_splits(args.splits),
    )
    if args.estimate:
        from scripts.generate_with_claude import print_estimate  # noqa: PLC0415 - the embedded path must not pay for the client

        return print_estimate(plan_totals(*selection), args)
    settings = plan_run(
        *selection,
        seed=args.seed,
        created_at=args.created_at,
        shard_size=args.shard_size,
        oracle="scenario" if args.oracle == "scenario" else f"claude/{args.model}",
    )
    if args.oracle == "claude":
        from scripts.generate_with_claude import generate_online  # noqa: PLC0415 - the embedded path must not pay for the client

        return generate_online(root, settings, args)
    with progress_bar("traces") as bar:

        def report(progress: Progress) -> None:
            bar(progress.done, progress.total, f"{progress.rate:,.0f}/s, raw pass rate {progress.pass_rate:.2%}")

        result = run(root, settings, workers=args.workers, report=report)
    print(summarise_run(root, settings, result))
    return 0


def summarise_run(root: Path, settings: RunSettings, result: RunResult) -> str:
    """The summary of a finished run: a table of domains, rejections by rule, proofs, rows and speed."""
    rows = sum(each.rows for each in result.receipts)
    rejected = sum(len(each.rejections) for each in result.receipts)
    lines = [f"{'domain':28}{'traces':>10}{'rejected':>10}{'raw pass rate':>15}"]
    for domain in settings.totals:
        receipts = [each for each in result.receipts if each.name.startswith(f"{domain}/")]
        n, n_rejected = sum(each.rows for each in receipts), sum(len(each.rejections) for each in receipts)
        lines.append(f"{domain:28}{n:>10,}{n_rejected:>10,}{n / (n + n_rejected):>15.2%}")
    lines.append(f"{'all':28}{rows:>10,}{rejected:>10,}{rows / (rows + rejected):>15.2%}")
    lines += [f"  rejected by {reason}: {n}" for reason, n in rejections_by_reason(result.receipts).items()]
    rate = f"{result.new_rows / result.seconds:,.0f} traces/s" if result.new_rows else "nothing was missing"
    proofs = sum(each.full_proofs for each in result.receipts)
    lines.append(f"{rows:,} traces are wordings of {proofs:,} plans, each proven in full")
    lines.append(f"{rows:,} traces in {root} ({result.new_rows:,} made now in {result.seconds:.1f} s, {rate})")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
