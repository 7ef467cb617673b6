"""Lets Claude write phrasings, scenarios and rules for a domain; adds those that pass all checks to its file.

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

AUTHORING_LEDGER = Path("out/claude-authoring.sqlite")
_CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)


def arguments() -> argparse.ArgumentParser:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domain", help="a domain's name or slug")
    parser.add_argument("--rules", type=int, default=0, metavar="N", help="write N new rules of its policy")
    parser.add_argument("--scenarios", type=int, default=0, metavar="N", help="write N new scenarios")
    parser.add_argument("--phrasings", type=int, default=0, metavar="N", help="write N new phrasings per scenario")
    parser.add_argument("--of", default="", help="write phrasings only for these scenarios, separated by commas")
    parser.add_argument(
        "--round", type=int, default=0, help="number of the round (default 0); use another one to send new requests"
    )
    parser.add_argument(
        "--no-write",
        action="store_true",
        help="ask Claude, which costs money, and check the candidates, but do not change the domain file",
    )
    # The former name of the option, which users may have in their scripts.
    parser.add_argument(
        "--dry-run", dest="no_write", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )
    parser.add_argument("--catalogue", type=Path, default=CATALOGUE, help="folder of the domain files")
    add_options(parser, AUTHORING_LEDGER)
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Lets Claude write each kind of content, keeps what passes, and writes the file at the end.

    Each kind starts from the text that includes what was kept before. If the command is interrupted, running it again
    finds all earlier responses in the ledger.
    """
    args = arguments().parse_args(argv)
    kinds = kinds_of(args)
    path = args.catalogue / f"{DomainRegistry(args.catalogue).domain(args.domain).slug}.yaml"
    before = text = read_text(path)
    if args.estimate:
        print(estimate_round(author_of(path, text, args.model), kinds, args.model, args.round, batch=args.batch))
        return 0

    def report_waiting(text: str) -> None:
        show(0, 0, text)

    client = connect_from_options(args, report_waiting)
    try:
        for kind in kinds:
            with progress_bar(kind.phase) as show:
                result = author_of(path, text, args.model).author(client, kind, args.round)
            text = result.text
            print("\n".join(describe_result(result)))
    finally:
        client.close()
    if text != before and not args.no_write:
        replace_file(path, text)
    print(
        f"{path.name} {'was not changed' if text == before or args.no_write else 'was changed, and so was its version'}"
    )
    return 0


def author_of(path: Path, text: str, model: str) -> Author:
    """The author for a domain file with this text."""
    return Author(path.name, text, TraceValidator, model=model, created_at=_CREATED_AT)


def kinds_of(args: argparse.Namespace) -> list[ContentKind[Any]]:
    """The kinds of content that the options name; rules first, because later content must obey them. Raises OracleError."""
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
        raise OracleError("give what to write: --phrasings N, --scenarios N or --rules N")
    return kinds


def estimate_round(
    author: Author, kinds: Sequence[ContentKind[Any]], model: str, round_: int, *, batch: bool
) -> Estimate:
    """The most that a round can cost: every candidate is repaired as often as allowed, and then judged."""
    workloads = []
    judgements = 0
    for kind in kinds:
        requests = author.first_requests(kind, round_)
        workloads += [replace(each, calls=each.calls * (1 + kind.repairs)) for each in workloads_of(requests)]
        judgements += len(requests) * kind.candidates_per_answer * kind.judgements
    workloads += workloads_of(author.sample_judgement_requests(judgements))
    return estimate_cost(workloads, model, batch=batch)


def describe_result(result: AuthoringResult) -> list[str]:
    """Lines that list the candidates that were kept, and count the rejected ones by reason."""
    kept, rejected = len(result.kept), len(result.rejected)
    lines = [f"{each.subject}: {each.text}" for each in result.kept]
    reasons = Counter(each.reason.partition(":")[0] for each in result.rejected)
    lines += [f"  rejected for {reason}: {count}" for reason, count in reasons.most_common()]
    each = f", ${result.cost_usd / kept:.6f} each" if kept else ""
    return [*lines, f"{kept} of {kept + rejected} kept, responses cost ${result.cost_usd:.4f}{each}"]


if __name__ == "__main__":
    raise SystemExit(main())
