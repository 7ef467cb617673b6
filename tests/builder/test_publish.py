"""Publishing with the real clients, to a Hub server on this machine."""

from __future__ import annotations

import json
import logging
import os
import socket
import traceback
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants
from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

from builder import publish as publishing
from builder.publish import Publication, publish
from gatling_sid.errors import PublishError
from tests.support.commands import code_line, output_of
from tests.support.hub_server import FIRST_FILE, HubServer

REPO = "gatling/sid"
TOKEN = "hf_secretofthistest"  # noqa: S105  (opens nothing but the server of a test)
# What huggingface_hub does for an upload by LFS; not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")

SPLITS = {"train": 6, "validation": 2, "test": 3}
README = """\
---
license: apache-2.0
configs:
{configs}---
# A small release
"""


def card(*slugs: str) -> str:
    """A README whose configs are the default over all domains, first, and one for each domain."""
    lines = []
    for name, folder in [("default", "*"), *((slug, slug) for slug in slugs)]:
        lines += [f"- config_name: {name}\n", *(["  default: true\n"] if name == "default" else []), "  data_files:\n"]
        lines += [f"  - {{split: {split}, path: data/{folder}/{split}-*.parquet}}\n" for split in SPLITS]
    return README.format(configs="".join(lines))


def stage(tree: Path, *slugs: str, shards: int = 1, note: str = "") -> Path:
    """A release tree of a few rows; with a note, the training rows of the first domain differ."""
    for slug in slugs:
        for split, rows in SPLITS.items():
            for shard in range(shards):
                ids = [f"{slug}_{split}_{number:08d}" for number in range(shard, rows, shards)]
                text = note if (slug, split) == (slugs[0], "train") else ""
                texts = [f"{each}{text}" for each in ids]
                table = pa.table({"trace_id": ids, "domain": [slug] * len(ids), "text": texts})
                path = tree / "data" / slug / f"{split}-{shard:05d}-of-{shards:05d}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(table, path, compression="zstd")
    (tree / "README.md").write_text(card(*slugs))
    (tree / "LICENSE").write_text("Apache-2.0\n")
    return tree


def content(tree: Path) -> dict[str, bytes]:
    """The files of a repository that holds the tree, by path."""
    return FIRST_FILE | {p.relative_to(tree).as_posix(): p.read_bytes() for p in tree.rglob("*") if p.is_file()}


def read(hub: HubServer, folder: Path, expressions: dict[str, str]) -> dict[str, object]:
    """Evaluate expressions in a fresh process that has `datasets`, an empty cache, and none of our code."""
    folder.mkdir()
    (folder / "empty").mkdir()
    lines = [
        "import json, sys",
        "from datasets import get_dataset_config_names, load_dataset",
        *(f"{name} = {expression}" for name, expression in expressions.items()),
        "assert not {'gatling_sid', 'builder'} & set(sys.modules)",
        f"print(json.dumps({{{', '.join(f'{name!r}: {name}' for name in expressions)}}}))",
    ]
    settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "home"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    command = code_line("\n".join(lines))
    output = output_of(command, folder / "empty", env={"PATH": os.environ.get("PATH", ""), **settings})
    result: dict[str, object] = json.loads(output.splitlines()[-1])
    return result


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No waiting, no progress bars, no token and no cache of this machine; transfers by LFS unless a test says xet."""
    home = tmp_path_factory.getbasetemp() / "home"
    monkeypatch.setattr(publishing, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HF_HOME", "HF_XET_CACHE"):  # hf_xet reads these itself, when it is first used
        monkeypatch.setenv(name, str(home))
    disable_progress_bars()
    yield
    enable_progress_bars()


@pytest.fixture(params=["xet", "lfs"])
def transfer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Large files go by either of the two ways that the client has."""
    way: str = request.param
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", way == "lfs")
    return way


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A Hub without repositories."""
    with HubServer(TOKEN) as server:
        yield server


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A staged release of two domains."""
    return stage(tmp_path / "tree", "finance", "hr")


def release(hub: HubServer, tree: Path, version: str = "1.0.0", **more: object) -> Publication:
    """Publish to the local Hub as its owner."""
    return publish(tree, REPO, version, **{"endpoint": hub.url, "token": TOKEN, **more})  # type: ignore[arg-type]


