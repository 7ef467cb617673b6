"""Tunes the weights of the parts of a domain until its traces meet the aims that weights decide, or come close.

python -m scripts.tune_weights insurance
python -m scripts.tune_weights insurance --rounds 12 --traces 1500

Only `weight:` of parts is changed in the domain file, and the best weights that were seen are kept. What weights cannot
mend is named in the end: it takes other parts, tools or rules.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from gatling_sid.domain_check.weights import PartSample, Shortfall, weights_of, with_weights
from gatling_sid.errors import GenerationError
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.scenarios.schedule import WORDINGS_PER_INSTANCE, WORLD_SIZE
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.registry import CATALOGUE
from scripts.command import command

_WORLDS = 3
_FIRST_STEP = 0.55
_SHORTER = 0.7
"""By how much steps shorten once one has made things worse."""


def arguments() -> argparse.ArgumentParser:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domain", help="a domain's name or slug")
    parser.add_argument("--rounds", type=int, default=8, help="how often weights are changed (default 8)")
    parser.add_argument("--traces", type=int, default=900, help="traces of each round (default 900)")
    parser.add_argument("--seed", type=int, default=7, help="random seed of the traces (default 7)")
    parser.add_argument("--catalogue", type=Path, default=CATALOGUE, help="folder of the domain files")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Changes weights round by round, keeps the best, and prints what is still missed."""
    args = arguments().parse_args(argv)
    if args.rounds < 1 or args.traces < 1:
        raise GenerationError("--rounds and --traces must be at least 1")
    slug = DomainRegistry(args.catalogue).slug_of(args.domain)
    path = args.catalogue / f"{slug}.yaml"
    best, step, before = (float("inf"), path.read_text(encoding="utf-8"), Shortfall(0, {})), _FIRST_STEP, float("inf")
    try:
        for round_ in range(args.rounds + 1):
            domain = DomainRegistry(args.catalogue).domain(slug)
            sample = PartSample(domain, draw_traces(domain, args.traces, args.seed))
            missed = sample.shortfall()
            print(
                f"round {round_}: {missed.score:.4f} short; {', '.join(missed.missed) or 'all aims are met'}",
                flush=True,
            )
            text = path.read_text(encoding="utf-8")
            best = min(best, (missed.score, text, missed), key=lambda each: each[0])
            if missed.score == 0 or round_ == args.rounds:
                break
            step *= _SHORTER if missed.score > before else 1
            before = missed.score
            path.write_text(
                with_weights(text, sample.better_weights(weights_of(domain), step), path.name), encoding="utf-8"
            )
    finally:
        path.write_text(best[1], encoding="utf-8")
    print(f"{path.name} has the weights that were {best[0]:.4f} short")
    return 0


def draw_traces(domain: Domain, number: int, seed: int) -> list[GoldTrace]:
    """So many traces of train from several worlds, or fewer where a task finds no rows; no two are of one instance."""
    oracle = ScenarioOracle(seed, datetime(2026, 1, 1, tzinfo=UTC))
    positions = ((at % _WORLDS, at // _WORLDS * WORDINGS_PER_INSTANCE) for at in range(number))
    indices = [world * WORLD_SIZE + place % WORLD_SIZE for world, place in positions]
    proposals = (oracle.trace(Task(domain, "train", index)) for index in indices)
    traces = [each for each in proposals if isinstance(each, GoldTrace)]
    if not traces:
        raise GenerationError(f"{domain.name} makes no trace; see `python -m scripts.check_domain {domain.slug}`")
    return traces


if __name__ == "__main__":
    raise SystemExit(main())
