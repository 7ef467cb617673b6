"""New rules of a domain's policy: a sentence, the constraint that enforces it, and a proof that it forbids something."""

from __future__ import annotations

import inspect
import json
import random
from collections.abc import Iterator
from typing import Any

import yaml

from gatling_sid.models import GoldTrace, ToolCall
from gatling_sid.oracle.claude.authoring.author import AuthoringPrompt, ContentKind, find_problem_in_content
from gatling_sid.oracle.claude.authoring.edits import insert_entry
from gatling_sid.oracle.claude.authoring.trial import CandidateDomain
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest
from gatling_sid.oracle.claude.plans.answers import (
    AgreementAnswer,
    BadAnswerError,
    RuleAnswer,
    parse_answer,
    parse_value,
)
from gatling_sid.oracle.claude.plans.request_context import principal_of
from gatling_sid.oracle.claude.prompts.answer_schemas import answer_schema
from gatling_sid.oracle.claude.prompts.phases import DomainPrompts
from gatling_sid.oracle.protocol import Failure
from gatling_sid.scenarios.drawing import NoDrawError, draw_principal
from gatling_sid.schemas.constraints import KINDS, Parameters, parameters_of
from gatling_sid.schemas.domain import Domain
from gatling_sid.seeding import stream
from gatling_sid.simulator.world import world_of

# Traces per scenario that must stay gold under the new rule.
_TRACES_PER_SCENARIO = 30
_UNKNOWN_ADDRESS = "somebody@elsewhere.example"
# Traces that are searched for one that can be edited to break the rule.
_MAX_SEARCHED_TRACES = 4000


class RulesKind(ContentKind[RuleAnswer]):
    """`number` new rules; the tool and the kind of constraint of each are drawn."""

    phase = "rule"
    max_tokens = 900
    repairs = 2

    def __init__(self, number: int) -> None:
        self.number = number

    def examples(self, domain: Domain, _text: str) -> list[str]:
        """The kinds of constraints, and the scenarios with their roles and tools."""
        kinds = "\n".join(_kind_line(name, kind) for name, kind in KINDS.items())
        scenarios = "\n".join(
            f"{name}: {', '.join(dict.fromkeys(each.roles))}: "
            + "; ".join(f"{step.tool}({', '.join(step.arguments)})" for step in each.plan)
            for name, each in domain.file.scenarios.items()
        )
        parts = "\n".join(
            f"{name}: {', '.join(dict.fromkeys(each.roles))}: {each.tool}" for name, each in domain.file.parts.items()
        )
        asked = "\n".join(filter(None, (scenarios, parts)))
        return [f"Kinds:\n{kinds}", f"What people ask for:\n{asked}"]

    def prompts(self, domain: Domain, round_: int) -> list[AuthoringPrompt]:
        """One prompt for each new rule."""
        prompts = []
        for at in range(1, self.number + 1):
            rng = stream(domain.slug, "rules", round_, at)
            kind, tool = rng.choice(sorted(KINDS)), rng.choice(sorted(domain.file.tools))
            prompts.append(
                AuthoringPrompt(
                    str(at),
                    f"Write one new rule about {tool}, of the kind {kind} if that kind can speak of this tool without "
                    "forbidding what people ask for today, else of another kind.\n"
                    + ("Let its boundary vary with the policy." if rng.random() < 0.5 else "Its boundary is fixed."),
                )
            )
        return prompts

    def parse_candidates(self, text: str) -> list[RuleAnswer]:
        """The one rule in an answer."""
        rule = parse_answer(RuleAnswer, text)
        if not isinstance(parse_value(rule.parameters_json), dict):
            raise BadAnswerError("parameters_json contains no object")
        if rule.axis and not isinstance(parse_value(rule.axis_values_json), list):
            raise BadAnswerError("axis_values_json contains no list")
        return [rule]

    def format_candidate(self, candidate: RuleAnswer) -> str:
        """The rule as one line of JSON."""
        return json.dumps(candidate.model_dump(), ensure_ascii=False, separators=(",", ":"))

    def find_problem_in_candidate(self, domain: Domain, candidate: RuleAnswer) -> str | None:
        """Finds an unknown kind, invisible characters, a name in use, or a constraint that the policy already has."""
        if candidate.kind not in KINDS:
            return f"kind: there is no kind {candidate.kind!r} of constraint; the kinds are {', '.join(KINDS)}"
        parameters = parse_value(candidate.parameters_json)
        values = parse_value(candidate.axis_values_json) if candidate.axis else []
        if problem := find_problem_in_content([candidate.says, parameters, values]):
            return problem
        family = domain.file.policy
        if candidate.name in family.rules or candidate.axis in family.vary:
            return "name: the policy already has a rule or an axis of that name"
        same = [
            name for name, each in family.rules.items() if (each.kind, each.parameters) == (candidate.kind, parameters)
        ]
        return f"copy: {same[0]} has the same constraint" if same else None

    def insert(self, text: str, _subject: str, candidate: RuleAnswer, source: str, file: str) -> str:
        """Inserts the rule after the last rule, and its axis after the last axis."""
        if candidate.axis:
            values = _one_line_yaml(parse_value(candidate.axis_values_json))
            text = insert_entry(text, ("policy", "vary"), candidate.axis, values, source, file)
        parameters = parse_value(candidate.parameters_json)
        entry = f"says: {json.dumps(candidate.says, ensure_ascii=False)}\nkind: {candidate.kind}\n"
        entry += "sometimes: true\n" if candidate.sometimes else ""
        return insert_entry(
            text, ("policy", "rules"), candidate.name, f"{entry}with: {_one_line_yaml(parameters)}", source, file
        )

    def find_problem_in_domain(self, trial: CandidateDomain, _subject: str, candidate: RuleAnswer) -> str | None:
        """Finds a request of a scenario that the rule forbids, or that no plan breaks the rule."""
        if problem := trial.find_problem_in_first(
            _TRACES_PER_SCENARIO * (len(trial.domain.file.scenarios) + len(trial.domain.file.parts))
        ):
            return problem
        if any(_breaks(each, candidate.name, trial) for each in _edited_traces(trial, candidate.name)):
            return None
        return "idle: no plan was found that breaks it and no other rule"

    def judgement_requests(
        self, prompts: DomainPrompts, trial: CandidateDomain, _subject: str, candidate: RuleAnswer
    ) -> list[LLMRequest]:
        """A request that asks whether the sentence says exactly what the constraint enforces."""
        rule = next(
            each for each in trial.domain.family.default_policy.constraints if each.constraint_id == candidate.name
        )
        sentence = trial.domain.family.default_policy.rules[rule.rule]
        user = "\n".join([
            "A policy has this sentence, and this constraint to enforce it:",
            sentence,
            f"{_kind_line(rule.kind, KINDS[rule.kind])}",
            json.dumps(rule.parameters, ensure_ascii=False, default=sorted),
            "Does the sentence say exactly what the constraint enforces: for whom, which calls, which boundary?",
        ])  # fmt: skip
        request = prompts.build_request("judgement", user)
        schema = answer_schema("agreement")
        return [
            LLMRequest(f"agree-{request.work_id}"[:64], "agreement", request.domain, request.system, user, schema, 400)
        ]

    def find_problem_in_judgement(self, text: str) -> str | None:
        """Says what the sentence has too much or too little, or returns None."""
        agreement = parse_answer(AgreementAnswer, text)
        return None if agreement.exact else agreement.why


