"""Code that users have already written runs unchanged: names, fields, calls, keys and words in messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gatling_sid.agent import CREATED_AT
from gatling_sid.errors import UnknownDomainError
from gatling_sid.models import (
    GoldTrace,
    ProvenancePointer,
    ScopeMetadata,
    SensitivityTier,
    SystemPolicy,
    ToolCall,
    ToolCallGraph,
    ToolParameter,
    ToolSchema,
    TrustTier,
    UserRequest,
)
from gatling_sid.oracle import OracleAgent
from gatling_sid.oracle.claude.oracle import ClaudeOracle
from gatling_sid.oracle.claude.transport.blocking_client import blocking_client
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.validators import TraceValidator
from scripts.validate_shards import main as validate_shards
from tests.support.claude_model import SimulatedClaude, contexts_of
from tests.support.claude_server import ClaudeServer

BOTH_WAYS = pytest.mark.parametrize("registry", [DomainRegistry, DomainRegistry()], ids=["class", "instance"])
EITHER = pytest.mark.parametrize("validator", [TraceValidator, TraceValidator()], ids=["class", "instance"])


def trace_of_mine(**changes: Any) -> GoldTrace:
    """A trace as users build them: with the published fields only, and a policy of their own."""
    call = ToolCall(
        call_id="list",
        tool_id="finance.list_invoices",
        arguments={"limit": 4},
        scope=ScopeMetadata(rows_requested=4, sensitivity_tier=SensitivityTier.CONFIDENTIAL),
        provenance=ProvenancePointer(source_type=TrustTier.USER, source_id="ask"),
    )
    request = UserRequest(
        request_id="ask",
        domain="Finance",
        text="The last four invoices",
        intent_category="retrieve",
        expected_scope=ScopeMetadata(rows_requested=4, sensitivity_tier=SensitivityTier.CONFIDENTIAL),
    )
    policy = SystemPolicy(
        policy_id="house_rules",
        domain="Finance",
        description="What the house allows",
        rules=["At most 100 at a time", "Nothing is wiped"],
        forbidden_operations=["finance.wipe"],
        scope_limits={"max_results": 100},
    )
    graph = ToolCallGraph(graph_id="plan", calls=[call], execution_order=["list"])
    return GoldTrace(**{"trace_id": "mine", "request": request, "policy": policy, "graph": graph, **changes})


def with_second_call(order: list[str], dependencies: list[str]) -> GoldTrace:
    """The same trace with a second call."""
    trace = trace_of_mine()
    trace.graph.calls.append(ToolCall(call_id="more", tool_id="finance.get_invoice", dependencies=dependencies))
    trace.graph.execution_order = order
    return trace


# --- models ----------------------------------------------------------------------------------------------------


def test_records_are_built_from_what_they_need() -> None:
    """Every record takes its required fields alone; the rest has the published defaults."""
    call = ToolCall(call_id="a", tool_id="x.get")
    graph = ToolCallGraph(graph_id="g", calls=[call], execution_order=["a"])
    trace = GoldTrace(
        trace_id="t",
        request=UserRequest(request_id="r", domain="X", text="Get it", intent_category="retrieve"),
        policy=SystemPolicy(policy_id="p", domain="X"),
        graph=graph,
    )
    assert trace.validated is False
    assert trace.metadata == {}
    assert (trace.request.trust_tier, trace.request.expected_scope) == (TrustTier.USER, ScopeMetadata())
    assert ScopeMetadata().sensitivity_tier is SensitivityTier.INTERNAL
    assert (call.arguments, call.dependencies, call.provenance) == ({}, [], None)
    assert graph.validate_dag() is True
    call.dependencies.append("a")
    assert graph.validate_dag() is False


@pytest.mark.parametrize("returns", ["The invoices found, newest first.", {"type": "object"}])
def test_a_tool_says_what_it_returns_in_a_sentence_or_a_schema(returns: Any) -> None:
    """`returns` keeps a sentence or a schema as it is, also through JSON; by default it is an empty schema."""
    limit = ToolParameter(name="limit", type="integer", description="How many", required=False, default=10)
    fields = {"tool_id": "x.list", "domain": "X", "name": "List", "description": "Lists.", "parameters": [limit]}
    schema = ToolSchema(**fields, returns=returns, sensitivity=SensitivityTier.CONFIDENTIAL)
    assert schema.returns == returns
    assert ToolSchema.model_validate_json(schema.model_dump_json()) == schema
    assert schema.json_schema()["properties"]["limit"]["default"] == 10
    assert ToolSchema(**fields).returns == {}


def test_training_format_is_plain_json() -> None:
    """A trace leaves as a dict that JSON holds, times as text, and comes back equal."""
    trace = trace_of_mine()
    training_form = trace.to_training_format()
    assert isinstance(training_form["created_at"], str)
    assert training_form.keys() >= {"trace_id", "request", "policy", "graph", "metadata", "validated"}
    assert GoldTrace.model_validate(json.loads(json.dumps(training_form))) == trace


# --- registry --------------------------------------------------------------------------------------------------


@BOTH_WAYS
def test_registry_answers_on_class_and_instance(registry: Any) -> None:
    """Class and instance both return the domains, tools and default policies of the shipped catalogue."""
    assert {"Finance", "HR", "DevOps", "Email"} <= {*registry.get_all_domains()}
    for domain, tool_id in (
        ("Finance", "finance.list_invoices"), ("HR", "hr.list_employees"), ("DevOps", "devops.list_deployments"),
    ):  # fmt: skip
        schemas = registry.get_schemas_for_domain(domain)
        assert tool_id in {each.tool_id for each in schemas}
        assert all(each.name and each.description for each in schemas)
        own = [each for each in schemas if each.tool_id.partition(".")[0] == tool_id.partition(".")[0]]
        assert all(each.domain == domain for each in own)  # tools that it borrows are of other domains
        assert all(each.name and each.type and each.description for schema in schemas for each in schema.parameters)
        policy = registry.get_policy_for_domain(domain)
        assert policy.policy_id
        assert policy.domain == domain
        assert policy.description
        assert policy.rules
        assert policy.forbidden_operations
        assert {*policy.forbidden_operations} < {each.tool_id for each in schemas}
        assert "max_results" in policy.scope_limits
    with pytest.raises(UnknownDomainError, match="no domain named 'Fiance'; did you mean 'Finance'"):
        registry.get_policy_for_domain("Fiance")


def test_the_class_hands_out_copies_of_what_it_loads_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An edited policy is not returned by the next call, and no file is read again."""
    policy = DomainRegistry.get_policy_for_domain("Finance")
    monkeypatch.setattr("gatling_sid.schemas.registry.load_domain", None)
    assert DomainRegistry.get_policy_for_domain("Finance") == policy
    policy.rules.clear()
    policy.scope_limits["max_results"] = 10**6
    DomainRegistry.get_schemas_for_domain("finance").clear()
    assert DomainRegistry.get_policy_for_domain("Finance") != policy
    assert DomainRegistry.get_schemas_for_domain("Finance")


