"""Gold traces that were tampered with are refused unless their meaning is unchanged; the benchmark tries more of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain, islice

import pytest

from gatling_sid.models import GoldTrace
from gatling_sid.seeding import seed_of
from tests.validators.tampering import GROUPS, KINDS, tamper
from tests.validators.tampering.edits import append, gaps, replace, said_arguments, words_of
from tests.validators.tampering.gold_traces import REGISTRY, gold, is_validated, split_of
from tests.validators.tampering.listing import LISTED, Kind

DOMAINS = ("email", "finance", "healthcare", "hr")
"""Tampering tests the checks, not the domains: in these four every kind applies to something. The benchmark takes all."""
PER_DOMAIN = 16
APPLIED = 3
MANY = 300
BESIDES_TRAIN = {"validation": "finance", "test": "hr"}
"""One domain each for the other splits, so that the worlds of all traces stay in memory."""


@lru_cache(maxsize=1)
def share() -> tuple[str, ...]:
    """Gold traces of all DOMAINS as JSON, one of each domain in turn."""
    return tuple(chain.from_iterable(zip(*map(_gold_of, DOMAINS), strict=True)))


def _gold_of(slug: str) -> list[str]:
    numbers = (number for number in range(8 * PER_DOMAIN) if BESIDES_TRAIN.get(split_of(number), slug) == slug)
    traces = (gold(REGISTRY.domain(slug), number) for number in numbers)
    found = list(islice((trace for trace in traces if trace is not None), PER_DOMAIN))
    assert len(found) == PER_DOMAIN, f"only {len(found)} of {8 * PER_DOMAIN} traces of {slug} are gold"
    return found


def altered(name: str) -> list[tuple[str, GoldTrace]]:
    """Some gold traces that a kind applies to, as JSON, each with the trace that the kind makes of it."""
    first = seed_of(name) % len(share())
    turned = share()[first:] + share()[:first]
    found = islice(_applied(name, turned), APPLIED)
    return list(found) or list(islice(_applied(name, _many()), 1))


def _applied(name: str, traces: Iterable[str]) -> Iterator[tuple[str, GoldTrace]]:
    pairs = ((trace, tamper(name, trace)) for trace in traces)
    return ((trace, other) for trace, other in pairs if other is not None)


def _many() -> Iterator[str]:
    """Yields more gold traces, for kinds that apply to few."""
    traces = (gold(REGISTRY.domain(slug), number) for slug in DOMAINS for number in range(MANY))
    return (trace for trace in traces if trace is not None)


@pytest.mark.parametrize("kind", LISTED.values(), ids=LISTED)
def test_a_kind_of_tampering_gets_its_verdict(kind: Kind) -> None:
    """What a kind makes of gold is never validated, or always if the kind leaves the meaning unchanged."""
    pairs = altered(kind.name)
    wrong = [trace.trace_id for _, trace in pairs if is_validated(trace) != kind.is_accepted]

    assert pairs, f"{kind.name} applies to none of {len(share())} traces"
    assert all(trace.model_dump_json() != before for before, trace in pairs)
    assert not wrong, f"{kind.name} ({kind.description}) should be {kind.verdict}; it is not for {', '.join(wrong)}"


def test_the_list_names_every_kind_and_no_other() -> None:
    """The list and the table of functions agree, group by group; at least 60 kinds are refused."""
    assert {(kind.group, kind.name) for kind in LISTED.values()} == {(g, name) for g in GROUPS for name in GROUPS[g]}
    assert sum(map(len, GROUPS.values())) == len(KINDS)
    assert sum(not kind.is_accepted for kind in LISTED.values()) >= 60


def test_only_what_is_accepted_has_a_reason() -> None:
    """Every kind has a description and one of two verdicts; only an accepted kind has a reason."""
    for kind in LISTED.values():
        assert kind.description
        assert kind.verdict in ("refused", "accepted")
        assert bool(kind.reason) == kind.is_accepted, kind.name


def test_tampering_is_the_same_each_time() -> None:
    """A kind changes the same trace in the same way every time."""
    once = [tamper(name, share()[0]) for name in KINDS]
    backwards = [tamper(name, share()[0]) for name in reversed(KINDS)]

    assert once == backwards[::-1]


def test_edits_of_words_leave_spans_and_quotations_on_theirs() -> None:
    """Wherever words are inserted, every span still has its words, and every quotation is in the text."""
    rng = random.Random(0)
    for text in share()[:24]:
        trace = GoldTrace.model_validate_json(text)
        before = [words_of(trace, source) for _, source in said_arguments(trace)]
        append(trace, "And so on.")
        replace(trace, 0, 0, "Well then. ")
        for _ in range(3):
            at = rng.choice(gaps(trace))
            replace(trace, at, at, " indeed")
        quotations = [call.provenance.content_snippet for call in trace.graph.calls if call.provenance]

        assert [words_of(trace, source) for _, source in said_arguments(trace)] == before
        assert all(each in trace.request.text or each in trace.policy.rules for each in quotations)
