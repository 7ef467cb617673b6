"""The table of checks: which rules each consists of, and what it needs to be judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from gatling_sid.models import Finding, Verdict
from gatling_sid.validators import (
    detours,
    grounding,
    membership,
    merging,
    need,
    replay,
    scenario_plan,
    scope,
    size,
    structure,
    words,
)
from gatling_sid.validators.policy import constraints as policy
from gatling_sid.validators.policy import scope_limits
from gatling_sid.validators.trace_context import TraceContext

CheckRule = Callable[[TraceContext], Iterator[str]]

MOST_MESSAGES = 100
"""Breaches of one rule that are told."""
LONGEST_MESSAGE = 2_000
"""Characters of a breach that are told."""


class Check(NamedTuple):
    """A named group of rules; `verdict` and `messages` are its keys in a report.

    `replayed` rules need the plan to be executed again, `known` ones a domain of the catalogue; the rest need neither.
    The rules of a `worded` check may read everything; all others read nothing of `proofs.WORDS`.
    Once a check with a `gate` has failed, nothing else is judged, for the reason that `gate` gives.
    """

    verdict: str
    messages: str
    rules: tuple[CheckRule, ...] = ()
    known: tuple[CheckRule, ...] = ()
    replayed: tuple[CheckRule, ...] = ()
    worded: bool = False
    gate: str = ""


CHECKS: Mapping[str, Check] = {
    "length": Check("valid", "errors", rules=(size.words_are_few,), worded=True, gate="the request is too long"),
    "size": Check("valid", "errors", rules=(size.parts_are_few, size.values_are_small), gate="the trace is too large"),
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
        gate="the structure is broken",
    ),
    "domain": Check(
        "valid",
        "errors",
        rules=(structure.domains_agree, structure.intent_is_known),
        known=(membership.tools_belong_to_domain, membership.intent_fits, membership.policy_is_as_published),
    ),
    "arguments": Check("valid", "errors", known=(membership.arguments_fit_schemas,)),
    "replay": Check(
        "valid",
        "errors",
        replayed=(
            replay.principal_is_real,
            replay.plan_executes,
            replay.day_is_the_worlds,
            replay.something_is_called,
            replay.goal_is_met,
            replay.order_does_not_matter,
            scenario_plan.task_is_the_scenarios,
        ),
    ),
    "policy": Check(
        "compliant",
        "violations",
        rules=(
            policy.constraints_are_well_formed,
            policy.rules_are_backed,
            policy.forbidden_operations_are_absent,
            scope_limits.scope_limits_hold,
            policy.constraints_hold,
        ),
    ),
    "informed_change": Check("valid", "errors", replayed=(policy.changes_follow_look_ups,)),
    "minimal_scope": Check(
        "minimal",
        "warnings",
        rules=(scope.scope_is_within_request,),
        replayed=(
            replay.scopes_are_true,
            scope.no_call_can_be_dropped,
            scenario_plan.plan_is_the_scenarios,
            need.rows_are_needed,
            need.fields_are_needed,
            grounding.quoted_rules_demand_their_calls,
            scope.no_dependency_can_be_dropped,
            scope.no_scope_can_be_narrowed,
            detours.known_values_are_not_taken_from_records,
            detours.no_call_is_a_detour,
            merging.no_two_calls_could_be_one,
        ),
    ),
    "words": Check(
        "valid",
        "errors",
        rules=(words.text_is_plain, words.ids_are_plain, words.user_asks),
        replayed=(
            words.times_fit_the_day,
            words.words_follow_from_coordinates,
            words.all_that_is_said_is_used,
            words.verdict_is_of_this_trace,
        ),
        worded=True,
    ),
    "grounding": Check(
        "valid",
        "errors",
        replayed=(grounding.every_argument_has_one_source, grounding.sources_give_the_values),
    ),
    "provenance": Check(
        "valid",
        "errors",
        replayed=(grounding.words_give_the_values, grounding.provenance_is_real),
        worded=True,
    ),
}


def run_checks(case: TraceContext, names: Iterable[str]) -> list[Finding]:
    """The breaches of these checks, in the order given; those of a gate are reported alone."""
    found: list[Finding] = []
    for name in names:
        breaches = list(findings_of_check(case, name))
        if breaches and CHECKS[name].gate:
            return breaches
        found += breaches
    return found


def judge(case: TraceContext) -> Verdict:
    """What all checks say of a case."""
    found = run_checks(case, CHECKS)
    return Verdict(found, [] if found else [reason for name in CHECKS if (reason := why_skipped(case, name))])


def findings_of_check(case: TraceContext, name: str) -> Iterator[Finding]:
    """The breaches of one check, as far as it can be judged; of many alike, the first."""
    check = CHECKS[name]
    known = check.known if case.domain is not None else ()
    replayed = check.replayed if case.why_not_replayable is None else ()
    for rule in (*check.rules, *known, *replayed):
        for message in islice(rule(case), MOST_MESSAGES):
            yield Finding(name, rule.__name__, message[:LONGEST_MESSAGE])


def why_skipped(case: TraceContext, name: str) -> str | None:
    """Why part of a check could not be judged, or None."""
    check = CHECKS[name]
    if check.known and case.domain is None:
        return f"the catalogue has no domain {case.trace.request.domain!r}"
    if check.replayed and case.why_not_replayable is not None:
        return case.why_not_replayable
    if name == "words":
        return words.why_unvouched(case)
    if name == "policy" and case.why_not_replayable is not None:
        return _why_policy_skipped(case)
    if name == "policy" and not case.claims_family:
        return "the policy is none of the domain's family, so what its sentences say is not known"
    return None


def _why_policy_skipped(case: TraceContext) -> str | None:
    """What of an ad-hoc policy nothing could be held against."""
    trace = case.trace
    backed = {each.rule for each in trace.policy.constraints}
    open_rules = [index for index in range(len(trace.policy.rules)) if index not in backed]
    later = policy.needs_replay(case)
    reasons = [
        f"rules without a constraint: {open_rules}" if open_rules else "",
        f"constraints that need a replay: {', '.join(later)}" if later else "",
        *scope_limits.unenforced_limits(case),
    ]
    return "; ".join(each for each in reasons if each) or None
