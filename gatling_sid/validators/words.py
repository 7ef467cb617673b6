"""Checks that the words ask for the goal: they follow from the trace's coordinates, or a judge has confirmed it.

For traces of the embedded oracle, the words, principal, policy and goal follow from the coordinates of the trace; they
are computed again and compared. The words of other authors cannot be checked here. For these, `metadata.verdict` holds
the verdict of another judge, and a digest shows that it is about these words, this goal and this plan.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from gatling_sid.digests import digest_for_judgement
from gatling_sid.models import GoldTrace, TrustTier
from gatling_sid.schemas.composition.table import ScenarioTable
from gatling_sid.validators.grounding import is_stated_by
from gatling_sid.validators.scenario_plan import differences
from gatling_sid.validators.trace_context import TraceContext

VERDICT_KEY = "verdict"
"""The key of a verdict in `metadata`: `judge`, `favourable` of `of` opinions, and the `digest` of what was judged."""
MAX_ID_LENGTH = 200
"""Characters of the id of a trace, a request or a graph; far above the length of a generated id."""
_ALLOWED_CONTROLS = "\n\t"
"""Control characters that a text may have, since they only lay it out."""
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories of characters that are not visible: controls, formats, surrogates, private, unassigned, separators."""


def text_is_plain(context: TraceContext) -> Iterator[str]:
    """The request is text in Unicode normal form NFC, without control, invisible or unassigned characters."""
    text = context.trace.request.text
    if text.isascii() and text.isprintable():
        return
    if not unicodedata.is_normalized("NFC", text):
        yield "the request is not in Unicode normal form NFC; normalize it"
    forbidden = sorted(
        {each for each in text if unicodedata.category(each) in _FORBIDDEN_CATEGORIES and each not in _ALLOWED_CONTROLS}
    )
    if forbidden:
        codes = ", ".join(f"U+{ord(each):04X}" for each in forbidden)
        yield f"the request contains invisible or control characters: {codes}; remove them"


def ids_are_plain(context: TraceContext) -> Iterator[str]:
    """The ids of trace, request and graph are short and have only printable characters."""
    trace = context.trace
    for what, name in (
        ("trace", trace.trace_id),
        ("request", trace.request.request_id),
        ("graph", trace.graph.graph_id),
    ):
        if not name.isprintable() or len(name) > MAX_ID_LENGTH:
            rule = f"it must have at most {MAX_ID_LENGTH} characters, all printable"
            yield f"the id of the {what} is {name[:MAX_ID_LENGTH]!r}; {rule}"


def request_comes_from_user(context: TraceContext) -> Iterator[str]:
    """The request has the trust tier of a user, since retrieved content must not make requests."""
    tier = context.trace.request.trust_tier
    if tier is not TrustTier.USER:
        yield f"the request has trust tier {tier.value}; it must be {TrustTier.USER.value}"


def times_fit_the_day(context: TraceContext) -> Iterator[str]:
    """All calls have the same provenance timestamp, on the date of the world; the trace was not created before that date."""
    trace, today = context.trace, context.world.today
    if trace.created_at.tzinfo is None:
        yield f"created_at {trace.created_at} has no time zone"
    if trace.created_at.date() < today:
        yield f"created_at {trace.created_at.date()} is before the date of its world, {today}"
    times = [call.provenance.timestamp if call.provenance else None for call in trace.graph.calls]
    first = next((each for each in times if each is not None), None)
    for call, time in zip(trace.graph.calls, times, strict=True):
        if time is not first and time != first:
            yield f"{call.call_id} has provenance timestamp {time}, another call has {first}; all calls must have the same"
    if first is None:
        yield from ["no call has a provenance timestamp"] if times else []
    elif context.scheduled_request is not None and first != context.scheduled_request.moment:
        yield f"the calls have provenance timestamp {first}; the request was made at {context.scheduled_request.moment}"
    elif first.date() != today:
        yield f"the calls have provenance timestamp {first}; the date of the world is {today}"


# --- the embedded oracle ---------------------------------------------------------------------------------------


def words_follow_from_coordinates(context: TraceContext) -> Iterator[str]:
    """Scenario, instance, world and text are those that follow from the trace's id, seed and attempt."""
    if not context.is_embedded:
        return
    scheduled, metadata = context.scheduled_request, context.trace.metadata
    if scheduled is None:
        attempt, seed = metadata.get("attempt"), metadata.get("seed")
        yield f"no request exists for trace id {context.trace.trace_id!r}, attempt {attempt!r}, seed {seed!r}"
        return
    index = metadata.get("instance")
    actual = metadata.get("scenario"), (type(index), index), metadata.get("world"), context.trace.request.text
    expected = scheduled.scenario, (int, scheduled.instance_index), scheduled.world.name, scheduled.rendered.text
    yield from differences(("scenario", "instance", "world", "text"), actual, expected)


