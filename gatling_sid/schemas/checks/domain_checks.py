"""Checks a well-formed domain file for errors such as names that do not exist or wordings of two values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gatling_sid.schemas.checks.entities import check_entities
from gatling_sid.schemas.checks.lexicon import check_lexicon
from gatling_sid.schemas.checks.policies import check_members, check_policy
from gatling_sid.schemas.checks.roles import check_roles
from gatling_sid.schemas.checks.scenarios import check_scenarios
from gatling_sid.schemas.checks.tools import check_tools
from gatling_sid.schemas.checks.voice import check_voice

if TYPE_CHECKING:
    from gatling_sid.schemas.checks.problems import FileProblem
    from gatling_sid.schemas.domain import Domain


def domain_problems(domain: Domain) -> Iterator[FileProblem]:
    """Yields all problems of the first part of a domain that has any; each check needs earlier parts without problems."""
    checks = (
        check_entities, check_tools, check_roles, check_voice, check_policy, check_members, check_scenarios,
        check_lexicon,
    )  # fmt: skip
    for check in checks:
        problems = list(check(domain))
        yield from problems
        if problems:
            return
