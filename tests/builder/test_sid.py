"""The builder: a finished run as splits of `datasets`, and nothing that is not one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest

from builder.features import from_row
from builder.shards import RunSettings, ShardPart, shards_of, write_manifest, write_shard
from builder.sid import FEATURES, GatlingSid
from gatling_sid.errors import ShardError
from gatling_sid.models import GoldTrace
from gatling_sid.schemas import DomainRegistry

FIRST, SECOND, *_ = DomainRegistry().slugs()
Parts = dict[str, dict[str, list[GoldTrace]]]


@pytest.fixture
def parts(gold: list[GoldTrace]) -> Parts:
    """Traces of two domains by split; the second has no test split."""
    return {
        FIRST: {"train": gold[:25], "validation": gold[25:30], "test": gold[30:42]},
        SECOND: {"train": gold[42:70], "validation": gold[70:73]},
    }


def write_run(root: Path, parts: Parts, *, finished: bool = True) -> Path:
    """A run of these traces, ten to a shard, four to a batch."""
    totals = {domain: {split: len(traces) for split, traces in splits.items()} for domain, splits in parts.items()}
    settings = RunSettings(1, "scenario", "2026-01-01T00:00:00+00:00", 10, totals, dict.fromkeys(parts, "digest"))
    receipts = []
    for shard in shards_of(settings):
        traces = parts[shard.domain][shard.split][shard.start : shard.stop]
        receipts.append(
            write_shard(root, shard, [ShardPart(traces[at : at + 4], []) for at in range(0, len(traces), 4)])
        )
    if finished:
        write_manifest(root, settings, receipts)
    return root


def prepared(run: Path, cache: Path, config: str | None = None) -> Any:
    """The splits of a config, by way of the cache."""
    builder = GatlingSid(run, config_name=config, cache_dir=str(cache))
    builder.download_and_prepare()
    return builder.as_dataset()


def traces_in(rows: Any) -> list[GoldTrace]:
    """Rows as traces."""
    return [from_row(row) for row in rows]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """No progress bars."""
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def test_there_is_a_config_for_every_domain_and_one_for_all() -> None:
    """`default` comes first and is the default."""
    assert list(GatlingSid.builder_configs) == ["default", *DomainRegistry().slugs()]
    assert GatlingSid.DEFAULT_CONFIG_NAME == "default"


def test_a_domain_config_holds_the_domain(tmp_path: Path, parts: Parts) -> None:
    """Each config has the splits of its domain, in the order they were made, with the published features."""
    run = write_run(tmp_path / "run", parts)

    for domain, splits in parts.items():
        rows = prepared(run, tmp_path / "cache", domain)
        assert {split: traces_in(rows[split]) for split in rows} == splits
        assert all(rows[split].features == FEATURES for split in rows)


def test_the_default_config_holds_all_domains(tmp_path: Path, parts: Parts) -> None:
    """Without a name it is the default: every split over all domains that have it."""
    rows = prepared(write_run(tmp_path / "run", parts), tmp_path / "cache")

    assert list(rows) == ["train", "validation", "test"]
    for split in rows:
        assert traces_in(rows[split]) == [trace for each in parts.values() for trace in each.get(split, [])]


def test_splits_can_be_sliced_and_joined(tmp_path: Path, parts: Parts) -> None:
    """The split expressions of `datasets` work, and so does streaming."""
    builder = GatlingSid(write_run(tmp_path / "run", parts), config_name=FIRST, cache_dir=str(tmp_path / "cache"))
    builder.download_and_prepare()
    mine = parts[FIRST]

    assert traces_in(builder.as_dataset(split="train[2:5]+test[:25%]")) == mine["train"][2:5] + mine["test"][:3]
    assert traces_in(builder.as_streaming_dataset(split="validation")) == mine["validation"]


def test_an_unknown_config_is_refused(tmp_path: Path, parts: Parts) -> None:
    """The error lists the configs that there are."""
    run = write_run(tmp_path / "run", parts)

    with pytest.raises(ValueError, match=rf"^BuilderConfig 'finanse' not found\. Available: \['default', '{FIRST}', "):
        GatlingSid(run, config_name="finanse", cache_dir=str(tmp_path / "cache"))


def test_a_domain_that_the_run_does_not_hold_is_refused(tmp_path: Path, parts: Parts) -> None:
    """A known domain without shards is an error that names it, not a dataset without splits."""
    run = write_run(tmp_path / "run", {SECOND: parts[SECOND]})

    with pytest.raises(ShardError, match=FIRST):
        prepared(run, tmp_path / "cache", FIRST)


def test_another_run_is_not_served_from_the_cache(tmp_path: Path, parts: Parts) -> None:
    """With one cache, a run made again in the same folder is read again, and one in another folder is another dataset."""
    for number, folder in enumerate(["run", "run", "other"]):
        run = write_run(tmp_path / folder, {FIRST: {"train": parts[FIRST]["train"][number : number + 9]}})
        rows = prepared(run, tmp_path / "cache", FIRST)
        assert traces_in(rows["train"]) == parts[FIRST]["train"][number : number + 9]


def test_an_unfinished_run_is_refused(tmp_path: Path, parts: Parts) -> None:
    """Without a manifest there is no dataset."""
    run = write_run(tmp_path / "run", parts, finished=False)

    with pytest.raises(ShardError) as refused:
        GatlingSid(run, cache_dir=str(tmp_path / "cache"))

    assert str(refused.value) == (
        f"{run} contains no finished run (no manifest.json); run the generate command to its end first"
    )


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_a_damaged_run_is_refused(tmp_path: Path, parts: Parts, damage: str) -> None:
    """A shard that differs from the manifest gives no dataset, not even a partial one; a repaired shard gives one."""
    run = write_run(tmp_path / "run", parts)
    shard = run / f"{FIRST}/train-00001-of-00003.arrow"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1] + b"x") if damage == "altered" else shard.unlink()

    with pytest.raises(ShardError) as refused:
        prepared(run, tmp_path / "cache", FIRST)

    assert str(refused.value) == f"{shard} is missing or was altered; run the same generate command again"
    assert list((tmp_path / "cache").rglob("*.arrow")) == []
    shard.write_bytes(content)
    assert traces_in(prepared(run, tmp_path / "cache", FIRST)["test"]) == parts[FIRST]["test"]
