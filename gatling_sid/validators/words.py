"""Do the words ask for the goal: as the coordinates give them, or by the verdict of a judge.

Traces of the embedded oracle name the coordinates that their words, person, policy and goal follow from: all of it is
worked out again. Whoever else wrote a request, no machine here reads it; a judge's verdict, bound to these very words,
goal and plan, ties them together.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from gatling_sid.digests import judged_digest
from gatling_sid.models import GoldTrace, TrustTier
from gatling_sid.schemas.domain import Domain
from gatling_sid.validators.grounding import equal_json
from gatling_sid.validators.scenario_plan import differences
from gatling_sid.validators.trace_context import TraceContext

VERDICT_KEY = "verdict"
"""Where in `metadata` a verdict stands: `judge`, `favourable` of `of` opinions, and the `digest` of what was judged."""
LONGEST_ID = 200
"""Characters that the name of a trace, a request or a graph may have."""
_LAYOUT = "\n\t"
_BARRED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def text_is_plain(case: TraceContext) -> Iterator[str]:
    """The request is text in normal form (NFC), without control, invisible or unassigned characters."""
    text = case.trace.request.text
    if text.isascii() and text.isprintable():
        return
    if not unicodedata.is_normalized("NFC", text):
        yield "the request is not in Unicode normal form NFC"
    barred = sorted({each for each in text if unicodedata.category(each) in _BARRED and each not in _LAYOUT})
    if barred:
        yield f"the request holds characters that nobody sees: {', '.join(f'U+{ord(each):04X}' for each in barred)}"


def ids_are_plain(case: TraceContext) -> Iterator[str]:
    """The names of trace, request and graph are short and hold only what can be seen."""
    trace = case.trace
    for what, name in (
        ("trace", trace.trace_id),
        ("request", trace.request.request_id),
        ("graph", trace.graph.graph_id),
    ):
        if not name.isprintable() or len(name) > LONGEST_ID:
            yield f"the {what} is named {name[:LONGEST_ID]!r}; a name has at most {LONGEST_ID} characters that can be seen"


def user_asks(case: TraceContext) -> Iterator[str]:
    """The request comes from the user: nothing retrieved asks for anything."""
    tier = case.trace.request.trust_tier
    if tier is not TrustTier.USER:
        yield f"the request is of tier {tier.value}; only the user asks"


def times_fit_the_day(case: TraceContext) -> Iterator[str]:
    """Every call was asked for at one moment of the world's day, and the trace was not made before it."""
    trace, today = case.trace, case.world.today
    if trace.created_at.tzinfo is None:
        yield f"the trace was made at {trace.created_at}, and nothing says in which time zone"
    if trace.created_at.date() < today:
        yield f"the trace was made on {trace.created_at.date()}, before the day it plays on, {today}"
    moments = [call.provenance.timestamp if call.provenance else None for call in trace.graph.calls]
    first = next((each for each in moments if each is not None), None)
    for call, moment in zip(trace.graph.calls, moments, strict=True):
        if moment is not first and moment != first:
            yield f"{call.call_id} was asked for at {moment}, another call at {first}"
    if first is None:
        yield from ["no call says when it was asked for"] if moments else []
    elif case.scheduled_request is not None and first != case.scheduled_request.moment:
        yield f"its calls were asked for at {first}; the request was made at {case.scheduled_request.moment}"
    elif first.date() != today:
        yield f"its calls were asked for at {first}; the world's day is {today}"


# --- the embedded oracle ---------------------------------------------------------------------------------------


def words_follow_from_coordinates(case: TraceContext) -> Iterator[str]:
    """Scenario, case and world are those that the trace's id, seed and attempt give, and the words are of that case."""
    if not case.is_embedded:
        return
    asking, metadata = case.scheduled_request, case.trace.metadata
    if asking is None:
        attempt, seed = metadata.get("attempt"), metadata.get("seed")
        yield f"nothing is asked at {case.trace.trace_id!r}, attempt {attempt!r}, of seed {seed!r}"
        return
    number = metadata.get("case")
    claimed = metadata.get("scenario"), (type(number), number), metadata.get("world"), case.trace.request.text
    given = asking.scenario, (int, asking.instance_index), asking.world.name, asking.rendered.text
    yield from differences(("the scenario", "the case", "the world", "the text"), claimed, given)


