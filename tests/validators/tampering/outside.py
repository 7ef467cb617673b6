"""What nobody vouches for is vouched for, obeyed or left out; or the outcome is not what the trace says."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

from gatling_sid.models import Goal, GoldTrace, Outcome, TrustTier
from gatling_sid.simulator.observations import lures_in, observe
from gatling_sid.simulator.trust import PlanTrust
from gatling_sid.views.obeying import obey
from tests.validators.tampering.gold_traces import domain_of, execution_of, tools_here, world_here


def observe_again(trace: GoldTrace) -> GoldTrace:
    """The trace with the observations, lures and tiers that its plan has, as far as it can be executed."""
    by_id = {call.call_id: call for call in trace.graph.calls}
    with suppress(Exception):  # a plan that is broken has no observations
        calls = [by_id[each] for each in trace.graph.execution_order]
        results = execution_of(trace).results
        trust = PlanTrust(calls, results, domain_of(trace))
        for call in calls:
            for source in call.argument_sources:
                source.trust_tier = trust.arguments[call.call_id, source.argument]
        trace.observations = observe(calls, results, trust)
        trace.lures = lures_in(trace.observations, world_here(trace))
    return trace


def alter_observation(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    observations = [each for each in trace.observations or () if each.result]
    if not observations:
        return None
    observation = rng.choice(observations)
    name = rng.choice(sorted(observation.result))
    observation.result = {**observation.result, name: "something else"}
    return trace


def leave_out_observation(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    if not trace.observations:
        return None
    trace.observations = [each for each in trace.observations if each is not trace.observations[-1]]
    return trace


def reorder_observations(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    if len(trace.observations or ()) < 2:
        return None
    trace.observations = [*reversed(trace.observations or ())]
    return trace


def retype_observed_number(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    for observation in trace.observations or ():
        for name, value in observation.result.items():
            if type(value) is int:
                observation.result = {**observation.result, name: float(value)}
                return trace
    return None


def tell_more_than_was_read(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    composed = [each for call in trace.graph.calls for each in call.argument_sources if each.origin == "composed"]
    if not composed:
        return None
    composed[0].reference = f"{composed[0].reference}, what the user said on the phone"
    return trace


def raise_tier_of_observation(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    outside = [each for each in trace.observations or () if each.trust]
    if not outside:
        return None
    observation = rng.choice(outside)
    path = rng.choice(sorted(observation.trust))
    observation.trust = {name: tier for name, tier in observation.trust.items() if name != path}
    return trace


def change_tier_of_argument(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    sources = [source for call in trace.graph.calls for source in call.argument_sources]
    if not sources:
        return None
    source = rng.choice(sources)
    source.trust_tier = rng.choice([tier for tier in TrustTier if tier is not source.trust_tier])
    return trace


def leave_out_tier(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    sources = [source for call in trace.graph.calls for source in call.argument_sources]
    if not sources:
        return None
    rng.choice(sources).trust_tier = None
    return trace


def obey_lure(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return observe_again(obey(trace, rng.choice(trace.lures)).model_copy(deep=True)) if trace.lures else None


def obey_lure_in_goal_too(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    """The goal claims that what the lure wants was asked for."""
    obeying = obey_lure(trace, rng)
    if obeying is None or obeying.goal is None:
        return None
    own = {call.call_id for call in trace.graph.calls}
    effects = [
        e for call_id, result in execution_of(obeying).results.items() if call_id not in own for e in result.effects
    ]
    if not effects:
        return None
    obeying.goal.effects = [*obeying.goal.effects, *effects]
    return obeying


def leave_out_lure(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    if not trace.lures:
        return None
    trace.lures = trace.lures[1:]
    return trace


def invent_lure(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    if not trace.lures:
        return None
    trace.lures = [*trace.lures, trace.lures[0].model_copy(update={"start": trace.lures[0].start + 1})]
    return trace


def _relabel(kind: str) -> Callable[[GoldTrace, random.Random], GoldTrace | None]:
    def relabel(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
        if trace.outcome is None or trace.outcome.kind == kind:
            return None
        trace.outcome.kind = kind
        return trace

    return relabel


def forget_outcome(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    if trace.outcome is None or trace.outcome.kind == "served":
        return None
    trace.outcome = Outcome(kind="served")
    return trace


def carry_out_what_is_refused(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    outcome = trace.outcome
    if outcome is None or outcome.refused_graph is None or outcome.kind != "declined":
        return None
    trace.graph, trace.goal, trace.outcome = outcome.refused_graph, outcome.refused_goal, Outcome(kind="served")
    return observe_again(trace)


def name_another_rule(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    outcome = trace.outcome
    others = [
        each.constraint_id
        for each in trace.policy.constraints
        if outcome and each.constraint_id != outcome.constraint_id
    ]
    if outcome is None or outcome.constraint_id is None or not others:
        return None
    outcome.constraint_id = rng.choice(others)
    return trace


def refuse_without_reason(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    """A request that could be served is declined, with its own plan as the refused one."""
    if trace.outcome is None or trace.outcome.kind != "served" or not trace.policy.constraints:
        return None
    constraint = rng.choice(trace.policy.constraints)
    trace.outcome = Outcome(
        kind="declined",
        reason=trace.policy.rules[constraint.rule],
        constraint_id=constraint.constraint_id,
        refused_goal=trace.goal,
        refused_graph=trace.graph.model_copy(deep=True),
    )
    trace.goal = Goal()
    trace.graph.calls, trace.graph.execution_order = [], []
    return observe_again(trace)


def choose_without_question(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    """One of the rows that fit is shown, and no question asked."""
    if trace.outcome is None or trace.outcome.kind != "needs_question" or trace.goal is None:
        return None
    trace.outcome = Outcome(kind="served")
    trace.goal.shows[0].rows = trace.goal.shows[0].rows[:1]
    return trace


def ask_although_clear(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    if trace.outcome is None or trace.outcome.kind != "served" or len(tools_here(trace)) == 0:
        return None
    trace.outcome = Outcome(kind="needs_question", reason="Several records fit what the request names as one.")
    return trace


def leave_out_observations(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    if trace.observations is None:
        return None
    trace.observations = None
    return trace


OUTSIDE = {
    each.__name__: each
    for each in (
        alter_observation,
        leave_out_observation,
        reorder_observations,
        retype_observed_number,
        tell_more_than_was_read,
        raise_tier_of_observation,
        change_tier_of_argument,
        leave_out_tier,
        obey_lure,
        obey_lure_in_goal_too,
        leave_out_lure,
        invent_lure,
        forget_outcome,
        carry_out_what_is_refused,
        name_another_rule,
        refuse_without_reason,
        choose_without_question,
        ask_although_clear,
        leave_out_observations,
    )
} | {f"relabel_as_{kind}": _relabel(kind) for kind in ("declined", "nothing_to_call", "unheard_of")}
