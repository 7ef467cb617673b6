"""Comparing two versions of a domain file shows what the change does, and nothing else."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from builder.domain_diff import Declarations, DomainDiff, compare_versions, describe_diff
from gatling_sid.errors import CatalogueError
from scripts import diff_domain

TEXT = (Path(__file__).parents[1] / "catalogue/library.yaml").read_text(encoding="utf-8")
PHRASING, EDITED = "Till {date} for {title}", "Until {date} for {title}"
NOTHING = Declarations([], [], [])


def compare(*edits: tuple[str, str], traces: int = 60) -> DomainDiff:
    """The comparison of the small domain with itself after some edits, each of text that stands in it once."""
    after = TEXT
    for old, new in edits:
        assert after.count(old) == 1
        after = after.replace(old, new)
    return compare_versions("library", TEXT.encode(), after.encode(), traces=traces, seed=7)


def nonzero(diff: DomainDiff) -> set[str]:
    """The counts that are not 0."""
    return {name for name, count in diff.counts.items() if count}


def test_a_comment_changes_nothing() -> None:
    """A comment changes no trace, so no difference is shown."""
    diff = compare(("name: Library\n", "name: Library\n# a small one\n"))

    assert nonzero(diff) == {"equal"}
    assert diff.counts["equal"] == 60
    assert diff.declarations == dict.fromkeys(("scenarios", "parts", "tools", "rules", "phrasings"), NOTHING)
    assert list(describe_diff(diff, show=3)) == [
        "changed: nothing but comments or layout",
        "60 traces with each version",
        "  equal: 60",
        "  now rejected: 0",
    ]


def test_an_edited_phrasing_changes_words_alone() -> None:
    """Some words differ, and no plan, policy or goal; the phrasing is named under both forms."""
    diff = compare((PHRASING, EDITED))

    assert nonzero(diff) == {"equal", "words differ"}
    rest = "[ please|] - it is {state:out}."
    assert diff.declarations["phrasings"] == Declarations([f"renew: {EDITED}{rest}"], [f"renew: {PHRASING}{rest}"], [])
    assert diff.declarations["scenarios"] == NOTHING
    shown = "\n".join(describe_diff(diff, show=1))
    assert re.search(r"\n- .*\btill ", shown, re.IGNORECASE)
    assert re.search(r"\n\+ .*\buntil ", shown, re.IGNORECASE)
    assert shown.count("--- before") == 1


def test_an_edited_row_limit_changes_policies() -> None:
    """Policies differ, and words do not."""
    diff = compare(("max_rows: [20, 10, 15]", "max_rows: [19, 10, 15]"))

    assert {"equal", "policy differs"} <= nonzero(diff)
    assert "words differ" not in nonzero(diff)
    assert diff.declarations["rules"] == NOTHING


def test_a_rule_and_a_scenario_are_named() -> None:
    """What is added, removed or changed is listed by kind, and another schedule is explained."""
    begin, end = TEXT.index("  remind:\n"), TEXT.index("\n", TEXT.index("[ - today|]"))
    diff = compare(
        (TEXT[begin:end], TEXT[begin:end].replace("  remind:\n", "  nudge:\n")),
        ("says: Librarians delete nothing.", "says: Librarians never delete anything."),
    )

    assert diff.declarations["scenarios"] == Declarations(["nudge"], ["remind"], [])
    assert diff.declarations["rules"] == Declarations([], [], ["directors_delete"])
    assert diff.declarations["tools"] == NOTHING
    lines = list(describe_diff(diff))
    assert lines[:4] == ["scenarios added: 1", "  nudge", "scenarios removed: 1", "  remind"]
    assert lines[4:6] == ["rules changed: 1", "  directors_delete"]
    assert any(line.startswith("Scenarios or their weights changed") for line in lines)


def test_what_is_rejected_now_is_counted_by_reason() -> None:
    """A limit that a scenario exceeds rejects its plans; the comparison in the other direction accepts them again."""
    diff = compare(("max_rows: [20, 10, 15]", "max_rows: [2, 10, 15]"), traces=240)

    assert diff.counts["now rejected"] == diff.rejections.total() > 0
    assert {each.partition(": ")[2] for each in diff.rejections} == {"scope_limits_hold"}
    example = r"export_overdue: scope_limits_hold, such as: call_1 takes \d+ rows; the limit max_results is 2"
    assert any(re.search(example, line) for line in describe_diff(diff))
    back = DomainDiff(
        [pair._replace(before=pair.after, after=pair.before) for pair in diff.pairs], diff.declarations, []
    )
    assert back.counts["no longer rejected"] == diff.counts["now rejected"]
    assert back.counts["now rejected"] == 0


@pytest.mark.parametrize("broken", ["before", "after"])
def test_a_version_that_does_not_load_is_named(broken: str) -> None:
    """The error says which of the two versions does not load, and what is wrong where."""
    versions = {"before": TEXT, "after": TEXT, broken: TEXT.replace("name: Library", "nome: Library")}

    with pytest.raises(CatalogueError, match=rf"^library\.yaml \({broken} the change\): "):
        compare_versions("library", versions["before"].encode(), versions["after"].encode(), traces=1, seed=7)


@pytest.fixture
def committed(tmp_path: Path) -> Path:
    """A catalogue folder in a git repository, whose last commit holds the small domain."""
    (tmp_path / "library.yaml").write_text(TEXT, encoding="utf-8")
    commit = ["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "first"]
    for git in (["init", "-q"], ["add", "library.yaml"], commit):
        subprocess.run(["git", *git], cwd=tmp_path, check=True)
    return tmp_path


def run_script(folder: Path, *arguments: str) -> int:
    """The exit status of the command for the small domain in a folder."""
    return int(diff_domain.main(["library", "--catalogue", str(folder), "--traces", "30", *arguments]))


def test_the_command_compares_with_the_last_commit(committed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without an edit all is equal; after one, the words differ, also from a copy under any other name."""
    assert run_script(committed) == 0
    assert capsys.readouterr().out.splitlines() == [
        "changed: nothing but comments or layout",
        "30 traces with each version",
        "  equal: 30",
        "  now rejected: 0",
    ]
    (committed / "library.yaml").rename(committed / "earlier.txt")
    (committed / "library.yaml").write_text(TEXT.replace(PHRASING, EDITED), "utf-8")

    assert run_script(committed) == 0
    edited = capsys.readouterr().out
    assert run_script(committed, "--before", str(committed / "earlier.txt")) == 0

    assert "  words differ: " in edited
    assert capsys.readouterr().out == edited


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--traces", "0"], "--traces must be at least 1, and --show at least 0"),
        (["--before", "nowhere.yaml"], "nowhere.yaml: cannot be read: "),
        ([], "library.yaml: git has no earlier version: fatal: not a git repository"),
    ],
)
def test_the_command_names_what_is_wrong(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong number, a missing file and a folder without git give one line and status 1."""
    (tmp_path / "library.yaml").write_text(TEXT, encoding="utf-8")

    assert run_script(tmp_path, *arguments) == 1
    assert capsys.readouterr().err.startswith(f"error: {message}")


def test_a_missing_file_and_a_broken_one_are_named(committed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No domain of that name, no git, and a file that does not load are clear errors."""
    assert diff_domain.main(["libary", "--catalogue", str(committed)]) == 1
    assert capsys.readouterr().err == "error: no domain named 'libary'; did you mean 'library'?\n"
    (committed / "library.yaml").write_text("name: Library\nname: Twice\n", encoding="utf-8")
    assert run_script(committed) == 1
    assert capsys.readouterr().err.startswith("error: library.yaml (after the change): line 2: ")


def test_without_git_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error offers the other way to name the earlier version."""
    (tmp_path / "library.yaml").write_text(TEXT, encoding="utf-8")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert run_script(tmp_path) == 1
    assert capsys.readouterr().err == (
        "error: library.yaml: git cannot be run: No such file or directory; name the earlier version with --before FILE\n"
    )
