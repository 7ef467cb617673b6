"""How values are said: every wording is read back, and as no other value."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from gatling_sid.schemas.language.wording import is_wording_of, join_list, wordings

TODAY = date(2026, 3, 10)
CENTS = st.integers(0, 10**9).map(lambda cents: cents / 100)
STATES = {"out": ("on loan", "out"), "overdue": ("overdue", "late"), "returned": ("back", "returned")}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "USD": CENTS | st.integers(0, 200).map(lambda hundreds: hundreds * 500),
    "integer": st.integers(-10_000, 10**9) | st.integers(0, 30),
    "number": CENTS | st.integers(-50, 50),
    "days": st.integers(1, 400),
    "coming_days": st.integers(1, 400),
    "date": st.integers(-800, 800).map(lambda days: (TODAY + timedelta(days=days)).isoformat()),
    "time": st.integers(0, 24 * 60 - 1).map(lambda minutes: f"{minutes // 60:02d}:{minutes % 60:02d}"),
    "choice": st.sampled_from([*STATES, "net_30"]),
    "text": st.text(min_size=1, max_size=12),
    "person": st.text(min_size=1, max_size=12),
}
KINDS = list(VALUES)


@settings(deadline=None)
@given(st.data())
@pytest.mark.parametrize("kind", KINDS)
def test_every_wording_is_read_back(kind: str, data: st.DataObject) -> None:
    """A value can be said, and whatever says it is read as it, in capitals or not."""
    value = data.draw(VALUES[kind])
    words = STATES if kind == "choice" else {}
    ways = wordings(kind, value, TODAY, words.get(value, ()))
    assert ways
    for way in ways:
        assert is_wording_of(way, kind, value, TODAY, words)
        assert is_wording_of(way.upper(), kind, value, TODAY, words) or len(way.upper()) != len(way)


@pytest.mark.parametrize("span", ["Kelvin \u212a", "\u017fame", "\uff15", "bac\u212a"])
def test_letters_that_only_fold_to_others_say_nothing(span: str) -> None:
    """The Kelvin sign is no k, a long s no s, a full-width digit no digit, though case folding makes them alike."""
    for kind, value in (("text", "Kelvin K"), ("text", "same"), ("integer", 5), ("choice", "returned")):
        assert not is_wording_of(span, kind, value, TODAY, STATES if kind == "choice" else {})
    assert is_wording_of("BACK", "choice", "returned", TODAY, STATES)


@settings(deadline=None)
@given(st.data())
@pytest.mark.parametrize("kind", KINDS)
def test_no_wording_says_two_values(kind: str, data: st.DataObject) -> None:
    """What says one value says no other."""
    value, other = data.draw(VALUES[kind]), data.draw(VALUES[kind])
    assume(str(value).casefold() != str(other).casefold() and value != other)
    words = STATES if kind == "choice" else {}
    for way in wordings(kind, value, TODAY, words.get(value, ())):
        assert not is_wording_of(way, kind, other, TODAY, words)


@pytest.mark.parametrize(("value", "other"), [(123456.7, 123457), (12345.67, 12345.7), (1234567.8, 1234568)])
def test_long_numbers_are_said_in_full(value: float, other: float) -> None:
    """No wording of a number rounds it to another."""
    assert {*wordings("number", value, TODAY)} & {*wordings("number", other, TODAY)} == set()


@pytest.mark.parametrize("kind", ["days", "coming_days"])
def test_periods_are_unambiguous(kind: str) -> None:
    """No two periods of up to two years share a wording."""
    ways = [way for days in range(1, 731) for way in wordings(kind, days, TODAY)]
    assert len(set(ways)) == len(ways)


def test_times_are_unambiguous() -> None:
    """No two minutes of a day share a wording."""
    times = [f"{hour:02d}:{minute:02d}" for hour in range(24) for minute in range(60)]
    ways = [way for time in times for way in wordings("time", time, TODAY)]
    assert len(set(ways)) == len(ways)


@settings(deadline=None)
@given(st.dates(date(2025, 1, 1), date(2027, 12, 31)), st.data())
@example(date(2026, 12, 30), None).via("a week over the year's end")
def test_dates_are_unambiguous_on_any_day(today: date, data: st.DataObject | None) -> None:
    """On whatever day, no wording of a date near or far says another date."""
    shift = data.draw(st.integers(-3, 3)) if data else 1
    spans = [*range(-45, 45), *range(350, 380), *range(-380, -350)]
    day_of_wording: dict[str, str] = {}
    for days in spans:
        day = (today + timedelta(days=days + shift)).isoformat()
        for way in {*wordings("date", day, today)}:
            assert day_of_wording.setdefault(way.casefold(), day) == day


@pytest.mark.parametrize(
    ("kind", "value", "words", "ways"),
    [
        ("USD", 1500, (), ("$1,500", "1,500 dollars", "$1500", "1500 dollars", "1.5k", "$1.5k")),
        ("USD", 7.5, (), ("$7.50", "7.50 dollars")),
        ("USD", 2000.0, (), (
            "$2,000", "2,000 dollars", "$2000", "2000 dollars", "2k", "$2k", "two grand", "two thousand dollars",
        )),
        ("EUR", 1250.5, (), ("€1,250.50", "1,250.50 euros", "€1250.50", "1250.50 euros")),
        ("CHF", 3000, (), (
            "CHF 3,000", "3,000 francs", "CHF 3000", "3000 francs", "3k", "CHF 3k", "three grand", "three thousand francs",
        )),
        ("INR", 900, (), ("₹900", "900 rupees")),
        ("integer", 12, (), ("12", "twelve")),
        ("integer", 21, (), ("21",)),
        ("integer", 12000, (), ("12000", "12,000")),
        ("number", 2.5, (), ("2.5",)),
        ("days", 7, (), ("the past week", "the past 7 days", "the last seven days")),
        ("days", 45, (), ("the last 45 days",)),
        ("coming_days", 45, (), ("the next 45 days",)),
        ("date", "2026-03-12", (), (
            "12 March", "March 12", "March 12th", "the 12th of March", "12 Mar", "Thursday", "Thursday", "the 12th",
            "2026-03-12",
        )),
        ("date", "2026-03-01", (), ("1 March", "March 1", "March 1st", "the 1st of March", "1 Mar", "2026-03-01")),
        ("date", "2026-03-24", (), (
            "24 March", "March 24", "March 24th", "the 24th of March", "24 Mar", "2026-03-24",  # the 24th of which month?
        )),
        ("date", "2025-08-22", (), (
            "22 August 2025", "August 22, 2025", "August 22nd, 2025", "the 22nd of August 2025", "2025-08-22",
        )),
        ("time", "09:30", (), ("09:30", "9:30", "9:30 am", "9:30am", "9.30 am", "9.30am", "half past nine")),
        ("time", "14:00", (), ("14:00", "2 pm", "2pm", "two o'clock")),
        ("time", "18:45", (), ("18:45", "6:45 pm", "6:45pm", "6.45 pm", "6.45pm", "quarter to seven")),
        ("time", "06:45", (), ("06:45", "6:45 am", "6:45am", "6.45 am", "6.45am")),
        ("time", "12:00", (), ("12:00", "noon", "midday", "twelve o'clock")),
        ("time", "00:00", (), ("00:00", "midnight")),
        ("choice", "net_30", (), ("net 30",)),
        ("choice", "out", ("on loan", "out"), ("on loan", "out")),
        ("flag", True, ("urgent",), ("urgent",)),
        ("flag", True, (), ()),
        ("integer", True, (), ()),
        ("text", "Salt Roads", (), ("Salt Roads",)),
        ("text", "Salt Roads", ("that novel",), ("Salt Roads", "that novel")),
        ("USD", None, ("no amount",), ("no amount",)),
    ],
)  # fmt: skip
def test_wordings(kind: str, value: Any, words: tuple[str, ...], ways: tuple[str, ...]) -> None:
    """Values are said in these ways, those that the catalogue adds among them."""
    assert wordings(kind, value, TODAY, words) == ways


@pytest.mark.parametrize(
    ("kind", "first", "second"), [("number", 4321, 4321.0), ("integer", 1, True), ("choice", 1, 1.0)]
)
def test_wordings_do_not_depend_on_what_was_asked_before(kind: str, first: Any, second: Any) -> None:
    """A value is said the same way whether or not an equal value of another type was said before."""
    wordings.cache_clear()
    fresh = wordings(kind, second, TODAY)
    wordings.cache_clear()
    wordings(kind, first, TODAY)
    assert wordings(kind, second, TODAY) == fresh


@settings(deadline=None)
@given(st.lists(st.sampled_from(list(STATES)), min_size=1, max_size=3, unique=True), st.data())
def test_lists_are_read_back(values: list[str], data: st.DataObject) -> None:
    """A list is read from its elements' wordings, in order, and from no other order or part of it."""
    span = join_list([data.draw(st.sampled_from(STATES[value])) for value in values])
    assert is_wording_of(span, "choice", values, TODAY, STATES)
    for other in (values[::-1], values[1:], [*values, "returned"]):
        if other not in (values, []):
            assert not is_wording_of(span, "choice", other, TODAY, STATES)


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=5), st.data())
def test_lists_of_numbers_are_read_back(values: list[int], data: st.DataObject) -> None:
    """Commas within numbers do not disturb the commas between them."""
    span = join_list([data.draw(st.sampled_from(wordings("integer", value, TODAY))) for value in values])
    assert is_wording_of(span, "integer", values, TODAY, {})


