"""The card: every number in it counted again, its header read again, and nothing left to fill in."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from builder.release import write_data
from builder.shards import RunSettings, ShardPart, read_manifest, shards_of, write_manifest, write_shard
from dataset_card.card import size_category, write_card
from dataset_card.statistics import mean, quantile
from gatling_sid.generator import Rejection
from gatling_sid.models import GoldTrace

Parts = dict[str, dict[str, list[GoldTrace]]]


def write_release(folder: Path, parts: Parts, rejected: int = 0, **sizes: int) -> tuple[Path, str]:
    """Writes a release of these traces; returns its folder and the text of its card."""
    totals = {domain: {split: len(traces) for split, traces in splits.items()} for domain, splits in parts.items()}
    catalogue = {d: str(traces[0].metadata["catalogue"]) for d, splits in parts.items() for traces in splits.values()}
    settings = RunSettings(4711, "scenario", "2026-01-01T00:00:00+00:00", 25, totals, catalogue)
    no = [Rejection("x", 0, "renew", "goal_is_met", "it is not")]
    receipts = [
        write_shard(
            folder / "run", each, [ShardPart(parts[each.domain][each.split][each.start : each.stop], no * rejected)]
        )
        for each in shards_of(settings)
    ]
    write_manifest(folder / "run", settings, receipts, repeated_texts=0)
    layout = write_data(folder / "run", folder / "tree", **sizes)
    path = write_card(folder / "tree", read_manifest(folder / "run"), layout, repo_id="gatling/sid", version="1.2.0")
    assert path == folder / "tree/README.md"
    return folder / "tree", path.read_text(encoding="utf-8")


@pytest.fixture
def parts(gold: list[GoldTrace]) -> Parts:
    """Traces of two domains by split; the second has no test split."""
    return {
        "finance": {"train": gold[:43], "validation": gold[43:50], "test": gold[50:54]},
        "hr": {"train": gold[54:110], "validation": gold[110:120]},
    }


def shares(values: Iterable[str]) -> str:
    """What a share of each value is, the most frequent first."""
    counts = Counter(values)
    return ", ".join(f"{name} {100 * n / counts.total():.1f}%" for name, n in counts.most_common())


def at(share: float, values: list[int]) -> int:
    """The smallest value that so large a share of all is no larger than."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def expected(traces: list[GoldTrace]) -> list[str]:
    """The lines of the table of measures, counted trace by trace."""
    calls = [len(trace.graph.calls) for trace in traces]
    words = [len(trace.request.text.split()) for trace in traces]
    sources = [[each.origin for call in trace.graph.calls for each in call.argument_sources] for trace in traces]
    several = sum(n > 1 for n in calls)
    contexts = {(t.policy.policy_id, t.request.principal.role) for t in traces if t.request.principal}
    flowing = sum("call" in each for each in sources)
    tiers = [trace.request.expected_scope.sensitivity_tier.value for trace in traces]
    p5, p50, p95 = (at(share, words) for share in (0.05, 0.5, 0.95))
    mean_calls = f"{sum(calls) / len(calls):.2f}"
    return [
        f"| calls per trace | mean {mean_calls}, 95th percentile {at(0.95, calls)}, maximum {max(calls)} |",
        f"| traces with two or more calls | {100 * several / len(traces):.1f}% |",
        f"| of those, with data flow between calls | {100 * flowing / several:.1f}% |",
        f"| words per request | 5th percentile {p5}, median {p50}, 95th percentile {p95} |",
        f"| distinct (policy, role) contexts | {len(contexts)} |",
        f"| intents | {shares(trace.request.intent_category for trace in traces)} |",
        f"| sensitivity of the requested data | {shares(tiers)} |",
        f"| where argument values come from | {shares(origin for each in sources for origin in each)} |",
    ]


def unordered(lines: list[str]) -> dict[str, list[str]]:
    """Rows of a table by label; where shares are equal, their order is open."""
    return {label: sorted(value.split(", ")) for label, value in (row.strip("| ").split(" | ") for row in lines)}


def test_every_figure_is_counted_from_the_rows(tmp_path: Path, parts: Parts, gold: list[GoldTrace]) -> None:
    """Each measure equals one counted another way, over files and groups however they are cut."""
    _, card = write_release(tmp_path, parts, rows_per_file=20, rows_per_group=10)

    table = card.partition("| measure | value |\n| --- | --- |\n")[2].partition("\n\n")[0]
    assert unordered(table.splitlines()) == unordered(expected(gold[:120]))


def test_rows_and_roles_are_counted_by_config(tmp_path: Path, parts: Parts) -> None:
    """The table of configs has a line for each domain, a column for each split, and the domain's roles."""
    _, card = write_release(tmp_path, parts)

    everybody = {
        domain: [each.request.principal for traces in splits.values() for each in traces]
        for domain, splits in parts.items()
    }
    roles = {domain: len({each.role for each in people if each}) for domain, people in everybody.items()}
    assert (
        "| config | train | validation | test | roles |\n| --- | --- | --- | --- | --- |\n"
        f"| `finance` | 43 | 7 | 4 | {roles['finance']} |\n| `hr` | 56 | 10 | 0 | {roles['hr']} |\n"
    ) in card


