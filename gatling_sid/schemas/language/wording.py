"""The wordings of values: how a person may write an amount, a date, a period or a state.

The oracle picks one of `wordings`, and the validator accepts a span only if it is one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from gatling_sid.schemas.language.currencies import CURRENCIES, Currency

_NUMBER_WORDS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]
_PAST_PERIODS = {
    1: ("the last 24 hours", "the past day", "the last day"),
    2: ("the last two days", "the past 48 hours", "the last couple of days"),
    7: ("the past week", "the past 7 days", "the last seven days"),
    14: ("the last two weeks", "the past fortnight", "the past 14 days", "the last couple of weeks"),
    21: ("the last three weeks", "the past 3 weeks", "the past 21 days"),
    30: ("the last 30 days", "the past 30 days", "the last thirty days"),
    60: ("the last 60 days", "the past 60 days", "the past sixty days"),
    90: ("the last 90 days", "the last ninety days", "the past 90 days"),
    180: ("the last 180 days", "the past 180 days"),
    365: ("the last year", "the past 12 months", "the last twelve months", "the past 365 days"),
}
_COMING_PERIODS = {
    1: ("the next day", "the next 24 hours"),
    7: ("the coming week", "the next 7 days", "the next seven days"),
    14: ("the next two weeks", "the coming fortnight", "the next 14 days"),
    30: ("the next 30 days", "the coming 30 days"),
    60: ("the next 60 days", "the coming 60 days"),
    90: ("the next 90 days", "the coming 90 days"),
}
"""Months and "next week" are left out: they are not so many days to everybody."""
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_NAMED_TIMES = {"00:00": ("midnight",), "12:00": ("noon", "midday")}
_QUARTERS = {0: "{} o'clock", 15: "quarter past {}", 30: "half past {}", 45: "quarter to {}"}
"""How people say the quarters of an hour; that of `quarter to` is the next."""
TOMORROW = "tomorrow"
"""The date after today, said without "on" before it."""
_WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def _format_ordinal(day: int) -> str:
    ending = "th" if 10 <= day % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def _format_number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def _money_wordings(value: float, currency: Currency) -> tuple[str, ...]:
    digits, (sign, plural) = _format_number(value), currency
    plain = digits.replace(",", "")
    ways = list(dict.fromkeys((f"{sign}{digits}", f"{digits} {plural}", f"{sign}{plain}", f"{plain} {plural}")))
    if value >= 1000 and value % 100 == 0 and value % 1000 in (0, 500):
        thousands = f"{value / 1000:g}"
        ways += [f"{thousands}k", f"{sign}{thousands}k"]
        if value % 1000 == 0 and value / 1000 <= 20:
            ways += [
                f"{_NUMBER_WORDS[int(value // 1000)]} grand",
                f"{_NUMBER_WORDS[int(value // 1000)]} thousand {plural}",
            ]
    return tuple(ways)


def _number_wordings(value: float) -> tuple[str, ...]:
    value = int(value) if value == int(value) else value
    if isinstance(value, int) and 0 <= value <= 20:
        return (str(value), _NUMBER_WORDS[value])
    return (str(value), f"{value:,}") if abs(value) >= 1000 else (str(value),)


def _period_wordings(value: int, known: Mapping[int, tuple[str, ...]], word: str) -> tuple[str, ...]:
    return known.get(value) or (f"the {word} {value} days",)


def _date_wordings(value: str, today: date) -> tuple[str, ...]:
    day = date.fromisoformat(value)
    month = _MONTHS[day.month - 1]
    ways = [
        f"{day.day} {month}",
        f"{month} {day.day}",
        f"{month} {_format_ordinal(day.day)}",
        f"the {_format_ordinal(day.day)} of {month}",
    ]
    ways = (
        [f"{way}, {day.year}" if way[0] in "JFMASOND" else f"{way} {day.year}" for way in ways]
        if (day.year != today.year)
        else [*ways, f"{day.day} {month[:3]}"]
    )
    if day == today + timedelta(days=1):
        ways += [TOMORROW] * 4
    elif today < day <= today + timedelta(days=6):  # further ahead, "the 3rd" may be that of another month
        ways += [_WEEKDAYS[day.weekday()]] * 2
        ways += [f"the {_format_ordinal(day.day)}"] if day.month == today.month else []
    return (*ways, value)


def _time_wordings(value: str) -> tuple[str, ...]:
    """Ways to state a time; those without morning or afternoon mean the time between 07:00 and 18:59."""
    hour, minute = int(value[:2]), int(value[3:])
    ways = [value, *_NAMED_TIMES.get(value, ())]
    if 7 <= hour <= 9:
        ways.append(value.removeprefix("0"))
    if value not in _NAMED_TIMES:  # people do not agree on what 12 am and 12 pm are
        half, digits = "am" if hour < 12 else "pm", str(hour % 12 or 12)
        for separator in (":", ".") if minute else ("",):
            shown = f"{digits}{separator}{minute:02d}" if minute else digits
            ways += [f"{shown} {half}", f"{shown}{half}"]
    if 7 <= hour < 19 and minute in _QUARTERS:
        ways.append(_QUARTERS[minute].format(_NUMBER_WORDS[(hour + (minute == 45)) % 12 or 12]))
    return tuple(ways)


def plain_words(name: str) -> str:
    """A name of the catalogue as a person writes it: `on_hold` becomes `on hold`."""
    return name.replace("_", " ")


@lru_cache(maxsize=16384, typed=True)  # True is not 1, nor 1 1.0
def wordings(kind: str, value: str | float | bool, today: date, words: tuple[str, ...] = ()) -> tuple[str, ...]:
    """All wordings of one scalar `value` on the day `today`; `words` are wordings that the catalogue adds.

    Kinds are `choice`, `flag`, `integer`, `number`, `days` (back), `coming_days`, `date`, `time` and, for money, the
    code of its currency; a value of any other kind is a text, which is its own wording.
    """
    if kind in ("choice", "flag"):
        return words or ((plain_words(str(value)),) if kind == "choice" else ())
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return words
    if isinstance(value, str):
        match kind:
            case "date":
                return (*words, *_date_wordings(value, today))
            case "time":
                return (*words, *_time_wordings(value))
        return (value, *words)
    if kind in CURRENCIES:
        return (*words, *_money_wordings(value, CURRENCIES[kind]))
    if kind == "days":
        return (*words, *_period_wordings(int(value), _PAST_PERIODS, "last"))
    if kind == "coming_days":
        return (*words, *_period_wordings(int(value), _COMING_PERIODS, "next"))
    return (*words, *_number_wordings(value))


@lru_cache(maxsize=16384, typed=True)  # True is not 1, nor 1 1.0
def _typed_forms(kind: str, value: str | float | bool, today: date, words: tuple[str, ...]) -> frozenset[str]:
    """The wordings of a value in all letter cases that people use."""
    ways = wordings(kind, value, today, words)
    return frozenset(form for each in ways for form in letter_cases(each))


def letter_cases(words: str) -> tuple[str, ...]:
    """The words as they are, in lower and upper case, and with either first letter; always of the same length."""
    forms = (words.lower(), words.upper(), words[:1].upper() + words[1:], words[:1].lower() + words[1:])
    return (words, *(each for each in forms if len(each) == len(words)))


def join_list(parts: Sequence[str], conjunction: str = "and") -> str:
    """Joins parts as English does: `a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {conjunction} {parts[-1]}"


def is_wording_of(span: str, kind: str, value: Any, today: date, words: Mapping[Any, tuple[str, ...]]) -> bool:
    """Whether `span` is a wording of `value`, in any of `letter_cases`; `words` are the catalogue's wordings, by value."""
    if isinstance(value, list):
        return _is_wording_of_list(span, kind, value, today, words)
    return span in _typed_forms(kind, value, today, words.get(value, ()))


def _is_wording_of_list(
    span: str, kind: str, values: list[Any], today: date, words: Mapping[Any, tuple[str, ...]]
) -> bool:
    """Whether `span` states all elements in order, separated by commas, `and`, `or` or `&`."""
    rest = span
    for position, value in enumerate(values):
        if position:
            separator = next((each for each in (", ", " and ", " or ", " & ") if rest.startswith(each)), None)
            if separator is None:
                return False
            rest = rest[len(separator) :]
        ways = sorted(_typed_forms(kind, value, today, words.get(value, ())), key=len, reverse=True)
        wording = next((way for way in ways if rest.startswith(way)), None)
        if wording is None:
            return False
        rest = rest[len(wording) :]
    return not rest
