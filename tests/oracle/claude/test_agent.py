"""The whole line with Claude as oracle: what is gold, what is mended, what is given up, and what it cost."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatling_sid.agent import domain_report
from gatling_sid.digests import judged_digest
from gatling_sid.errors import OracleError
from gatling_sid.generator import Rejection, generate
from gatling_sid.models import GoldTrace
from gatling_sid.oracle import OracleAgent
from gatling_sid.oracle.claude.messages.api_format import DEFAULT_MODEL
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest
from gatling_sid.oracle.claude.plans.request_context import RequestContext
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import Domain
from gatling_sid.validators import TraceValidator
from tests.support.claude_model import APPROVAL, Model, Spoils, settings_of


class Played:
    """An agent and the model it talks to."""

    def __init__(self, registry: DomainRegistry, spoils: Spoils, **options: object) -> None:
        self.registry = registry
        self.model = Model(self._settings(), spoils)
        self.agent = OracleAgent(registry=registry, client=self.model, **options)  # type: ignore[arg-type]

    def _settings(self) -> Iterator[RequestContext]:
        library = self.registry.domain("library")
        yield from settings_of(self.agent.oracle(), [Task(library, "train", index) for index in range(80)])

    def made(self, number: int) -> list[GoldTrace]:
        """Traces of the small domain."""
        return self.agent.generate_traces_for_domain("Library", number)


def play(registry: DomainRegistry, spoils: Spoils = lambda _ask, _text: None, **options: object) -> Played:
    """An agent whose model answers well but for what `spoils` says."""
    return Played(registry, spoils, **options)


def is_repair(ask: LLMRequest) -> bool:
    """Whether a graph ask comes with findings."""
    return ask.phase == "graph" and "It was rejected:" in ask.user


@pytest.fixture
def without_key(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An environment that holds no key."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    return


@pytest.mark.usefixtures("without_key")
def test_no_key_is_a_clear_error() -> None:
    """The error names the variable and the oracle that needs no key."""
    with pytest.raises(OracleError) as caught:
        OracleAgent()
    assert str(caught.value) == (
        "no API key: set ANTHROPIC_API_KEY or pass OracleAgent(api_key=…). The embedded oracle needs none: "
        "gatling_sid.oracle.ScenarioOracle, or scripts.generate_shards --oracle scenario"
    )


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("from gatling_sid.oracle import ScenarioOracle; import scripts.generate_shards", "anthropic"),
        ("import gatling_sid.oracle.claude.oracle", "gatling_sid.validators"),
    ],
)
def test_nobody_pays_for_what_is_not_used(code: str, absent: str) -> None:
    """The embedded path never imports the API's client, and Claude's oracle depends on no validator."""
    check = (
        f"import sys; {code}; assert not [m for m in sys.modules if m.split('.')[0] == {absent!r} or m == {absent!r}]"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_a_competent_model_makes_gold(registry: DomainRegistry, validator: TraceValidator) -> None:
    """Every trace is gold to a validator of our own, is marked so, and is judged by Claude as well."""
    played = play(registry)
    traces = played.made(30)
    assert len(traces) == 30
    for trace in traces:
        assert trace.validated
        assert validator.validate_trace(trace)[1]["validated"]
        verdict = {"judge": DEFAULT_MODEL, "favourable": 1, "of": 1, "digest": judged_digest(trace)}
        assert trace.metadata["verdict"] == verdict
    assert len({trace.request.text for trace in traces}) == 30
    told = played.agent.reports["Library"]
    assert (told.tasks, told.gold_at_once, told.gold_mended, told.gold) == (30, 30, 30, 30)
    assert told.rejected_by == {}
    assert played.model.phases() == {"requests": 3, "graph": 30, "judgement": 30}
    assert told.cost_usd == pytest.approx(0.063)
    assert str(told) == "Library: 30 of 30, raw pass rate 100.0%, after repair 100.0%, $0.002100 a trace"


def test_the_same_agent_again_asks_the_same(registry: DomainRegistry) -> None:
    """Asks depend on settings alone, so a ledger answers all of a second run."""
    first, second = play(registry), play(registry)
    assert first.made(20) == second.made(20)
    assert [ask.work_id for ask in first.model.asked] == [ask.work_id for ask in second.model.asked]
    assert len({ask.work_id for ask in first.model.asked}) == len(first.model.asked)
    other = play(registry, seed=8)
    other.made(20)
    assert not {ask.work_id for ask in other.model.asked} & {ask.work_id for ask in first.model.asked}


def extra_call(ask: LLMRequest, text: str) -> str | None:
    """A plan with a call that nothing needs."""
    if ask.phase != "graph" or is_repair(ask):
        return None
    content = json.loads(text)
    for item in content["items"]:
        extra = {"id": "call_9", "tool": "find_members", "arguments": [], "after": [], "rule": "", "quote": ""}
        item["calls"].append(extra)
    return json.dumps(content)


def test_rejected_plans_are_mended(registry: DomainRegistry) -> None:
    """The validator's findings go back to the model; what it mends is gold, and the raw pass rate stays what it was."""
    played = play(registry, extra_call)
    assert len(played.made(20)) == 20
    told = played.agent.reports["Library"]
    assert (told.gold_at_once, told.gold_mended, told.gold) == (0, 20, 20)
    assert sum(told.rejected_by.values()) == 20
    repairs = [ask for ask in played.model.asked if is_repair(ask)]
    assert len(repairs) == 20
    assert all("\n- " in ask.user and "call_9" in ask.user for ask in repairs)


