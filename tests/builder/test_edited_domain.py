"""A domain file that is edited during a run: no row is made, kept or released under another version of the file."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builder import run as running
from builder.audit import count_by_catalogue
from builder.release import write_data
from builder.run import Progress, plan_run, run
from builder.shards import MANIFEST, SETTINGS, RunSettings, Shard, ShardPart, read_manifest, read_traces, write_shard
from gatling_sid.errors import GenerationError, ShardError
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.schemas import registry as registry_module
from tests.support.commands import ROOT, output_of, read_files, script_line

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
DOMAINS = {"archive": "Archive", "library": "Library"}
CHANGED = (
    "{file} (or pools.yaml, or gatling_sid itself) changed after the run in {root} began; complete shards are kept. "
    "If the change was a mistake, undo it and run the same command again to finish the run; "
    "if not, name another folder, because a run uses one version of each domain"
)


class Online(ScenarioOracle):
    """The embedded oracle, called as an oracle that answers over the network."""

    def remember_texts(self, texts: Iterable[str]) -> None:
        """Does nothing: the embedded oracle never repeats a text."""


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the shipped catalogue: two small domains in `domains`, the pools beside it."""
    folder = tmp_path / "schemas" / "domains"
    folder.mkdir(parents=True)
    text = (ROOT / "tests/catalogue/library.yaml").read_text(encoding="utf-8")
    for slug, name in DOMAINS.items():
        (folder / f"{slug}.yaml").write_text(text.replace("name: Library", f"name: {name}", 1), encoding="utf-8")
    shutil.copy(registry_module.POOLS, folder.parent)
    monkeypatch.setattr(registry_module, "CATALOGUE", folder)
    monkeypatch.setattr(registry_module, "POOLS", folder.parent / "pools.yaml")
    monkeypatch.setattr(running, "TRACES_PER_ONLINE_STEP", 10)
    return folder


def small() -> RunSettings:
    """Settings of ten traces for each domain, in two shards each."""
    return plan_run([], 20, {"train": 1}, seed=5, created_at=MOMENT, shard_size=5)


def run_shards(root: Path, settings: RunSettings, after_each: Callable[[Progress], None], *, online: bool) -> None:
    """Makes all shards in this process, one after the other."""
    oracle = Online(settings.seed, MOMENT) if online else None
    run(root, settings, workers=1, report=after_each, online=oracle)


def versions(root: Path) -> dict[str, set[str]]:
    """The catalogue that the rows of each domain name, over all shards that are there."""
    return {
        folder.name: {version for path in folder.glob("*.arrow") for version in count_by_catalogue(path)}
        for folder in root.iterdir()
        if folder.is_dir()
    }


