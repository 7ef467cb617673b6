"""Claude writes catalogue data: only proven candidates are inserted, and the rest of the domain file is unchanged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gatling_sid.errors import OracleError
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.claude.authoring import rules
from gatling_sid.oracle.claude.authoring.author import Author, AuthoringResult, ContentKind, KeptCandidate
from gatling_sid.oracle.claude.authoring.edits import replace_file
from gatling_sid.oracle.claude.authoring.phrasings import PhrasingsKind
from gatling_sid.oracle.claude.authoring.rules import RulesKind
from gatling_sid.oracle.claude.authoring.scenarios import ScenariosKind
from gatling_sid.oracle.claude.authoring.trial import CandidateDomain
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, LLMResponse, Usage
from gatling_sid.oracle.claude.prompts.answer_schemas import answer_schema
from gatling_sid.scenarios.schedule import split_capacity
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.yaml_loading import load_yaml
from gatling_sid.validators import TraceValidator
from scripts.author_domain import main
from tests.conftest import CATALOGUE
from tests.support.claude_model import APPROVAL
from tests.support.claude_server import ClaudeServer

GOOD = "[Somebody|A reader|Someone|A boy] would [like|love] {title}, {state:out just now}, until {date}[: do it|, so do it|]."
ALSO_GOOD = "[Move|Shift|Set|Put] the return of {title} to {date}; it [sits|lies] there, {state:not yet back}[ of course| still|]."


AGREES = {"exact": True, "why": "It does."}
UNFAVOURABLE = {
    "judgement": {**APPROVAL, "serves_request": False, "why": "Other books."},
    "agreement": {"exact": False, "why": "Less."},
}
PIECES: Any = load_yaml(Path(__file__).with_name("authored.yaml"))


class ScriptedClient:
    """Gives these answers in turn and then repeats the last one; all its judgements are favourable or `is_unfavourable`."""

    def __init__(self, *texts: str, is_unfavourable: bool = False) -> None:
        self.texts = list(texts)
        self.is_unfavourable = is_unfavourable
        self.requests: list[LLMRequest] = []

    def complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        """Returns one response per request, in the same order."""
        self.requests += requests
        return [LLMResponse(request.work_id, self._text(request), None, Usage(10, 10), 0.002) for request in requests]

    def _text(self, request: LLMRequest) -> str:
        judgements = UNFAVOURABLE if self.is_unfavourable else {"judgement": APPROVAL, "agreement": AGREES}
        if request.phase in judgements:
            return json.dumps(judgements[request.phase])
        return self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]


def phrasings_answer(*phrasings: str) -> str:
    """An answer of the phrasing phase."""
    return json.dumps({"phrasings": phrasings})


def scenario_answer(replace: dict[str, str] | None = None) -> str:
    """An answer of the scenario phase: the good one, edited."""
    content = PIECES["scenario"]["content"]
    for old, new in (replace or {}).items():
        assert old in content
        content = content.replace(old, new, 1)
    return json.dumps({"name": PIECES["scenario"]["name"], "scenario_yaml": content})


def rule_answer(piece: dict[str, Any], edit: dict[str, Any] | None = None) -> str:
    """An answer of the rule phase: a good one, edited."""
    rule = {**piece, **(edit or {})}
    values, parameters = rule.pop("values"), rule.pop("parameters")
    return json.dumps({
        **rule, "parameters_json": json.dumps(parameters), "axis_values_json": json.dumps(values) if values else "",
    })  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A copy of the small domain's file, to be edited."""
    return Path(shutil.copy(CATALOGUE / "library.yaml", tmp_path))


MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def author_of(path: Path) -> Author:
    """An author of the file at this path."""
    return Author(path.name, path.read_text(), TraceValidator, model="m", created_at=MOMENT)


