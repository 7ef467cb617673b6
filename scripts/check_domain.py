"""Checks a domain file: tells all its problems at once, measures its traces beside the aims, and shows some of them.

python -m scripts.check_domain finance
python -m scripts.check_domain finance --draft --traces 200 --show 5
python -m scripts.check_domain finance --scenario approve_invoices --watch

With --draft, what is only too little (parts, texts, aims that are missed) does not fail the check. With --scenario, only
tasks whose name contains the text are made; the name of a task has its role, its parts and its conditions. With --watch,
ten requests are shown with their plans, again after each change of the file, until Ctrl-C.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from gatling_sid.domain_check.draft import read_draft
from gatling_sid.domain_check.preview import preview_lines, watch_file
from gatling_sid.domain_check.problems import describe_problems
from gatling_sid.domain_check.report import report_on
from gatling_sid.domain_check.sample import sample_of_draft
from gatling_sid.errors import GenerationError
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.registry import CATALOGUE
from gatling_sid.views.text import to_text
from scripts.command import FAILED, command

PREVIEWED = 10


def arguments() -> argparse.ArgumentParser:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domain", help="a domain's name or slug")
    parser.add_argument("--traces", type=int, default=400, help="number of traces to make and judge (default 400)")
    parser.add_argument("--draft", action="store_true", help="do not fail for what is only too little")
    parser.add_argument("--scenario", default="", metavar="TEXT", help="only tasks whose name contains this text")
    parser.add_argument("--show", type=int, default=0, help="number of traces to print in full (default 0)")
    parser.add_argument("--watch", action="store_true", help="show requests with their plans whenever the file changes")
    parser.add_argument("--seed", type=int, default=7, help="random seed of the traces (default 7)")
    parser.add_argument("--catalogue", type=Path, default=CATALOGUE, help="folder of the domain files")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Checks the file once, or whenever it changes."""
    args = arguments().parse_args(argv)
    if args.traces < 1 or args.show < 0:
        raise GenerationError("--traces must be at least 1, and --show at least 0")
    path = args.catalogue / f"{DomainRegistry(args.catalogue).slug_of(args.domain)}.yaml"
    if args.watch:
        watch_file(path, partial(show_preview, path, args))
    return check_file(path, args)


def check_file(path: Path, args: argparse.Namespace) -> int:
    """Prints some traces, the measures and all problems; returns the exit status."""
    draft = read_draft(path, DomainRegistry(path.parent))
    draft, sample = sample_of_draft(draft, args.traces, seed=args.seed, name=args.scenario)
    if draft.domain and sample:
        registry = DomainRegistry.of_domain(draft.domain)
        for each in islice(sample.judged, args.show):
            print(to_text(each.trace, registry), "\n")
    if args.scenario and sample and not (sample.judged or sample.not_drawn):
        raise GenerationError(
            f"no task of {path.name} has {args.scenario!r} in its name; give a part, a role or a field"
        )
    report = report_on(draft, sample, path, seed=args.seed, is_whole=not args.scenario)
    print(*report.lines(is_draft=args.draft), sep="\n")
    failures, traces = len(report.failures(is_draft=args.draft)), len(sample.judged) if sample else 0
    print(f"\n{path.name}: {traces} traces, {failures} problems, {len(report.problems) - failures} warnings")
    return FAILED if failures else 0


def show_preview(path: Path, args: argparse.Namespace) -> None:
    """Prints ten requests with their plans, and all problems of the file as it is now."""
    draft = read_draft(path, DomainRegistry(path.parent))
    draft, sample = sample_of_draft(draft, 2 * PREVIEWED, seed=args.seed, name=args.scenario, measures=False)
    if sample:
        print(*preview_lines(sample, PREVIEWED), sep="\n")
    report = report_on(draft, sample, path, seed=args.seed, is_whole=False)
    print(*describe_problems(report.problems), sep="\n")
    print(f"\n{path.name}: {len(report.problems)} problems; waiting for the next change, Ctrl-C ends", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