def change(path: Path) -> None:
    """Another version of the file, which loads as well: one record more of an entity, or one value more of each pool."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\bcount: (\d+)", lambda match: f"count: {int(match[1]) + 1}", text, count=1)
    path.write_text(re.sub(r"^(\w+: \[)$", r"\1Zyx, ", text, flags=re.MULTILINE), encoding="utf-8")


def comment(path: Path) -> None:
    """The same version of the file, with a comment."""
    path.write_text(path.read_text(encoding="utf-8") + "# read once more\n", encoding="utf-8")


def cut(path: Path) -> None:
    """Cuts the file in half, as a reader may find it while an editor saves it."""
    path.write_text(path.read_text(encoding="utf-8")[:500], encoding="utf-8")


@pytest.mark.parametrize("online", [False, True], ids=["embedded", "online"])
@pytest.mark.parametrize(
    ("file", "edit"),
    [("domains/library.yaml", change), ("domains/library.yaml", cut), ("domains/library.yaml", Path.unlink),
     ("pools.yaml", change)],
    ids=["edited", "cut", "gone", "pools"],
)  # fmt: skip
def test_an_edit_stops_the_run_and_undone_it_ends_in_the_same_bytes(
    catalogue: Path, tmp_path: Path, file: str, edit: Callable[[Path], None], *, online: bool
) -> None:
    """Before the next shard the run stops, naming the file and what to do; the shards before it are kept and used."""
    run_shards(tmp_path / "calm", small(), lambda _: None, online=online)
    path = catalogue.parent / file
    before, settings = path.read_bytes(), small()

    def edit_after_two(progress: Progress) -> None:
        if progress.done == 10 and path.exists() and path.read_bytes() == before:
            edit(path)

    with pytest.raises(GenerationError) as caught:
        run_shards(tmp_path / "run", settings, edit_after_two, online=online)
    assert str(caught.value) == CHANGED.format(file="library.yaml", root=tmp_path / "run")
    assert versions(tmp_path / "run") == {"archive": {settings.catalogue["archive"]}}
    assert not (tmp_path / "run" / MANIFEST).exists()
    path.write_bytes(before)
    run_shards(tmp_path / "run", small(), lambda _: None, online=online)
    assert read_files(tmp_path / "run") == read_files(tmp_path / "calm")


@pytest.mark.parametrize("file", ["domains/library.yaml", "pools.yaml"])
def test_a_comment_stops_no_run(catalogue: Path, tmp_path: Path, file: str) -> None:
    """A comment does not change the version of the file, and the run ends in the same bytes."""
    run_shards(tmp_path / "calm", small(), lambda _: None, online=False)
    run_shards(tmp_path / "run", small(), lambda _: comment(catalogue.parent / file), online=False)
    assert read_files(tmp_path / "run") == read_files(tmp_path / "calm")


@pytest.mark.parametrize("online", [False, True], ids=["embedded", "online"])
def test_an_edit_between_the_settings_and_the_first_shard_stops_the_run(
    catalogue: Path, tmp_path: Path, *, online: bool
) -> None:
    """A run that was planned with one version of the file does not start with another."""
    settings = small()
    change(catalogue / "archive.yaml")
    with pytest.raises(GenerationError, match=r"^archive\.yaml \(or pools\.yaml, .* changed after the run in"):
        run_shards(tmp_path / "run", settings, lambda _: None, online=online)
    assert versions(tmp_path / "run") == {}


def test_an_edit_that_was_undone_after_it_was_loaded_stops_the_run(
    catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run stops even if the edit was undone: what it loaded before is of another version."""
    settings, path = small(), catalogue / "archive.yaml"
    before, digest = path.read_bytes(), registry_module.DomainRegistry.digest_on_disk

    def edited_meanwhile(registry: registry_module.DomainRegistry, slug: str) -> str:
        found = digest(registry, slug)
        change(path)
        registry.domain(slug)
        path.write_bytes(before)
        return found

    monkeypatch.setattr(registry_module.DomainRegistry, "digest_on_disk", edited_meanwhile)
    with pytest.raises(GenerationError, match=r"^archive\.yaml "):
        run_shards(tmp_path / "run", settings, lambda _: None, online=False)
    assert versions(tmp_path / "run") == {}


def test_an_edit_after_the_last_shard_changes_nothing(catalogue: Path, tmp_path: Path) -> None:
    """Every row is of the version that settings and manifest name, so the run ends and is released."""
    settings = small()

    def edit_after_all(progress: Progress) -> None:
        if progress.done == progress.total:
            change(catalogue / "library.yaml")

    run_shards(tmp_path / "run", settings, edit_after_all, online=False)
    assert versions(tmp_path / "run") == {slug: {digest} for slug, digest in settings.catalogue.items()}
    assert read_manifest(tmp_path / "run")["settings"]["catalogue"] == settings.catalogue
    assert write_data(tmp_path / "run", tmp_path / "tree") == {"archive": {"train": 1}, "library": {"train": 1}}