def authored(path: Path, *phrasings: str, is_unfavourable: bool = False) -> AuthoringResult:
    """The result of these candidates for the scenario `renew`."""
    client = ScriptedClient(phrasings_answer(*phrasings), is_unfavourable=is_unfavourable)
    return author_of(path).author(client, PhrasingsKind(len(phrasings), ["renew"]))


def registry_with(path: Path, text: str) -> DomainRegistry:
    """The catalogue after the text has been written to the file."""
    replace_file(path, text)
    return DomainRegistry(path.parent)


def test_proven_phrasings_are_kept(path: Path) -> None:
    """Good candidates stand before the others, with source and cost; the rest of the file stays the same to the byte."""
    before = path.read_text()
    result = authored(path, GOOD, ALSO_GOOD)
    assert [each.text for each in result.kept] == [GOOD, ALSO_GOOD], result.rejected
    assert result.kept[0] == KeptCandidate("renew", GOOD, 0.003)
    assert result.cost_usd == 0.006
    assert path.read_text() == before
    replace_file(path, result.text)
    added = [line for line in result.text.splitlines() if line not in before.splitlines()]
    assert added == [
        "      # m, round 0, $0.003000",
        f"      - {json.dumps(ALSO_GOOD)}",
        "      # m, round 0, $0.003000",
        f"      - {json.dumps(GOOD)}",
    ]
    assert [line for line in result.text.splitlines() if line not in added] == before.splitlines()
    old, new = DomainRegistry(CATALOGUE).domain("library"), DomainRegistry(path.parent).domain("library")
    assert new.file.scenarios["renew"].phrasings == [ALSO_GOOD, GOOD, *old.file.scenarios["renew"].phrasings]
    assert new.digest != old.digest
    assert split_capacity(new, "train") >= split_capacity(old, "train")


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        ("[a|b] {title", "notation: unmatched {, }, [, ] or | in ' {title'"),
        ("[a|a] {title} {state:out x} {date}", "notation: [a|a] needs two or more alternatives that differ"),
        ("Renew {title}, {state:held}, to {date}.", "alternatives: they make 1 texts; at least 24 are needed"),
        (GOOD.replace("{date}", "some day"), "does not always state date"),
        (GOOD.replace("{state:out just now}", "now"), "does not always state state"),
        (GOOD.replace("[: do it|, so do it|]", "[ {who}| x|]"), "no slot named 'who'"),
        (GOOD.replace("{title}", "{title:Low Tide}"), "slot title varies, so its wording cannot be fixed"),
        (
            GOOD.replace("{state:out just now}", "{state:overdue}"),
            "'overdue' means both 'out' and 'overdue'; use another wording for one of them",
        ),
        (GOOD.replace("would", "would "), "a superfluous blank"),
        (GOOD.replace("Somebody", "Some\u200bbody"), "notation: '[Some\\u200bbody|A reader"),
        (GOOD.replace("Somebody", "Some\ud83dbody"), "notation: '[Some\\ud83dbody|A reader"),
    ],
)
def test_what_cannot_be_proven_is_dropped(path: Path, candidate: str, reason: str) -> None:
    """Each kind of mistake in a phrasing has its own reason."""
    result = authored(path, candidate)
    assert result.kept == []
    assert reason in result.rejected[0].reason
    assert result.text == path.read_text()


def test_near_copies_are_dropped(path: Path) -> None:
    """A candidate that equals another, or changes one word of it, is rejected."""
    result = authored(path, GOOD, GOOD.replace("Somebody", "Anybody"), GOOD)
    assert [each.text for each in result.kept] == [GOOD]
    assert [each.reason.partition(":")[0] for each in result.rejected] == ["near-copy"]


def test_a_phrasing_whose_traces_fail_is_dropped(path: Path) -> None:
    """If the validator finds anything wrong with a trace, the phrasing is rejected."""

    class Never(TraceValidator):
        def findings(self, trace: object) -> list[object]:  # type: ignore[override]
            return [f"no: {type(trace).__name__}"]

    author = Author(path.name, path.read_text(), Never, model="m", created_at=MOMENT)  # type: ignore[arg-type]
    result = author.author(ScriptedClient(phrasings_answer(GOOD)), PhrasingsKind(1, ["renew"]))
    assert result.kept == []
    assert result.rejected[0].reason.startswith("proof: ")