def test_the_text_says_what_was_counted(tmp_path: Path, parts: Parts, gold: list[GoldTrace]) -> None:
    """Totals, tools, rejections, seed, version and example are those of this release."""
    _, card = write_release(tmp_path, parts, rejected=3)

    tools = {call.tool_id for trace in gold[:120] for call in trace.graph.calls}
    assert f"each request: 120 traces over 2 domains, six intents and {len(tools)} tools." in card
    assert "24 of 144 proposals were rejected (raw pass rate 83.33%)" in card
    assert "\nThe seed is 4711; " in card
    assert "\n# Gatling Synthetic Integrity Dataset (SID) 1.2.0\n" in card
    assert 'load_dataset("gatling/sid", split="train", streaming=True)' in card
    assert 'load_dataset("gatling/sid", "finance")' in card


def test_intents_and_domains_are_counted_too(tmp_path: Path, gold: list[GoldTrace]) -> None:
    """A release of one domain and two intents does not claim more."""
    some = [trace for trace in gold[:120] if trace.request.intent_category in ("update", "export")]

    _, card = write_release(tmp_path, {"hr": {"train": some}})

    assert re.search(rf"each request: {len(some)} traces over (1|one) domain, (2|two) intents and \d+ tools\.", card)
    assert "six intents" not in card


def test_traces_of_one_call_make_a_card(tmp_path: Path, gold: list[GoldTrace]) -> None:
    """Without any trace of several calls there is no share of them to speak of, and no error."""
    single = [trace for trace in gold[:120] if len(trace.graph.calls) == 1]

    _, card = write_release(tmp_path, {"hr": {"train": single}})

    assert "| traces with two or more calls | 0.0% |\n| of those, with data flow between calls | none |\n" in card


def test_nothing_is_left_to_fill_in(tmp_path: Path, parts: Parts) -> None:
    """Every value is filled in; the one dollar sign is that of a reference in an example."""
    _, card = write_release(tmp_path, parts)

    assert re.findall(r"\$\S+", card) == ["$call_1.items[0].invoice_id`"]
    assert not re.search(r"\b(nan|None|inf)\b", card)


def header(card: str) -> dict[str, Any]:
    """The YAML at the top of a card."""
    empty, above, _ = card.split("---\n", 2)
    assert empty == ""
    content: dict[str, Any] = yaml.safe_load(above)
    return content


def test_the_header_leads_readers_to_the_files(tmp_path: Path, parts: Parts) -> None:
    """The default config comes first, each domain has one, every split is found, and every file by its own domain."""
    tree, card = write_release(tmp_path, parts)

    content = header(card)
    first, *others = content["configs"]
    files = {str(path.relative_to(tree)) for path in tree.glob("data/*/*")}
    found = {
        config["config_name"]: {
            each["split"]: {str(path.relative_to(tree)) for path in tree.glob(each["path"])}
            for each in config["data_files"]
        }
        for config in content["configs"]
    }
    assert (first["config_name"], first["default"]) == ("default", True)
    assert [(each["config_name"], each.get("default")) for each in others] == [("finance", None), ("hr", None)]
    assert {name: list(splits) for name, splits in found.items()} == {
        "default": ["train", "validation", "test"], "finance": ["train", "validation", "test"],
        "hr": ["train", "validation"],
    }  # fmt: skip
    assert all(paths for splits in found.values() for paths in splits.values())
    assert set().union(*found["default"].values()) == files
    assert {name: {path.split("/")[1] for paths in found[name].values() for path in paths} for name in parts} == {
        name: {name} for name in parts
    }
    assert (content["license"], content["language"], content["size_categories"]) == ("apache-2.0", ["en"], ["n<1K"])
    assert "dataset_info" not in content


@pytest.mark.parametrize(
    ("rows", "category"),
    [(1, "n<1K"), (999, "n<1K"), (1_000, "1K<n<10K"), (9_999, "1K<n<10K"), (10_000, "10K<n<100K"),
     (999_999, "100K<n<1M"), (4_000_000, "1M<n<10M"), (20_000_000, "10M<n<100M")],
)  # fmt: skip
def test_sizes_have_the_names_of_the_hub(rows: int, category: str) -> None:
    """The Hub's own categories, up to what this dataset may grow to."""
    assert size_category(rows) == category


def test_quantiles_are_values_that_occur() -> None:
    """Mean and quantiles of counted values are those of the values one by one."""
    counts = Counter({1: 90, 5: 5, 40: 5})

    assert mean(counts) == 3.15
    assert [quantile(counts, share) for share in (0.05, 0.5, 0.9, 0.91, 0.95, 0.96, 1.0)] == [1, 1, 1, 5, 5, 40, 40]
