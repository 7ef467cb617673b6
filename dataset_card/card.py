"""Writes the dataset card: a template filled with measured numbers, below YAML that lists configs and splits."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import Any

import yaml

from builder.release import Layout, configs
from builder.shards import complete_file
from dataset_card.statistics import Statistics, mean, measure_release, quantile
from gatling_sid.scenarios.schedule import WORDINGS_PER_INSTANCE
from gatling_sid.schemas.domain import SPLITS

TEMPLATE = Path(__file__).parent / "template.md"


def write_card(tree: Path, manifest: dict[str, Any], layout: Layout, *, repo_id: str, version: str) -> Path:
    """Measures a release tree and writes its README; returns the path of the README. Raises ShardError."""
    path = tree / "README.md"
    text = render_card(measure_release(tree), manifest, layout, repo_id=repo_id, version=version)
    with complete_file(path) as file:
        file.write(text.encode())
    return path


def render_card(statistics: Statistics, manifest: dict[str, Any], layout: Layout, *, repo_id: str, version: str) -> str:
    """The text of a release's README, YAML header included."""
    header = {
        "license": "apache-2.0",
        "language": ["en"],
        "pretty_name": "Gatling Synthetic Integrity Dataset",
        "task_categories": ["text-generation"],
        "tags": ["tool-use", "agents", "policy-compliance", "synthetic", "function-calling"],
        "size_categories": [size_category(statistics.total)],
        # Readers cache rows under the text of a config, so other rows need another text.
        "configs": [{**each, "description": f"rows of manifest {_digest(manifest)}"} for each in configs(layout)],
    }
    text = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        _template_values(statistics, manifest, layout), repo_id=repo_id, version=version
    )
    return f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---\n\n{text}"


def _template_values(statistics: Statistics, manifest: dict[str, Any], layout: Layout) -> dict[str, object]:
    multi_call = sum(n for calls, n in statistics.calls.items() if calls > 1)
    return {
        "total": f"{statistics.total:,}",
        "domains": f"{len(layout)} domain{'s' * (len(layout) > 1)}",
        "intent_number": {6: "six"}.get(len(statistics.intents), len(statistics.intents)),
        "tools": len(statistics.tools),
        "example_config": min(layout),
        "rejected": f"{manifest['rejected']:,}",
        "proposed": f"{manifest['rows'] + manifest['rejected']:,}",
        "pass_rate": f"{manifest['raw_pass_rate']:.2%}",
        "rows_table": _rows_table(statistics, layout),
        "mean_calls": f"{mean(statistics.calls):.2f}",
        "p95_calls": quantile(statistics.calls, 0.95),
        "max_calls": max(statistics.calls),
        "multi_call": f"{multi_call / statistics.total:.1%}",
        "data_flow": f"{statistics.with_data_flow / multi_call:.1%}" if multi_call else "none",
        "p5_words": quantile(statistics.words, 0.05),
        "p50_words": quantile(statistics.words, 0.5),
        "p95_words": quantile(statistics.words, 0.95),
        "contexts": f"{len(statistics.contexts):,}",
        "intents": _shares(statistics.intents),
        "sensitivity": _shares(statistics.sensitivity),
        "origins": _shares(statistics.origins),
        "seed": manifest["settings"]["seed"],
        "wordings_note": f"Up to {WORDINGS_PER_INSTANCE} requests express the same task in different words.",
    }


def _digest(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest).encode()).hexdigest()[:16]


def _shares(counts: Counter[str]) -> str:
    total = sum(counts.values())
    return ", ".join(f"{name} {n / total:.1%}" for name, n in counts.most_common())


def _rows_table(statistics: Statistics, layout: Layout) -> str:
    splits = [split for split in SPLITS if any((domain, split) in statistics.rows for domain in layout)]
    lines = [_row(["config", *splits, "roles"]), _row(["---"] * (len(splits) + 2))]
    for domain in sorted(layout):
        roles = sum(1 for each, _ in statistics.roles if each == domain)
        lines.append(_row([f"`{domain}`", *(f"{statistics.rows[domain, split]:,}" for split in splits), roles]))
    return "\n".join(lines)


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def size_category(rows: int) -> str:
    """The name that the Hub has for a dataset of so many rows."""
    steps = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    return next((name for limit, name in steps if rows < limit), "1M<n<10M" if rows < 10_000_000 else "10M<n<100M")
