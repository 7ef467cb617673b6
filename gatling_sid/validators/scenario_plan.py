"""Checks that instance and plan are those of the scenario that a trace names: principal, goal, calls and their sources.

This also finds a missing condition that the request only implies (such as "mine") when fewer conditions happen to
select the same rows, and calls that nobody asked for. Other rules prove that the plan is minimal and keeps its policy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from gatling_sid.models import ArgumentSource, SystemPolicy, ToolCall, TrustTier, replace_fields
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.composition.table import ScenarioTable
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.references import Reference, parse_reference, references_in
from gatling_sid.schemas.tool_ids import tool_id_of
from gatling_sid.simulator.stated_facts import is_stated_fact
from gatling_sid.simulator.trust import references_of_source
from gatling_sid.validators.trace_context import TraceContext

_MAX_CHARACTERS_QUOTED = 200
"""Characters of a value that a message quotes, since a goal may have thousands of rows."""


class CallPattern(NamedTuple):
    """A call without its values: tool, (argument, origin, path at the origin) of each argument, and the rule that demands it."""

    tool_id: str
    arguments: frozenset[tuple[str, str, str]]
    rule: str | None

    def __str__(self) -> str:
        arguments = ", ".join(f"{name} from {origin} {path}".rstrip() for name, origin, path in sorted(self.arguments))
        return f"{self.tool_id}({arguments})" + (f" for {self.rule}" if self.rule else "")


def task_matches_scenario(context: TraceContext) -> Iterator[str]:
    """Principal, policy, goal and intent are those of the scenario instance that a trace of the embedded oracle names."""
    instance, trace, domain = context.instance, context.trace, context.domain
    if not context.is_embedded or domain is None:
        return
    scenario, index = trace.metadata.get("scenario"), trace.metadata.get("instance")
    if instance is None:
        yield f"world {trace.metadata.get('world')} has no instance {index!r} of scenario {scenario!r}"
        return
    request = trace.request
    # For the policy, the id is enough: another rule compares its content with the published policy of that id.
    outcome = trace.outcome and replace_fields(trace.outcome, refused_graph=None)
    actual = request.domain, trace.goal, request.principal, trace.policy.policy_id, request.intent_category, outcome
    intent = context.world.scenarios[str(scenario)].intent
    expected = domain.name, instance.goal, instance.principal, instance.policy.policy_id, intent, instance.outcome
    yield from differences(("domain", "goal", "principal", "policy", "intent", "outcome"), actual, expected)


def differences(names: tuple[str, ...], actual: tuple[Any, ...], expected: tuple[Any, ...]) -> Iterator[str]:
    """Yields a message for each part of a trace that differs from the part that its coordinates give."""
    if actual == expected:
        return
    for name, actual_part, expected_part in zip(names, actual, expected, strict=True):
        if actual_part != expected_part:
            yield f"the {name} is {_shorten(actual_part)}; the trace's coordinates give {_shorten(expected_part)}"


def _shorten(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _MAX_CHARACTERS_QUOTED else f"{text[:_MAX_CHARACTERS_QUOTED]} …"


def plan_matches_scenario(context: TraceContext) -> Iterator[str]:
    """The calls of the embedded oracle's plan are those of the scenario under the rules in force, in any order.

    So are those of the plan that would do what is refused.
    """
    scenario, outcome = context.trace.metadata.get("scenario"), context.trace.outcome
    if context.attempt is None or context.domain is None or not isinstance(scenario, str):
        return
    yield from _differences_of_calls("plan", context.ordered_calls, scenario, context, is_refused=False)
    refused = outcome.refused_graph.calls if outcome is not None and outcome.refused_graph is not None else []
    yield from _differences_of_calls("refused plan", refused, scenario, context, is_refused=True)


def _differences_of_calls(
    what: str, calls: Sequence[ToolCall], scenario: str, context: TraceContext, *, is_refused: bool
) -> Iterator[str]:
    rules = tuple(each.constraint_id for each in context.trace.policy.constraints)
    expected = _patterns_of(context.world.scenarios, scenario, rules, is_refused=is_refused)
    actual = Counter(_pattern_of_call(call, context.trace.policy) for call in calls)
    if actual.items() == expected.items():
        return
    for pattern in expected - actual:
        yield f"the {what} lacks a call of the scenario: {pattern}"
    for pattern in actual - expected:
        yield f"the {what} has a call that the scenario lacks: {pattern}"


def _pattern_of_call(call: ToolCall, policy: SystemPolicy) -> CallPattern:
    arguments = frozenset(
        (each.argument, each.origin, _path(call, each))
        for each in call.argument_sources
        if each.origin != "default"  # stating a default changes nothing, so it may be left out
    )
    return CallPattern(call.tool_id, arguments, _rule_quoted(call, policy))


def _path(call: ToolCall, source: ArgumentSource) -> str:
    if source.origin in ("call", "composed") and source.argument in call.arguments:
        references = references_in(call.arguments.get(source.argument)) or [*references_of_source(source)]
        return _paths_without_calls(references)
    return source.reference or ""


def _paths_without_calls(references: list[Reference]) -> str:
    """The paths of references without the ids of the calls that they refer to, since a plan may use any ids."""
    return ", ".join(each.path_text for each in references)


def _rule_quoted(call: ToolCall, policy: SystemPolicy) -> str | None:
    pointer = call.provenance
    if pointer is None or pointer.source_type is not TrustTier.SYSTEM:
        return None
    names = (each.constraint_id for each in policy.constraints if each.rule < len(policy.rules))
    sentences = (policy.rules[each.rule] for each in policy.constraints if each.rule < len(policy.rules))
    return next(
        (name for name, sentence in zip(names, sentences, strict=True) if sentence == pointer.content_snippet), "?"
    )


@lru_cache(maxsize=2048)
def _patterns_of(
    scenarios: ScenarioTable, scenario: str, rules: tuple[str, ...], *, is_refused: bool
) -> Counter[CallPattern]:
    """The calls of a scenario's plan under these rules, or those that would do what is refused."""
    spec = scenarios.get(scenario)
    variant = spec.variant if spec else None
    plan = (variant.plan if variant else []) if is_refused else (spec.plan if spec else [])
    broken = {variant.rule} if variant and is_refused else set()
    rules = tuple(each for each in rules if each not in broken)
    steps = [step for step in plan if step.is_in_force(frozenset(rules))]
    return Counter(_pattern_of_step(scenarios.domain, step, rules) for step in steps)


def _pattern_of_step(domain: Domain, step: c.Step, rules: tuple[str, ...]) -> CallPattern:
    arguments = frozenset((name, *_origin(expression)) for name, expression in step.arguments.items())
    return CallPattern(tool_id_of(domain.slug, step.tool), arguments, step.quoted_rule(rules))


def _origin(expression: str | list[str]) -> tuple[str, str]:
    expressions = [expression] if isinstance(expression, str) else expression
    found = [reference for each in expressions if (reference := parse_reference(each)) is not None]
    match found[0].root:
        case "request":
            return "request", ""
        case "composed":
            return "composed", _paths_without_calls(found[1:])
        case "principal" | "policy" as root:
            return root, found[0].path_text[1:]
        case _:
            if is_stated_fact(found[0]):  # the source is the text that states it
                found = [each._replace(path=each.path[:-1]) for each in found]
            return "call", _paths_without_calls(found)
