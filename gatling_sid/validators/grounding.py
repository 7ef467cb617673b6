"""Checks that every value comes from its source: the request, an earlier result, the principal, the policy, a default."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from gatling_sid.models import ArgumentSource, SensitivityTier, ToolCall, TrustTier
from gatling_sid.scenarios.composed_text import name_of_field, value_as_text
from gatling_sid.scenarios.scheduled_request import sentences_around
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.language.wording import is_wording_of
from gatling_sid.schemas.references import (
    MissingPathError,
    Reference,
    follow,
    parse_reference,
    references_in,
    write_references,
)
from gatling_sid.simulator.cells import Cell, cells_of
from gatling_sid.simulator.trust import references_of_source
from gatling_sid.validators.ablation import needs_call, rules_broken_without
from gatling_sid.validators.trace_context import TraceContext

_WORD = re.compile(r"\w+")
_MAX_WORDS_NAMED = 5
"""Words of a composed text that a message names."""
_MIN_QUOTE_WORDS = 2
"""A quote with fewer words is a value or a single letter, not a clause that asks for something."""


def every_argument_has_one_source(context: TraceContext) -> Iterator[str]:
    """Each argument has exactly one source, and each source belongs to an argument."""
    for call in context.trace.graph.calls:
        sources = [source.argument for source in call.argument_sources]
        if len(sources) == len(call.arguments) and call.arguments.keys() == {*sources}:
            continue
        count_by_name = Counter(sources)
        for name in call.arguments:
            if count_by_name[name] != 1:
                yield f"{call.call_id}.{name} has {count_by_name[name] or 'no'} sources; it must have exactly one"
        for name in count_by_name:
            if name not in call.arguments:
                yield f"{call.call_id} has a source for {name!r}, which is not an argument of the call"


def words_give_the_values(context: TraceContext) -> Iterator[str]:
    """If an argument comes from the request, the characters that its source names state its value."""
    for call in context.trace.graph.calls:
        for source in call.argument_sources[: len(call.arguments)]:
            problem = None
            if source.origin == "request" and source.argument in call.arguments:
                problem = _why_not_from_request(call, source, context)
            elif is_read_in_text(call, source):
                problem = _why_not_read_in_text(call, source, context)
            elif source.origin != "request" and (source.start, source.end) != (None, None):
                problem = f"has origin {source.origin!r} but also a span of a text; remove the span"
            if problem:
                yield f"{call.call_id}.{source.argument} {problem}"


def sources_give_the_values(context: TraceContext) -> Iterator[str]:
    """Each source other than the request has the value that the call passes.

    At most as many sources are looked up as the call has arguments; another rule refuses calls with more.
    """
    for call in context.trace.graph.calls:
        for source in call.argument_sources[: len(call.arguments)]:
            if source.origin != "request" and source.argument in call.arguments:
                why_not = _WHY_NOT_FROM.get(source.origin)
                problem = why_not(call, source, context) if why_not else f"has the unknown origin {source.origin!r}"
                if problem:
                    yield f"{call.call_id}.{source.argument} {problem}"


def _why_not_from_request(call: ToolCall, source: ArgumentSource, context: TraceContext) -> str | None:
    if source.reference is not None:
        return f"has origin 'request' but also the reference {source.reference}; remove the reference"
    return _why_not_stated(call, source, context.trace.request.text, "the request", context)


def _why_not_stated(call: ToolCall, source: ArgumentSource, text: str, owner: str, context: TraceContext) -> str | None:
    """Why the span that a source names in a text does not state the argument's value, or None."""
    value = call.arguments[source.argument]
    if source.start is None or source.end is None or not 0 <= source.start < source.end <= len(text):
        return f"has no valid span of {owner}"
    span = text[source.start : source.end]
    if _is_cut(text, source.start) or _is_cut(text, source.end):
        return f"has a span that cuts a word: {span!r}"
    tool = context.tools.get(call.tool_id)
    if tool is None or source.argument not in tool.tool.parameters or context.domain is None:
        return "is not a parameter of the tool"
    kind, words = _wording_of_parameter(context.domain, tool.tool_id, source.argument)
    try:
        is_stated = is_wording_of(span, kind, value, context.world.today, words)
    except (TypeError, ValueError):
        is_stated = False
    return None if is_stated else f"is {value!r}, but its span of {owner} is {span!r}"


def is_read_in_text(call: ToolCall, source: ArgumentSource) -> bool:
    """Whether an argument is a value that was read in a text of an earlier result: "please move it to 4 March"."""
    is_passed = source.origin == "call" and source.argument in call.arguments
    return is_passed and not references_in(call.arguments[source.argument])


def _why_not_read_in_text(call: ToolCall, source: ArgumentSource, context: TraceContext) -> str | None:
    text = _text_read(source, context)
    if text is None:
        return f"was read in {source.reference}, which is no text of an earlier result"
    return _why_not_stated(call, source, text, str(source.reference), context)


