"""Random streams depend on nothing but their path."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatling_sid.seeding import permute, seed_of, stream
from tests.support.commands import code_line, environment, output_of

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x1f"), max_size=6)
PATHS = st.lists(st.integers(0, 99) | NAMES, min_size=1, max_size=5).map(tuple)


@given(st.integers(1, 500), st.integers(0, 2**64))
def test_an_order_has_every_number_once(size: int, start: int) -> None:
    """Wherever it begins, an order of range(size) has each number once."""
    assert sorted(permute(number, size, start) for number in range(size)) == list(range(size))


def test_seeds_are_pinned() -> None:
    """The published data depends on these numbers; other ones would be another dataset."""
    assert seed_of(1, "finance", "train", 42) == 2558760680578497800
    numbers = stream("a", 1)
    assert [numbers.randrange(1000) for _ in range(4)] == [914, 224, 960, 598]


@settings(deadline=None)
@given(PATHS)
def test_a_path_has_one_stream(path: tuple[int | str, ...]) -> None:
    """The same path always gives the same 64-bit seed and the same numbers."""
    assert 0 <= seed_of(*path) < 2**64
    first, second = stream(*path), stream(*path)
    assert [first.random() for _ in range(5)] == [second.random() for _ in range(5)]
    assert random.Random(seed_of(*path)).random() == stream(*path).random()


@settings(deadline=None)
@given(PATHS, PATHS)
def test_other_paths_are_other_streams(one: tuple[int | str, ...], other: tuple[int | str, ...]) -> None:
    """Two paths that differ in any step have different seeds."""
    assert (seed_of(*one) == seed_of(*other)) == (tuple(map(str, one)) == tuple(map(str, other)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(("a", "b"), ("b", "a"), id="order"),
        pytest.param(("ab", "c"), ("a", "bc"), id="where a step ends"),
        pytest.param(("a", 1, 2), ("a", 12), id="digits"),
        pytest.param(("a",), ("a", ""), id="an empty step"),
    ],
)
def test_every_step_counts(one: tuple[int | str, ...], other: tuple[int | str, ...]) -> None:
    """Order, boundaries and number of the steps all matter."""
    assert seed_of(*one) != seed_of(*other)
    assert stream(*one).random() != stream(*other).random()


def test_streams_are_independent() -> None:
    """Drawing from one stream changes neither another nor Python's own."""
    alone = stream("mine").random()
    state = random.getstate()
    mine, other = stream("mine"), stream("other")
    for _ in range(100):
        other.random()
    assert mine.random() == alone
    assert random.getstate() == state


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_seeds_are_the_same_in_other_processes(hash_seed: str) -> None:
    """Another process with other string hashes draws the same numbers."""
    code = "from gatling_sid.seeding import seed_of, stream; print(seed_of(7, 'é', 'x'), stream(7, 'é', 'x').random())"
    output = output_of(code_line(code), env=environment(PYTHONHASHSEED=hash_seed))
    assert output == f"{seed_of(7, 'é', 'x')} {stream(7, 'é', 'x').random()}\n"
