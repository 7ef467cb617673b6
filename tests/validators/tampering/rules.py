"""The policy is not the one in force, or the plan does what the policy forbids."""

from __future__ import annotations

import random
from typing import Any

from gatling_sid.models import Constraint, GoldTrace, SystemPolicy, TrustTier
from tests.validators.tampering.edits import add, same_call, update_goal
from tests.validators.tampering.feeding import call_of
from tests.validators.tampering.gold_traces import (
    VALIDATOR,
    another_domain,
    domain_of,
    execution_of,
    tools_here,
    with_operation,
)


def use_policy_of_another_member(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    domain = domain_of(trace)
    for _ in range(8):
        member = domain.family.policy(tuple(map(rng.randrange, domain.family.axis_sizes))).model_copy(deep=True)
        if member.policy_id != trace.policy.policy_id and _adopt(trace, member):
            return trace
    return None


def _adopt(trace: GoldTrace, policy: SystemPolicy) -> bool:
    """Replaces the policy, if the new one has the rules that the plan quotes and the plan keeps it."""
    quoted = [p for call in trace.graph.calls if (p := call.provenance) and p.source_type is TrustTier.SYSTEM]
    other = trace.model_copy(update={"policy": policy})
    if any(each.content_snippet not in policy.rules for each in quoted):
        return False
    if not VALIDATOR.validate_policy_compliance(other)[0]:
        return False
    trace.policy = policy
    for each in quoted:
        each.source_id = policy.policy_id
    return True


def use_policy_of_another_domain(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    trace.policy = another_domain(trace, rng).family.default_policy.model_copy(
        deep=True, update={"domain": trace.policy.domain}
    )
    return trace


def rename_policy(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    for call in trace.graph.calls:
        if call.provenance and call.provenance.source_id == trace.policy.policy_id:
            call.provenance.source_id = "house-rules"
    trace.policy.policy_id = "house-rules"
    return trace


def remove_all_rules(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    if any(each.provenance and each.provenance.source_type is TrustTier.SYSTEM for each in trace.graph.calls):
        return None
    trace.policy = SystemPolicy(policy_id=trace.policy.policy_id, domain=trace.policy.domain)
    return trace


def change_description_of_policy(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    trace.policy.description = "Anything that helps is fine."
    return trace


def edit_sentence(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    at = rng.randrange(len(trace.policy.rules))
    trace.policy.rules[at] = trace.policy.rules[at].removesuffix(".") + ", unless it is urgent."
    return trace


def remove_rule(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    at = rng.randrange(len(trace.policy.rules))
    del trace.policy.rules[at]
    kept = [each for each in trace.policy.constraints if each.rule != at]
    trace.policy.constraints = [c.model_copy(update={"rule": c.rule - (c.rule > at)}) for c in kept]
    return trace


def reorder_rules(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    rules = trace.policy.rules
    one, other = rng.sample(range(len(rules)), 2)
    rules[one], rules[other] = rules[other], rules[one]
    return trace


def loosen_constraint(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    found = [(c, n) for c in trace.policy.constraints for n, v in c.parameters.items() if _is_bound(n, v)]
    if not found:
        return None
    constraint, name = rng.choice(found)
    constraint.parameters[name] = _loosened(constraint.parameters[name])
    return trace


def _loosened(value: Any) -> Any:
    """A bound that allows more: one more value, one more step from each state, or ten times as much."""
    if isinstance(value, dict):
        return {state: [*allowed, "anywhere"] for state, allowed in value.items()}
    return [*value, "anywhere"] if isinstance(value, list) else value * 10


def _is_bound(name: str, value: object) -> bool:
    return (name.startswith("max_") and isinstance(value, (int, float))) or name == "allowed"


def bind_constraint_to_nobody(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    rng.choice(trace.policy.constraints).parameters["roles"] = ["nobody"]
    return trace


def add_constraint(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    constraint = Constraint(constraint_id="more_rows", kind="row_limit", rule=0, parameters={"max_rows": 10_000})
    trace.policy.constraints.append(constraint)
    return trace


def loosen_short_limit(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    limits = [n for n, v in trace.policy.scope_limits.items() if isinstance(v, int)]
    if not limits:
        return None
    trace.policy.scope_limits[rng.choice(limits)] = 10_000
    return trace


def add_unknown_short_limit(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    trace.policy.scope_limits["max_sprockets"] = 3
    return trace


def forbid_called_tool(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    trace.policy.forbidden_operations.append(rng.choice(trace.graph.calls).tool_id)
    return trace


def empty_forbidden_operations(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    if not trace.policy.forbidden_operations:
        return None
    trace.policy.forbidden_operations = []
    return trace


# --- what the plan may not do ----------------------------------------------------------------------------------


def call_tool_forbidden_to_role(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    role = trace.request.principal.role if trace.request.principal else None
    forbidden = [each.parameters for each in trace.policy.constraints if each.kind == "may_not_call"]
    names = {tool for each in forbidden if each.get("roles") is None or role in each["roles"] for tool in each["tools"]}
    execution = execution_of(trace)
    for name in sorted(names):
        call = call_of(trace, tools_here(trace)[name], execution, rng)
        if call is not None:
            other = trace.model_copy(deep=True)
            add(other, call)
            update_goal(other)
            if execution_of(other).refusal is None:
                return other
    return None


def return_more_rows_than_allowed(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    most = min(
        (each.parameters["max_rows"] for each in trace.policy.constraints if each.kind == "row_limit"), default=0
    )
    for call in with_operation(trace, ("list",)):
        other = trace.model_copy(deep=True)
        mine = same_call(other, call)
        mine.arguments, mine.argument_sources, mine.dependencies = {}, [], []
        result = execution_of(other).results.get(call.call_id)
        if result is not None and len(result.rows) > most:
            mine.scope.rows_requested = len(result.rows)
            return other
    return None


RULES = {
    each.__name__: each
    for each in (
        use_policy_of_another_member,
        use_policy_of_another_domain,
        rename_policy,
        remove_all_rules,
        change_description_of_policy,
        edit_sentence,
        remove_rule,
        reorder_rules,
        loosen_constraint,
        bind_constraint_to_nobody,
        add_constraint,
        loosen_short_limit,
        add_unknown_short_limit,
        forbid_called_tool,
        empty_forbidden_operations,
        call_tool_forbidden_to_role,
        return_more_rows_than_allowed,
    )
}
