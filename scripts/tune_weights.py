"""Tunes the weights of the parts of a domain until its traces meet the aims that weights decide, or come close.

python -m scripts.tune_weights insurance
python -m scripts.tune_weights insurance --rounds 12 --traces 1500

Only `weight:` of parts is changed in the domain file, and the best weights that were seen are kept. What is still missed
is named in the end; it takes other parts, tools or rules. What no trace has at all, and measures that compare policies, no
weight is changed for: see `check_domain`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

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
_SHORTER = 0.6
"""By how much steps shorten once one has made things worse; the next one starts from the best weights again."""


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
    best, step = _look_at(path, args), _FIRST_STEP
    try:
        for _ in range(args.rounds):
            print(f"{best.missed.score:.4f} short; {', '.join(best.missed.missed) or 'all aims are met'}", flush=True)
            if best.missed.score == 0:
                break
            weights = best.sample.better_weights(best.weights, step)
            path.write_text(with_weights(best.text, weights, path.name), encoding="utf-8")
            found = _look_at(path, args)
            if found.missed.score < best.missed.score:
                best = found
            else:
                step *= _SHORTER
    finally:
        path.write_text(best.text, encoding="utf-8")
    print(f"still missed: {', '.join(best.missed.missed) or 'nothing'}")
    print(f"{path.name} has the weights that were {best.missed.score:.4f} short")
    return 0


class _Weighed(NamedTuple):
    """The text of a domain file, its weights, and its traces with what they miss."""

    text: str
    weights: Mapping[str, int]
    sample: PartSample
    missed: Shortfall


def _look_at(path: Path, args: argparse.Namespace) -> _Weighed:
    """What the file as it is now leads to."""
    domain = DomainRegistry(path.parent).domain(path.stem)
    sample = PartSample(domain, draw_traces(domain, args.traces, args.seed))
    return _Weighed(path.read_text(encoding="utf-8"), weights_of(domain), sample, sample.shortfall())


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