def test_ordinals() -> None:
    """Days of the month are counted as people do."""
    ordinals = [wordings("date", f"2026-01-{day:02}", TODAY)[2].removeprefix("January ") for day in range(1, 32)]
    assert " ".join(ordinals) == (
        "1st 2nd 3rd 4th 5th 6th 7th 8th 9th 10th 11th 12th 13th 14th 15th 16th 17th 18th 19th 20th "
        "21st 22nd 23rd 24th 25th 26th 27th 28th 29th 30th 31st"
    )


def test_longer_wordings_are_read_first() -> None:
    """A wording that begins like another does not stop that from being read."""
    words = {"late": ("late", "late again", "again"), "out": ("out",)}
    for span in ("late again and out", "late and out", "again, out"):
        assert is_wording_of(span, "choice", ["late", "out"], TODAY, words)


@pytest.mark.parametrize(
    ("span", "read"),
    [
        ("late and out", True),
        ("LATE, on loan", True),
        ("late or out", True),
        ("late & out", True),
        ("late out", False),
        ("late and out.", False),
        ("late and ", False),
        ("late and out and back", False),
        ("and late, out", False),
        ("", False),
    ],
)
def test_how_lists_may_be_joined(span: str, read: bool) -> None:
    """Elements stand between commas, `and`, `or` or `&`, with nothing over."""
    assert is_wording_of(span, "choice", ["overdue", "out"], TODAY, STATES) is read


def test_joined() -> None:
    """One, two and three parts are joined as people do."""
    assert [join_list(["a"]), join_list(["a", "b"]), join_list(["a", "b", "c"], "or")] == ["a", "a and b", "a, b or c"]


@pytest.mark.parametrize(
    ("span", "kind", "value"),
    [
        ("$1,501", "USD", 1500),
        ("1.5", "USD", 1500),
        ("the past week", "days", 14),
        ("the past week", "coming_days", 7),
        ("12 April", "date", "2026-03-12"),
        ("the 12th", "date", "2026-04-12"),
        ("Thursday", "date", "2026-03-19"),
        ("half past nine", "time", "21:30"),
        ("2:30", "time", "14:30"),
        ("12 pm", "time", "12:00"),
        ("salt road", "text", "Salt Roads"),
        ("Salt Roads ", "text", "Salt Roads"),
        ("", "text", "Salt Roads"),
        ("1", "integer", True),
    ],
)
def test_wrong_values_are_not_read(span: str, kind: str, value: Any) -> None:
    """A span that says something else, or nothing, does not say the value."""
    assert is_wording_of(span, kind, value, TODAY, {}) is False
