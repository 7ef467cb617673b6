"""Improves a domain's prompt: lets Claude propose notes from rejections, and keeps those that clearly raise the pass rate.

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
from gatling_sid.oracle.claude.prompts.system_prompts import PROMPT_FOLDER, notes_of, notes_path
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.registry import CATALOGUE
from gatling_sid.validators import TraceValidator
from scripts.claude_options import add_options, connect_from_options
from scripts.command import command, progress_bar

TUNING_LEDGER = Path("out/claude-tuning.sqlite")


def arguments() -> argparse.ArgumentParser:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domain", help="a domain's name or slug")
    parser.add_argument(
        "--phase", choices=[*INTRODUCTIONS], default="graph", help="the phase whose prompt is improved (default graph)"
    )
    parser.add_argument("--requests", type=int, default=100, help="new requests per measurement (default 100)")
    parser.add_argument(
        "--rounds",
        type=int,
        default=1,
        help="number of rounds, each with new proposals (default 1); with more rounds, the significance threshold per "
        "note is lower",
    )
    parser.add_argument(
        "--first",
        type=int,
        default=1_000_000,
        help="index of the first new request (default %(default)s); use another one to avoid requests that were used before",
    )
    parser.add_argument("--seed", type=int, default=7, help="seed of the requests (default 7)")
    parser.add_argument("--folder", type=Path, default=PROMPT_FOLDER, help="folder of the notes")
    parser.add_argument("--catalogue", type=Path, default=CATALOGUE, help="folder of the domain files")
    add_options(parser, TUNING_LEDGER)
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the experiments, writes the notes if they changed, and prints the result of each experiment."""
    args = arguments().parse_args(argv)
    if args.requests < 1 or args.rounds < 1 or args.first < 0:
        raise OracleError("--requests and --rounds must be at least 1, --first at least 0")
    if not args.folder.is_dir():
        raise OracleError(f"--folder {args.folder} is not a folder; name one to write the notes to")
    registry = DomainRegistry(args.catalogue)
    domain, judge = registry.domain(args.domain), TraceValidator(registry)
    notes = notes_of(domain.slug, args.folder)
    client = connect_from_options(args)
    oracle = ClaudeOracle(client, judge, seed=args.seed, created_at=datetime(2026, 1, 1, tzinfo=UTC), model=args.model)
    dry_run = DryRun(oracle.prompts_of(domain), oracle.block_size)
    PromptTuner(oracle, dry_run, judge, domain, args.phase, first_index=args.first).run_experiments(
        notes, args.requests, args.rounds
    )
    if args.estimate:
        print(estimate_cost(dry_run.workloads(), args.model, batch=args.batch))
        return 0
    try:
        with progress_bar("responses") as bar:

            def report(done: int, activity: str) -> None:
                bar(done, len(dry_run.requests), f"${sum(client.cost_usd.values()):.4f}, {activity}")

            tuner = PromptTuner(oracle, client, judge, domain, args.phase, first_index=args.first, report=report)
            new_notes, trials = tuner.run_experiments(notes, args.requests, args.rounds)
    finally:
        client.close()
    print("\n".join(map(str, trials)) or "no note was proposed")
    if new_notes != notes:
        path = notes_path(domain.slug, args.folder)
        replace_file(path, yaml.safe_dump(new_notes.model_dump(), sort_keys=False, allow_unicode=True, width=120))
        print(f"{path.name} is now at version {new_notes.version}")
    print(f"responses cost ${sum(client.cost_usd.values()):.4f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
