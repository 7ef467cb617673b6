"""Has Claude write phrasings, scenarios and rules for a domain; keeps those that the machinery proves, in its file.

python -m scripts.author_domain hr --phrasings 6 --estimate
python -m scripts.author_domain hr --scenarios 4 --rules 2 --max-cost-usd 0.50
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.authoring.author import Author, AuthoringResult, ContentKind
from gatling_sid.oracle.claude.authoring.edits import read_text, replace_file
from gatling_sid.oracle.claude.authoring.phrasings import PhrasingsKind
from gatling_sid.oracle.claude.authoring.rules import RulesKind
from gatling_sid.oracle.claude.authoring.scenarios import ScenariosKind
from gatling_sid.oracle.claude.estimate.estimate import Estimate, estimate_cost, workloads_of
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.registry import CATALOGUE
from gatling_sid.validators import TraceValidator
from scripts.claude_options import add_options, connect_from_options
from scripts.command import command, progress_bar

LEDGER = Path("out/claude-authoring.sqlite")
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domain", help="a domain's name or slug")
    parser.add_argument("--rules", type=int, default=0, metavar="N", help="N new rules of its policy")
    parser.add_argument("--scenarios", type=int, default=0, metavar="N", help="N new scenarios")
    parser.add_argument("--phrasings", type=int, default=0, metavar="N", help="N new phrasings per scenario")
    parser.add_argument("--of", default="", help="phrasings of these scenarios only, separated by commas")
    parser.add_argument("--round", type=int, default=0, help="another round asks anew, for other people and matters")
    parser.add_argument("--dry-run", action="store_true", help="ask and prove, but leave the domain file as it is")
    parser.add_argument("--catalogue", type=Path, default=CATALOGUE, help="folder of the domain files")
    add_options(parser, LEDGER)
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Asks, proves, writes, says what came of it; each kind goes on from the text that the one before it left.

    The file is written last: until then, the same command finds all its answers in the ledger.
    """
    args = arguments().parse_args(argv)
    kinds = kinds_of(args)
    path = args.catalogue / f"{DomainRegistry(args.catalogue).domain(args.domain).slug}.yaml"
    before = text = read_text(path)
    if args.estimate:
        print(estimate_round(author_of(path, text, args.model), kinds, args.model, args.round, batch=args.batch))
        return 0
    asked = connect_from_options(args)
    try:
        for kind in kinds:
            with progress_bar(kind.phase) as bar:
                asked.telling = lambda waiting_for, bar=bar: bar(0, 0, waiting_for)
                authored = author_of(path, text, args.model).author(asked, kind, args.round)
            text = authored.text
            print("\n".join(summary(authored)))
    finally:
        asked.close()
    if text != before and not args.dry_run:
        replace_file(path, text)
    print(f"{path.name} {'is as it was' if text == before or args.dry_run else 'has them; its version changes'}")
    return 0


def author_of(path: Path, text: str, model: str) -> Author:
    """An author of a file that is to hold this text."""
    return Author(path.name, text, TraceValidator, model=model, created_at=MOMENT)


def kinds_of(args: argparse.Namespace) -> list[ContentKind[Any]]:
    """What is asked for; rules first, since they bind what comes after. Raises OracleError."""
    numbers = {"--rules": args.rules, "--scenarios": args.scenarios, "--phrasings": args.phrasings}
    for name, number in numbers.items():
        if number < 0:
            raise OracleError(f"{name} is {number}; it cannot be less than 0")
    names = [each.strip() for each in args.of.split(",") if each.strip()]
    kinds: list[ContentKind[Any]] = []
    kinds += [RulesKind(args.rules)] if args.rules else []
    kinds += [ScenariosKind(args.scenarios)] if args.scenarios else []
    kinds += [PhrasingsKind(args.phrasings, names)] if args.phrasings else []
    if not kinds:
        raise OracleError("say what to write: --phrasings N, --scenarios N or --rules N")
    return kinds


def estimate_round(
    author: Author, kinds: Sequence[ContentKind[Any]], model: str, round_: int, *, batch: bool
) -> Estimate:
    """The most that a round may take: every candidate is mended as often as may be, and looked at in the end."""
    planned = []
    questions = 0
    for kind in kinds:
        asks = author.asks(kind, round_)
        planned += [replace(each, calls=each.calls * (1 + kind.repairs)) for each in workloads_of(asks)]
        questions += len(asks) * kind.pieces * kind.opinions
    planned += workloads_of(author.sample_questions(questions))
    return estimate_cost(planned, model, batch=batch)


def summary(authored: AuthoringResult) -> list[str]:
    """What was kept, what was not and why."""
    kept, dropped = len(authored.kept), len(authored.dropped)
    lines = [f"{each.about}: {each.text}" for each in authored.kept]
    reasons = Counter(each.reason.partition(":")[0] for each in authored.dropped)
    lines += [f"  dropped for {reason}: {count}" for reason, count in reasons.most_common()]
    each = f", ${authored.cost_usd / kept:.6f} each" if kept else ""
    return [*lines, f"{kept} of {kept + dropped} kept, answers cost ${authored.cost_usd:.4f}{each}"]


if __name__ == "__main__":
    raise SystemExit(main())
