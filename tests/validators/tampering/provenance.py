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


def quote_another_clause(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
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


def quote_one_letter(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _change_quotation(trace, rng, lambda snippet, _: snippet[0])


def quote_half_the_clause(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _change_quotation(trace, rng, lambda snippet, _: snippet[: max(1, len(snippet) // 2 - 1)])


def quote_whole_request(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _change_quotation(trace, rng, lambda _, text: text, only_with_spans=True)


def change_case_of_quotation(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _change_quotation(trace, rng, lambda snippet, _: snippet.swapcase())


def _change_quotation(
    trace: GoldTrace, rng: random.Random, change: Callable[[str, str], str], *, only_with_spans: bool = False
) -> GoldTrace | None:
    chosen = _call_of_request(trace, rng)
    if chosen is None or (only_with_spans and not _spans(chosen[0])):
        return None
    _, pointer, snippet = chosen
    pointer.content_snippet = change(snippet, trace.request.text)
    return trace if pointer.content_snippet != snippet else None


def quote_rule_for_requested_call(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
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


def quote_another_rule(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    pointer = _pointer_of_rule(trace, rng)
    if pointer is None:
        return None
    pointer.content_snippet = rng.choice([each for each in trace.policy.rules if each != pointer.content_snippet])
    return trace


def quote_request_for_demanded_call(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    pointer = _pointer_of_rule(trace, rng)
    if pointer is None:
        return None
    pointer.source_type, pointer.source_id = TrustTier.USER, trace.request.request_id
    pointer.content_snippet = clause(trace.request.text, [])
    return trace


def claim_retrieval_as_reason(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    chosen = _call_of_request(trace, rng)
    if chosen is None:
        return None
    chosen[1].source_type = rng.choice((TrustTier.VERIFIED_RAG, TrustTier.UNVERIFIED_RAG))
    return trace


def quote_another_request(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    chosen = _call_of_request(trace, rng)
    if chosen is None:
        return None
    chosen[1].source_id = "finance_train_99999999_request"
    return trace


def quote_nothing(trace: GoldTrace, rng: random.Random) -> GoldTrace:
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


def claim_policy_as_source(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
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
        quote_another_clause,
        quote_one_letter,
        quote_half_the_clause,
        quote_whole_request,
        change_case_of_quotation,
        quote_rule_for_requested_call,
        quote_another_rule,
        quote_request_for_demanded_call,
        claim_retrieval_as_reason,
        quote_another_request,
        quote_nothing,
        claim_policy_as_source,
    )
}
PROVENANCE |= {f"mislabel_{origin}": _relabel_argument(origin) for origin in ("request", "call", "principal")}
