"""Whole runs of `generate_shards --oracle claude` against a local server; compares the ledger with the server's bill.

    python -m benchmarks.claude_run [--total 2000]

Three runs over all domains of the catalogue, with the same simulated model:

    online   connections fail and responses are lost; the process is killed five times, then finishes
    batches  items expire or fail, creations and results are lost; the process is killed twice
    wrong    the answers are bad: refusals, cut JSON, JSON within text, plans with a needless call, unfavourable judgements

Each run must be complete at the end. Prints the traces, the ledger and the bill, what the ledger cannot explain (0 if
all is well), and the share of input tokens read from the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from builder.run import plan_run
from builder.shards import read_manifest, read_traces, shards_of, verified_shards
from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.oracle import ClaudeOracle
from gatling_sid.oracle.claude.transport.blocking_client import blocking_client
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.validators import TraceValidator
from scripts.generate_shards import DEFAULT_CREATED_AT, SHARD_SIZE, parse_splits
from tests.support.claude_model import SimulatedClaude, contexts_of
from tests.support.claude_server import ClaudeServer

SEED = 7
SPLITS = "train=0.8,validation=0.1,test=0.1"
TRANSPORT = {"500": 0.02, "529": 0.02, "429": 0.005, "drop": 0.01, "lost": 0.02, "cut": 0.01, "garbled": 0.01}
ITEMS = {"expired": 0.02, "errored": 0.02}
CONTENT = {"refusal": 0.01, "max_tokens": 0.01}
UNFAVOURABLE_JUDGEMENT = {
    "serves_request": False,
    "nothing_beyond": True,
    "compliant": True,
    "violations": [],
    "why": "No.",
}


def simulated_claude(total: int) -> SimulatedClaude:
    """A model that knows the contexts of all requests of a run of this size."""
    registry = DomainRegistry()
    moment = datetime.fromisoformat(DEFAULT_CREATED_AT)
    settings = plan_run(
        [], total, parse_splits(SPLITS), seed=SEED, created_at=moment, shard_size=SHARD_SIZE, oracle="claude"
    )
    oracle = ClaudeOracle(blocking_client(SimulatedClaude(())), TraceValidator(), seed=SEED, created_at=moment)
    tasks = [
        Task(registry.domain(shard.domain), shard.split, index)
        for shard in shards_of(settings)
        for index in range(shard.start, shard.stop)
    ]
    return SimulatedClaude(contexts_of(oracle, tasks))


class Run:
    """A run of the command against the server, which is killed and repeated until it ends."""

    def __init__(self, folder: Path, server: ClaudeServer, total: int, *options: str) -> None:
        self.server = server
        self.folder = folder
        self.command = [
            sys.executable, "-m", "scripts.generate_shards", "--oracle", "claude", "--total", str(total),
            "--seed", str(SEED), "--splits", SPLITS, "--output-dir", str(folder), *options,
        ]  # fmt: skip
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}
        self.environment |= {"ANTHROPIC_API_KEY": next(iter(server.keys)), "ANTHROPIC_BASE_URL": server.url}
        self.seconds = 0.0

    def run_to_end(self, kills: int, *, seconds_between: float = 9) -> None:
        """Kills the command `kills` times, after random times, and then runs it to its end."""
        rng = random.Random(SEED)
        for kill in range(kills + 1):
            start = time.monotonic()
            with subprocess.Popen(self.command, env=self.environment, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
                try:
                    output, _ = process.communicate(
                        timeout=seconds_between * rng.uniform(0.7, 1.3) if kill < kills else None
                    )
                except subprocess.TimeoutExpired:
                    process.kill()
                    continue
            self.seconds = time.monotonic() - start
            if process.returncode:
                raise SystemExit(f"{' '.join(self.command)} ended with {process.returncode}")
            print(output.strip().rpartition("\n")[2])
            return

    def accepted_texts(self) -> dict[str, str]:
        """The request texts of all traces in the shards, by trace id; each trace is judged again."""
        judge = TraceValidator()
        paths = verified_shards(self.folder, read_manifest(self.folder))
        traces = [trace for path in paths for trace in read_traces(path)]
        assert all(judge.validate_trace(trace)[1]["validated"] for trace in traces)
        return {trace.trace_id: trace.request.text for trace in traces}

    def print_accounts(self) -> None:
        """Prints whether the ledger and the bill agree on messages and repeated API calls."""
        with Ledger(self.folder.with_name(f"{self.folder.name}-claude-ledger.sqlite")) as ledger:
            paid, spent, estimate = ledger.payments(), ledger.spending(), ledger.estimate_unbooked_usd()
            attempts = {each: Counter(ledger.attempt_statuses(each)) for each, _ in paid.values()}
        billed = {each.message_id: each for each in self.server.bills}
        wrong = sum(abs(cost - billed[message].cost / 1e12) > 1e-9 for message, (_, cost) in paid.items())
        twice = len(paid) - len(attempts)
        calls: defaultdict[str, Counter[str]] = defaultdict(
            Counter
        )  # by content: some requests are repeated under another work id
        for work_id, words in {(work_id, billed[message].user_text) for message, (work_id, _) in paid.items()}:
            calls[words] += attempts[work_id]
        lost = Counter(each.user_text for each in billed.values() if each.message_id not in paid)
        unexplained = sum(max(0, n - calls[each]["lost"] - calls[each]["killed"]) for each, n in lost.items())
        statuses = sum((each for each in attempts.values()), Counter[str]())
        booked = sum(cost for _, cost in paid.values())
        undelivered = sum(each.cost for each in billed.values() if each.message_id not in paid) / 1e12
        prompt = sum(each.usage.prompt_tokens for each in spent)
        read = sum(each.usage.cache_read_tokens for each in spent)
        print(
            f"  bill ${self.server.bill_usd:.6f} = booked ${booked:.6f} + never delivered ${undelivered:.6f} "
            f"({lost.total()} messages; the ledger's estimate is ${estimate:.6f})\n"
            f"  {len(paid)} messages booked, {wrong} at another price, {twice} requests paid twice, "
            f"{unexplained} undelivered ones without a lost or killed call\n"
            f"  API calls by status: {dict(statuses.most_common())}\n"
            f"  {read / prompt:.1%} of {prompt:,} input tokens read from the cache"
        )


def with_wrong_answers(model: SimulatedClaude, share: float) -> Callable[[dict[str, Any]], str]:
    """Changes a share of the answers: text around the JSON, a needless call, or an unfavourable judgement."""
    rng = random.Random(SEED)

    def text_for_body(body: dict[str, Any]) -> str:
        text = model.text_for_body(body)
        if rng.random() >= share:
            return text
        content = json.loads(text)
        if "serves_request" in content:
            return json.dumps(UNFAVOURABLE_JUDGEMENT)
        for item in content["items"]:
            item.get("calls", []).append(
                {"id": "call_9", "tool": "nothing", "arguments": [], "after": [], "rule": "", "quote": ""}
            )
        return f"Here you are:\n{json.dumps(content)}\nAnything else?"

    return text_for_body


def main() -> None:
    """Prints the three runs; ends with an error if one of them is not complete."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--total", type=int, default=2000)
    total = parser.parse_args().total
    model = simulated_claude(total)
    accepted: dict[str, dict[str, str]] = {}
    runs: list[tuple[str, dict[str, Any], int, list[str]]] = [
        ("online", {"answer": model.text_for_body, "faults": TRANSPORT, "latency": 0.2}, 5, []),
        ("batches", {"answer": model.text_for_body, "item_faults": ITEMS, "batch_seconds": 1}, 2, ["--batch"]),
        ("wrong", {"answer": with_wrong_answers(model, 0.1), "faults": CONTENT, "latency": 0.2}, 0, []),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name, settings, kills, options in runs:
            print(f"{name}, {kills} kills")
            with ClaudeServer(**settings) as server:
                if options:
                    server.next("create", "lost", "ok", "500", "drop")
                    server.next("results", "cut", "500")
                run = Run(Path(folder) / name, server, total, *options)
                run.run_to_end(kills)
                accepted[name] = run.accepted_texts()
                print(
                    f"  {len(accepted[name])} of {total} traces, all proven again; the last start took {run.seconds:.0f} s"
                )
                run.print_accounts()
    same = accepted["online"] == accepted["batches"]
    print(f"online and batches accepted {'the same' if same else 'DIFFERENT'} traces")
    if not same or {len(each) for each in accepted.values()} != {total}:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
