"""Numbered wordings: no number repeats another, and all parts of a wording vary."""

from __future__ import annotations

import doctest
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gatling_sid.errors import OracleError
from gatling_sid.scenarios import wording_space
from gatling_sid.scenarios.wording_space import Frame, FrameChoices, WordingSpace, wording_space_of
from gatling_sid.schemas.domain import SPLITS, Domain
from gatling_sid.schemas.language.phrasing import Phrasing
from gatling_sid.schemas.language.shared_voice import thanks


def space_of(phrasings: int, openings: int, reasons: int, closings: int, alternatives: int = 1) -> WordingSpace:
    """A space with so many of each, every phrasing in so many alternatives."""
    group = f"[{'|'.join(f'way {each}' for each in range(alternatives))}]" if alternatives > 1 else "one way"
    choices = FrameChoices(
        tuple(f"Opening {each}." for each in range(openings)),
        tuple(f"Reason {each}." for each in range(reasons)),
        tuple(f"Closing {each}." for each in range(closings)),
    )
    return WordingSpace(
        tuple(Phrasing(f"Phrasing {each}, {group}.") for each in range(phrasings)), (choices,) * phrasings
    )


def test_phrasings_may_have_other_frames() -> None:
    """A phrasing has the frames that stand at its place and no others."""
    phrasings = (Phrasing("One [way|road]."), Phrasing("Another [way|road]."))
    choices = (FrameChoices(("Hi.",), ("So.",), ("Bye.",)), FrameChoices(("Dear all.",), ("Thus.",), ("Regards.",)))
    for text, _, frame in wordings_of(WordingSpace(phrasings, choices), range(2)):
        own = choices[text.startswith("Another")]
        assert all(each in ("", *listed) for each, listed in zip(frame, own, strict=True))


def wordings_of(space: WordingSpace, indexes: range) -> list[tuple[str, int, Frame]]:
    """The wordings with these numbers: text of the phrasing, variant and frame."""
    return [(phrasing.text, variant_index, frame) for phrasing, variant_index, frame in map(space.at, indexes)]


def test_the_worked_example_is_right() -> None:
    """The example that explains the numbering gives what the explanation says."""
    results = doctest.testmod(wording_space)
    assert results.attempted > 3
    assert results.failed == 0


def test_wordings_are_pinned() -> None:
    """The published data depends on these wordings; other ones would be another dataset."""
    space = space_of(3, 5, 4, 6, alternatives=4)
    assert wordings_of(space, range(100, 104)) == [
        ("Phrasing 1, [way 0|way 1|way 2|way 3].", 1, ("Opening 1.", "Reason 1.", "Closing 5.")),
        ("Phrasing 2, [way 0|way 1|way 2|way 3].", 2, ("Opening 1.", "Reason 0.", "Closing 0.")),
        ("Phrasing 0, [way 0|way 1|way 2|way 3].", 0, ("Opening 2.", "Reason 0.", "Closing 2.")),
        ("Phrasing 1, [way 0|way 1|way 2|way 3].", 2, ("Opening 1.", "Reason 2.", "Closing 1.")),
    ]


