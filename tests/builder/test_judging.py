"""Judging runs, releases and files of lines: unchanged gold rows are accepted; every edit is found and named."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants
from huggingface_hub.utils import disable_progress_bars, enable_progress_bars
from pyarrow import ipc

from builder import jsonl
from builder.columns import SCHEMA, STORAGE_SCHEMA
from builder.judging import Tally, judge_source
from builder.run import plan_run, run
from builder.shards import WRITE_OPTIONS
from builder.sources import open_source, read_piece
from gatling_sid.errors import ShardError, SidError
from gatling_sid.models import GoldTrace
from gatling_sid.validators import TraceValidator
from tests.builder.test_release import staged
from tests.support.hub_server import HubServer

pytestmark = pytest.mark.usefixtures("small_domains")
Row = dict[str, Any]
ROWS = 60
SHARD = "hr/train-00001-of-00004.arrow"
PARQUET = "data/hr/train-00000-of-00001.parquet"


@pytest.fixture(scope="module")
def run_and_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and its release."""
    folder = tmp_path_factory.mktemp("judging")
    settings = plan_run(
        ["hr"], ROWS, {"train": 0.9, "test": 0.1}, seed=2, created_at=datetime(2026, 1, 1, tzinfo=UTC), shard_size=17
    )
    run(folder / "run", settings, workers=1, report=lambda _: None)
    staged(folder / "run", folder / "release")
    return folder


@pytest.fixture
def editable_copy(run_and_release: Path, tmp_path: Path) -> Path:
    """A copy of the run and its release that a test may edit."""
    shutil.copytree(run_and_release, tmp_path / "copy")
    return tmp_path / "copy"


def judge_all(source: Path | str, **how: Any) -> Tally:
    """Judges all rows of a source and returns the tally."""
    return sum(judge_source(open_source(str(source)), **how), Tally())


def traces_of(source: Path) -> list[GoldTrace]:
    """All traces of a source, in the order of its pieces."""
    return [trace for piece in open_source(str(source)).pieces for batch in read_piece(piece) for trace in batch]


@pytest.mark.parametrize("kind", ["run", "release"])
def test_rows_of_a_run_are_gold(run_and_release: Path, kind: str) -> None:
    """Every row of a run and of its release is gold, and no plan is proven twice."""
    tally = judge_all(run_and_release / kind)

    assert (
        tally.judged_count,
        tally.gold_count,
        tally.partly_judged_count,
        tally.rejected_by_rule.total(),
        tally.examples,
    ) == (
        ROWS,
        ROWS,
        0,
        0,
        (),
    )
    plans = {
        (t.metadata["world"], t.metadata["scenario"], t.metadata["instance"]) for t in traces_of(run_and_release / kind)
    }
    assert tally.full_proofs <= len(plans)


def test_judging_in_several_processes_finds_the_same(editable_copy: Path) -> None:
    """Two workers judge the same rows, and reject the same, as one."""
    edit_run(editable_copy / "run", lambda rows: rows[3].update(validated=False))
    alone, together = judge_all(editable_copy / "run"), judge_all(editable_copy / "run", workers=2, rows_per_worker=1)

    assert (together.judged_count, together.gold_count, together.rejected_by_rule) == (
        alone.judged_count,
        alone.gold_count,
        alone.rejected_by_rule,
    )
    assert together.examples == alone.examples != ()


