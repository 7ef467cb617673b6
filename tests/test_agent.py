"""Traces by Claude, from request to report: gold, repaired and abandoned requests, and their cost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatling_sid.digests import digest_for_judgement
from gatling_sid.domain_report import domain_report
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
from tests.support.claude_model import APPROVAL, EditText, SimulatedClaude, contexts_of
from tests.support.commands import code_line, output_of


class SimulatedAgent:
    """An agent, and the simulated model that it uses."""

    def __init__(self, registry: DomainRegistry, edit_text: EditText, **options: object) -> None:
        self.registry = registry
        self.model = SimulatedClaude(self._contexts(), edit_text)
        self.agent = OracleAgent(registry=registry, client=self.model, **options)  # type: ignore[arg-type]

    def _contexts(self) -> Iterator[RequestContext]:
        library = self.registry.domain("library")
        yield from contexts_of(self.agent.oracle(), [Task(library, "train", index) for index in range(80)])

    def make(self, number: int) -> list[GoldTrace]:
        """Makes traces of the small domain."""
        return self.agent.generate_traces_for_domain("Library", number)


def simulate(
    registry: DomainRegistry, edit_text: EditText = lambda _request, _text: None, **options: object
) -> SimulatedAgent:
    """An agent with a model whose good answers are changed by `edit_text`."""
    return SimulatedAgent(registry, edit_text, **options)


def is_repair(request: LLMRequest) -> bool:
    """Whether a request asks for a repaired plan."""
    return request.phase == "graph" and "It was rejected:" in request.user


@pytest.fixture
def without_key(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Removes the key from the environment."""
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
        ("import scripts.generate_with_claude", "anthropic"),
        ("import gatling_sid.oracle.claude.oracle", "gatling_sid.validators"),
    ],
)
def test_nobody_pays_for_what_is_not_used(code: str, absent: str) -> None:
    """Neither the embedded oracle nor an estimate imports the API's client, and Claude's oracle depends on no validator."""
    check = (
        f"import sys; {code}; assert not [m for m in sys.modules if m.split('.')[0] == {absent!r} or m == {absent!r}]"
    )
    output_of(code_line(check))


def test_a_competent_model_makes_gold(registry: DomainRegistry, validator: TraceValidator) -> None:
    """Every trace is gold to a validator of our own, is marked so, and is judged by Claude as well."""
    simulated = simulate(registry, seed=1)
    traces = simulated.make(30)
    assert len(traces) == 30
    for trace in traces:
        assert trace.validated
        assert validator.validate_trace(trace)[1]["validated"]
        verdict = {"judge": DEFAULT_MODEL, "favourable": 1, "of": 1, "digest": digest_for_judgement(trace)}
        assert trace.metadata["verdict"] == verdict
    assert len({trace.request.text for trace in traces}) == 30
    report = simulated.agent.reports["Library"]
    assert (report.tasks, report.gold_at_once, report.gold_after_repair, report.gold) == (30, 30, 30, 30)
    assert report.rejected_by == {}
    assert simulated.model.count_phases() == {"requests": 3, "graph": 30, "judgement": 30}
    assert report.cost_usd == pytest.approx(0.063)
    assert str(report) == "Library: 30 of 30, raw pass rate 100.0%, after repair 100.0%, $0.002100 a trace"


def test_the_same_agent_again_asks_the_same(registry: DomainRegistry) -> None:
    """Requests depend only on the arguments of the agent, so a ledger has all responses for a second run."""
    first, second = simulate(registry), simulate(registry)
    assert first.make(20) == second.make(20)
    assert [request.work_id for request in first.model.requests] == [
        request.work_id for request in second.model.requests
    ]
    assert len({request.work_id for request in first.model.requests}) == len(first.model.requests)
    other = simulate(registry, seed=8)
    other.make(20)
    assert not {request.work_id for request in other.model.requests} & {
        request.work_id for request in first.model.requests
    }


