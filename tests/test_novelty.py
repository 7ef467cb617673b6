"""Near-copies among request texts are found, all of them and nothing else, with little work."""

from __future__ import annotations

import gc
import sys
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatling_sid.novelty import MAX_SHARED_PAIRS, Novelty

LONG = "Could you list the overdue loans of Rahul, with their due dates, so that I can call him this afternoon?"
JARGON = "for the reconciliation of intercompany receivables under shared procurement responsibilities"
words = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("text", "new"),
    [
        (LONG, False),
        (LONG.upper().replace(",", ""), False),
        (LONG.replace("afternoon", "evening"), False),
        (f"{LONG} Thanks!", False),
        (LONG.replace("overdue loans of Rahul", "fines that Anna paid"), True),
        ("List the overdue loans of Rahul.", True),
        ("", True),
    ],
)
def test_near_copies_are_recognised(text: str, new: bool) -> None:
    """Other letter cases and punctuation, one word more or another last word make no new request; another subject does."""
    novelty = Novelty()
    assert novelty.add_if_new("What did the library pay for new books in March?")
    assert novelty.add_if_new(LONG)
    assert novelty.add_if_new(text) is new


def alike(one: str, other: str) -> bool:
    """Whether two texts are near-copies, by the definition."""
    a, b = ({*zip(["", *each.split()], [*each.split(), ""], strict=True)} for each in (one, other))
    return len(a & b) > MAX_SHARED_PAIRS * len(a | b)


@given(st.lists(words, max_size=12))
def test_no_two_of_the_texts_added_are_near_copies(texts: list[list[str]]) -> None:
    """The filter misses no near-copy that a comparison of all texts with each other would find."""
    novelty = Novelty()
    kept = [each for each in map(" ".join, texts) if novelty.add_if_new(each)]
    assert not any(alike(one, other) for one, other in combinations(kept, 2))


SPOKEN = [f"w{at}" for at in range(40)]
edits = st.lists(st.tuples(st.integers(0, 40), st.sampled_from([[], ["x"], ["w1", "y"]])), max_size=5)


@given(st.integers(5, 40), st.lists(edits, min_size=1, max_size=8))
def test_new_texts_are_those_of_the_definition(length: int, drafts: list[list[tuple[int, list[str]]]]) -> None:
    """Among texts that are much alike, exactly those that share more than the bound are near-copies."""
    *known, text = [edited(SPOKEN[:length], each) for each in drafts]
    novelty = Novelty()
    for each in [*known, "w1 w2", "", " ".join(SPOKEN)]:
        novelty.add(each)
    assert novelty.is_new(text) is not any(alike(text, each) for each in [*known, " ".join(SPOKEN)])


def edited(spoken: list[str], changes: list[tuple[int, list[str]]]) -> str:
    """A text with words at some places replaced."""
    result = list(spoken)
    for at, instead in changes:
        result[at : at + 1] = instead
    return " ".join(result)


def knowing(texts: int) -> Novelty:
    """A collection of so many texts that share long words, and differ in short ones."""
    novelty = Novelty()
    for at in range(texts):
        novelty.add(f"{JARGON} I need a{at} b{at} c{at} d{at} by e{at}")
    return novelty


def function_calls(novelty: Novelty, text: str) -> int:
    """How many functions are called, in Python or in C, to decide whether a text is new."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    gc.disable()  # others are called back when garbage is collected
    sys.setprofile(note)
    try:
        novelty.is_new(text)
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


def test_jargon_costs_no_work() -> None:
    """A text is compared only with those that share what is rare in it, however many share its long words."""
    few, many = knowing(50), knowing(500)
    text = f"{JARGON} I need a new one of these by now"
    assert many.is_new(text)
    assert not many.is_new(f"{JARGON} I need a7 b7 c7 d7 by now")
    assert function_calls(many, text) == function_calls(few, text)
    assert function_calls(many, JARGON) > function_calls(few, JARGON) + 400, "all share what this text has"
