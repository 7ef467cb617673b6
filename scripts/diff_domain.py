"""Shows what a change of a domain file does to traces: makes the same traces before and after, and compares them.

python -m scripts.diff_domain hr
python -m scripts.diff_domain hr --traces 1000 --show 5
python -m scripts.diff_domain hr --before old/hr.yaml

Without --before, the file is compared with its version in the last git commit. Randomness does not depend on the content
of the file, so a trace differs only if the change affects it. An edited phrasing affects all requests that are worded with
it: their alternatives, frame and values may be chosen differently too.
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Sequence
from pathlib import Path

from builder.domain_diff import compare_versions, describe_diff
from gatling_sid.errors import CatalogueError, GenerationError, UnknownDomainError
from gatling_sid.schemas.registry import CATALOGUE
from gatling_sid.schemas.yaml_loading import read_bytes
from scripts.command import command


def arguments() -> argparse.ArgumentParser:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domain", help="the slug of a domain, which is the name of its file without .yaml")
    parser.add_argument("--before", type=Path, help="the earlier version (default: the one in the last git commit)")
    parser.add_argument("--traces", type=int, default=200, help="number of traces of each version (default 200)")
    parser.add_argument("--seed", type=int, default=7, help="seed of the traces (default 7)")
    parser.add_argument("--show", type=int, default=0, help="number of pairs to print as a diff (default 0)")
    parser.add_argument("--catalogue", type=Path, default=CATALOGUE, help="folder of the domain files")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Reads both versions, compares their traces, and prints a report."""
    args = arguments().parse_args(argv)
    if args.traces < 1 or args.show < 0:
        raise GenerationError("--traces must be at least 1, and --show at least 0")
    path = find_file(args.catalogue, args.domain)
    before = read_bytes(args.before) if args.before else read_committed(path)
    diff = compare_versions(path.stem, before, read_bytes(path), traces=args.traces, seed=args.seed)
    print("\n".join(describe_diff(diff, args.show)))
    return 0


def find_file(catalogue: Path, domain: str) -> Path:
    """The file of a domain, found by its name alone, since it may not load. Raises UnknownDomainError."""
    path = catalogue / f"{domain.strip().casefold().replace(' ', '_')}.yaml"
    if not path.is_file():
        raise UnknownDomainError(domain, [each.stem for each in catalogue.glob("*.yaml")])
    return path


def read_committed(path: Path) -> bytes:
    """The content of a file in the last git commit. Raises CatalogueError if there is none."""
    git = ["git", "-C", str(path.parent), "show", f"HEAD:./{path.name}"]
    try:
        process = subprocess.run(git, capture_output=True, check=False)  # noqa: S603 - no shell
    except OSError as error:
        problem = f"git cannot be run: {error.strerror or error}"
    else:
        if process.returncode == 0:
            return process.stdout
        message = process.stderr.decode(errors="replace").strip().partition("\n")[0]
        problem = f"git has no earlier version: {message}"
    raise CatalogueError(path.name, "", f"{problem}; name the earlier version with --before FILE")


if __name__ == "__main__":
    raise SystemExit(main())