def extra_call(request: LLMRequest, text: str) -> str | None:
    """Adds a call that nothing needs to every plan, but not to repaired ones."""
    if request.phase != "graph" or is_repair(request):
        return None
    content = json.loads(text)
    for item in content["items"]:
        extra = {"id": "call_9", "tool": "find_members", "arguments": [], "after": [], "rule": "", "quote": ""}
        item["calls"].append(extra)
    return json.dumps(content)


def test_rejected_plans_are_repaired(registry: DomainRegistry) -> None:
    """The model gets the validator's findings; repaired plans are gold, and do not change the raw pass rate."""
    simulated = simulate(registry, extra_call)
    assert len(simulated.make(20)) == 20
    report = simulated.agent.reports["Library"]
    assert (report.gold_at_once, report.gold_after_repair, report.gold) == (0, 20, 20)
    assert sum(report.rejected_by.values()) == 20
    repairs = [request for request in simulated.model.requests if is_repair(request)]
    assert len(repairs) == 20
    assert all("\n- " in request.user and "call_9" in request.user for request in repairs)


def test_only_repaired_plans_count_as_repaired() -> None:
    """A task that needed another request counts as gold in total, but not as gold after repair."""
    reasons = [
        ("a", 0, "goal_is_met"),
        ("b", 0, "refusal:cyber"),
        ("c", 0, "x"),
        ("c", 1, "x"),
        ("c", 2, "x"),
        ("d", 0, "near_copy"),
    ]
    rejections = [
        Rejection(trace_id, attempt, "free_form", reason, "", is_repairable=reason in ("goal_is_met", "x"))
        for trace_id, attempt, reason in reasons
    ]
    found = domain_report("Library", 6, 6, rejections, 0.12)
    assert (found.gold_at_once, found.gold_after_repair, found.gold) == (2, 3, 6)
    assert str(found).startswith("Library: 6 of 6, raw pass rate 33.3%, after repair 50.0%, $0.020000 a trace (x 3, ")


def test_an_incompetent_model_is_given_up(registry: DomainRegistry) -> None:
    """At most two repairs per request and twelve requests per task; no trace is valid, and every rejection has a reason."""
    simulated = simulate(registry, lambda request, _: '{"items": [{"item": 1}]}' if request.phase == "graph" else None)
    assert simulated.make(3) == []
    report = simulated.agent.reports["Library"]
    assert report.rejected_by == {"bad_answer": 3 * 36}
    assert simulated.model.count_phases() == {"requests": 12, "graph": 3 * 36}


def test_a_run_in_vain_is_stopped(registry: DomainRegistry) -> None:
    """If most requests are abandoned, the run ends with an error that says why."""
    simulated = simulate(registry, lambda request, _: '{"items": [{"item": 1}]}' if request.phase == "graph" else None)
    with pytest.raises(
        OracleError, match=r"Library: 94 of 134 requests were abandoned, the last because of: bad_answer: "
    ):
        simulated.make(40)


def test_nothing_is_valid_that_the_judge_rejects(registry: DomainRegistry) -> None:
    """A favourable judgement by Claude alone does not make a trace gold."""
    simulated = simulate(
        registry, lambda request, text: extra_call(request, text) if not is_repair(request) else '{"items": []}'
    )
    assert simulated.make(3) == []
    assert simulated.model.count_phases()["judgement"] == 0


def test_refused_requests_are_replaced(registry: DomainRegistry) -> None:
    """A refusal is counted by category, and the request is neither sent again nor reworded, but replaced."""
    refused: list[str] = []

    def refuse_first(request: LLMRequest, _text: str) -> str | None:
        if request.phase == "graph" and (not refused or request.user == refused[0]):
            refused.append(request.user)
            return "!refusal:cyber"
        return None

    simulated = simulate(registry, refuse_first)
    traces = simulated.make(10)
    report = simulated.agent.reports["Library"]
    assert (report.tasks, len(traces), report.rejected_by) == (10, 10, {"refusal:cyber": 1})
    assert len(refused) == 1
    line = next(line for line in refused[0].split("\n") if line.startswith("Request: "))
    assert not [trace for trace in traces if trace.request.text in line]


