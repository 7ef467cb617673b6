"""Checks a well-formed domain file for errors such as names that do not exist or wordings of two values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from gatling_sid.schemas.checks.ambiguity import check_ambiguous_phrases, check_called
from gatling_sid.schemas.checks.comparatives import check_bounds, check_superlatives, check_units
from gatling_sid.schemas.checks.entities import check_entities
from gatling_sid.schemas.checks.lexicon import check_lexicon
from gatling_sid.schemas.checks.outside import check_lures, check_trust, check_unserved
from gatling_sid.schemas.checks.part_rules import check_part_rules
from gatling_sid.schemas.checks.part_texts import check_part_texts, check_shared_texts
from gatling_sid.schemas.checks.parts import check_must_say, check_parts
from gatling_sid.schemas.checks.phrases import check_phrases, check_sayable
from gatling_sid.schemas.checks.policies import check_members, check_policy
from gatling_sid.schemas.checks.problems import FileProblem
from gatling_sid.schemas.checks.roles import check_roles
from gatling_sid.schemas.checks.rule_sentences import check_rule_sentences
from gatling_sid.schemas.checks.scenarios import check_scenarios
from gatling_sid.schemas.checks.tools import check_tools
from gatling_sid.schemas.checks.use import check_asked
from gatling_sid.schemas.checks.voice import check_voice

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

DomainCheck = Callable[["Domain"], Iterator[FileProblem]]
_SECTIONS: tuple[DomainCheck, ...] = (check_entities, check_tools, check_roles, check_policy)
"""Checks of what parts, scenarios and phrases refer to."""
NEEDED_BY_CHECK: Mapping[DomainCheck, tuple[DomainCheck, ...]] = {
    check_entities: (),
    check_tools: (),
    check_roles: (),
    check_voice: (),
    check_policy: (),
    check_members: (check_policy,),
    check_rule_sentences: (check_policy,),
    check_called: (),
    check_phrases: (),
    check_ambiguous_phrases: (),
    check_bounds: (),
    check_units: (),
    check_superlatives: (),
    check_sayable: _SECTIONS,
    check_parts: (),
    check_part_texts: (),
    check_shared_texts: (check_entities, check_tools, check_parts, check_part_texts),
    check_must_say: (*_SECTIONS, check_phrases, check_parts),
    check_part_rules: (*_SECTIONS, check_parts),
    check_scenarios: _SECTIONS,
    check_lexicon: (*_SECTIONS, check_phrases, check_parts, check_part_texts, check_scenarios),
    check_asked: (),
    check_trust: (check_entities, check_tools),
    check_lures: (check_entities, check_tools),
    check_unserved: (check_roles,),
}
"""Every check, with those that must find nothing before it can be made."""


def domain_problems(domain: Domain) -> Iterator[FileProblem]:
    """Yields all problems of a domain; a check that could only stumble over an earlier check's problem is left out."""
    clean: set[DomainCheck] = set()
    for check, needed in NEEDED_BY_CHECK.items():
        if clean.issuperset(needed):
            problems = list(check(domain))
            yield from problems
            clean |= set() if problems else {check}