def test_an_answer_that_cannot_be_read_drops_the_scenario(path: Path) -> None:
    """It is counted as rejected, and the other candidates are still judged."""
    result = author_of(path).author(ScriptedClient("sorry"), PhrasingsKind(3, ["renew", "remind"]))
    assert [each.subject for each in result.rejected] == ["renew", "remind"]
    assert result.text == path.read_text()


def test_requests_say_all_that_a_writer_needs(path: Path) -> None:
    """Slots, fixed words in use, the plan and the phrasings there are; another round is another request."""
    author, renew = author_of(path), PhrasingsKind(2, ["renew"])
    (request,) = author.first_requests(renew)
    for part in ("{title}", "{date}", "fixed, means 'out'", "on loan", "renew_loan", "Write 2 new ones:"):
        assert part in request.user
    assert request.phase == "phrasing"
    assert (
        request.work_id
        == author_of(path).first_requests(renew)[0].work_id
        != author.first_requests(renew, 1)[0].work_id
    )
    with pytest.raises(OracleError, match="library has no scenario 'renewal'; it has overdue_of_member"):
        author.first_requests(PhrasingsKind(1, ["renewal"]))


def test_claude_is_shown_a_trace_of_the_very_phrasing(path: Path) -> None:
    """Each phrasing is judged with a trace that is worded with it."""
    client = ScriptedClient(phrasings_answer(GOOD, ALSO_GOOD))
    author_of(path).author(client, PhrasingsKind(2, ["renew"]))
    shown = [request.user for request in client.requests if request.phase == "judgement"]
    assert ["out just now" in each for each in shown] == [True, False]
    assert ["not yet back" in each for each in shown] == [False, True]


def test_what_claude_objects_to_is_dropped(path: Path) -> None:
    """A proven phrasing is rejected too if Claude's judgement of its trace is unfavourable."""
    result = authored(path, GOOD, ALSO_GOOD, is_unfavourable=True)
    assert [each.reason for each in result.rejected] == ["judgement: Other books."] * 2
    assert (result.text, result.kept, result.cost_usd) == (path.read_text(), [], 0.006)


# --- scenarios -------------------------------------------------------------------------------------------------


def test_a_proven_scenario_is_kept(path: Path) -> None:
    """It is the last scenario, with source and cost; the rest of the file is unchanged; its traces are gold."""
    before = path.read_text()
    client = ScriptedClient(scenario_answer())
    result = author_of(path).author(client, ScenariosKind(1), round_=3)
    assert result.rejected == []
    assert [each.subject for each in result.kept] == ["1"]
    assert result.kept[0].cost_usd == pytest.approx(0.008)  # one answer, and three looks at traces
    assert result.text.startswith(before)
    assert "  # m, round 3, $0.008000\n  newest_returned:\n    intent: retrieve\n" in result.text
    registry = registry_with(path, result.text)
    scenario = registry.domain("library").file.scenarios["newest_returned"]
    assert len(scenario.phrasings) == 10
    trial = CandidateDomain(registry.domain("library"), TraceValidator(registry), MOMENT)
    traces = [trace for _, trace in zip(range(40), trial.traces("newest_returned"), strict=False)]
    assert not any(map(trial.find_problem_in_proposal, traces))
    assert len({trace.request.text for trace in traces if isinstance(trace, GoldTrace)}) == 40


