"""ClaudeOracle: the oracle protocol, spoken by Claude in three phases, rejected plans mended with their findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby

from gatling_sid.digests import judged_digest
from gatling_sid.errors import OracleError
from gatling_sid.models import GoldTrace
from gatling_sid.novelty import Novelty
from gatling_sid.oracle.claude.messages.api_format import DEFAULT_MODEL
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, SyncClient
from gatling_sid.oracle.claude.plans.answers import JudgementAnswer, PlanAnswer
from gatling_sid.oracle.claude.plans.request_context import DEFAULT_BLOCK, RequestContext, draw_context
from gatling_sid.oracle.claude.plans.to_trace import TraceIdentity
from gatling_sid.oracle.claude.prompts.phases import (
    NO_RESPONSE,
    DomainPrompts,
    judgement_of,
    plans_of,
    texts_of,
    trace_or_failure,
)
from gatling_sid.oracle.claude.prompts.system_prompts import prompt_of
from gatling_sid.oracle.claude.prompts.user_prompts import compact_json
from gatling_sid.oracle.claude.transport.faults import RESUME_HINT
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Failure, Judge, Task
from gatling_sid.scenarios.schedule import WORLD_SIZE
from gatling_sid.schemas.domain import Domain
from gatling_sid.seeding import stream

_OPINIONS = 3
MOST_PLANS = 3
"""Plans for a request: one, and two more with the findings of the one before."""
NOT_REPAIRABLE = ("refusal", "near_copy", "judged")
"""Reasons for which a request is given up for another at once."""
_MOST_REQUESTS = 12  # requests that are drawn for a task before it is given up
_ENOUGH_SEEN = 40
_MOST_UNANSWERED = 2 * MOST_PLANS  # all the plans of two requests
_EXAMPLE_SEED = 0
Proposal = GoldTrace | Failure


@dataclass(frozen=True)
class Draft:
    """A request that was written, and the last plan for it."""

    context: RequestContext
    text: str
    plan: PlanAnswer | None = None
    asked: int = 0


class ClaudeOracle:
    """Proposes traces; holds the drafts of the tasks at hand, so that a rejected one can be mended.

    A trace is proposed only if Claude's own judgement of it is favourable; whether it is gold, the validator says.
    """

    name = "claude"
    max_attempts = MOST_PLANS * _MOST_REQUESTS

    def __init__(
        self,
        client: SyncClient,
        judge: Judge,
        *,
        seed: int,
        created_at: datetime,
        model: str = DEFAULT_MODEL,
        block: int = DEFAULT_BLOCK,
        plans: int = 1,
        judge_share: float = 1.0,
    ) -> None:
        """`block` requests are written per call and `plans` planned; Claude judges the share `judged` of gold.

        Online, one plan per call is best: the prefix costs a tenth. In batches it often does not, so plan several.
        """
        self.seed = seed
        self.created_at = created_at
        self.model = model
        self.block = block
        self.plans = plans
        self.judged = judge_share
        self._asked = client
        self._judge = judge
        self._phases: dict[str, DomainPrompts] = {}
        self._drafts: dict[str, Draft] = {}
        self._said = Novelty()
        self._drawn: Counter[str] = Counter()
        self._in_vain: Counter[str] = Counter()
        self._unanswered: Counter[str] = Counter()

    def phases(self, domain: Domain) -> DomainPrompts:
        """The prompts of a domain, made when it is first asked for."""
        if domain.digest not in self._phases:
            examples = ScenarioOracle(_EXAMPLE_SEED, self.created_at)
            self._phases[domain.digest] = DomainPrompts(
                domain, self.model, examples, lambda trace: not self._judge.findings(trace)
            )
        return self._phases[domain.digest]

    def remember_texts(self, texts: Iterable[str]) -> None:
        """Texts that are taken, such as those of shards finished earlier."""
        for text in texts:
            self._said.add(text)

    # The phases one by one

    def texts(self, tasks: Sequence[Task]) -> list[str | Failure]:
        """A request's text for every task, or why there is none."""
        problems = self._write(tasks)
        found = [problems.get(task.trace_id) or self._drafts[task.trace_id].text for task in tasks]
        return [each for each in found if not isinstance(each, GoldTrace)]

    def plan_request(self, task: Task, text: str, setting: RequestContext) -> Proposal:
        """A trace for any request, planned as if it were the task's."""
        self._drafts[task.trace_id] = Draft(setting, text)
        return self._plan([task])[task.trace_id]

    # The oracle protocol

    def propose(self, tasks: Sequence[Task]) -> list[Proposal]:
        """One proposal per task: a request is written and planned, or a rejected plan mended.

        A request that is refused, nearly repeated, judged against, or not planned in three tries is given up for
        another, drawn anew.

        Raises:
            OracleError: most requests of a domain are given up; something is wrong, and going on would only cost. Or
                the API does not answer what a task needs: it is no task's fault, so none is given up for it.

        """
        wanted = {task.trace_id for task in tasks}
        self._drafts = {t: draft for t, draft in self._drafts.items() if t in wanted and draft.asked < MOST_PLANS}
        new = [task for task in tasks if task.trace_id not in self._drafts]
        self._count(new)
        results = self._write(new)
        results |= self._plan([task for task in tasks if task.trace_id not in results])
        gold = {
            trace_id: each
            for trace_id, each in results.items()
            if isinstance(each, GoldTrace) and not self._judge.findings(each)
        }
        results |= self._opinions(gold)
        results |= self._copies(results[trace_id] for trace_id in gold)
        for task in tasks:
            self._count_unanswered(task.trace_id, results[task.trace_id])
            self._forget(task.trace_id, results[task.trace_id])
        return [results[task.trace_id] for task in tasks]

    def _copies(self, proposals: Iterable[Proposal]) -> dict[str, Proposal]:
        """Those whose requests say nearly what another says; asked last, so that only what is kept is remembered."""
        traces = [each for each in proposals if isinstance(each, GoldTrace)]
        copies = [each.trace_id for each in traces if not self._said.add(each.request.text)]
        return {trace_id: Failure("near_copy", "another request says nearly the same") for trace_id in copies}

    def _count_unanswered(self, trace_id: str, proposal: Proposal) -> None:
        """Stops a run that would count as finished what the API did not let it make."""
        if not isinstance(proposal, Failure) or proposal.reason != NO_RESPONSE:
            self._unanswered.pop(trace_id, None)
            return
        self._unanswered[trace_id] += 1
        if self._unanswered[trace_id] >= _MOST_UNANSWERED:
            raise OracleError(
                f"{trace_id}: no answer {_MOST_UNANSWERED} times in a row, the last with {proposal.detail}; {RESUME_HINT}"
            )

    def _forget(self, trace_id: str, proposal: Proposal) -> None:
        """Requests that no repair can mend; where no answer came, there is nothing to mend a plan by."""
        if not isinstance(proposal, Failure):
            return
        draft = self._drafts.get(trace_id)
        unmended = proposal.reason == NO_RESPONSE and draft is not None and draft.plan is not None
        if unmended or proposal.reason.partition(":")[0] in NOT_REPAIRABLE:
            self._drafts.pop(trace_id, None)

    def _count(self, new: Sequence[Task]) -> None:
        """Stops a run that draws request after request in vain."""
        for task in new:
            slug = task.domain.slug
            self._drawn[slug] += 1
            unplanned = task.attempt > 0 and not task.findings[0].startswith(("unanswered", "refusal"))
            self._in_vain[slug] += unplanned
            if self._in_vain[slug] > max(_ENOUGH_SEEN, 0.7 * self._drawn[slug]):
                raise OracleError(
                    f"{task.domain.name}: {self._in_vain[slug]} of {self._drawn[slug]} requests had to be given up, "
                    f"the last for: {'; '.join(task.findings)[:300]}. Try scripts.tune_prompts, or another model"
                )

    # Requests

    def _write(self, tasks: Sequence[Task]) -> dict[str, Proposal]:
        """Drafts for these tasks; the result holds those for which there is none."""
        blocks = [list(each) for _, each in groupby(tasks, self._block_of)]
        settings = [[self.request_context(task) for task in block] for block in blocks]
        asks = [
            self.phases(block[0].domain).requests_prompt(scene, repetition=block[0].attempt)
            for block, scene in zip(blocks, settings, strict=True)
        ]
        problems: dict[str, Proposal] = {}
        for block, scenes, answer in zip(blocks, settings, self._asked.complete(asks), strict=True):
            for task, setting, text in zip(block, scenes, texts_of(answer, len(block)), strict=True):
                if isinstance(text, Failure):
                    problems[task.trace_id] = text
                else:
                    self._drafts[task.trace_id] = Draft(setting, text)
        return problems

    def _block_of(self, task: Task) -> tuple[str, str, int, int]:
        """Tasks written in one call share policy and world."""
        return task.domain.digest, task.split, task.index // self.block, task.index // WORLD_SIZE

    def request_context(self, task: Task) -> RequestContext:
        """The scene of a task."""
        return draw_context(task, self.seed, prompt_of("requests").conditions, self.block)

    # Graphs

    def _plan(self, tasks: Sequence[Task]) -> dict[str, Proposal]:
        """Proposals for tasks that have drafts: several new requests per call, a plan to be mended alone."""
        new = [task for task in tasks if self._drafts[task.trace_id].plan is None]
        groups = [group for _, block in groupby(new, self._block_of) for group in _in_parts([*block], self.plans)]
        mended = [task for task in tasks if self._drafts[task.trace_id].plan is not None]
        asks = [*map(self._graphs, groups), *map(self._repair, mended)]
        proposals: dict[str, Proposal] = {}
        for group, answer in zip([*groups, *([task] for task in mended)], self._asked.complete(asks), strict=True):
            for task, plan in zip(group, plans_of(answer, len(group)), strict=True):
                proposals[task.trace_id] = self._proposal(task, plan)
        return proposals

    def _proposal(self, task: Task, plan: PlanAnswer | Failure) -> Proposal:
        draft = self._drafts[task.trace_id]
        asked = draft.asked + 1
        if isinstance(plan, Failure):
            self._drafts[task.trace_id] = replace(draft, asked=asked)
            return plan
        text = plan.reworded.strip() or draft.text
        self._drafts[task.trace_id] = replace(draft, text=text, plan=plan, asked=asked)
        return trace_or_failure(plan, draft.text, draft.context, self.identity(task))

    def _graphs(self, group: Sequence[Task]) -> LLMRequest:
        drafts = [self._drafts[task.trace_id] for task in group]
        return self.phases(group[0].domain).plans_prompt(
            [(draft.text, draft.context) for draft in drafts], repetition=drafts[0].asked
        )

    def _repair(self, task: Task) -> LLMRequest:
        draft = self._drafts[task.trace_id]
        assert draft.plan is not None
        plan = compact_json(draft.plan.model_copy(update={"item": 1}))
        phases = self.phases(task.domain)
        return phases.repair_prompt(
            draft.text, draft.context, plan, task.findings, task.previous, repetition=draft.asked
        )

    def identity(self, task: Task) -> TraceIdentity:
        """What marks the trace of a task as Claude's."""
        metadata = {
            "oracle": self.name,
            "scenario": "free_form",
            "attempt": task.attempt,
            "model": self.model,
            "prompts": [self.phases(task.domain).version[phase] for phase in ("requests", "graph")],
        }
        return TraceIdentity(task.trace_id, self.created_at, metadata)

    # Judgement

    def _opinions(self, gold: Mapping[str, GoldTrace]) -> dict[str, Proposal]:
        """Claude's judgement of what the judge finds gold; if the two disagree, two of three opinions count."""
        open_: dict[str, tuple[GoldTrace, list[JudgementAnswer]]] = {
            trace_id: (each, []) for trace_id, each in gold.items() if self._is_drawn(trace_id)
        }
        results: dict[str, Proposal] = {}
        unclear = dict.fromkeys(open_, Failure("judged", "Claude came to no clear opinion"))
        for again in range(_OPINIONS):
            traces = [trace for trace, _ in open_.values()]
            asks = [self.phases_of(trace).judgement_prompt(trace, repetition=again) for trace in traces]
            for trace, answer in zip(traces, self._asked.complete(asks), strict=True):
                verdict, said = judgement_of(answer), open_[trace.trace_id][1]
                if isinstance(verdict, JudgementAnswer):
                    said.append(verdict)
                decided: Proposal | None = _decide(trace, said, self.model)
                if isinstance(verdict, Failure) and verdict.reason.startswith("refusal:"):
                    decided = verdict
                if isinstance(verdict, Failure) and verdict.reason == NO_RESPONSE:
                    unclear[trace.trace_id] = verdict
                if decided is not None:
                    results[trace.trace_id] = decided
                    del open_[trace.trace_id]
        return results | {trace_id: unclear[trace_id] for trace_id in open_}

    def phases_of(self, trace: GoldTrace) -> DomainPrompts:
        """The prompts of the domain that a trace of ours was made with."""
        return self._phases[str(trace.metadata["catalogue"])]

    def _is_drawn(self, trace_id: str) -> bool:
        return stream(self.seed, trace_id, "judged by claude").random() < self.judged


def _decide(trace: GoldTrace, verdicts: Sequence[JudgementAnswer], judge: str) -> Proposal | None:
    """The trace, the objection, or None while opinions are open: the first approval does, an objection needs two."""
    good = [each for each in verdicts if each.is_favourable]
    bad = [each for each in verdicts if not each.is_favourable]
    if len(bad) > 1:
        return Failure("judged", bad[-1].why)
    if len(good) > len(bad):
        verdict = {"judge": judge, "favourable": len(good), "of": len(verdicts), "digest": judged_digest(trace)}
        return trace.model_copy(update={"metadata": {**trace.metadata, "verdict": verdict}})
    return None


def _in_parts(tasks: list[Task], size: int) -> list[list[Task]]:
    return [tasks[at : at + size] for at in range(0, len(tasks), size)]