def _text_read(source: ArgumentSource, context: TraceContext) -> str | None:
    """The text to which a source refers, or None."""
    reference = parse_reference(f"${source.reference}")
    result = context.results.get(reference.root) if reference is not None else None
    try:
        text = follow(reference.path, result.value) if reference is not None and result is not None else None
    except MissingPathError:
        return None
    return text if isinstance(text, str) else None


def _is_cut(text: str, at: int) -> bool:
    """Whether an index into a text lies within a word or a number."""
    around = text[at - 1 : at + 1]
    return len(around) == 2 and around.isalnum()


@lru_cache(maxsize=8192)
def _wording_of_parameter(domain: Domain, tool_id: str, parameter: str) -> tuple[str, Mapping[Any, tuple[str, ...]]]:
    """How requests state a parameter's values: the kind of wording, and the catalogue's own wordings by value."""
    tool = domain.tools[tool_id]
    return domain.wording_kind(tool, tool.parameters[parameter]), domain.wordings_to_parse(tool, parameter)


def _why_not_from_call(call: ToolCall, source: ArgumentSource, context: TraceContext) -> str | None:
    value = call.arguments[source.argument]
    parsed = references_in(value)
    if not parsed:  # it was read in a text; another rule looks at the place
        return (
            None
            if _text_read(source, context) is not None
            else ("has origin 'call', but is neither a reference to a call nor read in a text of its result")
        )
    if isinstance(value, list) and len(parsed) < len(value):
        return "mixes values and references in a list; use only one kind"
    references = write_references(parsed)
    return (
        None
        if references == source.reference
        else f"refers to {references}, but its source refers to {source.reference}"
    )


def _why_not_from_principal(call: ToolCall, source: ArgumentSource, context: TraceContext) -> str | None:
    principal = context.trace.request.principal
    return _why_not_found(call, source, principal.attributes if principal else {}, "the principal")


def _why_not_from_policy(call: ToolCall, source: ArgumentSource, context: TraceContext) -> str | None:
    limits = {each.constraint_id: each.parameters for each in context.trace.policy.constraints}
    return _why_not_found(call, source, limits, "the policy")


def _why_not_found(call: ToolCall, source: ArgumentSource, values: Mapping[str, Any], owner: str) -> str | None:
    value = call.arguments[source.argument]
    reference = parse_reference(f"$it.{source.reference}")
    if reference is None:
        return f"has the source {source.reference!r}, which is not a path into {owner}"
    try:
        found = follow(reference.path, values)
    except MissingPathError:
        return f"has the source {source.reference}, which {owner} does not have"
    return None if is_stated_by(value, found) else f"is {value!r}, but {owner} has {found!r}"


def is_stated_by(value: Any, stated: Any) -> bool:
    """Whether an argument has the stated value, alone or as the only element of a list."""
    return equal_json(value, stated) or (isinstance(value, list) and equal_json(value, [stated]))


