"""Simulates Claude in memory: it answers LLM requests well, or wrongly in a way that a test chooses.

It knows what the embedded oracle knows: it writes, plans and judges requests with scenarios of the catalogue, drawn for
the person, the policy and the world of the LLM request.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gatling_sid.models import GoldTrace, ToolCallGraph, UserRequest
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, LLMResponse, ResponseProblem, Usage
from gatling_sid.oracle.claude.oracle import ClaudeOracle
from gatling_sid.oracle.claude.plans.answers import BadAnswerError, PlanAnswer
from gatling_sid.oracle.claude.plans.from_trace import plan_from_trace
from gatling_sid.oracle.claude.plans.request_context import RequestContext
from gatling_sid.oracle.claude.prompts.answer_schemas import answer_schema
from gatling_sid.oracle.claude.prompts.phases import TRACE_PHASES
from gatling_sid.oracle.claude.prompts.user_prompts import item_text
from gatling_sid.oracle.embedded.oracle import render_call
from gatling_sid.oracle.embedded.planning import plan_instance
from gatling_sid.oracle.protocol import Task
from gatling_sid.scenarios.drawing import NoDrawError, draw, evaluate
from gatling_sid.scenarios.goals import goal_of
from gatling_sid.scenarios.instances import Instance
from gatling_sid.scenarios.limits import limits_of
from gatling_sid.scenarios.rendering import render_request
from gatling_sid.scenarios.scheduled_request import ScheduledRequest, sentence_ends
from gatling_sid.seeding import seed_of, stream

APPROVAL = {"serves_request": True, "nothing_beyond": True, "compliant": True, "violations": [], "why": "It fits."}
EditText = Callable[[LLMRequest, str], str | None]
"""The text to answer instead of the good one: `!refusal:…` and `!max_tokens` are problems, None leaves it as it is."""
# A scenario may find no rows; this is far more draws than there are scenarios.
_MAX_DRAWS = 60


def trace_for(context: RequestContext, number: int) -> GoldTrace | None:
    """A request and its plan for a context, or None if no scenario fits; another `number` gives another one."""
    world, domain = context.world, context.domain
    rng = stream("stand-in", context.principal.principal_id, context.intent, number)
    member = domain.family.member_of(context.policy.policy_id)
    assert member is not None
    scenarios = world.scenarios
    fitting = [name for name, each in scenarios.items() if each.intent == context.intent]
    fitting = [name for name in fitting if context.principal.role in scenarios[name].roles] or fitting
    limits = limits_of(domain, context.principal.role, member)
    for _ in range(_MAX_DRAWS if fitting else 0):
        name = rng.choice(fitting)
        scenario, rules = scenarios[name], domain.family.rules_in_force(member)
        axes = domain.family.axis_values_of(member)
        try:
            start = {"principal": context.principal.attributes, "policy": axes, "limits": limits}
            bindings = draw(scenario, world, start, rng)
            goal = goal_of(scenario, domain, bindings, rules)
            slots = {each: evaluate(value, bindings) for each, value in scenario.slots.items()}
        except NoDrawError:
            continue
        instance = Instance(context.principal, context.policy, rules, goal, slots)
        plan = plan_instance(world, name, instance)
        rendered = render_request(scenarios, name, number, slots, world.today, rng)
        moment = datetime.combine(world.today, datetime.min.time(), tzinfo=UTC)
        request = UserRequest(
            request_id="r",
            domain=domain.name,
            text=" ".join(rendered.text.split()),
            intent_category=context.intent,
            principal=context.principal,
        )
        scheduled = ScheduledRequest(name, 0, world, instance, rendered, sentence_ends(rendered), moment)
        calls = [render_call(each, scheduled, "r") for each in plan.calls]
        return GoldTrace(
            trace_id="t",
            request=request,
            policy=context.policy,
            graph=ToolCallGraph(graph_id="g", calls=calls, execution_order=plan.order),
            goal=goal,
        )
    return None


class SimulatedClaude:
    """Completes LLM requests about known contexts, and keeps what it received."""

    def __init__(self, contexts: Iterable[RequestContext], edit_text: EditText = lambda _request, _text: None) -> None:
        self._remaining_contexts = iter(contexts)
        self._contexts: dict[str, RequestContext] = {}
        self._edit_text = edit_text
        self._plans: dict[str, PlanAnswer] = {}
        self.requests: list[LLMRequest] = []

    async def complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        """Returns one response per request, in the same order."""
        return [self._response(request) for request in requests]

    def text_for_body(self, body: dict[str, Any]) -> str:
        """The text of the answer to the body of an API call, for a local server."""
        schema = body["output_config"]["format"]["schema"]
        phase = next(each for each in TRACE_PHASES if answer_schema(each) == schema)
        system, user = body["system"][0]["text"], body["messages"][0]["content"]
        return self._text(LLMRequest("served", phase, "", system, user, schema, body["max_tokens"]))

    def count_phases(self) -> Counter[str]:
        """The number of requests that were received, by phase."""
        return Counter(request.phase for request in self.requests)

    def _response(self, request: LLMRequest) -> LLMResponse:
        self.requests.append(request)
        text = self._text(request)
        edited = self._edit_text(request, text)
        usage = Usage(input_tokens=100, output_tokens=len(text) // 4)
        if edited is not None and edited.startswith("!"):
            return LLMResponse(request.work_id, None, ResponseProblem.from_text(edited[1:]), usage, 0.001)
        return LLMResponse(request.work_id, text if edited is None else edited, None, usage, 0.001)

    def _text(self, request: LLMRequest) -> str:
        answers = {"requests": self._request_texts, "graph": self._plan_items, "judgement": self._approval}
        return answers[request.phase](request)

    def _request_texts(self, request: LLMRequest) -> str:
        items = []
        for block in request.user.split("\n\n")[1:]:
            head, _, body = block.partition("\n")
            context = self._context(body)
            number = seed_of(body) % 400
            trace = trace_for(context, number)
            person = context.principal.principal_id
            text = f"Please do nothing at all, {person} {number}."
            with suppress(BadAnswerError):  # not every trace of the embedded oracle can be stated
                if trace:
                    self._plans[trace.request.text] = plan_from_trace(trace, context.world)
                    text = trace.request.text
            items.append({"item": int(head.removeprefix("Item ")), "text": text})
        return json.dumps({"items": items})

    def _context(self, body: str) -> RequestContext:
        """The context that an item of a prompt was made from."""
        while body not in self._contexts:
            context = next(self._remaining_contexts)
            self._contexts[item_text(0, context).partition("\n")[2]] = context
        return self._contexts[body]

    def _plan_items(self, request: LLMRequest) -> str:
        texts = [line.removeprefix("Request: ") for line in request.user.split("\n") if line.startswith("Request: ")]
        plans = [self._plans.get(text) for text in texts]
        items = [p.model_copy(update={"item": n}).model_dump() for n, p in enumerate(plans, start=1) if p]
        return json.dumps({"items": items})

    def _approval(self, _request: LLMRequest) -> str:
        return json.dumps(APPROVAL)


def contexts_of(oracle: ClaudeOracle, tasks: Sequence[Task]) -> Iterator[RequestContext]:
    """The contexts of tasks, all of one attempt before those of the next."""
    for attempt in range(oracle.max_attempts):
        for task in tasks:
            yield oracle.request_context(replace(task, attempt=attempt))
