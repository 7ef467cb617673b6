"""Estimates the API calls, tokens and cost of a run before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.messages.api_format import DEFAULT_MODEL, prefix_of
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, Usage
from gatling_sid.oracle.claude.messages.prices import price_table

BYTES_PER_TOKEN = 3.1
"""The mean of English prose and JSON with the tokenizer of the newer models."""
# Share of `max_tokens` that an answer uses: an assumption until a ledger has recorded responses.
_OUTPUT_SHARE = 0.4
# Share of cache reads in batches: the provider promises none, and reports 30 to 98 %.
_BATCH_HITS = 0.7


@dataclass(frozen=True, slots=True)
class PhaseWorkload:
    """The API calls of a phase, with `prefixes` different cached prefixes; token counts are means per API call."""

    phase: str
    calls: int
    prefixes: int
    prefix_tokens: float
    user_tokens: float
    output_tokens: float


@dataclass(frozen=True, slots=True)
class PhaseCost:
    """API calls, tokens and cost in USD of a phase."""

    phase: str
    calls: int
    usage: Usage
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """API calls, tokens and cost in USD of a run; `price_date` is the date of the price table."""

    model: str
    batch: bool
    price_date: str
    lines: tuple[PhaseCost, ...]

    @property
    def calls(self) -> int:
        """The number of API calls of all phases."""
        return sum(line.calls for line in self.lines)

    @property
    def cost_usd(self) -> float:
        """The cost of all phases in USD."""
        return sum(line.cost_usd for line in self.lines)

    def __str__(self) -> str:
        """A table with one row per phase."""
        mode = "message batches" if self.batch else "online"
        rows = [f"{self.model}, {mode}, prices of {self.price_date}"]
        rows += [f"{'phase':<12}{'calls':>12}{'input':>16}{'from cache':>12}{'output':>16}{'USD':>12}"]
        for line in self.lines:
            read = line.usage.cache_read_tokens / max(1, line.usage.prompt_tokens)
            rows.append(
                f"{line.phase:<12}{line.calls:>12,}{line.usage.prompt_tokens:>16,}{read:>12.0%}"
                f"{line.usage.output_tokens:>16,}{line.cost_usd:>12,.4f}"
            )
        return "\n".join([*rows, f"{'all':<12}{self.calls:>12,}{self.cost_usd:>56,.4f}"])


def estimate_cost(workloads: Iterable[PhaseWorkload], model: str = DEFAULT_MODEL, *, batch: bool = False) -> Estimate:
    """The cost of workloads, if every API call succeeds at the first attempt."""
    table = price_table()
    lines = []
    for each in workloads:
        reads = max(0, each.calls - each.prefixes) * (_BATCH_HITS if batch else 1.0)
        cacheable = each.prefix_tokens >= table.model(model).min_cacheable
        per_call = Usage(round(each.user_tokens), round(each.output_tokens))
        cached = round(each.prefix_tokens)
        usage, cost = Usage(), 0.0
        for calls, part in (
            (round(reads), Usage(0, 0, 0, cached) if cacheable else Usage(cached)),
            (each.calls - round(reads), Usage(0, 0, cached) if cacheable else Usage(cached)),
        ):
            one = _sum(per_call, part, 1)
            usage, cost = _sum(usage, one, calls), cost + calls * table.cost(model, one, batch=batch)
        lines.append(PhaseCost(each.phase, each.calls, usage, cost))
    return Estimate(model, batch, table.date, tuple(lines))


def workloads_of(
    requests: Sequence[LLMRequest], ledger: Ledger | None = None, bytes_per_token: float = BYTES_PER_TOKEN
) -> list[PhaseWorkload]:
    """The workloads of these requests; output tokens are the means that the ledger has recorded, if there are any."""
    recorded = _recorded_output(ledger) if ledger else {}

    def tokens(text: str) -> float:
        return len(text.encode()) / bytes_per_token

    workloads = []
    for phase, group in groupby(sorted(requests, key=lambda each: each.phase), key=lambda each: each.phase):
        members = list(group)
        count = len(members)
        workloads.append(
            PhaseWorkload(
                phase,
                count,
                len({prefix_of(each) for each in members}),
                sum(tokens(each.system) + tokens(json.dumps(each.schema)) for each in members) / count,
                sum(tokens(each.user) for each in members) / count,
                recorded.get(phase, sum(each.max_tokens for each in members) / count * _OUTPUT_SHARE),
            )
        )
    return workloads


def _recorded_output(ledger: Ledger) -> dict[str, float]:
    responses: dict[str, int] = {}
    output: dict[str, int] = {}
    for spent in ledger.spending():
        responses[spent.phase] = responses.get(spent.phase, 0) + spent.responses
        output[spent.phase] = output.get(spent.phase, 0) + spent.usage.output_tokens
    return {phase: output[phase] / responses[phase] for phase in responses}


def _sum(left: Usage, right: Usage, times: int) -> Usage:
    return Usage(
        left.input_tokens + times * right.input_tokens,
        left.output_tokens + times * right.output_tokens,
        left.cache_creation_tokens + times * right.cache_creation_tokens,
        left.cache_read_tokens + times * right.cache_read_tokens,
    )
