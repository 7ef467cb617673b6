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

# Judgements of one trace at most; two that agree decide.
_MAX_JUDGEMENTS = 3
MAX_PLANS = 3
"""Plans for a request: the first, and two repairs that get the findings about the previous plan."""
# Requests for one task before it is abandoned; a competent model never needs so many.
_MAX_REQUESTS = 12
# Abandoned requests of a domain before their share can stop a run; fewer may be bad luck.
_MIN_ABANDONED = 40
# Share of a domain's requests that may be abandoned; with more, a run costs more than its traces are worth.
_MAX_ABANDONED_SHARE = 0.7
# Missing responses in a row for one task before the run stops: as many as two requests have plans.
_MAX_MISSING_RESPONSES = 2 * MAX_PLANS
EXAMPLE_SEED = 0
"""The seed of the examples; fixed, since they are part of the cached prompts of all runs."""
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
        """`block_size` requests are written per API call; Claude judges the share `judge_share` of the gold traces.

        Without batches, one plan per API call is cheapest, since the cached prefix costs a tenth. In batches the prefix
        is often not read from the cache, so plan several requests per API call.
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
        self._abandoned_counts: Counter[str] = Counter()
        self._no_response_counts: Counter[str] = Counter()
        self._is_blameless: dict[str, bool] = {}

    def prompts_of(self, domain: Domain) -> DomainPrompts:
        """The prompts of a domain, which are built when they are first needed."""
        if domain.digest not in self._prompts:
            examples = ScenarioOracle(EXAMPLE_SEED, self.created_at)
            self._prompts[domain.digest] = DomainPrompts(
                domain, self.model, examples, lambda trace: not self._judge.findings(trace)
            )
        return self._prompts[domain.digest]

    def remember_texts(self, texts: Iterable[str]) -> None:
        """Records existing texts, such as those of finished shards; a request that is a near-copy of one is rejected."""
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

        A request is replaced by another if Claude refuses it, if it is a near-copy, if Claude's judgement of its trace is
        unfavourable, or if none of its three plans is gold.

        Raises:
            OracleError: most requests of a domain were abandoned, so something is wrong and more would only cost money;
                or the API does not respond to the requests of a task, which is no reason to abandon the task.

        """
        task_ids = {task.trace_id for task in tasks}
        self._drafts = {
            t: draft for t, draft in self._drafts.items() if t in task_ids and draft.plans_requested < MAX_PLANS
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
            self._count_missing_responses(task.trace_id, results[task.trace_id])
            self._forget_unrepairable(task.trace_id, results[task.trace_id])
        return [results[task.trace_id] for task in tasks]

    def _near_copies(self, proposals: Iterable[Proposal]) -> dict[str, Proposal]:
        """Failures for traces whose requests are near-copies; checked last, so that only texts in use are recorded."""
        traces = [each for each in proposals if isinstance(each, GoldTrace)]
        copies = [each.trace_id for each in traces if not self._novelty.add_if_new(each.request.text)]
        failure = Failure("near_copy", "the request is a near-copy of another one", FailureKind.UNREPAIRABLE)
        return dict.fromkeys(copies, failure)

    def _count_missing_responses(self, trace_id: str, proposal: Proposal) -> None:
        """Stops a run if a task repeatedly gets no response; otherwise the task would be abandoned without need.

        Raises:
            OracleError: the API did not respond `_MAX_UNANSWERED` times in a row.

        """
        if not isinstance(proposal, Failure) or proposal.kind is not FailureKind.NO_RESPONSE:
            self._no_response_counts.pop(trace_id, None)
            return
        self._no_response_counts[trace_id] += 1
        if self._no_response_counts[trace_id] >= _MAX_MISSING_RESPONSES:
            raise OracleError(
                f"{trace_id}: no response {_MAX_MISSING_RESPONSES} times in a row, the last with {proposal.detail}; {RESUME_HINT}"
            )

    def _forget_unrepairable(self, trace_id: str, proposal: Proposal) -> None:
        """Deletes the draft of a request that must be replaced; without findings, a plan cannot be repaired either."""
        self._is_blameless.pop(trace_id, None)
        if not isinstance(proposal, Failure):
            return
        self._is_blameless[trace_id] = proposal.kind in (FailureKind.REFUSED, FailureKind.NO_RESPONSE)
        draft = self._drafts.get(trace_id)
        no_findings = proposal.kind is FailureKind.NO_RESPONSE and draft is not None and draft.plan is not None
        if no_findings or not proposal.is_repairable:
            self._drafts.pop(trace_id, None)

    def _count_requests(self, new: Sequence[Task]) -> None:
        """Counts new requests, and stops a run that must replace most of them.

        Raises:
            OracleError: most requests of a domain were abandoned, not counting those without a response or a refusal of Claude.

        """
        for task in new:
            slug = task.domain.slug
            self._request_counts[slug] += 1
            self._abandoned_counts[slug] += task.attempt > 0 and not self._is_blameless.get(task.trace_id, False)
            if self._abandoned_counts[slug] > max(_MIN_ABANDONED, _MAX_ABANDONED_SHARE * self._request_counts[slug]):
                raise OracleError(
                    f"{task.domain.name}: {self._abandoned_counts[slug]} of {self._request_counts[slug]} requests were abandoned, "
                    f"the last because of: {'; '.join(task.findings)[:300]}. Try scripts.tune_prompts, or another model"
                )

    # Requests

    def _write_requests(self, tasks: Sequence[Task]) -> dict[str, Proposal]:
        """Writes drafts for tasks; returns the failures of those that got no request."""
        blocks = [list(each) for _, each in groupby(tasks, self._block_key)]
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

    def _block_key(self, task: Task) -> tuple[str, str, int, int]:
        """Returns a key; tasks with equal keys share policy and world, so their requests are written in one API call."""
        return task.domain.digest, task.split, task.index // self.block_size, task.index // WORLD_SIZE

    def request_context(self, task: Task) -> RequestContext:
        """The context that the request of a task is written for."""
        return draw_context(task, self.seed, prompt_of("requests").conditions, self.block_size)

    # Graphs

    def _plan_requests(self, tasks: Sequence[Task]) -> dict[str, Proposal]:
        """Proposals for tasks that have drafts; an API call plans several new requests, but repairs only one plan."""
        new = [task for task in tasks if self._drafts[task.trace_id].plan is None]
        groups = [
            group for _, block in groupby(new, self._block_key) for group in _chunks([*block], self.plans_per_call)
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
        """Claude's judgements of gold traces: the traces with a verdict in the metadata, or failures.

        One favourable judgement is enough. After an unfavourable one, the majority of three decides.
        """
        pending: dict[str, tuple[GoldTrace, list[JudgementAnswer]]] = {
            trace_id: (each, []) for trace_id, each in gold.items() if self._is_judged(trace_id)
        }
        results: dict[str, Proposal] = {}
        unclear = Failure("judged", "the judgements of Claude have no majority", FailureKind.UNREPAIRABLE)
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
