"""Claude as oracle and as judge, for callers who want traces and no details of the API."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from gatling_sid.domain_report import DomainReport, domain_report
from gatling_sid.errors import OracleError
from gatling_sid.generator import Rejection, generate
from gatling_sid.models import GoldTrace, ToolCallGraph, UserRequest
from gatling_sid.oracle.claude.messages.api_format import DEFAULT_MODEL
from gatling_sid.oracle.claude.messages.llm_request import AsyncClient
from gatling_sid.oracle.claude.oracle import ClaudeOracle
from gatling_sid.oracle.claude.plans.answers import JudgementAnswer
from gatling_sid.oracle.claude.plans.request_context import RequestContext
from gatling_sid.oracle.claude.prompts.phases import judgement_of
from gatling_sid.oracle.claude.transport.blocking_client import BlockingClient, blocking_client
from gatling_sid.oracle.claude.transport.connect import connect, keys_of
from gatling_sid.oracle.protocol import Failure, FailureKind, Judge, Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.validators import TraceValidator

__all__ = ["DEFAULT_MODEL", "ClaudeOracle", "DomainReport", "OracleAgent"]
PLANS_PER_CALL_IN_BATCHES = 5
"""Plans in one answer of a batch; there the cached prefix is often not read, so several plans share its price."""
LEDGER = Path("out/claude-ledger.sqlite")
CREATED_AT = datetime(2026, 11, 22, tzinfo=UTC)


class OracleAgent:
    """Makes and judges traces with Claude, synchronously. Close it, or use `with`.

    Traces that it returns are gold for `judge`, by default a `TraceValidator` of the registry. API calls cost real money
    unless `client` is given; read the provider's commercial terms before a paid run.
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
        """Sends nothing yet. Claude judges the share `judge_share` of gold traces; runs continue from the same `ledger`.

        Raises:
            OracleError: there is no key.

        """
        self.registry = registry or DomainRegistry()
        self.model = model
        self.seed = seed
        self.reports: dict[str, DomainReport] = {}
        self._created_at = created_at
        self._judge_share = judge_share
        self._plans_per_call = PLANS_PER_CALL_IN_BATCHES if batch else 1
        self._judge = judge or TraceValidator(self.registry)
        self._client = (
            blocking_client(client)
            if client is not None
            else connect(
                keys_of(api_key), Path(ledger), model=model, max_cost_usd=max_cost_usd, batch=batch, base_url=base_url
            )
        )
        self._contexts: dict[str, tuple[Task, RequestContext]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections and the ledger."""
        self._client.close()

    @property
    def client(self) -> BlockingClient:
        """The client, which knows what its responses have cost so far."""
        return self._client

    def oracle(self, block_size: int = 10) -> ClaudeOracle:
        """An oracle for the generator, which writes `block_size` requests per API call."""
        return ClaudeOracle(
            self._client,
            self._judge,
            seed=self.seed,
            created_at=self._created_at,
            model=self.model,
            block_size=block_size,
            plans_per_call=self._plans_per_call,
            judge_share=self._judge_share,
        )

    # The three phases one by one

    def generate_user_requests(self, domain: str, n: int = 10) -> list[UserRequest]:
        """`n` requests of people of the simulated organisation; fewer if Claude refuses some.

        Their expected scope is not set, since it follows from a plan.

        Raises:
            OracleError: the API does not respond.

        """
        oracle, known = self.oracle(), self.registry.domain(domain)
        tasks = [Task(known, "train", index) for index in range(n)]
        requests = []
        for task, text in zip(tasks, oracle.request_texts(tasks), strict=True):
            if isinstance(text, Failure) and text.kind is FailureKind.NO_RESPONSE:
                raise OracleError(f"{task.trace_id}: {text.reason}: {text.detail}")
            if isinstance(text, Failure):
                continue
            context = oracle.request_context(task)
            request = UserRequest(
                request_id=f"{task.trace_id}_request",
                domain=known.name,
                text=text,
                intent_category=context.intent,
                principal=context.principal,
            )
            self._contexts[request.request_id] = task, context
            requests.append(request)
        return requests

    def generate_tool_graph(self, domain: str, request: UserRequest) -> ToolCallGraph:
        """A plan for a request. It is executed, so that its calls have scopes, but it is not judged.

        Raises:
            OracleError: Claude refuses, or gives no plan.

        """
        oracle, known = self.oracle(), self.registry.domain(domain)
        task, context = self._contexts.get(request.request_id) or (Task(known, "train", 0), None)
        context = context or oracle.request_context(task)
        if request.principal is not None:
            context = context.with_principal(request.principal, request.intent_category)
        proposal = oracle.plan_request(task, request.text, context)
        if isinstance(proposal, Failure):
            raise OracleError(f"{request.request_id}: {proposal.reason}: {proposal.detail}")
        return proposal.graph

    def validate_trace(self, trace: GoldTrace) -> JudgementAnswer:
        """Claude's judgement of a trace. It adds to the validator's checks, and never replaces them.

        Raises:
            OracleError: Claude refuses, its answer is malformed, or the trace's context is unknown.

        """
        oracle = self.oracle()
        request = oracle.prompts_of(self.registry.domain(trace.request.domain)).judgement_prompt(trace)
        judgement = judgement_of(self._client.complete([request])[0])
        if isinstance(judgement, Failure):
            raise OracleError(f"{trace.trace_id}: {judgement.reason}: {judgement.detail}")
        return judgement

    # Whole traces

    def generate_traces_for_domain(self, domain: str, num_traces: int = 1000, batch_size: int = 10) -> list[GoldTrace]:
        """Gold traces of a domain; `reports` then has the domain's report.

        `batch_size`, elsewhere called the block size, is the number of requests written per API call. Tasks that fail are
        replaced by further ones, up to twice `num_traces` in total; the result is shorter if Claude refuses or cannot
        plan too many of them.

        Raises:
            OracleError: the API does not respond; the error contains the API's own message.

        """
        if num_traces < 1 or batch_size < 1:
            raise OracleError(f"num_traces is {num_traces}, batch_size {batch_size}; both must be at least 1")
        known, oracle = self.registry.domain(domain), self.oracle(batch_size)
        cost = self._client.cost_usd[known.slug]
        traces: list[GoldTrace] = []
        rejections: list[Rejection] = []
        task_count = 0
        while len(traces) < num_traces and task_count < 2 * num_traces:
            count = min(num_traces - len(traces), 2 * num_traces - task_count)
            result = generate([Task(known, "train", task_count + each) for each in range(count)], oracle, self._judge)
            traces += result.traces
            rejections += result.rejections
            task_count += count
            if not result.traces:
                break
        spent = self._client.cost_usd[known.slug] - cost
        self.reports[known.name] = domain_report(known.name, task_count, len(traces), rejections, spent)
        return traces

    def generate_traces_for_all_domains(
        self,
        traces_per_domain: int = 10,
        sample_domains: int | Collection[str] | None = None,
        *,
        batch_size: int = 10,
    ) -> list[GoldTrace]:
        """Gold traces of the catalogue's domains, `traces_per_domain` of each, in the order of the domains' names.

        `sample_domains` is the number of domains to take, the first ones, or the names of those to take.

        Raises:
            OracleError: `sample_domains` is neither a number above 0 nor a list of names.
            UnknownDomainError: a name is unknown; nothing was sent yet.

        """
        names = self._sampled_names(sample_domains)
        return [each for name in names for each in self.generate_traces_for_domain(name, traces_per_domain, batch_size)]

    def _sampled_names(self, sample: int | Collection[str] | None) -> list[str]:
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
        """Writes the training format of each trace as a line of JSON; the file is written completely or not at all.

        Raises:
            OracleError: the file cannot be written, or one of `traces` is not a trace or has no JSON form.

        """
        target = Path(output_path)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("w", encoding="utf-8") as file:
                for number, trace in enumerate(traces, start=1):
                    file.write(f"{_json_line(trace, number)}\n")
            temporary.replace(target)
        except OSError as error:
            raise OracleError(f"{target} cannot be written: {error.strerror or error}") from None
        finally:
            with suppress(OSError):
                temporary.unlink()  # after success it does not exist any more; after an interruption it must not stay
        return target


def _json_line(trace: GoldTrace, number: int) -> str:
    if not isinstance(trace, GoldTrace):
        raise OracleError(f"number {number} of the traces to save is a {type(trace).__name__}, not a GoldTrace")
    try:
        line = json.dumps(trace.to_training_format(), ensure_ascii=False)
        line.encode()
    except ValueError as error:  # the errors of pydantic, json and the encoding are all ValueErrors
        raise OracleError(f"{trace.trace_id} cannot be written as JSON: {error}") from None
    return line