def equal_json(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: 5 equals 5.0, and true does not equal 1."""
    if type(one) is type(other) is str:
        return bool(one == other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal_json, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _why_not_default(call: ToolCall, source: ArgumentSource, context: TraceContext) -> str | None:
    tool = context.tools.get(call.tool_id)
    default = tool.defaults.get(source.argument) if tool else None
    value = call.arguments[source.argument]
    return None if equal_json(value, default) else f"is {value!r}, but the tool's default is {default!r}"


def _why_not_composed(call: ToolCall, source: ArgumentSource, context: TraceContext) -> str | None:
    """Why an argument is not a text that the assistant wrote from what it read; another rule reads the text."""
    references = list(references_of_source(source))
    if not isinstance(call.arguments[source.argument], str) or not references:
        return "has origin 'composed', but is not a text with the values that it tells"
    if write_references(references) != source.reference:
        return f"tells {source.reference!r}, which names more than values of earlier calls"
    missing = [str(each) for each in references if not _cells(each, context)]
    return f"tells {missing[0]}, which no earlier call returned" if missing else None


def _cells(reference: Reference, context: TraceContext) -> list[Cell]:
    result = context.results.get(reference.root)
    return cells_of(reference, result) if result is not None else []


def composed_texts_tell_their_sources(context: TraceContext) -> Iterator[str]:
    """A composed text tells every value that its source names, nothing else, and nothing above the tier `internal`."""
    for call in context.ordered_calls if context.succeeds else ():
        for source in call.argument_sources[: len(call.arguments)]:
            if source.origin == "composed":
                yield from (
                    f"{call.call_id}.{source.argument} {each}" for each in _wrong_in_text(call, source, context)
                )


def _wrong_in_text(call: ToolCall, source: ArgumentSource, context: TraceContext) -> Iterator[str]:
    assert context.domain is not None
    domain, text = context.domain, str(call.arguments.get(source.argument))
    names, values = set[str](), list[tuple[str, str]]()
    for cell in (cell for each in references_of_source(source) for cell in _cells(each, context)):
        spec = domain.file.entities[cell.entity].fields[cell.field]
        if spec.sensitivity.rank > SensitivityTier.INTERNAL.rank:
            yield f"tells the {spec.sensitivity.value} field {cell.field}"
        value = value_as_text(domain, cell.entity, cell.field, cell.row[cell.field], context.world.today)
        values.append((value, cell.field))
        names |= {*_WORD.findall(name_of_field(domain, cell.entity, cell.field))}
    text, missing = _without_values(text, values)
    yield from (f"does not tell {field}, which is {value}" for value, field in missing)
    unknown = [each for each in _WORD.findall(text) if each not in names | _words_of_voice(domain)]
    if unknown:
        yield f"says more than its sources: {' '.join(unknown[:_MAX_WORDS_NAMED])}"


def _without_values(text: str, values: Sequence[tuple[str, str]]) -> tuple[str, list[tuple[str, str]]]:
    """The text without each value once, the longest first, since a short one may be part of it; and those it lacks."""
    missing = []
    for value, field in sorted(values, key=lambda each: -len(each[0])):
        text, number = re.subn(rf"(?<!\w){re.escape(value)}(?!\w)", " ", text, count=1)
        if number == 0:
            missing.append((value, field))
    return text, missing


@lru_cache(maxsize=64)
def _words_of_voice(domain: Domain) -> frozenset[str]:
    """The words that composed texts may have beside facts and names of fields."""
    forms = domain.voice.composed
    return frozenset(word for text in (*forms.heads, *forms.facts, *forms.tails, "and") for word in _WORD.findall(text))


_WHY_NOT_FROM: Mapping[str, Callable[[ToolCall, ArgumentSource, TraceContext], str | None]] = {
    "call": _why_not_from_call,
    "principal": _why_not_from_principal,
    "policy": _why_not_from_policy,
    "default": _why_not_default,
    "composed": _why_not_composed,
}


def provenance_is_real(context: TraceContext) -> Iterator[str]:
    """Every call quotes the clause of this request that asks for it, or a rule of this policy that demands it."""
    trace = context.trace
    for call in trace.graph.calls:
        pointer = call.provenance
        if pointer is None:
            yield f"{call.call_id} has no provenance"
        elif pointer.source_type is TrustTier.USER and pointer.source_id == trace.request.request_id:
            yield from _what_is_wrong_with_quote(call, pointer.content_snippet or "", context)
        elif pointer.source_type is TrustTier.SYSTEM and pointer.source_id == trace.policy.policy_id:
            if pointer.content_snippet not in trace.policy.rules:
                yield f"{call.call_id} quotes {pointer.content_snippet!r}, which is not a rule of the policy"
        else:
            yield f"the provenance of {call.call_id} is {pointer.source_id!r}, which is neither the request nor the policy"


def _what_is_wrong_with_quote(call: ToolCall, quote: str, context: TraceContext) -> Iterator[str]:
    """What is wrong with the text that a call quotes from the request."""
    text = context.trace.request.text
    sources = [each for each in call.argument_sources if each.origin == "request"]
    spans = [(s.start, s.end) for s in sources if s.start is not None and s.end is not None]
    if context.scheduled_request is not None:
        clause = sentences_around(context.scheduled_request, spans)
        if quote != clause:
            yield f"{call.call_id} quotes {quote!r}; it must quote the clause that asks for it: {clause!r}"
        return
    starts = [at.start() for at in re.finditer(re.escape(quote), text)] if quote else []
    whole_starts = [at for at in starts if not _is_cut(text, at) and not _is_cut(text, at + len(quote))]
    if not whole_starts:
        yield f"{call.call_id} quotes {quote!r}, which the request does not contain"
    elif not any(at <= start and end <= at + len(quote) for at in whole_starts for start, end in spans) and spans:
        yield f"{call.call_id} quotes {quote!r}, which does not contain the spans of its arguments"
    elif len(quote.split()) < min(_MIN_QUOTE_WORDS, len(text.split())):
        yield f"{call.call_id} quotes only {quote!r}; it must quote a whole clause of the request"


def quoted_rules_demand_their_calls(context: TraceContext) -> Iterator[str]:
    """A rule that a call quotes demands the call; a call that is needed only by a rule quotes such a rule."""
    if not context.succeeds:
        return
    rule_of_constraint = {each.constraint_id: each.rule for each in context.trace.policy.constraints}
    referenced_call_ids = {reference.root for _, _, reference in context.references_used}
    for call in context.ordered_calls:
        pointer, rules = call.provenance, context.trace.policy.rules
        quotes_rule = pointer is not None and pointer.source_type is TrustTier.SYSTEM
        if not quotes_rule and (call.call_id in referenced_call_ids or context.results[call.call_id].effects):
            continue
        if not quotes_rule and needs_call(context, call.call_id):
            continue
        demanding_rules = [
            rules[rule_of_constraint[each]] for each in sorted(rules_broken_without(context, call.call_id))
        ]
        if quotes_rule and pointer is not None and pointer.content_snippet not in demanding_rules:
            yield f"{call.call_id} quotes a rule that does not demand it: {pointer.content_snippet!r}"
        elif not quotes_rule and demanding_rules:
            yield f"{call.call_id} is needed only by a rule, so it must quote that rule: {demanding_rules[0]!r}"
