"""Turns a finished run into a release: a local tree, or one commit and one tag on the Hugging Face Hub.

    python -m scripts.push_to_hub --run out/sample --local-dir out/release
    python -m scripts.push_to_hub --run out/run --repo gatling/sid --version 1.0.0

The Hub is the one at HF_ENDPOINT, the token is HF_TOKEN or the one that was logged in with.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from builder.publish import publish, tag_of
from builder.release import write_data
from builder.shards import read_manifest
from dataset_card.card import write_card
from gatling_sid.errors import PublishError
from scripts.command import command

REPO = "gatling/sid"


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run")
    parser.add_argument("--local-dir", type=Path, help="write the release tree here")
    parser.add_argument("--repo", help="publish to this dataset repository, such as gatling/sid")
    parser.add_argument("--version", default="1.0.0", help="version of the release, X.Y.Z (default 1.0.0)")
    parser.add_argument("--private", action="store_true", help="create the repository private, if it is new")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Writes the tree; publishes it if asked to."""
    args = arguments().parse_args(argv)
    if args.local_dir is None and args.repo is None:
        raise PublishError("say where the release goes: --local-dir FOLDER, --repo OWNER/NAME, or both")
    tag_of(args.version)  # before anything is replaced
    with tempfile.TemporaryDirectory(prefix="sid-release-") as temporary:
        tree = args.local_dir or Path(temporary)
        layout = write_data(args.run, tree)
        write_card(tree, read_manifest(args.run), layout, repo_id=args.repo or REPO, version=args.version)
        print(f"{len(layout)} domains in {tree}" if args.local_dir else f"{len(layout)} domains staged")
        if args.repo:
            done = publish(tree, args.repo, args.version, endpoint=os.environ.get("HF_ENDPOINT"), private=args.private)
            print(f"published {done.repo_id} {done.tag} ({done.commit[:12]}) at {done.url}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
