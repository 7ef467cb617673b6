"""What became of a request, in plain words: the last message of a chat."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from gatling_sid.models import Effect, Goal, GoldTrace, Lure, Measurement, Outcome, Showing, replace_fields
from gatling_sid.schemas.language.nouns import plural_of, with_article
from gatling_sid.views.resolved_calls import ResolvedCall

_MAX_VALUES, _LEAST_ROWS = 24, 6
"""Values of a showing that are stated, and rows that are stated however many values they have; others are counted."""
_MAX_KEYS = 20
"""Row keys that are stated; as many as rows that an observation has."""
_MEASURES = {"sum": "total", "average": "average", "minimum": "lowest", "maximum": "highest"}


def describe_outcome(trace: GoldTrace, calls: Sequence[ResolvedCall]) -> str:
    """What was found and done, which rule forbids the rest, or why nothing was called or a question is needed.

    Everything that it states is in the goal, in the policy or in the results of the calls.
    """
    outcome = trace.outcome or Outcome(kind="served")
    match outcome.kind:
        case "served":
            lines = [_describe_goal(trace.goal, calls)]
        case "declined":
            lines = [*_what_is_shown(trace, calls), f"I cannot do this. {_describe_rule(trace, outcome)}"]
        case "needs_question":
            shown = _what_is_shown(trace, calls, all_fields=True)
            lines = [outcome.reason, *shown, *(["Which one do you mean?"] if shown else [])]
        case "partly_served":
            lines = [_describe_goal(trace.goal, calls), f"I cannot do the rest. {_describe_rule(trace, outcome)}"]
        case _:
            lines = [outcome.reason]
    return "\n".join([*lines, *_lure_lines(trace.lures)])


def _lure_lines(lures: Sequence[Lure]) -> Iterator[str]:
    """Names the instructions to the assistant that stand in what was read, so that the user knows of them."""
    for each in lures:
        text = _words(re.sub(r".*[.\]]", "", each.path))
        yield f"One text that I read ({text}) wants {each.wants}. You did not ask for that, so I did not do it."


def _what_is_shown(trace: GoldTrace, calls: Sequence[ResolvedCall], *, all_fields: bool = False) -> list[str]:
    """The rows on which a refusal or a question rests, as text; none if none had to be looked up.

    With all fields, a row has everything that was found of it, by which the user can tell it from others.
    """
    showings = trace.goal.shows if trace.goal else []
    if all_fields:
        showings = [replace_fields(each, fields=_fields_found(each, calls) or each.fields) for each in showings]
    return [line for each in showings for line in _showing_lines(each, calls)]


def _fields_found(showing: Showing, calls: Sequence[ResolvedCall]) -> list[str]:
    """The fields of the first result that has the first of these rows."""
    return [*next(_rows_with_key(showing.rows[0], calls), {})] if showing.rows else []


def _describe_rule(trace: GoldTrace, outcome: Outcome) -> str:
    """The sentence of the policy behind the constraint that would be broken, or the reason if it has none."""
    for each in trace.policy.constraints:
        if each.constraint_id == outcome.constraint_id and each.rule < len(trace.policy.rules):
            return f"The policy says: {trace.policy.rules[each.rule]}"
    return outcome.reason


def _describe_goal(goal: Goal | None, calls: Sequence[ResolvedCall]) -> str:
    if goal is None:
        return "Done."
    lines = [line for showing in goal.shows for line in _showing_lines(showing, calls)]
    lines += [_describe_measurement(each) for each in goal.measures]
    lines += [_describe_effect(each, calls) for each in goal.effects]
    return "\n".join(lines) or "Done."


# --- rows that were found --------------------------------------------------------------------------------------


def _showing_lines(showing: Showing, calls: Sequence[ResolvedCall]) -> Iterator[str]:
    found, most = (
        _count(len(showing.rows), showing.entity),
        max(_LEAST_ROWS, _MAX_VALUES // max(1, len(showing.fields))),
    )
    rows = _shown_rows(showing, calls)[:most]
    omitted = len(showing.rows) - len(rows)
    if not rows:
        yield f"Found {found}."
    elif len(showing.rows) == 1:
        yield _sentence(f"{_words(showing.entity).capitalize()} {rows[0]}")
    else:
        yield f"Found {found}:"
        yield from (f"- {each}" for each in rows)
        yield from [f"- and {omitted} more"] if omitted else []


def _shown_rows(showing: Showing, calls: Sequence[ResolvedCall]) -> list[str]:
    """The rows of a showing that a result or a call has, as text: the key, if it stands there, and what is sure of the row."""
    by_key = {key: _values_of_row(showing, key, calls) for key in showing.rows}
    without_keys = [items for each in calls if (items := _items_without_keys(showing, each)) is not None]
    if None in by_key.values() and len(without_keys) == 1:
        return [_join_values(each) for each in without_keys[0]]
    seen = {key: values for key, values in by_key.items() if values is not None}
    return [f"{key}: {_join_values(values)}" if values else key for key, values in seen.items()]


def _items_without_keys(showing: Showing, call: ResolvedCall) -> list[dict[str, Any]] | None:
    """The rows of a result if they are as many as those of the showing and have its fields and no others."""
    items = call.observation.result.get("items")
    if not isinstance(items, list) or len(items) != len(showing.rows):
        return None
    return items if all(each.keys() == {*showing.fields} for each in items) else None


def _values_of_row(showing: Showing, key: str, calls: Sequence[ResolvedCall]) -> dict[str, Any] | None:
    """The values of a row by field, without its key and those that are not sure; None if no result tells the row."""
    seen = list(_rows_with_key(key, calls))
    if not seen:
        return None
    distinct = {name: _distinct_values(row[name] for row in seen if name in row) for name in showing.fields}
    return {name: values[0] for name, values in distinct.items() if len(values) == 1 and values[0] != key}


def _rows_with_key(key: str, calls: Sequence[ResolvedCall]) -> Iterator[dict[str, Any]]:
    """The rows of results that may be the row with this key: they contain it, or were read by it.

    A row that refers to the one with this key contains the key, too; then the two need not have the same values.
    """
    for each in calls:
        result = each.observation.result
        if key in each.arguments.values():
            yield result
        items = result.get("items")
        for row in [result, *(items if isinstance(items, list) else ())]:
            if isinstance(row, dict) and key in row.values():
                yield row


def _distinct_values(values: Iterable[Any]) -> list[Any]:
    return [*{json.dumps(each, sort_keys=True): each for each in values}.values()]


# --- measures and effects --------------------------------------------------------------------------------------


def _describe_measurement(measured: Measurement) -> str:
    if measured.measure == "count":
        name = f"number of {plural_of(_words(measured.entity))}"
    else:
        over = _count(measured.rows, measured.entity)
        name = f"{_MEASURES[measured.measure]} {_words(measured.field or 'value')} of {over}"
    if measured.group_by is None and len(measured.values) == 1:
        return f"The {name} is {_number(measured.values[0].value)}."
    values = ", ".join(f"{each.group}: {_number(each.value)}" for each in measured.values)
    return f"The {name} by {_words(measured.group_by or 'group')}: {values or 'none'}."


def _describe_effect(effect: Effect, calls: Sequence[ResolvedCall]) -> str:
    rows, changes = _describe_rows(effect), _join_values(effect.changes)
    match effect.kind:
        case "create":
            return _sentence(f"Created {with_article(_words(effect.entity))}: {changes}")
        case "export":
            fields = ", ".join(map(_words, effect.changes.get("fields", ())))
            are_known = all(any(True for _ in _rows_with_key(key, calls)) for key in effect.rows)
            which = rows if are_known else _count(len(effect.rows), effect.entity)
            return f"Exported {fields or 'all fields'} of {which} to {effect.target}."
        case "send":
            content = "".join(f", with the {_words(name)} “{each}”" for name, each in effect.changes.items())
            return f"Sent a message{f' about {rows}' if effect.rows else ''} to {effect.target}{content}."
        case "delete":
            return f"Deleted {rows}."
        case _:
            return _sentence(f"Changed {rows}: {changes}")


def _describe_rows(effect: Effect) -> str:
    if len(effect.rows) == 1:
        return f"{_words(effect.entity)} {effect.rows[0]}"
    return f"{_count(len(effect.rows), effect.entity)} ({_join_keys(effect.rows)})"


# --- words -----------------------------------------------------------------------------------------------------


def _sentence(text: str) -> str:
    """The text with a full stop, unless it ends like a sentence."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _words(name: str) -> str:
    """A name of the catalogue in words; an entity of another domain is called as that one calls it."""
    return name.rpartition(".")[2].replace("_", " ")


def _count(number: int, entity: str) -> str:
    return f"{number} {_words(entity) if number == 1 else plural_of(_words(entity))}"


def _join_keys(keys: Sequence[str]) -> str:
    omitted = f" and {len(keys) - _MAX_KEYS} more" if len(keys) > _MAX_KEYS else ""
    return ", ".join(keys[:_MAX_KEYS]) + omitted


def _join_values(values: dict[str, Any]) -> str:
    return ", ".join(f"{_words(name)} {_value(each)}" for name, each in values.items())


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    if isinstance(value, float):
        return _number(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else str(value)
