"""Renders DOMAINS.md: each domain with who asks, what it holds, its measures and one trace.

python -m scripts.render_domains                  # all domains; takes minutes
python -m scripts.render_domains insurance hr     # only these sections; the others stay as they are
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gatling_sid.domain_check.page import render_page
from gatling_sid.schemas import DomainRegistry
from scripts.command import command

DOMAINS_PAGE = Path(__file__).parents[1] / "DOMAINS.md"
SEED = 7
HEAD = (
    "# Domains\n\n"
    "Rendered by `python -m scripts.render_domains` from the domain files; the trace of each is drawn by seed {seed}. "
    "`python -m scripts.list_domains` prints the numbers of all.\n"
)


def arguments() -> argparse.ArgumentParser:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domains", nargs="*", help="names or slugs (default: all domains)")
    parser.add_argument("--output", type=Path, default=DOMAINS_PAGE, help="file to write (default: DOMAINS.md)")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Renders the sections and writes the file, in the order of the domains' names."""
    args = arguments().parse_args(argv)
    registry = DomainRegistry()
    known = dict(sections_of(args.output.read_text(encoding="utf-8"))) if args.output.exists() else {}
    for name in args.domains or registry.get_all_domains():
        domain = registry.domain(name)
        known[domain.name] = render_page(domain, seed=SEED)
    sections = [known[name] for name in registry.get_all_domains() if name in known]
    args.output.write_text("\n".join([HEAD.format(seed=SEED), *sections]), encoding="utf-8")
    print(f"{args.output.name}: {len(sections)} domains")
    return 0


def sections_of(text: str) -> Iterator[tuple[str, str]]:
    """Yields (display name, section) of each domain of a rendered page."""
    for section in re.split(r"(?m)^(?=## )", text)[1:]:
        title, _, _ = section.partition("\n")
        yield title.removeprefix("## "), section.rstrip("\n") + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
