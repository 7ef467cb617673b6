"""OracleAgent: Claude as oracle, phrase author and judge, for callers who want traces and not an engine."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from gatling_sid.errors import OracleError
from gatling_sid.generator import Rejection, generate
from gatling_sid.models import GoldTrace, ToolCallGraph, UserRequest
from gatling_sid.oracle.claude.messages.api_format import DEFAULT_MODEL
from gatling_sid.oracle.claude.messages.llm_request import AsyncClient
from gatling_sid.oracle.claude.oracle import MOST_PLANS, NOT_REPAIRABLE, ClaudeOracle
from gatling_sid.oracle.claude.plans.answers import JudgementAnswer
from gatling_sid.oracle.claude.plans.request_context import RequestContext
from gatling_sid.oracle.claude.prompts.phases import NO_RESPONSE, judgement_of
from gatling_sid.oracle.claude.transport.blocking import BlockingClient, blocking_client
from gatling_sid.oracle.claude.transport.connect import connect, keys_of
from gatling_sid.oracle.protocol import Failure, Judge, Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.validators import TraceValidator

__all__ = ["DEFAULT_MODEL", "ClaudeOracle", "DomainReport", "OracleAgent"]
LEDGER = Path("out/claude-ledger.sqlite")
CREATED_AT = datetime(2026, 11, 22, tzinfo=UTC)


@dataclass(frozen=True)
class DomainReport:
    """How a domain went: of `tasks` traces asked for, how many were gold at once, after two repairs, and in the end.

    The rest of those in the end came of other requests, drawn for the same task.
    """

    domain: str
    tasks: int
    gold_at_once: int
    gold_mended: int
    gold: int
    rejected_by: dict[str, int]
    cost_usd: float

    def __str__(self) -> str:
        """One line."""
        per_trace = f"${self.cost_usd / self.gold:.6f}" if self.gold else "-"
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.rejected_by.items())
        return (
            f"{self.domain}: {self.gold:,} of {self.tasks:,}, raw pass rate {self.gold_at_once / max(1, self.tasks):.1%}, "
            f"after repair {self.gold_mended / max(1, self.tasks):.1%}, {per_trace} a trace"
            + (f" ({reasons})" if reasons else "")
        )


class OracleAgent:
    """Synchronous outside, one asynchronous engine inside. Close it, or use `with`.

    Traces that it returns are gold by `judge`, a `TraceValidator` over the registry unless another is given.
    Costs real money unless `answering` is given; read the provider's commercial terms before a paid run.
    """

    def __init__(
        self,
        api_key: str | Sequence[str] | None = None,
        model: str = DEFAULT_MODEL,
        *,
        seed: int = 7,
        created_at: datetime = CREATED_AT,
        ledger: Path | str = LEDGER,
        max_cost_usd: float | None = None,
        batch: bool = False,
        judge_share: float = 1.0,
        base_url: str | None = None,
        registry: DomainRegistry | None = None,
        judge: Judge | None = None,
        client: AsyncClient | None = None,
    ) -> None:
        """Nothing is sent yet. `judged` is the share of gold that Claude judges too; `ledger` is kept between runs.

        Raises:
            OracleError: there is no key.

        """
        self.registry = registry or DomainRegistry()
        self.model = model
        self.seed = seed
        self.reports: dict[str, DomainReport] = {}
        self._created_at = created_at
        self._judged = judge_share
        self._plans = 5 if batch else 1
        self._judge = judge or TraceValidator(self.registry)
        self._asked = (
            blocking_client(client)
            if client is not None
            else connect(
                keys_of(api_key), Path(ledger), model=model, max_cost_usd=max_cost_usd, batch=batch, base_url=base_url
            )
        )
        self._scenes: dict[str, tuple[Task, RequestContext]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes connections and ledger."""
        self._asked.close()

    @property
    def client(self) -> BlockingClient:
        """What answers, with what it cost so far."""
        return self._asked

    def oracle(self, block: int = 10) -> ClaudeOracle:
        """An oracle for the generator, `block` requests written per call."""
        return ClaudeOracle(
            self._asked,
            self._judge,
            seed=self.seed,
            created_at=self._created_at,
            model=self.model,
            block=block,
            plans=self._plans,
            judge_share=self._judged,
        )

    # The three phases one by one

    def generate_user_requests(self, domain: str, n: int = 10) -> list[UserRequest]:
        """`n` requests of people of the simulated organisation; fewer if Claude declines some.

        Their expected scope is not known before they are planned.

        Raises:
            OracleError: the API gives no answer.

        """
        oracle, known = self.oracle(), self.registry.domain(domain)
        tasks = [Task(known, "train", index) for index in range(n)]
        requests = []
        for task, text in zip(tasks, oracle.texts(tasks), strict=True):
            if isinstance(text, Failure) and text.reason == NO_RESPONSE:
                raise OracleError(f"{task.trace_id}: {text.reason}: {text.detail}")
            if isinstance(text, Failure):
                continue
            setting = oracle.request_context(task)
            request = UserRequest(
                request_id=f"{task.trace_id}_request",
                domain=known.name,
                text=text,
                intent_category=setting.intent,
                principal=setting.principal,
            )
            self._scenes[request.request_id] = task, setting
            requests.append(request)
        return requests

    def generate_tool_graph(self, domain: str, request: UserRequest) -> ToolCallGraph:
        """A plan for a request, executed in its world but not judged: its calls' scopes are true, no more.

        Raises:
            OracleError: Claude declines, or gives no plan.

        """
        oracle, known = self.oracle(), self.registry.domain(domain)
        task, setting = self._scenes.get(request.request_id) or (Task(known, "train", 0), None)
        setting = setting or oracle.request_context(task)
        if request.principal is not None:
            setting = setting.with_principal(request.principal, request.intent_category)
        proposal = oracle.plan_request(task, request.text, setting)
        if isinstance(proposal, Failure):
            raise OracleError(f"{request.request_id}: {proposal.reason}: {proposal.detail}")
        return proposal.graph

    def validate_trace(self, trace: GoldTrace) -> JudgementAnswer:
        """Claude's judgement of a trace; a second look at what the validator found gold, never a proof.

        Raises:
            OracleError: Claude declines or cannot be understood, or the trace's scene is unknown.

        """
        oracle = self.oracle()
        ask = oracle.phases(self.registry.domain(trace.request.domain)).judgement_prompt(trace)
        answer = self._asked.complete([ask])[0]
        verdict = judgement_of(answer)
        if isinstance(verdict, Failure):
            raise OracleError(f"{trace.trace_id}: {verdict.reason}: {verdict.detail}")
        return verdict

    # Whole traces

    def generate_traces_for_domain(self, domain: str, num_traces: int = 1000, batch_size: int = 10) -> list[GoldTrace]:
        """Gold traces of a domain, `batch_size` requests written per call; `reports` says how it went.

        Items that fail are made up for by further ones, up to twice as many as asked for; what is missing then is
        missing because Claude declines it or cannot plan it.

        Raises:
            OracleError: the API does not answer, in its own words.

        """
        if num_traces < 1 or batch_size < 1:
            raise OracleError(f"num_traces is {num_traces}, batch_size {batch_size}; both must be at least 1")
        known, oracle = self.registry.domain(domain), self.oracle(batch_size)
        cost = self._asked.cost_usd[known.slug]
        traces: list[GoldTrace] = []
        rejections: list[Rejection] = []
        tried = 0
        while len(traces) < num_traces and tried < 2 * num_traces:
            more = min(num_traces - len(traces), 2 * num_traces - tried)
            made = generate([Task(known, "train", tried + each) for each in range(more)], oracle, self._judge)
            traces += made.traces
            rejections += made.rejections
            tried += more
            if not made.traces:
                break
        spent = self._asked.cost_usd[known.slug] - cost
        self.reports[known.name] = domain_report(known.name, tried, len(traces), rejections, spent)
        return traces

    def generate_traces_for_all_domains(
        self,
        traces_per_domain: int = 10,
        sample_domains: int | Collection[str] | None = None,
        *,
        batch_size: int = 10,
    ) -> list[GoldTrace]:
        """Gold traces of the catalogue's domains, `traces_per_domain` of each, in the order of the domains' names.

        `sample_domains` takes only so many domains, the first ones, or only those that it names.

        Raises:
            OracleError: `sample_domains` is neither a number above 0 nor a list of names.
            UnknownDomainError: it names a domain that there is not; nothing was asked of Claude yet.

        """
        names = self._sampled(sample_domains)
        return [each for name in names for each in self.generate_traces_for_domain(name, traces_per_domain, batch_size)]

    def _sampled(self, sample: int | Collection[str] | None) -> list[str]:
        names = self.registry.get_all_domains()
        match sample:
            case None:
                return names
            case int() if not isinstance(sample, bool) and sample > 0:
                return names[:sample]
            case list() | tuple() | set() | frozenset() if sample and all(isinstance(each, str) for each in sample):
                chosen = {self.registry.domain(each).name for each in sample}
                return [name for name in names if name in chosen]
        raise OracleError(f"sample_domains is {sample!r}; give a number of domains, or a list of their names")

    def save_traces(self, traces: Iterable[GoldTrace], output_path: Path | str) -> Path:
        """Writes traces as JSON lines, each its `to_training_format()`, completely or not at all.

        Raises:
            OracleError: the file cannot be written, or one of `traces` is no trace or cannot be told in JSON.

        """
        target = Path(output_path)
        beside = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("w", encoding="utf-8") as file:
                for number, trace in enumerate(traces, start=1):
                    file.write(f"{_json_line(trace, number)}\n")
            beside.replace(target)
        except OSError as error:
            raise OracleError(f"{target} cannot be written: {error.strerror or error}") from None
        finally:
            with suppress(OSError):
                beside.unlink()  # it is gone if all went well, and must not stay if we were stopped
        return target


