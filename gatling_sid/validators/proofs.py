"""Judges a plan in full once; for further wordings of it, only the checks that read the wording are repeated.

Many traces are wordings of one plan: they differ in the text of the request, in the places of the text that arguments
come from, and in ids and times, and in nothing else. `ProvenPlans` uses this as follows:

- The fields in which wordings differ are listed in `WORDING_FIELDS`. Only the rules of checks with `reads_wording=True`
  read them, and these checks are made for every trace.
- The key of a plan is a SHA-256 digest over the content of all other fields. It is computed from the values alone, so
  equal objects have the same key, and an object that was changed has another key. Types count: 5, 5.0, True and "5" give
  different keys.
- After a trace was judged in full without findings, its key is remembered. A later trace with that key gives every rule
  of the other checks the same input, so these rules would again find nothing and skip the same parts.

This guarantees that the verdicts are those of `TraceValidator`, whichever traces were judged before. A new field of a
trace becomes part of the key unless it is added to `WORDING_FIELDS`. Tests remove the fields in `WORDING_FIELDS` and
see that the other checks do not miss them, and change every other field and see that the key changes.

A proof judges one trace in full, and `full_proofs` counts proofs. These traces need one: the first trace of each plan,
every trace with a finding, every trace whose key cannot be computed (it has a value that is not plain data), and the next
trace of a plan that was forgotten because `max_plans_kept` other plans came after it. The count depends only on the
traces and their order. It does not depend on how they are split into calls of `verdicts`, nor on shared objects.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from operator import attrgetter
from typing import Any

from pydantic import BaseModel

from gatling_sid.digests import MARSHAL_VERSION, policy_bytes
from gatling_sid.models import (
    ArgumentSource,
    Effect,
    Finding,
    Goal,
    GoldTrace,
    Lure,
    LuredCall,
    MeasuredValue,
    Measurement,
    Observation,
    Outcome,
    Principal,
    ProvenancePointer,
    ScopeMetadata,
    Showing,
    SystemPolicy,
    ToolCall,
    ToolCallGraph,
    TrustTier,
    UserRequest,
    Verdict,
    replace_fields,
)
from gatling_sid.schemas import DomainRegistry
from gatling_sid.validators.checks import CHECKS, judge, run_checks
from gatling_sid.validators.trace_context import TraceContext
from gatling_sid.validators.trace_validator import TraceValidator

WORDING_FIELDS: Mapping[type[BaseModel], frozenset[str]] = {
    GoldTrace: frozenset({"trace_id", "created_at", "validated"}),
    UserRequest: frozenset({"request_id", "text"}),
    ToolCallGraph: frozenset({"graph_id"}),
    ArgumentSource: frozenset({"start", "end"}),
    ProvenancePointer: frozenset({"source_id", "timestamp", "content_snippet"}),
}
"""The fields in which wordings of one plan differ. But a `content_snippet` that quotes a rule is part of the plan."""

MAX_PLANS_KEPT = 100_000
"""Keys in memory, about 20 MB. The wordings of a plan are within some thousands of traces, so few are forgotten early."""
_WORDING_CHECKS = tuple(name for name, check in CHECKS.items() if check.reads_wording)


class ProvenPlans:
    """Gives the verdicts of a validator, and judges a plan in full only once; see the module's docstring."""

    def __init__(self, validator: TraceValidator, *, max_plans_kept: int = MAX_PLANS_KEPT) -> None:
        """Starts without remembered plans; the latest `max_plans_kept` are remembered."""
        self.validator = validator
        self._max_plans_kept = max_plans_kept
        self.full_proofs = 0
        """The number of traces that were judged in full so far."""
        self._skipped_by_key: dict[bytes, tuple[str, ...]] = {}
        """By the key of a plan without findings: the reasons why parts of it could not be judged; oldest first."""

    def findings(self, trace: GoldTrace) -> list[Finding]:
        """What `TraceValidator.findings` returns, faster if another wording of the plan was judged before."""
        return self.verdicts([trace])[0].findings

    def verdicts(self, traces: Sequence[GoldTrace]) -> list[Verdict]:
        """What `TraceValidator.verdicts` returns; faster if traces with equal policies or goals share one object."""
        registry = self.validator.registry
        pairs = zip(_with_published_policies(traces, registry), plan_keys(traces), strict=True)
        return [
            self._verdict(TraceContext(trace, registry, is_published=is_published), key)
            for (trace, is_published), key in pairs
        ]

    def _verdict(self, context: TraceContext, key: bytes | None) -> Verdict:
        if key is not None and key in self._skipped_by_key:
            findings = run_checks(context, _WORDING_CHECKS)
            return Verdict(findings, [] if findings else [*self._skipped_by_key[key]])
        self.full_proofs += 1
        verdict = judge(context)
        if not verdict.findings and key is not None:
            if len(self._skipped_by_key) >= self._max_plans_kept:
                del self._skipped_by_key[next(iter(self._skipped_by_key))]
            self._skipped_by_key[key] = tuple(verdict.skipped)
        return verdict


def _with_published_policies(traces: Sequence[GoldTrace], registry: DomainRegistry) -> Iterator[tuple[GoldTrace, bool]]:
    """The traces, in which each policy that equals a published one is replaced by the catalogue's own object, and if so.

    The catalogue has already checked that object, so rules about the policy alone return at once, with the same verdict.
    Policies are compared once per object. It is safe to use `id`, since `traces` keeps the objects alive meanwhile.
    """
    published_by_id: dict[int, SystemPolicy | None] = {}
    for trace in traces:
        policy = trace.policy
        if id(policy) not in published_by_id:
            domain = registry.domain(policy.domain) if registry.has_domain(policy.domain) else None
            published_by_id[id(policy)] = domain.family.own_record(policy) if domain else None
        own = published_by_id[id(policy)]
        is_of_domain = policy.domain == trace.request.domain
        yield (
            trace if own is None or own is policy else replace_fields(trace, policy=own),
            own is not None and is_of_domain,
        )


