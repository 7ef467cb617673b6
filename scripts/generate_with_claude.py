"""`generate_shards --oracle claude`: writes the same shards as other oracles, with an estimate, a ledger and a budget."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from builder.run import Progress, RunResult, run
from builder.shards import RunSettings, shards_of
from gatling_sid.domain_report import DomainReport, domain_report
from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.estimate.dry_run import OfflineClient
from gatling_sid.oracle.claude.estimate.estimate import BYTES_PER_TOKEN, Estimate, estimate_cost, workloads_of
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, SyncClient
from gatling_sid.oracle.claude.oracle import EXAMPLE_SEED, ClaudeOracle
from gatling_sid.oracle.claude.plans.request_context import DEFAULT_BLOCK_SIZE
from gatling_sid.oracle.claude.prompts.phases import answer_lengths, sample_requests
from gatling_sid.oracle.protocol import Task
from gatling_sid.scenarios.schedule import WORLD_SIZE
from gatling_sid.schemas import DomainRegistry
from gatling_sid.validators import TraceValidator
from scripts.command import progress_bar

REPAIRS = 0.35
"""Number of repair requests for plans, as a share of the traces; an assumption for estimates."""
DOMAINS_IN_ESTIMATE = 3
"""Number of domains whose prompts are measured; their mean length is exact enough, and loading all domains is slow."""
PLANS_IN_BATCHES = 5
"""Plans per API call in batches: more than one, because the prompt cache is not always read there and calls pay for it."""


def print_estimate(totals: Mapping[str, Mapping[str, int]], args: argparse.Namespace) -> int:
    """Prints what a run would cost; nothing is sent. Returns the exit status."""
    registry = DomainRegistry()
    # The worlds of the prompts' examples are populated anyway, so the requests are drawn from them too.
    oracle = oracle_of(OfflineClient(), registry, args, seed=EXAMPLE_SEED)
    print(estimate_run(totals, oracle, registry, batch=args.batch))
    return 0


def generate_online(root: Path, settings: RunSettings, args: argparse.Namespace) -> int:
    """Makes the run with Claude and prints how each domain went; returns the exit status."""
    if settings.shard_size % DEFAULT_BLOCK_SIZE and settings.shard_size % WORLD_SIZE:
        raise OracleError(
            f"--shard-size is {settings.shard_size}; with Claude it must be a multiple of {DEFAULT_BLOCK_SIZE} or {WORLD_SIZE}, "
            "since requests are written by the block"
        )
    args.ledger = args.ledger or root.with_name(f"{root.name}-claude-ledger.sqlite")
    registry = DomainRegistry()
    from gatling_sid.oracle.claude.transport.connect import keys_of  # noqa: PLC0415 - an estimate needs no API client
    from scripts.claude_options import connect_from_options  # noqa: PLC0415

    keys_of(None)  # a missing key is reported before there is a progress bar
    with progress_bar("traces") as bar:
        progress = TraceProgress(bar)
        with closing(connect_from_options(args, report_waiting=progress.show_waiting)) as client:
            result = run(
                root,
                settings,
                workers=1,
                report=lambda state: progress.show(state, client.spent_usd()),
                online=oracle_of(client, registry, args, seed=settings.seed),
            )
    with Ledger(args.ledger) as ledger:
        cost_usd: defaultdict[str, float] = defaultdict(float)
        for spent in ledger.spending():
            cost_usd[spent.domain] += spent.cost_usd
    print("\n".join(map(str, domain_reports(settings, result, cost_usd))))
    rows = sum(each.rows for each in result.receipts)
    missing = sum(shard.stop - shard.start for shard in shards_of(settings)) - rows
    print(f"{rows:,} traces in {root}, {missing:,} could not be made; responses cost ${sum(cost_usd.values()):.4f}")
    return 0


class TraceProgress:
    """Shows on one bar how many traces are done, what they cost, and what the run waits for between them."""

    def __init__(self, bar: Callable[[int, int, str], None]) -> None:
        self._bar = bar
        self._done = self._total = 0

    def show(self, progress: Progress, spent_usd: float) -> None:
        """Shows the state of the run after a block of traces."""
        self._done, self._total = progress.done, progress.total
        self._bar(self._done, self._total, f"${spent_usd:.4f}, raw pass rate {progress.pass_rate:.1%}")

    def show_waiting(self, waiting_for: str) -> None:
        """Shows which responses the run waits for."""
        self._bar(self._done, self._total, waiting_for)


def oracle_of(client: SyncClient, registry: DomainRegistry, args: argparse.Namespace, *, seed: int) -> ClaudeOracle:
    """The oracle that a run with these options uses."""
    return ClaudeOracle(
        client,
        TraceValidator(registry),
        seed=seed,
        created_at=args.created_at,
        model=args.model,
        plans_per_call=PLANS_IN_BATCHES if args.batch else 1,
        judge_share=args.judge_share,
    )


def estimate_run(
    totals: Mapping[str, Mapping[str, int]], oracle: ClaudeOracle, registry: DomainRegistry, *, batch: bool
) -> Estimate:
    """What a run will cost, estimated from the first requests for some of its domains, as prompts are about as long."""
    traces = sum(sum(splits.values()) for splits in totals.values())
    calls = {
        "requests": -(-traces // oracle.block_size),
        "graph": -(-traces // oracle.plans_per_call) + round(traces * REPAIRS),
        "judgement": round(traces * oracle.judge_share),
    }
    requests: list[LLMRequest] = []
    lengths = dict.fromkeys(calls, 0.0)
    slugs, size = list(totals), min(len(totals), DOMAINS_IN_ESTIMATE)
    sample = [slugs[at * len(slugs) // size] for at in range(size)]
    for slug in sample:
        domain = registry.domain(slug)
        contexts = [oracle.request_context(Task(domain, "train", index)) for index in range(oracle.block_size)]
        requests += sample_requests(oracle.prompts_of(domain), contexts, oracle.plans_per_call)
        for phase, length in answer_lengths(oracle.prompts_of(domain)).items():
            items = {"requests": oracle.block_size, "graph": traces * (1 + REPAIRS) / calls["graph"]}.get(phase, 1)
            lengths[phase] += items * length / BYTES_PER_TOKEN / len(sample)
    workloads = [
        replace(e, calls=calls[e.phase], prefixes=len(totals), output_tokens=lengths[e.phase])
        for e in workloads_of(requests)
    ]
    return estimate_cost([each for each in workloads if each.calls], oracle.model, batch=batch)


def domain_reports(settings: RunSettings, result: RunResult, cost_usd: Mapping[str, float]) -> list[DomainReport]:
    """For each domain: raw pass rate, pass rate after repair, and cost per accepted trace."""
    reports = []
    for slug, splits in settings.totals.items():
        receipts = [each for each in result.receipts if each.name.startswith(f"{slug}/")]
        rejections = [rejection for each in receipts for rejection in each.rejections]
        rows = sum(each.rows for each in receipts)
        reports.append(domain_report(slug, sum(splits.values()), rows, rejections, cost_usd.get(slug, 0.0)))
    return reports