def _json_line(trace: GoldTrace, number: int) -> str:
    if not isinstance(trace, GoldTrace):
        raise OracleError(f"number {number} of the traces to save is a {type(trace).__name__}, not a GoldTrace")
    try:
        line = json.dumps(trace.to_training_format(), ensure_ascii=False)
        line.encode()
    except ValueError as error:  # pydantic's, json's and the encoding's errors are all of this kind
        raise OracleError(f"{trace.trace_id} cannot be written as JSON: {error}") from None
    return line


def domain_report(domain: str, tasks: int, gold: int, rejections: Sequence[Rejection], cost_usd: float) -> DomainReport:
    """The figures of a domain, from its rejections."""
    counts: dict[str, int] = {}
    for each in rejections:
        counts[each.reason] = counts.get(each.reason, 0) + 1
    times = Counter(each.trace_id for each in rejections)
    drawn_anew = {each.trace_id for each in rejections if each.reason.partition(":")[0] in NOT_REPAIRABLE}
    unmended = {trace_id for trace_id, count in times.items() if count >= MOST_PLANS or trace_id in drawn_anew}
    ordered = dict(sorted(counts.items(), key=lambda each: -each[1]))
    return DomainReport(domain, tasks, tasks - len(times), tasks - len(unmended), gold, ordered, cost_usd)
