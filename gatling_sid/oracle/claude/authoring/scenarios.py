"""New scenarios: more things that people of the organisation ask for."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import yaml

from gatling_sid.errors import CatalogueError, OracleError
from gatling_sid.models import INTENTS, GoldTrace
from gatling_sid.oracle.claude.authoring.author import AuthoringPrompt, ContentKind, find_problem_in_content
from gatling_sid.oracle.claude.authoring.edits import LINE_WIDTH, entry_text, insert_entry
from gatling_sid.oracle.claude.authoring.phrasings import find_near_copy, find_problem_in_phrasing
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

PROOFS_PER_SCENARIO = 48
"""Traces of a scenario that must all be gold before it is kept."""
MIN_INSTANCES = 24
"""Instances to compare; each is worded several times, so this is half of `PROOFS_PER_SCENARIO`."""
MIN_DIFFERENT_PLANS = 6
"""Plans of these instances that must differ in their arguments, so that a scenario does not repeat one plan."""
# Traces per other scenario that must still be gold, since a new scenario can make a request ambiguous.
_TRACES_PER_OTHER_SCENARIO = 10
# Few people ask for more calls than this at once.
_MAX_CALLS_IN_PLAN = 6
_LISTS = ("phrasings", "reasons")


class ScenariosKind(ContentKind[ScenarioAnswer]):
    """`number` new scenarios; intent, main tool and length of each are drawn."""

    phase = "scenario"
    max_tokens = 6000
    repairs = 2
    judgements = 3

    def __init__(self, number: int) -> None:
        self.number = number

    def examples(self, domain: Domain, text: str) -> list[str]:
        """One line per scenario, then the longest scenario of each intent in full."""
        scenarios = domain.file.scenarios
        lines = [
            f"{name} ({each.intent}): {', '.join(step.tool for step in each.plan)}" for name, each in scenarios.items()
        ]
        longest = {
            each.intent: name for name, each in sorted(scenarios.items(), key=lambda item: (len(item[1].plan), item[0]))
        }
        return ["\n".join(lines), *(entry_text(text, ("scenarios", name), domain.slug) for name in longest.values())]

    def prompts(self, domain: Domain, round_: int) -> list[AuthoringPrompt]:
        """One prompt for each new scenario."""
        return [
            AuthoringPrompt(str(at), _user_prompt(domain, stream(domain.slug, "scenarios", round_, at)))
            for at in range(1, self.number + 1)
        ]

    def parse_candidates(self, text: str) -> list[ScenarioAnswer]:
        """The one scenario in an answer."""
        return [parse_answer(ScenarioAnswer, text)]

    def format_candidate(self, candidate: ScenarioAnswer) -> str:
        """The name and the YAML of the scenario."""
        return f"{candidate.name}:\n{candidate.scenario_yaml}"

    def find_problem_in_candidate(self, domain: Domain, candidate: ScenarioAnswer) -> str | None:
        """Finds a name in use, text that is not YAML, invisible characters, or a wrong phrasing."""
        if candidate.name in domain.file.scenarios:
            return f"name: there is already a scenario {candidate.name!r}"
        try:
            content = _content(candidate)
        except CatalogueError as error:
            return f"notation: {error}"
        if problem := find_problem_in_content(content):
            return problem
        phrasings = content.get("phrasings")
        for each in phrasings if isinstance(phrasings, list) else []:
            if problem := find_problem_in_phrasing(str(each)):
                return f"{problem} ({each})"
        return None

    def insert(self, text: str, _subject: str, candidate: ScenarioAnswer, source: str, file: str) -> str:
        """Inserts it after the last scenario."""
        return insert_entry(text, ("scenarios",), candidate.name, scenario_content(_content(candidate)), source, file)

    def find_problem_in_domain(self, trial: CandidateDomain, _subject: str, candidate: ScenarioAnswer) -> str | None:
        """Finds a copied scenario, a trace that is not gold, too few plans, or another scenario that it breaks."""
        scenarios = trial.domain.file.scenarios
        new = scenarios[candidate.name]
        for name, other in scenarios.items():
            if name != candidate.name and _behaviour_of(other) == _behaviour_of(new):
                return f"copy: it does what {name} does"
        phrasings = [text for each in scenarios.values() for text in each.phrasings]
        for at, phrasing in enumerate(new.phrasings):
            others = [*new.phrasings[:at], *(each for each in phrasings if each not in new.phrasings)]
            if like := find_near_copy(phrasing, others):
                return f"near-copy: {phrasing!r} is a near-copy of {like!r}"
        return _find_problem_in_traces(trial, candidate.name) or trial.find_problem_in_first(
            _TRACES_PER_OTHER_SCENARIO * len(scenarios)
        )

    def traces_of(
        self, trial: CandidateDomain, _subject: str, candidate: ScenarioAnswer
    ) -> Iterator[GoldTrace | Failure]:
        """Traces of the new scenario."""
        return trial.traces(candidate.name)


def scenario_content(content: dict[str, Any]) -> str:
    """A scenario as a domain file has it, with one phrasing or reason per line."""
    head = {key: value for key, value in content.items() if key not in _LISTS}
    text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, default_flow_style=None, width=LINE_WIDTH)
    for key in _LISTS:
        lines = content.get(key)
        if isinstance(lines, list) and lines:
            text += f"{key}:\n" + "".join(f"  - {json.dumps(line, ensure_ascii=False)}\n" for line in lines)
    return text


def _content(candidate: ScenarioAnswer) -> dict[str, Any]:
    """The scenario as plain data. Raises CatalogueError."""
    content = parse_yaml(candidate.scenario_yaml, candidate.name)
    if isinstance(content, dict) and list(content) == [candidate.name]:
        content = content[candidate.name]  # some answers repeat the name as the only key
    if not isinstance(content, dict):
        raise CatalogueError(
            candidate.name, "", "a scenario must be a mapping with intent, roles, draw, slots, goal, plan, …"
        )
    return content


def _behaviour_of(scenario: c.Scenario) -> tuple[object, ...]:
    """What distinguishes a scenario from others: its intent, its tools and their parameters."""
    return scenario.intent, [(step.tool, sorted(step.arguments)) for step in scenario.plan]


def _find_problem_in_traces(trial: CandidateDomain, scenario: str) -> str | None:
    plans: dict[object, str] = {}
    proofs = 0
    for proposal in trial.traces(scenario):
        if isinstance(proposal, GoldTrace) and trial.instance_key(proposal) in plans and proofs >= PROOFS_PER_SCENARIO:
            continue
        problem = trial.find_problem_in_proposal(proposal)
        if isinstance(proposal, Failure) or problem:
            return problem
        world = world_of(trial.domain, proposal.metadata["seed"], proposal.metadata["world"])
        arguments = execute(proposal.graph.calls, world).arguments
        plans[trial.instance_key(proposal)] = json.dumps(arguments, default=str, sort_keys=True)
        proofs += 1
        if proofs >= PROOFS_PER_SCENARIO and len(plans) >= MIN_INSTANCES:
            different = len({*plans.values()})
            return (
                None
                if different >= MIN_DIFFERENT_PLANS
                else f"too similar: {len(plans)} instances have only {different} different plans; "
                f"at least {MIN_DIFFERENT_PLANS} are needed"
            )
    return f"proof: only {proofs} traces could be made with it"


# --- the user prompt -------------------------------------------------------------------------------------------


def _user_prompt(domain: Domain, rng: random.Random) -> str:
    tools = domain.file.tools
    usable = [
        (intent, name) for intent in INTENTS for name in tools if tools[name].operation in OPERATIONS_OF_INTENT[intent]
    ]
    if not usable:
        raise OracleError(f"{domain.slug} has no tool that serves an intent")
    intent = rng.choice(sorted({intent for intent, _ in usable}))
    tool = rng.choice([name for each, name in usable if each == intent])
    return "\n".join(_prompt_lines(domain, intent, tool, rng))


def _prompt_lines(domain: Domain, intent: str, tool: str, rng: random.Random) -> Iterator[str]:
    able_roles = [role for role in domain.file.roles if may_call(role, domain, tool, domain.family.default_policy)]
    roles = rng.sample(able_roles, min(2, len(able_roles)))
    yield f"Write one new scenario. Intent: {intent}. Its main call is {tool}."
    yield f"Its plan has {rng.randint(1, _MAX_CALLS_IN_PLAN)} calls, or fewer if so many are not needed."
    yield f"Asked by {' or '.join(roles) or 'whoever may'}."
    yield f"What makes it new: {rng.choice(_NOVELTIES)}."


_NOVELTIES = (
    "records chosen by a condition that no scenario in use has",
    "a value that has to be found by another call first",
    "a different set of fields that the person cares about",
    "a period or a number that the person names",
    "records of two entities that belong together",
    "several records handled at once",
    "a rule of the policy that makes one more call necessary",
    "a situation at work that no scenario in use has",
)
