"""The reason for a call, or the source of an argument, is not what the trace says."""

from __future__ import annotations

import random
from collections.abc import Callable

from gatling_sid.models import GoldTrace, ProvenancePointer, ToolCall, TrustTier
from tests.validators.tampering.edits import Offer, clause, offers, quote
from tests.validators.tampering.gold_traces import execution_of

# --- quotations ------------------------------------------------------------------------------------------------


def _call_of_request(trace: GoldTrace, rng: random.Random) -> tuple[ToolCall, ProvenancePointer, str] | None:
    """A call that the request asks for, with its provenance and the quotation in it."""
    found = [
        (call, p, p.content_snippet)
        for call in trace.graph.calls
        if (p := call.provenance) and p.source_type is TrustTier.USER and p.content_snippet
    ]
    return rng.choice(found) if found else None


def _spans(call: ToolCall) -> list[tuple[int, int]]:
    return [(each.start or 0, each.end or 0) for each in call.argument_sources if each.origin == "request"]


def another_clause_quoted(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    text = trace.request.text
    every = {clause(text, [(at, at + 1)]) for at, letter in enumerate(text) if letter.isalnum()}
    chosen = _call_of_request(trace, rng)
    if chosen is None or not _spans(chosen[0]):
        return None
    call, pointer, snippet = chosen
    others = [
        each for each in sorted(every) if not any(text[a:b] in each for a, b in _spans(call)) and each not in snippet
    ]
    if not others:
        return None
    pointer.content_snippet = rng.choice(others)
    return trace


def one_letter_quoted(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _quoted(trace, rng, lambda snippet, _: snippet[0])


def half_the_clause_quoted(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _quoted(trace, rng, lambda snippet, _: snippet[: max(1, len(snippet) // 2 - 1)])


def whole_request_quoted(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _quoted(trace, rng, lambda _, text: text, only_with_spans=True)


def quotation_in_other_case(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _quoted(trace, rng, lambda snippet, _: snippet.swapcase())


def _quoted(
    trace: GoldTrace, rng: random.Random, change: Callable[[str, str], str], *, only_with_spans: bool = False
) -> GoldTrace | None:
    chosen = _call_of_request(trace, rng)
    if chosen is None or (only_with_spans and not _spans(chosen[0])):
        return None
    _, pointer, snippet = chosen
    pointer.content_snippet = change(snippet, trace.request.text)
    return trace if pointer.content_snippet != snippet else None


def rule_quoted_for_what_was_asked(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    chosen = _call_of_request(trace, rng)
    if chosen is None:
        return None
    _, pointer, _ = chosen
    pointer.source_type, pointer.source_id = TrustTier.SYSTEM, trace.policy.policy_id
    pointer.content_snippet = rng.choice(trace.policy.rules)
    return trace


def _pointer_of_rule(trace: GoldTrace, rng: random.Random) -> ProvenancePointer | None:
    """The provenance of a call that a rule demands."""
    found = [p for call in trace.graph.calls if (p := call.provenance) and p.source_type is TrustTier.SYSTEM]
    return rng.choice(found) if found else None


def another_rule_quoted(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    pointer = _pointer_of_rule(trace, rng)
    if pointer is None:
        return None
    pointer.content_snippet = rng.choice([each for each in trace.policy.rules if each != pointer.content_snippet])
    return trace


def words_quoted_for_what_a_rule_demands(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    pointer = _pointer_of_rule(trace, rng)
    if pointer is None:
        return None
    pointer.source_type, pointer.source_id = TrustTier.USER, trace.request.request_id
    pointer.content_snippet = clause(trace.request.text, [])
    return trace


def vouched_for_by_retrieval(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    chosen = _call_of_request(trace, rng)
    if chosen is None:
        return None
    chosen[1].source_type = rng.choice((TrustTier.VERIFIED_RAG, TrustTier.UNVERIFIED_RAG))
    return trace


def another_request_quoted(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    chosen = _call_of_request(trace, rng)
    if chosen is None:
        return None
    chosen[1].source_id = "finance_train_99999999_request"
    return trace


def nothing_quoted(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    rng.choice(trace.graph.calls).provenance = None
    return trace


# --- sources ---------------------------------------------------------------------------------------------------


def _relabel_argument(origin: str) -> Callable[[GoldTrace, random.Random], GoldTrace | None]:
    """A kind that gives the source of an argument another origin."""

    def tamper(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
        found = [s for call in trace.graph.calls for s in call.argument_sources if s.origin == origin]
        if not found:
            return None
        source = rng.choice(found)
        source.origin = rng.choice([o for o in ("request", "call", "principal", "policy", "default") if o != origin])
        return trace

    return tamper


def said_value_from_the_policy(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    found = [
        (call, at, offer)
        for call in trace.graph.calls
        for at, source in enumerate(call.argument_sources)
        for offer in offers(trace, execution_of(trace))
        if (source.origin, offer.origin) == ("request", "policy") and _is_same(offer, call.arguments[source.argument])
    ]
    if not found:
        return None
    call, at, offer = rng.choice(found)
    call.argument_sources[at] = offer.source(call.argument_sources[at].argument)
    quote(trace, call)
    return trace


def _is_same(offer: Offer, value: object) -> bool:
    return offer.resolved == value and type(offer.resolved) is type(value)


PROVENANCE = {
    each.__name__: each
    for each in (
        another_clause_quoted,
        one_letter_quoted,
        half_the_clause_quoted,
        whole_request_quoted,
        quotation_in_other_case,
        rule_quoted_for_what_was_asked,
        another_rule_quoted,
        words_quoted_for_what_a_rule_demands,
        vouched_for_by_retrieval,
        another_request_quoted,
        nothing_quoted,
        said_value_from_the_policy,
    )
}
PROVENANCE |= {
    f"{origin}_mislabelled": _relabel_argument(origin) for origin in ("request", "call", "principal", "policy")
}