def test_verdicts_do_not_depend_on_other_rows(run_and_release: Path) -> None:
    """A row judged alone gets the verdict that it gets among others; `every=3` judges each third row only."""
    validator = TraceValidator()
    traces = traces_of(run_and_release / "release")

    assert all(validator.validate_trace(trace)[1]["validated"] for trace in traces)
    assert judge_all(run_and_release / "release", every=3).judged_count == ROWS / 3
    assert judge_all(run_and_release / "run", every=7).judged_count == -(-ROWS // 7)


# --- tampering -------------------------------------------------------------------------------------------------


def edit_run(root: Path, edit: Callable[[list[Row]], object]) -> None:
    """Edits the rows of a shard, and updates every checksum."""
    path = root / SHARD
    with pa.OSFile(str(path), "rb") as file, ipc.open_stream(file) as reader:
        rows = reader.read_all().to_pylist()
    edit(rows)
    with path.open("wb") as file, ipc.new_stream(file, SCHEMA, options=WRITE_OPTIONS) as writer:
        writer.write_table(pa.Table.from_pylist(rows, STORAGE_SCHEMA).cast(SCHEMA))
    rehash(root)


def rehash(root: Path) -> None:
    """Updates the checksum of the shard in manifest and receipt."""
    digest = hashlib.sha256((root / SHARD).read_bytes()).hexdigest()
    for path, place in ((root / "manifest.json", "shards"), ((root / SHARD).with_suffix(".json"), None)):
        held = json.loads(path.read_text())
        next(each for each in (held[place] if place else [held]) if each["name"] == SHARD)["sha256"] = digest
        path.write_text(json.dumps(held))


def edit_release(tree: Path, edit: Callable[[list[Row]], object]) -> None:
    """Edits the rows of a Parquet file."""
    rows = pq.read_table(tree / PARQUET).to_pylist()
    edit(rows)
    pq.write_table(pa.Table.from_pylist(rows, STORAGE_SCHEMA).cast(SCHEMA), tree / PARQUET)


EDITS = {"run": edit_run, "release": edit_release}


def swap(rows: list[Row]) -> None:
    """Exchanges the fifth and the sixth row."""
    rows[4], rows[5] = rows[5], rows[4]


def renumber(row: Row, trace_id: str) -> None:
    """Gives a row another trace id, and the ids that are derived from it."""
    row["trace_id"], row["request"]["request_id"] = trace_id, f"{trace_id}_request"
    row["graph"]["graph_id"] = f"{trace_id}_graph"
    for call in row["graph"]["calls"]:
        if call["provenance"]["source_type"] == "user":
            call["provenance"]["source_id"] = f"{trace_id}_request"


def meta(row: Row, **other: Any) -> None:
    """Changes some keys of a row's metadata."""
    row["metadata"] = json.dumps({**json.loads(row["metadata"]), **other})


TAMPERED: list[tuple[str, Callable[[list[Row]], object], str]] = [
    ("a row that says it is not validated", lambda rows: rows[3].update(validated=False), "row_says_validated"),
    ("an id that was there before", lambda rows: renumber(rows[3], rows[2]["trace_id"]), "row_is_in_place"),
    ("rows that changed places", swap, "row_is_in_place"),
    ("an id of another split", lambda rows: renumber(rows[3], "hr_test_00000003"), "row_is_in_place"),
    ("an id of another domain", lambda rows: renumber(rows[3], "finance_train_00000020"), "row_is_in_place"),
    ("an id that is written otherwise", lambda rows: renumber(rows[3], "hr_train_20"), "row_is_in_place"),
    ("an id that is none", lambda rows: renumber(rows[3], ""), "row_is_in_place"),
    (
        "a request with the name of another",
        lambda rows: rows[3]["request"].update(request_id="x"),
        "ids_belong_together",
    ),
    ("a graph with the name of another", lambda rows: rows[3]["graph"].update(graph_id="x"), "ids_belong_together"),
    ("another catalogue", lambda rows: meta(rows[3], catalogue="0123456789ab"), "row_is_of_the_run"),
    ("no catalogue", lambda rows: meta(rows[3], catalogue=None), "row_is_of_the_run"),
    ("another seed", lambda rows: meta(rows[3], seed=3), "row_is_of_the_run"),
    ("another author", lambda rows: meta(rows[3], oracle="somebody"), "row_is_of_the_run"),
    ("another time", lambda rows: rows[3].update(created_at=datetime(2026, 1, 2, tzinfo=UTC)), "row_is_of_the_run"),
    ("another rule", lambda rows: rows[3]["policy"]["rules"].__setitem__(0, "Be kind."), "policy_is_as_published"),
    ("another tool", lambda rows: rows[3]["graph"]["calls"][0].update(tool_id="hr.x"), "tools_belong_to_domain"),
    ("another person", lambda rows: rows[3]["request"]["principal"].update(principal_id="x"), "principal_is_real"),
    ("a goal that is gone", lambda rows: rows[3].update(goal=None), "validated_is_proven"),
]


@pytest.mark.parametrize("kind", ["run", "release"])
@pytest.mark.parametrize(("edit", "rule"), [each[1:] for each in TAMPERED], ids=[each[0] for each in TAMPERED])
def test_tampering_is_found_and_named(
    editable_copy: Path, kind: str, edit: Callable[[list[Row]], object], rule: str
) -> None:
    """An edited row is rejected by the rule that the edit breaks, though all checksums fit; unrelated rows stay gold."""
    EDITS[kind](editable_copy / kind, edit)
    tally = judge_all(editable_copy / kind)

    assert rule in tally.rejected_by_rule
    assert 1 <= tally.rejected_by_rule.total() <= 3
    assert tally.gold_count == ROWS - tally.rejected_by_rule.total()
    assert f": {rule}: " in "".join(tally.examples)


@pytest.mark.parametrize(
    "edit", [lambda rows: rows.pop(), lambda rows: rows.append(rows[0]), lambda rows: rows.clear()]
)
def test_missing_and_surplus_rows_are_reported(editable_copy: Path, edit: Callable[[list[Row]], object]) -> None:
    """A shard whose number of rows differs from the manifest is named, though its checksum fits."""
    edit_run(editable_copy / "run", edit)
    edit_release(editable_copy / "release", edit)
    tally = judge_all(editable_copy / "run")

    assert tally.rejected_by_rule["rows_are_complete"] == 1
    assert f"{SHARD} has " in "".join(tally.examples)
    with pytest.raises(ShardError, match=r"hr has \d+ rows of train; manifest.json says 54"):
        judge_all(editable_copy / "release")


def comparable_rows(source: Path) -> list[Any]:
    """All rows of a source, without the fields whose change no rule can notice."""
    rows = [trace.model_dump() for trace in traces_of(source)]
    for row in rows:
        row["request"] = {name: value for name, value in row["request"].items() if name not in ("text", "trust_tier")}
        row["metadata"] = {
            name: row["metadata"].get(name) for name in ("catalogue", "seed", "world", "today", "oracle")
        }
        for call in row["graph"]["calls"]:
            call["provenance"] = call["argument_sources"] = None
    return rows


@pytest.mark.parametrize("kind", ["run", "release"])
def test_flipped_bits_are_found(run_and_release: Path, editable_copy: Path, kind: str) -> None:
    """After a flipped bit, with checksums that fit, the file is named, a row is rejected, or no value differs."""
    path, rng, named = editable_copy / kind / (SHARD if kind == "run" else PARQUET), random.Random(3), 0
    whole, before = path.read_bytes(), comparable_rows(run_and_release / kind)
    for _ in range(24):
        place, bit = rng.randrange(len(whole)), 1 << rng.randrange(8)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
        if kind == "run":
            rehash(editable_copy / kind)
        try:
            tally = judge_all(editable_copy / kind)
        except SidError as error:
            assert "hr" in str(error)  # noqa: PT017 - either way is right
            named += 1
        else:
            named += bool(tally.rejected_by_rule)
            assert tally.rejected_by_rule or comparable_rows(editable_copy / kind) == before
    assert named > 12


# --- folders ---------------------------------------------------------------------------------------------------


def test_a_release_has_exactly_its_files(editable_copy: Path) -> None:
    """A Parquet file that is missing, incomplete, not listed or has other rows is named."""
    tree, path = editable_copy / "release", editable_copy / "release" / PARQUET
    whole = path.read_bytes()

    path.rename(path.with_name("train-00001-of-00002.parquet"))
    with pytest.raises(ShardError, match=r"hr/train-00000-of-00002\.parquet is missing$"):
        open_source(str(tree))
    path.with_name("train-00001-of-00002.parquet").rename(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ShardError, match=r"train-00000-of-00001\.parquet is not a complete Parquet file"):
        open_source(str(tree))
    pq.write_table(
        pq.read_table(editable_copy / "release" / "data/hr/test-00000-of-00001.parquet").select(["trace_id"]), path
    )
    with pytest.raises(ShardError, match=r"hr has 6 rows of train; manifest.json says 54"):
        open_source(str(tree))
    path.write_bytes(whole)
    shutil.copy(path, tree / "data/hr/train-more.parquet")
    with pytest.raises(ShardError, match=r"contains hr/train-more\.parquet, which manifest\.json does not list"):
        open_source(str(tree))


def test_pieces_of_a_release_follow_each_other(editable_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece begins after the rows of the piece before it or, where rows may be left out, after its last id."""
    tree = editable_copy / "release"
    pq.write_table(pq.read_table(tree / PARQUET), tree / PARQUET, row_group_size=10)
    monkeypatch.setattr("builder.sources.ROWS_PER_PIECE", 20)

    def starts() -> list[tuple[int, int, int]]:
        pieces = [piece for piece in open_source(str(tree)).pieces if "train" in piece.name]
        return [(piece.number, piece.rows, piece.row_range.first) for piece in pieces if piece.row_range]

    assert starts() == [(0, 20, 0), (20, 20, 20), (40, 14, 40)]
    assert judge_all(tree).gold_count == ROWS

    manifest = json.loads((tree / "manifest.json").read_text())
    manifest["settings"].update(
        oracle="claude/claude-haiku-5-5", totals={"hr": {"train": 80, "test": 6}}, shard_size=80
    )
    manifest["shards"] = [{"name": f"hr/{split}-00000-of-00001.arrow", "rows": rows, "sha256": ""}
                          for split, rows in (("train", 54), ("test", 6))]  # fmt: skip
    (tree / "manifest.json").write_text(json.dumps(manifest))
    rows = pq.read_table(tree / PARQUET).to_pylist()
    renumber(rows[19], "hr_train_00000033")
    pq.write_table(pa.Table.from_pylist(rows, STORAGE_SCHEMA).cast(SCHEMA), tree / PARQUET, row_group_size=10)

    assert starts() == [(0, 20, 0), (20, 20, 34), (40, 14, 54)]


@pytest.mark.parametrize("kind", ["run", "release"])
@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest["settings"].update(totals={"hr": {"train": 7}}),
        lambda manifest: manifest["settings"].update(seed="2"),
        lambda manifest: manifest["settings"].update(totals={"../hr": {"train": 54, "test": 6}}),
        lambda manifest: manifest["shards"][0].update(rows=16),
        lambda manifest: manifest["shards"][0].update(name="hr/other.arrow"),
        lambda manifest: manifest["shards"].pop(),
        lambda manifest: manifest.update(shards=[]),
    ],
)
def test_an_inconsistent_manifest_is_refused(
    editable_copy: Path, kind: str, change: Callable[[dict[str, Any]], object]
) -> None:
    """Settings and shards of a manifest must agree, even where checksums fit."""
    path = editable_copy / kind / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))

    with pytest.raises(ShardError, match=r"manifest\.json is not a manifest of this version"):
        open_source(str(editable_copy / kind))


def test_an_altered_shard_is_named(editable_copy: Path) -> None:
    """A wrong checksum is reported before any row is judged."""
    with (editable_copy / "run" / SHARD).open("ab") as file:
        file.write(b"x")

    with pytest.raises(ShardError, match=rf"{SHARD} is missing or was altered"):
        open_source(str(editable_copy / "run"))


# --- lines -----------------------------------------------------------------------------------------------------


def test_judging_lines_does_not_depend_on_pieces(
    run_and_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces end at line ends, blank lines are ignored, and a line that is not a trace is named by its number."""
    traces = traces_of(run_and_release / "run")
    lines = [trace.model_dump_json() for trace in traces]
    path = tmp_path / "traces.jsonl"
    path.write_text("\n".join([*lines[:30], "", *lines[30:]]))
    monkeypatch.setattr(jsonl, "PIECE_BYTES", 40_000)
    source = open_source(str(path))
    tally = sum(judge_source(source), Tally())

    assert len(source.pieces) > 3
    assert source.rows == ROWS + 1
    assert (tally.judged_count, tally.gold_count) == (ROWS, ROWS)

    path.write_text("\n".join([*lines[:30], "", *lines[30:50], "{}"]))
    with pytest.raises(SidError, match=r"^traces\.jsonl, line 52: trace_id: Field required$"):
        judge_all(path)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_repeated_id_is_reported(
    run_and_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """A repeated id among lines is reported, also across pieces and processes; traces with distinct ids pass."""
    traces = traces_of(run_and_release / "run")
    lines = [trace.model_dump_json() for trace in [*traces, traces[3], traces[3]]]
    path = tmp_path / "traces.jsonl"
    path.write_text("\n".join(lines))
    monkeypatch.setattr(jsonl, "PIECE_BYTES", 40_000)
    tally = sum(judge_source(open_source(str(path)), workers=workers, rows_per_worker=40), Tally())

    assert (tally.judged_count, tally.gold_count, tally.repeated_id_count) == (ROWS + 2, ROWS + 2, 2)
    assert tally.examples == (f"{traces[3].trace_id}: another trace has this id",) * 2

    path.write_text("\n".join(lines[:-2]))
    assert judge_all(path).repeated_id_count == 0


def test_a_line_says_validated_only_if_it_can_be_proven(run_and_release: Path, tmp_path: Path) -> None:
    """A line need not say that it is validated; if it does, it must be proven."""
    trace = next(read_piece(open_source(str(run_and_release / "run")).pieces[0]))[0]
    elsewhere = {**trace.metadata, "catalogue": "another"}
    honest = trace.model_copy(update={"validated": False, "metadata": elsewhere})
    boasting = trace.model_copy(update={"metadata": elsewhere})
    path = tmp_path / "traces.jsonl"
    path.write_text("".join(f"{each.model_dump_json()}\n" for each in (honest, boasting, trace)))
    tally = judge_all(path)

    assert (tally.judged_count, tally.gold_count, tally.partly_judged_count, dict(tally.rejected_by_rule)) == (
        3,
        1,
        1,
        {"validated_is_proven": 1},
    )


# --- the Hub ---------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """A local Hub; the client uses no other and begins with an empty cache."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    disable_progress_bars()
    with HubServer() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
    enable_progress_bars()


def test_a_release_on_the_hub_is_judged_at_its_revision(hub: HubServer, editable_copy: Path) -> None:
    """The rows of the given revision are judged, not later ones."""

    def files() -> dict[str, bytes]:
        tree = editable_copy / "release"
        return {path.relative_to(tree).as_posix(): path.read_bytes() for path in tree.rglob("*") if path.is_file()}

    hub.create("gatling/sid")
    first = hub.push("gatling/sid", files())
    edit_release(editable_copy / "release", lambda rows: rows[3].update(validated=False))
    hub.push("gatling/sid", files())
    then, now = (sum(judge_source(open_source("gatling/sid", revision)), Tally()) for revision in (first, "main"))

    assert (then.judged_count, then.gold_count) == (ROWS, ROWS)
    assert dict(now.rejected_by_rule) == {"row_says_validated": 1}


@pytest.mark.parametrize(
    ("name", "revision"), [("gatling/sid", "v9.9.9"), ("gatling/other", "main"), ("a/b/c", "main")]
)
def test_what_the_hub_does_not_have_is_reported(hub: HubServer, name: str, revision: str) -> None:
    """A missing repository or revision raises an error that names it and the Hub."""
    hub.create("gatling/sid")

    with pytest.raises(ShardError, match=rf"^{name} at {revision} cannot be downloaded from {hub.url}: "):
        open_source(name, revision)


@pytest.mark.usefixtures("hub")
def test_a_hub_that_cannot_be_reached_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address where no server answers raises an error that names it."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

    with pytest.raises(ShardError, match=r"^gatling/sid at v1\.0\.0 cannot be downloaded from http://127\.0\.0\.1:9: "):
        open_source("gatling/sid", "v1.0.0")
