"""Checks that a request which is not simply served is rightly not served: each outcome is proven by the replay."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from gatling_sid.models import OUTCOMES, Constraint, Goal, SystemPolicy, ToolCall, replace_fields
from gatling_sid.schemas.composition.refusals import can_be_split
from gatling_sid.simulator.compiled_tools import CompiledTool
from gatling_sid.simulator.scope import scope_of_call
from gatling_sid.validators import grounding, known_values, merging, minimality, need, replay, structure
from gatling_sid.validators.ablation import meets_goal
from gatling_sid.validators.policy.kinds import breaches
from gatling_sid.validators.trace_context import TraceContext

_RULES_OF_GOLD: tuple[Callable[[TraceContext], Iterator[str]], ...] = (
    structure.call_ids_are_unique,
    structure.dependencies_exist,
    structure.graph_is_acyclic,
    structure.order_names_every_call_once,
    structure.order_respects_dependencies,
    structure.references_are_dependencies,
    replay.order_does_not_matter,
    minimality.no_call_can_be_dropped,
    minimality.no_dependency_can_be_dropped,
    minimality.no_scope_can_be_narrowed,
    need.rows_are_needed,
    need.fields_are_needed,
    known_values.known_values_are_not_looked_up,
    known_values.no_call_returns_only_known_values,
    merging.no_two_calls_could_be_one,
    grounding.every_argument_has_one_source,
    grounding.sources_give_the_values,
)
"""The rules about plans alone, which the plan that is refused must keep like any other."""
_REFUSING = ("declined", "partly_served")
_FEWEST_ROWS_FOR_QUESTION = 2
_NAME = re.compile(r"\W")


def outcome_is_known(context: TraceContext) -> Iterator[str]:
    """The outcome is one of the known ones, and has a rule and a refused plan if, and only if, a rule forbids something."""
    outcome = context.trace.outcome
    if outcome is None:
        return
    if outcome.kind not in OUTCOMES:
        yield f"the outcome is {outcome.kind!r}; it must be one of {', '.join(OUTCOMES)}"
    is_refusing = outcome.kind in _REFUSING
    parts = (outcome.constraint_id, outcome.refused_goal, outcome.refused_graph)
    if any((each is not None) is not is_refusing for each in parts):
        yield f"an outcome {outcome.kind} {'needs' if is_refusing else 'has no'} constraint_id, refused_goal and refused_graph"
    if outcome.kind != "served" and not outcome.reason.strip():
        yield f"the outcome {outcome.kind} gives no reason"


def refusal_is_proven(context: TraceContext) -> Iterator[str]:
    """The refused plan runs, meets the refused goal and breaks just the named rule, and no other tool could do it."""
    rule, plan = _rule_of(context), context.compute_once(_refused_plan)
    if rule is None or plan is None:
        return
    if not plan.succeeds:
        yield f"the refused plan does not run: {plan.execution.refusal if plan.execution else 'it was not executed'}"
        return
    if not meets_goal(plan):
        yield "the refused plan does not meet the refused goal"
    broken = {each.constraint_id for each in breaches(plan)}
    if broken != {rule}:
        yield f"the refused plan breaks {', '.join(sorted(broken)) or 'no rule'}; the outcome names {rule}"
    yield from (f"another tool could do it: {each}" for each in _other_ways(plan, rule))
    yield from (f"several calls that keep the rule could do what {each} does" for each in _calls_to_split(plan, rule))


def refused_plan_is_gold_without_the_rule(context: TraceContext) -> Iterator[str]:
    """But for the named rule, the refused plan would be gold: minimal, grounded, and in an order that does not matter."""
    rule, plan = _rule_of(context), context.compute_once(_refused_plan)
    if rule is None or plan is None or not plan.succeeds:
        return
    otherwise = TraceContext(replace_fields(plan.trace, policy=without_rule(plan.trace.policy, rule)), plan.registry)
    for check in _RULES_OF_GOLD:
        yield from (f"without the rule, the refused plan would not be gold: {each}" for each in check(otherwise))


def refused_plan_states_its_scopes(context: TraceContext) -> Iterator[str]:
    """Each call of the refused plan declares the scope that it takes, and the tiers that its arguments rest on."""
    plan = context.compute_once(_refused_plan)
    for call in plan.ordered_calls if plan is not None and plan.execution is not None and plan.succeeds else ():
        assert plan is not None
        assert plan.execution is not None
        arguments, result = plan.execution.arguments[call.call_id], plan.results[call.call_id]
        if call.scope != scope_of_call(plan.tools[call.tool_id], arguments, result, plan.world.today):
            yield f"{call.call_id} of the refused plan declares another scope than it takes"
        for source in call.argument_sources[: len(call.arguments)]:
            if source.trust_tier is not plan.trust.arguments[call.call_id, source.argument]:
                yield f"{call.call_id}.{source.argument} of the refused plan states another tier than it rests on"


def refused_words_give_the_values(context: TraceContext) -> Iterator[str]:
    """What the refused plan takes from the request, the request says; it quotes the request, and is of the same moment."""
    plan, outcome = context.compute_once(_refused_plan), context.trace.outcome
    if plan is None or outcome is None or outcome.refused_graph is None:
        return
    yield from (f"refused plan: {each}" for each in grounding.words_give_the_values(plan))
    yield from (f"refused plan: {each}" for each in grounding.provenance_is_real(plan))
    moments = {each.provenance.timestamp for each in plan.ordered_calls if each.provenance is not None}
    if context.scheduled_request is not None:
        moments.add(context.scheduled_request.moment)
        if outcome.refused_graph.graph_id != f"{context.trace.trace_id}_refused":
            yield f"the refused plan has the id {outcome.refused_graph.graph_id!r}; it must name the trace"
    if len(moments) > 1:
        yield "the calls of the refused plan are not of the moment of the request"


def _rule_of(context: TraceContext) -> str | None:
    return context.trace.outcome.constraint_id if context.trace.outcome else None


def _refused_plan(context: TraceContext) -> TraceContext | None:
    """The refused plan of a trace as the plan of another one, in the same world; None if nothing is refused.

    It is by no oracle, since its coordinates give another plan.
    """
    trace, outcome = context.trace, context.trace.outcome
    if outcome is None or outcome.refused_graph is None or outcome.refused_goal is None:
        return None
    fields = {"goal": outcome.refused_goal, "graph": outcome.refused_graph, "outcome": None, "observations": None}
    metadata = {name: value for name, value in trace.metadata.items() if name != "oracle"}
    return TraceContext(replace_fields(trace, metadata=metadata, **fields), context.registry)


def without_rule(policy: SystemPolicy, constraint_id: str) -> SystemPolicy:
    """The policy without one of its constraints and the sentence of it, as a policy of its own."""
    dropped = next((each.rule for each in policy.constraints if each.constraint_id == constraint_id), len(policy.rules))
    constraints = [
        Constraint(**{**each.__dict__, "rule": each.rule - (each.rule > dropped)})
        for each in policy.constraints
        if each.constraint_id != constraint_id
    ]
    rules = [rule for at, rule in enumerate(policy.rules) if at != dropped]
    return replace_fields(policy, policy_id="without-one-rule", rules=rules, constraints=constraints)


def _calls_to_split(plan: TraceContext, rule: str) -> Iterator[str]:
    """The calls of the refused plan that break the rule, but would not if they were several calls."""
    declared = plan.domain.file.policy.rules.get(rule) if plan.domain is not None else None
    if declared is None:
        return
    breaking = {_NAME.split(each.message, maxsplit=1)[0] for each in breaches(plan)}  # its first word is the call
    for call in plan.ordered_calls:
        if call.call_id in breaking and can_be_split(declared, plan.tools[call.tool_id].tool):
            yield call.call_id


def _other_ways(plan: TraceContext, rule: str) -> Iterator[str]:
    """The tools with which a call of the refused plan could be made instead, so that the rule is kept."""
    bound = next((each for constraint, _, each in plan.constraints if constraint == rule), None)
    for call in plan.bound_calls(bound) if bound is not None else ():
        tool = plan.tools[call.tool_id]
        for other_id, other in plan.tools.items():
            arguments = _arguments_for(tool, other, call) if other_id != call.tool_id else None
            if arguments is not None and _serves_with(plan, call, other_id, arguments):
                yield other_id


def _arguments_for(tool: CompiledTool, other: CompiledTool, call: ToolCall) -> dict[str, object] | None:
    """The arguments of a call for another tool of the same operation and entity; None if it does not take them."""
    if (tool.tool.operation, tool.entity) != (other.tool.operation, other.entity):
        return None
    arguments = {}
    for name, value in call.arguments.items():
        own = tool.tool.parameters[name]
        same = (
            n
            for n, p in other.tool.parameters.items()
            if (p.does, p.field, p.match) == (own.does, own.field, own.match)
        )
        found = next(same, None)
        if found is None:
            return None
        arguments[found] = value
    return arguments


def _serves_with(plan: TraceContext, call: ToolCall, tool_id: str, arguments: dict[str, object]) -> bool:
    """Whether the plan serves the request and keeps every rule if another tool makes one of its calls."""
    changed = replace_fields(call, tool_id=tool_id, arguments=arguments)
    calls = [changed if each is call else each for each in plan.ordered_calls]
    graph = replace_fields(plan.trace.graph, calls=calls)
    other = TraceContext(replace_fields(plan.trace, graph=graph), plan.registry)
    return other.succeeds and meets_goal(other) and next(breaches(other), None) is None


def question_is_needed(context: TraceContext) -> Iterator[str]:
    """If a question is needed, the plan shows two or more rows that fit, and changes nothing."""
    outcome, goal = context.trace.outcome, context.trace.goal
    if outcome is None or outcome.kind != "needs_question" or goal is None:
        return
    rows = max((len(each.rows) for each in goal.shows), default=0)
    if rows < _FEWEST_ROWS_FOR_QUESTION:
        yield f"the outcome is needs_question, but only {rows} rows are shown that fit the request"
    if goal.effects or goal.measures:
        yield "the outcome is needs_question, but the goal is more than to show which rows fit"


def nothing_is_called(context: TraceContext) -> Iterator[str]:
    """If there is nothing to call, nothing is called, and the goal asks for nothing."""
    outcome = context.trace.outcome
    if outcome is not None and outcome.kind == "nothing_to_call":
        if context.trace.graph.calls:
            yield f"the outcome is nothing_to_call, but the plan has {len(context.trace.graph.calls)} calls"
        if context.trace.goal != Goal():
            yield "the outcome is nothing_to_call, but the goal asks for something"