@pytest.mark.parametrize("phase", ["requests", "graph", "judgement"])
def test_no_task_is_given_up_for_want_of_an_answer(registry: DomainRegistry, phase: str) -> None:
    """If the API does not respond in one phase, the run stops with an error instead of ending without traces."""
    simulated = simulate(registry, lambda request, _: "!error:api_error" if request.phase == phase else None)
    with pytest.raises(OracleError, match=r"with error:api_error.*; .* the same command continues from there"):
        simulated.make(2)
    assert simulated.model.count_phases()[phase] <= 36


@pytest.mark.parametrize("phase", ["requests", "graph", "judgement"])
def test_a_request_without_a_response_is_sent_again(registry: DomainRegistry, phase: str) -> None:
    """A request without a response is sent again; no trace is lost and nothing is repaired."""
    failed: list[str] = []

    def fail_once(request: LLMRequest, _text: str) -> str | None:
        if request.phase == phase and not failed:
            failed.append(request.work_id)
            return "!error:api_error"
        return None

    simulated = simulate(registry, fail_once)
    assert len(simulated.make(3)) == 3
    assert not [request for request in simulated.model.requests if is_repair(request)]


def judgements(*favourable: bool) -> EditText:
    """Makes Claude's judgements favourable or not, in this order."""
    remaining = iter(favourable)

    def edit_text(request: LLMRequest, _text: str) -> str | None:
        if request.phase != "judgement":
            return None
        good = next(remaining, True)
        return json.dumps(APPROVAL if good else {**APPROVAL, "serves_request": False, "why": "Other books."})

    return edit_text


@pytest.mark.parametrize(
    ("favourable", "rejected", "count"),
    [((True,), {}, 1), ((False, True, True), {}, 3), ((False, False, True), {"judged": 1}, 3)],
)
def test_an_unfavourable_judgement_needs_a_majority(
    registry: DomainRegistry, favourable: tuple[bool, ...], rejected: dict[str, int], count: int
) -> None:
    """After an unfavourable judgement, the majority of three decides whether the request is replaced."""
    simulated = simulate(registry, judgements(*favourable))
    assert len(simulated.make(1)) == 1
    assert simulated.agent.reports["Library"].rejected_by == rejected
    assert simulated.model.count_phases()["judgement"] == count


@pytest.mark.parametrize("change", ["", "!", " please"])
def test_near_copies_are_replaced(registry: DomainRegistry, change: str) -> None:
    """A near-copy of a finished trace's request is rejected and replaced by another request."""
    tasks = [Task(registry.domain("library"), "train", index) for index in range(10)]
    first = generate(tasks, simulate(registry).agent.oracle(), TraceValidator(registry)).traces
    oracle = simulate(registry).agent.oracle()
    oracle.remember_texts([first[3].request.text + change, "Nobody says this."])
    result = generate(tasks, oracle, TraceValidator(registry))
    assert [each.request.text for each in result.traces[:3]] == [each.request.text for each in first[:3]]
    assert result.traces[3].request.text != first[3].request.text
    assert [(each.trace_id, each.reason) for each in result.rejections] == [("library_train_00000003", "near_copy")]
    assert len(result.traces) == 10


def test_phases_one_by_one(registry: DomainRegistry, library: Domain) -> None:
    """Requests, a graph for one of them, and a judgement of a trace can be asked for separately."""
    simulated = simulate(registry)
    requests = simulated.agent.generate_user_requests("Library", 5)
    assert [each.request_id for each in requests] == [f"library_train_{n:08d}_request" for n in range(5)]
    graph = simulated.agent.generate_tool_graph("library", requests[0])
    assert graph.validate_dag()
    assert graph.calls[0].argument_sources
    verdict = simulated.agent.validate_trace(simulated.make(1)[0])
    assert verdict.is_favourable
    with pytest.raises(LookupError, match="did you mean 'Library'"):
        simulated.agent.generate_user_requests("Libary", 1)
    assert library.name == "Library"