def test_a_run_is_not_gone_on_with_from_another_version(catalogue: Path, tmp_path: Path) -> None:
    """The same command after an edit says which file it was, and what to do; with other settings besides, which."""
    run_shards(tmp_path / "run", small(), lambda _: None, online=False)
    change(catalogue / "library.yaml")
    with pytest.raises(ShardError) as caught:
        run_shards(tmp_path / "run", small(), lambda _: None, online=False)
    assert str(caught.value) == CHANGED.format(file="library.yaml", root=tmp_path / "run")
    other = plan_run([], 20, {"train": 1}, seed=6, created_at=MOMENT, shard_size=5)
    with pytest.raises(ShardError, match=r"contains a run with other settings \(seed is 5 there, 6 here, catalogue is"):
        run_shards(tmp_path / "run", other, lambda _: None, online=False)


def test_rows_that_the_manifest_does_not_name_are_not_released(catalogue: Path, tmp_path: Path) -> None:
    """A row of another version, or of none, is reported with its shard; the earlier release stays."""
    root, tree = tmp_path / "run", tmp_path / "tree"
    run_shards(root, small(), lambda _: None, online=False)
    write_data(root, tree)
    released, version = read_files(tree), small().catalogue["library"]
    shard = Shard("library", "train", 1, 2, 5, 10)
    traces = list(read_traces(root / shard.name))
    traces[3].metadata["catalogue"] = "0123456789ab"
    del traces[4].metadata["catalogue"]
    receipt = write_shard(root, shard, [ShardPart(traces, [])])
    manifest = read_manifest(root)
    manifest["shards"] = [
        {**each, "sha256": receipt.sha256} if each["name"] == shard.name else each for each in manifest["shards"]
    ]
    (root / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ShardError) as caught:
        write_data(root, tree)
    assert str(caught.value) == (
        f"{root / shard.name}: rows were made with library.yaml of version 0123456789ab (rows: 1), None (rows: 1), "
        f"but manifest.json says {version}: the file was edited during the run. Nothing was released; "
        "generate the run again in another folder"
    )
    assert read_files(tree) == released
    assert catalogue.exists()


def test_two_workers_stop_when_a_domain_file_is_edited(tmp_path: Path) -> None:
    """The command ends with status 1, the file and the remedy; undone, the same command finishes the run."""
    for package in ("gatling_sid", "builder", "dataset_card", "scripts"):
        shutil.copytree(ROOT / package, tmp_path / package)
    path = tmp_path / "gatling_sid/schemas/domains/hr.yaml"
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    for name, slug in (("Finance", "library"), ("HR", "workshop")):  # small domains, which load sooner
        text = (ROOT / f"tests/catalogue/{slug}.yaml").read_text(encoding="utf-8")
        text = text.replace(f"name: {slug.title()}", f"name: {name}", 1)
        (path.parent / f"{name.lower()}.yaml").write_text(text, encoding="utf-8")
    command = script_line(
        "generate_shards", "--total", 800, "--shard-size", 100, "--workers", 2, "--domains", "finance,hr",
        "--splits", "train=1", "--output-dir", "out",
    )  # fmt: skip
    before, root = path.read_bytes(), tmp_path / "out"
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        while not list(root.glob("finance/*.arrow")):
            assert process.poll() is None
            time.sleep(0.01)
        change(path)
        _, printed = process.communicate(timeout=60)

    assert process.returncode == 1
    assert f"error: {CHANGED.format(file='hr.yaml', root='out')}" in printed
    assert "Traceback" not in printed
    assert not (root / MANIFEST).exists()
    settings = json.loads((root / SETTINGS).read_text(encoding="utf-8"))
    assert versions(root)["finance"] == {settings["catalogue"]["finance"]}
    assert versions(root).get("hr", set()) <= {settings["catalogue"]["hr"]}
    kept = {path: path.stat().st_mtime_ns for path in root.rglob("*.arrow")}
    path.write_bytes(before)
    output_of(command, tmp_path)
    assert versions(root) == {slug: {digest} for slug, digest in settings["catalogue"].items()}
    assert read_manifest(root)["rows"] == 800
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
