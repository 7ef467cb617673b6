"""Writes the first draft of a domain file from its entities, so that the author edits instead of starting from nothing.

python -m scripts.new_domain fleet --from fleet_entities.yaml

The file given with --from has a name, a description, an organisation and the entities with their fields, as in a domain
file. From them follow tools, phrases by type of field, roles, a few rules of each kind, and parts. The draft loads, and
nearly all of its traces pass; its words are rough, and `# edit` stands where better ones are wanted.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from gatling_sid.errors import CatalogueError
from gatling_sid.first_draft.writing import draft_text
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.registry import CATALOGUE
from scripts.command import command


def arguments() -> argparse.ArgumentParser:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slug", help="name of the new file without .yaml: small letters, digits and _")
    parser.add_argument("--from", dest="declaration", type=Path, required=True, metavar="FILE", help="the declaration")
    parser.add_argument("--catalogue", type=Path, default=CATALOGUE, help="folder of the domain files")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Writes the file, unless there is one already, and says what to do next."""
    args = arguments().parse_args(argv)
    path = args.catalogue / f"{args.slug}.yaml"
    if not (args.slug.isascii() and args.slug.isidentifier() and args.slug.islower()):
        raise CatalogueError(path.name, "", "a slug has small letters, digits and _, and begins with a letter")
    if path.exists():
        raise CatalogueError(path.name, "", "there is such a file already; remove it, or choose another slug")
    text = draft_text(args.declaration, args.slug)
    path.write_text(text, encoding="utf-8")
    try:
        file = DomainRegistry(args.catalogue).domain(args.slug).file
    except CatalogueError:
        path.unlink()
        raise
    print(
        f"{path.name}: {len(file.tools)} tools, {len(file.policy.rules)} rules, {len(file.parts)} parts; edit it, then"
    )
    print(f"python -m scripts.check_domain {args.slug} --draft --watch")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