# --- validator -------------------------------------------------------------------------------------------------


@EITHER
def test_report_of_a_hand_made_trace(validator: Any) -> None:
    """A valid trace of the user's own is reported as valid under the published keys, and not as validated."""
    valid, report = validator.validate_trace(trace_of_mine(validated=True))
    assert valid is True
    assert (report["trace_id"], report["overall_valid"], report["validated"]) == ("mine", True, False)
    assert report["checks"]["structure"] == {"valid": True, "errors": []}
    assert (report["checks"]["policy"]["compliant"], report["checks"]["policy"]["violations"]) == (True, [])
    assert (report["checks"]["minimal_scope"]["minimal"], report["checks"]["minimal_scope"]["warnings"]) == (True, [])
    json.dumps(report)


@EITHER
def test_each_check_alone_tells_in_the_words_that_are_matched(validator: Any) -> None:
    """Single checks return (ok, messages), and each kind of violation has its word in the message."""
    trace = trace_of_mine()
    assert validator.validate_structure(trace) == (True, [])
    assert validator.validate_policy_compliance(trace, trace.policy) == (True, [])
    assert validator.validate_policy_compliance(trace) == (True, [])
    assert validator.validate_minimal_scope(trace) == (True, [])

    valid, errors = validator.validate_structure(with_second_call(["list", "more"], ["nobody"]))
    assert not valid
    assert "non-existent" in errors[0].lower()
    valid, errors = validator.validate_structure(with_second_call(["more", "list"], ["list"]))
    assert not valid
    assert "before its dependency" in errors[0]

    trace.graph.calls[0].tool_id = "finance.wipe"
    valid, violations = validator.validate_policy_compliance(trace, trace.policy)
    assert not valid
    assert "forbidden" in violations[0].lower()

    for arguments, rows in (({"limit": 200}, 200), ({"limit": 200}, 4), ({}, 200)):
        trace = trace_of_mine()
        trace.graph.calls[0].arguments = arguments
        trace.graph.calls[0].scope.rows_requested = rows
        valid, violations = validator.validate_policy_compliance(trace, trace.policy)
        assert not valid
        assert violations == ["scope_limits_hold: list takes 200 rows; the limit max_results is 100"]

    trace = trace_of_mine()
    trace.graph.calls[0].scope.rows_requested = 40
    minimal, warnings = validator.validate_minimal_scope(trace)
    assert not minimal
    assert warnings


