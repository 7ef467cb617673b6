"""`generate_shards --oracle claude`: the same line and the same shards, with an estimate, a ledger and a budget."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from builder.run import Progress, RunResult, run
from builder.shards import RunSettings, shards_of
from gatling_sid.agent import DomainReport, domain_report
from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.estimate.estimate import BYTES_PER_TOKEN, Estimate, estimate_cost, workloads_of
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest
from gatling_sid.oracle.claude.oracle import ClaudeOracle
from gatling_sid.oracle.claude.plans.request_context import DEFAULT_BLOCK
from gatling_sid.oracle.claude.prompts.phases import answer_lengths, sample_requests
from gatling_sid.oracle.protocol import Task
from gatling_sid.scenarios.schedule import WORLD_SIZE
from gatling_sid.schemas import DomainRegistry
from gatling_sid.validators import TraceValidator
from scripts.claude_options import connect_from_options
from scripts.command import progress_bar

REPAIRS = 0.35
"""Graph calls that come again, as a share of the traces; until a run has shown better."""
PLANS_IN_BATCHES = 5
"""Plans per call: the prefix of a batch is not always read from the cache."""


def generate_online(root: Path, settings: RunSettings, args: argparse.Namespace) -> int:
    """Runs it, or only says what it would take."""
    if settings.shard_size % DEFAULT_BLOCK and settings.shard_size % WORLD_SIZE:
        raise OracleError(
            f"--shard-size is {settings.shard_size}; with Claude it must be a multiple of {DEFAULT_BLOCK} or {WORLD_SIZE}, "
            "since requests are written by the block"
        )
    args.ledger = args.ledger or root.with_name(f"{root.name}-claude-ledger.sqlite")
    asked = connect_from_options(args)
    registry = DomainRegistry()
    oracle = ClaudeOracle(
        asked,
        TraceValidator(registry),
        seed=settings.seed,
        created_at=datetime.fromisoformat(settings.created_at),
        model=args.model,
        plans=PLANS_IN_BATCHES if args.batch else 1,
        judge_share=args.judged,
    )
    if args.estimate:
        print(estimate_run(settings, oracle, registry, batch=args.batch))
        return 0
    try:
        with progress_bar("traces") as bar:
            done = total = 0

            def tell(progress: Progress) -> None:
                nonlocal done, total
                done, total = progress.done, progress.total
                bar(done, total, f"${asked.spent():.4f}, raw pass rate {progress.pass_rate:.1%}")

            asked.telling = lambda waiting_for: bar(done, total, waiting_for)

            finished = run(root, settings, workers=1, report=tell, online=oracle)
    finally:
        asked.close()
    with Ledger(args.ledger) as ledger:
        cost_usd: defaultdict[str, float] = defaultdict(float)
        for spent in ledger.spending():
            cost_usd[spent.domain] += spent.cost_usd
    print("\n".join(map(str, domain_reports(settings, finished, cost_usd))))
    rows = sum(each.rows for each in finished.receipts)
    holes = sum(shard.stop - shard.start for shard in shards_of(settings)) - rows
    print(f"{rows:,} traces in {root}, {holes:,} could not be made; answers cost ${sum(cost_usd.values()):.4f}")
    return 0


def estimate_run(settings: RunSettings, oracle: ClaudeOracle, registry: DomainRegistry, *, batch: bool) -> Estimate:
    """What a run will take, from the first asks of each of its domains."""
    traces = sum(sum(splits.values()) for splits in settings.totals.values())
    calls = {
        "requests": -(-traces // oracle.block),
        "graph": -(-traces // oracle.plans) + round(traces * REPAIRS),
        "judgement": round(traces * oracle.judged),
    }
    asks: list[LLMRequest] = []
    lengths = dict.fromkeys(calls, 0.0)
    for slug in settings.totals:
        domain = registry.domain(slug)
        scenes = [oracle.request_context(Task(domain, "train", index)) for index in range(oracle.block)]
        asks += sample_requests(oracle.phases(domain), scenes, oracle.plans)
        for phase, length in answer_lengths(oracle.phases(domain)).items():
            items = {"requests": oracle.block, "graph": traces * (1 + REPAIRS) / calls["graph"]}.get(phase, 1)
            lengths[phase] += items * length / BYTES_PER_TOKEN / len(settings.totals)
    planned = [replace(e, calls=calls[e.phase], output_tokens=lengths[e.phase]) for e in workloads_of(asks)]
    return estimate_cost([each for each in planned if each.calls], oracle.model, batch=batch)


def domain_reports(settings: RunSettings, finished: RunResult, cost_usd: Mapping[str, float]) -> list[DomainReport]:
    """How each domain went: raw pass rate, pass rate after repair, cost per accepted trace."""
    result = []
    for slug, splits in settings.totals.items():
        mine = [each for each in finished.receipts if each.name.startswith(f"{slug}/")]
        rejections = [rejection for each in mine for rejection in each.rejections]
        rows = sum(each.rows for each in mine)
        result.append(domain_report(slug, sum(splits.values()), rows, rejections, cost_usd.get(slug, 0.0)))
    return result
