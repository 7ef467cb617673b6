"""Which domains of the shipped catalogue a run of the tests covers: one, those that changed, or all.

The tests must not become slower with every domain that is added. So one domain is tested, which the catalogue's digest
chooses among those whose files changed or, if there are none, among all: the same at every run until a file changes.
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

SAMPLE_SIZE = 1
"""Domains of a sample; a change of more domain files than this is left to `make catalogue-changed`."""
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
    """SAMPLE_SIZE of the domains, the changed ones first, in an order that the digest decides."""
    among = {*changed}

    def position(slug: str) -> tuple[bool, bytes]:
        return slug not in among, blake2b(f"{digest} {slug}".encode()).digest()

    return sorted(sorted(slugs, key=position)[:SAMPLE_SIZE])


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
