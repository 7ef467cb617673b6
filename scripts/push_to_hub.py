"""Turns a finished run into a release: a local tree, or one commit and one tag on the Hugging Face Hub.

    python -m scripts.push_to_hub --run out/sample --local-dir out/release
    python -m scripts.push_to_hub --run out/run --repo gatling/sid --version 1.0.0

To use another Hub than huggingface.co, set HF_ENDPOINT. The token is HF_TOKEN, or that of `hf auth login`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from builder.release import tag_of, write_data
from builder.shards import read_manifest
from dataset_card.card import write_card
from gatling_sid.errors import PublishError
from scripts.command import command

REPO = "gatling/sid"
"""The repository that the card names if the release is not published."""


def arguments() -> argparse.ArgumentParser:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run")
    parser.add_argument("--local-dir", type=Path, help="write the release into this folder")
    parser.add_argument("--repo", help="publish to this dataset repository, such as gatling/sid")
    parser.add_argument("--version", default="1.0.0", help="version of the release, X.Y.Z (default 1.0.0)")
    parser.add_argument("--private", action="store_true", help="if the repository is new, make it private")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Writes the release tree, and publishes it if --repo is given."""
    args = arguments().parse_args(argv)
    if args.local_dir is None and args.repo is None:
        raise PublishError("give the target of the release: --local-dir FOLDER, --repo OWNER/NAME, or both")
    tag_of(args.version)  # refuses a wrong version before anything is replaced
    with tempfile.TemporaryDirectory(prefix="sid-release-") as temporary:
        tree = args.local_dir or Path(temporary)
        layout = write_data(args.run, tree)
        write_card(tree, read_manifest(args.run), layout, repo_id=args.repo or REPO, version=args.version)
        print(f"{len(layout)} domains in {tree}" if args.local_dir else f"{len(layout)} domains staged")
        if args.repo:
            from builder.publish import publish  # noqa: PLC0415 - a release in a folder needs no client

            publication = publish(
                tree, args.repo, args.version, endpoint=os.environ.get("HF_ENDPOINT"), private=args.private
            )
            print(f"published {publication.repo_id} {publication.tag} ({publication.commit[:12]}) at {publication.url}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
