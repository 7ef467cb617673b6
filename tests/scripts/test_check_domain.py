"""The check of a domain file: all problems at once, with remedies; drafts, single tasks, and a preview that follows edits."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gatling_sid.schemas.yaml_loading import load_yaml
from tests.support.commands import ROOT, call_command, environment, script_line


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """A folder with two small domains."""
    for name in ("library", "workshop"):
        shutil.copy(ROOT / f"tests/catalogue/{name}.yaml", tmp_path)
    return tmp_path


def check(catalogue: Path, slug: str, *options: object) -> tuple[int, str]:
    """The exit status and the output of a check."""
    done = call_command("check_domain", slug, "--catalogue", catalogue, *options)
    return done.returncode, done.stdout


def edit(path: Path, *replacements: tuple[str, str]) -> None:
    """Replaces texts in a file, each once."""
    text = path.read_text(encoding="utf-8")
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")


def test_every_measure_stands_beside_its_aim(catalogue: Path) -> None:
    """Measures of the file, texts, plans and policies, and every rule with how often it binds and is broken."""
    _, output = check(catalogue, "workshop", "--traces", 60)
    for name in (
        "raw pass rate", "written parts and scenarios", "lines of the file", "question mark at 10,000",
        "distinct goal shapes", "calls per trace", "intent delete", "another plan under another policy",
    ):  # fmt: skip
        assert re.search(rf"^{re.escape(name)} .* (>=|<=|[\d.]+-)", output, re.MULTILINE), name
    for rule in ("rows (row_limit)", "customer_told (notify_after)"):
        assert re.search(rf"^{re.escape(rule)} +\d+% +\d+%$", output, re.MULTILINE)


def test_a_noun_of_another_domain_is_named(catalogue: Path) -> None:
    """Two domains that call their rows alike would be asked for all of them in the same words."""
    shutil.copy(catalogue / "workshop.yaml", catalogue / "garage.yaml")
    edit(catalogue / "garage.yaml", ("name: Workshop", "name: Garage"))
    status, output = check(catalogue, "garage", "--traces", 20)
    assert status == 1
    assert "  entities.repair.noun: 'repairs' is also the first noun of workshop.yaml" in output
    edit(catalogue / "garage.yaml", ("noun: {repair: repairs, ", "noun: {car repair: car repairs, repair: repairs, "))
    assert "first noun" not in check(catalogue, "garage", "--traces", 20)[1]


def test_a_draft_may_lack_amounts(catalogue: Path) -> None:
    """Too few roles and aims that are missed fail the check, but not that of a draft, which still names them."""
    edit(catalogue / "workshop.yaml", ("{pool: [call before pick-up]}", "{pool: [call first, ring twice]}"))
    status, output = check(catalogue, "workshop", "--traces", 40)
    assert status == 1
    assert "  roles: 2, and the aim is >= 4\n" in output
    status, output = check(catalogue, "workshop", "--traces", 40, "--draft")
    assert (status, "  roles: 2, and the aim is >= 4\n" in output) == (0, True)
    assert "still missing: aims" in output


def test_the_length_of_requests_fails_no_check(catalogue: Path) -> None:
    """What the shared voice decides more than the file is named as still missing, whether or not the file is a draft."""
    output = check(catalogue, "workshop", "--traces", 40)[1]
    failing, _, missing = output.partition("still missing: aims")
    assert "tokens, standard deviation" in missing
    assert not re.search(r"tokens, standard deviation.*, and the aim is", failing)


def test_all_problems_are_reported_at_once(catalogue: Path) -> None:
    """Problems of form and content, in several sections; what is broken is left out, and the rest is tried."""
    edit(
        catalogue / "workshop.yaml",
        ("must_say:", "must_sya:"),
        ("tool: export_repairs", "tool: export_repair"),
    )
    status, output = check(catalogue, "workshop", "--traces", 20, "--draft")
    assert status == 1
    assert "must_sya: Extra inputs are not permitted; did you mean 'must_say'?" in output
    assert "no tool named 'export_repair'" in output
    assert re.search(r"workshop.yaml: \d\d traces, ", output)


def test_the_same_failure_is_reported_once(catalogue: Path) -> None:
    """Traces that break a rule in the same way are counted, without their ids, with parts and a remedy."""
    edit(
        catalogue / "workshop.yaml",
        ("returns: [repair_id, bicycle, status, brought_on]", "returns: [repair_id, fault]"),
    )
    status, output = check(catalogue, "workshop", "--traces", 60, "--draft")
    assert status == 1
    rejected = output[output.index("rejected traces (") :]
    assert re.search(r"^  \d+ x \w+.*: \w+: .*\n      → ", rejected, re.MULTILINE)
    assert not re.search(r"R-\d{4}", rejected)


def test_only_some_tasks_can_be_looked_at(catalogue: Path) -> None:
    """With --scenario, every task has the text in its name; measures of the whole domain are left out."""
    _, output = check(catalogue, "workshop", "--traces", 8, "--scenario", "reprice", "--show", 2)
    assert output.count("workshop.change_repair") >= 2
    assert "raw pass rate" not in output
    assert "workshop.yaml: 8 traces, " in output
    done = call_command("check_domain", "workshop", "--catalogue", catalogue, "--scenario", "repirce")
    assert done.returncode == 1
    assert "no task of workshop.yaml has 'repirce' in its name" in done.stderr


def test_an_impossible_draw_stops_early(catalogue: Path) -> None:
    """A scenario that finds no rows is named after a few tries, which take no time."""
    content = load_yaml(catalogue / "library.yaml")
    content["scenarios"]["renew"]["draw"]["loan"]["where"] = {"loan_id": "L-none"}
    (catalogue / "library.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    started = time.monotonic()
    status, output = check(catalogue, "library", "--traces", 400, "--draft")
    assert status == 1
    assert "renew: none of 6 tasks found its rows in the world" in output
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("name: Workshop", "name: library", "'library' could also mean library.yaml, whose name is 'Library'"),
        ("name: Workshop", "title: Workshop", "line 1: a domain file begins with `name: Display Name`"),
        ("entities:", "entities: [", "line 7: "),
        ("{days_ago: [1, 60]}", "{days_ago: [1, 9999999]}", "days_ago.1: Input should be less than or equal to 36500"),
        ('"R-{:04d}"', '"R-{:0999999999d}"', "needs one number such as {:04d}, of at most 12 digits"),
        ("{mechanic: 3, manager: 1}", "{mechanic: 3, manager: 0}", "entities: no valid population in"),
    ],
)
def test_what_cannot_be_read_is_a_problem(catalogue: Path, old: str, new: str, problem: str) -> None:
    """Broken files, absurd numbers, names of others and empty roles are problems with a place; nothing crashes."""
    edit(catalogue / "workshop.yaml", (old, new))
    status, output = check(catalogue, "workshop", "--traces", 5)
    assert status == 1
    assert problem in output


@pytest.mark.parametrize("section", ["", "\nparts: {}\n", "\nparts: {}\nscenarios: {}\n"])
def test_a_file_without_tasks_says_so(catalogue: Path, section: str) -> None:
    """No parts and no scenarios, or empty ones, are one clear problem."""
    path = catalogue / "workshop.yaml"
    path.write_text(path.read_text(encoding="utf-8").partition("\nparts:")[0] + section, encoding="utf-8")
    status, output = check(catalogue, "workshop")
    assert status == 1
    assert "parts: nobody asks for anything" in output


def test_the_preview_follows_edits(catalogue: Path) -> None:
    """With --watch, ten requests with plans are shown, again with what an edit changed, and Ctrl-C ends it."""
    path = catalogue / "workshop.yaml"
    process = subprocess.Popen(
        script_line("check_domain", "workshop", "--catalogue", catalogue, "--watch"),
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )  # fmt: skip
    try:
        first = list(read_preview(process))
        assert sum(bool(re.match(r"\d+\. \w+: ", line)) for line in first) == 10
        assert (
            sum(line.startswith(("     call_1 ", "     nothing to call: ", "     declined: ")) for line in first) >= 10
        )
        edit(path, ("tool: export_repairs", "tool: export_repair"))
        second = list(read_preview(process))
        assert any("no tool named 'export_repair'" in line for line in second)
        assert sum(bool(re.match(r"\d+\. \w+: ", line)) for line in second) == 10
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def read_preview(process: subprocess.Popen[str]) -> Iterator[str]:
    """Yields the lines of one preview, up to the one that says that it waits."""
    assert process.stdout is not None
    for line in process.stdout:
        yield line
        if "waiting for the next change" in line:
            return
    pytest.fail("the preview ended")
