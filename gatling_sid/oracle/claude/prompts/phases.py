"""The prompts of a domain in the three phases of a trace (requests, graph, judgement), and parsers for the responses."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Self

from gatling_sid.errors import OracleError
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.claude.accounting.refusals import DOMAIN_STOPPED
from gatling_sid.oracle.claude.messages.llm_request import (
    LLMRequest,
    LLMResponse,
    ProblemKind,
    work_id_of,
)
from gatling_sid.oracle.claude.plans.answers import (
    BadAnswerError,
    ItemT,
    JudgementAnswer,
    PlanAnswer,
    WrittenRequest,
    parse_answer,
    parse_items,
)
from gatling_sid.oracle.claude.plans.from_trace import plan_from_trace
from gatling_sid.oracle.claude.plans.request_context import RequestContext, context_of_trace
from gatling_sid.oracle.claude.plans.to_trace import TraceIdentity, trace_from_plan
from gatling_sid.oracle.claude.prompts import user_prompts
from gatling_sid.oracle.claude.prompts.answer_schemas import answer_schema
from gatling_sid.oracle.claude.prompts.system_prompts import prompt_version, system_text
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Failure, FailureKind, Task
from gatling_sid.scenarios.schedule import scheduled_scenario
from gatling_sid.schemas.domain import Domain

TRACE_PHASES = ("requests", "graph", "judgement")
"""The phases that a trace goes through; other phases write domain files and notes."""
EXAMPLES_PER_PROMPT = 4
"""Worked examples in a prompt: enough to show different intents; more make each API call more expensive."""
NO_RESPONSE = "unanswered"
"""The reason of a failure without a response: no message came, and nothing was paid."""
# Indices searched for examples; every scenario occurs in them.
_MAX_INDICES = 400
_TOKENS_PER_ITEM = {"requests": 160, "graph": 3000, "judgement": 600}
"""Output tokens that an item may take: well above what the examples take, so that almost no answer is cut."""
# Output tokens for the JSON around the items.
_TOKENS_AROUND = 200
GoldTest = Callable[[GoldTrace], bool]
Example = tuple[GoldTrace, RequestContext]


class DomainPrompts:
    """The prompts of one domain; their examples are drawn once, and only gold traces are examples."""

    def __init__(self, domain: Domain, model: str, oracle: ScenarioOracle, is_gold: GoldTest) -> None:
        """`oracle` makes the examples, `is_gold` judges them; `model` is part of every work id."""
        self.domain = domain
        self.model = model
        self.examples = choose_examples(domain, oracle, is_gold)
        self.system_prompts = {
            phase: system_text(phase, domain, [format_example(phase, *each) for each in self.examples])
            for phase in TRACE_PHASES
        }
        self.versions = {phase: prompt_version(phase, text) for phase, text in self.system_prompts.items()}

    def with_notes(self, phase: str, lines: Sequence[str]) -> Self:
        """The same prompts, with these notes instead of the present ones in the prompt of one phase."""
        other = copy(self)
        text = system_text(phase, self.domain, [format_example(phase, *each) for each in self.examples], lines)
        other.system_prompts = {**self.system_prompts, phase: text}
        other.versions = {**self.versions, phase: prompt_version(phase, text)}
        return other

    def build_request(self, phase: str, user: str, *, items: int = 1, repetition: int = 0) -> LLMRequest:
        """A request for `items` items. Its work id is computed from its text; another `repetition` gives another id."""
        system, schema = self.system_prompts[phase], answer_schema(phase)
        work_id = work_id_of(phase, self.domain.slug, self.model, system, user, schema, repetition)
        max_tokens = _TOKENS_PER_ITEM[phase] * items + _TOKENS_AROUND
        return LLMRequest(work_id, phase, self.domain.slug, system, user, schema, max_tokens)

    def requests_prompt(self, contexts: Sequence[RequestContext], *, repetition: int = 0) -> LLMRequest:
        """A request for the texts of a block of requests."""
        user = user_prompts.block_text(contexts)
        return self.build_request("requests", user, items=len(contexts), repetition=repetition)

    def plans_prompt(self, requests: Sequence[tuple[str, RequestContext]], *, repetition: int = 0) -> LLMRequest:
        """A request for the plans of requests; give another `repetition` after a malformed answer."""
        user = user_prompts.requests_text(requests)
        return self.build_request("graph", user, items=len(requests), repetition=repetition)

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
        """A request for a repaired plan; `answer` is the rejected plan, `previous` its trace if it gave one."""
        user = user_prompts.repair_text(text, context, answer, findings, previous)
        return self.build_request("graph", user, repetition=repetition)

    def judgement_prompt(self, trace: GoldTrace, *, repetition: int = 0) -> LLMRequest:
        """A request for a judgement of a trace; each `repetition` gives an independent one."""
        user = user_prompts.judgement_text(trace, context_of_trace(trace, self.domain))
        return self.build_request("judgement", user, repetition=repetition)


# --- responses -------------------------------------------------------------------------------------------------


def texts_of(response: LLMResponse, items: int) -> list[str | Failure]:
    """The text of each of `items` requests, or a failure."""
    found = _items_of(WrittenRequest, response, items)
    return [" ".join(each.text.split()) if isinstance(each, WrittenRequest) else each for each in found]


def plans_of(response: LLMResponse, items: int) -> list[PlanAnswer | Failure]:
    """The plan of each of `items` requests, or a failure."""
    return _items_of(PlanAnswer, response, items)


def _items_of(model: type[ItemT], response: LLMResponse, items: int) -> list[ItemT | Failure]:
    if response.text is None:
        return [failure_of(response)] * items
    try:
        found = parse_items(model, response.text)
    except BadAnswerError as error:
        return [Failure("bad_answer", str(error))] * items
    left_out = BadAnswerError("the answer does not contain this item")
    listed = [found.get(number, left_out) for number in range(1, items + 1)]
    return [each if isinstance(each, model) else Failure("bad_answer", str(each)) for each in listed]


def trace_or_failure(
    plan: PlanAnswer, text: str, context: RequestContext, identity: TraceIdentity
) -> GoldTrace | Failure:
    """The trace that a plan gives, not judged yet, or a failure that says why it gives none."""
    try:
        return trace_from_plan(plan, text, context, identity)
    except BadAnswerError as error:
        return Failure("bad_answer", str(error))


def judgement_of(response: LLMResponse) -> JudgementAnswer | Failure:
    """The judgement in a response, or a failure."""
    if response.text is None:
        return failure_of(response)
    try:
        return parse_answer(JudgementAnswer, response.text)
    except BadAnswerError as error:
        return Failure("bad_answer", f"judgement: {error}")


def failure_of(response: LLMResponse) -> Failure:
    """The failure for a response without a text: the model refused, the text was cut, or no message came."""
    problem = response.problem
    if problem is not None and problem.kind is ProblemKind.REFUSAL:
        detail = "Claude refused the request; it is not sent again"
        return Failure(str(problem), detail, FailureKind.REFUSED)
    if problem == DOMAIN_STOPPED:
        detail = "Claude refused too many requests of this domain, so no more are sent"
        return Failure("refusal:domain_stopped", detail, FailureKind.REFUSED)
    if not response.has_arrived:
        words = [str(problem or "error:unknown"), response.error_text]
        return Failure(NO_RESPONSE, ": ".join(filter(None, words)), FailureKind.NO_RESPONSE)
    return Failure("bad_answer", f"the response has no answer: {problem}")


# --- estimates -------------------------------------------------------------------------------------------------


def sample_requests(prompts: DomainPrompts, contexts: Sequence[RequestContext], plans: int = 1) -> list[LLMRequest]:
    """One request of each phase, as long as real ones, for an estimate.

    Raises:
        OracleError: no trace of the domain's scenarios is gold, so there is no example.

    """
    trace, context = first_example(prompts)
    return [
        prompts.requests_prompt(contexts),
        prompts.plans_prompt([(trace.request.text, context)] * plans),
        prompts.judgement_prompt(trace),
    ]


def first_example(prompts: DomainPrompts) -> Example:
    """The first worked example.

    Raises:
        OracleError: there is none.

    """
    if not prompts.examples:
        raise OracleError(f"{prompts.domain.slug}: no trace of its scenarios is gold; correct the domain file first")
    return prompts.examples[0]


def answer_lengths(prompts: DomainPrompts) -> dict[str, float]:
    """Mean characters of an answer's item by phase: those of the examples, and of one sentence for a judgement."""
    plans = [
        len(user_prompts.compact_json(plan_from_trace(trace, context.world))) for trace, context in prompts.examples
    ]
    texts = [len(trace.request.text) + 30 for trace, _ in prompts.examples]
    return {"graph": sum(plans) / len(plans), "requests": sum(texts) / len(texts), "judgement": 200.0}


