"""Random mutations of gold traces of the shipped domains are rejected."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from gatling_sid.models import GoldTrace, SensitivityTier
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.references import reference_in
from gatling_sid.validators import TraceValidator
from tests.conftest import CREATED_AT
from tests.support.domain_sample import sampled_domains

REGISTRY = DomainRegistry()
MUTATIONS_PER_DOMAIN = 250
Data = dict[str, Any]
Mutation = Callable[[Data, random.Random], bool]


def calls(data: Data) -> list[Data]:
    """The calls of a trace that is given as plain data."""
    found: list[Data] = data["graph"]["calls"]
    return found


def raise_limit(data: Data, rng: random.Random) -> bool:
    """Raises a limit above the one that the request says."""
    limited = [call for call in calls(data) if isinstance(call["arguments"].get("limit"), int)]
    for call in rng.sample(limited, min(1, len(limited))):
        call["arguments"]["limit"] += 1
    return bool(limited)


def repeat_call(data: Data, rng: random.Random) -> bool:
    """Adds a copy of a call."""
    call = rng.choice(calls(data))
    calls(data).append({**call, "call_id": "call_99"})
    data["graph"]["execution_order"].append("call_99")
    return True


def change_argument(data: Data, rng: random.Random) -> bool:
    """Changes an argument that is not a reference."""
    literal = [(c, name) for c in calls(data) for name, value in c["arguments"].items() if not reference_in(value)]
    if not literal:
        return False
    call, name = rng.choice(literal)
    value = call["arguments"][name]
    other = {
        bool: lambda: not value,
        int: lambda: value + 1,
        float: lambda: value + 0.5,
        list: lambda: value[:-1] or ["x"],
    }
    call["arguments"][name] = other.get(type(value), lambda: f"{value} II")()
    return True


def repoint_reference(data: Data, rng: random.Random) -> bool:
    """Makes a reference point to another row or field than its source says."""
    pointing = [(c, name) for c in calls(data) for name, value in c["arguments"].items() if reference_in(value)]
    if not pointing:
        return False
    call, name = rng.choice(pointing)
    value = call["arguments"][name]
    call["arguments"][name] = value.replace("[0]", "[1]") if "[0]" in value else f"{value.rpartition('.')[0]}.elsewhere"
    return True


def drop_dependency(data: Data, rng: random.Random) -> bool:
    """Removes a dependency of a call."""
    waiting = [call for call in calls(data) if call["dependencies"]]
    if not waiting:
        return False
    call = rng.choice(waiting)
    call["dependencies"].remove(rng.choice(call["dependencies"]))
    return True


def change_target(data: Data, rng: random.Random) -> bool:
    """Changes the target of an export, and its scope accordingly."""
    for call in calls(data):
        target = call["scope"]["export_target"]
        if target is not None:
            domain = REGISTRY.domain(data["request"]["domain"])
            parameters = domain.tools[call["tool_id"]].parameters.items()
            name, parameter = next((n, p) for n, p in parameters if p.does == "target")
            other = rng.choice([each for each in parameter.values or [] if each != target])
            call["scope"]["export_target"] = call["arguments"][name] = other
            return True
    return False


def forbid_tool(data: Data, rng: random.Random) -> bool:
    """Makes the policy forbid a tool that the plan calls."""
    data["policy"]["policy_id"] = "stricter"
    data["policy"]["forbidden_operations"].append(rng.choice(calls(data))["tool_id"])
    return True


def raise_sensitivity(data: Data, rng: random.Random) -> bool:
    """Raises the tier that a call declares."""
    lower = [call for call in calls(data) if call["scope"]["sensitivity_tier"] is not SensitivityTier.RESTRICTED]
    if not lower:
        return False
    scope = rng.choice(lower)["scope"]
    scope["sensitivity_tier"] = list(SensitivityTier)[scope["sensitivity_tier"].level]
    return True


MUTATIONS: list[tuple[Mutation, set[str]]] = [
    (raise_limit, {"words_give_the_values", "no_scope_can_be_narrowed"}),
    (repeat_call, {"no_call_can_be_dropped", "goal_is_met", "plan_executes", "no_two_calls_could_be_one"}),
    (change_argument, {"words_give_the_values", "sources_give_the_values", "composed_texts_tell_their_sources"}),
    (repoint_reference, {"sources_give_the_values"}),
    (
        drop_dependency,
        {"references_are_dependencies", "changes_follow_look_ups", "constraints_hold", "order_does_not_matter"},
    ),
    (change_target, {"words_give_the_values", "goal_is_met"}),
    (forbid_tool, {"forbidden_operations_are_absent"}),
    (raise_sensitivity, {"scopes_are_true"}),
]


_MOST_TRACES = 5000
"""Traces in which each mutation must have found something to change."""


@pytest.mark.parametrize("slug", sampled_domains())
def test_every_mutation_that_changes_meaning_is_rejected_by_the_right_rule(slug: str) -> None:
    """None of 400 random mutations of gold passes, and the findings name a rule that the mutation breaks."""
    domain, oracle, validator = REGISTRY.domain(slug), ScenarioOracle(11, CREATED_AT), TraceValidator(REGISTRY)
    rng = random.Random(slug)
    times_applied = {mutation.__name__: 0 for mutation, _ in MUTATIONS}
    index = 0
    while index < _MOST_TRACES and (
        sum(times_applied.values()) < MUTATIONS_PER_DOMAIN or not all(times_applied.values())
    ):
        trace = oracle.trace(Task(domain, "train", index))
        mutation, rules = MUTATIONS[index % len(MUTATIONS)]
        index += 1
        if not isinstance(trace, GoldTrace) or not trace.graph.calls or validator.findings(trace):
            continue
        data = trace.model_dump()
        if mutation(data, rng):
            times_applied[mutation.__name__] += 1
            found = validator.findings(GoldTrace.model_validate(data))
            named = {each.rule for each in found}
            assert named & rules, f"{mutation.__name__} of {trace.trace_id} ({trace.metadata['scenario']}): {named}"
    assert min(times_applied.values()) > 0, times_applied
