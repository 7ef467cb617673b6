"""Near-copies among requests."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatling_sid.novelty import ALIKE, Novelty

LONG = "Could you list the overdue loans of Rahul, with their due dates, so that I can call him this afternoon?"
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


@given(st.lists(words, max_size=12))
def test_of_all_that_is_kept_no_two_are_alike(said: list[list[str]]) -> None:
    """The filter misses nothing that a comparison of all with all would find."""
    novelty = Novelty()
    kept = [each for each in said if novelty.add(" ".join(each))]
    sets = [{*zip(["", *each], [*each, ""], strict=True)} for each in kept]
    assert all(len(one & other) <= ALIKE * len(one | other) for one, other in combinations(sets, 2))
