"""Requests for which nothing is to be called: what the session shows already, and what no tool of the domain can do."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.language.shared_voice import part_of_split, voice_of_split
from gatling_sid.seeding import stream

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_PHRASINGS_IN_TRAIN = 40
PHRASINGS_KEPT = 4
"""The last phrasings, so many each, are kept for validation and, after these, for test."""
_SHOWN_BY_SESSION = "Your {attribute} is {value}."
"""What answers a question about the person asking, of whom the session shows all attributes."""
_TYPES_ASKED_ABOUT = ("text", "choice", "email", "date")
"""Types of the attributes about which people ask; nobody asks for their own name."""


def unserved_scenarios(domain: Domain) -> dict[str, c.Scenario]:
    """The scenarios in which nothing is called, by name; none for a domain without parts."""
    if not domain.file.parts:
        return {}
    return dict([*_about_session(domain), *_without_tool(domain)])


def _about_session(domain: Domain) -> Iterator[tuple[str, c.Scenario]]:
    """Yields a scenario for each attribute that people ask about, of all roles that have it, since all ask alike."""
    for called, (name, roles) in _attributes_by_word(domain).items():
        rng = stream(domain.slug, "unserved", name, called)
        texts = {split: _questions(domain, split, called) for split in ("train", "validation", "test")}
        reason = _SHOWN_BY_SESSION.replace("{attribute}", called)
        yield f"asks for own {name}", _scenario("retrieve", roles, texts, reason, rng, own=name)


def _attributes_by_word(domain: Domain) -> dict[str, tuple[str, list[str]]]:
    """The attributes about which people ask, by what they are called, each with the roles that have it."""
    found: dict[str, tuple[str, list[str]]] = {}
    for role, declaration in domain.file.roles.items():
        fields = domain.file.entities[declaration.entity].fields
        for name in declaration.attributes:
            field = fields[name]
            if field.type in _TYPES_ASKED_ABOUT and field.called and name != "name":
                first, roles = found.setdefault(field.called[0], (name, []))
                roles.extend([role] if first == name else [])
    return found


def _questions(domain: Domain, split: str, called: str) -> list[str]:
    """The questions about an attribute; they name the domain, since no two requests of a release are the same."""
    attribute = f"{called} in the {domain.name} records"
    return [each.replace("{attribute}", attribute) for each in voice_of_split(domain.voice, split).about_session]


def _without_tool(domain: Domain) -> Iterator[tuple[str, c.Scenario]]:
    for name, spec in domain.file.unserved.items():
        rng = stream(domain.slug, "unserved", name)
        texts = {split: _orders(domain, split, spec.says, rng) for split in ("train", "validation", "test")}
        yield f"nothing does: {name}", _scenario(spec.intent, spec.roles, texts, spec.reason, rng)


def _orders(domain: Domain, split: str, verbs: Sequence[str], rng: random.Random) -> list[str]:
    patterns = list(voice_of_split(domain.voice, split).patterns.do.neutral)
    rng.shuffle(patterns)
    own = part_of_split(verbs, split)
    return [each.replace("{do}", own[at % len(own)]) for at, each in enumerate(patterns)]


def _scenario(
    intent: Any,
    roles: Sequence[str],
    texts: dict[str, list[str]],
    reason: str,
    rng: random.Random,
    own: str | None = None,
) -> c.Scenario:
    train = texts["train"][:_PHRASINGS_IN_TRAIN]
    rng.shuffle(train)
    kept = [each for split in ("validation", "test") for each in texts[split][:PHRASINGS_KEPT]]
    phrasings = [each[:1].upper() + each[1:] for each in (*train, *kept)]
    return c.Scenario.model_construct(
        intent=intent,
        roles=list(roles),
        given={},
        weight=1,
        draw={},
        slots={},
        goal=c.ScenarioGoal.model_construct(shows=[], measures=[], effects=[], time_range=None),
        plan=[],
        phrasings=phrasings,
        reasons=[],
        variant=c.Variant.model_construct(
            kind="nothing_to_call", rule=None, goal=None, plan=[], asked=[], reason=reason, own=own
        ),
    )