def test_only_what_was_mended_counts_as_mended() -> None:
    """A request that was given up for another is gold in the end, not after repair."""
    reasons = [
        ("a", 0, "goal_is_met"),
        ("b", 0, "refusal:cyber"),
        ("c", 0, "x"),
        ("c", 1, "x"),
        ("c", 2, "x"),
        ("d", 0, "near_copy"),
    ]
    rejections = [Rejection(trace_id, attempt, "free_form", reason, "") for trace_id, attempt, reason in reasons]
    found = domain_report("Library", 6, 6, rejections, 0.12)
    assert (found.gold_at_once, found.gold_mended, found.gold) == (2, 3, 6)
    assert str(found).startswith("Library: 6 of 6, raw pass rate 33.3%, after repair 50.0%, $0.020000 a trace (x 3, ")


def test_an_incompetent_model_is_given_up(registry: DomainRegistry) -> None:
    """At most two repairs a request and twelve requests a task, nothing called valid, every rejection with its reason."""
    played = play(registry, lambda ask, _: '{"items": [{"item": 1}]}' if ask.phase == "graph" else None)
    assert played.made(3) == []
    told = played.agent.reports["Library"]
    assert told.rejected_by == {"bad_answer": 3 * 36}
    assert played.model.phases() == {"requests": 12, "graph": 3 * 36}


def test_a_run_in_vain_is_stopped(registry: DomainRegistry) -> None:
    """When most requests have to be given up, the run ends and says what was wrong with them."""
    played = play(registry, lambda ask, _: '{"items": [{"item": 1}]}' if ask.phase == "graph" else None)
    with pytest.raises(
        OracleError, match=r"Library: 94 of 134 requests had to be given up, the last for: bad_answer: "
    ):
        played.made(40)


def test_nothing_is_valid_that_the_judge_rejects(registry: DomainRegistry) -> None:
    """Claude's approval alone makes nothing gold."""
    played = play(registry, lambda ask, text: extra_call(ask, text) if not is_repair(ask) else '{"items": []}')
    assert played.made(3) == []
    assert played.model.phases()["judgement"] == 0


def test_what_is_refused_is_left_out(registry: DomainRegistry) -> None:
    """A refused item is counted by category, and asked neither again nor in other words: another is drawn."""
    refused: list[str] = []

    def refuses(ask: LLMRequest, _text: str) -> str | None:
        if ask.phase == "graph" and (not refused or ask.user == refused[0]):
            refused.append(ask.user)
            return "!refusal:cyber"
        return None

    played = play(registry, refuses)
    traces = played.made(10)
    told = played.agent.reports["Library"]
    assert (told.tasks, len(traces), told.rejected_by) == (10, 10, {"refusal:cyber": 1})
    assert len(refused) == 1
    said = next(line for line in refused[0].split("\n") if line.startswith("Request: "))
    assert not [trace for trace in traces if trace.request.text in said]


