"""Lists the domains of the catalogue, and what each holds.

python -m scripts.list_domains
python -m scripts.list_domains finance hr
python -m scripts.list_domains --lent      # the tools that other domains may borrow
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from gatling_sid.domain_check.sizes import DomainSizes, sizes_of
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.borrowing import can_be_lent
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.registry import CATALOGUE
from scripts.command import command

_COLUMNS = ("domain", *DomainSizes._fields, "policies")


def arguments() -> argparse.ArgumentParser:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domains", nargs="*", help="names or slugs (default: all domains)")
    parser.add_argument("--lent", action="store_true", help="list the tools that other domains may borrow")
    parser.add_argument("--catalogue", type=Path, default=CATALOGUE, help="folder of the domain files")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Loads the domains and prints a line for each, or for each tool that is lent."""
    args = arguments().parse_args(argv)
    registry = DomainRegistry(args.catalogue)
    domains = [registry.domain(name) for name in args.domains or registry.slugs()]
    for line in (line for each in domains for line in _lent(each)) if args.lent else _table(domains):
        print(line)
    return 0


def _table(domains: Sequence[Domain]) -> Iterator[str]:
    name_width = max(len(each.name) for each in domains)
    yield "  ".join([_COLUMNS[0].ljust(name_width), *_COLUMNS[1:]])
    for domain in domains:
        cells = [*(f"{number:,}" for number in sizes_of(domain)), f"{domain.family.size:.0e}"]
        aligned = (cell.rjust(len(title)) for cell, title in zip(cells, _COLUMNS[1:], strict=True))
        yield "  ".join([domain.name.ljust(name_width), *aligned])


def _lent(domain: Domain) -> Iterator[str]:
    for name, tool in domain.file.tools.items():
        if "." not in name and can_be_lent(tool):
            parameters = ", ".join(each + ("" if spec.required else "?") for each, spec in tool.parameters.items())
            yield f"{domain.slug}.{name}({parameters})"


if __name__ == "__main__":
    raise SystemExit(main())