def test_a_release_is_one_commit_and_its_tag(hub: HubServer, tree: Path, transfer: str) -> None:
    """A first release makes the repository, one commit that holds exactly the tree, and a tag on that commit."""
    done = release(hub, tree)

    commit, first = hub.history(REPO)
    assert done == Publication(REPO, "v1.0.0", commit, f"{hub.url}/datasets/{REPO}/tree/v1.0.0")
    assert hub.tags(REPO) == {"v1.0.0": commit}
    assert hub.snapshot(REPO) == content(tree)
    assert hub.snapshot(REPO, first) == FIRST_FILE
    assert [hub.calls(route) for route in ("create", "commit", "tag")] == [1, 1, 1]
    assert (hub.calls("xorb") > 0, hub.calls("put") > 0) == (transfer == "xet", transfer == "lfs")


@pytest.mark.usefixtures("transfer")
def test_readers_need_load_dataset_and_none_of_our_code(hub: HubServer, tree: Path, tmp_path: Path) -> None:
    """Every way of reading a release works in a fresh process: configs, splits, streaming, revision and columns."""
    release(hub, tree)

    seen = read(
        hub,
        tmp_path / "reader",
        {
            "configs": f"sorted(get_dataset_config_names({REPO!r}))",
            "default": f"{{k: v.num_rows for k, v in load_dataset({REPO!r}).items()}}",
            "domain": f"{{k: v.num_rows for k, v in load_dataset({REPO!r}, 'finance').items()}}",
            "one_split": f"load_dataset({REPO!r}, 'hr', split='test')['trace_id'][:]",
            "slice": f"load_dataset({REPO!r}, split='train[:50%]+test').num_rows",
            "streamed": f"[r['trace_id'] for r in load_dataset({REPO!r}, split='validation', streaming=True)]",
            "tagged": f"load_dataset({REPO!r}, 'finance', revision='v1.0.0')['train'].num_rows",
            "tag_stream": f"next(iter(load_dataset({REPO!r}, split='train', revision='v1.0.0', streaming=True)))",
            "columns": f"load_dataset({REPO!r}, 'hr', split='train', columns=['trace_id']).column_names",
        },
    )

    assert seen == {
        "configs": ["default", "finance", "hr"],
        "default": {split: 2 * rows for split, rows in SPLITS.items()},
        "domain": SPLITS,
        "one_split": ["hr_test_00000000", "hr_test_00000001", "hr_test_00000002"],
        "slice": SPLITS["train"] + 2 * SPLITS["test"],
        "streamed": [f"{slug}_validation_{number:08d}" for slug in ("finance", "hr") for number in range(2)],
        "tagged": SPLITS["train"],
        "tag_stream": {"trace_id": "finance_train_00000000", "domain": "finance", "text": "finance_train_00000000"},
        "columns": ["trace_id"],
    }


@pytest.mark.usefixtures("transfer")
def test_the_next_version_removes_what_it_does_not_hold(hub: HubServer, tmp_path: Path) -> None:
    """Shards and files that a new version lacks leave `main`, while the old tag still holds them."""
    old, new = stage(tmp_path / "old", "finance", "hr", shards=2), stage(tmp_path / "new", "finance", note=" again")
    (new / "LICENSE").unlink()
    before = content(old)
    release(hub, old)

    done = release(hub, new, "v1.1.0")

    assert hub.snapshot(REPO) == hub.snapshot(REPO, "v1.1.0") == content(new)
    assert hub.snapshot(REPO, "v1.0.0") == before
    assert hub.tags(REPO)["v1.1.0"] == done.commit == hub.history(REPO)[0]
    assert len(hub.history(REPO)) == 3


def test_readers_of_an_old_tag_are_not_moved(hub: HubServer, tmp_path: Path) -> None:
    """After a new version, the old tag loads the old rows and `main` the new ones."""
    release(hub, stage(tmp_path / "old", "finance", "hr", shards=2))
    release(hub, stage(tmp_path / "new", "finance", note=" again"), "1.1.0")

    seen = read(
        hub,
        tmp_path / "reader",
        {
            "old": f"load_dataset({REPO!r}, revision='v1.0.0', split='train')['text'][-1]",
            "rows": f"[load_dataset({REPO!r}, revision=r, split='train').num_rows for r in ('v1.0.0', 'v1.1.0')]",
            "new": f"load_dataset({REPO!r}, split='train')['text'][-1]",
            "configs": f"sorted(get_dataset_config_names({REPO!r}))",
        },
    )

    assert seen == {
        "old": "hr_train_00000005",
        "rows": [12, 6],
        "new": "finance_train_00000005 again",
        "configs": ["default", "finance"],
    }


