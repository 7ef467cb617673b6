"""Shards and the files around them are complete or missing, never partly written."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
import resource
import shlex
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder import shards
from builder.shards import (
    Receipt,
    RunSettings,
    Shard,
    ShardPart,
    open_run,
    read_manifest,
    read_receipt,
    write_json,
    write_shard,
)
from gatling_sid.errors import ShardError, SidError
from gatling_sid.generator import Rejection
from gatling_sid.models import GoldTrace
from tests.support.commands import output_of, read_files, run_command, script_line, small_environment

SETTINGS = RunSettings(
    7, "scenario", "2026-01-01T00:00:00+00:00", 10, {"library": {"train": 25}}, {"library": "digest"}
)
SHARD = Shard("library", "train", 0, 1, 0, 12)
NO = Rejection("library_train_00000003", 0, "renew", "goal_is_met", "it is not")
splits = st.dictionaries(st.sampled_from(["train", "validation", "test"]), st.integers(0, 60))


@given(st.dictionaries(st.sampled_from(["finance", "hr", "ar_vr"]), splits), st.integers(1, 25))
def test_shards_cover_every_index_once(totals: dict[str, dict[str, int]], size: int) -> None:
    """The shards of a domain's split hold each index once, none more than the size, under names of their own."""
    planned_shards = shards.shards_of(replace(SETTINGS, totals=totals, shard_size=size))

    for domain, split, total in ((domain, *part) for domain, parts in totals.items() for part in parts.items()):
        mine = [each for each in planned_shards if (each.domain, each.split) == (domain, split)]
        assert [index for each in mine for index in range(each.start, each.stop)] == list(range(total))
        assert [(each.number, each.of) for each in mine] == [(number, len(mine)) for number in range(len(mine))]
    assert all(each.stop - each.start <= size for each in planned_shards)
    assert len({each.name for each in planned_shards}) == len(planned_shards)


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(1), OSError(28, "No space left")])
@pytest.mark.parametrize("before", [None, b"old"])
def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, error: BaseException, before: bytes | None) -> None:
    """Whatever stops a writer, nothing of the new file is left, and the old one is as it was."""
    path = tmp_path / "file.json"
    _ = before and path.write_bytes(before)

    with pytest.raises(ShardError if isinstance(error, OSError) else type(error)) as stopped:  # noqa: PT012, SIM117
        with shards.complete_file(path) as file:
            file.write(b"half")
            raise error

    assert list(read_files(tmp_path).values()) == ([before] if before else [])
    if isinstance(error, OSError):
        assert str(stopped.value) == f"{path} cannot be written: No space left; complete files are kept"


def test_a_shard_holds_what_was_written(tmp_path: Path, gold: list[GoldTrace]) -> None:
    """Traces and receipt read back as written, also from batches that hold rejections alone."""
    batches = [ShardPart(gold[:5], [NO], 3), ShardPart([], [NO._replace(attempt=1)], 1), ShardPart(gold[5:12], [])]

    receipt = write_shard(tmp_path, SHARD, batches)

    path = tmp_path / "library/train-00000-of-00001.arrow"
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert receipt == Receipt(SHARD.name, 12, sha256, [NO, NO._replace(attempt=1)], 4) == read_receipt(tmp_path, SHARD)
    assert list(shards.read_traces(path)) == gold[:12]


def test_a_shard_that_cannot_be_made_leaves_nothing(tmp_path: Path, gold: list[GoldTrace]) -> None:
    """When making a batch fails, or a value cannot be published, there is neither shard nor receipt."""

    def breaking() -> Iterator[ShardPart]:
        yield ShardPart(gold[:5], [])
        raise SidError("the oracle left")

    odd = gold[5].model_copy(update={"metadata": {"odd": 0.35}})

    with pytest.raises(SidError, match="the oracle left"):
        write_shard(tmp_path, SHARD, breaking())
    with pytest.raises(ShardError, match=f"trace {odd.trace_id}: odd: 0.35 cannot be published"):
        write_shard(tmp_path, SHARD, [ShardPart(gold[:5], []), ShardPart([odd], [])])
    assert read_files(tmp_path) == {}


def with_nonsense_size(whole: bytes) -> bytes:
    """The shard with one bit flipped, after which it claims to hold more than any memory does."""
    for at in range(7, len(whole), 8):
        damaged = whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :]
        try:
            pa.ipc.open_stream(damaged).read_all()
        except pa.ArrowMemoryError:
            return damaged
        except (pa.ArrowException, OSError):
            continue
    raise AssertionError


