"""How much the policy decides: which rules concern plans, how closely limits are met, what another policy would change.

The other policy of a pair is a member of the same family that is in use in the same world. The trace is then judged
without its coordinates, as one by another author: otherwise every trace would be refused, because its coordinates give
the first policy.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from gatling_sid.errors import SidError
from gatling_sid.models import GoldTrace, SystemPolicy, ToolCall, TrustTier, replace_fields
from gatling_sid.oracle.embedded.planning import CallTemplate, PlanTemplate, plan_instance
from gatling_sid.scenarios.instances import members_in_world
from gatling_sid.scenarios.scheduled_request import ScheduledRequest
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.constraints import Parameters
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.references import MissingPathError
from gatling_sid.validators.checks import judge
from gatling_sid.validators.policy.kinds import CONSTRAINT_RULES, breaches
from gatling_sid.validators.trace_context import TraceContext

_WORLD_KEYS = ("catalogue", "seed", "world", "today")
"""Metadata that name the world of a trace; all others name its coordinates there, or its author."""
_LARGE = 1e6
"""Farther from any limit than a value that meets it."""
_SMALL_SHARE = 1e-5
"""The share of an amount that counts as no difference: a tenth of a dollar of ten thousand."""

Limit = tuple[str, str]
"""A rule's name and the parameter of it that is a number."""


@dataclass
class LimitCounts:
    """How many traces the rules concern, how many each numeric limit concerns, and how many of these meet it exactly."""

    traces: int = 0
    rules_in_force: int = 0
    concerned: Counter[str] = field(default_factory=Counter)
    spoken_of: Counter[Limit] = field(default_factory=Counter)
    met_exactly: Counter[Limit] = field(default_factory=Counter)

    def add(self, trace_limits: TraceLimits) -> None:
        """Counts a trace of which this is known."""
        self.traces += 1
        self.rules_in_force += trace_limits.rules_in_force
        self.concerned.update(trace_limits.rules)
        self.spoken_of.update(trace_limits.spoken_of)
        self.met_exactly.update(trace_limits.met_exactly)

    def rules_without_traces(self, domain: Domain) -> list[str]:
        """The rules that concern no trace, without those that forbid tools, since no gold plan calls these."""
        rules = domain.file.policy.rules.items()
        return [name for name, rule in rules if rule.kind != "may_not_call" and not self.concerned[name]]


@dataclass(frozen=True)
class TraceLimits:
    """The rules that concern a trace by role and tools, and its limits.

    All wordings of an instance have the same, except for limits on the hour of the day.
    """

    rules_in_force: int
    rules: tuple[str, ...]
    spoken_of: tuple[Limit, ...]
    met_exactly: tuple[Limit, ...]


def trace_limits(context: TraceContext) -> TraceLimits:
    """Which rules and limits concern a trace, and which limits it meets exactly.

    Each limit is moved, and the rule is judged again. A limit concerns a trace if, moved far, it would be broken; a
    count is moved to one, because every plan takes one row. It is met exactly if moving it by one, or an amount by next
    to nothing, breaks it. So this holds for every kind of constraint, also for one where larger is stricter.
    """
    spoken_of, met_exactly = [], []
    for name, kind, parameters in context.constraints:
        for parameter, value in _numbers_in(parameters):
            step, least = (1.0, 1.0) if isinstance(value, int) else (abs(value) * _SMALL_SHARE, 0.0)
            low = least if value > least else value - _LARGE
            if _is_broken(context, kind, parameters, parameter, (low, value + _LARGE)):
                spoken_of.append((name, parameter))
                if _is_broken(context, kind, parameters, parameter, (value - step, value + step)):
                    met_exactly.append((name, parameter))
    names = tuple(name for name, _, _ in context.constraints)
    return TraceLimits(len(context.trace.policy.constraints), names, tuple(spoken_of), tuple(met_exactly))