def test_what_has_not_changed_is_not_sent_again(hub: HubServer, tree: Path) -> None:
    """A new version that differs in one shard uploads that shard alone."""
    release(hub, tree)
    sent = hub.calls("put")

    release(hub, stage(tree, "finance", "hr", note=" again"), "1.0.1")

    assert (sent, hub.calls("put") - sent) == (6, 1)
    commit = [request for request in hub.requests if request.route == "commit"][-1]
    assert [json.loads(line)["value"].get("path") for line in commit.body.splitlines()] == [
        None,
        "data/finance/train-00000-of-00001.parquet",
    ]


def test_the_same_content_under_a_new_version_is_only_tagged(hub: HubServer, tree: Path) -> None:
    """A version equal to the one before makes no commit; both tags stand on the same one."""
    first = release(hub, tree)

    second = release(hub, tree, "1.0.1")

    assert hub.tags(REPO) == {"v1.0.0": first.commit, "v1.0.1": first.commit}
    assert (second.tag, second.commit, hub.calls("commit")) == ("v1.0.1", first.commit, 1)


def test_publishing_twice_changes_nothing(hub: HubServer, tree: Path) -> None:
    """The same tree under the same version is a success that writes nothing, also after later versions."""
    first = release(hub, tree)
    release(hub, stage(tree.parent / "later", "finance"), "2.0.0")
    state = hub.history(REPO), hub.tags(REPO)
    writes = sum(request.method != "GET" for request in hub.requests)

    assert release(hub, tree, "v1.0.0") == first
    assert (hub.history(REPO), hub.tags(REPO)) == state
    assert sum(request.method != "GET" for request in hub.requests) == writes


def test_a_published_version_never_changes(hub: HubServer, tree: Path) -> None:
    """Other content under a published version is refused, and names what differs."""
    release(hub, tree)
    state = hub.history(REPO), hub.tags(REPO)
    stage(tree, "finance", "hr", note=" again")

    with pytest.raises(PublishError) as refused:
        release(hub, tree)

    assert str(refused.value) == (
        "v1.0.0 is already published with other content (data/finance/train-00000-of-00001.parquet);"
        " publish under a new version"
    )
    assert (hub.history(REPO), hub.tags(REPO)) == state


@pytest.mark.usefixtures("transfer")
def test_a_lost_reply_makes_no_second_commit(hub: HubServer, tree: Path) -> None:
    """When the commit lands but its reply is lost, the commit is found again and tagged."""
    hub.fail_next("commit", landed=True)

    done = release(hub, tree)

    assert hub.calls("commit") == 1
    assert hub.history(REPO)[0] == done.commit == hub.tags(REPO)["v1.0.0"]
    assert len(hub.history(REPO)) == 2


def test_a_lost_reply_with_files_to_remove_makes_no_second_commit(hub: HubServer, tree: Path, tmp_path: Path) -> None:
    """The same holds when the commit removed files, which cannot be removed twice."""
    release(hub, tree)
    hub.fail_next("commit", landed=True)

    release(hub, stage(tmp_path / "new", "finance"), "1.1.0")

    assert hub.calls("commit") == 2
    assert len(hub.history(REPO)) == 3


@pytest.mark.parametrize("status", [500, 503, 429, None])
@pytest.mark.parametrize("route", ["info", "create", "refs", "commit", "tag"])
def test_what_passes_is_tried_again(hub: HubServer, tree: Path, route: str, status: int | None) -> None:
    """A Hub that is busy for a moment, at any step, or a dropped connection, only costs time."""
    hub.fail_next(route, status=status)

    done = release(hub, tree)

    assert hub.tags(REPO) == {"v1.0.0": done.commit}
    assert hub.snapshot(REPO) == content(tree)
    assert len(hub.history(REPO)) == 2


def test_a_broken_hub_is_not_tried_for_ever(hub: HubServer, tree: Path) -> None:
    """After a few tries the error says what the Hub answered; readers see what they saw before."""
    hub.create(REPO)
    for _ in range(9):
        hub.fail_next("commit", status=503, message="under repair")

    with pytest.raises(PublishError) as refused:
        release(hub, tree)

    assert str(refused.value) == (
        f"{hub.url} returned status 503 (under repair): run the same command again; it continues where it stopped"
    )
    assert hub.calls("commit") == 4
    assert hub.snapshot(REPO) == FIRST_FILE


