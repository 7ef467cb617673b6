"""From settings to asks, and from answers to traces: what is right comes through, what is wrong is named."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from gatling_sid.models import GoldTrace
from gatling_sid.oracle.claude.messages.llm_request import LLMResponse, Usage
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
from gatling_sid.oracle.protocol import Failure, Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import Domain
from gatling_sid.validators import TraceValidator
from tests.conftest import CREATED_AT

Content = dict[str, Any]


def answered(text: str | None, problem: str | None = None) -> LLMResponse:
    """An answer of that text."""
    return LLMResponse("w", text, problem, Usage(), 0.0)


def again(trace: GoldTrace, domain: Domain, change: Callable[[Content], None] = lambda _: None) -> GoldTrace | Failure:
    """A trace told as an answer, changed, and read back."""
    setting = context_of_trace(trace, domain)
    content = plan_from_trace(trace, setting.world).model_dump()
    change(content)
    plan = plans_of(answered(json.dumps({"items": [content]})), 1)[0]
    if isinstance(plan, Failure):
        return plan
    return trace_or_failure(
        plan, trace.request.text, setting, TraceIdentity(trace.trace_id, CREATED_AT, {"oracle": "claude"})
    )


def of(gold: list[GoldTrace], scenario: str) -> GoldTrace:
    """The first trace of a scenario."""
    return next(trace for trace in gold if trace.metadata["scenario"] == scenario)


def test_gold_told_as_an_answer_is_gold_again(
    library: Domain, gold: list[GoldTrace], validator: TraceValidator
) -> None:
    """An answer can say every plan and goal of the catalogue, and what it says is found gold."""
    for trace in gold[:200]:
        back = again(trace, library)
        assert isinstance(back, GoldTrace), back
        assert validator.findings(back) == []
        assert [call.arguments for call in back.graph.calls] == [call.arguments for call in trace.graph.calls]
        assert [call.scope for call in back.graph.calls] == [call.scope for call in trace.graph.calls]
        assert back.request.expected_scope == trace.request.expected_scope


@pytest.mark.parametrize("slug", DomainRegistry().slugs())
def test_every_domain_can_be_answered(slug: str) -> None:
    """So it is in the catalogue that ships."""
    registry = DomainRegistry()
    domain, validator, oracle = registry.domain(slug), TraceValidator(registry), ScenarioOracle(5, CREATED_AT)
    for index in range(50):
        trace = oracle.trace(Task(domain, "train", index))
        assert isinstance(trace, GoldTrace)
        back = again(trace, domain)
        assert isinstance(back, GoldTrace), back
        assert validator.findings(back) == []


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
        ("goal.selections.0.name", "principal", "goal: the selection name 'principal' is taken"),
        ("goal.effects.0.selection", "others", "goal: no selection 'others'; there are found1"),
        ("goal.effects.0.changes.0.field", "owner", "goal: loan has no field 'owner'"),
        ("goal.effects", [], "goal: something must be shown, measured or done"),
        ("calls.0.rule", "whim", "call_1: no rule 'whim' is in force; there are rows, history"),
        ("calls.0.arguments.0.where", "words nobody said", None),
        ("calls.0.arguments.0.value_json", '"Unsaid"', "library.list_loans: title quotes"),
        ("calls.0.arguments.1.name", "title", "call_1: an argument is given twice"),
        ("calls.0.arguments.0.value_json", "NaN", "NaN is no JSON value"),
        ("calls.0.arguments.0.value_json", "9" * 400, "999999999999999999… is no JSON value"),
    ],
)
def test_what_is_wrong_is_named(
    library: Domain, gold: list[GoldTrace], path: str, value: Any, says: str | None
) -> None:
    """A wrong answer is a Failure that says what to mend; a wrong quote of a value that is said is forgiven."""
    trace = of(gold, "renew")

    def change(content: Content) -> None:
        if path.endswith("value_json") and value == '"Unsaid"':
            content["calls"][0]["arguments"][0]["where"] = "never said"
        _set(path, value)(content)

    back = again(trace, library, change)
    if says is None:
        assert isinstance(back, GoldTrace)
        return
    assert isinstance(back, Failure)
    assert back.reason == "bad_answer"
    assert says in back.detail


_ODD_TEXTS = (
    "", "$", "$x", "$call_9.items[0].a", "$principal.name", "$found1.title", '"$found1.title"', "1e999", "[[[[]]]]",
    "null", "true", "-1", "{}", "'", "__class__", '{"a": 1}', "0000-00-00",
)  # fmt: skip


def test_no_answer_breaks_the_program(library: Domain, gold: list[GoldTrace], validator: TraceValidator) -> None:
    """Whatever stands in any place of an answer, it ends as a trace to be judged or a Failure, and is never run."""
    rng = random.Random(3)
    odd: list[Any] = [10**9, -5, [], None, ["x"], {"a": 1}, "a" * 5000, "[" * 4000, "\ud800", *_ODD_TEXTS]
    for trace in [each for each in gold[:60] for _ in range(12)]:

        def change(content: Content) -> None:
            places = [*_places(content)]
            for _ in range(rng.randint(1, 2)):
                owner, key = rng.choice(places)
                owner[key] = rng.choice(odd)

        back = again(trace, library, change)
        if isinstance(back, GoldTrace):
            validator.findings(back)


def _places(content: Any) -> list[tuple[Any, Any]]:
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [each for key, inside in [*pairs] for each in [(content, key), *_places(inside)]]


def test_an_answer_is_read_through_prose() -> None:
    """Prose around the one JSON object is forgiven; no object is not."""
    assert parse_answer(RequestsAnswer, 'Here: {"items": []} Done.') == RequestsAnswer(items=[])
    for text in ("", "no", "{", '{"items": [', "[1]", "{" * 100_000):
        with pytest.raises(BadAnswerError, match="the answer holds no JSON object"):
            parse_answer(RequestsAnswer, text)


def test_one_bad_item_spoils_no_other() -> None:
    """Items are read one by one; what is left out or wrong is a Failure of its own."""
    text = json.dumps(
        {"items": [{"item": 1, "text": "Which books are late?"}, {"item": 2}, 7, {"item": 9, "text": "x" * 9}]}
    )
    first, second, third = texts_of(answered(text), 3)
    assert first == "Which books are late?"
    assert second == Failure("bad_answer", "text: Field required")
    assert third == Failure("bad_answer", "the answer leaves this item out")
    assert isinstance(parse_items(PlanAnswer, '{"items": [{"item": 1}]}')[1], BadAnswerError)


@pytest.mark.parametrize(
    ("problem", "failure"),
    [
        ("refusal:cyber", Failure("refusal:cyber", "Claude declined; the item is left out and not asked for again")),
        ("max_tokens", Failure("bad_answer", "the answer ended with max_tokens")),
        ("error:overloaded", Failure("unanswered", "error:overloaded")),
        (
            "error:domain_stopped",
            Failure("refusal:domain_stopped", "Claude declined so often that the domain is asked no further"),
        ),
    ],
)
def test_no_text_has_its_reason(problem: str, failure: Failure) -> None:
    """Refusals keep their category; what was cut is a bad answer, what never came is none."""
    assert texts_of(answered(None, problem), 2) == [failure, failure]
    assert plans_of(answered(None, problem), 1) == [failure]
    said = LLMResponse("w", None, problem, Usage(), 0.0, "The API's words.")
    assert ("The API's words." in str(judgement_of(said))) == (failure.reason == "unanswered")


def test_values_are_data() -> None:
    """JSON is read as JSON, anything else as text; nothing is evaluated."""
    assert parse_value('"a"') == "a"
    assert parse_value("[1, 2.5]") == [1, 2.5]
    assert parse_value("__import__('os')") == "__import__('os')"
    for text in ("1e999", "-Infinity", "[NaN]", "1" * 30):
        with pytest.raises(BadAnswerError):
            parse_value(text)


def test_settings_are_drawn_from_the_task_alone(library: Domain) -> None:
    """The same task gives the same scene; another index or attempt gives another; a block shares its policy."""
    manners = prompt_of("requests").conditions
    scenes = [draw_context(Task(library, "train", index), 7, manners) for index in range(20)]
    assert scenes == [draw_context(Task(library, "train", index), 7, manners) for index in range(20)]
    assert scenes[0] != draw_context(Task(library, "train", 0, 1), 7, manners)
    assert len({each.policy.policy_id for each in scenes[:10]}) == 1
    assert len({each.principal.principal_id for each in scenes}) > 8
    assert len({each.intent for each in scenes}) == 6
    assert len({each.manner for each in scenes}) == 20


def test_splits_never_share_a_world(library: Domain) -> None:
    """Train, validation and test requests are about other people and records."""
    manners = prompt_of("requests").conditions
    names = {draw_context(Task(library, split, 3), 7, manners).world.name for split in ("train", "validation", "test")}
    assert len(names) == 3


def test_repair_shows_what_happened_and_what_was_found(
    library: Domain, gold: list[GoldTrace], oracle: ScenarioOracle
) -> None:
    """The ask that comes again holds the request, the plan as it was, what its calls returned, and the findings."""
    phases = DomainPrompts(library, "m", oracle, lambda _: True)
    trace = of(gold, "renew")
    setting = context_of_trace(trace, library)
    ask = phases.repair_prompt(trace.request.text, setting, '{"plan": 1}', ["rule_x: call_1 is too much"], trace)
    assert ask.system == phases.plans_prompt([(trace.request.text, setting)]).system
    for part in (trace.request.text, '{"plan": 1}', "call_1 -> {", "- rule_x: call_1 is too much"):
        assert part in ask.user


def test_a_trace_states_how_it_was_made(library: Domain, gold: list[GoldTrace]) -> None:
    """World, day, seed and catalogue stand in the metadata, so that it can be replayed."""
    trace = of(gold, "renew")
    setting = context_of_trace(trace, library)
    plan = plan_from_trace(trace, setting.world)
    made = trace_from_plan(
        plan, trace.request.text, setting, TraceIdentity("library_train_00000000", CREATED_AT, {"model": "m"})
    )
    assert made.metadata == {
        "model": "m",
        "catalogue": library.digest,
        "seed": 1,
        "world": trace.metadata["world"],
        "today": trace.metadata["today"],
    }
    assert made.created_at == CREATED_AT
    assert not made.validated
