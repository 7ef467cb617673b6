"""The phases as asks: requests for a block of tasks, a graph for a request, a judgement of a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import Self

from pydantic import BaseModel

from gatling_sid.errors import OracleError
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.claude.accounting.refusals import DOMAIN_STOPPED
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, LLMResponse, work_id_of
from gatling_sid.oracle.claude.plans.answers import (
    BadAnswerError,
    ItemT,
    JudgementAnswer,
    PlanAnswer,
    PlansAnswer,
    RequestsAnswer,
    WrittenRequest,
    answer_schema,
    parse_answer,
    parse_items,
)
from gatling_sid.oracle.claude.plans.from_trace import plan_from_trace
from gatling_sid.oracle.claude.plans.request_context import RequestContext, context_of_trace
from gatling_sid.oracle.claude.plans.to_trace import TraceIdentity, trace_from_plan
from gatling_sid.oracle.claude.prompts import user_prompts as scenes
from gatling_sid.oracle.claude.prompts.system_prompts import system_text, version_of
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Failure, Task
from gatling_sid.scenarios.schedule import scheduled_scenario
from gatling_sid.schemas.domain import Domain

EXAMPLES = 4
NO_RESPONSE = "unanswered"
"""The reason of a failure that is the API's: nothing came back, and nothing was paid."""
_TRIED = 400
_TOKENS = {"requests": 160, "graph": 3000, "judgement": 600, "phrasing": 400}
ANSWERS: dict[str, type[BaseModel]] = {"requests": RequestsAnswer, "graph": PlansAnswer, "judgement": JudgementAnswer}
Proves = Callable[[GoldTrace], bool]


class DomainPrompts:
    """The prompts of one domain, ready to ask with: their examples are drawn once and proven by `proves`."""

    def __init__(self, domain: Domain, model: str, oracle: ScenarioOracle, proves: Proves) -> None:
        """`oracle` makes the examples; `model` is part of every work id, as another model answers otherwise."""
        self.domain = domain
        self.model = model
        self.examples = [*_examples(domain, oracle, proves)]
        self.systems = {
            phase: system_text(phase, domain, [format_example(phase, *each) for each in self.examples])
            for phase in ANSWERS
        }
        self.version = {phase: version_of(phase, text) for phase, text in self.systems.items()}

    def with_notes(self, phase: str, lines: Sequence[str]) -> Self:
        """The same prompts, with these notes in one of them."""
        other = copy(self)
        text = system_text(phase, self.domain, [format_example(phase, *each) for each in self.examples], lines)
        other.systems = {**self.systems, phase: text}
        other.version = {**self.version, phase: version_of(phase, text)}
        return other

    def build_request(self, phase: str, user: str, *, items: int = 1, repetition: int = 0) -> LLMRequest:
        """An ask whose id follows from its words; `again` tells repetitions of the same words apart."""
        system, schema = self.systems[phase], answer_schema(ANSWERS[phase])
        work_id = work_id_of(phase, self.domain.slug, self.model, system, user, schema, repetition)
        return LLMRequest(
            work_id, phase, self.domain.slug, system, user, schema, max_tokens=_TOKENS[phase] * items + 200
        )

    def requests_prompt(self, contexts: Sequence[RequestContext], *, repetition: int = 0) -> LLMRequest:
        """The ask that has a block of requests written."""
        return self.build_request("requests", scenes.block_text(contexts), items=len(contexts), repetition=repetition)

    def plans_prompt(self, requests: Sequence[tuple[str, RequestContext]], *, repetition: int = 0) -> LLMRequest:
        """The ask that has requests planned; anew under another `again`, after an answer that was cut."""
        return self.build_request("graph", scenes.requests_text(requests), items=len(requests), repetition=repetition)

    def repair_prompt(
        self,
        text: str,
        context: RequestContext,
        answer: str,
        findings: Sequence[str],
        previous: GoldTrace | None,
        *,
        repetition: int = 1,
    ) -> LLMRequest:
        """The ask that has a rejected plan mended."""
        return self.build_request(
            "graph", scenes.repair_text(text, context, answer, findings, previous), repetition=repetition
        )

    def judgement_prompt(self, trace: GoldTrace, *, repetition: int = 0) -> LLMRequest:
        """The ask that has a trace judged; the same trace is judged anew under another `again`."""
        return self.build_request(
            "judgement", scenes.judgement_text(trace, context_of_trace(trace, self.domain)), repetition=repetition
        )


# --- answers ---------------------------------------------------------------------------------------------------


def texts_of(response: LLMResponse, items: int) -> list[str | Failure]:
    """The text of every item of a requests ask, or why there is none."""
    found = _items_of(WrittenRequest, response, items)
    return [" ".join(each.text.split()) if isinstance(each, WrittenRequest) else each for each in found]


def plans_of(response: LLMResponse, items: int) -> list[PlanAnswer | Failure]:
    """The plan of every item of a graph ask, or why there is none."""
    return _items_of(PlanAnswer, response, items)


