"""Does every value come from somewhere: the request's words, an earlier result, the principal, the policy, a default."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from gatling_sid.models import ArgumentSource, ToolCall, TrustTier
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.references import MissingPathError, follow, parse_reference, reference_in
from gatling_sid.schemas.wording import says
from gatling_sid.validators.case import Case


def every_argument_has_one_source(case: Case) -> Iterator[str]:
    """Each argument names one source, and each source an argument."""
    for call in case.trace.graph.calls:
        sources = [source.argument for source in call.argument_sources]
        if len(sources) == len(call.arguments) and call.arguments.keys() == {*sources}:
            continue
        named = Counter(sources)
        for name in call.arguments:
            if named[name] != 1:
                yield f"{call.call_id}.{name} comes from {'nowhere' if name not in named else 'several sources'}"
        for name in named:
            if name not in call.arguments:
                yield f"{call.call_id} gives a source for {name!r}, which it does not pass"


def sources_give_the_values(case: Case) -> Iterator[str]:
    """Looked up again, each source gives the value that is passed; of too many sources, as many as there are arguments."""
    for call in case.trace.graph.calls:
        for source in call.argument_sources[: len(call.arguments)]:
            if source.argument in call.arguments:
                judge = _ORIGINS.get(source.origin)
                problem = judge(call, source, case) if judge else f"has no origin {source.origin!r}"
                if problem:
                    yield f"{call.call_id}.{source.argument} {problem}"


def _from_request(call: ToolCall, source: ArgumentSource, case: Case) -> str | None:
    text, value = case.trace.request.text, call.arguments[source.argument]
    if source.start is None or source.end is None or not 0 <= source.start < source.end <= len(text):
        return "names no span of the request"
    span = text[source.start : source.end]
    tool = case.tools.get(call.tool_id)
    if tool is None or source.argument not in tool.tool.parameters or case.domain is None:
        return "is no argument of the tool"
    kind, words = _manner(case.domain, tool.tool_id, source.argument)
    try:
        said = says(span, kind, value, case.world.today, words)
    except (TypeError, ValueError):
        said = False
    return None if said else f"is {value!r}, but the request says {span!r}"


@lru_cache(maxsize=8192)
def _manner(domain: Domain, tool_id: str, parameter: str) -> tuple[str, Mapping[Any, tuple[str, ...]]]:
    """How a parameter's values are said: their kind, and the catalogue's own words for them."""
    tool = domain.tools[tool_id]
    return domain.kind(tool, tool.parameters[parameter]), domain.words(tool, parameter)


def _from_call(call: ToolCall, source: ArgumentSource, _case: Case) -> str | None:
    value = call.arguments[source.argument]
    if reference_in(value) is None:
        return "is said to come from a call, but refers to none"
    return None if value[1:] == source.reference else f"refers to {value[1:]}, its source to {source.reference}"


def _from_principal(call: ToolCall, source: ArgumentSource, case: Case) -> str | None:
    principal = case.trace.request.principal
    return _looked_up(call, source, principal.attributes if principal else {}, "the principal")


def _from_policy(call: ToolCall, source: ArgumentSource, case: Case) -> str | None:
    limits = {each.constraint_id: each.parameters for each in case.trace.policy.constraints}
    return _looked_up(call, source, limits, "the policy")


def _looked_up(call: ToolCall, source: ArgumentSource, where: Mapping[str, Any], whose: str) -> str | None:
    value = call.arguments[source.argument]
    path = parse_reference(f"$it.{source.reference}")
    if path is None:
        return f"names nothing of {whose}"
    try:
        found = follow(path.path, where)
    except MissingPathError:
        return f"names {source.reference}, which {whose} does not have"
    return None if found == value else f"is {value!r}, but {whose} has {found!r}"


def _from_default(call: ToolCall, source: ArgumentSource, case: Case) -> str | None:
    tool = case.tools.get(call.tool_id)
    default = tool.defaults.get(source.argument) if tool else None
    value = call.arguments[source.argument]
    return None if value == default else f"is {value!r}, but the tool's default is {default!r}"


_ORIGINS: Mapping[str, Callable[[ToolCall, ArgumentSource, Case], str | None]] = {
    "request": _from_request,
    "call": _from_call,
    "principal": _from_principal,
    "policy": _from_policy,
    "default": _from_default,
}


def provenance_is_real(case: Case) -> Iterator[str]:
    """Every call points to words of this request, or to a rule of this policy, that are there."""
    trace = case.trace
    for call in trace.graph.calls:
        pointer = call.provenance
        if pointer is None:
            yield f"{call.call_id} does not say what asked for it"
        elif pointer.source_type is TrustTier.USER and pointer.source_id == trace.request.request_id:
            if not pointer.content_snippet or pointer.content_snippet not in trace.request.text:
                yield f"{call.call_id} quotes {pointer.content_snippet!r}, which the request does not say"
        elif pointer.source_type is TrustTier.SYSTEM and pointer.source_id == trace.policy.policy_id:
            if pointer.content_snippet not in trace.policy.rules:
                yield f"{call.call_id} quotes {pointer.content_snippet!r}, which is no rule of the policy"
        else:
            yield f"{call.call_id} points to {pointer.source_id!r}, which is neither the request nor the policy"
