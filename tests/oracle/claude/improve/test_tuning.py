"""A note is kept if it raises the pass rate on fresh requests significantly."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import count, product
from pathlib import Path
from typing import Any

import pytest

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.authoring.edits import replace_file
from gatling_sid.oracle.claude.estimate.dry_run import DryRun
from gatling_sid.oracle.claude.improve.tuning import (
    INTRODUCTIONS,
    NoteExperiment,
    PromptTuner,
    add_kept_notes,
    sign_test_p_value,
)
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, LLMResponse, ProblemKind, ResponseProblem, Usage
from gatling_sid.oracle.claude.oracle import ClaudeOracle
from gatling_sid.oracle.claude.plans.request_context import RequestContext
from gatling_sid.oracle.claude.prompts.answer_schemas import answer_schema
from gatling_sid.oracle.claude.prompts.system_prompts import PromptNotes, notes_of
from gatling_sid.oracle.claude.transport import connect as connect_module
from gatling_sid.oracle.claude.transport.batches_client import BatchesClient
from gatling_sid.oracle.claude.transport.blocking_client import blocking_client
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas.domain import Domain
from gatling_sid.validators import TraceValidator
from scripts.tune_prompts import main
from tests.conftest import CATALOGUE, CREATED_AT
from tests.support.claude_model import SimulatedClaude
from tests.support.claude_server import ClaudeServer

OVERLOADED = ResponseProblem(ProblemKind.ERROR, "overloaded_error")
HELPS, USELESS = "Name every value, and no call that nothing needs.", "Be careful."
FIRST, SEED = 500, 7
NUMBER = {"graph": 12, "requests": 51}
"""Fresh requests per measurement; for the requests phase more, because ten requests are one API call."""


class Learner(SimulatedClaude):
    """Makes a mistake in every answer of a phase unless its prompt contains the note that helps."""

    def __init__(self, contexts: Iterable[RequestContext], phase: str) -> None:
        super().__init__(contexts)
        self._phase = phase

    def speak(self, body: dict[str, Any]) -> str:
        """The text of the answer to the body of an API call."""
        if body["output_config"]["format"]["schema"] == answer_schema("tuning"):
            return json.dumps({"notes": [USELESS, HELPS]})
        return super().text_for_body(body)

    def _text(self, request: LLMRequest) -> str:
        if request.phase == "tuning":
            return json.dumps({"notes": [USELESS, HELPS]})
        answer = json.loads(super()._text(request))
        if request.phase == self._phase and f"- {HELPS}" not in request.system:
            for item in answer["items"]:
                self._spoil(item, len(request.system))
        return json.dumps(answer)

    def _spoil(self, item: dict[str, Any], size: int) -> None:
        """Adds a needless call to a plan, or removes the values from a request; the words depend on the prompt."""
        if "calls" in item:
            item["calls"] += [{**item["calls"][0], "id": "call_9"}]
            return
        whole, item["text"] = item["text"], " ".join([*item["text"].split()[:3], f"{item['item']}-{size}"])
        if whole in self._plans:
            self._plans[item["text"]] = self._plans[whole]


def learner(library: Domain, validator: TraceValidator, phase: str) -> Learner:
    """A model that knows the contexts of all tasks that the test may use."""
    oracle = ClaudeOracle(blocking_client(SimulatedClaude([])), validator, seed=SEED, created_at=CREATED_AT)
    return Learner((oracle.request_context(Task(library, "validation", at)) for at in count(FIRST)), phase)


# --- the experiments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [*INTRODUCTIONS])
def test_only_what_wins_is_kept(library: Domain, validator: TraceValidator, phase: str) -> None:
    """The useless note is not kept; the one that helps is kept with its pass rates, and the notes get a new version."""
    model = learner(library, validator, phase)
    asked = blocking_client(model)
    oracle = ClaudeOracle(asked, validator, seed=SEED, created_at=CREATED_AT)
    tuning = PromptTuner(oracle, asked, validator, library, phase, first_index=FIRST)
    notes = PromptNotes(version=3, notes={"judgement": ["Be fair."], phase: ["Speak."]}, measured=["earlier"])
    tuned, experiments = tuning.run_experiments(notes, NUMBER[phase] + 10, 2)
    assert [(each.phase, each.note, each.is_kept) for each in experiments] == [
        (phase, USELESS, False),
        (phase, HELPS, True),
    ]
    assert tuned == PromptNotes(
        version=4,
        notes={"judgement": ["Be fair."], phase: ["Speak.", HELPS]},
        measured=["earlier", str(experiments[1])],
    )
    assert experiments[1].before == 0.0
    assert experiments[1].after > 0.8
    assert experiments[1].threshold == pytest.approx(0.05 / 4)
    assert all("- Speak." in request.system for request in model.requests if request.phase in (phase, "tuning"))


def test_the_prompt_for_notes_shows_rejections(library: Domain, validator: TraceValidator) -> None:
    """The request for notes shows the prompt, the requests with their first findings, and the count of each finding."""
    model = learner(library, validator, "graph")
    oracle = ClaudeOracle(blocking_client(model), validator, seed=SEED, created_at=CREATED_AT)
    tuning = PromptTuner(oracle, blocking_client(model), validator, library, first_index=FIRST)
    tuning.run_experiments(PromptNotes(version=1), 12, 1)
    (request,) = (request for request in model.requests if request.phase == "tuning")
    assert request.system == oracle.prompts_of(library).system_prompts["graph"]
    assert request.user.startswith("Plans by these instructions were rejected for:\n- ")
    assert " -> no_call_can_be_dropped: call_9 (library.list_loans) can be dropped: " in request.user
    assert 'In all: {"no_call_can_be_dropped": ' in request.user


def test_requests_that_copy_each_other_are_no_gain(library: Domain, validator: TraceValidator) -> None:
    """A note that makes all requests near-copies does not raise the pass rate."""
    model = learner(library, validator, "graph")
    oracle = ClaudeOracle(blocking_client(model), validator, seed=SEED, created_at=CREATED_AT)
    tuning = PromptTuner(oracle, blocking_client(model), validator, library, "requests", first_index=FIRST)
    tasks = [Task(library, "validation", FIRST + 1) for _ in range(3)]
    measured = tuning.measure(oracle.prompts_of(library).with_notes("graph", [HELPS]), tasks)
    assert measured.gold == (True, False, False)
    assert {each.finding.partition(":")[0] for each in measured.rejected} == {"near_copy"}


def test_what_got_no_answer_is_not_measured(library: Domain, validator: TraceValidator) -> None:
    """A failed API call says nothing about a prompt, so the run stops; the same command continues it."""

    class Silent:
        def complete(self, requests: list[LLMRequest]) -> list[LLMResponse]:
            return [LLMResponse(request.work_id, None, OVERLOADED, Usage(), 0.0) for request in requests]

    oracle = ClaudeOracle(Silent(), validator, seed=SEED, created_at=CREATED_AT)
    with pytest.raises(
        OracleError, match=r"2 of 2 requests got no response \(error:overloaded_error\), so nothing can be"
    ):
        PromptTuner(oracle, Silent(), validator, library, first_index=FIRST).run_experiments(
            PromptNotes(version=1), 20, 1
        )


# --- luck ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gains", "chance"),
    [
        ([0, 0, 0, 0], 1.0),
        ([0, 0, 0, 1], 1 / 2),
        ([0, 1, 1, 1, 1, 1, 0], 1 / 32),
        ([-1, 1, 1, 1], 5 / 16),
        ([10, 8, -3], 2 / 8),
        ([10, 0], 1 / 2),
    ],
)
def test_luck_counts_what_differs(gains: list[int], chance: float) -> None:
    """With gains of +1 or -1 this is a sign test; gains of 0 have no effect, and larger gains count more."""
    assert sign_test_p_value(gains) == pytest.approx(chance)


@pytest.mark.parametrize("sizes", [(1,) * 10, (10,) * 10, (1, 2, 3, 4, 5, 6, 7, 8, 9, 10), (0, 0, 3, 3, 3, 9, 9, 9)])
def test_luck_is_honest(sizes: tuple[int, ...]) -> None:
    """If the sign of each gain is random, p-values of at most p occur with a probability of at most p."""
    chances = [
        sign_test_p_value([size * sign for size, sign in zip(sizes, signs, strict=True)])
        for signs in _tosses(len(sizes))
    ]
    for level in (0.01, 0.025, 0.05, 0.2, 0.5):
        assert sum(chance <= level for chance in chances) / len(chances) <= level


def _tosses(calls: int) -> Iterator[tuple[int, ...]]:
    return product((1, -1), repeat=calls)


def test_a_win_must_be_clearer_the_more_is_tried() -> None:
    """A p-value of 2 % is enough among two experiments, not among four; a note without a gain is never kept."""
    experiment = NoteExperiment("graph", "Speak.", 0.5, 0.7, 0.02, 0.05 / 2)
    assert experiment.is_kept
    assert str(experiment) == "graph, kept: 50.0% -> 70.0% (p-value 2.00%, threshold 2.50%): Speak."
    assert not NoteExperiment("graph", "Speak.", 0.5, 0.7, 0.02, 0.05 / 4).is_kept
    notes = PromptNotes(version=1)
    assert add_kept_notes(notes, [NoteExperiment("graph", "Speak.", 0.5, 0.7, 0.02, 0.05 / 4)]) == notes


# --- the command -----------------------------------------------------------------------------------------------


class Place:
    """A folder to run the command in, against a server with a learner behind it."""

    def __init__(self, folder: Path, server: ClaudeServer, phase: str) -> None:
        self.notes, self.ledger, self.server, self.phase = folder / "notes", folder / "l.db", server, phase
        self.notes.mkdir()

    def run(self, *more: str) -> int:
        """Runs the command as a user would."""
        fixed = ["library", "--catalogue", str(CATALOGUE), "--folder", str(self.notes), "--ledger", str(self.ledger)]
        fixed += ["--phase", self.phase, "--requests", str(NUMBER[self.phase]), "--first", str(FIRST)]
        return main([*fixed, *more])

    def files(self) -> dict[str, str]:
        """The files in the folder of the notes, including hidden ones."""
        return {path.name: path.read_text() for path in self.notes.iterdir()}

    def spent(self) -> dict[str, int]:
        """Answers in the ledger, by phase."""
        with Ledger(self.ledger) as ledger:
            return {each.phase: each.responses for each in ledger.spending()}


@pytest.fixture
def phase() -> str:
    """The phase whose prompt is tuned, unless a test sets another one."""
    return "graph"


@pytest.fixture
def place(
    phase: str, library: Domain, validator: TraceValidator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """A folder and a server for the command."""
    model = learner(library, validator, phase)
    with ClaudeServer(answer=model.speak) as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", next(iter(server.keys)))
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        yield Place(tmp_path, server, phase)


@pytest.mark.parametrize("phase", [*INTRODUCTIONS])
def test_the_command_keeps_what_wins(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """The notes file holds the note that helps and its effect; all is booked; no response is paid for again."""
    place.server.next("messages", "ok", "lost", "ok", "500")
    assert place.run() == 0
    printed = capsys.readouterr()
    kept = notes_of("library", place.notes)
    assert (kept.version, kept.notes) == (2, {place.phase: [HELPS]})
    assert len(kept.measured) == 1
    assert kept.measured[0].startswith(f"{place.phase}, kept: ")
    assert kept.measured[0] in printed.out
    assert f"{place.phase}, not kept: " in printed.out
    assert "notes-library.yaml is now at version 2\n" in printed.out
    assert "round 1 of 1: with" in printed.err
    with Ledger(place.ledger) as ledger:
        assert ledger.booked_usd == pytest.approx(place.server.delivered_usd, abs=1e-9)
    bill, files = place.server.bill_usd, place.files()
    (place.notes / "notes-library.yaml").unlink()
    assert place.run() == 0
    assert (place.server.bill_usd, place.files()) == (bill, files)
    assert list(files) == ["notes-library.yaml"]


@pytest.mark.parametrize("phase", [*INTRODUCTIONS])
def test_an_estimate_equals_what_the_run_sends(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An estimate needs no key and sends nothing; the run sends as many calls of each phase and costs about as much."""
    with monkeypatch.context() as without_key:
        without_key.delenv("ANTHROPIC_API_KEY")
        assert place.run("--estimate") == 0
    assert place.server.calls["messages"] == 0
    assert not place.ledger.exists()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert place.run() == 0
    assert {row[0]: int(row[1]) for row in rows[:-1]} == place.spent()
    assert float(rows[-1][-1]) == pytest.approx(place.server.delivered_usd, rel=0.5)


