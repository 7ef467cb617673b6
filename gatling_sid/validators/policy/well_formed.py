"""Checks the policy itself: each constraint is valid and belongs to a sentence, and each sentence has a constraint."""

from __future__ import annotations

from collections.abc import Iterator

from gatling_sid.validators.policy.kinds import Breach
from gatling_sid.validators.trace_context import TraceContext


def constraints_are_well_formed(context: TraceContext) -> Iterator[Breach]:
    """Every constraint has a known kind and valid parameters, and belongs to a rule that exists."""
    if context.has_published_policy:
        return
    for constraint_id, kind, problem in context.malformed_constraints:
        yield Breach(constraint_id, kind, problem)
    rules = len(context.trace.policy.rules)
    for each in context.trace.policy.constraints:
        if not 0 <= each.rule < rules:
            message = (
                f"constraint {each.constraint_id!r} belongs to rule {each.rule}; the policy has {rules} rules, from 0"
            )
            yield Breach(each.constraint_id, each.kind, message)


def rules_are_backed(context: TraceContext) -> Iterator[str]:
    """In a policy with constraints, every sentence has at least one."""
    policy = context.trace.policy
    if context.has_published_policy:
        return
    backed_rules = {each.rule for each in policy.constraints}
    for index, sentence in enumerate(policy.rules):
        if policy.constraints and index not in backed_rules:
            yield f"rule {index} has no constraint: {sentence}"
