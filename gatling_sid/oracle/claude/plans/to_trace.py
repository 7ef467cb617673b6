"""From a plan as Claude answers it to a trace: parsed, its quotes found in the request, executed, its scopes measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

from gatling_sid.models import (
    ArgumentSource,
    GoldTrace,
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
from gatling_sid.schemas.language.wording import says, wordings
from gatling_sid.schemas.references import references_in, write_references
from gatling_sid.seeding import stream
from gatling_sid.simulator.execution import execute, tools_of
from gatling_sid.simulator.scope import requested_limits, scope_of_call, scope_of_request

_MOST_DAYS = 40_000


@dataclass(frozen=True)
class TraceIdentity:
    """What a trace is called and when it was made, whoever words it."""

    trace_id: str
    created_at: datetime
    metadata: Mapping[str, Any]


def trace_from_plan(plan: PlanAnswer, text: str, context: RequestContext, identity: TraceIdentity) -> GoldTrace:
    """The trace that a plan for the request `text` makes; unproven.

    Raises:
        BadAnswerError: the plan cannot be made a trace of; says what to mend.

    """
    world, domain = context.world, context.domain
    text = plan.reworded.strip() or text
    goal = goal_from_answer(plan.goal, context)
    rng = stream(identity.trace_id, "moment")
    moment = datetime.combine(world.today, time(rng.randrange(7, 20), rng.randrange(60)), tzinfo=UTC)
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
    graph = ToolCallGraph(
        graph_id=f"{identity.trace_id}_graph", calls=_scoped(calls, order, context), execution_order=order
    )
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
    )


def _call(planned: CallAnswer, request: UserRequest, setting: RequestContext, moment: datetime) -> ToolCall:
    tool_id = f"{setting.domain.slug}.{planned.tool.rpartition('.')[2]}"
    names = [each.name for each in planned.arguments]
    if len(set(names)) < len(names):
        raise BadAnswerError(f"{planned.id}: an argument is given twice")
    arguments = {each.name: parse_value(each.value_json) for each in planned.arguments}
    needs = {*planned.after, *_referred(arguments)}
    _within_calendar(planned.id, tool_id, arguments, setting)
    return ToolCall(
        call_id=planned.id,
        tool_id=tool_id,
        arguments=arguments,
        provenance=_provenance(planned, request, setting, moment),
        dependencies=sorted(needs, key=lambda call_id: (len(call_id), call_id)),
        argument_sources=[
            _source(each, arguments[each.name], tool_id, request.text, setting) for each in planned.arguments
        ],
    )


def _within_calendar(call_id: str, tool_id: str, arguments: Mapping[str, Any], setting: RequestContext) -> None:
    tool = tools_of(setting.domain).get(tool_id)
    for name, _, match in tool.filters if tool else ():
        days = arguments.get(name)
        if match in ("within_days", "next_days") and isinstance(days, int) and abs(days) > _MOST_DAYS:
            raise BadAnswerError(f"{call_id}: {name} is {days}, which no calendar holds")


def _referred(arguments: Mapping[str, Any]) -> Iterator[str]:
    for value in arguments.values():
        yield from (reference.root for reference in references_in(value))


def _scoped(calls: list[ToolCall], order: list[str], setting: RequestContext) -> list[ToolCall]:
    """The calls with the scope each turns out to take; as they are where the backend refuses to run them."""
    by_id = {call.call_id: call for call in calls}
    execution, tools = execute([by_id[call_id] for call_id in order], setting.world), tools_of(setting.domain)
    return [
        call.model_copy(
            update={
                "scope": scope_of_call(
                    tools[call.tool_id],
                    execution.arguments[call.call_id],
                    execution.results[call.call_id],
                    setting.world.today,
                )
            }
        )
        if call.call_id in execution.results
        else call
        for call in calls
    ]


# --- where things come from ------------------------------------------------------------------------------------


def _source(said: ArgumentAnswer, value: Any, tool_id: str, text: str, setting: RequestContext) -> ArgumentSource:
    match said.source:
        case "request":
            start, end = _span(said, value, tool_id, text, setting)
            return ArgumentSource(argument=said.name, origin="request", start=start, end=end)
        case "call":
            reference = write_references(references_in(value)) or None
            return ArgumentSource(argument=said.name, origin="call", reference=reference)
        case "default":
            return ArgumentSource(argument=said.name, origin="default")
    path = said.where.removeprefix("$").removeprefix(f"{said.source}.")
    return ArgumentSource(argument=said.name, origin=said.source, reference=path)


def _span(said: ArgumentAnswer, value: Any, tool_id: str, text: str, setting: RequestContext) -> tuple[int, int]:
    """Where the request says the value: the quote, or the words within it, or else within the text, that say it."""
    start = _found(said.where.strip(), text)
    tool = setting.domain.tools.get(tool_id)
    if tool is None or said.name not in tool.parameters:
        return _or_refuse(start, said, tool_id)  # the validator will say that there is no such thing
    kind, words = (
        setting.domain.wording_kind(tool, tool.parameters[said.name]),
        setting.domain.words_to_read(tool, said.name),
    )
    today = setting.world.today
    try:
        if start is not None and says(text[slice(*start)], kind, value, today, words):
            return start
        scalar = value[0] if isinstance(value, list) and len(value) == 1 else value
        ways = () if isinstance(scalar, (list, dict)) else wordings(kind, scalar, today, words.get(scalar, ()))
    except (TypeError, ValueError):
        ways = ()
    low, high = start or (0, len(text))
    for way in sorted(ways, key=len, reverse=True):
        for begin, stop in ((low, high), (0, len(text))):
            inside = _found(way, text[begin:stop])
            if inside is not None:
                return begin + inside[0], begin + inside[1]
    return _or_refuse(start, said, tool_id)


def _found(words: str, text: str) -> tuple[int, int] | None:
    """Where words stand in a text, whatever their case, and not as part of a longer word."""
    if not words or len(text.casefold()) != len(text):
        at = text.find(words) if words else -1
        return (at, at + len(words)) if at >= 0 else None
    low, wanted = text.casefold(), words.casefold()
    at = low.find(wanted)
    while at >= 0:
        end = at + len(wanted)
        cut = (at > 0 and low[at - 1].isalnum() and low[at].isalnum()) or (
            end < len(low) and low[end].isalnum() and low[end - 1].isalnum()
        )
        if not cut:
            return at, end
        at = low.find(wanted, at + 1)
    return None


def _or_refuse(span: tuple[int, int] | None, said: ArgumentAnswer, tool_id: str) -> tuple[int, int]:
    if span is None:
        raise BadAnswerError(f"{tool_id}: {said.name} quotes {said.where!r}, which the request does not say")
    return span


def _provenance(
    planned: CallAnswer, request: UserRequest, setting: RequestContext, moment: datetime
) -> ProvenancePointer:
    """A call that is there because of a rule points to the rule, any other to words of the request."""
    policy = setting.policy
    if planned.rule:
        rule = next((each.rule for each in policy.constraints if each.constraint_id == planned.rule), None)
        if rule is None:
            known = ", ".join(each.constraint_id for each in policy.constraints)
            raise BadAnswerError(f"{planned.id}: no rule {planned.rule!r} is in force; there are {known}")
        kind, source, snippet = TrustTier.SYSTEM, policy.policy_id, policy.rules[rule]
    else:
        span = _found(planned.quote.strip(), request.text)
        kind, source = TrustTier.USER, request.request_id
        snippet = request.text[slice(*span)] if span else request.text
    return ProvenancePointer(source_type=kind, source_id=source, timestamp=moment, content_snippet=snippet)
