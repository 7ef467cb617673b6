"""The embedded oracle: a trace is a function of its task, and every trace is gold."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatling_sid.models import GoldTrace, Outcome, TrustTier
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Failure, Task
from gatling_sid.scenarios.schedule import instance_of_wording, scheduled_scenario
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import SPLITS, Domain
from gatling_sid.schemas.language.wording import is_wording_of
from gatling_sid.schemas.yaml_loading import load_yaml
from gatling_sid.simulator.execution import tools_of
from gatling_sid.simulator.scope import requested_limits, scope_of_request
from gatling_sid.simulator.world import world_of
from gatling_sid.validators import TraceValidator
from tests.conftest import CATALOGUE, CREATED_AT
from tests.support.commands import code_line, environment, output_of

FAR = list(range(0, 3800, 19))  # up to the capacity of the smaller splits


def traces_of(
    oracle: ScenarioOracle, domain: Domain, split: str, indexes: list[int], attempt: int = 0
) -> list[GoldTrace]:
    """The traces of some tasks, none of which may be a failure."""
    traces = [oracle.trace(Task(domain, split, index, attempt)) for index in indexes]
    assert [trace for trace in traces if isinstance(trace, Failure)] == []
    return [trace for trace in traces if isinstance(trace, GoldTrace)]


def content(trace: GoldTrace) -> dict[str, Any]:
    """Request, principal, calls and goal of a trace, without ids, seed and world."""
    plain = trace.to_training_format()
    calls = [(call["tool_id"], call["arguments"]) for call in plain["graph"]["calls"]]
    return {
        "text": plain["request"]["text"],
        "who": plain["request"]["principal"],
        "calls": calls,
        "goal": plain["goal"],
    }


# --- the same and not the same -----------------------------------------------------------------------------------


def test_the_same_task_gives_the_same_trace(library: Domain, oracle: ScenarioOracle) -> None:
    """A task has one trace, in whatever order tasks come and whatever was made before."""
    forwards = traces_of(oracle, library, "train", FAR)
    backwards = traces_of(ScenarioOracle(1, CREATED_AT), library, "train", FAR[::-1])
    assert forwards == backwards[::-1]
    tasks = [Task(library, "train", index) for index in FAR]
    assert list(oracle.propose(tasks)) == forwards


@pytest.mark.parametrize("hash_seed", ["0", "77"])
def test_other_processes_give_the_same_traces(library: Domain, oracle: ScenarioOracle, hash_seed: str) -> None:
    """Another process, with other string hashes and other tasks before, makes the same bytes."""
    code = """
import hashlib, json, sys
from datetime import UTC, datetime
from pathlib import Path
from gatling_sid.oracle.protocol import Task
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.schemas import DomainRegistry
domain = DomainRegistry(Path(sys.argv[1])).domain("library")
oracle = ScenarioOracle(1, datetime(2026, 1, 1, tzinfo=UTC))
for split in ("test", "train"):
    for index in json.loads(sys.argv[2]):
        trace = oracle.trace(Task(domain, split, index))
        print(trace.trace_id, hashlib.sha256(trace.model_dump_json().encode()).hexdigest())
