"""Phrasings by Claude: only what the machinery proves is kept, and the domain file is otherwise as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gatling_sid.errors import CatalogueError, OracleError
from gatling_sid.oracle.claude.asks import Answer, Ask, Usage
from gatling_sid.oracle.claude.authoring import Author, Authored, Kept
from gatling_sid.oracle.claude.phrasebook import replaced, with_phrasings
from gatling_sid.oracle.scenario import capacity
from gatling_sid.schemas import DomainRegistry
from gatling_sid.validators import TraceValidator
from scripts.author_domain import main
from tests.claude_server import ClaudeServer
from tests.conftest import CATALOGUE

GOOD = "[Somebody|A reader|Someone|A boy] would [like|love] {title}, {state:out just now}, until {date}[: do it|, so do it|]."
ALSO_GOOD = "[Move|Shift|Set|Put] the return of {title} to {date}; it [sits|lies] there, {state:not yet back}[ of course| still|]."


class Writer:
    """A model that answers every ask with the same candidates."""

    def __init__(self, *phrasings: str, text: str | None = None) -> None:
        self.text = text if text is not None else json.dumps({"phrasings": phrasings})
        self.asked: list[Ask] = []

    def answers(self, asks: Sequence[Ask]) -> list[Answer]:
        """In the order of the asks."""
        self.asked += asks
        return [Answer(ask.work_id, self.text, None, Usage(10, 10), 0.002) for ask in asks]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A copy of the small domain's file, to be edited."""
    return Path(shutil.copy(CATALOGUE / "library.yaml", tmp_path))


def author_of(path: Path) -> Author:
    """An author of that file."""
    return Author(path, TraceValidator, model="m", created_at=datetime(2026, 1, 1, tzinfo=UTC))


def authored(path: Path, *phrasings: str) -> Authored:
    """What comes of these candidates for the scenario `renew`."""
    return author_of(path).author(Writer(*phrasings), ["renew"], len(phrasings))


def test_proven_phrasings_are_kept(path: Path) -> None:
    """Good candidates go before the others, with source and cost; all else stays to the byte, and all still proves."""
    before = path.read_text()
    result = authored(path, GOOD, ALSO_GOOD)
    assert [each.text for each in result.kept] == [GOOD, ALSO_GOOD], result.dropped
    assert result.kept[0] == Kept("renew", GOOD, 0.001)
    assert path.read_text() == before
    replaced(path, result.text)
    added = [line for line in result.text.splitlines() if line not in before.splitlines()]
    assert added == [
        f"      - {json.dumps(ALSO_GOOD)}  # m, round 0, $0.001000",
        f"      - {json.dumps(GOOD)}  # m, round 0, $0.001000",
    ]
    assert [line for line in result.text.splitlines() if line not in added] == before.splitlines()
    old, new = DomainRegistry(CATALOGUE).domain("library"), DomainRegistry(path.parent).domain("library")
    assert new.file.scenarios["renew"].phrasings == [ALSO_GOOD, GOOD, *old.file.scenarios["renew"].phrasings]
    assert new.digest != old.digest
    assert capacity(new, "train") >= capacity(old, "train")


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        ("[a|b] {title", "notation: stray one of { } [ ] | in ' {title'"),
        ("[a|a] {title} {state:out x} {date}", "notation: [a|a] needs two or more alternatives that differ"),
        ("Renew {title}, {state:held}, to {date}.", "alternatives: they make 1 texts, 24 are needed"),
        (GOOD.replace("{date}", "some day"), "does not always say date"),
        (GOOD.replace("{state:out just now}", "now"), "does not always say state"),
        (GOOD.replace("[: do it|, so do it|]", "[ {who}| x|]"), "no slot named 'who'"),
        (GOOD.replace("{title}", "{title:Low Tide}"), "slot title varies, so its wording cannot be fixed"),
        (GOOD.replace("{state:out just now}", "{state:overdue}"), "'overdue' says both 'out' and 'overdue'"),
        (GOOD.replace("would", "would "), " to spare"),
        (GOOD.replace("Somebody", "Some\u200bbody"), "notation: it holds characters that cannot be seen"),
    ],
)
def test_what_cannot_be_proven_is_dropped(path: Path, candidate: str, reason: str) -> None:
    """Every way to get a phrasing wrong has its reason."""
    result = authored(path, candidate)
    assert result.kept == []
    assert reason in result.dropped[0].reason
    assert result.text == path.read_text()