def test_a_budget_leaves_the_notes_as_they_were(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """The run stops before it can exceed the budget; with a larger budget the same command continues it."""
    path = place.notes / "notes-library.yaml"
    path.write_text("version: 5\nnotes: {}\n")
    before = place.files()
    assert place.run("--max-cost-usd", "0.01") == 1
    assert "budget of $0.0100 reached" in capsys.readouterr().err
    assert 0 < place.server.bill_usd <= 0.01
    assert place.files() == before
    assert place.run() == 0
    assert notes_of("library", place.notes).version == 6


def test_ctrl_c_leaves_the_notes_as_they_were(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Whenever the run is interrupted, no file or part of a file is written; the same command continues the run."""
    speak, left = place.server.answer, [30]

    def interrupted(body: dict[str, Any]) -> str:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return speak(body)

    place.server.answer = interrupted
    assert place.run() == 130
    assert "run the same command again to continue" in capsys.readouterr().err
    assert place.files() == {}
    assert place.spent()
    assert place.run() == 0
    assert notes_of("library", place.notes).notes == {place.phase: [HELPS]}


def test_batches_serve_as_well(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run gives the same notes through message batches."""
    monkeypatch.setattr(connect_module, "BatchesClient", partial(BatchesClient, poll_seconds=0.02))
    monkeypatch.setattr(connect_module, "MIN_BATCH_SIZE", 1)
    assert place.run("--batch") == 0
    assert notes_of("library", place.notes).notes == {place.phase: [HELPS]}
    assert place.server.calls["messages"] == 0 < place.server.calls["create"]
    with Ledger(place.ledger) as ledger:
        assert ledger.booked_usd == pytest.approx(place.server.delivered_usd, abs=1e-9)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If replacing the old file fails, the new file is removed and the old one is unchanged."""

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "notes.yaml"
    path.write_text("old")
    monkeypatch.setattr(Path, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        replace_file(path, "new")
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"notes.yaml": "old"}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["--requests", "0"], "--requests and --rounds must be at least 1, --first at least 0"),
        (["--first", "-1"], "--requests and --rounds must be at least 1, --first at least 0"),
        (
            ["--requests", "5"],
            "5 requests are too few to show that a note helps; with 1 round use --requests 6 or more",
        ),
        (["--phase", "requests", "--requests", "60", "--rounds", "2"], "with 2 rounds use --requests 61 or more"),
        (["--folder", "nowhere"], "--folder nowhere is not a folder; name one to write the notes to"),
        (["--model", "claude-haiku-5-6"], "no price of model 'claude-haiku-5-6'"),
    ],
)
def test_wrong_arguments_are_refused(
    wrong: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A mistake gives a clear error and an exit status before anything is sent."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    fixed = ["library", "--catalogue", str(CATALOGUE), "--folder", str(tmp_path), "--ledger", str(tmp_path / "l.db")]
    assert main([*fixed, *wrong]) == 1
    assert says in capsys.readouterr().err
    assert main(["libary", *fixed[1:]]) == 1
    assert "no domain named 'libary'; did you mean" in capsys.readouterr().err


def test_a_phase_that_cannot_be_tuned_is_refused(library: Domain, validator: TraceValidator) -> None:
    """The command shows its usage; the class lists the phases that can be tuned."""
    with pytest.raises(SystemExit, match="2"):
        main(["library", "--phase", "judgement"])
    oracle = ClaudeOracle(blocking_client(SimulatedClaude([])), validator, seed=SEED, created_at=CREATED_AT)
    with pytest.raises(OracleError, match="'judgement' cannot be tuned; known are graph, requests"):
        PromptTuner(oracle, blocking_client(SimulatedClaude([])), validator, library, "judgement", first_index=0)


def test_a_dry_run_needs_examples(library: Domain, validator: TraceValidator) -> None:
    """A domain whose scenarios give no gold trace must be corrected before its prompts are tuned."""
    phases = (
        ClaudeOracle(blocking_client(SimulatedClaude([])), validator, seed=SEED, created_at=CREATED_AT)
        .prompts_of(library)
        .with_notes("graph", [])
    )
    phases.examples = []
    with pytest.raises(OracleError, match="library: no trace of its scenarios is gold"):
        DryRun(phases, 10)
