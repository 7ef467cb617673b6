"""Does every value come from somewhere: the request's words, an earlier result, the principal, the policy, a default."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from gatling_sid.models import ArgumentSource, ToolCall, TrustTier
from gatling_sid.scenarios.scheduled_request import sentences_around
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.language.wording import says
from gatling_sid.schemas.references import MissingPathError, follow, parse_reference, references_in, write_references
from gatling_sid.validators.ablation import needs_call, rules_broken_without
from gatling_sid.validators.trace_context import TraceContext


def every_argument_has_one_source(case: TraceContext) -> Iterator[str]:
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


def words_give_the_values(case: TraceContext) -> Iterator[str]:
    """The words of the request that an argument is said to come from say its value."""
    for call in case.trace.graph.calls:
        for source in call.argument_sources[: len(call.arguments)]:
            problem = None
            if source.origin == "request" and source.argument in call.arguments:
                problem = _from_request(call, source, case)
            elif source.origin != "request" and (source.start, source.end) != (None, None):
                problem = f"comes from the {source.origin}, and yet names characters of the request"
            if problem:
                yield f"{call.call_id}.{source.argument} {problem}"


def sources_give_the_values(case: TraceContext) -> Iterator[str]:
    """Looked up again, each source other than the request's words gives the value that is passed.

    Of more sources than there are arguments, which another rule refuses, only as many are looked up.
    """
    for call in case.trace.graph.calls:
        for source in call.argument_sources[: len(call.arguments)]:
            if source.origin != "request" and source.argument in call.arguments:
                judge = _ORIGINS.get(source.origin)
                problem = judge(call, source, case) if judge else f"has no origin {source.origin!r}"
                if problem:
                    yield f"{call.call_id}.{source.argument} {problem}"


def _from_request(call: ToolCall, source: ArgumentSource, case: TraceContext) -> str | None:
    text, value = case.trace.request.text, call.arguments[source.argument]
    if source.reference is not None:
        return f"comes from the request, and yet names {source.reference}"
    if source.start is None or source.end is None or not 0 <= source.start < source.end <= len(text):
        return "names no span of the request"
    span = text[source.start : source.end]
    if _is_cut(text, source.start) or _is_cut(text, source.end):
        return f"quotes part of a word, {span!r}"
    tool = case.tools.get(call.tool_id)
    if tool is None or source.argument not in tool.tool.parameters or case.domain is None:
        return "is no argument of the tool"
    kind, words = _wording_of_parameter(case.domain, tool.tool_id, source.argument)
    try:
        said = says(span, kind, value, case.world.today, words)
    except (TypeError, ValueError):
        said = False
    return None if said else f"is {value!r}, but the request says {span!r}"


def _is_cut(text: str, at: int) -> bool:
    """Whether a place in a text lies within a word or a number."""
    around = text[at - 1 : at + 1]
    return len(around) == 2 and around.isalnum()


@lru_cache(maxsize=8192)
def _wording_of_parameter(domain: Domain, tool_id: str, parameter: str) -> tuple[str, Mapping[Any, tuple[str, ...]]]:
    """How a parameter's values are said: their kind, and the catalogue's own words for them."""
    tool = domain.tools[tool_id]
    return domain.wording_kind(tool, tool.parameters[parameter]), domain.words_to_read(tool, parameter)


def _from_call(call: ToolCall, source: ArgumentSource, _case: TraceContext) -> str | None:
    value = call.arguments[source.argument]
    found = references_in(value)
    if not found:
        return "is said to come from a call, but refers to none"
    if isinstance(value, list) and len(found) < len(value):
        return "holds values beside references; a list holds one or the other"
    where = write_references(found)
    return None if where == source.reference else f"refers to {where}, its source to {source.reference}"


def _from_principal(call: ToolCall, source: ArgumentSource, case: TraceContext) -> str | None:
    principal = case.trace.request.principal
    return _look_up(call, source, principal.attributes if principal else {}, "the principal")


def _from_policy(call: ToolCall, source: ArgumentSource, case: TraceContext) -> str | None:
    limits = {each.constraint_id: each.parameters for each in case.trace.policy.constraints}
    return _look_up(call, source, limits, "the policy")


def _look_up(call: ToolCall, source: ArgumentSource, where: Mapping[str, Any], whose: str) -> str | None:
    value = call.arguments[source.argument]
    path = parse_reference(f"$it.{source.reference}")
    if path is None:
        return f"names nothing of {whose}"
    try:
        found = follow(path.path, where)
    except MissingPathError:
        return f"names {source.reference}, which {whose} does not have"
    return None if equal_json(found, value) else f"is {value!r}, but {whose} has {found!r}"


def equal_json(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: 5 is 5.0, and true is not 1."""
    if type(one) is type(other) is str:
        return bool(one == other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal_json, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _from_default(call: ToolCall, source: ArgumentSource, case: TraceContext) -> str | None:
    tool = case.tools.get(call.tool_id)
    default = tool.defaults.get(source.argument) if tool else None
    value = call.arguments[source.argument]
    return None if equal_json(value, default) else f"is {value!r}, but the tool's default is {default!r}"


_ORIGINS: Mapping[str, Callable[[ToolCall, ArgumentSource, TraceContext], str | None]] = {
    "call": _from_call,
    "principal": _from_principal,
    "policy": _from_policy,
    "default": _from_default,
}


def provenance_is_real(case: TraceContext) -> Iterator[str]:
    """Every call quotes the clause of this request that holds its own words, or a rule of this policy."""
    trace = case.trace
    for call in trace.graph.calls:
        pointer = call.provenance
        if pointer is None:
            yield f"{call.call_id} does not say what asked for it"
        elif pointer.source_type is TrustTier.USER and pointer.source_id == trace.request.request_id:
            yield from _misquoted(call, pointer.content_snippet or "", case)
        elif pointer.source_type is TrustTier.SYSTEM and pointer.source_id == trace.policy.policy_id:
            if pointer.content_snippet not in trace.policy.rules:
                yield f"{call.call_id} quotes {pointer.content_snippet!r}, which is no rule of the policy"
        else:
            yield f"{call.call_id} points to {pointer.source_id!r}, which is neither the request nor the policy"


def _misquoted(call: ToolCall, quote: str, case: TraceContext) -> Iterator[str]:
    """What is wrong with a call's quote of the request."""
    text = case.trace.request.text
    said = [each for each in call.argument_sources if each.origin == "request"]
    spans = [(s.start, s.end) for s in said if s.start is not None and s.end is not None]
    if case.scheduled_request is not None:
        clause = sentences_around(case.scheduled_request, spans)
        if quote != clause:
            yield f"{call.call_id} quotes {quote!r}; the clause that asks for it is {clause!r}"
        return
    places = [at.start() for at in re.finditer(re.escape(quote), text)] if quote else []
    whole = [at for at in places if not _is_cut(text, at) and not _is_cut(text, at + len(quote))]
    if not whole:
        yield f"{call.call_id} quotes {quote!r}, which the request does not say"
    elif not any(at <= start and end <= at + len(quote) for at in whole for start, end in spans) and spans:
        yield f"{call.call_id} quotes {quote!r}, which does not hold the words that its arguments come from"
    elif len(quote.split()) < min(_FEWEST_WORDS, len(text.split())):
        yield f"{call.call_id} quotes only {quote!r}; a clause of the request says more"


_FEWEST_WORDS = 2
"""Fewer are a value or a stray letter, not a clause that asks for something."""


def quoted_rules_demand_their_calls(case: TraceContext) -> Iterator[str]:
    """A call that quotes a rule is demanded by that rule, and one that only a rule demands quotes one that does."""
    if not case.succeeds:
        return
    names = {each.constraint_id: each.rule for each in case.trace.policy.constraints}
    used = {reference.root for _, _, reference in case.references_used}
    for call in case.ordered_calls:
        pointer, rules = call.provenance, case.trace.policy.rules
        quotes = pointer is not None and pointer.source_type is TrustTier.SYSTEM
        if not quotes and (call.call_id in used or case.results[call.call_id].effects):
            continue
        if not quotes and needs_call(case, call.call_id):
            continue
        demanding = [rules[names[each]] for each in sorted(rules_broken_without(case, call.call_id))]
        if quotes and pointer is not None and pointer.content_snippet not in demanding:
            yield f"{call.call_id} quotes a rule that does not demand it: {pointer.content_snippet!r}"
        elif not quotes and demanding:
            yield f"{call.call_id} is there for a rule alone and quotes the request: {demanding[0]!r}"
