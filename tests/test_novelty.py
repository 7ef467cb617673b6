"""Near-copies among requests."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gatling_sid.novelty as novelty_module
from gatling_sid.novelty import ALIKE, Novelty

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
def test_what_says_nearly_the_same_is_told(text: str, new: bool) -> None:
    """Case, punctuation, a word more or another at the end make no new request; another subject does."""
    novelty = Novelty()
    assert novelty.add("What did the library pay for new books in March?")
    assert novelty.add(LONG)
    assert novelty.add(text) is new


def alike(one: str, other: str) -> bool:
    """By the definition."""
    a, b = ({*zip(["", *each.split()], [*each.split(), ""], strict=True)} for each in (one, other))
    return len(a & b) > ALIKE * len(a | b)


@given(st.lists(words, max_size=12))
def test_of_all_that_is_kept_no_two_are_alike(said: list[list[str]]) -> None:
    """The filter misses nothing that a comparison of all with all would find."""
    novelty = Novelty()
    kept = [each for each in map(" ".join, said) if novelty.add(each)]
    assert not any(alike(one, other) for one, other in combinations(kept, 2))


SPOKEN = [f"w{at}" for at in range(40)]
edits = st.lists(st.tuples(st.integers(0, 40), st.sampled_from([[], ["x"], ["w1", "y"]])), max_size=5)


@given(st.integers(5, 40), st.lists(edits, min_size=1, max_size=8))
def test_what_is_new_is_so_by_the_definition(length: int, drafts: list[list[tuple[int, list[str]]]]) -> None:
    """Of texts that are nearly alike, those beyond the bound are told and the others are not, among any others."""
    *known, text = [edited(SPOKEN[:length], each) for each in drafts]
    novelty = Novelty()
    for each in [*known, "w1 w2", "", " ".join(SPOKEN)]:
        novelty.learn(each)
    assert novelty.is_new(text) is not any(alike(text, each) for each in [*known, " ".join(SPOKEN)])


def edited(said: list[str], changes: list[tuple[int, list[str]]]) -> str:
    """A text with words at some places replaced."""
    result = list(said)
    for at, instead in changes:
        result[at : at + 1] = instead
    return " ".join(result)


def test_jargon_makes_no_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text is compared with those alone that have what is rare in it, not with all that have the same long words."""
    novelty, compared = Novelty(), []
    for at in range(500):
        novelty.learn(f"{JARGON} I need a{at} b{at} c{at} d{at} by e{at}")
    alike_ = novelty_module._alike
    monkeypatch.setattr(novelty_module, "_alike", lambda *each: compared.append(each) or alike_(*each))
    assert novelty.is_new(f"{JARGON} I need a new one of these by now")
    assert compared == []
    assert not novelty.is_new(f"{JARGON} I need a7 b7 c7 d7 by now")
    assert len(compared) == 2