@pytest.mark.parametrize("case", PIECES["scenario"]["wrong"], ids=lambda case: case["reason"][:40])
def test_a_scenario_that_does_not_hold_is_dropped(path: Path, case: dict[str, Any]) -> None:
    """Each kind of mistake in a scenario has its own reason, and is sent back to be repaired twice."""
    client = ScriptedClient(scenario_answer(case["replace"]))
    result = author_of(path).author(client, ScenariosKind(1))
    assert (result.kept, result.text) == ([], path.read_text())
    assert len(result.rejected) == 3
    assert result.rejected[0].reason.startswith(case["reason"]), result.rejected[0].reason
    assert [f"It was rejected: {result.rejected[0].reason}" in request.user for request in client.requests] == [
        False,
        True,
        True,
    ]


def test_a_repaired_scenario_is_kept(path: Path) -> None:
    """The second answer is used; the cost of the first one is part of the round's cost."""
    wrong, good = scenario_answer(PIECES["scenario"]["wrong"][0]["replace"]), scenario_answer()
    result = author_of(path).author(ScriptedClient(wrong, good), ScenariosKind(1))
    assert len(result.kept) == len(result.rejected) == 1
    assert result.cost_usd == pytest.approx(0.010)


def test_the_same_scenario_is_not_kept_twice(path: Path) -> None:
    """A copy is rejected, whether it has the same name or another."""
    answer = json.loads(scenario_answer())
    other = json.dumps({"name": "latest", "scenario_yaml": answer["scenario_yaml"].replace('- "', '- "Well, ')})
    result = author_of(path).author(ScriptedClient(scenario_answer(), scenario_answer(), other), ScenariosKind(3))
    assert len(result.kept) == 1
    assert {each.reason.partition(":")[0] for each in result.rejected} <= {"catalogue", "copy"}
    assert any("does what newest_returned does" in each.reason for each in result.rejected)


# --- rules -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", ["good", "also_good"])
def test_a_proven_rule_is_kept(path: Path, piece: str) -> None:
    """Sentence, constraint and axis stand in the file, with source and cost; policies differ by them."""
    rule = PIECES["rule"][piece]
    before = DomainRegistry(path.parent).domain("library")
    result = author_of(path).author(ScriptedClient(rule_answer(rule)), RulesKind(1))
    assert result.rejected == []
    library = registry_with(path, result.text).domain("library")
    added = library.file.policy.rules[rule["name"]]
    assert (added.says, added.kind, added.parameters, added.sometimes) == (
        rule["says"], rule["kind"], rule["parameters"], rule["sometimes"],
    )  # fmt: skip
    assert library.family.default_policy.constraints[-1].constraint_id == rule["name"]
    assert len(library.family.axis_sizes) == len(before.family.axis_sizes) + bool(rule["axis"]) + rule["sometimes"]
    assert result.text.count("# m, round 0, $0.004000") == 1 + bool(rule["axis"])


