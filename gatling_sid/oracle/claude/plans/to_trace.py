"""Converts a plan of an answer to a trace: finds quotes in the request, executes the calls and measures their scopes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gatling_sid.models import (
    ArgumentSource,
    GoldTrace,
    Observation,
    Outcome,
    ProvenancePointer,
    ToolCall,
    ToolCallGraph,
    TrustTier,
    UserRequest,
    topological_order,
)
from gatling_sid.oracle.claude.plans.answers import ArgumentAnswer, BadAnswerError, CallAnswer, PlanAnswer, parse_value
from gatling_sid.oracle.claude.plans.goals import goal_from_answer
from gatling_sid.oracle.claude.plans.request_context import RequestContext
from gatling_sid.scenarios.moments import allowed_hours, draw_moment
from gatling_sid.schemas.conditions import DAY_MATCHES
from gatling_sid.schemas.language.wording import is_wording_of, wordings
from gatling_sid.schemas.references import references_in, write_references
from gatling_sid.schemas.tool_ids import tool_id_of, tool_name_in
from gatling_sid.seeding import stream
from gatling_sid.simulator.execution import execute, tools_of
from gatling_sid.simulator.observations import lures_in, observe
from gatling_sid.simulator.scope import requested_limits, scope_of_call, scope_of_request
from gatling_sid.simulator.trust import PlanTrust, trusted_sources

# More than a century; dates that are farther from today may be outside the calendar.
_MAX_DAYS = 40_000


@dataclass(frozen=True)
class TraceIdentity:
    """The parts of a trace that do not come from the answer: id, creation time and metadata of the oracle."""

    trace_id: str
    created_at: datetime
    metadata: Mapping[str, Any]


def trace_from_plan(plan: PlanAnswer, text: str, context: RequestContext, identity: TraceIdentity) -> GoldTrace:
    """The trace that a plan for the request `text` gives; it is not judged yet.

    Raises:
        BadAnswerError: the plan gives no trace; the error says what to repair.

    """
    world, domain = context.world, context.domain
    text = plan.reworded.strip() or text
    goal = goal_from_answer(plan.goal, context)
    rng = stream(identity.trace_id, "moment")
    tool_ids = [_tool_id(each, context) for each in plan.calls]
    hours = allowed_hours(domain, context.policy, context.principal.role, tool_ids)
    moment = draw_moment(domain, hours, world.today, "", rng)
    request = UserRequest(
        request_id=f"{identity.trace_id}_request",
        domain=domain.name,
        text=text,
        intent_category=context.intent,
        principal=context.principal,
    )
    calls = [_call(each, request, context, moment) for each in plan.calls]
    limits = requested_limits(calls, tools_of(domain))
    scope = scope_of_request(goal, domain, context.policy, context.principal.role, limits)
    request = request.model_copy(update={"expected_scope": scope})
    order = topological_order(calls)
    calls, observations = _carry_out(calls, order, context)
    graph = ToolCallGraph(graph_id=f"{identity.trace_id}_graph", calls=calls, execution_order=order)
    metadata = {
        **identity.metadata,
        "catalogue": domain.digest,
        "seed": world.seed,
        "world": world.name,
        "today": world.today.isoformat(),
    }
    return GoldTrace(
        trace_id=identity.trace_id,
        request=request,
        policy=context.policy,
        graph=graph,
        metadata=metadata,
        created_at=identity.created_at,
        goal=goal,
        outcome=Outcome(kind="served"),
        observations=observations,
        lures=lures_in(observations, world),
    )


def _call(answer: CallAnswer, request: UserRequest, context: RequestContext, moment: datetime) -> ToolCall:
    tool_id = _tool_id(answer, context)
    names = [each.name for each in answer.arguments]
    if len(set(names)) < len(names):
        raise BadAnswerError(f"{answer.id}: an argument is given twice")
    arguments = {each.name: parse_value(each.value_json) for each in answer.arguments}
    needs = {*answer.after, *_referenced_calls(arguments)}
    _check_day_counts(answer.id, tool_id, arguments, context)
    return ToolCall(
        call_id=answer.id,
        tool_id=tool_id,
        arguments=arguments,
        provenance=_provenance(answer, request, context, moment),
        dependencies=sorted(needs, key=lambda call_id: (len(call_id), call_id)),
        argument_sources=[
            _source(each, arguments[each.name], answer, request.text, context) for each in answer.arguments
        ],
    )


def _tool_id(answer: CallAnswer, context: RequestContext) -> str:
    """The full id of the tool that a call names, with or without the domain."""
    return tool_id_of(context.domain.slug, tool_name_in(context.domain.slug, answer.tool))


def _check_day_counts(call_id: str, tool_id: str, arguments: Mapping[str, Any], context: RequestContext) -> None:
    tool = tools_of(context.domain).get(tool_id)
    for name, _, match in tool.filters if tool else ():
        days = arguments.get(name)
        if match in DAY_MATCHES and isinstance(days, int) and abs(days) > _MAX_DAYS:
            raise BadAnswerError(f"{call_id}: {name} is {days}, which is outside the calendar")


def _referenced_calls(arguments: Mapping[str, Any]) -> Iterator[str]:
    for value in arguments.values():
        yield from (reference.root for reference in references_in(value))


def _carry_out(
    calls: list[ToolCall], order: list[str], context: RequestContext
) -> tuple[list[ToolCall], list[Observation]]:
    """The calls with their measured scopes and tiers, and what they return; calls from the first refused one on keep theirs."""
    by_id = {call.call_id: call for call in calls}
    ordered = [by_id[call_id] for call_id in order]
    execution, tools = execute(ordered, context.world), tools_of(context.domain)
    trust = PlanTrust(ordered, execution.results, context.domain)
    carried_out = [
        call.model_copy(
            update={
                "scope": scope_of_call(
                    tools[call.tool_id],
                    execution.arguments[call.call_id],
                    execution.results[call.call_id],
                    context.world.today,
                ),
                "argument_sources": trusted_sources(call, trust),
            }
        )
        if call.call_id in execution.results
        else call
        for call in calls
    ]
    return carried_out, observe(ordered, execution.results, trust)


# --- sources and provenance ------------------------------------------------------------------------------------


def _source(
    argument: ArgumentAnswer, value: Any, call: CallAnswer, text: str, context: RequestContext
) -> ArgumentSource:
    match argument.source:
        case "request":
            start, end = _span(argument, value, call, text, context)
            return ArgumentSource(argument=argument.name, origin="request", start=start, end=end)
        case "call":
            reference = write_references(references_in(value)) or None
            return ArgumentSource(argument=argument.name, origin="call", reference=reference)
        case "default":
            return ArgumentSource(argument=argument.name, origin="default")
    path = argument.where.removeprefix("$").removeprefix(f"{argument.source}.")
    return ArgumentSource(argument=argument.name, origin=argument.source, reference=path)


def _span(
    argument: ArgumentAnswer, value: Any, call: CallAnswer, text: str, context: RequestContext
) -> tuple[int, int]:
    """Where the request states the value: the quote itself, or words in the quote, or else words anywhere in the text.

    What the text has several times is taken from the clause that the call quotes, if that has it.

    Raises:
        BadAnswerError: the request contains neither the quote nor the value.

    """
    tool_id, clause, whole = _tool_id(call, context), _find_words(call.quote.strip(), text), (0, len(text))
    start = _find_words_within(argument.where.strip(), text, (clause or whole, whole))
    tool = context.domain.tools.get(tool_id)
    if tool is None or argument.name not in tool.parameters:
        return _require_span(start, argument, tool_id)  # the validator reports the unknown tool or parameter
    kind = context.domain.wording_kind(tool, tool.parameters[argument.name])
    words = context.domain.wordings_to_parse(tool, argument.name)
    today = context.world.today
    try:
        if start is not None and is_wording_of(text[slice(*start)], kind, value, today, words):
            return start
        scalar = value[0] if isinstance(value, list) and len(value) == 1 else value
        known = () if isinstance(scalar, (list, dict)) else wordings(kind, scalar, today, words.get(scalar, ()))
    except (TypeError, ValueError):
        known = ()
    for wording in sorted(known, key=len, reverse=True):
        found = _find_words_within(wording, text, (start or whole, clause or whole, whole))
        if found is not None:
            return found
    return _require_span(start, argument, tool_id)


def _find_words_within(words: str, text: str, places: Iterable[tuple[int, int]]) -> tuple[int, int] | None:
    """Start and end of words in the first of these places of a text that has them."""
    for begin, stop in places:
        inside = _find_words(words, text[begin:stop])
        if inside is not None:
            return begin + inside[0], begin + inside[1]
    return None


def _find_words(words: str, text: str) -> tuple[int, int] | None:
    """Start and end of words in a text, without regard to case; parts of longer words do not count."""
    if not words or len(text.casefold()) != len(text):
        at = text.find(words) if words else -1
        return (at, at + len(words)) if at >= 0 else None
    folded_text, folded_words = text.casefold(), words.casefold()
    at = folded_text.find(folded_words)
    while at >= 0:
        end = at + len(folded_words)
        is_part = (at > 0 and folded_text[at - 1].isalnum() and folded_text[at].isalnum()) or (
            end < len(folded_text) and folded_text[end].isalnum() and folded_text[end - 1].isalnum()
        )
        if not is_part:
            return at, end
        at = folded_text.find(folded_words, at + 1)
    return None


def _require_span(span: tuple[int, int] | None, argument: ArgumentAnswer, tool_id: str) -> tuple[int, int]:
    if span is None:
        raise BadAnswerError(f"{tool_id}: {argument.name} quotes {argument.where!r}, which is not in the request")
    return span


def _provenance(
    answer: CallAnswer, request: UserRequest, context: RequestContext, moment: datetime
) -> ProvenancePointer:
    """The provenance of a call: the rule that demands it, or the words of the request that do."""
    policy = context.policy
    if answer.rule:
        rule = next((each.rule for each in policy.constraints if each.constraint_id == answer.rule), None)
        if rule is None:
            known = ", ".join(each.constraint_id for each in policy.constraints)
            raise BadAnswerError(f"{answer.id}: no rule {answer.rule!r} is in force; there are {known}")
        kind, source, snippet = TrustTier.SYSTEM, policy.policy_id, policy.rules[rule]
    else:
        span = _find_words(answer.quote.strip(), request.text)
        kind, source = TrustTier.USER, request.request_id
        snippet = request.text[slice(*span)] if span else request.text
    return ProvenancePointer(source_type=kind, source_id=source, timestamp=moment, content_snippet=snippet)