def test_traces_are_saved_as_json_lines(registry: DomainRegistry, tmp_path: Path) -> None:
    """One line a trace, its training format, read back equal; a file that cannot be written is an error."""
    simulated = simulate(registry)
    traces = simulated.make(3)
    path = simulated.agent.save_traces(traces, tmp_path / "deep" / "traces.jsonl")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [trace.to_training_format() for trace in traces]
    assert [GoldTrace.model_validate_json(line) for line in lines] == traces
    (tmp_path / "file").write_text("")
    with pytest.raises(OracleError, match="cannot be written"):
        simulated.agent.save_traces(traces, output_path=str(tmp_path / "file" / "traces.jsonl"))


def test_a_file_is_saved_whole_or_not_at_all(registry: DomainRegistry, gold: list[GoldTrace], tmp_path: Path) -> None:
    """If saving fails in the middle, the old file is unchanged, no other file is left, and the error names the trace."""
    agent, path = simulate(registry).agent, tmp_path / "traces.jsonl"
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


ALL_NAMES = DomainRegistry().get_all_domains()


@pytest.mark.parametrize(
    ("sample", "names"),
    [
        (None, ALL_NAMES),
        (1, ALL_NAMES[:1]),
        (3, ALL_NAMES[:3]),
        (500, ALL_NAMES),
        (["HR", "devops", "hr"], ["DevOps", "HR"]),
        (("HR",), ["HR"]),
        ({"HR", "Email", "DevOps"}, ["DevOps", "Email", "HR"]),
    ],
    ids=["all", "one", "three", "more", "list", "tuple", "set"],
)
def test_domains_are_sampled_by_number_or_name(sample: Any, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A number selects the first domains, names select those domains; the order is by name, and each is used once."""
    agent = OracleAgent(client=SimulatedClaude(()))
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(agent, "generate_traces_for_domain", lambda name, number, _: asked.append((name, number)) or [])
    assert agent.generate_traces_for_all_domains(sample_domains=sample) == []
    assert asked == [(name, 10) for name in names]


@pytest.mark.parametrize("sample", [0, -1, True, False, 2.0, "Finance", [], [1], {"Finance": 1}], ids=repr)
def test_a_sample_of_domains_that_makes_no_sense_is_refused(registry: DomainRegistry, sample: Any) -> None:
    """Anything else than a number of domains or a list of names gives an error that says what to give."""
    with pytest.raises(OracleError) as caught:
        simulate(registry).agent.generate_traces_for_all_domains(1, sample)
    assert str(caught.value) == (f"sample_domains is {sample!r}; give a number of domains, or a list of their names")


def test_no_domain_is_begun_if_one_is_unknown(registry: DomainRegistry) -> None:
    """A misspelt name is an error before anything is sent to Claude."""
    simulated = simulate(registry)
    with pytest.raises(LookupError, match="no domain named 'Libary'; did you mean 'Library'"):
        simulated.agent.generate_traces_for_all_domains(1, ["Library", "Libary"])
    assert simulated.model.requests == []


def test_it_works_where_a_loop_runs_already(registry: DomainRegistry) -> None:
    """The agent works in a notebook, since its client has an event loop of its own."""

    async def cell() -> int:
        with simulate(registry).agent as agent:
            return len(agent.generate_user_requests("Library", 3))

    assert asyncio.run(cell()) == 3


def test_claude_may_judge_embedded_traces(registry: DomainRegistry, gold: list[GoldTrace]) -> None:
    """A trace of the embedded oracle has a context too; for one without a simulated world there is a clear error."""
    agent = simulate(registry).agent
    assert agent.validate_trace(gold[0]).is_favourable
    with pytest.raises(OracleError, match="names no principal or no simulated world"):
        agent.validate_trace(gold[0].model_copy(update={"metadata": {}}))