def test_an_upload_that_the_storage_refuses_is_reported(hub: HubServer, tree: Path, transfer: str) -> None:
    """When the storage refuses a file there is no commit, and the next run starts over."""
    route, message = {
        "xet": (
            "xorb",
            "could not be reached, or broke the connection (Network error: Request error: HTTP status client error (400",
        ),
        "lfs": ("put", "the release was not accepted: Error while uploading 'data/"),
    }[transfer]
    hub.fail_next(route, status=400, message="see https://store/key?X-Signature=abc&X-Key=def for more")

    with pytest.raises(PublishError) as refused:
        release(hub, tree)

    assert message in str(refused.value)
    assert "X-Signature" not in str(refused.value)

    assert hub.calls("commit") == 0
    assert hub.tags(REPO) == {}
    assert release(hub, tree).commit == hub.history(REPO)[0]


def test_a_racing_commit_wins(hub: HubServer, tree: Path, tmp_path: Path) -> None:
    """When another commit lands first, ours is refused as a whole, and readers of tags and `main` see none of it."""
    first = release(hub, tree)
    new = stage(tmp_path / "new", "finance", note=" again")
    hub.before_next("commit", lambda: hub.push(REPO, {"NOTICE": b"from somebody else"}))

    with pytest.raises(PublishError) as refused:
        release(hub, new, "1.1.0")

    assert str(refused.value) == (
        "somebody else changed gatling/sid at the same time; readers still get the previous version; run the command again"
    )
    assert hub.tags(REPO) == {"v1.0.0": first.commit}
    assert hub.snapshot(REPO) == content(tree) | {"NOTICE": b"from somebody else"}
    done = release(hub, new, "1.1.0")
    assert hub.snapshot(REPO) == content(new)
    assert hub.tags(REPO)["v1.1.0"] == done.commit


def test_a_commit_by_somebody_else_between_two_tries_is_a_race_too(hub: HubServer, tree: Path) -> None:
    """A second try is made only on the head that the first one saw."""
    release(hub, tree)
    hub.before_next("commit", lambda: hub.push(REPO, {"NOTICE": b"from somebody else"}))
    hub.fail_next("commit", status=503)

    with pytest.raises(PublishError, match="somebody else changed gatling/sid at the same time"):
        release(hub, stage(tree.parent / "new", "finance"), "1.1.0")

    assert hub.calls("commit") == 2
    assert hub.snapshot(REPO) == content(tree) | {"NOTICE": b"from somebody else"}


def test_a_race_between_equals_is_no_conflict(hub: HubServer, tree: Path) -> None:
    """When the commit that lands first holds the same content, it is the release."""
    hub.create(REPO)
    hub.before_next("commit", lambda: hub.push(REPO, content(tree)))

    done = release(hub, tree)

    assert hub.history(REPO)[0] == done.commit == hub.tags(REPO)["v1.0.0"]
    assert len(hub.history(REPO)) == 2


def test_an_interrupted_publish_goes_on_at_the_tag(hub: HubServer, tree: Path) -> None:
    """Stopped between commit and tag, the next run tags the commit that is there."""
    for _ in range(4):
        hub.fail_next("tag", status=500)
    with pytest.raises(PublishError, match="run the same command again"):
        release(hub, tree)
    commit = hub.history(REPO)[0]
    assert hub.tags(REPO) == {}

    done = release(hub, tree)

    assert done.commit == commit
    assert hub.tags(REPO) == {"v1.0.0": commit}
    assert hub.calls("commit") == 1


def test_a_lost_reply_to_the_tag_is_no_conflict(hub: HubServer, tree: Path) -> None:
    """A tag that landed while its reply was lost is found again."""
    hub.fail_next("tag", landed=True)

    done = release(hub, tree)

    assert hub.tags(REPO) == {"v1.0.0": done.commit}


def test_a_tag_taken_by_somebody_else_stays_theirs(hub: HubServer, tree: Path) -> None:
    """When somebody else takes the version between our commit and our tag, theirs stays, and we say so."""
    hub.create(REPO)
    theirs = hub.push(REPO, {"README.md": b"theirs"})
    hub.before_next("tag", lambda: hub.repos[REPO].tags.update({"v1.0.0": hub.repos[REPO].at(theirs)}))

    with pytest.raises(PublishError, match=r"v1\.0\.0 is already published with other content"):
        release(hub, tree)

    assert hub.tags(REPO) == {"v1.0.0": theirs}


