"""Improves a domain's prompt from its rejections: keeps a note only if it wins by more than noise.

python -m scripts.tune_prompts hr --estimate
python -m scripts.tune_prompts hr --phase requests --requests 200 --rounds 2 --max-cost-usd 0.50
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import yaml

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.authoring.edits import replace_file
from gatling_sid.oracle.claude.estimate.dry_run import DryRun
from gatling_sid.oracle.claude.estimate.estimate import estimate_cost
from gatling_sid.oracle.claude.improve.tuning import INTRODUCTIONS, PromptTuner
from gatling_sid.oracle.claude.oracle import ClaudeOracle
from gatling_sid.oracle.claude.prompts.system_prompts import FOLDER, notes_of, notes_path
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.registry import CATALOGUE
from gatling_sid.validators import TraceValidator
from scripts.claude_options import add_options, connect_from_options
from scripts.command import command, progress_bar

LEDGER = Path("out/claude-tuning.sqlite")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domain", help="a domain's name or slug")
    parser.add_argument(
        "--phase", choices=[*INTRODUCTIONS], default="graph", help="whose prompt is tuned (default graph)"
    )
    parser.add_argument("--requests", type=int, default=100, help="fresh requests per measurement (default 100)")
    parser.add_argument("--rounds", type=int, default=1, help="times to propose; more rounds need clearer wins")
    parser.add_argument(
        "--first", type=int, default=1_000_000, help="index of the first fresh request; move it to draw others"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the notes are kept")
    parser.add_argument("--catalogue", type=Path, default=CATALOGUE, help="folder of the domain files")
    add_options(parser, LEDGER)
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Proposes, measures, keeps what wins, says what came of it."""
    args = arguments().parse_args(argv)
    if args.requests < 1 or args.rounds < 1 or args.first < 0:
        raise OracleError("--requests and --rounds must be at least 1, --first at least 0")
    if not args.folder.is_dir():
        raise OracleError(f"--folder {args.folder} is no folder; the notes could not be kept")
    registry = DomainRegistry(args.catalogue)
    domain, judge = registry.domain(args.domain), TraceValidator(registry)
    notes = notes_of(domain.slug, args.folder)
    asked = connect_from_options(args)
    oracle = ClaudeOracle(asked, judge, seed=args.seed, created_at=datetime(2026, 1, 1, tzinfo=UTC), model=args.model)
    rehearsal = DryRun(oracle.phases(domain), oracle.block)
    PromptTuner(oracle, rehearsal, judge, domain, args.phase, first=args.first).run_experiments(
        notes, args.requests, args.rounds
    )
    if args.estimate:
        print(estimate_cost(rehearsal.workloads(), args.model, batch=args.batch))
        return 0
    try:
        with progress_bar("answers") as bar:

            def report(done: int, doing: str) -> None:
                bar(done, len(rehearsal.requests), f"${sum(asked.cost_usd.values()):.4f}, {doing}")

            tuning = PromptTuner(oracle, asked, judge, domain, args.phase, first=args.first, report=report)
            tuned, trials = tuning.run_experiments(notes, args.requests, args.rounds)
    finally:
        asked.close()
    print("\n".join(map(str, trials)) or "no note was proposed")
    if tuned != notes:
        path = notes_path(domain.slug, args.folder)
        replace_file(path, yaml.safe_dump(tuned.model_dump(), sort_keys=False, allow_unicode=True, width=120))
        print(f"{path.name} is at version {tuned.version}")
    print(f"answers cost ${sum(asked.cost_usd.values()):.4f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
