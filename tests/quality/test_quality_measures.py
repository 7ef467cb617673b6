"""The measures of data quality: what they count, on texts and traces small enough to count by hand."""

from __future__ import annotations

import pytest

from gatling_sid.models import GoldTrace, replace_fields
from gatling_sid.quality.aims import Aim, Measured
from gatling_sid.quality.near_copies import near_copy_share
from gatling_sid.quality.plan_measures import PlanCounts, goal_shape, plan_shape, values_of_arguments
from gatling_sid.quality.policy_measures import PairCounts, trace_limits
from gatling_sid.quality.text_measures import (
    MARKS,
    Text,
    distinct_share,
    mask,
    self_bleu,
    skeleton_share,
    text_values,
    tokens_of,
)
from gatling_sid.scenarios.scheduled_request import scheduled_request_at
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import Domain
from gatling_sid.seeding import stream
from gatling_sid.validators.trace_context import TraceContext

ORDINARY = "Could you list the unpaid invoices of our office supplier from last month, newest first?"


def test_near_copies_are_counted_once_per_group() -> None:
    """Of a group of near-copies all but one count; a text that shares few 5-grams with the others does not."""
    copies = [f"{ORDINARY[:-1]}, thanks {number}" for number in range(100)]
    assert near_copy_share([*copies, "Who is on leave?", "b"]) == pytest.approx(99 / 102)


def test_texts_of_one_pattern_are_equal_once_masked() -> None:
    """Argument values, names, numbers, dates and quotations are masked; the words around them are not."""
    first = mask('Pay INV-17 of Acme Corp, $1,200, by 3 May: "no delay" on red paper.', ["red"])
    other = mask('Pay INV-9 of Bolt, $80, by 2026-05-03: "at once" on blue paper.', ["blue"])
    assert first == other
    assert first == "pay <x> of <x> by <x> <x> on <x> paper"


def test_variety_has_its_extremes() -> None:
    """Equal texts have a self-BLEU of 1 and share their n-grams; texts without a common word have almost none."""
    equal = [tokens_of(ORDINARY)] * 3
    different = [["a", "b", "c", "d", "e"], ["f", "g", "h", "i", "j"]]
    assert self_bleu(equal) == pytest.approx(1)
    assert self_bleu(different) == 0
    assert distinct_share(equal, 2) == pytest.approx(1 / 3)
    assert distinct_share(different, 2) == 1


def test_a_skeleton_counts_only_if_five_other_texts_have_it() -> None:
    """Six texts with the same function words around other content share a skeleton, five do not."""
    texts = [f"can you show me the x{letter} of the y{letter} that we have in z{letter}" for letter in "abcdef"]
    assert skeleton_share(texts) == 1
    assert skeleton_share(texts[:5]) == 0


@pytest.mark.parametrize(
    ("mark", "text", "other"),
    [
        ("question mark", "Ready?", "Ready."),
        ("can you, could you", "so COULD you do it", "you could do it"),
        ("I need, want, 'd like", "i’d like two", "as I needed two"),
        ("colon", "Two: a, b", "Two, a and b"),
        ("spaced dash", "two - not three", "a two-week leave"),
        ("all lower case", "two, not 3", "Two, not 3"),
    ],
)
def test_marks_are_seen(mark: str, text: str, other: str) -> None:
    """Each mark is seen in a text that has it, and not in a similar one."""
    assert MARKS[mark](text)
    assert not MARKS[mark](other)


def test_an_aim_waits_for_enough_texts() -> None:
    """A value over fewer texts than its aim names is neither ok nor a miss."""
    aim = Aim(least=0.3, most=0.55)
    assert [Measured("share", value, 500, 500, aim).verdict for value in (0.3, 0.56)] == ["ok", "MISS"]
    assert Measured("share", 0.56, 499, 500, aim).verdict == "few"
    assert Measured("share", 0.56, 500).verdict == ""
    assert [str(each) for each in (aim, Aim(least=2), Aim(most=0.5))] == ["0.3-0.55", ">= 2", "<= 0.5"]


def test_few_texts_can_be_measured() -> None:
    """Any number of texts has values, except at the largest size."""
    texts = [Text(ORDINARY, mask(ORDINARY), is_framed=False), Text("Who?", "who", is_framed=True)]
    values = {each.name: each.value for each in text_values(texts)}
    assert values["opening, reason or closing at 10,000"] == 0.5
    assert values["seven tokens or fewer at 2,000"] == 0.5
    assert "ndm_char5 at 80,000" not in values