def test_a_tag_on_another_commit_is_reported(hub: HubServer, tree: Path) -> None:
    """Even with equal content, a tag that is not on our commit is not reported as ours."""
    hub.create(REPO)

    def take() -> None:
        theirs = hub.push(REPO, {}, "nothing new")
        hub.repos[REPO].tags["v1.0.0"] = hub.repos[REPO].at(theirs)

    hub.before_next("tag", take)

    with pytest.raises(PublishError) as refused:
        release(hub, tree)

    theirs, ours, _ = hub.history(REPO)
    assert str(refused.value) == (
        f"v1.0.0 is already published with commit {theirs}, not {ours}; publish under a new version"
    )


def test_the_tag_is_on_our_commit_whatever_came_later(hub: HubServer, tree: Path) -> None:
    """A commit by somebody else between our commit and our tag is on `main`, and not in the release."""
    hub.create(REPO)
    hub.before_next("tag", lambda: hub.push(REPO, {"NOTICE": b"from somebody else"}))

    done = release(hub, tree)

    assert hub.history(REPO)[1] == done.commit == hub.tags(REPO)["v1.0.0"]
    assert hub.snapshot(REPO, "v1.0.0") == content(tree)


def test_a_repository_made_at_the_same_moment_is_used(hub: HubServer, tree: Path) -> None:
    """Somebody else making the repository just before us is no error."""
    hub.before_next("create", lambda: hub.create(REPO))

    assert release(hub, tree).tag == "v1.0.0"


def test_what_arrived_is_compared_with_what_was_staged(hub: HubServer, tree: Path) -> None:
    """A release is reported as published only when the checksums at its tag are those of the tree."""
    shard = tree / "data/hr/test-00000-of-00001.parquet"
    hub.before_next("tag", lambda: shard.write_bytes(b"damaged after the upload"))

    with pytest.raises(PublishError, match=r"other content \(data/hr/test-00000-of-00001\.parquet\)"):
        release(hub, tree)


def test_nothing_but_the_release_leaves_the_machine(hub: HubServer, tree: Path) -> None:
    """A file that somebody left in the tree is not published."""
    (tree / ".env").write_text("TOKEN=1")
    (tree / "data" / "finance" / ".train.part").write_text("half")
    release(hub, tree)
    kept = {path: text for path, text in content(tree).items() if not path.endswith((".env", ".part"))}
    assert hub.snapshot(REPO, "v1.0.0") == kept


def test_a_private_release_stays_private(hub: HubServer, tree: Path) -> None:
    """A private release makes a private repository, and is not put into a public one."""
    release(hub, tree, private=True)
    assert hub.repos[REPO].private

    hub.repos[REPO].private = False
    with pytest.raises(PublishError) as refused:
        release(hub, stage(tree, "finance", "hr", note=" again"), "1.0.1", private=True)

    assert (
        str(refused.value)
        == "gatling/sid is public, but the release is private; make the repository private on the Hub first"
    )
    assert hub.calls("commit") == 1


@pytest.mark.usefixtures("transfer")
@pytest.mark.parametrize("known", [True, False])
def test_a_wrong_token_is_refused_and_not_repeated(
    hub: HubServer, tree: Path, caplog: pytest.LogCaptureFixture, *, known: bool
) -> None:
    """A token that the Hub does not know gives an error that names the repository, and the token nowhere."""
    caplog.set_level(logging.DEBUG)
    if known:
        hub.create(REPO)

    with pytest.raises(PublishError) as refused:
        release(hub, tree, token=TOKEN[::-1])

    assert str(refused.value) == (
        f"{hub.url} returned status 401 (Invalid credentials in Authorization header):"
        " the token is not valid for gatling/sid; set another in HF_TOKEN, or run `hf auth login`"
    )
    assert TOKEN[::-1] not in repr(refused.value) + caplog.text
    assert hub.calls("commit") == 0


@pytest.mark.parametrize("known", [True, False])
def test_without_a_token_nothing_is_written(hub: HubServer, tree: Path, *, known: bool) -> None:
    """A login that is missing is named, whether or not the repository exists."""
    if known:
        hub.create(REPO)

    with pytest.raises(PublishError, match=r"returned status 401 .* run `hf auth login`"):
        release(hub, tree, token=None)