@pytest.mark.parametrize("phase", ["requests", "graph", "judgement"])
def test_no_task_is_given_up_for_want_of_an_answer(registry: DomainRegistry, phase: str) -> None:
    """If the API answers everything but one phase, the run stops instead of ending without traces."""
    played = play(registry, lambda ask, _: "!error:api_error" if ask.phase == phase else None)
    with pytest.raises(OracleError, match=r"with error:api_error.*; .* the same command goes on from there"):
        played.made(2)
    assert played.model.phases()[phase] <= 36


@pytest.mark.parametrize("phase", ["requests", "graph", "judgement"])
def test_what_was_not_answered_once_is_asked_again(registry: DomainRegistry, phase: str) -> None:
    """One ask in vain costs no trace, and nothing is mended for it."""
    failed: list[str] = []

    def fails_once(ask: LLMRequest, _text: str) -> str | None:
        if ask.phase == phase and not failed:
            failed.append(ask.work_id)
            return "!error:api_error"
        return None

    played = play(registry, fails_once)
    assert len(played.made(3)) == 3
    assert not [ask for ask in played.model.asked if is_repair(ask)]


def verdicts(*favourable: bool) -> Spoils:
    """A judge whose opinions follow each other like this."""
    opinions = iter(favourable)

    def spoils(ask: LLMRequest, _text: str) -> str | None:
        if ask.phase != "judgement":
            return None
        good = next(opinions, True)
        return json.dumps(APPROVAL if good else {**APPROVAL, "serves_request": False, "why": "Other books."})

    return spoils


@pytest.mark.parametrize(
    ("opinions", "rejected", "asked"),
    [((True,), {}, 1), ((False, True, True), {}, 3), ((False, False, True), {"judged": 1}, 3)],
)
def test_an_objection_needs_a_majority(
    registry: DomainRegistry, opinions: tuple[bool, ...], rejected: dict[str, int], asked: int
) -> None:
    """If Claude objects to what the judge found gold, two of three opinions count; then another request is drawn."""
    played = play(registry, verdicts(*opinions))
    assert len(played.made(1)) == 1
    assert played.agent.reports["Library"].rejected_by == rejected
    assert played.model.phases()["judgement"] == asked


@pytest.mark.parametrize("change", ["", "!", " please"])
def test_near_copies_are_drawn_anew(registry: DomainRegistry, change: str) -> None:
    """What says nearly the same as a finished trace is rejected, and another request takes its place."""
    tasks = [Task(registry.domain("library"), "train", index) for index in range(10)]
    first = generate(tasks, play(registry).agent.oracle(), TraceValidator(registry)).traces
    oracle = play(registry).agent.oracle()
    oracle.remember_texts([first[3].request.text + change, "Nobody says this."])
    made = generate(tasks, oracle, TraceValidator(registry))
    assert [each.request.text for each in made.traces[:3]] == [each.request.text for each in first[:3]]
    assert made.traces[3].request.text != first[3].request.text
    assert [(each.trace_id, each.reason) for each in made.rejections] == [("library_train_00000003", "near_copy")]
    assert len(made.traces) == 10


def test_phases_one_by_one(registry: DomainRegistry, library: Domain) -> None:
    """Requests, a graph for one of them, and a verdict of a trace can be had by themselves."""
    played = play(registry)
    requests = played.agent.generate_user_requests("Library", 5)
    assert [each.request_id for each in requests] == [f"library_train_{n:08d}_request" for n in range(5)]
    graph = played.agent.generate_tool_graph("library", requests[0])
    assert graph.validate_dag()
    assert graph.calls[0].argument_sources
    verdict = played.agent.validate_trace(played.made(1)[0])
    assert verdict.is_favourable
    with pytest.raises(LookupError, match="did you mean 'Library'"):
        played.agent.generate_user_requests("Libary", 1)
    assert library.name == "Library"


