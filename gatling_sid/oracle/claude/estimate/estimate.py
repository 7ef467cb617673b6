"""Calls, tokens and dollars of a run before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import anthropic

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.messages.api_format import DEFAULT_MODEL, body_of, prefix_of
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, Usage
from gatling_sid.oracle.claude.messages.prices import price_table
from gatling_sid.oracle.claude.transport.faults import classify_error
from gatling_sid.oracle.claude.transport.keys import Keys

BYTES_PER_TOKEN = 3.1  # English prose and JSON under the newer tokenizer
_COUNTED = 5
_OUTPUT_SHARE = 0.4  # of max_tokens, until a ledger says better
_BATCH_HITS = 0.7  # cache reads in batches are best effort


@dataclass(frozen=True, slots=True)
class PhaseWorkload:
    """So many calls of a phase that share `prefixes` cached prefixes; tokens are means per call."""

    phase: str
    calls: int
    prefixes: int
    prefix_tokens: float
    user_tokens: float
    output_tokens: float


@dataclass(frozen=True, slots=True)
class PhaseCost:
    """What a phase will take."""

    phase: str
    calls: int
    usage: Usage
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will take, by the price table of `prices_of`."""

    model: str
    batch: bool
    prices_of: str
    lines: tuple[PhaseCost, ...]

    @property
    def calls(self) -> int:
        """Over all phases."""
        return sum(line.calls for line in self.lines)

    @property
    def cost_usd(self) -> float:
        """Over all phases."""
        return sum(line.cost_usd for line in self.lines)

    def __str__(self) -> str:
        """A table, one row a phase."""
        how = "message batches" if self.batch else "online"
        rows = [f"{self.model}, {how}, prices of {self.prices_of}"]
        rows += [f"{'phase':<12}{'calls':>12}{'input':>16}{'from cache':>12}{'output':>16}{'USD':>12}"]
        for line in self.lines:
            read = line.usage.cache_read_tokens / max(1, line.usage.prompt_tokens)
            rows.append(
                f"{line.phase:<12}{line.calls:>12,}{line.usage.prompt_tokens:>16,}{read:>12.0%}"
                f"{line.usage.output_tokens:>16,}{line.cost_usd:>12,.4f}"
            )
        return "\n".join([*rows, f"{'all':<12}{self.calls:>12,}{self.cost_usd:>56,.4f}"])


def estimate_cost(workloads: Iterable[PhaseWorkload], model: str = DEFAULT_MODEL, *, batch: bool = False) -> Estimate:
    """Prices a plan; every call is assumed to be answered at the first try."""
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
    """The plan of these asks; output lengths are those the ledger has seen per phase, if any."""
    seen = _recorded_output(ledger) if ledger else {}

    def tokens(text: str) -> float:
        return len(text.encode()) / bytes_per_token

    plan = []
    for phase, group in groupby(sorted(requests, key=lambda ask: ask.phase), key=lambda ask: ask.phase):
        members = list(group)
        count = len(members)
        plan.append(
            PhaseWorkload(
                phase,
                count,
                len({prefix_of(ask) for ask in members}),
                sum(tokens(ask.system) + tokens(json.dumps(ask.schema)) for ask in members) / count,
                sum(tokens(ask.user) for ask in members) / count,
                seen.get(phase, sum(ask.max_tokens for ask in members) / count * _OUTPUT_SHARE),
            )
        )
    return plan


async def count_bytes_per_token(
    requests: Sequence[LLMRequest], key: str, *, model: str = DEFAULT_MODEL, base_url: str | None = None
) -> float:
    """The ratio the API itself counts on a few of these asks; counting is free.

    Raises:
        OracleError: the API cannot be asked, or refuses these prompts: better known before a batch is sent.

    """
    keys = Keys([key], base_url=base_url, in_flight=1)
    written = counted = 0
    try:
        for ask in requests[:: max(1, len(requests) // _COUNTED)][:_COUNTED]:
            body = body_of(ask, model)
            reply = await keys.all[0].client.messages.count_tokens(
                model=model, system=body["system"], messages=body["messages"], output_config=body["output_config"]
            )
            counted += reply.input_tokens
            written += len((ask.system + ask.user + json.dumps(ask.schema)).encode())
    except anthropic.APIError as problem:
        verdict = classify_error(problem, keys.all[0].name, keys.without_secrets)
        says = keys.without_secrets(problem.message)
        raise (
            verdict if isinstance(verdict, OracleError) else OracleError(f"tokens cannot be counted: {says}")
        ) from None
    finally:
        await keys.close()
    return written / counted


def _recorded_output(ledger: Ledger) -> dict[str, float]:
    answers: dict[str, int] = {}
    output: dict[str, int] = {}
    for spent in ledger.spending():
        answers[spent.phase] = answers.get(spent.phase, 0) + spent.responses
        output[spent.phase] = output.get(spent.phase, 0) + spent.usage.output_tokens
    return {phase: output[phase] / answers[phase] for phase in answers}


def _sum(left: Usage, right: Usage, times: int) -> Usage:
    return Usage(
        left.input_tokens + times * right.input_tokens,
        left.output_tokens + times * right.output_tokens,
        left.cache_creation_tokens + times * right.cache_creation_tokens,
        left.cache_read_tokens + times * right.cache_read_tokens,
    )