def test_shapes_have_no_values(gold: list[GoldTrace], library: Domain) -> None:
    """Traces of a scenario differ in many values; their shapes are few, and depend on the rules in force."""
    traces = [trace for trace in gold if trace.metadata["scenario"] == gold[0].metadata["scenario"]]
    assert len({values_of_arguments(trace) for trace in traces}) > 20
    assert len({goal_shape(trace, library) for trace in traces}) <= 4
    assert len({plan_shape(trace) for trace in traces}) <= 4


def test_a_limit_is_met_exactly_at_its_value(gold: list[GoldTrace], registry: DomainRegistry) -> None:
    """A row limit that equals the largest call is met exactly; one more is not, and only plans with several rows count."""
    limit = ("rows", "max_rows")
    for trace in gold[:100]:
        context = TraceContext(trace, registry)
        sizes = [len(each.rows) for each in context.results.values() if each.measured_rows is None]
        sizes += [
            call.scope.rows_requested or 0
            for call in trace.graph.calls
            if not context.results[call.call_id].measured_rows
        ]
        largest = max(sizes, default=0)
        for max_rows in (max(largest, 2), max(largest, 2) + 1):
            found = trace_limits(TraceContext(with_row_limit(trace, max_rows), registry))
            assert (limit in found.spoken_of) == (largest > 1)
            assert (limit in found.met_exactly) == (largest == max_rows)


def with_row_limit(trace: GoldTrace, max_rows: int) -> GoldTrace:
    """The trace under a policy that allows that many rows."""
    constraints = [
        replace_fields(each, parameters={**each.parameters, "max_rows": max_rows}) if each.kind == "row_limit" else each
        for each in trace.policy.constraints
    ]
    return replace_fields(trace, policy=replace_fields(trace.policy, constraints=constraints))


def test_pairs_are_judged_by_their_policies_alone(
    gold: list[GoldTrace], registry: DomainRegistry, library: Domain
) -> None:
    """Without its coordinates, every trace stays gold under its own policy; under another one, some do not."""
    counts, rng = PairCounts(), stream("pairs")
    for number, trace in enumerate(gold[:60]):
        request = scheduled_request_at(library, 1, "train", 7 * number, 0)
        assert request is not None
        counts.add(trace, request, registry, rng)
    assert counts.gold_alone == counts.pairs == 60
    assert 0 < counts.breaking <= counts.not_gold < 60
    assert 0 < counts.replanned < 60


def test_fewer_traces_tell_about_as_much_of_a_mean() -> None:
    """With fewer than needed, a mean is ok, close or missed beyond chance, and a count can only be reached early."""
    aim = Aim(least=0.4)
    verdicts = [Measured("share", value, 100, 500, aim, "mean").verdict for value in (0.4, 0.35, 0.2)]
    assert verdicts == ["ok", "close", "MISS"]
    assert [Measured("n", value, 100, 500, Aim(least=40), "count").verdict for value in (41, 39)] == ["ok", "few"]
    assert Measured("share", 0, 0, 500, aim, "mean").verdict == "few"
    assert Measured("share", 0.35, 500, 500, aim, "mean").verdict == "MISS"


def test_a_text_that_many_people_dictate_is_noticed(gold: list[GoldTrace], library: Domain) -> None:
    """The share of traces with the same message; addresses, however long, are none."""
    trace = next(each for each in gold if any(s.origin == "request" for s in each.graph.calls[0].argument_sources))
    call, counts = trace.graph.calls[0], PlanCounts()
    name = next(each.argument for each in call.argument_sources if each.origin == "request")
    often = "please fetch it before the desk closes at noon"
    for text in (
        often,
        often,
        "please fetch it whenever you pass the desk",
        "a-long-address-of-a-desk@library.example",
    ):
        changed = replace_fields(call, arguments={**call.arguments, name: text})
        graph = replace_fields(trace.graph, calls=[changed, *trace.graph.calls[1:]])
        counts.add(replace_fields(trace, graph=graph), library, frozenset())

    assert dict(counts.means())["most frequent dictated text"] == 0.5