# --- examples --------------------------------------------------------------------------------------------------


def choose_examples(domain: Domain, oracle: ScenarioOracle, is_gold: GoldTest) -> list[Example]:
    """Gold traces of the embedded oracle, each of another scenario: different intents first, then long plans.

    Only traces that would be chosen are judged, since judging a trace costs more than making it.
    """
    indices: defaultdict[str, deque[int]] = defaultdict(deque)
    for index in range(min(_MAX_INDICES, 40 * len(domain.file.scenarios) + 4 * len(domain.file.parts))):
        indices[scheduled_scenario(domain, oracle.seed, "train", index)[0]].append(index)
    candidates: dict[int, GoldTrace] = {}

    def add_candidate(scenario: str) -> None:
        while indices[scenario]:
            index = indices[scenario].popleft()
            trace = oracle.trace(Task(domain, "train", index))
            if isinstance(trace, GoldTrace):
                candidates[index] = trace
                return

    for scenario in list(indices):
        add_candidate(scenario)
    accepted: set[int] = set()
    while not accepted.issuperset(chosen := _most_different(candidates)):
        for index in [each for each in chosen if each not in accepted]:
            if _round_trips(candidates[index], domain) and is_gold(candidates[index]):
                accepted.add(index)
            else:
                add_candidate(str(candidates.pop(index).metadata["scenario"]))
    return [(candidates[index], context_of_trace(candidates[index], domain)) for index in chosen]


