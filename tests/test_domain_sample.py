"""The sample of domains: of a fixed size, the same at every run, and in time every domain has its turn."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.registry import CATALOGUE
from tests.support.domain_sample import (
    SAMPLE_SIZE,
    catalogue_digest,
    changed_slugs,
    choose_slugs,
    find_slugs,
)

SLUGS = [f"domain_{number:02d}" for number in range(55)]


def git(folder: Path, *arguments: str) -> None:
    """Runs git in a folder, as somebody whose settings are not this machine's."""
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_the_sample_has_a_fixed_size() -> None:
    """However many domains there are and change, as many are tested, and each of them once."""
    for number in (1, 3, 6, 55):
        for changed in (0, 1, number):
            sample = choose_slugs(SLUGS[:number], SLUGS[:changed], "digest")
            assert len({*sample}) == len(sample) == min(number, SAMPLE_SIZE)


def test_changed_domains_are_in_the_sample() -> None:
    """A domain whose file changed is tested whatever the digest says, which chooses if several did."""
    changed = ["domain_30", "domain_07"]
    samples = [choose_slugs(SLUGS, changed, str(digest)) for digest in range(20)]

    assert {slug for sample in samples for slug in sample} == {*changed}
    assert [choose_slugs(SLUGS, ["domain_30"], str(digest)) for digest in range(20)] == [["domain_30"]] * 20


def test_the_sample_follows_from_the_catalogue() -> None:
    """The same catalogue has the same sample; over changes of the catalogue, each domain is sampled sooner or later."""
    samples = [choose_slugs(SLUGS, [], str(digest)) for digest in range(900)]

    assert samples == [choose_slugs(SLUGS[::-1], [], str(digest)) for digest in range(900)]
    assert {slug for sample in samples for slug in sample} == {*SLUGS}


def test_changed_files_are_those_since_the_commit_before(tmp_path: Path) -> None:
    """A domain counts as changed when its file was committed last, is edited, or is new; outside git, none does."""
    assert changed_slugs(tmp_path / "nowhere") == set()
    for slug in ("old", "edited", "committed"):
        (tmp_path / f"{slug}.yaml").write_text("name: Old\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    assert changed_slugs(tmp_path) == set(), "there is no commit before the first"
    (tmp_path / "committed.yaml").write_text("name: New\n")
    git(tmp_path, "commit", "--quiet", "-a", "-m", "two")
    (tmp_path / "edited.yaml").write_text("name: New\n")
    (tmp_path / "new.yaml").write_text("name: New\n")
    (tmp_path / "notes.txt").write_text("no domain")

    assert changed_slugs(tmp_path) == {"committed", "edited", "new"}


def test_the_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    """Another content or another name is another catalogue."""
    (tmp_path / "a.yaml").write_text("name: A\n")
    digests = [catalogue_digest(tmp_path)]
    (tmp_path / "a.yaml").rename(tmp_path / "b.yaml")
    digests.append(catalogue_digest(tmp_path))
    (tmp_path / "b.yaml").write_text("name: B\n")
    digests.append(catalogue_digest(tmp_path))

    assert len({*digests}) == 3


def test_all_domains_can_be_asked_for() -> None:
    """With `--all-domains` every shipped domain is tested, else those that changed, or those that are chosen."""
    slugs = DomainRegistry().slugs()

    assert find_slugs("all") == slugs
    assert {*find_slugs("sample")} <= {*slugs}
    changed = [slug for slug in slugs if slug in changed_slugs(CATALOGUE)]
    assert find_slugs("changed") == (changed or find_slugs("sample"))