CUT, OTHERS = " is not a complete shard (", " has other columns than this version writes; generate it again"
DAMAGED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", CUT),
    "text": (lambda _: b"mine, not yours", CUT),
    "cut in the middle": (lambda whole: whole[: len(whole) // 2], CUT),
    "cut at the end": (lambda whole: whole[:-9], CUT),
    "a size that no memory has": (with_nonsense_size, CUT),
    "the other format of Arrow": (lambda whole: b"ARROW1\0\0" + whole, CUT),
    "other columns": (lambda _: pa.schema({"x": pa.int64()}).serialize().to_pybytes(), OTHERS),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_shard_is_named_and_counts_as_missing(tmp_path: Path, gold: list[GoldTrace], name: str) -> None:
    """Reading an incomplete shard raises an error that says so, and a run makes the shard again."""
    damage, says = DAMAGED[name]
    write_shard(tmp_path, SHARD, [ShardPart(gold[:12], [])])
    path = tmp_path / SHARD.name
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(ShardError) as refused:
        list(shards.read_tables(path))

    assert str(refused.value).startswith(f"{path}{says}")
    assert read_receipt(tmp_path, SHARD) is None


def test_an_altered_shard_or_receipt_counts_as_missing(tmp_path: Path, gold: list[GoldTrace]) -> None:
    """A single bit that is not as it was written makes a shard missing, and so does a receipt that is not its own."""
    receipt = write_shard(tmp_path, SHARD, [ShardPart(gold[:12], [])])
    path, other = tmp_path / SHARD.name, json.dumps(receipt._replace(name="another").as_json())
    whole = path.read_bytes()

    for place in range(0, len(whole), 997):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert read_receipt(tmp_path, SHARD) is None
    path.write_bytes(whole)
    assert read_receipt(tmp_path, SHARD) == receipt
    for text in ("", "{", "[]", "{}", "null", '{"name": 1}', '{"rejections": 5}', other):
        path.with_suffix(".json").write_text(text)
        assert read_receipt(tmp_path, SHARD) is None


@pytest.mark.parametrize("full_proofs", [None, "many", -1])
def test_a_receipt_with_another_count_of_proofs_counts_as_missing(
    tmp_path: Path, gold: list[GoldTrace], full_proofs: object
) -> None:
    """What is no number of proofs cannot be added up, so the shard is made again."""
    receipt = write_shard(tmp_path, SHARD, [ShardPart(gold[:12], [], 3)])
    write_json((tmp_path / SHARD.name).with_suffix(".json"), {**receipt.as_json(), "full_proofs": full_proofs})

    assert read_receipt(tmp_path, SHARD) is None


def test_a_receipt_of_an_earlier_version_is_refused(tmp_path: Path, gold: list[GoldTrace]) -> None:
    """One that does not count proofs stops the run and says what to do; with a damaged shard, it counts as missing."""
    content_ = write_shard(tmp_path, SHARD, [ShardPart(gold[:12], [], 3)]).as_json()
    del content_["full_proofs"]
    path = (tmp_path / SHARD.name).with_suffix(".json")
    write_json(path, content_)

    with pytest.raises(ShardError) as refused:
        read_receipt(tmp_path, SHARD)

    assert str(refused.value) == (
        f"{path} was written by an earlier version of this program: it does not say how many plans were proven in "
        f"full (full_proofs). A run cannot mix versions: name another folder, or remove {tmp_path} to generate "
        "it again. If manifest.json is there, the run is finished, and can be validated and released as it is"
    )
    (tmp_path / SHARD.name).write_bytes(b"cut")
    assert read_receipt(tmp_path, SHARD) is None


OTHER = " contains a run with other settings ({}); name another folder, or remove it"
REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file": (lambda root: root.write_text("mine"), " is a file; name a folder"),
    "foreign": (
        lambda root: write_json(root / "mine.json", 1),
        " is not empty and contains no run; name another folder",
    ),
    "size": (
        lambda root: open_run(root, replace(SETTINGS, shard_size=5)),
        OTHER.format("shard_size is 5 there, 10 here"),
    ),
    "no settings": (lambda root: write_json(root / "settings.json", []), OTHER.format("its settings cannot be read")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_that_is_not_ours_is_refused(tmp_path: Path, name: str) -> None:
    """A run takes no folder that holds anything else, says what it found there, and leaves it as it was."""
    prepare, says = REFUSED[name]
    prepare(tmp_path / "run")
    before = read_files(tmp_path)

    with pytest.raises(ShardError) as refused:
        open_run(tmp_path / "run", SETTINGS)

    assert str(refused.value) == f"{tmp_path}/run{says}"
    assert read_files(tmp_path) == before


def test_the_manifest_counts_what_the_receipts_say(tmp_path: Path, gold: list[GoldTrace]) -> None:
    """It holds settings, rows, rejections by reason, the raw pass rate, all proofs and every shard's checksum."""
    first = write_shard(tmp_path, SHARD, [ShardPart(gold[:12], [NO, NO, NO._replace(reason="an_earlier_one")], 9)])
    second = write_shard(tmp_path, SHARD._replace(split="test"), [ShardPart(gold[12:17], [NO], 2)])

    shards.write_manifest(tmp_path, SETTINGS, [first, second], repeated_texts=0)

    assert read_manifest(tmp_path) == {
        "settings": asdict(SETTINGS), "rows": 17, "rejected": 4, "raw_pass_rate": 0.809524,
        "rejections_by_reason": {"an_earlier_one": 1, "goal_is_met": 3}, "full_proofs": 11, "repeated_texts": 0,
        "shards": [{"name": first.name, "rows": 12, "rejected": 3, "sha256": first.sha256},
                   {"name": second.name, "rows": 5, "rejected": 1, "sha256": second.sha256}],
    }  # fmt: skip
    assert shards.verified_shards(tmp_path, read_manifest(tmp_path)) == [tmp_path / first.name, tmp_path / second.name]


@pytest.mark.parametrize("text", ["[]", "5", "{}", '{"settings": {"format": 1}}', '{"settings": null, "shards": []}'])
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    """A JSON file of that name that is not ours is refused."""
    (tmp_path / "manifest.json").write_text(text)

    with pytest.raises(
        ShardError, match=rf"^{tmp_path}/manifest\.json is not a manifest of this version; generate the run again$"
    ):
        read_manifest(tmp_path)


MAKE = ("generate_shards", "--total", 120, "--shard-size", 12, "--splits", "test=0.05,train=0.95", "--output-dir")
FULL = """mount -t tmpfs -o size={size} none disk || exit 77
{make}; echo $?; cp -a disk/run after; mount -o remount,size=64m disk; {make}; echo $?; cp -a disk/run finished"""


@pytest.fixture(scope="module")
def complete_run_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """All files of a run that nothing interrupts, by path."""
    folder = tmp_path_factory.mktemp("whole")
    output_of(script_line(*MAKE, "run", "--workers", 1), folder, env=small_environment(folder))
    return read_files(folder / "run")


def drop_root_rights() -> None:
    """Makes the rights of files bind root too, in the process that calls this before it runs a command."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.mark.parametrize(("mode", "run"), [(0o555, "locked"), (0o555, "locked/run"), (0o000, "locked/run")])
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, mode: int, run: str) -> None:
    """Without the right to write, or even to look, the command ends with status 1 and names the folder."""
    (tmp_path / "locked").mkdir(mode)

    done = run_command(
        script_line(*MAKE, run, "--workers", 1), tmp_path, env=small_environment(tmp_path), limit=drop_root_rights
    )

    assert done.returncode == 1
    assert re.fullmatch(f"error: {run}.* cannot be .*: Permission denied.*", done.stderr.splitlines()[-1])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_loses_nothing(tmp_path: Path, complete_run_files: dict[str, bytes], workers: int) -> None:
    """On a full disk a run says so and stops, keeping what is complete; with room again it ends like any other."""
    (tmp_path / "disk").mkdir()
    make = shlex.join(script_line(*MAKE, "disk/run", "--workers", workers))
    script = FULL.format(size=sum(map(len, complete_run_files.values())) // 2, make=make)
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c", script]

    done = run_command(unshare, tmp_path, env=small_environment(tmp_path))

    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("no small disk can be mounted here")
    assert [each for each in done.stdout.splitlines() if each.isdigit()] == ["1", "0"]
    says = r"^error: disk/run/.* cannot be written: No space left on device; complete files are kept$"
    assert re.search(says, done.stderr, re.MULTILINE)
    assert read_files(tmp_path / "after").items() < complete_run_files.items()
    assert any(name.endswith(".arrow") for name in read_files(tmp_path / "after"))
    assert read_files(tmp_path / "finished") == complete_run_files


def test_a_file_that_may_not_grow_loses_nothing(tmp_path: Path, complete_run_files: dict[str, bytes]) -> None:
    """Where files may not be large, the small shard is kept and the first large one reported; a later run makes it."""
    small, large = (f"finance/{name}.arrow" for name in ("test-00000-of-00001", "train-00000-of-00010"))
    most = (len(complete_run_files[small]) + len(complete_run_files[large])) // 2
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (most, most))

    done = run_command(
        script_line(*MAKE, "run", "--workers", 1), tmp_path, env=small_environment(tmp_path), limit=limit
    )

    says = f"error: run/{large} cannot be written: File too large; complete files are kept"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, says)
    assert read_files(tmp_path / "run").keys() == {"settings.json", small, small.replace(".arrow", ".json")}
    output_of(script_line(*MAKE, "run", "--workers", 1), tmp_path, env=small_environment(tmp_path))
    assert read_files(tmp_path / "run") == complete_run_files
