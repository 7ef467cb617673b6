"""New phrasings of scenarios that a domain has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from gatling_sid.errors import OracleError
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.claude.authoring.author import AuthoringPrompt, ContentKind, find_problem_in_content
from gatling_sid.oracle.claude.authoring.edits import insert_phrasings
from gatling_sid.oracle.claude.authoring.trial import CandidateDomain
from gatling_sid.oracle.claude.plans.answers import PhrasingsAnswer, parse_answer
from gatling_sid.oracle.claude.prompts.system_prompts import MIN_VARIANTS, prompt_of
from gatling_sid.oracle.protocol import Failure
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.descriptions import describe_parameter
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.language.phrasing import Phrasing
from gatling_sid.schemas.references import parse_reference
from gatling_sid.seeding import stream

PROOFS_PER_PHRASING = 16
"""Traces of a phrasing that must all be gold before it is kept."""
# Two phrasings are near-copies if they share more than this part of their words.
_NEAR_COPY_SHARE = 0.7
# A long phrasing takes about 120 tokens.
_TOKENS_PER_PHRASING = 220


class PhrasingsKind(ContentKind[str]):
    """`number` new phrasings for each of `scenarios`, or for every scenario if none is named."""

    phase = "phrasing"

    def __init__(self, number: int, scenarios: Sequence[str] = ()) -> None:
        self.number = self.candidates_per_answer = number
        self.scenarios = scenarios
        self.max_tokens = _TOKENS_PER_PHRASING * number + 200

    def examples(self, domain: Domain, _text: str) -> list[str]:
        """The first two phrasings of every scenario."""
        scenarios = domain.file.scenarios.items()
        return [f"{name}:\n" + "\n".join(f"  {text}" for text in each.phrasings[:2]) for name, each in scenarios]

    def prompts(self, domain: Domain, round_: int) -> list[AuthoringPrompt]:
        """One prompt for each scenario that needs phrasings."""
        known = domain.file.scenarios
        for each in self.scenarios:
            if each not in known:
                raise OracleError(f"{domain.slug} has no scenario {each!r}; it has {', '.join(known)}")
        names = self.scenarios or list(known)
        return [AuthoringPrompt(name, "\n".join(_prompt_lines(domain, name, self.number, round_))) for name in names]

    def parse_candidates(self, text: str) -> list[str]:
        """The phrasings of an answer, without repetitions."""
        return [*dict.fromkeys(parse_answer(PhrasingsAnswer, text).phrasings)]

    def format_candidate(self, candidate: str) -> str:
        """The phrasing itself, which is text already."""
        return candidate

    def find_problem_in_candidate(self, _domain: Domain, candidate: str) -> str | None:
        """Finds invisible characters, a wrong notation, or alternatives that make too few texts."""
        return find_problem_in_content(candidate) or find_problem_in_phrasing(candidate)

    def insert(self, text: str, subject: str, candidate: str, source: str, file: str) -> str:
        """Inserts it before the other phrasings of the scenario."""
        return insert_phrasings(text, subject, [candidate], source, file)

    def find_problem_in_domain(self, trial: CandidateDomain, subject: str, candidate: str) -> str | None:
        """Finds a phrasing of which it is a near-copy, or the first of its traces that is not gold."""
        if like := find_near_copy(candidate, trial.domain.file.scenarios[subject].phrasings[1:]):
            return f"near-copy: of {like!r}"
        proofs = 0
        for proposal in self.traces_of(trial, subject, candidate):
            if problem := trial.find_problem_in_proposal(proposal):
                return problem
            proofs += 1
            if proofs == PROOFS_PER_PHRASING:
                return None
        return f"proof: only {proofs} traces could be made with it"

    def traces_of(self, trial: CandidateDomain, subject: str, candidate: str) -> Iterator[GoldTrace | Failure]:
        """Traces of the scenario that are worded with the phrasing."""
        return trial.traces(subject, candidate)


def find_problem_in_phrasing(text: str) -> str | None:
    """Says what is wrong with a phrasing in any scenario, or returns None."""
    try:
        phrasing = Phrasing(text)
    except ValueError as error:
        return f"notation: {error}"
    if phrasing.variants < MIN_VARIANTS:
        return f"alternatives: they make {phrasing.variants} texts; at least {MIN_VARIANTS} are needed"
    return None


def find_near_copy(phrasing: str, others: Iterable[str]) -> str | None:
    """The first of the others of which a phrasing is a near-copy, or None; only the words are compared."""
    words = _words(phrasing)
    return next((e for e in others if len(words & _words(e)) > _NEAR_COPY_SHARE * len(words | _words(e))), None)


def _words(text: str) -> set[str]:
    return set("".join(letter if letter.isalnum() else " " for letter in text.casefold()).split())


def _prompt_lines(domain: Domain, name: str, number: int, round_: int) -> Iterator[str]:
    scenario = domain.file.scenarios[name]
    yield f"Scenario {name}: somebody with the role {' or '.join(scenario.roles)} wants to {scenario.intent}."
    yield "What is done for them:"
    for step in scenario.plan:
        when = f" (only if the policy has {', '.join(step.when)})" if step.when else ""
        yield f"- {step.tool} {json.dumps(step.arguments, ensure_ascii=False)}{when}"
    yield f"What they get: {json.dumps(scenario.goal.model_dump(exclude_defaults=True), ensure_ascii=False)}"
    yield "Slots:"
    parameters = domain.slot_parameters(scenario)
    for slot, value in scenario.slots.items():
        yield f"- {{{slot}}}: {_describe_slot(domain, value, parameters.get(slot, []))}"
    yield "Phrasings it has, not to be repeated or varied:"
    yield from (f"- {text}" for text in scenario.phrasings)
    yield f"Write {number} new ones:"
    conditions = prompt_of("requests").conditions
    rng = stream(domain.slug, name, "phrasings", round_)
    for at in range(1, number + 1):
        manner = "; ".join(f"{key}: {rng.choice(ways)}" for key, ways in conditions.items() if key != "difficulty")
        yield f"{at}. {manner}"


def _describe_slot(domain: Domain, value: Any, parameters: Sequence[tuple[c.Tool, str]]) -> str:
    what = (
        "; ".join(sorted({describe_parameter(domain.file, tool, tool.parameters[name]) for tool, name in parameters}))
        or "only stated in the request"
    )
    kinds = ", ".join(sorted({domain.wording_kind(tool, tool.parameters[name]) for tool, name in parameters}))
    if isinstance(value, str) and parse_reference(value):
        return f"varies ({kinds}). {what}"
    if isinstance(value, list) and len(value) > 1:
        return f"always the list {json.dumps(value)}, which the program states as a list. {what}"
    words = {
        way for tool, name in parameters for way in domain.wordings_to_parse(tool, name).get(_unwrap_single(value), ())
    }
    return f"fixed, means {value!r} ({kinds}); state it in your own words. In use: {', '.join(sorted(words)) or 'none'}. {what}"


def _unwrap_single(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value