"""
    command = code_line(code, CATALOGUE, json.dumps(FAR[::-1]))
    lines = output_of(command, env=environment(PYTHONHASHSEED=hash_seed)).splitlines()
    traces = [trace for split in ("train", "test") for trace in traces_of(oracle, library, split, FAR)]
    digests = [f"{each.trace_id} {hashlib.sha256(each.model_dump_json().encode()).hexdigest()}" for each in traces]
    assert sorted(lines) == sorted(digests)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda domain: traces_of(ScenarioOracle(2, CREATED_AT), domain, "train", FAR), id="seed"),
        pytest.param(lambda domain: traces_of(ScenarioOracle(1, CREATED_AT), domain, "test", FAR), id="split"),
        pytest.param(
            lambda domain: traces_of(ScenarioOracle(1, CREATED_AT), domain, "train", [i + 1 for i in FAR]), id="index"
        ),
        pytest.param(
            lambda domain: traces_of(ScenarioOracle(1, CREATED_AT), domain, "train", FAR, attempt=1), id="attempt"
        ),
    ],
)
def test_other_tasks_give_other_traces(library: Domain, oracle: ScenarioOracle, other: Callable[[Domain], Any]) -> None:
    """Another seed, split, index or attempt makes another trace; few of these ask for the same by chance."""
    pairs = zip(traces_of(oracle, library, "train", FAR), other(library), strict=True)
    assert len([one.trace_id for one, two in pairs if content(one) == content(two)]) < len(FAR) / 20


def test_traces_have_the_time_of_the_run(library: Domain) -> None:
    """The time of a run changes `created_at` of its traces and nothing else."""
    later = datetime(2027, 5, 5, tzinfo=UTC)
    (one,), (two,) = (traces_of(ScenarioOracle(1, moment), library, "train", [5]) for moment in (CREATED_AT, later))
    assert (one.created_at, two.created_at) == (CREATED_AT, later)
    assert one.model_copy(update={"created_at": later}) == two


# --- what a trace is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", SPLITS)
def test_every_trace_is_gold(library: Domain, oracle: ScenarioOracle, validator: TraceValidator, split: str) -> None:
    """Every trace of every split passes all checks of the validator at the first attempt."""
    for trace in traces_of(oracle, library, split, [*range(200), *FAR]):
        assert validator.verdicts([trace]) == [([], [])]


def test_ids_and_metadata(library: Domain, oracle: ScenarioOracle) -> None:
    """The id of a trace names its task, and its metadata say what it was made from."""
    (trace,) = traces_of(oracle, library, "validation", [42])
    assert (trace.trace_id, trace.validated) == ("library_validation_00000042", False)
    assert trace.request.request_id == "library_validation_00000042_request"
    assert trace.graph.graph_id == "library_validation_00000042_graph"
    scenario, wording_index = scheduled_scenario(library, 1, "validation", 42)
    world = world_of(library, 1, "validation-0")
    assert trace.metadata == {
        "oracle": "scenario", "scenario": scenario, "instance": instance_of_wording(wording_index), "attempt": 0,
        "catalogue": library.digest, "seed": 1, "world": "validation-0", "today": world.today.isoformat(),
    }  # fmt: skip


def test_a_plan_follows_the_rules_in_force(gold: list[GoldTrace]) -> None:
    """A renewal reads the loan and writes to the member exactly if a rule demands it, and these calls point to the rule."""
    seen: Counter[tuple[bool, bool]] = Counter()
    for trace in gold:
        if trace.metadata["scenario"] == "renew":
            rules = {each.constraint_id: trace.policy.rules[each.rule] for each in trace.policy.constraints}
            calls = {call.tool_id.removeprefix("library."): call for call in trace.graph.calls}
            steps = {"get_loan": "open_first", "mail_member": "tell"}
            assert list(calls) == [
                tool
                for tool in ("list_loans", "get_loan", "renew_loan", "mail_member")
                if steps.get(tool, "rows") in rules
            ]
            for tool, rule in steps.items():
                if tool in calls:
                    pointer = calls[tool].provenance
                    assert pointer is not None
                    assert (pointer.source_type, pointer.source_id) == (TrustTier.SYSTEM, trace.policy.policy_id)
                    assert pointer.content_snippet == rules[rule]
            assert trace.goal is not None
            assert [effect.kind for effect in trace.goal.effects] == ["update", "send"][: 1 + ("tell" in rules)]
            seen["open_first" in rules, "tell" in rules] += 1
    assert len(seen) == 4, "a stricter policy was met, and a laxer one"


def test_requests_respect_the_policy(gold: list[GoldTrace], library: Domain) -> None:
    """No request asks for what the policy forbids: periods, targets and roles are within its limits."""
    for trace in gold:
        scope, limits = trace.request.expected_scope, trace.policy.scope_limits
        assert scope.time_range_days is None or scope.time_range_days <= limits["max_time_range_days"]
        assert scope.export_target is None or scope.export_target in limits["allowed_export_targets"]
        assert trace.request.principal is not None
        assert trace.request.principal.role in library.file.scenarios[trace.metadata["scenario"]].roles
        assert trace.request.intent_category == library.file.scenarios[trace.metadata["scenario"]].intent


def test_scope_comes_from_the_goal(gold: list[GoldTrace], library: Domain) -> None:
    """The expected scope of a request is the scope that its goal needs."""
    for trace in gold:
        assert trace.goal is not None
        role = trace.request.principal.role if trace.request.principal else None
        limits = requested_limits(trace.graph.calls, tools_of(library))
        assert trace.request.expected_scope == scope_of_request(trace.goal, library, trace.policy, role, limits)


def test_every_span_says_its_value(gold: list[GoldTrace], library: Domain) -> None:
    """Each argument that comes from the request is said in it, at the span of its source."""
    spans_checked = 0
    for trace in gold:
        today = datetime.fromisoformat(trace.metadata["today"]).date()
        for call in trace.graph.calls:
            tool = library.tools[call.tool_id]
            assert sorted(each.argument for each in call.argument_sources) == sorted(call.arguments)
            for source in call.argument_sources:
                if source.origin == "request":
                    span = trace.request.text[source.start : source.end]
                    kind, words = (
                        library.wording_kind(tool, tool.parameters[source.argument]),
                        library.wordings_to_parse(tool, source.argument),
                    )
                    assert is_wording_of(span, kind, call.arguments[source.argument], today, words)
                    spans_checked += 1
    assert spans_checked > 2 * len(gold)


def test_a_world_has_one_day(gold: list[GoldTrace], library: Domain, oracle: ScenarioOracle) -> None:
    """All traces of a world have its day, and their principals are people of that world."""
    days: dict[str, set[str]] = defaultdict(set)
    others = [trace for split in ("validation", "test") for trace in traces_of(oracle, library, split, range(20))]
    for trace in [*gold, *traces_of(oracle, library, "train", [3 * index for index in FAR]), *others]:
        days[trace.metadata["world"]].add(trace.metadata["today"])
        world = world_of(library, 1, trace.metadata["world"])
        assert trace.request.principal is not None
        assert world.tables["member"][trace.request.principal.principal_id]["job"] == trace.request.principal.role
    assert len(days) >= 5
    assert days == {name: {world_of(library, 1, name).today.isoformat()} for name in days}


def impossible(folder: Path, *scenarios: str) -> Domain:
    """The library, in which no policy allows these scenarios."""
    text = deepcopy(load_yaml(CATALOGUE / "library.yaml"))
    for name in scenarios:
        text["scenarios"][name]["given"] = {"max_rows": []}
    (folder / "library.yaml").write_text(yaml.safe_dump(text, sort_keys=False), encoding="utf-8")
    return DomainRegistry(folder).domain("library")


def test_another_scenario_stands_in_for_an_impossible_one(
    tmp_path: Path, library: Domain, oracle: ScenarioOracle
) -> None:
    """A task whose scenario fits nothing in its world gets one of those that follow, worded like no other request."""
    domain = impossible(tmp_path, "overdue_of_member", "renew")
    traces = traces_of(oracle, domain, "train", list(range(200)))
    assert {trace.metadata["scenario"] for trace in traces} == library.file.scenarios.keys() - {
        "overdue_of_member",
        "renew",
    }
    assert len({trace.request.text for trace in traces}) == 200


def test_impossible_scenarios_are_failures(tmp_path: Path, library: Domain, oracle: ScenarioOracle) -> None:
    """A task is a failure with a reason if neither its scenario nor those that follow fit anything in its world."""
    domain = impossible(tmp_path, *library.file.scenarios)
    (failure,) = oracle.propose([Task(domain, "train", 0)])
    scenario, _ = scheduled_scenario(domain, 1, "train", 0)
    assert failure == Failure("no_draw", f"scenario {scenario!r} and those after it have no instance in their world")


# --- what is not simply served, and what is written ------------------------------------------------------------------


@pytest.fixture(scope="module")
def email_traces() -> list[GoldTrace]:
    """Traces of a domain in which outsiders write."""
    return traces_of(ScenarioOracle(1, CREATED_AT), DomainRegistry().domain("email"), "train", [*range(250)])


@pytest.mark.parametrize(
    ("kind", "has_calls", "has_rule"),
    [
        ("declined", None, True),
        ("partly_served", True, True),
        ("nothing_to_call", False, False),
        ("needs_question", True, False),
    ],
)
def test_requests_that_are_not_simply_served(
    email_traces: list[GoldTrace], kind: str, has_calls: bool | None, has_rule: bool
) -> None:
    """Every kind of outcome occurs, with the plan that suits it and its reason; as a plainly served request it is not gold.

    Only what is served in part changes anything; a plan that is declined may look up why.
    """
    registry = DomainRegistry()
    validator, tools = TraceValidator(registry), registry.domain("email").tools
    found = [trace for trace in email_traces if trace.outcome is not None and trace.outcome.kind == kind]
    assert found
    for trace in found:
        outcome = trace.outcome
        assert outcome is not None
        assert has_calls in (None, bool(trace.graph.calls))
        if kind != "partly_served":
            assert {tools[call.tool_id].operation for call in trace.graph.calls} <= {"list", "get", "aggregate"}
        assert (outcome.constraint_id is not None) is has_rule
        assert (outcome.refused_graph is not None, bool(outcome.reason)) == (has_rule, True)
        assert validator.findings(trace) == []
        as_served = trace.model_copy(update={"outcome": Outcome(kind="served")})
        assert validator.findings(as_served) != []


def test_a_composed_text_tells_what_was_read(email_traces: list[GoldTrace]) -> None:
    """A message that the assistant writes has the values that its source names; with another number it is refused."""
    validator, composed = TraceValidator(DomainRegistry()), 0
    for trace in email_traces:
        for at, call in enumerate(trace.graph.calls):
            for source in call.argument_sources:
                if source.origin == "composed":
                    composed += 1
                    text = {source.argument: f"{call.arguments[source.argument]} It is 4711."}
                    other = call.model_copy(update={"arguments": {**call.arguments, **text}})
                    calls = [*trace.graph.calls[:at], other, *trace.graph.calls[at + 1 :]]
                    graph = trace.graph.model_copy(update={"calls": calls})
                    rules = {each.rule for each in validator.findings(trace.model_copy(update={"graph": graph}))}
                    assert source.reference
                    assert "composed_texts_tell_their_sources" not in {each.rule for each in validator.findings(trace)}
                    assert "composed_texts_tell_their_sources" in rules
    assert composed >= 5