def _numbers_in(parameters: Parameters) -> Iterator[tuple[str, int | float]]:
    for name in type(parameters).model_fields:
        value = getattr(parameters, name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield name, value


def _is_broken(
    context: TraceContext, kind: str, parameters: Parameters, parameter: str, values: tuple[float, ...]
) -> bool:
    """Whether the constraint would be broken if the parameter had one of these values."""
    moved = (parameters.model_copy(update={parameter: value}) for value in values)
    return any(True for each in moved for _ in CONSTRAINT_RULES[kind](each, context))


# --- pairs -----------------------------------------------------------------------------------------------------


@dataclass
class PairCounts:
    """Counts over pairs of a trace with another policy; only traces that are gold under their own are compared."""

    pairs: int = 0
    gold_alone: int = 0
    breaking: int = 0
    not_gold: int = 0
    replanned: int = 0
    breaking_by_rule: Counter[str] = field(default_factory=Counter)

    def add(self, trace: GoldTrace, request: ScheduledRequest, registry: DomainRegistry, rng: random.Random) -> None:
        """Judges a trace under another policy of its world and counts the result; not if the world has only one."""
        family = request.world.domain.family
        own = family.member_of(trace.policy.policy_id)
        others = sorted(set(members_in_world(request.world)) - {own})
        if not others:
            return
        other = rng.choice(others)
        policy, rules = family.policy(other), family.rules_in_force(other)
        alone = _without_coordinates(trace)
        self.pairs += 1
        if judge(TraceContext(alone, registry)).findings:
            return
        adapted = _with_policy(alone, policy)
        self.gold_alone += 1
        broken = {each.constraint_id for each in breaches(TraceContext(adapted, registry), CONSTRAINT_RULES)}
        self.breaking += bool(broken)
        self.breaking_by_rule.update(broken)
        self.not_gold += bool(judge(TraceContext(adapted, registry)).findings)
        self.replanned += _plan_of(request) != _plan_of(
            request._replace(instance=request.instance._replace(policy=policy, rules=rules))
        )

    def shares(self) -> Iterator[tuple[str, int, int]]:
        """Yields (name, how many, of how many) of everything that was counted."""
        yield "gold under its own policy, without coordinates", self.gold_alone, self.pairs
        yield "plan breaks another policy", self.breaking, self.gold_alone
        yield "not gold under another policy", self.not_gold, self.gold_alone
        yield "another plan under another policy", self.replanned, self.gold_alone


def _without_coordinates(trace: GoldTrace) -> GoldTrace:
    return replace_fields(trace, metadata={name: trace.metadata[name] for name in _WORLD_KEYS})


def _with_policy(trace: GoldTrace, policy: SystemPolicy) -> GoldTrace:
    """The trace under another policy; a quoted rule is quoted in the other policy's words, if that has the rule."""
    calls = [_quote_policy(call, trace.policy, policy) for call in trace.graph.calls]
    return replace_fields(trace, policy=policy, graph=replace_fields(trace.graph, calls=calls))


def _quote_policy(call: ToolCall, old: SystemPolicy, new: SystemPolicy) -> ToolCall:
    pointer = call.provenance
    if pointer is None or pointer.source_type is not TrustTier.SYSTEM:
        return call
    names = {each.constraint_id for each in old.constraints if old.rules[each.rule] == pointer.content_snippet}
    sentences = [new.rules[each.rule] for each in new.constraints if each.constraint_id in names]
    quote = sentences[0] if sentences else pointer.content_snippet
    return replace_fields(call, provenance=replace_fields(pointer, source_id=new.policy_id, content_snippet=quote))


def _plan_of(request: ScheduledRequest) -> list[CallTemplate] | None:
    """The calls of a request's plan, without scopes and the rules that demand them; None if it cannot be made or run."""
    try:
        plan = plan_instance(request.world, request.scenario, request.instance)
    except (MissingPathError, SidError):
        return None
    return [call._replace(scope=None, rule=None) for call in plan.calls] if _runs(plan) else None  # type: ignore[arg-type]


def _runs(plan: PlanTemplate) -> bool:
    """Whether no call was refused when the plan was made, since only calls that ran have a scope with a number of rows."""
    return all(call.scope.rows_requested is not None for call in plan.calls)