def _items_of(model: type[ItemT], answer: LLMResponse, items: int) -> list[ItemT | Failure]:
    if answer.text is None:
        return [failure_of(answer)] * items
    try:
        found = parse_items(model, answer.text)
    except BadAnswerError as error:
        return [Failure("bad_answer", str(error))] * items
    left_out = BadAnswerError("the answer leaves this item out")
    listed = [found.get(number, left_out) for number in range(1, items + 1)]
    return [each if isinstance(each, model) else Failure("bad_answer", str(each)) for each in listed]


def trace_or_failure(
    plan: PlanAnswer, text: str, context: RequestContext, identity: TraceIdentity
) -> GoldTrace | Failure:
    """The trace that a plan makes, unproven."""
    try:
        return trace_from_plan(plan, text, context, identity)
    except BadAnswerError as error:
        return Failure("bad_answer", str(error))


def judgement_of(response: LLMResponse) -> JudgementAnswer | Failure:
    """The verdict that a judgement answer holds."""
    if response.text is None:
        return failure_of(response)
    try:
        return parse_answer(JudgementAnswer, response.text)
    except BadAnswerError as error:
        return Failure("bad_answer", f"judgement: {error}")


def failure_of(response: LLMResponse) -> Failure:
    """Why there is no text: a refusal by its category, an answer that was cut, or none that came."""
    problem = response.problem or "error:unknown"
    if problem.startswith("refusal:"):
        return Failure(problem, "Claude declined; the item is left out and not asked for again")
    if problem == DOMAIN_STOPPED:
        return Failure("refusal:domain_stopped", "Claude declined so often that the domain is asked no further")
    if not response.arrived:
        return Failure(NO_RESPONSE, ": ".join(filter(None, [problem, response.error_text])))
    return Failure("bad_answer", f"the answer ended with {problem}")


def sample_requests(phases: DomainPrompts, contexts: Sequence[RequestContext], plans: int = 1) -> list[LLMRequest]:
    """One ask of each phase, as long as real ones are: what an estimate is made from.

    Raises:
        OracleError: no trace of the domain's scenarios is proven, so there is no example to go by.

    """
    if not phases.examples:
        raise OracleError(
            f"{phases.domain.slug}: none of its scenarios gives a proven trace; mend the domain file first"
        )
    trace, setting = phases.examples[0]
    return [
        phases.requests_prompt(contexts),
        phases.plans_prompt([(trace.request.text, setting)] * plans),
        phases.judgement_prompt(trace),
    ]


def answer_lengths(phases: DomainPrompts) -> dict[str, float]:
    """Characters of an answer by phase: plans as long as those of the examples, requests as theirs."""
    plans = [len(scenes.compact_json(plan_from_trace(trace, setting.world))) for trace, setting in phases.examples]
    texts = [len(trace.request.text) + 30 for trace, _ in phases.examples]
    return {"graph": sum(plans) / len(plans), "requests": sum(texts) / len(texts), "judgement": 200.0}


# --- examples --------------------------------------------------------------------------------------------------

Example = tuple[GoldTrace, RequestContext]


def _examples(domain: Domain, oracle: ScenarioOracle, proves: Proves) -> Iterator[Example]:
    """Proven traces of the embedded oracle, of different intents first and then of any other scenario."""
    found: dict[str, Example] = {}
    for index in range(min(_TRIED, 40 * len(domain.file.scenarios))):
        if scheduled_scenario(domain, oracle.seed, "train", index)[0] in found:
            continue
        trace = oracle.trace(Task(domain, "train", index))
        if isinstance(trace, GoldTrace) and _round_trips(trace, domain) and proves(trace):
            found[str(trace.metadata["scenario"])] = trace, context_of_trace(trace, domain)
    by_calls = sorted(found.values(), key=lambda each: -min(len(each[0].graph.calls), 5))
    by_intent = {each[1].intent: each for each in reversed(by_calls)}
    rest = [each for each in by_calls if all(each is not other for other in by_intent.values())]
    yield from [*by_intent.values(), *rest][:EXAMPLES]


def _round_trips(trace: GoldTrace, domain: Domain) -> bool:
    """Whether the answer told of a trace gives its goal and calls again."""
    setting = context_of_trace(trace, domain)
    try:
        again = trace_from_plan(
            plan_from_trace(trace, setting.world),
            trace.request.text,
            setting,
            TraceIdentity(trace.trace_id, trace.created_at, trace.metadata),
        )
    except BadAnswerError:
        return False
    return again.goal == trace.goal and [c.arguments for c in again.graph.calls] == [
        c.arguments for c in trace.graph.calls
    ]


def format_example(phase: str, trace: GoldTrace, context: RequestContext) -> str:
    """An example in the form of the phase's own question and answer."""
    if phase == "requests":
        return f"{scenes.item_text(1, context)}\n-> {trace.request.text}"
    if phase == "judgement":
        return scenes.judgement_text(trace, context)
    plan = scenes.compact_json(plan_from_trace(trace, context.world))
    return f"{scenes.request_text(trace.request.text, context)}\nAnswer: {plan}"