def every_stated_value_is_used(context: TraceContext) -> Iterator[str]:
    """Every value that the request states is the value of the arguments that the scenario fills with it.

    If no step uses the value under the rules in force, the goal must use it, unless what it is stated for is not served.
    """
    scheduled = context.scheduled_request
    if scheduled is None:
        return
    scenarios, scenario, rendered = scheduled.world.scenarios, scheduled.scenario, scheduled.rendered
    arguments_by_span = _arguments_by_span(context)
    for slot, times in _arguments_of_slots(scenarios, scenario, scheduled.instance.rules):
        if slot not in rendered.spans:
            continue
        values = arguments_by_span.pop(rendered.spans[slot], [])
        is_unserved = scenarios[scenario].variant is not None
        is_unused = not times and not is_unserved and slot not in _slots_of_goal(scenarios, scenario)
        if len(values) < times or is_unused:
            words = rendered.text[slice(*rendered.spans[slot])]
            yield f"the request states {words!r} ({slot}) for {times} arguments, but {len(values)} use it"
        for where, value in values:
            if not is_stated_by(value, scheduled.instance.slots[slot]):
                yield f"{where} is {value!r}; the request states {scheduled.instance.slots[slot]!r}"
    for start, end in arguments_by_span:
        yield f"characters {start} to {end} of the request state none of its slot values"


def _arguments_by_span(context: TraceContext) -> dict[tuple[int | None, int | None], list[tuple[str, Any]]]:
    """By span of the request: (call id and argument name, value) of the arguments that name it as their source."""
    found: dict[tuple[int | None, int | None], list[tuple[str, Any]]] = {}
    for call in context.trace.graph.calls:
        for each in call.argument_sources:
            if each.origin == "request":
                where = f"{call.call_id}.{each.argument}"
                found.setdefault((each.start, each.end), []).append((where, call.arguments.get(each.argument)))
    return found


@lru_cache(maxsize=2048)
def _arguments_of_slots(scenarios: ScenarioTable, scenario: str, rules: frozenset[str]) -> tuple[tuple[str, int], ...]:
    """(slot, number of arguments of the plan that it fills under these rules) for every slot of a scenario."""
    scenario_spec = scenarios[scenario]
    steps = [step for step in scenario_spec.plan if step.is_in_force(rules)]
    arguments = [each for step in steps for each in step.arguments.values()]
    uses = Counter(each if isinstance(each, str) else each[0] for each in arguments)
    return tuple((slot, uses[f"$request.{slot}"]) for slot in scenario_spec.slots)


@lru_cache(maxsize=2048)
def _slots_of_goal(scenarios: ScenarioTable, scenario: str) -> frozenset[str]:
    """The slots of a scenario whose values are part of its goal."""
    return scenarios[scenario].slots_of_goal()


# --- other authors ---------------------------------------------------------------------------------------------


def verdict_is_of_this_trace(context: TraceContext) -> Iterator[str]:
    """A verdict names its judge, is favourable, and is about exactly these words, this goal and this plan."""
    verdict = context.trace.metadata.get(VERDICT_KEY)
    if verdict is None:
        return
    if not isinstance(verdict, dict) or not isinstance(verdict.get("judge"), str) or not verdict["judge"].strip():
        yield "the verdict names no judge; `judge` must be a text that is not empty"
        return
    favourable, opinions = verdict.get("favourable"), verdict.get("of")
    if not (type(favourable) is int and type(opinions) is int and opinions / 2 < favourable <= opinions):
        yield f"the verdict of judge {verdict['judge']} has {favourable} favourable of {opinions} opinions; it needs a majority"
    if verdict.get("digest") != _digest(context.trace):
        yield f"the verdict of judge {verdict['judge']} is about another text, goal or plan; let it judge this trace"


def _digest(trace: GoldTrace) -> str | None:
    """The digest of what a judge sees of a trace, or None if a value is not JSON."""
    try:
        return digest_for_judgement(trace)
    except (ValueError, TypeError):
        return None


def why_words_not_judged(context: TraceContext) -> str | None:
    """Why it could not be judged whether the words ask for the goal, or None."""
    if context.is_embedded or context.trace.metadata.get(VERDICT_KEY) is not None:
        return None
    author = context.trace.metadata.get("oracle", "an unknown author")
    return f"the request is by {author}, and metadata has no verdict of a judge that its words ask for this goal"
