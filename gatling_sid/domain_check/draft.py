"""Reads a domain file as far as it goes: all its problems, and a domain of those parts that have none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gatling_sid.errors import CatalogueError
from gatling_sid.schemas.checks.domain_checks import domain_problems
from gatling_sid.schemas.checks.entities import check_entities
from gatling_sid.schemas.checks.lexicon import check_lexicon
from gatling_sid.schemas.checks.outside import check_lures, check_trust, check_unserved
from gatling_sid.schemas.checks.part_texts import check_part_texts
from gatling_sid.schemas.checks.parts import check_must_say, check_parts
from gatling_sid.schemas.checks.phrases import check_phrases, check_sayable
from gatling_sid.schemas.checks.policies import check_members, check_policy
from gatling_sid.schemas.checks.problems import FileProblem
from gatling_sid.schemas.checks.roles import check_roles
from gatling_sid.schemas.checks.scenarios import check_scenarios
from gatling_sid.schemas.checks.tools import check_tools
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.domain_content import read_domain_content
from gatling_sid.schemas.registry import DomainRegistry, domain_of_content

_NEEDED_TO_DRAW: Sequence[Callable[[Domain], Iterator[FileProblem]]] = (
    check_entities, check_tools, check_roles, check_policy, check_members, check_phrases, check_sayable, check_parts,
    check_part_texts, check_must_say, check_scenarios, check_lexicon, check_trust, check_lures, check_unserved,
)  # fmt: skip
"""Checks that must find nothing before tasks can be drawn; each relies on those before it."""
_MAX_ROUNDS = 4
"""How often broken entries are left out; leaving out some of them seldom breaks others."""
_CAN_BE_LEFT_OUT = ("parts", "scenarios", "lures", "unserved")
"""Sections whose entries can be left out one by one."""
_USERS = ("tools.", "roles.", "policy.")
"""Keys of which nothing more is said once parts are left out: what these lack, only the parts may have used."""


class DraftFile(NamedTuple):
    """A domain file as far as it can be used; without a domain, no task can be drawn from it.

    `left_out` names the parts, scenarios, lures and unserved requests that the domain lacks because something is wrong
    with them.
    """

    domain: Domain | None
    problems: list[FileProblem]
    left_out: list[str]


def read_draft(path: Path, registry: DomainRegistry) -> DraftFile:
    """Reads a file of a registry's folder; what keeps it from being read at all becomes a problem, too."""
    try:
        content = read_domain_content(path)
        registry.check_name(path.stem)
    except CatalogueError as error:
        return DraftFile(None, [(error.where, error.problem)], [])
    found = domain_of_content(path.stem, content, path.parent)
    problems = [*(domain_problems(found) if isinstance(found, Domain) else found)]
    left_out: list[str] = []
    current = problems
    for _ in range(_MAX_ROUNDS):
        if isinstance(found, Domain) and can_be_drawn(found):
            return DraftFile(found, problems, left_out)
        broken = [name for name in _entries_named_in(current) if name not in left_out]
        if not broken:
            break
        left_out += broken
        found = domain_of_content(path.stem, _without(content, left_out), path.parent)
        current = list(domain_problems(found)) if isinstance(found, Domain) else found
        problems += [each for each in current if not each[0].startswith(_USERS) and each not in problems]
    return DraftFile(None, problems, [])


def can_be_drawn(domain: Domain) -> bool:
    """Whether tasks can be drawn, although the file may have problems of other kinds."""
    return not any(True for check in _NEEDED_TO_DRAW for _ in check(domain))


def _entries_named_in(problems: Sequence[FileProblem]) -> list[str]:
    """The entries that can be left out and that problems are about, as `parts.<name>`."""
    keys = (where.split(".")[:2] for where, _ in problems)
    return list(dict.fromkeys(".".join(key) for key in keys if len(key) > 1 and key[0] in _CAN_BE_LEFT_OUT))


def _without(content: Mapping[str, Any], entries: Sequence[str]) -> dict[str, Any]:
    return {
        section: {name: each for name, each in value.items() if f"{section}.{name}" not in entries}
        if section in _CAN_BE_LEFT_OUT and isinstance(value, Mapping)
        else value
        for section, value in content.items()
    }
