"""The page of a domain: deterministic, with what readers look for, and DOMAINS.md has one for each domain."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatling_sid.domain_check.page import render_page
from gatling_sid.schemas import DomainRegistry, registry
from gatling_sid.schemas.domain import Domain
from scripts.render_domains import DOMAINS_PAGE, SEED, main, sections_of
from tests.support.commands import small_catalogue
from tests.support.domain_sample import sampled_domains


def test_what_a_page_has(library: Domain) -> None:
    """Name, organisation, every role, numbers, a request and its calls; the same twice."""
    page = render_page(library, seed=3)
    assert page == render_page(library, seed=3)
    assert page.startswith("## Library\n")
    assert all(f"* **{role}**: {spec.description}" in page for role, spec in library.file.roles.items())
    assert f"{len(library.file.tools)} tools" in page
    assert "calls each" in page
    assert "\n> " in page
    assert "\n1. `library." in page


@pytest.mark.parametrize("slug", sampled_domains())
def test_the_rendered_pages_are_up_to_date(slug: str) -> None:
    """The section of a domain is what its file gives; `python -m scripts.render_domains <slug>` renders it again."""
    domain = DomainRegistry().domain(slug)
    sections = dict(sections_of(DOMAINS_PAGE.read_text(encoding="utf-8")))
    assert sections[domain.name] == render_page(domain, seed=SEED)


def test_every_domain_has_a_page() -> None:
    """No shipped domain is missing, and none is left that does not ship."""
    titles = [title for title, _ in sections_of(DOMAINS_PAGE.read_text(encoding="utf-8"))]
    assert titles == DomainRegistry().get_all_domains()


def test_a_single_section_can_be_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the named domain's section is rendered; the others stay as they are."""
    monkeypatch.setattr(registry, "CATALOGUE", small_catalogue(tmp_path / "catalogue", "Email", "HR"))
    page = tmp_path / "DOMAINS.md"
    page.write_text("# Domains\n\n## Email\n\nold words\n\n## HR\n\nold words\n", encoding="utf-8")
    assert main(["hr", "--output", str(page)]) == 0
    sections = dict(sections_of(page.read_text(encoding="utf-8")))
    assert sections["Email"] == "## Email\n\nold words\n"
    assert sections["HR"].startswith("## HR\n\nA lending library")
