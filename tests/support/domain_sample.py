"""Which domains of the shipped catalogue a run of the tests covers: a few, those that changed, or all.

The tests must not become slower with every domain that is added. So the domains whose files changed are tested, with
a few of the others, which are chosen by the catalogue's digest: the same at every run until a domain file changes.
`make catalogue` tests all domains (`--all-domains`), `make catalogue-changed` those that changed (`--changed-domains`).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path

import pytest

from gatling_sid.schemas.registry import CATALOGUE, DomainRegistry

MAX_CHANGED = 2
"""A change of more domain files than this is left to `make catalogue-changed`."""
OTHERS = 1
"""One of the domains that did not change, so that each has its turn."""
DOMAINS_TESTED = "SID_TEST_DOMAINS"
"""Name of the environment variable through which the option reaches the test modules and the worker processes."""


@cache
def sampled_slugs() -> tuple[str, ...]:
    """The slugs of the domains that this run of the tests covers, sorted."""
    return tuple(find_slugs(os.environ.get(DOMAINS_TESTED, "sample")))


def traces_per_domain(most: int) -> int:
    """How many traces of a domain a run of the tests looks at: `most` of them, or half of them for a sample of domains."""
    return most // 2 if os.environ.get(DOMAINS_TESTED, "sample") == "sample" else most


def sampled_domains() -> list[object]:
    """The parameters of a test or fixture that is run for each sampled domain; `make catalogue` finds it by its mark."""
    return [pytest.param(slug, marks=pytest.mark.catalogue, id=slug) for slug in sampled_slugs()]


def find_slugs(which: str) -> list[str]:
    """The slugs of `all` shipped domains, of the `changed` ones, or of a `sample`, which other ones are a part of."""
    slugs, changed = DomainRegistry().slugs(), changed_slugs(CATALOGUE)
    if which == "changed" and changed:
        return [slug for slug in slugs if slug in changed]
    return slugs if which == "all" else choose_slugs(slugs, changed, catalogue_digest(CATALOGUE))


def choose_slugs(slugs: Sequence[str], changed: Iterable[str], digest: str) -> list[str]:
    """At most MAX_CHANGED of the changed domains and OTHERS of the rest, in an order that the digest decides."""

    def position(slug: str) -> bytes:
        return blake2b(f"{digest} {slug}".encode()).digest()

    shuffled = sorted(slugs, key=position)
    first = [slug for slug in shuffled if slug in {*changed}][:MAX_CHANGED]
    return sorted([*first, *[slug for slug in shuffled if slug not in first][:OTHERS]])


def changed_slugs(folder: Path) -> set[str]:
    """The domains whose files differ from those before the last commit, or are new; none where git cannot tell."""
    commands = (["diff", "--name-only", "HEAD~1", "--", "."], ["ls-files", "--others", "--exclude-standard", "."])
    changed: set[str] = set()
    for command in commands:
        try:
            done = subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return set()
        changed.update(Path(line).stem for line in done.stdout.splitlines() if line.endswith(".yaml"))
    return changed


def catalogue_digest(folder: Path) -> str:
    """A digest of all domain files of a folder."""
    digest = blake2b(digest_size=8)
    for path in sorted(folder.glob("*.yaml")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
