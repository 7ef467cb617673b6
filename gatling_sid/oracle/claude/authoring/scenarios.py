"""New scenarios: something else that people of the organisation ask for."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import yaml

from gatling_sid.errors import CatalogueError, OracleError
from gatling_sid.models import INTENTS, GoldTrace
from gatling_sid.oracle.claude.authoring.author import AuthoringPrompt, ContentKind, why_unwritable
from gatling_sid.oracle.claude.authoring.edits import entry_text, insert_entry
from gatling_sid.oracle.claude.authoring.phrasings import near_copy, why_phrasing_unfit
from gatling_sid.oracle.claude.authoring.trial import CandidateDomain
from gatling_sid.oracle.claude.plans.answers import ScenarioAnswer, parse_answer
from gatling_sid.oracle.claude.plans.request_context import may_call
from gatling_sid.oracle.protocol import Failure
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.intents import OPERATIONS_OF_INTENT
from gatling_sid.schemas.yaml_loading import parse_yaml
from gatling_sid.seeding import stream
from gatling_sid.simulator.execution import execute
from gatling_sid.simulator.world import world_of

PROOFS = 48
"""Traces of a scenario that must all be gold before it is kept."""
CASES, PLANS = 24, 6
"""Of so many cases (a case is worded several times), so many plans must differ in their arguments."""
_OTHERS = 10  # traces per scenario, over the whole domain, that must be gold as before
_LONGEST_PLAN = 6
_LISTS = ("phrasings", "reasons")


class ScenariosKind(ContentKind[ScenarioAnswer]):
    """So many new scenarios, each of an intent, a tool and a length that are drawn."""

    phase = "scenario"
    answer = ScenarioAnswer
    tokens = 6000
    repairs = 2
    opinions = 3

    def __init__(self, number: int) -> None:
        self.number = number

    def examples(self, domain: Domain, text: str) -> list[str]:
        """All scenarios in a line each, then the longest of each intent in full."""
        scenarios = domain.file.scenarios
        lines = [
            f"{name} ({each.intent}): {', '.join(step.tool for step in each.plan)}" for name, each in scenarios.items()
        ]
        longest = {
            each.intent: name for name, each in sorted(scenarios.items(), key=lambda item: (len(item[1].plan), item[0]))
        }
        return ["\n".join(lines), *(entry_text(text, ("scenarios", name), domain.slug) for name in longest.values())]

    def briefs(self, domain: Domain, round_: int) -> list[AuthoringPrompt]:
        """One ask per scenario."""
        return [
            AuthoringPrompt(str(at), _brief(domain, stream(domain.slug, "scenarios", round_, at)))
            for at in range(1, self.number + 1)
        ]

    def candidates(self, text: str) -> list[ScenarioAnswer]:
        """The one that the answer holds."""
        return [parse_answer(ScenarioAnswer, text)]

    def shown(self, candidate: ScenarioAnswer) -> str:
        """Its name and its YAML."""
        return f"{candidate.name}:\n{candidate.scenario_yaml}"

    def unfit(self, domain: Domain, candidate: ScenarioAnswer) -> str | None:
        """A name that is taken, no YAML, what cannot be seen, or phrasings that are wrong by themselves."""
        if candidate.name in domain.file.scenarios:
            return f"name: there is a scenario {candidate.name!r} already"
        try:
            content = _content(candidate)
        except CatalogueError as error:
            return f"notation: {error}"
        if problem := why_unwritable(content):
            return problem
        phrasings = content.get("phrasings")
        for each in phrasings if isinstance(phrasings, list) else []:
            if problem := why_phrasing_unfit(str(each)):
                return f"{problem} ({each})"
        return None

    def set_in(self, text: str, _about: str, candidate: ScenarioAnswer, source: str, file: str) -> str:
        """After the last scenario."""
        return insert_entry(text, ("scenarios",), candidate.name, scenario_content(_content(candidate)), source, file)

    def unproven(self, trial: CandidateDomain, _about: str, candidate: ScenarioAnswer) -> str | None:
        """Too near to another scenario, a trace that is not gold, too few plans, or another scenario that suffers."""
        scenarios = trial.domain.file.scenarios
        mine = scenarios[candidate.name]
        for name, other in scenarios.items():
            if name != candidate.name and _does(other) == _does(mine):
                return f"copy: it does what {name} does"
        said = [text for each in scenarios.values() for text in each.phrasings]
        for at, phrasing in enumerate(mine.phrasings):
            others = [*mine.phrasings[:at], *(each for each in said if each not in mine.phrasings)]
            if like := near_copy(phrasing, others):
                return f"near-copy: {phrasing!r} says nearly what {like!r} says"
        return _unproven_traces(trial, candidate.name) or trial.problem_of_first(_OTHERS * len(scenarios))

    def traces_of(
        self, trial: CandidateDomain, _about: str, candidate: ScenarioAnswer
    ) -> Iterator[GoldTrace | Failure]:
        """Its own."""
        return trial.traces(candidate.name)


def scenario_content(content: dict[str, Any]) -> str:
    """A scenario as a domain file has it: phrasings and reasons one per line."""
    head = {key: value for key, value in content.items() if key not in _LISTS}
    text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, default_flow_style=None, width=10_000)
    for key in _LISTS:
        lines = content.get(key)
        if isinstance(lines, list) and lines:
            text += f"{key}:\n" + "".join(f"  - {json.dumps(line, ensure_ascii=False)}\n" for line in lines)
    return text


def _content(candidate: ScenarioAnswer) -> dict[str, Any]:
    """The scenario as plain data. Raises CatalogueError."""
    content = parse_yaml(candidate.scenario_yaml, candidate.name)
    if isinstance(content, dict) and list(content) == [candidate.name]:
        content = content[candidate.name]  # the name was written again around it
    if not isinstance(content, dict):
        raise CatalogueError(candidate.name, "", "a scenario is a mapping of intent, roles, draw, slots, goal, plan, …")
    return content


def _does(scenario: c.Scenario) -> tuple[object, ...]:
    """What tells one scenario from another: the intent, and the tools with what each is told."""
    return scenario.intent, [(step.tool, sorted(step.arguments)) for step in scenario.plan]


def _unproven_traces(trial: CandidateDomain, scenario: str) -> str | None:
    plans: dict[object, str] = {}
    proofs = 0
    for proposal in trial.traces(scenario):
        if isinstance(proposal, GoldTrace) and trial.case(proposal) in plans and proofs >= PROOFS:
            continue
        problem = trial.problem(proposal)
        if isinstance(proposal, Failure) or problem:
            return problem
        world = world_of(trial.domain, proposal.metadata["seed"], proposal.metadata["world"])
        arguments = execute(proposal.graph.calls, world).arguments
        plans[trial.case(proposal)] = json.dumps(arguments, default=str, sort_keys=True)
        proofs += 1
        if proofs >= PROOFS and len(plans) >= CASES:
            different = len({*plans.values()})
            return (
                None
                if different >= PLANS
                else f"sameness: {len(plans)} cases hold {different} plans, {PLANS} are needed"
            )
    return f"proof: only {proofs} traces could be made of it"


# --- the ask ---------------------------------------------------------------------------------------------------


def _brief(domain: Domain, rng: random.Random) -> str:
    tools = domain.file.tools
    able = [
        (intent, name) for intent in INTENTS for name in tools if tools[name].operation in OPERATIONS_OF_INTENT[intent]
    ]
    if not able:
        raise OracleError(f"{domain.slug} has no tool that serves an intent")
    intent = rng.choice(sorted({intent for intent, _ in able}))
    tool = rng.choice([name for each, name in able if each == intent])
    return "\n".join(_conditions(domain, intent, tool, rng))


def _conditions(domain: Domain, intent: str, tool: str, rng: random.Random) -> Iterator[str]:
    able = [role for role in domain.file.roles if may_call(role, domain, tool, domain.family.default_policy)]
    roles = rng.sample(able, min(2, len(able)))
    yield f"Write one new scenario. Intent: {intent}. Its main call is {tool}."
    yield f"Its plan has {rng.randint(1, _LONGEST_PLAN)} calls, or fewer if so many are not needed."
    yield f"Asked by {' or '.join(roles) or 'whoever may'}."
    yield f"What makes it new: {rng.choice(_NEWS)}."


_NEWS = (
    "records chosen by a condition that no scenario in use has",
    "a value that has to be found by another call first",
    "a different set of fields that the person cares about",
    "a period or a number that the person names",
    "records of two entities that belong together",
    "several records handled at once",
    "a rule of the policy that makes one more call necessary",
    "a situation at work that no scenario in use has",
)
