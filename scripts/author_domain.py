"""Has Claude write new phrasings for a domain's scenarios; keeps those that the machinery proves, in the domain file.

python -m scripts.author_domain hr --phrasings 6 --estimate
python -m scripts.author_domain hr --phrasings 6 --max-cost-usd 0.50
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.authoring import Author, Authored
from gatling_sid.oracle.claude.estimate import estimate, planned_of
from gatling_sid.oracle.claude.phrasebook import replaced
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.registry import CATALOGUE
from gatling_sid.validators import TraceValidator
from scripts.claude_options import add_options, opened_by
from scripts.command import command

LEDGER = Path("out/claude-authoring.sqlite")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domain", help="a domain's name or slug")
    parser.add_argument("--scenarios", default="", help="names, separated by commas; all if left out")
    parser.add_argument("--phrasings", type=int, default=6, help="how many to ask for per scenario (default 6)")
    parser.add_argument("--round", type=int, default=0, help="another round asks anew, for other people's manners")
    parser.add_argument("--dry-run", action="store_true", help="ask and prove, but leave the domain file as it is")
    parser.add_argument("--catalogue", type=Path, default=CATALOGUE, help="folder of the domain files")
    add_options(parser, LEDGER)
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Asks, proves, writes, says what came of it."""
    args = arguments().parse_args(argv)
    if args.phrasings < 1:
        raise OracleError(f"--phrasings is {args.phrasings}; ask for at least 1")
    slug = DomainRegistry(args.catalogue).domain(args.domain).slug
    path = args.catalogue / f"{slug}.yaml"
    author = Author(path, TraceValidator, model=args.model, created_at=datetime(2026, 1, 1, tzinfo=UTC))
    scenarios = [each.strip() for each in args.scenarios.split(",") if each.strip()]
    scenarios = scenarios or list(author.domain.file.scenarios)
    if args.estimate:
        asks = author.asks(scenarios, args.phrasings, args.round)
        print(estimate(planned_of(asks), args.model, batch=args.batch))
        return 0
    asked = opened_by(args)
    try:
        authored = author.author(asked, scenarios, args.phrasings, args.round)
    finally:
        asked.close()
    if authored.kept and not args.dry_run:
        replaced(path, authored.text)
    print("\n".join(summary(authored)))
    print(f"{path.name} {'is as it was' if args.dry_run or not authored.kept else 'has them; its version changes'}")
    return 0


def summary(authored: Authored) -> list[str]:
    """What was kept, what was not and why."""
    kept, dropped = len(authored.kept), len(authored.dropped)
    lines = [f"{each.scenario}: {each.text}" for each in authored.kept]
    reasons = Counter(each.reason.partition(":")[0] for each in authored.dropped)
    lines += [f"  dropped for {reason}: {count}" for reason, count in reasons.most_common()]
    each = f", ${authored.cost_usd / kept:.6f} each" if kept else ""
    return [*lines, f"{kept} of {kept + dropped} kept, answers cost ${authored.cost_usd:.4f}{each}"]


if __name__ == "__main__":
    raise SystemExit(main())