def all_that_is_said_is_used(case: TraceContext) -> Iterator[str]:
    """Every value that the words say fills, from there and as it is, the arguments that follow from it.

    A value that no step of the plan takes under the rules in force is part of the goal.
    """
    asking = case.scheduled_request
    if asking is None:
        return
    domain, scenario, said = asking.world.domain, asking.scenario, asking.rendered
    used = _said_arguments(case)
    for slot, times in _arguments_of_slots(domain, scenario, asking.instance.rules):
        if slot not in said.spans:
            continue
        values = used.pop(said.spans[slot], [])
        if len(values) < times or (not times and slot not in domain.slots_of_goal(scenario)):
            yield f"the request says {said.text[slice(*said.spans[slot])]!r} ({slot}) for {times} arguments, {len(values)} take it"
        for where, value in values:
            if not equal_json(value, asking.instance.slots[slot]):
                yield f"{where} is {value!r}; the request means {asking.instance.slots[slot]!r}"
    for start, end in used:
        yield f"characters {start} to {end} of the request say no value that it was asked with"


def _said_arguments(case: TraceContext) -> dict[tuple[int | None, int | None], list[tuple[str, Any]]]:
    """(call and argument, value) of all arguments that are said to come from the request, by span."""
    found: dict[tuple[int | None, int | None], list[tuple[str, Any]]] = {}
    for call in case.trace.graph.calls:
        for each in call.argument_sources:
            if each.origin == "request":
                where = f"{call.call_id}.{each.argument}"
                found.setdefault((each.start, each.end), []).append((where, call.arguments.get(each.argument)))
    return found


@lru_cache(maxsize=8192)
def _arguments_of_slots(domain: Domain, scenario: str, rules: frozenset[str]) -> tuple[tuple[str, int], ...]:
    """Every slot of a scenario, and how many arguments of its plan under these rules it fills."""
    known = domain.file.scenarios[scenario]
    steps = [step for step in known.plan if step.is_in_force(rules)]
    filled = Counter(text for step in steps for text in step.arguments.values() if isinstance(text, str))
    return tuple((slot, filled[f"$request.{slot}"]) for slot in known.slots)


# --- other authors ---------------------------------------------------------------------------------------------


def verdict_is_of_this_trace(case: TraceContext) -> Iterator[str]:
    """A verdict names its judge, is favourable, and was given on these very words, goal and plan."""
    verdict = case.trace.metadata.get(VERDICT_KEY)
    if verdict is None:
        return
    if not isinstance(verdict, dict) or not isinstance(verdict.get("judge"), str) or not verdict["judge"].strip():
        yield "the verdict names no judge"
        return
    good, all_ = verdict.get("favourable"), verdict.get("of")
    if not (type(good) is int and type(all_) is int and all_ / 2 < good <= all_):
        yield f"{verdict['judge']} found {good} of {all_} times that the words ask for this goal"
    if verdict.get("digest") != _digest(case.trace):
        yield f"the verdict of {verdict['judge']} was given on other words, another goal or another plan"


def _digest(trace: GoldTrace) -> str | None:
    """The digest of what was judged, or None where it holds what is no JSON."""
    try:
        return judged_digest(trace)
    except (ValueError, TypeError):
        return None


def why_unvouched(case: TraceContext) -> str | None:
    """Why nothing ties the words to the goal, or None."""
    if case.is_embedded or case.trace.metadata.get(VERDICT_KEY) is not None:
        return None
    author = case.trace.metadata.get("oracle", "an unknown author")
    return f"the request is by {author}, and no judge's verdict says that its words ask for this goal"