def test_a_token_that_may_not_write_is_named_so(hub: HubServer, tree: Path) -> None:
    """A read-only token asks for one with write access."""
    hub.create(REPO)
    hub.fail_next("preupload", status=403, message="read-only")

    with pytest.raises(PublishError, match="the token may not write to gatling/sid; use one with write access"):
        release(hub, tree)


@pytest.mark.parametrize("token", [TOKEN, "secretofanolderform", None])
def test_a_token_that_the_hub_repeats_is_not_passed_on(
    hub: HubServer, tree: Path, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error hides the token, passed or from the environment, even if the Hub's own words hold it."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.token = token or TOKEN
    hub.create(REPO)
    hub.fail_next("commit", status=400, message=f"what is {hub.token}?")

    with pytest.raises(PublishError, match=r"returned status 400 \(what is .*…\?\)") as refused:
        release(hub, tree, token=token)

    assert "secretof" not in "".join(traceback.format_exception(refused.value))


def test_a_token_may_end_in_a_newline(hub: HubServer, tree: Path) -> None:
    """Secrets that come with a newline work; those that no header can carry are refused without being shown."""
    assert release(hub, tree, token=f"{TOKEN}\n").tag == "v1.0.0"

    with pytest.raises(PublishError) as refused:
        release(hub, tree, token=f"{TOKEN}\n{TOKEN}")
    assert str(refused.value) == "the token contains characters that no token has; copy it again"


@pytest.mark.parametrize("missing", ["everything", "folder", "README.md", "data"])
def test_an_incomplete_tree_is_refused(hub: HubServer, tmp_path: Path, missing: str) -> None:
    """Nothing is asked of the Hub for a tree that is absent, empty, or without README or Parquet files."""
    tree = tmp_path / "tree"
    if missing != "folder":
        tree.mkdir()
    if missing == "README.md":
        stage(tree, "finance")
        (tree / "README.md").unlink()
    if missing == "data":
        (tree / "README.md").write_text(card("finance"))

    with pytest.raises(PublishError) as refused:
        release(hub, tree)

    assert str(refused.value) == (
        f"{tree} is not a staged release: README.md or data/<slug>/*.parquet is missing; stage it first"
    )
    assert hub.requests == []


def test_a_loading_script_is_refused(hub: HubServer, tree: Path) -> None:
    """A script with the repository's name would make every reader fail, so it is never published."""
    (tree / "sid.py").write_text("")

    with pytest.raises(PublishError, match=r"sid\.py: readers would take it for a loading script"):
        release(hub, tree)

    assert hub.requests == []


def test_a_readme_that_the_hub_refuses_is_refused_before_any_upload(hub: HubServer, tree: Path) -> None:
    """Broken metadata stops the release while nothing has been sent."""
    (tree / "README.md").write_text("---\n[not: a, mapping\n---\n")

    with pytest.raises(PublishError, match=r"the release was not accepted: Invalid metadata in README\.md"):
        release(hub, tree)

    assert (hub.calls("put"), hub.calls("commit")) == (0, 0)


@pytest.mark.parametrize("version", ["1.0", "1.0.0-rc1", "01.0.0", "latest", "", "1.0.0\n", "vv1.0.0", "\u0661.0.0"])
def test_a_version_is_three_numbers(hub: HubServer, tree: Path, version: str) -> None:
    """What is not X.Y.Z is refused before anything is asked of the Hub."""
    with pytest.raises(PublishError) as refused:
        release(hub, tree, version)

    assert str(refused.value) == f"{version!r} is not a version; write three numbers, like 1.2.0"
    assert hub.requests == []


@pytest.mark.parametrize("repo_id", ["sid", "a/b/c", "gatling/", "gatling sid/x", "gatling/s--id", "gatling/sid.git"])
def test_a_repository_has_an_owner_and_a_name(hub: HubServer, tree: Path, repo_id: str) -> None:
    """A repository id that the Hub could not have is refused, and named."""
    with pytest.raises(PublishError) as refused:
        publish(tree, repo_id, "1.0.0", endpoint=hub.url, token=TOKEN)

    assert repo_id in str(refused.value)
    assert hub.requests == []


def test_a_hub_that_cannot_be_reached_is_named(tree: Path) -> None:
    """Without a network the error names the endpoint and says to run again."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"

    with pytest.raises(PublishError, match=rf"{endpoint} could not be reached, .* run the same command again"):
        publish(tree, REPO, "1.0.0", endpoint=endpoint, token=TOKEN)
