"""Requests in words: every value stands where its span says, however the request is framed and typed."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatling_sid.scenarios.rendering import render_request, wording_space_of
from gatling_sid.schemas.composition.table import ScenarioTable
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.language.wording import is_wording_of

TODAY = date(2026, 3, 10)

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


def of_split(domain: Domain, split: str = "train") -> ScenarioTable:
    """The scenarios of the first world of a split."""
    return domain.scenarios_of(f"{split}-0")


@settings(deadline=None, max_examples=150)
@given(st.data(), st.integers(0, 10**6), st.integers(0, 600))
@pytest.mark.parametrize("scenario", SLOTS)
def test_spans_say_their_values(
    library: Domain, scenario: str, data: st.DataObject, seed: int, wording_index: int
) -> None:
    """Each span of a request lies in its core and says the value of its slot, however the request is framed and typed."""
    slots = dict(SLOTS[scenario])
    for name in slots.keys() & {"who", "title", "text"}:
        slots[name] = data.draw(st.sampled_from([slots[name], *ODD]))
    rendered = render_request(of_split(library), scenario, wording_index, slots, TODAY, random.Random(seed))
    for name, uses in library.slot_parameters(library.file.scenarios[scenario]).items():
        tool, parameter = uses[0]
        start, end = rendered.spans[name]
        assert rendered.core[0] <= start < end <= min(rendered.core[1], len(rendered.text))
        kind, words = library.wording_kind(tool, tool.parameters[parameter]), library.wordings_to_parse(tool, parameter)
        assert is_wording_of(rendered.text[start:end], kind, slots[name], TODAY, words), (rendered, name)


@pytest.mark.parametrize("value", ODD)
def test_values_may_stand_anywhere(library: Domain, value: str) -> None:
    """A value is said in full at the beginning and the end of a text, whatever letters and marks it has there."""
    for wording_index in range(500):
        slots = {"title": value, "state": "overdue", "text": value}
        rendered = render_request(
            of_split(library), "remind", wording_index, slots, TODAY, random.Random(wording_index)
        )
        for start, end in (rendered.spans["title"], rendered.spans["text"]):
            assert rendered.text[start:end].casefold() == value.casefold(), rendered


def test_typing_varies(library: Domain) -> None:
    """Most requests are typed carefully; some have no full stop at the end or no capitals."""
    texts = [
        render_request(
            of_split(library), "remind", wording_index, SLOTS["remind"], TODAY, random.Random(wording_index)
        ).text
        for wording_index in range(400)
    ]
    lower_case = [text for text in texts if text == text.lower()]
    open_ended = [text for text in texts if text[-1].isalpha()]
    assert 20 < len(lower_case) < 120
    assert 20 < len(open_ended) < 200
    assert len(set(texts)) == 400


def test_rendering_is_deterministic(library: Domain) -> None:
    """The text depends on nothing but the wording index, the values and the random stream."""
    for wording_index in range(50):
        one, two = (
            render_request(of_split(library, "test"), "renew", wording_index, SLOTS["renew"], TODAY, random.Random(7))
            for _ in range(2)
        )
        assert one == two


@pytest.mark.parametrize("scenario", SLOTS)
def test_sentences_are_joined(library: Domain, scenario: str) -> None:
    """Opening, request, reason and closing are separated by one blank, and sentences end with a full stop."""
    words = wording_space_of(of_split(library), scenario)
    for wording_index in range(200):
        rendered = render_request(
            of_split(library), scenario, wording_index, SLOTS[scenario], TODAY, random.Random(wording_index)
        )
        frame = words.at(wording_index)[2]
        text, (start, end) = rendered.text.casefold(), rendered.core
        assert "  " not in text
        assert ".." not in text
        assert text.startswith(frame.opening.casefold())
        assert start == (len(frame.opening) + 1 if frame.opening else 0)
        rest = " ".join(part.casefold() for part in (frame.reason, frame.closing) if part)
        assert text[end:].removeprefix(".").strip() in (rest, rest.removesuffix("."))


def test_an_opening_runs_on_into_its_request(library: Domain) -> None:
    """After an opening that ends with a comma, the request begins in lower case; after a full stop, with a capital."""
    seen: Counter[tuple[str, bool]] = Counter()
    wordings = wording_space_of(of_split(library), "busiest_titles")
    for wording_index in range(400):
        rendered = render_request(
            of_split(library),
            "busiest_titles",
            wording_index,
            SLOTS["busiest_titles"],
            TODAY,
            random.Random(wording_index),
        )
        opening, first = wordings.at(wording_index)[2].opening, rendered.text[rendered.core[0]]
        begins_with_value = any(start == rendered.core[0] for start, _ in rendered.spans.values())
        if opening and not begins_with_value and rendered.text != rendered.text.lower():
            seen[opening[-1], first.isupper()] += 1
    assert seen[",", False] > 5
    assert seen[".", True] > 5
    assert seen[".", False] == 0


def test_values_are_worded_in_many_ways(library: Domain) -> None:
    """One date is said in several ways in the requests of a scenario."""
    ways = Counter[str]()
    for wording_index in range(200):
        rendered = render_request(
            of_split(library), "renew", wording_index, SLOTS["renew"], TODAY, random.Random(wording_index)
        )
        start, end = rendered.spans["date"]
        ways[rendered.text[start:end].casefold()] += 1
    assert len(ways) >= 5
    assert max(ways.values()) < 100


def test_the_day_after_today_is_tomorrow(library: Domain) -> None:
    """The next day is often called so, without "on" before it, and its span covers the word alone."""
    tomorrow = (TODAY + timedelta(days=1)).isoformat()
    said = 0
    for wording_index in range(200):
        slots, rng = {**SLOTS["renew"], "date": tomorrow}, random.Random(wording_index)
        rendered = render_request(of_split(library), "renew", wording_index, slots, TODAY, rng)
        start, end = rendered.spans["date"]
        if rendered.text[start:end].casefold() == "tomorrow":
            said += 1
            assert not rendered.text[:start].casefold().endswith(" on ")
    assert said > 10


def test_a_text_may_be_the_word_tomorrow(library: Domain) -> None:
    """Only a date is said as "tomorrow"; a title of that name stays where it is."""
    for wording_index in range(60):
        slots, rng = {**SLOTS["renew"], "title": "tomorrow"}, random.Random(wording_index)
        rendered = render_request(of_split(library), "renew", wording_index, slots, TODAY, rng)
        assert rendered.text[slice(*rendered.spans["title"])].casefold() == "tomorrow"


def test_a_person_writes_values_in_one_way(library: Domain) -> None:
    """Two dates in a request are written alike: both with the month first, or both as numbers."""
    for seed in range(200):
        slots = {**SLOTS["renew"], "title": "Salt Roads", "date": "2026-05-20"}
        texts = []
        for day in ("2026-05-20", "2026-06-20"):
            rendered = render_request(of_split(library), "renew", 3, {**slots, "date": day}, TODAY, random.Random(seed))
            start, end = rendered.spans["date"]
            texts.append(rendered.text[start:end].casefold())
        assert texts[0].replace("may", "june") in (texts[1], texts[1].replace("jun", "june")) or "2026-" in texts[0]


@pytest.mark.parametrize(("who", "possessive"), [("Ada", "Ada's"), ("Old Mill Partners", "Old Mill Partners'")])
def test_a_possessive_fits_its_name(workshop: Domain, who: str, possessive: str) -> None:
    """A name that ends in s takes an apostrophe alone."""
    name = next(
        each
        for each in of_split(workshop).shapes
        if "for one by customer_name.contains" in each and "; " not in each and " + " not in each
    )
    slots = dict.fromkeys(of_split(workshop)[name].slots, 3) | {
        slot: who for slot in of_split(workshop)[name].slots if slot.endswith("customer_name")
    }
    texts = [
        render_request(of_split(workshop), name, at, slots, TODAY, random.Random(at)).text.casefold()
        for at in range(60)
    ]
    found = [each for each in texts if possessive.casefold() + " " in each]
    assert found
    assert not any("s's " in each for each in texts)
