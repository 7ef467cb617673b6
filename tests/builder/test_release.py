"""Releases: any reader opens them without our code, and gets what was generated."""

from __future__ import annotations

import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from datasets import load_dataset

from builder import release
from builder.features import from_row
from builder.run import plan_run, run
from builder.shards import RunSettings, ShardPart, read_manifest, read_traces, shards_of, verified_shards, write_shard
from builder.sid import GatlingSid
from dataset_card.card import write_card
from gatling_sid.errors import ShardError
from gatling_sid.schemas import DomainRegistry
from gatling_sid.validators import TraceValidator
from tests.support.commands import output_of, read_files

pytestmark = pytest.mark.usefixtures("small_domains")
SHIPPED = DomainRegistry().slugs()
READER = """
import json, sys
sys.modules["gatling_sid"] = sys.modules["builder"] = None
from datasets import load_dataset
tree = sys.argv[1]
everything, finance = load_dataset(tree), load_dataset(tree, "finance")
streamed = load_dataset(tree, "hr", split="test", streaming=True)
columns = load_dataset(tree, split="train", columns=["trace_id"])
print(json.dumps({
    "all": {split: len(rows) for split, rows in everything.items()},
    "finance": {split: len(rows) for split, rows in finance.items()},
    "streamed": [row["trace_id"] for row in streamed],
    "columns": columns.column_names,
    "arguments": finance["train"][0]["graph"]["calls"][0]["arguments"],
}))
"""


