"""The table of checks: the rules of each check, and what they need in order to judge a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from gatling_sid.models import Finding, Verdict
from gatling_sid.validators import (
    domain_fit,
    grounding,
    known_values,
    merging,
    minimality,
    need,
    observed,
    outcomes,
    replay,
    scenario_plan,
    size,
    structure,
    words,
)
from gatling_sid.validators.policy import kinds, scope_limits, tools, well_formed
from gatling_sid.validators.policy.kinds import Breach
from gatling_sid.validators.trace_context import TraceContext

CheckRule = Callable[[TraceContext], Iterator[str | Breach]]
"""Yields a message or, about a constraint of the policy, a breach for each thing that is wrong."""

MAX_MESSAGES = 100
"""Findings of one rule that are reported; a reader learns nothing from more of the same kind."""
MAX_MESSAGE_LENGTH = 2_000
"""Characters of a message that are reported, since a message may quote a value of any length."""


class Check(NamedTuple):
    """A named group of rules; `result_key` and `messages_key` are its keys in a report.

    `replay_rules` need an execution of the plan, `domain_rules` need a domain of the catalogue, `rules` need neither. If
    `reads_wording` is true, the rules may read the whole trace; otherwise they must not read the fields in
    `proofs.WORDING_FIELDS`. If a check with a `stop_reason` fails, no other check is judged, and this is the reason.
    """

    result_key: str
    messages_key: str
    rules: tuple[CheckRule, ...] = ()
    domain_rules: tuple[CheckRule, ...] = ()
    replay_rules: tuple[CheckRule, ...] = ()
    reads_wording: bool = False
    stop_reason: str = ""


CHECKS: Mapping[str, Check] = {
    "length": Check(
        "valid", "errors", rules=(size.request_is_short,), reads_wording=True, stop_reason="the request is too long"
    ),
    "size": Check(
        "valid", "errors", rules=(size.parts_are_bounded, size.values_are_small), stop_reason="the trace is too large"
    ),
    "structure": Check(
        "valid",
        "errors",
        rules=(
            structure.call_ids_are_unique,
            structure.dependencies_exist,
            structure.graph_is_acyclic,
            structure.order_names_every_call_once,
            structure.order_respects_dependencies,
            structure.references_are_dependencies,
            structure.values_are_plain,
        ),
        stop_reason="the structure is broken",
    ),
    "domain": Check(
        "valid",
        "errors",
        rules=(structure.domains_agree, structure.intent_is_known),
        domain_rules=(domain_fit.tools_belong_to_domain, domain_fit.intent_fits, domain_fit.policy_is_as_published),
    ),
    "arguments": Check("valid", "errors", domain_rules=(domain_fit.arguments_fit_schemas,)),
    "replay": Check(
        "valid",
        "errors",
        replay_rules=(
            replay.principal_is_real,
            replay.plan_executes,
            replay.date_matches_world,
            replay.plan_has_a_call,
            replay.goal_is_met,
            replay.order_does_not_matter,
            scenario_plan.task_matches_scenario,
        ),
    ),
    "observations": Check(
        "valid",
        "errors",
        replay_rules=(observed.observations_are_true, observed.tiers_are_true, observed.lures_are_named),
    ),
    "outcome": Check(
        "valid",
        "errors",
        rules=(outcomes.outcome_is_known,),
        replay_rules=(
            outcomes.refusal_is_proven,
            outcomes.refused_plan_is_gold_without_the_rule,
            outcomes.refused_plan_states_its_scopes,
            outcomes.question_is_needed,
            outcomes.nothing_is_called,
        ),
    ),
    "policy": Check(
        "compliant",
        "violations",
        rules=(
            well_formed.constraints_are_well_formed,
            well_formed.rules_are_backed,
            tools.forbidden_operations_are_absent,
            scope_limits.scope_limits_hold,
            kinds.constraints_hold,
        ),
    ),
    "policy_wording": Check("compliant", "violations", rules=(kinds.wording_constraints_hold,), reads_wording=True),
    "informed_change": Check("valid", "errors", replay_rules=(kinds.changes_follow_look_ups,)),
    "minimal_scope": Check(
        "minimal",
        "warnings",
        rules=(minimality.scope_is_within_request,),
        replay_rules=(
            replay.scopes_are_true,
            minimality.no_call_can_be_dropped,
            scenario_plan.plan_matches_scenario,
            need.rows_are_needed,
            need.fields_are_needed,
            grounding.quoted_rules_demand_their_calls,
            minimality.no_dependency_can_be_dropped,
            minimality.no_scope_can_be_narrowed,
            known_values.known_values_are_not_looked_up,
            known_values.no_call_returns_only_known_values,
            merging.no_two_calls_could_be_one,
        ),
    ),
    "words": Check(
        "valid",
        "errors",
        rules=(words.text_is_plain, words.ids_are_plain, words.request_comes_from_user),
        replay_rules=(
            words.times_fit_the_day,
            words.words_follow_from_coordinates,
            words.every_stated_value_is_used,
            words.verdict_is_of_this_trace,
        ),
        reads_wording=True,
    ),
    "grounding": Check(
        "valid",
        "errors",
        replay_rules=(
            grounding.every_argument_has_one_source,
            grounding.sources_give_the_values,
            grounding.composed_texts_tell_their_sources,
        ),
    ),
    "provenance": Check(
        "valid",
        "errors",
        replay_rules=(
            grounding.words_give_the_values,
            outcomes.refused_words_give_the_values,
            grounding.provenance_is_real,
        ),
        reads_wording=True,
    ),
}


def run_checks(context: TraceContext, names: Iterable[str]) -> list[Finding]:
    """The findings of these checks, in the order given; if a check with a `stop_reason` fails, only its findings."""
    findings: list[Finding] = []
    for name in names:
        found = list(findings_of_check(context, name))
        if found and CHECKS[name].stop_reason:
            return found
        findings += found
    return findings


def judge(context: TraceContext) -> Verdict:
    """The verdict of all checks on a trace."""
    findings = run_checks(context, CHECKS)
    return Verdict(findings, [] if findings else [reason for name in CHECKS if (reason := why_skipped(context, name))])


def findings_of_check(context: TraceContext, name: str) -> Iterator[Finding]:
    """The findings of one check, as far as it can be judged; of each rule, the first `MAX_MESSAGES`."""
    check = CHECKS[name]
    domain_rules = check.domain_rules if context.domain is not None else ()
    replay_rules = check.replay_rules if context.why_not_replayable is None else ()
    for rule in (*check.rules, *domain_rules, *replay_rules):
        for found in islice(rule(context), MAX_MESSAGES):
            constraint_id, message = (None, found) if isinstance(found, str) else (found.constraint_id, found.message)
            yield Finding(name, rule.__name__, message[:MAX_MESSAGE_LENGTH], constraint_id)


def why_skipped(context: TraceContext, name: str) -> str | None:
    """Why part of a check could not be judged, or None."""
    check = CHECKS[name]
    if check.domain_rules and context.domain is None:
        return f"the catalogue has no domain {context.trace.request.domain!r}"
    if check.replay_rules and context.why_not_replayable is not None:
        return context.why_not_replayable
    if name == "words":
        return words.why_words_not_judged(context)
    if name == "policy" and context.why_not_replayable is not None:
        return _why_policy_skipped(context)
    if name == "policy" and not context.claims_family:
        return "the policy is not a member of the domain's family, so its sentences cannot be checked"
    return None


def _why_policy_skipped(context: TraceContext) -> str | None:
    """Which parts of an ad-hoc policy cannot be enforced without a replay, or at all; None if there are none."""
    trace = context.trace
    backed_rules = {each.rule for each in trace.policy.constraints}
    open_rules = [index for index in range(len(trace.policy.rules)) if index not in backed_rules]
    need_replay = kinds.needs_replay(context)
    reasons = [
        f"rules without a constraint: {open_rules}" if open_rules else "",
        f"constraints that only a replay can judge: {', '.join(need_replay)}" if need_replay else "",
        *scope_limits.unenforced_limits(context),
    ]
    return "; ".join(each for each in reasons if each) or None