def test_no_two_wordings_are_alike() -> None:
    """Below its capacity, a small space never repeats a wording, and uses only what it was given."""
    space = space_of(2, 3, 4, 3, alternatives=3)
    wordings = wordings_of(space, range(space.capacity()))
    assert space.capacity() == 2 * (40 * (3 * 3 * 4 * 3 - 2) // 41) == len(set(wordings)) == 206
    for text, variant_index, frame in wordings:
        assert text in {phrasing.text for phrasing in space.phrasings}
        assert 0 <= variant_index < 3
        assert all(part in ("", *choices) for part, choices in zip(frame, space.frames[0], strict=True))


def test_frames_that_are_used_up_are_replaced_by_full_ones() -> None:
    """An empty frame has few wordings; when they are used up, full frames follow, and still none is repeated."""
    space = space_of(1, 4, 5, 6)
    wordings = wordings_of(space, range(space.capacity()))
    bare = [at for at, (_, _, frame) in enumerate(wordings) if frame == Frame("", "", "")]
    full = [at for at, (_, _, frame) in enumerate(wordings) if all(frame)]
    assert len(bare) == 1, "one phrasing with one variant can stand alone once"
    assert len(full) > len(wordings) // 2
    assert len(set(wordings)) == len(wordings) == 40 * (4 * 5 * 6 - 2) // 41 == 115


def test_shapes_have_their_shares() -> None:
    """As long as no shape is used up, most requests have none of opening, reason and closing, and few more than one."""
    space = space_of(1, 40, 40, 40, alternatives=140)
    sizes = Counter(sum(map(bool, frame)) for _, _, frame in wordings_of(space, range(200)))
    assert sizes == {0: 140, 1: 50, 2: 5, 3: 5}


def test_successive_wordings_differ() -> None:
    """Each wording has another phrasing than the one before it; most have no frame, and few of the others the same."""
    wordings = wordings_of(space_of(3, 12, 4, 12, alternatives=140), range(300))
    assert all(one[0] != two[0] for one, two in pairwise(wordings))
    framed = [frame for _, _, frame in wordings if any(frame)]
    assert len(framed) < 150
    assert len({*framed}) > len(framed) // 3


def test_beyond_capacity_is_an_error() -> None:
    """When no unused wording is left, that is an error and not a repetition; it does not come before capacity."""
    space = space_of(2, 3, 4, 3)
    seen: set[tuple[str, int, Frame]] = set()
    problem = ""
    for index in range(10_000):
        try:
            phrasing, variant_index, frame = space.at(index)
        except OracleError as error:
            problem = str(error)
            break
        assert (phrasing.text, variant_index, frame) not in seen, f"{index} is a repetition below {space.capacity()}"
        seen.add((phrasing.text, variant_index, frame))
    assert len(seen) >= space.capacity()
    text = space.phrasings[len(seen) % 2].text
    assert problem == (
        f"phrasing {text!r} has no unused wording for request {len(seen)} of its scenario; add alternatives or phrasings"
    )


@settings(deadline=None, max_examples=60)
@given(st.tuples(st.integers(1, 14), st.integers(1, 6), st.integers(1, 6), st.integers(1, 6), st.integers(1, 4)))
@example((6, 1, 6, 7, 1))
@example((13, 2, 2, 2, 1))
def test_whatever_the_sizes_no_two_wordings_are_alike(sizes: tuple[int, int, int, int, int]) -> None:
    """Below its capacity, no space repeats a wording or gives up, however many phrasings and frames it has."""
    space = space_of(*sizes)
    wordings = wordings_of(space, range(space.capacity()))
    assert len(set(wordings)) == len(wordings)


@pytest.mark.parametrize("split", SPLITS)
def test_splits_share_no_phrasing(library: Domain, split: str) -> None:
    """Each phrasing of a scenario belongs to one split: the last one to test, the one before to validation."""
    for name, scenario in library.file.scenarios.items():
        texts = [each.text for each in wording_space_of(library.scenarios_of(f"{split}-0"), name).phrasings]
        expected = {
            "train": scenario.phrasings[:-2],
            "validation": scenario.phrasings[-2:-1],
            "test": scenario.phrasings[-1:],
        }
        assert texts == expected[split]


def test_nobody_thanks_twice(workshop: Domain) -> None:
    """Around a sentence that thanks stands no closing that does; others have one that thanks or one that does not."""
    scenarios = workshop.scenarios_of("train-0")
    seen: Counter[tuple[bool, bool]] = Counter()
    for name in [*scenarios.shapes][:40]:
        space = wording_space_of(scenarios, name)
        for wording in (space.at(n) for n in range(2 * len(space.phrasings))):
            seen[thanks(wording.phrasing.text), thanks(wording.frame.closing)] += bool(wording.frame.closing)
    assert seen[True, True] == 0
    assert min(seen[True, False], seen[False, True], seen[False, False]) > 0
