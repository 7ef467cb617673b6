"""What is rightly refused: only what no other way of the domain could do."""

from __future__ import annotations

from itertools import count

import pytest

from gatling_sid.digests import digest_for_judgement
from gatling_sid.models import Goal, GoldTrace, Outcome, ToolCallGraph, replace_fields
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.scenarios.instances import instance_at
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.composition.refusals import can_be_split
from gatling_sid.schemas.domain import Domain
from gatling_sid.simulator.world import world_of
from gatling_sid.validators.outcomes import refusal_is_proven
from gatling_sid.validators.trace_context import TraceContext
from tests.support.domain_sample import sampled_domains

RULE = "few_columns"


def listing_columns(workshop: Domain, oracle: ScenarioOracle) -> GoldTrace:
    """A trace that lists repairs with two columns or more, under a policy that limits them."""
    for index in count():
        trace = oracle.trace(Task(workshop, "train", index))
        if isinstance(trace, GoldTrace) and any(each.constraint_id == RULE for each in trace.policy.constraints):
            calls = trace.graph.calls
            if len(calls) == 1 and len(calls[0].arguments.get("fields", ())) > 1 and "list_repairs" in calls[0].tool_id:
                return trace
    raise AssertionError


def test_what_several_calls_could_do_is_not_refused(
    workshop: Domain, oracle: ScenarioOracle, registry: DomainRegistry
) -> None:
    """A limit of the fields of one call forbids no list, since two calls can show all of them."""
    trace = listing_columns(workshop, oracle)
    constraints = [
        replace_fields(each, parameters={**each.parameters, "max_fields": 1}) if each.constraint_id == RULE else each
        for each in trace.policy.constraints
    ]
    outcome = Outcome(
        kind="declined", reason="Too many.", constraint_id=RULE, refused_goal=trace.goal, refused_graph=trace.graph
    )
    declined = replace_fields(
        trace,
        policy=replace_fields(trace.policy, policy_id="stricter", constraints=constraints),
        graph=ToolCallGraph(graph_id="g"),
        goal=Goal(),
        outcome=outcome,
    )

    call_id = trace.graph.calls[0].call_id
    assert f"several calls that keep the rule could do what {call_id} does" in [
        *refusal_is_proven(TraceContext(declined, registry))
    ]


@pytest.mark.parametrize("slug", sampled_domains())
def test_no_task_is_refused_that_several_calls_could_do(slug: str) -> None:
    """The rules behind refused tasks of a world hold for the task, not for each of its calls."""
    domain = DomainRegistry().domain(slug)
    refused = [shape for shape in domain.scenarios_of("train-0").shapes.values() if shape.refusal is not None]
    assert refused
    for shape in refused:
        assert shape.refusal is not None
        rule = domain.file.policy.rules[shape.refusal.rule]
        tools = [domain.file.tools[domain.file.parts[use.part].tool] for use in shape.groups[shape.refusal.group].uses]
        assert not any(can_be_split(rule, tool) for tool in tools)


def test_a_question_about_oneself_is_answered() -> None:
    """What the session shows is said, and is what the person asking has."""
    domain, answered = DomainRegistry().domain("hr"), 0
    for name in (each for each in domain.unserved if each.startswith("asks for own ")):
        world = next(w for w in map("train-{}".format, count()) if name in domain.scenarios_of(w))
        instance = instance_at(world_of(domain, 1, world), name, 0, 0)
        assert instance is not None
        value = instance.principal.attributes[name.removeprefix("asks for own ")]
        answered += str(value) in instance.outcome.reason
        assert "{" not in instance.outcome.reason
    assert answered


def test_a_verdict_is_about_the_outcome_too(gold: list[GoldTrace]) -> None:
    """Relabelled, a trace is no longer what was judged."""
    other = replace_fields(gold[0], outcome=Outcome(kind="nothing_to_call", reason="There is no tool for it."))
    assert digest_for_judgement(other) != digest_for_judgement(gold[0])
