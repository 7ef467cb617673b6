"""From contexts to requests, and from answers to traces; each mistake in an answer is named."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from gatling_sid.models import GoldTrace
from gatling_sid.oracle.claude.messages.llm_request import LLMResponse, ResponseProblem, Usage
from gatling_sid.oracle.claude.plans.answers import (
    BadAnswerError,
    PlanAnswer,
    RequestsAnswer,
    parse_answer,
    parse_items,
    parse_value,
)
from gatling_sid.oracle.claude.plans.from_trace import plan_from_trace
from gatling_sid.oracle.claude.plans.request_context import context_of_trace, draw_context
from gatling_sid.oracle.claude.plans.to_trace import TraceIdentity, trace_from_plan
from gatling_sid.oracle.claude.prompts.phases import DomainPrompts, judgement_of, plans_of, texts_of, trace_or_failure
from gatling_sid.oracle.claude.prompts.system_prompts import prompt_of
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Failure, FailureKind, Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.references import references_in
from gatling_sid.validators import TraceValidator
from tests.conftest import CREATED_AT
from tests.support.domain_sample import sampled_domains

Content = dict[str, Any]


def response_with(text: str | None, problem: str | None = None) -> LLMResponse:
    """A response with this text, or with a problem."""
    return LLMResponse("w", text, ResponseProblem.from_text(problem) if problem else None, Usage(), 0.0)


def round_trip(
    trace: GoldTrace, domain: Domain, change: Callable[[Content], None] = lambda _: None, *, before: str = ""
) -> GoldTrace | Failure:
    """A trace as an answer, which is changed and read again; the words of `before` stand before its request."""
    context = context_of_trace(trace, domain)
    content = plan_from_trace(trace, context.world).model_dump()
    change(content)
    plan = plans_of(response_with(json.dumps({"items": [content]})), 1)[0]
    if isinstance(plan, Failure):
        return plan
    return trace_or_failure(
        plan, before + trace.request.text, context, TraceIdentity(trace.trace_id, CREATED_AT, {"oracle": "claude"})
    )


def first_of(gold: list[GoldTrace], scenario: str) -> GoldTrace:
    """The first trace of a scenario."""
    return next(trace for trace in gold if trace.metadata["scenario"] == scenario)


def test_a_gold_trace_survives_the_round_trip(
    library: Domain, gold: list[GoldTrace], validator: TraceValidator
) -> None:
    """An answer can state every plan and goal of the catalogue, and the trace made from it is gold."""
    for trace in gold[:200]:
        returned = round_trip(trace, library)
        assert isinstance(returned, GoldTrace), returned
        assert validator.findings(returned) == []
        assert [call.arguments for call in returned.graph.calls] == [call.arguments for call in trace.graph.calls]
        assert [call.scope for call in returned.graph.calls] == [call.scope for call in trace.graph.calls]
        assert returned.request.expected_scope == trace.request.expected_scope


def test_words_are_looked_for_in_the_clause_that_a_call_quotes(library: Domain, gold: list[GoldTrace]) -> None:
    """A value that stands twice in the request is taken from the clause that asks for the call."""
    stated = [each for each in gold if each.graph.calls[0].argument_sources[0].start is not None]
    trace = min(stated, key=lambda each: len(each.request.text))  # whose quote is so short that an answer has it
    source = trace.graph.calls[0].argument_sources[0]
    before = f"Not {trace.request.text[source.start : source.end]} of all things. "
    returned = round_trip(trace, library, before=before)

    assert isinstance(returned, GoldTrace)
    assert returned.graph.calls[0].argument_sources[0].start == len(before) + (source.start or 0)


def can_be_stated(trace: GoldTrace) -> bool:
    """Whether a request is served in full, without a composed text or a value that was read in a text."""
    values = [
        (each.origin, call.arguments[each.argument]) for call in trace.graph.calls for each in call.argument_sources
    ]
    is_served = trace.outcome is not None and trace.outcome.kind == "served"
    return is_served and all(
        origin != "composed" and (origin != "call" or list(references_in(value))) for origin, value in values
    )


@pytest.mark.parametrize("slug", sampled_domains())
def test_every_domain_can_be_answered(slug: str) -> None:
    """Answers can state the plans and goals of requests that are served in the domains that are shipped, and no others."""
    registry = DomainRegistry()
    domain, validator, oracle = registry.domain(slug), TraceValidator(registry), ScenarioOracle(5, CREATED_AT)
    stated = 0
    for index in range(50):
        trace = oracle.trace(Task(domain, "train", index))
        assert isinstance(trace, GoldTrace)
        if not can_be_stated(trace):
            with pytest.raises(BadAnswerError, match=r"^no answer states "):
                round_trip(trace, domain)
            continue
        returned = round_trip(trace, domain)
        assert isinstance(returned, GoldTrace), returned
        assert validator.findings(returned) == []
        stated += 1
    assert stated >= 20


def _set(path: str, value: Any) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        *way, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
        place: Any = content
        for step in way:
            place = place[step]
        place[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("calls.0.id", "first", "calls.0.id: String should match pattern '^call_[1-9][0-9]?$'"),
        ("calls", [], "calls: List should have at least 1 item after validation, not 0"),
        ("goal.selections.0.entity", "boat", "goal: no entity 'boat'; there are member, book, loan, reminder"),
        ("goal.selections.0.where.0.field", "colour", "goal: loan has no field 'colour'; it has loan_id, member_id"),
        ("goal.selections.0.where.0.value_json", '"No Such Book"', "goal: selection found1: 0 loan fit, exactly one"),
        ("goal.selections.0.where.0.value_json", '["a"]', "goal: title (text) cannot be tested for contains ['a']"),
        ("goal.selections.0.where.0.value_json", '"$ghost.title"', "goal: $ghost.title: 'ghost'"),
        ("goal.selections.0.name", "principal", "goal: the selection name 'principal' is already in use"),
        ("goal.effects.0.selection", "others", "goal: no selection 'others'; there are found1"),
        ("goal.effects.0.changes.0.field", "owner", "goal: loan has no field 'owner'"),
        ("goal.effects", [], "goal: it is empty; something must be shown, measured or changed"),
        ("calls.0.rule", "whim", "call_1: no rule 'whim' is in force; there are rows, history"),
        ("calls.0.arguments.0.where", "words nobody said", None),
        ("calls.0.arguments.0.value_json", '"Unsaid"', "library.list_loans: title quotes"),
        ("calls.0.arguments.1.name", "title", "call_1: an argument is given twice"),
        ("calls.0.arguments.0.value_json", "NaN", "NaN is not a JSON value"),
        ("calls.0.arguments.0.value_json", "9" * 400, "999999999999999999… is not a JSON value"),
    ],
)
def test_what_is_wrong_is_named(
    library: Domain, gold: list[GoldTrace], path: str, value: Any, says: str | None
) -> None:
    """A wrong answer is a Failure that says what to repair; a wrong quote is ignored if the request says the value."""
    trace = first_of(gold, "renew")

    def change(content: Content) -> None:
        if path.endswith("value_json") and value == '"Unsaid"':
            content["calls"][0]["arguments"][0]["where"] = "never said"
        _set(path, value)(content)

    returned = round_trip(trace, library, change)
    if says is None:
        assert isinstance(returned, GoldTrace)
        return
    assert isinstance(returned, Failure)
    assert returned.reason == "bad_answer"
    assert says in returned.detail


_ODD_TEXTS = (
    "", "$", "$x", "$call_9.items[0].a", "$principal.name", "$found1.title", '"$found1.title"', "1e999", "[[[[]]]]",
    "null", "true", "-1", "{}", "'", "__class__", '{"a": 1}', "0000-00-00",
)  # fmt: skip


def test_no_answer_breaks_the_program(library: Domain, gold: list[GoldTrace], validator: TraceValidator) -> None:
    """Odd values anywhere in an answer give a trace to be judged or a Failure, and are never evaluated."""
    rng = random.Random(3)
    odd: list[Any] = [10**9, -5, [], None, ["x"], {"a": 1}, "a" * 5000, "[" * 4000, "\ud800", *_ODD_TEXTS]
    for trace in [each for each in gold[:60] for _ in range(12)]:

        def change(content: Content) -> None:
            places = [*_places(content)]
            for _ in range(rng.randint(1, 2)):
                owner, key = rng.choice(places)
                owner[key] = rng.choice(odd)

        returned = round_trip(trace, library, change)
        if isinstance(returned, GoldTrace):
            validator.findings(returned)


def _places(content: Any) -> list[tuple[Any, Any]]:
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [each for key, inside in [*pairs] for each in [(content, key), *_places(inside)]]


def test_an_answer_is_read_through_prose() -> None:
    """Text around the JSON object is ignored; without an object there is an error."""
    assert parse_answer(RequestsAnswer, 'Here: {"items": []} Done.') == RequestsAnswer(items=[])
    for text in ("", "no", "{", '{"items": [', "[1]", "{" * 100_000):
        with pytest.raises(BadAnswerError, match="the answer contains no JSON object"):
            parse_answer(RequestsAnswer, text)


def test_one_bad_item_spoils_no_other() -> None:
    """Each item is parsed alone; for a missing or malformed item there is a Failure."""
    text = json.dumps(
        {"items": [{"item": 1, "text": "Which books are late?"}, {"item": 2}, 7, {"item": 9, "text": "x" * 9}]}
    )
    first, second, third = texts_of(response_with(text), 3)
    assert first == "Which books are late?"
    assert second == Failure("bad_answer", "text: Field required")
    assert third == Failure("bad_answer", "the answer does not contain this item")
    assert isinstance(parse_items(PlanAnswer, '{"items": [{"item": 1}]}')[1], BadAnswerError)


@pytest.mark.parametrize(
    ("problem", "failure"),
    [
        (
            "refusal:cyber",
            Failure("refusal:cyber", "Claude refused the request; it is not sent again", FailureKind.REFUSED),
        ),
        ("max_tokens", Failure("bad_answer", "the response has no answer: max_tokens")),
        ("error:overloaded", Failure("unanswered", "error:overloaded", FailureKind.NO_RESPONSE)),
        (
            "error:domain_stopped",
            Failure(
                "refusal:domain_stopped",
                "Claude refused too many requests of this domain, so no more are sent",
                FailureKind.REFUSED,
            ),
        ),
    ],
)
def test_no_text_has_its_reason(problem: str, failure: Failure) -> None:
    """Refusals keep their category; a text that was cut is a bad answer; a missing message is a missing response."""
    assert texts_of(response_with(None, problem), 2) == [failure, failure]
    assert plans_of(response_with(None, problem), 1) == [failure]
    response = LLMResponse("w", None, ResponseProblem.from_text(problem), Usage(), 0.0, "The API's words.")
    assert ("The API's words." in str(judgement_of(response))) == (failure.reason == "unanswered")


def test_values_are_data() -> None:
    """JSON is read as JSON, everything else as text; nothing is evaluated."""
    assert parse_value('"a"') == "a"
    assert parse_value("[1, 2.5]") == [1, 2.5]
    assert parse_value("__import__('os')") == "__import__('os')"
    for text in ("1e999", "-Infinity", "[NaN]", "1" * 30):
        with pytest.raises(BadAnswerError):
            parse_value(text)


def test_contexts_depend_on_the_task_alone(library: Domain) -> None:
    """The same task gives the same context, another index or attempt gives another; a block shares its policy."""
    conditions = prompt_of("requests").conditions
    contexts = [draw_context(Task(library, "train", index), 7, conditions) for index in range(40)]
    assert contexts == [draw_context(Task(library, "train", index), 7, conditions) for index in range(40)]
    assert contexts[0] != draw_context(Task(library, "train", 0, 1), 7, conditions)
    assert len({each.policy.policy_id for each in contexts[:10]}) == 1
    assert len({each.principal.principal_id for each in contexts}) > 8
    assert len({each.intent for each in contexts}) == 6
    assert len({each.manner for each in contexts}) == 40


def test_splits_never_share_a_world(library: Domain) -> None:
    """Train, validation and test requests are about other people and records."""
    conditions = prompt_of("requests").conditions
    names = {
        draw_context(Task(library, split, 3), 7, conditions).world.name for split in ("train", "validation", "test")
    }
    assert len(names) == 3


def test_repair_shows_what_happened_and_what_was_found(
    library: Domain, gold: list[GoldTrace], oracle: ScenarioOracle
) -> None:
    """The prompt for a repair holds the request, the old plan, the results of its calls, and the findings."""
    prompts = DomainPrompts(library, "m", oracle, lambda _: True)
    trace = first_of(gold, "renew")
    context = context_of_trace(trace, library)
    request = prompts.repair_prompt(trace.request.text, context, '{"plan": 1}', ["rule_x: call_1 is too much"], trace)
    assert request.system == prompts.plans_prompt([(trace.request.text, context)]).system
    for part in (trace.request.text, '{"plan": 1}', "call_1 -> {", "- rule_x: call_1 is too much"):
        assert part in request.user


def test_a_trace_states_how_it_was_made(library: Domain, gold: list[GoldTrace]) -> None:
    """World, day, seed and catalogue are in the metadata, so that the trace can be replayed."""
    trace = first_of(gold, "renew")
    context = context_of_trace(trace, library)
    plan = plan_from_trace(trace, context.world)
    copy = trace_from_plan(
        plan, trace.request.text, context, TraceIdentity("library_train_00000000", CREATED_AT, {"model": "m"})
    )
    assert copy.metadata == {
        "model": "m",
        "catalogue": library.digest,
        "seed": 1,
        "world": trace.metadata["world"],
        "today": trace.metadata["today"],
    }
    assert copy.created_at == CREATED_AT
    assert not copy.validated