def test_breaches_of_a_published_policy_hold_the_words_too(gold: list[GoldTrace], validator: TraceValidator) -> None:
    """Messages about limits and prohibitions in constraints contain `limit` and `forbidden`."""
    trace = next(each for each in gold if each.metadata["scenario"] == "delete_record").model_copy(deep=True)
    assert trace.request.principal is not None
    trace.request.principal.role = "librarian"
    trace.graph.calls[0].scope.rows_requested = 99
    _, violations = validator.validate_policy_compliance(trace)
    assert [each for each in violations if "forbidden" in each]
    assert [each for each in violations if each.startswith("constraints_hold: rows: ") and "limit" in each]


@EITHER
def test_diversity_has_its_keys(validator: Any) -> None:
    """Metrics of a set of traces have the published names, also if the set is empty."""
    traces = [trace_of_mine() for _ in range(3)]
    traces[1].request.intent_category = "update"
    traces[2].request.domain = "HR"
    metrics = validator.validate_dataset_diversity(traces)
    assert (metrics["total_traces"], metrics["unique_domains"], metrics["unique_intents"]) == (3, 2, 2)
    assert metrics["domain_distribution"] == {"Finance": 2, "HR": 1}
    assert metrics["intent_distribution"] == {"retrieve": 2, "update": 1}
    assert (metrics["unique_tools"], metrics["tool_distribution"]) == (1, {"finance.list_invoices": 3})
    assert metrics.keys() >= {"scope_stats", "graph_complexity"}
    assert validator.validate_dataset_diversity([]).keys() == metrics.keys()


# --- oracle ----------------------------------------------------------------------------------------------------


def test_the_agent_generates_and_saves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a key and nothing else, an agent makes traces of one domain or of several, and a file that is judged gold."""
    shipped = DomainRegistry()
    oracle = ClaudeOracle(blocking_client(SimulatedClaude(())), TraceValidator(shipped), seed=7, created_at=CREATED_AT)
    tasks = [Task(shipped.domain(name), "train", at) for name in ("Finance", "HR") for at in range(4)]
    model = SimulatedClaude(contexts_of(oracle, tasks))
    monkeypatch.chdir(tmp_path)
    with ClaudeServer(answer=model.text_for_body) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        agent = OracleAgent(api_key="key")
        traces = agent.generate_traces_for_domain("Finance", num_traces=2)
        more = agent.generate_traces_for_all_domains(traces_per_domain=1, sample_domains=["hr", "Finance"])
        agent.save_traces([*traces[1:], *more], "traces.jsonl")
        agent.close()
    assert [trace.request.domain for trace in traces + more] == ["Finance", "Finance", "Finance", "HR"]
    assert all(trace.validated for trace in traces + more)
    assert traces[0] == more[0]
    assert validate_shards(["traces.jsonl"]) == 0
    assert "3 gold, 0 judged in part, 0 rejected" in capsys.readouterr().out