def _most_different(traces: Mapping[int, GoldTrace]) -> list[int]:
    """Indices of the traces to show: one for each intent, then others; those with many calls first."""
    by_calls = sorted(traces, key=lambda index: (-min(len(traces[index].graph.calls), 5), index))
    by_intent = {traces[index].request.intent_category: index for index in reversed(by_calls)}
    rest = [index for index in by_calls if index not in by_intent.values()]
    return [*by_intent.values(), *rest][:EXAMPLES_PER_PROMPT]


def _round_trips(trace: GoldTrace, domain: Domain) -> bool:
    """Whether the answer that corresponds to a trace gives its goal and the arguments of its calls again."""
    context = context_of_trace(trace, domain)
    identity = TraceIdentity(trace.trace_id, trace.created_at, trace.metadata)
    try:
        other = trace_from_plan(plan_from_trace(trace, context.world), trace.request.text, context, identity)
    except BadAnswerError:
        return False
    arguments = [call.arguments for call in trace.graph.calls]
    return other.goal == trace.goal and [call.arguments for call in other.graph.calls] == arguments


def format_example(phase: str, trace: GoldTrace, context: RequestContext) -> str:
    """An example in the form of the phase's own prompt and answer."""
    if phase == "requests":
        return f"{user_prompts.item_text(1, context)}\n-> {trace.request.text}"
    if phase == "judgement":
        return user_prompts.judgement_text(trace, context)
    plan = user_prompts.compact_json(plan_from_trace(trace, context.world))
    return f"{user_prompts.request_text(trace.request.text, context)}\nAnswer: {plan}"
