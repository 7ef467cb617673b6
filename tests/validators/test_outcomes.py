"""What is rightly refused: only what no other way of the domain could do."""

from __future__ import annotations

from itertools import count

import pytest

from gatling_sid.models import Goal, GoldTrace, Outcome, ToolCallGraph, replace_fields
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.composition.refusals import can_be_split
from gatling_sid.schemas.domain import Domain
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
