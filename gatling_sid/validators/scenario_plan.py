"""Are task and plan those of the scenario that a trace names: who asks for what; the calls, arguments and their sources.

So a condition that goes without saying, such as "mine", is there also where fewer conditions happen to find the same
rows, and nothing is there that nobody asked for. That the plan is minimal and keeps its policy is proven besides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from gatling_sid.models import SystemPolicy, ToolCall, TrustTier
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.references import Reference, parse_reference, references_in
from gatling_sid.validators.trace_context import TraceContext


class CallPattern(NamedTuple):
    """A call without its values: (argument, origin, path within it) of each argument, and the rule that demands it."""

    tool_id: str
    arguments: frozenset[tuple[str, str, str]]
    rule: str | None

    def __str__(self) -> str:
        said = ", ".join(f"{name} from {origin} {path}".rstrip() for name, origin, path in sorted(self.arguments))
        return f"{self.tool_id}({said})" + (f" for {self.rule}" if self.rule else "")


def task_is_the_scenarios(case: TraceContext) -> Iterator[str]:
    """Person, policy, goal and intent are those of the scenario's case that a trace of the embedded oracle names."""
    instance, trace, domain = case.instance, case.trace, case.domain
    if not case.is_embedded or domain is None:
        return
    scenario, number = trace.metadata.get("scenario"), trace.metadata.get("case")
    if instance is None:
        yield f"its world holds no case {number!r} of a scenario {scenario!r}"
        return
    request, policy = trace.request, trace.policy.policy_id  # what a policy of that id says, another rule compares
    claimed = request.domain, trace.goal, request.principal, policy, request.intent_category
    intent = domain.file.scenarios[str(scenario)].intent
    given = domain.name, instance.goal, instance.principal, instance.policy.policy_id, intent
    yield from differences(("the domain", "the goal", "who asks", "the policy", "the intent"), claimed, given)


def differences(names: tuple[str, ...], claimed: tuple[Any, ...], given: tuple[Any, ...]) -> Iterator[str]:
    """What of a trace is not as its coordinates give it."""
    if claimed == given:
        return
    for what, have, want in zip(names, claimed, given, strict=True):
        if have != want:
            yield f"{what} is not what the trace's coordinates give: {_shorten(have)} instead of {_shorten(want)}"


def _shorten(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 200 else f"{text[:200]} …"


def plan_is_the_scenarios(case: TraceContext) -> Iterator[str]:
    """The calls of a plan by the embedded oracle are those of its scenario under the rules in force, in any order."""
    scenario = case.trace.metadata.get("scenario")
    if not case.is_embedded or case.domain is None or not isinstance(scenario, str):
        return
    rules = tuple(each.constraint_id for each in case.trace.policy.constraints)
    wanted = _patterns_of(case.domain, scenario, rules)
    found = Counter(_pattern_of_call(call, case.trace.policy) for call in case.ordered_calls)
    if found.items() == wanted.items():
        return
    for shape in wanted - found:
        yield f"the scenario calls {shape}, and the plan does not"
    for shape in found - wanted:
        yield f"the plan calls {shape}, and the scenario does not"


def _pattern_of_call(call: ToolCall, policy: SystemPolicy) -> CallPattern:
    arguments = frozenset(
        (each.argument, each.origin, _path(call, each.argument, each.reference, each.origin))
        for each in call.argument_sources
        if each.origin != "default"  # what the tool does anyway may be said
    )
    return CallPattern(call.tool_id, arguments, _rule_quoted(call, policy))


def _path(call: ToolCall, argument: str, reference: str | None, origin: str) -> str:
    if origin == "call":
        return _below(references_in(call.arguments.get(argument)))
    return reference or ""


def _below(references: list[Reference]) -> str:
    """The paths of references without the calls they lead into, whose names are free."""
    return ", ".join(each.below for each in references)


def _rule_quoted(call: ToolCall, policy: SystemPolicy) -> str | None:
    pointer = call.provenance
    if pointer is None or pointer.source_type is not TrustTier.SYSTEM:
        return None
    named = (each.constraint_id for each in policy.constraints if each.rule < len(policy.rules))
    sentences = (policy.rules[each.rule] for each in policy.constraints if each.rule < len(policy.rules))
    return next((name for name, said in zip(named, sentences, strict=True) if said == pointer.content_snippet), "?")


@lru_cache(maxsize=8192)
def _patterns_of(domain: Domain, scenario: str, rules: tuple[str, ...]) -> Counter[CallPattern]:
    """The calls of a scenario's plan under these rules."""
    known = domain.file.scenarios.get(scenario)
    steps = [step for step in (known.plan if known else ()) if step.is_in_force(frozenset(rules))]
    return Counter(_pattern_of_step(domain, step, rules) for step in steps)


def _pattern_of_step(domain: Domain, step: c.Step, rules: tuple[str, ...]) -> CallPattern:
    arguments = frozenset((name, *_origin(expression)) for name, expression in step.arguments.items())
    return CallPattern(
        f"{domain.slug}.{step.tool}", arguments, next((each for each in rules if each in step.when), None)
    )


def _origin(expression: str | list[str]) -> tuple[str, str]:
    listed = [expression] if isinstance(expression, str) else expression
    found = [reference for each in listed if (reference := parse_reference(each)) is not None]
    match found[0].root:
        case "request":
            return "request", ""
        case "principal" | "policy" as root:
            return root, found[0].below[1:]
        case _:
            return "call", _below(found)
