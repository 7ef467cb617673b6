"""Improves a domain's graph prompt from its rejections: keeps a note only if it wins by more than noise.

python -m scripts.tune_prompts hr --requests 60 --rounds 2 --max-cost-usd 0.50
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import yaml

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.opening import keys_of, opened
from gatling_sid.oracle.claude.oracle import MODEL, ClaudeOracle
from gatling_sid.oracle.claude.phrasebook import replaced
from gatling_sid.oracle.claude.prompts import FOLDER, notes_of, notes_path
from gatling_sid.oracle.claude.tuning import Tuning
from gatling_sid.schemas import DomainRegistry
from gatling_sid.validators import TraceValidator
from scripts.command import command

LEDGER = Path("out/claude-tuning.sqlite")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domain", help="a domain's name or slug")
    parser.add_argument("--requests", type=int, default=60, help="fresh requests per measurement (default 60)")
    parser.add_argument("--rounds", type=int, default=1, help="times to propose (default 1)")
    parser.add_argument("--first", type=int, default=1_000_000, help="index of the first fresh request")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--model", default=MODEL, help=f"default {MODEL}")
    parser.add_argument("--max-cost-usd", type=float, help="stop before more than this can have been spent")
    parser.add_argument("--ledger", type=Path, default=LEDGER, help=f"what was asked and paid (default {LEDGER})")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where prompts and notes are kept")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Proposes, measures, keeps what wins, says what came of it."""
    args = arguments().parse_args(argv)
    if args.requests < 1 or args.rounds < 1:
        raise OracleError("--requests and --rounds must be at least 1")
    registry = DomainRegistry()
    domain, judge = registry.domain(args.domain), TraceValidator(registry)
    asked = opened(
        keys_of(None),
        args.ledger,
        model=args.model,
        max_cost_usd=args.max_cost_usd,
        base_url=os.environ.get("ANTHROPIC_BASE_URL"),
    )
    oracle = ClaudeOracle(asked, judge, seed=args.seed, created_at=datetime(2026, 1, 1, tzinfo=UTC), model=args.model)
    notes = notes_of(domain.slug, args.folder)
    try:
        tuning = Tuning(oracle, asked, judge, domain, first=args.first)
        tuned, trials = tuning.tried(notes, args.requests, args.rounds)
    finally:
        asked.close()
    print("\n".join(map(str, trials)) or "nothing was proposed: nothing was rejected")
    if tuned != notes:
        path = notes_path(domain.slug, args.folder)
        replaced(path, yaml.safe_dump(tuned.model_dump(), sort_keys=False, allow_unicode=True, width=120))
        print(f"{path.name} is at version {tuned.version}")
    print(f"answers cost ${sum(asked.cost_usd.values()):.4f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