@pytest.mark.parametrize("case", PIECES["rule"]["wrong"], ids=lambda case: str(case["edit"])[:60])
def test_a_rule_that_does_not_hold_is_dropped(
    path: Path, case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule is rejected if it forbids what people ask for, forbids nothing, is malformed, or already exists."""
    monkeypatch.setattr(rules, "_MAX_SEARCHED_TRACES", 100)
    result = author_of(path).author(ScriptedClient(rule_answer(PIECES["rule"]["good"], case["edit"])), RulesKind(1))
    assert (result.kept, result.text) == ([], path.read_text())
    assert result.rejected[0].reason.startswith(case["reason"]), result.rejected[0].reason


# Half of a character, which JSON can contain.
LONE = "\ud83d"
DEEP: Any = json.loads("[" * 200 + "]" * 200)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        ({"values": [9, LONE]}, "notation: '\\ud83d' contains invisible or control characters"),
        ({"says": f"Librarians list {LONE} loans."}, "bad_answer: says: "),
        ({"kind": LONE}, "kind: there is no kind '\\ud83d' of constraint"),
        ({"parameters": {LONE: 1}}, "notation: '\\ud83d' contains"),
        ({"parameters": {"roles": DEEP}}, "notation: it is nested more than 24 deep"),
    ],
)
def test_an_odd_rule_is_dropped(path: Path, edit: dict[str, Any], reason: str) -> None:
    """A rule that cannot be written to a file is rejected with a reason, and can be repaired."""
    client = ScriptedClient(rule_answer(PIECES["rule"]["good"], edit))
    result = author_of(path).author(client, RulesKind(1))
    assert (result.kept, result.text) == ([], path.read_text())
    assert result.rejected[0].reason.startswith(reason), result.rejected[0].reason
    assert all(request.user.encode() for request in client.requests)


@pytest.mark.parametrize(
    "edit", [{"The trolley": f"The {LONE} trolley"}, {"[2, 10]": f"[2, {'9' * 5000}]"}, {"[2, 10]": str(DEEP)}]
)
def test_an_odd_scenario_is_dropped(path: Path, edit: dict[str, str]) -> None:
    """Half a character, a number with too many digits and deeply nested lists are rejected with a reason."""
    client = ScriptedClient(scenario_answer(edit))
    result = author_of(path).author(client, ScenariosKind(1))
    assert (result.kept, result.text) == ([], path.read_text())
    assert {each.reason.partition(":")[0] for each in result.rejected} <= {"notation", "bad_answer"}
    assert all(request.user.encode() for request in client.requests)


def test_a_sentence_that_says_something_else_is_dropped(path: Path) -> None:
    """A sentence that does not match its constraint is found by Claude's judgement."""
    result = author_of(path).author(
        ScriptedClient(rule_answer(PIECES["rule"]["good"]), is_unfavourable=True), RulesKind(1)
    )
    assert [each.reason for each in result.rejected] == ["judgement: Less."]


@pytest.mark.parametrize(
    "kind", [PhrasingsKind(2), ScenariosKind(2), RulesKind(2)], ids=["phrasings", "scenarios", "rules"]
)
def test_requests_depend_only_on_the_round_and_the_file(path: Path, kind: ContentKind[Any]) -> None:
    """The same round sends the same requests, another round sends others; every prompt is long enough to be cached."""
    requests = author_of(path).first_requests(kind)
    assert requests == author_of(path).first_requests(kind)
    assert not {request.work_id for request in requests} & {
        request.work_id for request in author_of(path).first_requests(kind, 1)
    }
    assert all("@" not in request.system.replace("@elm.example", "") for request in requests)
    assert all(len(request.system) > 3000 for request in requests)


# --- the command -----------------------------------------------------------------------------------------------


def test_the_command_writes_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the real client the command writes what is proven; a dry run writes nothing, a second run pays nothing."""

    def answer(body: dict[str, Any]) -> str:
        answers = {"judgement": json.dumps(APPROVAL), "agreement": json.dumps(AGREES), "rule": rule}
        schema = body["output_config"]["format"]["schema"]
        phase = next((each for each in answers if answer_schema(each) == schema), "")
        return answers.get(phase, phrasings_answer(GOOD, "bad"))

    rule = rule_answer(PIECES["rule"]["good"])
    with ClaudeServer(answer=answer, faults={"500": 0.2}) as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", next(iter(server.keys)))
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        before = path.read_text()
        fixed = [
            "library",
            "--catalogue",
            str(path.parent),
            "--phrasings",
            "2",
            "--of",
            "renew",
            "--rules",
            "1",
            "--ledger",
            str(path.parent / "l.db"),
        ]
        assert main([*fixed, "--estimate"]) == 0
        assert server.bill_usd == 0
        assert main([*fixed, "--no-write"]) == 0
        bill = server.bill_usd
        assert path.read_text() == before
        assert main(fixed) == 0
        assert server.bill_usd == bill > 0
    library = DomainRegistry(path.parent).domain("library")
    assert library.file.scenarios["renew"].phrasings[0] == GOOD
    assert list(library.file.policy.rules)[-1] == "short_lists"
    printed = capsys.readouterr().out
    assert "1 of 2 kept" in printed
    assert "rejected for alternatives: 1" in printed