def test_near_copies_are_dropped(path: Path) -> None:
    """A candidate that says what another says, with a word changed, is none; neither is the same one twice."""
    result = authored(path, GOOD, GOOD.replace("Somebody", "Anybody"), GOOD)
    assert [each.text for each in result.kept] == [GOOD]
    assert [each.reason.partition(":")[0] for each in result.dropped] == ["near-copy"]


def test_a_phrasing_whose_traces_fail_is_dropped(path: Path) -> None:
    """The proof is the validator's: if it finds anything, the phrasing is not kept."""

    class Never(TraceValidator):
        def findings(self, trace: object) -> list[object]:  # type: ignore[override]
            return [f"no: {type(trace).__name__}"]

    author = Author(path, Never, model="m", created_at=datetime(2026, 1, 1, tzinfo=UTC))  # type: ignore[arg-type]
    result = author.author(Writer(GOOD), ["renew"], 1)
    assert result.kept == []
    assert result.dropped[0].reason.startswith("proof: ")


def test_an_answer_that_cannot_be_read_drops_the_scenario(path: Path) -> None:
    """It is counted, not fatal."""
    result = author_of(path).author(Writer(text="sorry"), ["renew", "remind"], 3)
    assert [each.scenario for each in result.dropped] == ["renew", "remind"]


def test_asks_say_all_that_a_writer_needs(path: Path) -> None:
    """Slots, fixed words in use, the plan and the phrasings there are; another round is another ask."""
    author = author_of(path)
    ask = author.ask("renew", 2, 0)
    for part in ("{title}", "{date}", "fixed, means 'out'", "on loan", "renew_loan", "Write 2 new ones:"):
        assert part in ask.user
    assert ask.phase == "phrasing"
    assert ask.work_id == author_of(path).ask("renew", 2, 0).work_id != author.ask("renew", 2, 1).work_id
    with pytest.raises(OracleError, match="library has no scenario 'renewal'; it has overdue_of_member"):
        author.asks(["renewal"], 1)


def test_a_list_in_one_line_cannot_be_added_to() -> None:
    """The error names the key."""
    text = "name: X\nscenarios:\n  a: {phrasings: [x]}\n"
    with pytest.raises(CatalogueError, match=r"x\.yaml: scenarios\.a\.phrasings: new phrasings need a list"):
        with_phrasings(text, "a", ["y"], "s", "x.yaml")


def test_the_command_writes_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the real engine: asked once, proven, written; a dry run writes nothing, a second run pays nothing."""
    with ClaudeServer(answer=lambda _: json.dumps({"phrasings": [GOOD, "bad"]}), faults={"500": 0.2}) as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", next(iter(server.keys)))
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        before = path.read_text()
        fixed = [
            "library",
            "--catalogue",
            str(path.parent),
            "--scenarios",
            "renew",
            "--ledger",
            str(path.parent / "l.db"),
        ]
        assert main([*fixed, "--estimate"]) == 0
        assert server.bill_usd == 0
        assert main([*fixed, "--dry-run"]) == 0
        bill = server.bill_usd
        assert path.read_text() == before
        assert main(fixed) == 0
        assert server.bill_usd == bill > 0
    assert DomainRegistry(path.parent).domain("library").file.scenarios["renew"].phrasings[0] == GOOD
    said = capsys.readouterr().out
    assert "1 of 2 kept" in said
    assert "dropped for alternatives: 1" in said
