"""The embedded oracle: no key, no network, the same trace for the same (catalogue, seed, domain, split, index)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from gatling_sid.models import (
    SCENARIO,
    GoldTrace,
    ProvenancePointer,
    ToolCall,
    ToolCallGraph,
    TrustTier,
    UserRequest,
    construct_trusted,
)
from gatling_sid.oracle.embedded.planning import CallTemplate, PlanTemplate, argument_source, plan_of
from gatling_sid.oracle.protocol import Failure, Task
from gatling_sid.scenarios.schedule import scheduled_scenario
from gatling_sid.scenarios.scheduled_request import (
    FALLBACK_WORLDS,
    ScheduledRequest,
    scheduled_request_at,
    sentences_around,
)


class ScenarioOracle:
    """Plans what is asked at a trace's coordinates: the plan follows from the scenario and the rules in force."""

    name = SCENARIO
    max_attempts = 40

    def __init__(self, seed: int, created_at: datetime) -> None:
        """`seed` and `created_at` are the run's; nothing else enters what is proposed."""
        self.seed = seed
        self.created_at = created_at

    def propose(self, tasks: Sequence[Task]) -> Iterable[GoldTrace | Failure]:
        """One trace per task, independent of the others."""
        return (self.trace(task) for task in tasks)

    def trace(self, task: Task) -> GoldTrace | Failure:
        """The trace of a task: a pure function of the task, the seed and the catalogue."""
        domain = task.domain
        asking = scheduled_request_at(domain, self.seed, task.split, task.index, task.attempt)
        if asking is None:
            scenario, _ = scheduled_scenario(domain, self.seed, task.split, task.index)
            return Failure("no_draw", f"{scenario}: nothing fits in its world or {FALLBACK_WORLDS} others")
        return self._build_trace(
            task, asking, plan_of(asking.world, asking.scenario, asking.instance_index, task.attempt)
        )

    def _build_trace(self, task: Task, asking: ScheduledRequest, plan: PlanTemplate) -> GoldTrace:
        """The record of a plan for a request in these words."""
        domain, instance, request_id = task.domain, asking.instance, f"{task.trace_id}_request"
        request = {
            "request_id": request_id,
            "domain": domain.name,
            "text": asking.rendered.text,
            "intent_category": domain.file.scenarios[asking.scenario].intent,
            "expected_scope": plan.scope,
            "trust_tier": TrustTier.USER,
            "principal": instance.principal,
        }
        graph = {
            "graph_id": f"{task.trace_id}_graph",
            "calls": [render_call(each, asking, request_id) for each in plan.calls],
            "execution_order": plan.order,
        }
        metadata = {
            "oracle": self.name,
            "scenario": asking.scenario,
            "case": asking.instance_index,
            "attempt": task.attempt,
            "catalogue": domain.digest,
            "seed": self.seed,
            "world": asking.world.name,
            "today": asking.world.today.isoformat(),
        }
        fields = {
            "trace_id": task.trace_id,
            "request": construct_trusted(UserRequest, request),
            "policy": instance.policy,
            "graph": construct_trusted(ToolCallGraph, graph),
            "metadata": metadata,
            "created_at": self.created_at,
            "validated": False,
            "goal": instance.goal,
        }
        return construct_trusted(GoldTrace, fields)


def render_call(template: CallTemplate, asking: ScheduledRequest, request_id: str) -> ToolCall:
    """The call as part of a trace: with the places in the request's text that say its values."""
    spans = asking.rendered.spans
    spoken = [argument_source(name, "request", None, *spans[slot]) for name, slot in template.spoken]
    fields = {
        "call_id": template.call_id,
        "tool_id": template.tool_id,
        "arguments": template.arguments,
        "scope": template.scope,
        "provenance": _provenance(template, asking, request_id),
        "dependencies": template.dependencies,
        "argument_sources": spoken + template.sources,
    }
    return construct_trusted(ToolCall, fields)


def _provenance(template: CallTemplate, asking: ScheduledRequest, request_id: str) -> ProvenancePointer:
    """A call that is there because of a rule points to the rule, any other to the words that ask for it."""
    said = asking.rendered
    if template.rule is not None:
        source_type, source_id, snippet = TrustTier.SYSTEM, asking.instance.policy.policy_id, template.rule
    else:
        spans = [said.spans[slot] for _, slot in template.spoken]
        source_type, source_id, snippet = TrustTier.USER, request_id, sentences_around(asking, spans)
    fields = {
        "source_type": source_type,
        "source_id": source_id,
        "timestamp": asking.moment,
        "content_snippet": snippet,
    }
    return construct_trusted(ProvenancePointer, fields)
