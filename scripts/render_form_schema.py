"""Renders the JSON Schema of domain files, with which editors complete and check them; to be run when the form changes.

python -m scripts.render_form_schema
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from gatling_sid.schemas.form_schema import FORM_SCHEMA, render_form_schema
from scripts.command import command


def arguments() -> argparse.ArgumentParser:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=FORM_SCHEMA, help="file to write (default: the one that ships)")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Writes the schema to its file."""
    args = arguments().parse_args(argv)
    args.output.write_text(render_form_schema(), encoding="utf-8")
    print(f"{args.output.name} is up to date")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