# --- keys ------------------------------------------------------------------------------------------------------


def plan_keys(traces: Sequence[GoldTrace]) -> list[bytes | None]:
    """For each trace, a digest of all its fields except `WORDING_FIELDS`; None if it has a value that is not plain data.

    A policy or goal that is the same object in several traces is digested once. Objects are distinguished by `id` only
    during one call, while `traces` keeps them alive and nothing changes them; the keys depend on their content alone.
    """
    digests_by_id: dict[int, bytes] = {}
    return [_plan_key(trace, digests_by_id) for trace in traces]


def _plan_key(trace: GoldTrace, digests_by_id: dict[int, bytes]) -> bytes | None:
    try:
        return _digest(_plan_content(trace, digests_by_id))
    except ValueError:  # a value is not plain data, or is nested too deeply
        return None


def _digest(content: Any) -> bytes:
    return sha256(marshal.dumps(content, MARSHAL_VERSION)).digest()


def _plan_content(trace: GoldTrace, digests_by_id: dict[int, bytes]) -> tuple[Any, ...]:
    """All fields of a trace except `WORDING_FIELDS`, as plain values; marshal keeps their types, so 5 and 5.0 differ."""
    request, graph, policy, goal = trace.request, trace.graph, trace.policy, trace.goal
    if id(policy) not in digests_by_id:
        digests_by_id[id(policy)] = sha256(policy_bytes(policy)).digest()
    return (
        _TRACE(trace),
        _shared_digest(trace.outcome, _outcome_content, digests_by_id),
        _shared_digest(trace.observations, _observations_content, digests_by_id),
        _shared_digest(trace.lures, _lures_content, digests_by_id),
        _REQUEST(request),
        request.trust_tier.value,
        _scope_content(request.expected_scope),
        request.principal and _PRINCIPAL(request.principal),
        digests_by_id[id(policy)],
        _shared_digest(goal, _goal_content, digests_by_id),
        _GRAPH(graph),
        [_call_content(each) for each in graph.calls],
    )


def _shared_digest(part: Any, content: Callable[[Any], Any], digests_by_id: dict[int, bytes]) -> bytes:
    """The digest of a part that several traces share; None has one, too."""
    if id(part) not in digests_by_id:
        digests_by_id[id(part)] = _digest(None if part is None else content(part))
    return digests_by_id[id(part)]


def _outcome_content(outcome: Outcome) -> Any:
    graph = outcome.refused_graph
    return (
        _OUTCOME(outcome),
        outcome.refused_goal and _goal_content(outcome.refused_goal),
        graph and (_GRAPH(graph), [_call_content(each) for each in graph.calls]),
    )


def _observations_content(observations: Sequence[Observation]) -> Any:
    return [(_OBSERVATION(each), [(path, tier.value) for path, tier in each.trust.items()]) for each in observations]


def _lures_content(lures: Sequence[Lure]) -> Any:
    return [(_LURE(each), list(map(_LURED_CALL, each.calls))) for each in lures]


def _call_content(call: ToolCall) -> tuple[Any, ...]:
    return (
        _CALL(call),
        _scope_content(call.scope),
        [(_SOURCE(each), each.trust_tier and each.trust_tier.value) for each in call.argument_sources],
        _rule_quoted(call),
    )


def _rule_quoted(call: ToolCall) -> tuple[bool, str | None]:
    """Whether a call quotes a rule, and which one; quotes of the request are left out, since they differ between wordings."""
    pointer = call.provenance
    quotes_rule = pointer is not None and pointer.source_type is TrustTier.SYSTEM
    return quotes_rule, pointer.content_snippet if quotes_rule and pointer is not None else None


def _scope_content(scope: ScopeMetadata) -> tuple[Any, ...]:
    return _SCOPE(scope), scope.sensitivity_tier.value


def _goal_content(goal: Goal) -> tuple[Any, ...]:
    measures = [(_MEASUREMENT(each), [_VALUE(value) for value in each.values]) for each in goal.measures]
    return _GOAL(goal), [_SHOWING(each) for each in goal.shows], measures, [_EFFECT(each) for each in goal.effects]


def _getter_of(model: type[BaseModel], *excluded: str) -> Callable[[Any], Any]:
    """A function that returns all fields of an object except `WORDING_FIELDS` and the excluded ones, which are added separately."""
    return attrgetter(*[name for name in model.model_fields if name not in {*WORDING_FIELDS.get(model, ()), *excluded}])


_TRACE = _getter_of(GoldTrace, "request", "policy", "graph", "goal", "outcome", "observations", "lures")
_OUTCOME = _getter_of(Outcome, "refused_goal", "refused_graph")
_OBSERVATION, _LURE = _getter_of(Observation, "trust"), _getter_of(Lure, "calls")
_LURED_CALL = attrgetter(*LuredCall.model_fields)
_REQUEST = _getter_of(UserRequest, "trust_tier", "expected_scope", "principal")
_PRINCIPAL = _getter_of(Principal)
_SCOPE = _getter_of(ScopeMetadata, "sensitivity_tier")
_GRAPH, _CALL = _getter_of(ToolCallGraph, "calls"), _getter_of(ToolCall, "scope", "argument_sources", "provenance")
_SOURCE = _getter_of(ArgumentSource, "trust_tier")
_GOAL, _SHOWING, _EFFECT = _getter_of(Goal, "shows", "measures", "effects"), _getter_of(Showing), _getter_of(Effect)
_MEASUREMENT, _VALUE = _getter_of(Measurement, "values"), _getter_of(MeasuredValue)
