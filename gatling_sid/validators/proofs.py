"""Proving a plan once: further wordings of it need only their words judged.

Sound because a trace falls into two parts. `WORDS` are read by the rules of `worded` checks alone, and those are judged
for every trace. All the rest makes the plan's key, by content: two traces of one key give every other rule the same to
read. A new field of a trace is part of the key unless it is added to `WORDS`; tests hold both halves.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from operator import attrgetter
from typing import Any

from pydantic import BaseModel

from gatling_sid.digests import MARSHAL, policy_bytes
from gatling_sid.models import (
    ArgumentSource,
    Effect,
    Finding,
    Goal,
    GoldTrace,
    MeasuredValue,
    Measurement,
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
    construct_trusted,
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
"""The fields in which wordings of one plan differ; a rule that a call quotes is part of the plan all the same."""

_MOST_PLANS_KEPT = 100_000
_WORDED_CHECKS = tuple(name for name, check in CHECKS.items() if check.worded)


class ProvenPlans:
    """A validator that remembers, by their content, the plans it found without fault."""

    def __init__(self, validator: TraceValidator) -> None:
        """Remembers nothing yet."""
        self.validator = validator
        self.full_proofs = 0
        """How many traces were judged in full."""
        self._proven: dict[bytes, list[str]] = {}
        """By the key of a plan without fault: what of it could not be judged, which follows from its content too."""

    def findings(self, trace: GoldTrace) -> list[Finding]:
        """What `TraceValidator.findings` gives, in less time for another wording of a plan found gold before."""
        return self.verdicts([trace])[0].findings

    def verdicts(self, traces: Sequence[GoldTrace]) -> list[Verdict]:
        """What `TraceValidator.verdicts` gives; in least time if equal parts of the traces are the same records."""
        registry = self.validator.registry
        own = zip(_with_published_policies(traces, registry), plan_keys(traces), strict=True)
        return [self._verdict(TraceContext(trace, registry), key) for trace, key in own]

    def _verdict(self, case: TraceContext, key: bytes | None) -> Verdict:
        if key is not None and key in self._proven:
            found = run_checks(case, _WORDED_CHECKS)
            return Verdict(found, [] if found else self._proven[key])
        self.full_proofs += 1
        verdict = judge(case)
        if not verdict.findings and key is not None:
            if len(self._proven) >= _MOST_PLANS_KEPT:
                del self._proven[next(iter(self._proven))]
            self._proven[key] = verdict.skipped
        return verdict


def _with_published_policies(traces: Sequence[GoldTrace], registry: DomainRegistry) -> Iterator[GoldTrace]:
    """The traces, with the catalogue's own record of each policy that equals it: compared once, known to be sound."""
    known: dict[int, SystemPolicy] = {}
    for trace in traces:
        policy = trace.policy
        if id(policy) not in known:
            domain = registry.domain(policy.domain) if registry.has_domain(policy.domain) else None
            known[id(policy)] = (domain and domain.family.own_record(policy)) or policy
        own = known[id(policy)]
        yield trace if own is policy else construct_trusted(GoldTrace, {**trace.__dict__, "policy": own})


# --- keys ------------------------------------------------------------------------------------------------------


def plan_keys(traces: Sequence[GoldTrace]) -> list[bytes | None]:
    """For each trace, a digest of everything in it but its words; None if it holds what has no plain content.

    What several traces have as the same record is written out once: while this runs, nothing can change it.
    """
    known: dict[int, bytes] = {}
    return [_key(trace, known) for trace in traces]


def _key(trace: GoldTrace, known: dict[int, bytes]) -> bytes | None:
    try:
        return _digest(_plan(trace, known))
    except ValueError:  # no plain value, or nested too deeply
        return None


def _digest(content: Any) -> bytes:
    return sha256(marshal.dumps(content, MARSHAL)).digest()


def _plan(trace: GoldTrace, known: dict[int, bytes]) -> tuple[Any, ...]:
    """All of a trace but its words, as values that marshal writes by type: 5, 5.0, True and "5" are four things."""
    request, graph, policy, goal = trace.request, trace.graph, trace.policy, trace.goal
    if id(policy) not in known:
        known[id(policy)] = sha256(policy_bytes(policy)).digest()
    if id(goal) not in known:
        known[id(goal)] = _digest(goal and _goal(goal))
    return (
        _TRACE(trace),
        _REQUEST(request),
        request.trust_tier.value,
        _scope(request.expected_scope),
        request.principal and _PRINCIPAL(request.principal),
        known[id(policy)],
        known[id(goal)],
        _GRAPH(graph),
        [_call(each) for each in graph.calls],
    )


def _call(call: ToolCall) -> tuple[Any, ...]:
    return _CALL(call), _scope(call.scope), [_SOURCE(each) for each in call.argument_sources], _rule_quoted(call)


def _rule_quoted(call: ToolCall) -> tuple[bool, str | None]:
    """Whether a call says that a rule demands it, and which; what it quotes of the request is words."""
    pointer = call.provenance
    by_rule = pointer is not None and pointer.source_type is TrustTier.SYSTEM
    return by_rule, pointer.content_snippet if by_rule and pointer is not None else None


def _scope(scope: ScopeMetadata) -> tuple[Any, ...]:
    return _SCOPE(scope), scope.sensitivity_tier.value


def _goal(goal: Goal) -> tuple[Any, ...]:
    measures = [(_MEASUREMENT(each), [_VALUE(value) for value in each.values]) for each in goal.measures]
    return _GOAL(goal), [_SHOWING(each) for each in goal.shows], measures, [_EFFECT(each) for each in goal.effects]


def _fields(model: type[BaseModel], *apart: str) -> Callable[[Any], Any]:
    """Reads every field of a record that is not of `WORDS`, but those that are written apart."""
    return attrgetter(*[name for name in model.model_fields if name not in {*WORDING_FIELDS.get(model, ()), *apart}])


_TRACE = _fields(GoldTrace, "request", "policy", "graph", "goal")
_REQUEST = _fields(UserRequest, "trust_tier", "expected_scope", "principal")
_PRINCIPAL = _fields(Principal)
_SCOPE = _fields(ScopeMetadata, "sensitivity_tier")
_GRAPH, _CALL = _fields(ToolCallGraph, "calls"), _fields(ToolCall, "scope", "argument_sources", "provenance")
_SOURCE = _fields(ArgumentSource)
_GOAL, _SHOWING, _EFFECT = _fields(Goal, "shows", "measures", "effects"), _fields(Showing), _fields(Effect)
_MEASUREMENT, _VALUE = _fields(Measurement, "values"), _fields(MeasuredValue)