@pytest.fixture(scope="module")
def run_and_release(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A finished run of two domains, and its release."""
    folder = tmp_path_factory.mktemp("release")
    settings = plan_run(
        ["finance", "hr"], 120, {"train": 0.8, "validation": 0.1, "test": 0.1},
        seed=11, created_at=datetime(2026, 1, 1, tzinfo=UTC), shard_size=17,
    )  # fmt: skip
    run(folder / "run", settings, workers=1, report=lambda _: None)
    return folder / "run", staged(folder / "run", folder / "tree")


def staged(source: Path, tree: Path, **sizes: int) -> Path:
    """The release tree of a run, card and all."""
    layout = release.write_data(source, tree, **sizes)
    write_card(tree, read_manifest(source), layout, repo_id="gatling/sid", version="1.0.0")
    return tree


def test_release_loads_without_our_code(run_and_release: tuple[Path, Path], tmp_path: Path) -> None:
    """Default config, one domain, a split, streaming and chosen columns work where our packages cannot be imported."""
    command = [sys.executable, "-I", "-c", READER, str(run_and_release[1])]
    found = json.loads(output_of(command, tmp_path, env={"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PATH": ""}))

    assert found["all"] == {"train": 96, "validation": 12, "test": 12}
    assert found["finance"] == {"train": 48, "validation": 6, "test": 6}
    assert found["streamed"] == [f"hr_test_{number:08d}" for number in range(6)]
    assert found["columns"] == ["trace_id"]
    assert isinstance(found["arguments"], dict)


def test_rows_are_those_generated_and_gold_again(run_and_release: tuple[Path, Path], tmp_path: Path) -> None:
    """Every row read back equals the trace of the shards, and passes the validator once more."""
    source, tree = run_and_release
    rows = load_dataset(str(tree), cache_dir=str(tmp_path))
    back = {trace.trace_id: trace for split in rows.values() for trace in map(from_row, split)}
    traces_of_run = {
        t.trace_id: t for path in verified_shards(source, read_manifest(source)) for t in read_traces(path)
    }
    validator = TraceValidator()

    assert back == traces_of_run
    assert all(validator.validate_trace(trace)[1]["validated"] for trace in back.values())


def test_same_run_same_tree_and_nothing_stale(run_and_release: tuple[Path, Path], tmp_path: Path) -> None:
    """Staging twice gives the same bytes; files of an earlier release that are no longer part of it go."""
    source, tree = run_and_release
    stale = tmp_path / "again" / "data" / "astrology" / "train-00000-of-00001.parquet"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"old")

    assert read_files(staged(source, tmp_path / "again")) == read_files(tree)


def test_small_shards_become_whole_files(run_and_release: tuple[Path, Path], tmp_path: Path) -> None:
    """Rows are cut into files and row groups of the release's sizes, whatever the shards' sizes were."""
    staged(run_and_release[0], tmp_path / "tree", rows_per_file=20, rows_per_group=10)
    files = [pq.ParquetFile(path) for path in sorted((tmp_path / "tree/data/hr").glob("train-*.parquet"))]
    groups = [[f.metadata.row_group(g).num_rows for g in range(f.num_row_groups)] for f in files]

    assert sorted(path.name for path in (tmp_path / "tree/data/hr").glob("train-*")) == [
        f"train-{n:05d}-of-00003.parquet" for n in range(3)
    ]
    assert groups == [[10, 10], [10, 10], [8]]
    assert len(load_dataset(str(tmp_path / "tree"), "hr", split="train", cache_dir=str(tmp_path / "cache"))) == 48


def copied(run: Path, folder: Path) -> Path:
    """A copy of a run, to be damaged."""
    return Path(shutil.copytree(run, folder))


def without_rows(run: Path, *names: str) -> None:
    """A run whose shards of these names came out empty, as one with Claude may."""
    manifest = json.loads((run / "manifest.json").read_bytes())
    for each in manifest["shards"]:
        if any(name in each["name"] for name in names):
            shard = next(s for s in shards_of(read_settings(manifest)) if s.name == each["name"])
            receipt = write_shard(run, shard, [])
            each |= {"rows": 0, "sha256": receipt.sha256}
    (run / "manifest.json").write_text(json.dumps(manifest))


def read_settings(manifest: dict[str, Any]) -> RunSettings:
    """The settings of a manifest."""
    return RunSettings(**{key: value for key, value in manifest["settings"].items() if key != "format"})


def test_a_split_without_rows_keeps_nobody_from_the_others(run_and_release: tuple[Path, Path], tmp_path: Path) -> None:
    """It is not named in the README, and the rest loads; a run without any row is no release."""
    run_ = copied(run_and_release[0], tmp_path / "run")
    without_rows(run_, "hr/test")
    tree = staged(run_, tmp_path / "tree")
    assert set(load_dataset(str(tree), "hr", cache_dir=str(tmp_path / "cache"))) == {"train", "validation"}
    assert set(load_dataset(str(tree), cache_dir=str(tmp_path / "cache"))) == {"train", "validation", "test"}
    without_rows(run_, "/")
    with pytest.raises(ShardError, match="contains no traces; there is nothing to release"):
        release.write_data(run_, tree)
    assert len(load_dataset(str(tree), "hr", split="train", cache_dir=str(tmp_path / "cache"))) == 48


def test_a_release_that_fails_leaves_the_one_before(
    run_and_release: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stops it, the tree holds the old data until the new is whole."""
    tree = staged(run_and_release[0], tmp_path / "tree")
    before = {path: path.read_bytes() for path in tree.rglob("*.parquet")}

    def full(*_: object) -> int:
        raise ShardError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(release, "regroup", full)
        with pytest.raises(ShardError, match="full"):
            release.write_data(run_and_release[0], tree)
    assert {path: path.read_bytes() for path in tree.rglob("*.parquet")} == before
    staged(run_and_release[0], tree)
    assert {path: path.read_bytes() for path in tree.rglob("*.parquet")} == before
    assert sorted(path.name for path in tree.iterdir()) == ["README.md", "data", "manifest.json"]


def test_hidden_files_are_no_part_of_a_release(run_and_release: tuple[Path, Path], tmp_path: Path) -> None:
    """What a killed call left goes; anything else that is not ours is refused."""
    tree = staged(run_and_release[0], tmp_path / "tree")
    (tree / ".README.md.123.part").write_text("half")
    (tree / ".data.part" / "hr").mkdir(parents=True)
    staged(run_and_release[0], tree)
    assert sorted(path.name for path in tree.iterdir()) == ["README.md", "data", "manifest.json"]
    (tree / ".env").write_text("TOKEN=1")
    with pytest.raises(ShardError, match=r"contains \.env, which is not part of a release"):
        release.write_data(run_and_release[0], tree)
    assert not release.is_released(".env")
    assert release.is_released("data/hr/train-00000-of-00001.parquet")


def test_foreign_folder_is_not_overwritten(run_and_release: tuple[Path, Path], tmp_path: Path) -> None:
    """A folder that holds anything else is refused, and left as it is."""
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ShardError, match=r"contains thesis\.tex, which is not part of a release; name another folder"):
        release.write_data(run_and_release[0], tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_unfinished_or_altered_runs_are_not_released(run_and_release: tuple[Path, Path], tmp_path: Path) -> None:
    """Without a manifest, or with a shard that its checksum disowns, nothing is released, and the reason is given."""
    with pytest.raises(ShardError, match=r"contains no finished run \(no manifest.json\); run the generate command"):
        release.write_data(tmp_path, tmp_path / "tree")
    (tmp_path / "run" / "finance").mkdir(parents=True)
    for path in run_and_release[0].rglob("*"):
        if path.is_file():
            target = tmp_path / "run" / path.relative_to(run_and_release[0])
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(path.read_bytes())
    shard = next((tmp_path / "run").rglob("*.arrow"))
    shard.write_bytes(shard.read_bytes() + b"!")
    with pytest.raises(
        ShardError, match=f"{shard.name} is missing or was altered; run the same generate command again"
    ):
        release.write_data(tmp_path / "run", tmp_path / "tree")


def test_card_counts_what_is_there(run_and_release: tuple[Path, Path]) -> None:
    """Configs list the default first and match files; totals, calls and pass rate are those of the rows."""
    source, tree = run_and_release
    _, header, text = (tree / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    configs = yaml.safe_load(header)["configs"]
    traces = [t for path in verified_shards(source, read_manifest(source)) for t in read_traces(path)]
    calls = [len(trace.graph.calls) for trace in traces]

    assert [each["config_name"] for each in configs] == ["default", "finance", "hr"]
    assert all(list(tree.glob(each["path"])) for config in configs for each in config["data_files"])
    assert "120 traces over 2 domains" in text
    assert f"| calls per trace | mean {sum(calls) / 120:.2f}," in text
    assert f"| traces with two or more calls | {sum(n > 1 for n in calls) / 120:.1%} |" in text
    assert "| `finance` | 48 | 6 | 6 |" in text
    assert f"and {len({c.tool_id for t in traces for c in t.graph.calls})} tools" in text
    assert "$" not in text.replace("`$call_1.items[0].invoice_id`", "")


def test_builder_gives_the_same_rows_by_config(run_and_release: tuple[Path, Path], tmp_path: Path) -> None:
    """The `datasets` builder has a config per domain and the default; another run is not served from its cache."""
    source, tree = run_and_release
    assert set(GatlingSid.builder_configs) == {"default", *SHIPPED}
    builder = GatlingSid(source, config_name="hr", cache_dir=str(tmp_path))
    builder.download_and_prepare()
    rows = builder.as_dataset(split="train[:10]+test")

    assert [row["trace_id"] for row in rows] == [
        *(f"hr_train_{n:08d}" for n in range(10)), *(f"hr_test_{n:08d}" for n in range(6)),
    ]  # fmt: skip
    assert from_row(rows[0]) == from_row(load_dataset(str(tree), "hr", split="train", cache_dir=str(tmp_path))[0])
    settings = plan_run(["hr"], 8, {"train": 1}, seed=9, created_at=datetime(2026, 1, 1, tzinfo=UTC), shard_size=8)
    run(tmp_path / "other", settings, workers=1, report=lambda _: None)
    other = GatlingSid(tmp_path / "other", config_name="hr", cache_dir=str(tmp_path))
    other.download_and_prepare()
    assert len(other.as_dataset(split="train")) == 8
    with pytest.raises(ValueError, match="BuilderConfig 'astrology' not found"):
        GatlingSid(source, config_name="astrology", cache_dir=str(tmp_path))


def test_rows_that_nobody_vouched_for_are_not_released(run_and_release: tuple[Path, Path], tmp_path: Path) -> None:
    """A run that holds rows which are not validated is refused, with their number and the remedy."""
    run_folder, _ = run_and_release
    manifest = read_manifest(run_folder)
    shard = shards_of(RunSettings(**manifest["settings"]))[0]
    traces = [
        trace.model_copy(update={"validated": number > 1})
        for number, trace in enumerate(read_traces(run_folder / shard.name))
    ]
    folder = shutil.copytree(run_folder, tmp_path / "run")
    receipt = write_shard(folder, shard, [ShardPart(traces, [])])
    others = [each for each in manifest["shards"] if each["name"] != receipt.name]
    manifest["shards"] = [receipt.as_json(), *others]
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")

    with pytest.raises(ShardError, match=r"2 rows are not validated, .*--judge-share 1"):
        release.write_data(folder, tmp_path / "tree")