def _kind_line(name: str, kind: type[Parameters]) -> str:
    fields = ", ".join(f"{field} ({_type_name(spec.annotation)})" for field, spec in kind.model_fields.items())
    return f"{name}: {inspect.getdoc(kind)} Parameters: {fields}"


def _type_name(annotation: Any) -> str:
    return str(annotation).replace("typing.", "") if not isinstance(annotation, type) else annotation.__name__


def _one_line_yaml(value: Any) -> str:
    return (
        yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10_000)
        .removesuffix("...\n")
        .strip()
    )


# --- whether a rule forbids something --------------------------------------------------------------------------


def _breaks(trace: GoldTrace, rule: str, trial: CandidateDomain) -> bool:
    """Whether the trace breaks this rule and no other of its policy."""
    return {each.constraint_id for each in trial.judge.findings(trace)} - {None} == {rule}


def _edited_traces(trial: CandidateDomain, rule: str) -> Iterator[GoldTrace]:
    """Traces that call tools of the rule, with edits such as a careless plan could have."""
    seen: set[object] = set()
    for number, trace in zip(range(_MAX_SEARCHED_TRACES), trial.traces(), strict=False):
        if isinstance(trace, Failure) or trial.instance_key(trace) in seen:
            continue
        seen.add(trial.instance_key(trace))
        constraint = next((each for each in trace.policy.constraints if each.constraint_id == rule), None)
        tools = {call.tool_id for call in trace.graph.calls}
        if constraint and not tools.isdisjoint(parameters_of(constraint).tools or tools):
            yield from _with_other_principals(trace, trial.domain, stream("probe", number))
            yield from _with_other_calls(trace, trial.domain)


def _with_other_principals(trace: GoldTrace, domain: Domain, rng: random.Random) -> Iterator[GoldTrace]:
    world = world_of(domain, trace.metadata["seed"], trace.metadata["world"])
    for role, definition in domain.file.roles.items():
        try:
            principal = principal_of(domain, role, draw_principal(world, definition, rng))
        except NoDrawError:
            continue
        yield trace.model_copy(update={"request": trace.request.model_copy(update={"principal": principal})})


def _with_other_calls(trace: GoldTrace, domain: Domain) -> Iterator[GoldTrace]:
    """The trace without a call or an argument, with a larger number, or with another allowed value."""
    calls = trace.graph.calls
    for at, call in enumerate(calls):
        yield _with_calls(trace, [*calls[:at], *calls[at + 1 :]])
        for arguments in _other_arguments(call, domain):
            yield _with_calls(trace, [*calls[:at], call.model_copy(update={"arguments": arguments}), *calls[at + 1 :]])


def _other_arguments(call: ToolCall, domain: Domain) -> Iterator[dict[str, Any]]:
    schema = next(each for each in domain.schemas if each.tool_id == call.tool_id)
    for parameter in schema.parameters:
        others = {name: value for name, value in call.arguments.items() if name != parameter.name}
        value, limits = call.arguments.get(parameter.name), parameter.constraints
        if value is not None:
            yield others
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield from ({**others, parameter.name: more} for more in (value + 1, value * 2, value * 10))
        if limits.get("format") == "email":
            yield {**others, parameter.name: _UNKNOWN_ADDRESS}
        for choice in [*limits.get("enum", ()), *([each] for each in limits.get("items", {}).get("enum", ()))]:
            if choice != value:
                yield {**others, parameter.name: choice}


def _with_calls(trace: GoldTrace, calls: list[ToolCall]) -> GoldTrace:
    kept = {call.call_id for call in calls}
    order = [each for each in trace.graph.execution_order if each in kept]
    graph = trace.graph.model_copy(update={"calls": calls, "execution_order": order})
    return trace.model_copy(update={"graph": graph})