def test_traces_are_saved_as_json_lines(registry: DomainRegistry, tmp_path: Path) -> None:
    """One line a trace, its training format, read back equal; a file that cannot be written is an error."""
    played = play(registry)
    traces = played.made(3)
    path = played.agent.save_traces(traces, tmp_path / "deep" / "traces.jsonl")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [trace.to_training_format() for trace in traces]
    assert [GoldTrace.model_validate_json(line) for line in lines] == traces
    (tmp_path / "file").write_text("")
    with pytest.raises(OracleError, match="cannot be written"):
        played.agent.save_traces(traces, output_path=str(tmp_path / "file" / "traces.jsonl"))


def test_a_file_is_saved_whole_or_not_at_all(registry: DomainRegistry, gold: list[GoldTrace], tmp_path: Path) -> None:
    """What stops in the middle leaves the file that was there before, nothing beside it, and says which trace it was."""
    agent, path = play(registry).agent, tmp_path / "traces.jsonl"
    agent.save_traces(gold[:2], path)
    before = path.read_bytes()
    mute = gold[1].model_copy(update={"metadata": {"text": "\ud800"}})
    with pytest.raises(OracleError, match=f"^{mute.trace_id} cannot be written as JSON: .*surrogates"):
        agent.save_traces([gold[0], mute], path)
    with pytest.raises(OracleError, match=r"^number 2 of the traces to save is a str, not a GoldTrace$"):
        agent.save_traces([gold[0], "Finance"], path)  # type: ignore[list-item]
    with pytest.raises(ZeroDivisionError):
        agent.save_traces((gold[1 // (1 - number)] for number in range(2)), path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["traces.jsonl"]


@pytest.mark.parametrize(
    ("sample", "names"),
    [
        (None, ["Customer Support", "DevOps", "Email", "Finance", "HR", "Healthcare"]),
        (1, ["Customer Support"]),
        (3, ["Customer Support", "DevOps", "Email"]),
        (50, ["Customer Support", "DevOps", "Email", "Finance", "HR", "Healthcare"]),
        (["HR", "devops", "hr"], ["DevOps", "HR"]),
        (("HR",), ["HR"]),
        ({"HR", "Email", "DevOps"}, ["DevOps", "Email", "HR"]),
    ],
    ids=["all", "one", "three", "more", "list", "tuple", "set"],
)
def test_domains_are_sampled_by_number_or_name(sample: Any, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A number takes the first domains, names take those, always in the order of the names and each once."""
    agent = OracleAgent(client=Model(()))
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(agent, "generate_traces_for_domain", lambda name, number, _: asked.append((name, number)) or [])
    assert agent.generate_traces_for_all_domains(sample_domains=sample) == []
    assert asked == [(name, 10) for name in names]


@pytest.mark.parametrize("sample", [0, -1, True, False, 2.0, "Finance", [], [1], {"Finance": 1}], ids=repr)
def test_a_sample_of_domains_that_makes_no_sense_is_refused(registry: DomainRegistry, sample: Any) -> None:
    """What is neither a number of domains nor a list of names is an error that says what to give."""
    with pytest.raises(OracleError) as caught:
        play(registry).agent.generate_traces_for_all_domains(1, sample)
    assert str(caught.value) == (f"sample_domains is {sample!r}; give a number of domains, or a list of their names")


def test_no_domain_is_begun_if_one_is_unknown(registry: DomainRegistry) -> None:
    """A misspelt name is told before anything is asked of Claude."""
    played = play(registry)
    with pytest.raises(LookupError, match="no domain named 'Libary'; did you mean 'Library'"):
        played.agent.generate_traces_for_all_domains(1, ["Library", "Libary"])
    assert played.model.asked == []


def test_it_works_where_a_loop_runs_already(registry: DomainRegistry) -> None:
    """In a notebook, say: the engine has a loop of its own."""

    async def cell() -> int:
        with play(registry).agent as agent:
            return len(agent.generate_user_requests("Library", 3))

    assert asyncio.run(cell()) == 3


def test_claude_may_judge_embedded_traces(registry: DomainRegistry, gold: list[GoldTrace]) -> None:
    """A trace of the other oracle has a scene as well; one without a simulated world has none, and the error says so."""
    agent = play(registry).agent
    assert agent.validate_trace(gold[0]).is_favourable
    with pytest.raises(OracleError, match="names no principal or no simulated world"):
        agent.validate_trace(gold[0].model_copy(update={"metadata": {}}))
