"""The list of domains: a line for each with what it holds, and the tools that are lent."""

from __future__ import annotations

import pytest

from gatling_sid.schemas import DomainRegistry
from scripts.list_domains import main
from tests.conftest import CATALOGUE


def test_a_line_for_each_domain(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers are those of the files."""
    assert main(["--catalogue", str(CATALOGUE)]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    registry = DomainRegistry(CATALOGUE)
    assert head.split() == ["domain", "entities", "tools", "borrowed", "rules", "roles", "parts", "policies"]
    for line, slug in zip(lines, registry.slugs(), strict=True):
        file = registry.domain(slug).file
        numbers = [len(file.entities), len(file.tools), 0, len(file.policy.rules), len(file.roles)]
        assert line.split()[1:6] == list(map(str, numbers))


def test_tools_that_are_lent(capsys: pytest.CaptureFixture[str]) -> None:
    """Tools that create, or that send about no row, with their parameters; optional ones have a question mark."""
    assert main(["calendar", "email", "--lent"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "email.send_message(recipient, subject, body)" in lines
    assert "calendar.create_event(organiser_id, title, day, starts_at, minutes, agenda?, guest?)" in lines
    assert not any(line.startswith("calendar.list_events") for line in lines)


def test_an_unknown_domain_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest name is suggested."""
    assert main(["helthcare"]) != 0
    assert "Healthcare" in capsys.readouterr().err
