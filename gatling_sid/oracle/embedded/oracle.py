"""The embedded oracle: needs no key and no network; the same catalogue, seed and task always give the same trace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from gatling_sid.models import (
    EMBEDDED_ORACLE,
    GoldTrace,
    Outcome,
    ProvenancePointer,
    ToolCall,
    ToolCallGraph,
    TrustTier,
    UserRequest,
    construct_trusted,
    replace_fields,
)
from gatling_sid.oracle.embedded.planning import CallTemplate, PlanTemplate, argument_source, plan_of
from gatling_sid.oracle.protocol import Failure, Task
from gatling_sid.scenarios.schedule import scheduled_scenario
from gatling_sid.scenarios.scheduled_request import (
    ScheduledRequest,
    scheduled_request_at,
    sentences_around,
)


class ScenarioOracle:
    """Proposes the scheduled request of a task, with the plan that follows from its scenario and the rules in force."""

    name = EMBEDDED_ORACLE
    max_attempts = 40
    """Each attempt draws another instance and takes less than a millisecond; with this many, few tasks are abandoned."""

    def __init__(self, seed: int, created_at: datetime) -> None:
        """Takes the seed and the time stamp of the run; a proposal depends only on these, its task and the catalogue."""
        self.seed = seed
        self.created_at = created_at

    def propose(self, tasks: Sequence[Task]) -> Iterable[GoldTrace | Failure]:
        """Returns one proposal per task, in the order of the tasks; each is computed independently of the others."""
        return (self.trace(task) for task in tasks)

    def trace(self, task: Task) -> GoldTrace | Failure:
        """The trace of a task, or a Failure if no world has an instance of its scenario."""
        domain = task.domain
        request = scheduled_request_at(domain, self.seed, task.split, task.index, task.attempt)
        if request is None:
            scenario, _ = scheduled_scenario(domain, self.seed, task.split, task.index)
            return Failure("no_draw", f"scenario {scenario!r} and those after it have no instance in their world")
        plan = plan_of(request.world, request.scenario, request.instance_index, task.attempt)
        return self._build_trace(task, request, plan)

    def _build_trace(self, task: Task, request: ScheduledRequest, plan: PlanTemplate) -> GoldTrace:
        """The trace of a task, from its request and the plan that serves it."""
        domain, instance, request_id = task.domain, request.instance, f"{task.trace_id}_request"
        request_fields = {
            "request_id": request_id,
            "domain": domain.name,
            "text": request.rendered.text,
            "intent_category": request.world.scenarios[request.scenario].intent,
            "expected_scope": plan.scope,
            "trust_tier": TrustTier.USER,
            "principal": instance.principal,
        }
        metadata = {
            "oracle": self.name,
            "scenario": request.scenario,
            "instance": request.instance_index,
            "attempt": task.attempt,
            "catalogue": domain.digest,
            "seed": self.seed,
            "world": request.world.name,
            "today": request.world.today.isoformat(),
        }
        fields = {
            "trace_id": task.trace_id,
            "request": construct_trusted(UserRequest, request_fields),
            "policy": instance.policy,
            "graph": _build_graph(f"{task.trace_id}_graph", plan.calls, request, request_id),
            "metadata": metadata,
            "created_at": self.created_at,
            "validated": False,
            "goal": instance.goal,
            "outcome": _outcome_with_plan(instance.outcome, plan, request, request_id),
            "observations": plan.observations,
            "lures": plan.lures,
        }
        return construct_trusted(GoldTrace, fields)


def _build_graph(
    graph_id: str, calls: Sequence[CallTemplate], request: ScheduledRequest, request_id: str
) -> ToolCallGraph:
    fields = {
        "graph_id": graph_id,
        "calls": [render_call(each, request, request_id) for each in calls],
        "execution_order": [each.call_id for each in calls],
    }
    return construct_trusted(ToolCallGraph, fields)


def _outcome_with_plan(outcome: Outcome, plan: PlanTemplate, request: ScheduledRequest, request_id: str) -> Outcome:
    """The outcome with the plan that would do what is refused, if something is."""
    if outcome.refused_goal is None:
        return outcome
    graph_id = f"{request_id.removesuffix('_request')}_refused"
    return replace_fields(outcome, refused_graph=_build_graph(graph_id, plan.refused, request, request_id))


def render_call(template: CallTemplate, request: ScheduledRequest, request_id: str) -> ToolCall:
    """The call of a trace: the template, with the spans of the request's text that state its values."""
    spans = request.rendered.spans
    sources = [
        argument_source(name, "request", None, *spans[slot], TrustTier.USER) for name, slot in template.argument_slots
    ]
    fields = {
        "call_id": template.call_id,
        "tool_id": template.tool_id,
        "arguments": template.arguments,
        "scope": template.scope,
        "provenance": _provenance_of(template, request, request_id),
        "dependencies": template.dependencies,
        "argument_sources": sources + template.sources,
    }
    return construct_trusted(ToolCall, fields)


def _provenance_of(template: CallTemplate, request: ScheduledRequest, request_id: str) -> ProvenancePointer:
    """Why a call is made: the rule of the policy that demands it, or else the sentences of the request."""
    if template.rule is not None:
        source_type, source_id, snippet = TrustTier.SYSTEM, request.instance.policy.policy_id, template.rule
    else:
        spans = [request.rendered.spans[slot] for _, slot in template.argument_slots]
        source_type, source_id, snippet = TrustTier.USER, request_id, sentences_around(request, spans)
    fields = {
        "source_type": source_type,
        "source_id": source_id,
        "timestamp": request.moment,
        "content_snippet": snippet,
    }
    return construct_trusted(ProvenancePointer, fields)
