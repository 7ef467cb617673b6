"""A stand-in for Claude that answers asks in memory: competent, or wrong in a way that a test chooses.

It knows what the embedded oracle knows: requests are worded, planned and judged from scenarios of the catalogue drawn
for the very person, policy and world of the ask.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gatling_sid.models import GoldTrace, ToolCallGraph, UserRequest
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, LLMResponse, Usage
from gatling_sid.oracle.claude.oracle import ClaudeOracle
from gatling_sid.oracle.claude.plans.answers import PlanAnswer
from gatling_sid.oracle.claude.plans.from_trace import plan_from_trace
from gatling_sid.oracle.claude.plans.request_context import RequestContext
from gatling_sid.oracle.claude.prompts.user_prompts import item_text
from gatling_sid.oracle.embedded.oracle import render_call
from gatling_sid.oracle.embedded.planning import plan_instance
from gatling_sid.oracle.protocol import Task
from gatling_sid.scenarios.drawing import NoDrawError, draw, evaluate
from gatling_sid.scenarios.goals import goal_of
from gatling_sid.scenarios.instances import TaskInstance
from gatling_sid.scenarios.rendering import render_request
from gatling_sid.scenarios.scheduled_request import ScheduledRequest, sentence_ends
from gatling_sid.seeding import seed_of, stream

APPROVAL = {"serves_request": True, "nothing_beyond": True, "compliant": True, "violations": [], "why": "It fits."}
Spoils = Callable[[LLMRequest, str], str | None]
"""What an ask is answered instead of the competent text: `!refusal:…` and `!max_tokens` are problems, None nothing new."""


def trace_for(setting: RequestContext, use: int) -> GoldTrace | None:
    """A request and its plan, for this person under this policy in this world, or None if no scenario fits."""
    world, domain = setting.world, setting.domain
    rng = stream("stand-in", setting.principal.principal_id, setting.intent, use)
    member = tuple(int(each) for each in setting.policy.policy_id.partition("-")[2].split("."))
    fitting = [n for n, each in domain.file.scenarios.items() if each.intent == setting.intent]
    fitting = [n for n in fitting if setting.principal.role in domain.file.scenarios[n].roles] or fitting
    for _ in range(60 if fitting else 0):
        name = rng.choice(fitting)
        scenario, rules = domain.file.scenarios[name], domain.family.rules_in_force(member)
        try:
            start = {"principal": setting.principal.attributes, "policy": domain.family.axis_values_of(member)}
            bindings = draw(scenario, world, start, rng)
            goal = goal_of(scenario, domain, bindings, rules)
            slots = {each: evaluate(value, bindings) for each, value in scenario.slots.items()}
        except NoDrawError:
            continue
        instance = TaskInstance(setting.principal, setting.policy, rules, goal, slots)
        plan = plan_instance(world, name, instance)
        said = render_request(domain, name, "train", use, slots, world.today, rng)
        moment = datetime.combine(world.today, datetime.min.time(), tzinfo=UTC)
        request = UserRequest(
            request_id="r",
            domain=domain.name,
            text=" ".join(said.text.split()),
            intent_category=setting.intent,
            principal=setting.principal,
        )
        asking = ScheduledRequest(name, 0, world, instance, said, sentence_ends(said), moment)
        calls = [render_call(each, asking, "r") for each in plan.calls]
        return GoldTrace(
            trace_id="t",
            request=request,
            policy=setting.policy,
            graph=ToolCallGraph(graph_id="g", calls=calls, execution_order=plan.order),
            goal=goal,
        )
    return None


class Model:
    """Answers asks about the settings it was told of; counts what it was asked."""

    def __init__(self, settings: Iterable[RequestContext], spoils: Spoils = lambda _ask, _text: None) -> None:
        self._more = iter(settings)
        self._settings: dict[str, RequestContext] = {}
        self._spoils = spoils
        self._plans: dict[str, PlanAnswer] = {}
        self.asked: list[LLMRequest] = []
        self.paid: Counter[str] = Counter()

    async def complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        """In the order of the asks."""
        return [self._answer(ask) for ask in requests]

    def speak(self, body: dict[str, Any]) -> str:
        """The same model behind a server: the text it answers to the body of a call."""
        schema = body["output_config"]["format"]["schema"]
        phase = {"RequestsAnswer": "requests", "PlansAnswer": "graph", "JudgementAnswer": "judgement"}[schema["title"]]
        system, user = body["system"][0]["text"], body["messages"][0]["content"]
        return self._text(LLMRequest("served", phase, "", system, user, schema, body["max_tokens"]))

    def phases(self) -> Counter[str]:
        """How many asks of each phase came."""
        return Counter(ask.phase for ask in self.asked)

    def _answer(self, ask: LLMRequest) -> LLMResponse:
        self.asked.append(ask)
        self.paid[ask.work_id] += 1
        text = self._text(ask)
        spoilt = self._spoils(ask, text)
        usage = Usage(input_tokens=100, output_tokens=len(text) // 4)
        if spoilt is not None and spoilt.startswith("!"):
            return LLMResponse(ask.work_id, None, spoilt[1:], usage, 0.001)
        return LLMResponse(ask.work_id, text if spoilt is None else spoilt, None, usage, 0.001)

    def _text(self, ask: LLMRequest) -> str:
        return {"requests": self._written, "graph": self._planned, "judgement": self._judged}[ask.phase](ask)

    def _written(self, ask: LLMRequest) -> str:
        items = []
        for block in ask.user.split("\n\n")[1:]:
            head, _, body = block.partition("\n")
            setting = self._setting(body)
            use = seed_of(body) % 400
            trace = trace_for(setting, use)
            text = trace.request.text if trace else f"Please do nothing at all, {setting.principal.principal_id} {use}."
            if trace:
                self._plans[text] = plan_from_trace(trace, setting.world)
            items.append({"item": int(head.removeprefix("Item ")), "text": text})
        return json.dumps({"items": items})

    def _setting(self, body: str) -> RequestContext:
        """The setting that an item of a requests ask was made from."""
        while body not in self._settings:
            setting = next(self._more)
            self._settings[item_text(0, setting).partition("\n")[2]] = setting
        return self._settings[body]

    def _planned(self, ask: LLMRequest) -> str:
        texts = [line.removeprefix("Request: ") for line in ask.user.split("\n") if line.startswith("Request: ")]
        plans = [self._plans.get(text) for text in texts]
        items = [p.model_copy(update={"item": n}).model_dump() for n, p in enumerate(plans, start=1) if p]
        return json.dumps({"items": items})

    def _judged(self, _ask: LLMRequest) -> str:
        return json.dumps(APPROVAL)


def settings_of(oracle: ClaudeOracle, tasks: Sequence[Task]) -> Iterator[RequestContext]:
    """The settings of tasks, all of an attempt before those of the next."""
    for attempt in range(oracle.max_attempts):
        for task in tasks:
            yield oracle.request_context(replace(task, attempt=attempt))
