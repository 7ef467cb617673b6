"""Putting requests into words: never the same twice, and every value where its span says."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gatling_sid.errors import OracleError
from gatling_sid.scenarios.rendering import Frame, WordingSpace, render_request, wording_space_of
from gatling_sid.schemas.domain import SPLITS, Domain
from gatling_sid.schemas.language.phrasing import Phrasing
from gatling_sid.schemas.language.wording import says

TODAY = date(2026, 3, 10)


def wording(phrasings: int, openings: int, reasons: int, closings: int, alternatives: int = 1) -> WordingSpace:
    """A wording with so many of each, every phrasing in so many alternatives."""
    group = f"[{'|'.join(f'way {each}' for each in range(alternatives))}]" if alternatives > 1 else "one way"
    return WordingSpace(
        tuple(Phrasing(f"Phrasing {each}, {group}.") for each in range(phrasings)),
        tuple(f"Opening {each}." for each in range(openings)),
        tuple(f"Reason {each}." for each in range(reasons)),
        tuple(f"Closing {each}." for each in range(closings)),
    )


def dealt(words: WordingSpace, uses: range) -> list[tuple[str, int, Frame]]:
    """What these uses get: text of the phrasing, spin and frame."""
    return [(phrasing.text, spin, frame) for phrasing, spin, frame in map(words.at, uses)]


# --- which words -----------------------------------------------------------------------------------------------


def test_no_two_uses_are_alike() -> None:
    """Below its capacity, a small wording built by hand never repeats itself, and takes only what it was given."""
    words = wording(2, 3, 4, 3, alternatives=3)
    uses = dealt(words, range(words.capacity()))
    assert words.capacity() == 2 * (3 * 3 * 4 * 3 * 20 // 21 - 1) == len(set(uses)) == 202
    for text, spin, frame in uses:
        assert text in {phrasing.text for phrasing in words.phrasings}
        assert 0 <= spin < 3
        assert all(part in ("", *pool) for part, pool in zip(frame, words[1:], strict=True))


def test_frames_that_are_used_up_are_replaced_by_full_ones() -> None:
    """A bare frame has few forms; when they are used up, full frames follow, and still none is repeated."""
    words = wording(1, 4, 5, 6)
    uses = dealt(words, range(words.capacity()))
    bare = [at for at, (_, _, frame) in enumerate(uses) if frame == Frame("", "", "")]
    full = [at for at, (_, _, frame) in enumerate(uses) if all(frame)]
    assert len(bare) == 1, "one phrasing of one form can stand alone once"
    assert len(full) > len(uses) // 2
    assert len(set(uses)) == len(uses) == 4 * 5 * 6 * 20 // 21 - 1


def test_shapes_are_dealt_evenly() -> None:
    """As long as there are enough forms, most requests have one or two of opening, reason and closing."""
    words = wording(1, 40, 40, 40, alternatives=40)
    shapes = Counter(sum(map(bool, frame)) for _, _, frame in dealt(words, range(200)))
    assert shapes == {0: 30, 1: 100, 2: 60, 3: 10}


def test_neighbours_differ() -> None:
    """One use after the other takes another phrasing and another frame."""
    uses = dealt(wording(3, 12, 4, 12), range(300))
    assert all(one[0] != two[0] and one[2] != two[2] for one, two in pairwise(uses))


def test_beyond_capacity_is_an_error() -> None:
    """When nothing new is left to say, that is an error and not a repetition; it does not come before capacity."""
    words = wording(2, 3, 4, 3)
    seen: set[tuple[str, int, Frame]] = set()
    problem = ""
    for use in range(10_000):
        try:
            phrasing, spin, frame = words.at(use)
        except OracleError as error:
            problem = str(error)
            break
        assert (phrasing.text, spin, frame) not in seen, f"use {use} repeats another; capacity is {words.capacity()}"
        seen.add((phrasing.text, spin, frame))
    assert len(seen) >= words.capacity()
    text = words.phrasings[len(seen) % 2].text
    assert problem == f"phrasing {text!r} cannot be worded {len(seen)} times; add alternatives or phrasings"


@settings(deadline=None, max_examples=60)
@given(st.tuples(st.integers(1, 14), st.integers(1, 6), st.integers(1, 6), st.integers(1, 6), st.integers(1, 4)))
@example((6, 1, 6, 7, 1))
@example((13, 2, 2, 2, 1))
def test_whatever_the_sizes_no_two_uses_are_alike(sizes: tuple[int, int, int, int, int]) -> None:
    """Below its capacity, no wording repeats itself or gives up, however many phrasings and frames it has."""
    words = wording(*sizes)
    uses = dealt(words, range(words.capacity()))
    assert len(set(uses)) == len(uses)


def test_splits_share_no_phrasing(library: Domain) -> None:
    """Each phrasing of a scenario belongs to one split."""
    for name, scenario in library.file.scenarios.items():
        texts = {split: [each.text for each in wording_space_of(library, name, split).phrasings] for split in SPLITS}
        assert texts["train"] + texts["validation"] + texts["test"] == scenario.phrasings
        assert (len(texts["validation"]), len(texts["test"])) == (1, 1)


# --- how it is said --------------------------------------------------------------------------------------------

SLOTS: dict[str, dict[str, Any]] = {
    "overdue_of_member": {"who": "Ada", "state": "overdue"},
    "renew": {"title": "Salt Roads", "state": "out", "date": "2026-03-20"},
    "delete_record": {"title": "Salt Roads", "state": "returned"},
    "export_overdue": {"number": 3, "state": "overdue", "target": "archive", "columns": ["title", "due_on"]},
    "busiest_titles": {"days": 30, "top": 2, "group": "title"},
    "remind": {"title": "Salt Roads", "state": "overdue", "text": "please bring it back"},
}
ODD = [
    "İpek",
    "Łukasz",
    "ǅemal",
    "O'Brien",
    "Who?",
    "R.U.R.",
    "Bring it back.",
    "One...",
    "A, B and C",
    "IBM",
    "a",
    "ß",
]


@settings(deadline=None, max_examples=150)
@given(st.data(), st.integers(0, 10**6), st.integers(0, 600))
@pytest.mark.parametrize("scenario", SLOTS)
def test_spans_say_their_values(library: Domain, scenario: str, data: st.DataObject, seed: int, use: int) -> None:
    """However it is framed and typed, each span of a request lies in its core and says the value of its slot."""
    slots = dict(SLOTS[scenario])
    for name in slots.keys() & {"who", "title", "text"}:
        slots[name] = data.draw(st.sampled_from([slots[name], *ODD]))
    said = render_request(library, scenario, "train", use, slots, TODAY, random.Random(seed))
    for name, uses in library.slot_parameters(library.file.scenarios[scenario]).items():
        tool, parameter = uses[0]
        start, end = said.spans[name]
        assert said.core[0] <= start < end <= min(said.core[1], len(said.text))
        kind, words = library.wording_kind(tool, tool.parameters[parameter]), library.words_to_read(tool, parameter)
        assert says(said.text[start:end], kind, slots[name], TODAY, words), (said, name)


@pytest.mark.parametrize("value", ODD)
def test_a_value_may_stand_anywhere(library: Domain, value: str) -> None:
    """Whatever mark a value ends with and whatever letter it begins with, its span says it, first or last of a text."""
    for use in range(500):
        slots = {"title": value, "state": "overdue", "text": value}
        said = render_request(library, "remind", "train", use, slots, TODAY, random.Random(use))
        for start, end in (said.spans["title"], said.spans["text"]):
            assert said.text[start:end].casefold() == value.casefold(), said


def test_the_way_of_typing_varies(library: Domain) -> None:
    """Most are typed carefully; some lack a full stop or all capitals, whatever the words."""
    texts = [
        render_request(library, "remind", "train", use, SLOTS["remind"], TODAY, random.Random(use)).text
        for use in range(400)
    ]
    small = [text for text in texts if text == text.lower()]
    open_ended = [text for text in texts if text[-1].isalpha()]
    assert 20 < len(small) < 120
    assert 20 < len(open_ended) < 200
    assert len(set(texts)) == 400


def test_the_same_stream_says_the_same(library: Domain) -> None:
    """What is said depends on the use, the values and the stream, and on nothing else."""
    for use in range(50):
        one, two = (
            render_request(library, "renew", "test", use, SLOTS["renew"], TODAY, random.Random(7)) for _ in range(2)
        )
        assert one == two


@pytest.mark.parametrize("scenario", SLOTS)
def test_sentences_stand_apart(library: Domain, scenario: str) -> None:
    """Opening, request, reason and closing are joined with one blank each, sentences with a full stop."""
    words = wording_space_of(library, scenario, "train")
    for use in range(200):
        said = render_request(library, scenario, "train", use, SLOTS[scenario], TODAY, random.Random(use))
        frame = words.at(use)[2]
        text, (start, end) = said.text.casefold(), said.core
        assert "  " not in text
        assert ".." not in text
        assert text.startswith(frame.opening.casefold())
        assert start == (len(frame.opening) + 1 if frame.opening else 0)
        rest = " ".join(part.casefold() for part in (frame.reason, frame.closing) if part)
        assert text[end:].removeprefix(".").strip() in (rest, rest.removesuffix("."))


def test_an_opening_runs_on_into_its_request(library: Domain) -> None:
    """After a comma the request goes on in small letters; after a full stop it begins with a capital."""
    seen: Counter[tuple[str, bool]] = Counter()
    wordings = wording_space_of(library, "busiest_titles", "train")
    for use in range(400):
        said = render_request(
            library, "busiest_titles", "train", use, SLOTS["busiest_titles"], TODAY, random.Random(use)
        )
        opening, first = wordings.at(use)[2].opening, said.text[said.core[0]]
        said_first = any(start == said.core[0] for start, _ in said.spans.values())
        if opening and not said_first and said.text != said.text.lower():
            seen[opening[-1], first.isupper()] += 1
    assert seen[",", False] > 5
    assert seen[".", True] > 5
    assert seen[".", False] == 0


def test_values_are_said_in_many_ways(library: Domain) -> None:
    """One date is said in several ways over the uses of a scenario."""
    ways = Counter[str]()
    for use in range(200):
        said = render_request(library, "renew", "train", use, SLOTS["renew"], TODAY, random.Random(use))
        start, end = said.spans["date"]
        ways[said.text[start:end].casefold()] += 1
    assert len(ways) >= 5
    assert max(ways.values()) < 100
