"""An oracle that proposes traces with Claude in three phases, and repairs rejected plans with their findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby

from gatling_sid.digests import digest_for_judgement
from gatling_sid.errors import OracleError
from gatling_sid.models import GoldTrace
from gatling_sid.novelty import Novelty
from gatling_sid.oracle.claude.accounting.ledger import RESUME_HINT
from gatling_sid.oracle.claude.messages.api_format import DEFAULT_MODEL
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, SyncClient
from gatling_sid.oracle.claude.plans.answers import JudgementAnswer, PlanAnswer
from gatling_sid.oracle.claude.plans.request_context import DEFAULT_BLOCK_SIZE, RequestContext, draw_context
from gatling_sid.oracle.claude.plans.to_trace import TraceIdentity
from gatling_sid.oracle.claude.prompts.phases import (
    DomainPrompts,
    judgement_of,
    plans_of,
    texts_of,
    trace_or_failure,
)
from gatling_sid.oracle.claude.prompts.system_prompts import prompt_of
from gatling_sid.oracle.claude.prompts.user_prompts import compact_json
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Failure, FailureKind, Judge, Task
from gatling_sid.scenarios.schedule import WORLD_SIZE
from gatling_sid.schemas.domain import Domain
from gatling_sid.seeding import stream

_MAX_JUDGEMENTS = 3  # of a trace: two that agree decide
MAX_PLANS = 3
"""Plans for a request: the first, and two repairs with the findings of the plan before."""
_MAX_REQUESTS = 12  # for a task before it is given up: a competent model never needs so many
_MIN_GIVEN_UP = 40  # requests of a domain before their share can stop a run; fewer may be bad luck
_MAX_GIVEN_UP_SHARE = 0.7  # of a domain's requests: beyond it, a run costs more than it gives
_MAX_UNANSWERED = 2 * MAX_PLANS  # in a row for one task: as many as the plans of two requests
EXAMPLE_SEED = 0
"""Fixed, since the examples are a part of the cached prompts of all runs."""
Proposal = GoldTrace | Failure


@dataclass(frozen=True)
class Draft:
    """The request that was written for a task, and the last plan for it."""

    context: RequestContext
    text: str
    plan: PlanAnswer | None = None
    plans_requested: int = 0


class ClaudeOracle:
    """Proposes traces, and keeps the drafts of pending tasks, so that rejected plans can be repaired.

    A trace is proposed only if Claude's own judgement of it is favourable; the validator decides whether it is gold.
    """

    name = "claude"
    max_attempts = MAX_PLANS * _MAX_REQUESTS

    def __init__(
        self,
        client: SyncClient,
        judge: Judge,
        *,
        seed: int,
        created_at: datetime,
        model: str = DEFAULT_MODEL,
        block_size: int = DEFAULT_BLOCK_SIZE,
        plans_per_call: int = 1,
        judge_share: float = 1.0,
    ) -> None:
        """`block_size` requests are written per call; Claude judges the share `judge_share` of the gold traces.

        Without batches, one plan per call is cheapest, since the cached prefix costs a tenth. In batches the prefix is
        often not read from the cache, so plan several requests per call.
        """
        self.seed = seed
        self.created_at = created_at
        self.model = model
        self.block_size = block_size
        self.plans_per_call = plans_per_call
        self.judge_share = judge_share
        self._client = client
        self._judge = judge
        self._prompts: dict[str, DomainPrompts] = {}
        self._drafts: dict[str, Draft] = {}
        self._novelty = Novelty()
        self._request_counts: Counter[str] = Counter()
        self._given_up: Counter[str] = Counter()
        self._unanswered: Counter[str] = Counter()
        self._is_blameless: dict[str, bool] = {}

    def prompts_of(self, domain: Domain) -> DomainPrompts:
        """The prompts of a domain, made at the first call."""
        if domain.digest not in self._prompts:
            examples = ScenarioOracle(EXAMPLE_SEED, self.created_at)
            self._prompts[domain.digest] = DomainPrompts(
                domain, self.model, examples, lambda trace: not self._judge.findings(trace)
            )
        return self._prompts[domain.digest]

    def remember_texts(self, texts: Iterable[str]) -> None:
        """Notes texts that exist already, such as those of finished shards; a request that nearly copies one is rejected."""
        for text in texts:
            self._novelty.add_if_new(text)

    # The phases one by one

    def request_texts(self, tasks: Sequence[Task]) -> list[str | Failure]:
        """The text of a request for each task, or why there is none."""
        problems = self._write_requests(tasks)
        found = [problems.get(task.trace_id) or self._drafts[task.trace_id].text for task in tasks]
        return [each for each in found if not isinstance(each, GoldTrace)]

    def plan_request(self, task: Task, text: str, context: RequestContext) -> Proposal:
        """A trace for any request, planned as if it were the request of the task."""
        self._drafts[task.trace_id] = Draft(context, text)
        return self._plan_requests([task])[task.trace_id]

    # The oracle protocol

    def propose(self, tasks: Sequence[Task]) -> list[Proposal]:
        """One proposal per task: a request is written and planned, or a rejected plan is repaired.

        A request that Claude refuses, that nearly copies another, that Claude's judgement rejects, or that gets no gold
        plan in three attempts is replaced by another.

        Raises:
            OracleError: most requests of a domain were given up, so something is wrong, and more would only cost money.
                Or the API does not respond to what a task needs; a task is never given up for that.

        """
        wanted = {task.trace_id for task in tasks}
        self._drafts = {
            t: draft for t, draft in self._drafts.items() if t in wanted and draft.plans_requested < MAX_PLANS
        }
        new = [task for task in tasks if task.trace_id not in self._drafts]
        self._count_requests(new)
        results = self._write_requests(new)
        results |= self._plan_requests([task for task in tasks if task.trace_id not in results])
        gold = {
            trace_id: each
            for trace_id, each in results.items()
            if isinstance(each, GoldTrace) and not self._judge.findings(each)
        }
        results |= self._judge_gold(gold)
        results |= self._near_copies(results[trace_id] for trace_id in gold)
        for task in tasks:
            self._count_unanswered(task.trace_id, results[task.trace_id])
            self._forget_unrepairable(task.trace_id, results[task.trace_id])
        return [results[task.trace_id] for task in tasks]

    def _near_copies(self, proposals: Iterable[Proposal]) -> dict[str, Proposal]:
        """Failures for traces whose requests nearly copy another; checked last, so that only texts in use are noted."""
        traces = [each for each in proposals if isinstance(each, GoldTrace)]
        copies = [each.trace_id for each in traces if not self._novelty.add_if_new(each.request.text)]
        failure = Failure("near_copy", "another request says nearly the same", FailureKind.UNREPAIRABLE)
        return dict.fromkeys(copies, failure)

    def _count_unanswered(self, trace_id: str, proposal: Proposal) -> None:
        """Stops a run whose task gets no response again and again; otherwise the task would count as given up.

        Raises:
            OracleError: the API did not respond `_MAX_UNANSWERED` times in a row.

        """
        if not isinstance(proposal, Failure) or proposal.kind is not FailureKind.NO_RESPONSE:
            self._unanswered.pop(trace_id, None)
            return
        self._unanswered[trace_id] += 1
        if self._unanswered[trace_id] >= _MAX_UNANSWERED:
            raise OracleError(
                f"{trace_id}: no response {_MAX_UNANSWERED} times in a row, the last with {proposal.detail}; {RESUME_HINT}"
            )

    def _forget_unrepairable(self, trace_id: str, proposal: Proposal) -> None:
        """Drops the draft of a request that must be replaced; without findings, a plan cannot be repaired either."""
        self._is_blameless.pop(trace_id, None)
        if not isinstance(proposal, Failure):
            return
        self._is_blameless[trace_id] = proposal.kind in (FailureKind.REFUSED, FailureKind.NO_RESPONSE)
        draft = self._drafts.get(trace_id)
        no_findings = proposal.kind is FailureKind.NO_RESPONSE and draft is not None and draft.plan is not None
        if no_findings or not proposal.is_repairable:
            self._drafts.pop(trace_id, None)

    def _count_requests(self, new: Sequence[Task]) -> None:
        """Stops a run that must replace request after request.

        Raises:
            OracleError: most requests of a domain were given up, not counting those that Claude refused.

        """
        for task in new:
            slug = task.domain.slug
            self._request_counts[slug] += 1
            self._given_up[slug] += task.attempt > 0 and not self._is_blameless.get(task.trace_id, False)
            if self._given_up[slug] > max(_MIN_GIVEN_UP, _MAX_GIVEN_UP_SHARE * self._request_counts[slug]):
                raise OracleError(
                    f"{task.domain.name}: {self._given_up[slug]} of {self._request_counts[slug]} requests had to be given up, "
                    f"the last for: {'; '.join(task.findings)[:300]}. Try scripts.tune_prompts, or another model"
                )

    # Requests

    def _write_requests(self, tasks: Sequence[Task]) -> dict[str, Proposal]:
        """Writes drafts for tasks; returns the failures of those that got no request."""
        blocks = [list(each) for _, each in groupby(tasks, self._block_of)]
        contexts = [[self.request_context(task) for task in block] for block in blocks]
        requests = [
            self.prompts_of(block[0].domain).requests_prompt(each, repetition=block[0].attempt)
            for block, each in zip(blocks, contexts, strict=True)
        ]
        failures: dict[str, Proposal] = {}
        for block, each, response in zip(blocks, contexts, self._client.complete(requests), strict=True):
            for task, context, text in zip(block, each, texts_of(response, len(block)), strict=True):
                if isinstance(text, Failure):
                    failures[task.trace_id] = text
                else:
                    self._drafts[task.trace_id] = Draft(context, text)
        return failures

    def _block_of(self, task: Task) -> tuple[str, str, int, int]:
        """Tasks with the same value are written in one call, as they share policy and world."""
        return task.domain.digest, task.split, task.index // self.block_size, task.index // WORLD_SIZE

    def request_context(self, task: Task) -> RequestContext:
        """The context that the request of a task is written for."""
        return draw_context(task, self.seed, prompt_of("requests").conditions, self.block_size)

    # Graphs

    def _plan_requests(self, tasks: Sequence[Task]) -> dict[str, Proposal]:
        """Proposals for tasks that have drafts: several new requests per call, but one repair per call."""
        new = [task for task in tasks if self._drafts[task.trace_id].plan is None]
        groups = [
            group for _, block in groupby(new, self._block_of) for group in _chunks([*block], self.plans_per_call)
        ]
        repairs = [task for task in tasks if self._drafts[task.trace_id].plan is not None]
        requests = [*map(self._plans_request, groups), *map(self._repair_request, repairs)]
        proposals: dict[str, Proposal] = {}
        responses = self._client.complete(requests)
        for group, response in zip([*groups, *([task] for task in repairs)], responses, strict=True):
            for task, plan in zip(group, plans_of(response, len(group)), strict=True):
                proposals[task.trace_id] = self._proposal(task, plan)
        return proposals

    def _proposal(self, task: Task, plan: PlanAnswer | Failure) -> Proposal:
        draft = self._drafts[task.trace_id]
        count = draft.plans_requested + 1
        if isinstance(plan, Failure):
            self._drafts[task.trace_id] = replace(draft, plans_requested=count)
            return plan
        text = plan.reworded.strip() or draft.text
        self._drafts[task.trace_id] = replace(draft, text=text, plan=plan, plans_requested=count)
        return trace_or_failure(plan, draft.text, draft.context, self.identity(task))

    def _plans_request(self, group: Sequence[Task]) -> LLMRequest:
        drafts = [self._drafts[task.trace_id] for task in group]
        return self.prompts_of(group[0].domain).plans_prompt(
            [(draft.text, draft.context) for draft in drafts], repetition=drafts[0].plans_requested
        )

    def _repair_request(self, task: Task) -> LLMRequest:
        draft = self._drafts[task.trace_id]
        assert draft.plan is not None
        plan = compact_json(draft.plan.model_copy(update={"item": 1}))
        return self.prompts_of(task.domain).repair_prompt(
            draft.text, draft.context, plan, task.findings, task.previous, repetition=draft.plans_requested
        )

    def identity(self, task: Task) -> TraceIdentity:
        """The id, time and metadata of the trace of a task."""
        metadata = {
            "oracle": self.name,
            "scenario": "free_form",
            "attempt": task.attempt,
            "model": self.model,
            "prompts": [self.prompts_of(task.domain).versions[phase] for phase in ("requests", "graph")],
        }
        return TraceIdentity(task.trace_id, self.created_at, metadata)

    # Judgement

    def _judge_gold(self, gold: Mapping[str, GoldTrace]) -> dict[str, Proposal]:
        """Claude's judgements of gold traces: the traces with a note of them, or failures.

        One favourable judgement is enough. After an unfavourable one, the majority of three decides.
        """
        pending: dict[str, tuple[GoldTrace, list[JudgementAnswer]]] = {
            trace_id: (each, []) for trace_id, each in gold.items() if self._is_judged(trace_id)
        }
        results: dict[str, Proposal] = {}
        unclear = Failure("judged", "Claude came to no clear opinion", FailureKind.UNREPAIRABLE)
        failures = dict.fromkeys(pending, unclear)
        for repetition in range(_MAX_JUDGEMENTS):
            traces = [trace for trace, _ in pending.values()]
            requests = [self.prompts_of_trace(each).judgement_prompt(each, repetition=repetition) for each in traces]
            for trace, response in zip(traces, self._client.complete(requests), strict=True):
                judgement, judgements = judgement_of(response), pending[trace.trace_id][1]
                if isinstance(judgement, JudgementAnswer):
                    judgements.append(judgement)
                decision: Proposal | None = _decide(trace, judgements, self.model)
                if isinstance(judgement, Failure) and judgement.kind is FailureKind.REFUSED:
                    decision = judgement
                if isinstance(judgement, Failure) and judgement.kind is FailureKind.NO_RESPONSE:
                    failures[trace.trace_id] = judgement
                if decision is not None:
                    results[trace.trace_id] = decision
                    del pending[trace.trace_id]
        return results | {trace_id: failures[trace_id] for trace_id in pending}

    def prompts_of_trace(self, trace: GoldTrace) -> DomainPrompts:
        """The prompts that a trace of this oracle was made with."""
        return self._prompts[str(trace.metadata["catalogue"])]

    def _is_judged(self, trace_id: str) -> bool:
        return stream(self.seed, trace_id, "judged by claude").random() < self.judge_share


def _decide(trace: GoldTrace, judgements: Sequence[JudgementAnswer], model: str) -> Proposal | None:
    """The trace with its verdict in the metadata, a failure, or None if another judgement is needed."""
    good = [each for each in judgements if each.is_favourable]
    bad = [each for each in judgements if not each.is_favourable]
    if len(bad) > 1:
        return Failure("judged", bad[-1].why, FailureKind.UNREPAIRABLE)
    if len(good) > len(bad):
        verdict = {
            "judge": model,
            "favourable": len(good),
            "of": len(judgements),
            "digest": digest_for_judgement(trace),
        }
        return trace.model_copy(update={"metadata": {**trace.metadata, "verdict": verdict}})
    return None


def _chunks(tasks: list[Task], size: int) -> list[list[Task]]:
    return [tasks[at : at + size] for at in range(0, len(tasks), size)]
