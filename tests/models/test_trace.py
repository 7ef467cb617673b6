"""Records: their fields, the order of graphs, and the training format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from gatling_sid import models as m
from gatling_sid.validators import TraceValidator

REQUIRED = "required"
PUBLISHED: dict[type[BaseModel], dict[str, Any]] = {
    m.ToolParameter: {
        "name": REQUIRED, "type": REQUIRED, "description": "", "required": False, "default": None, "constraints": {},
    },
    m.ToolSchema: {
        "tool_id": REQUIRED, "domain": REQUIRED, "name": REQUIRED, "description": "", "parameters": [], "returns": {},
        "sensitivity": m.SensitivityTier.INTERNAL, "requires_auth": True,
    },
    m.ScopeMetadata: {
        "rows_requested": None, "sensitivity_tier": m.SensitivityTier.INTERNAL, "time_range_days": None,
        "export_target": None,
    },
    m.ProvenancePointer: {"source_type": REQUIRED, "source_id": REQUIRED, "timestamp": None, "content_snippet": None},
    m.ToolCall: {
        "call_id": REQUIRED, "tool_id": REQUIRED, "arguments": {}, "scope": m.ScopeMetadata(), "provenance": None,
        "dependencies": [], "argument_sources": [],
    },
    m.ToolCallGraph: {"graph_id": REQUIRED, "calls": [], "execution_order": []},
    m.UserRequest: {
        "request_id": REQUIRED, "domain": REQUIRED, "text": REQUIRED, "intent_category": REQUIRED,
        "expected_scope": m.ScopeMetadata(), "trust_tier": m.TrustTier.USER, "principal": None,
    },
    m.SystemPolicy: {
        "policy_id": REQUIRED, "domain": REQUIRED, "description": "", "rules": [], "forbidden_operations": [],
        "scope_limits": {}, "constraints": [],
    },
    m.GoldTrace: {
        "trace_id": REQUIRED, "request": REQUIRED, "policy": REQUIRED, "graph": REQUIRED, "metadata": {},
        "created_at": "now", "validated": False, "goal": None, "outcome": None, "observations": None, "lures": [],
    },
}  # fmt: skip


def calls(**dependencies: list[str]) -> list[m.ToolCall]:
    """Calls whose ids are the keywords and whose dependencies are the values."""
    return [m.ToolCall(call_id=name, tool_id="zoo.feed", dependencies=needs) for name, needs in dependencies.items()]


@pytest.mark.parametrize("model", PUBLISHED, ids=lambda model: model.__name__)
def test_fields_and_defaults(model: type[BaseModel]) -> None:
    """Every published field has its name and default, in the published order."""
    defaults: dict[str, Any] = {
        name: REQUIRED if field.is_required() else field.get_default(call_default_factory=True)
        for name, field in model.model_fields.items()
    }
    if model is m.GoldTrace:
        assert datetime.now(UTC) - defaults["created_at"] < timedelta(days=1)
        defaults["created_at"] = "now"
    assert list(defaults.items()) == list(PUBLISHED[model].items())


@pytest.mark.parametrize("model", PUBLISHED, ids=lambda model: model.__name__)
def test_unknown_fields_are_refused(model: type[BaseModel]) -> None:
    """A misspelt field is an error and is not ignored."""
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        model.model_validate({"misspelt": 1})


def test_tiers_and_intents() -> None:
    """Enums and intents have the published values, and tiers the published integers."""
    assert {each.value: each.rank for each in m.SensitivityTier} == {
        each.value: each.level for each in m.SensitivityTier
    }
    assert {each.value: each.tier for each in m.TrustTier} == {each.value: each.rank for each in m.TrustTier}
    assert {each.value: each.rank for each in m.SensitivityTier} == {
        "public": 1, "internal": 2, "confidential": 3, "restricted": 4,
    }  # fmt: skip
    assert {each.value: each.rank for each in m.TrustTier} == {
        "system": 1, "user": 1, "verified_rag": 2, "unverified_rag": 3,
    }  # fmt: skip
    assert m.INTENTS == ("retrieve", "update", "create", "delete", "export", "analyze")


def test_base_fields_are_enough(validator: TraceValidator) -> None:
    """A trace of the published fields only is valid input, and is judged as far as possible."""
    call = {
        "call_id": "a", "tool_id": "zoo.feed", "arguments": {"animal": "yak"}, "scope": {"rows_requested": 1},
        "provenance": {"source_type": "user", "source_id": "r"}, "dependencies": [],
    }  # fmt: skip
    trace = m.GoldTrace.model_validate(
        {
            "trace_id": "t",
            "request": {
                "request_id": "r", "domain": "Zoo", "text": "Feed the yak.", "intent_category": "update",
                "expected_scope": {"rows_requested": 1}, "trust_tier": "user",
            },
            "policy": {
                "policy_id": "p", "domain": "Zoo", "description": "", "rules": [], "forbidden_operations": [],
                "scope_limits": {"max_rows": 5},
            },
            "graph": {"graph_id": "g", "calls": [call], "execution_order": ["a"]},
            "metadata": {}, "created_at": "2026-01-01T00:00:00Z", "validated": False,
        }
    )  # fmt: skip
    valid, report = validator.validate_trace(trace)
    assert (valid, report["overall_valid"], report["validated"]) == (True, True, False)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_are_finite(value: float) -> None:
    """Numbers that JSON cannot write, such as infinity, are refused."""
    with pytest.raises(ValidationError, match="Input should be a finite number"):
        m.MeasuredValue(group=None, value=value)


def test_trusted_records_are_valid(gold: list[m.GoldTrace]) -> None:
    """Records that are built without validation equal validated ones, even in their set of fields."""
    for trace in gold:
        validated = m.GoldTrace.model_validate(trace.model_dump())
        assert validated == trace
        assert repr(validated) == repr(trace), "equal, but of other types: an enum and its text, 1 and 1.0"
        assert validated.model_fields_set == trace.model_fields_set


def test_training_format_is_plain(gold: list[m.GoldTrace]) -> None:
    """The training format is plain JSON, and reading it back gives the same trace."""
    for trace in gold:
        plain = trace.to_training_format()
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain
        assert m.GoldTrace.model_validate(plain) == trace


def test_records_are_mutable_and_copies_are_independent(gold: list[m.GoldTrace]) -> None:
    """Editing a deep copy does not change the original."""
    before = gold[0].to_training_format()
    copy = gold[0].model_copy(deep=True)
    copy.request.text = "Something else."
    copy.graph.calls[0].arguments["x"] = 1
    assert (copy.request.text, gold[0].to_training_format()) == ("Something else.", before)


def test_json_schema_of_a_tool() -> None:
    """The parameters of a tool become one JSON Schema object without further properties."""
    limit = m.ToolParameter(name="limit", type="integer", description="Most.", default=5, constraints={"minimum": 1})
    key = m.ToolParameter(name="key", type="string", required=True)
    assert m.ToolSchema(tool_id="zoo.find", domain="Zoo", name="find", parameters=[limit, key]).json_schema() == {
        "type": "object",
        "properties": {
            "limit": {"type": "integer", "description": "Most.", "minimum": 1, "default": 5},
            "key": {"type": "string", "description": ""},
        },
        "required": ["key"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("dependencies", "valid"),
    [
        pytest.param({}, True, id="no calls"),
        pytest.param({"a": [], "b": ["a"], "c": ["a", "b"]}, True, id="in order"),
        pytest.param({"c": ["b"], "b": ["a"], "a": []}, True, id="in any order"),
        pytest.param({"a": [], "b": ["a", "a"]}, True, id="a dependency named twice"),
        pytest.param({"a": ["a"]}, False, id="waits for itself"),
        pytest.param({"a": ["c"], "b": ["a"], "c": ["b"]}, False, id="cycle"),
        pytest.param({"a": [], "b": ["c"], "c": ["b"]}, False, id="cycle beside a sound call"),
        pytest.param({"a": ["z"]}, False, id="missing dependency"),
    ],
)
def test_validate_dag(dependencies: dict[str, list[str]], valid: bool) -> None:
    """A graph is sound if every dependency exists and no call waits for itself."""
    assert m.ToolCallGraph(graph_id="g", calls=calls(**dependencies)).validate_dag() is valid


def test_ids_are_unique() -> None:
    """A graph with two calls of the same id is not valid."""
    assert not m.ToolCallGraph(graph_id="g", calls=[*calls(a=[]), *calls(a=[])]).validate_dag()


class _Counted(list[str]):
    """A list of dependencies that counts how often it is iterated."""

    walks = 0

    def __iter__(self) -> Iterator[str]:
        _Counted.walks += 1
        return super().__iter__()


@pytest.mark.parametrize("shape", ["chain", "fan out", "fan in"])
def test_large_graphs_take_linear_work(shape: str) -> None:
    """Ten thousand calls in a chain or a fan are ordered without recursion, and each is visited a few times."""
    size = 10_000
    needs: list[list[str]] = {
        "chain": [[f"c{at - 1}"] if at else [] for at in range(size)],
        "fan out": [["c0"] if at else [] for at in range(size)],
        "fan in": [[] for _ in range(size - 1)] + [[f"c{at}" for at in range(size - 1)]],
    }[shape]
    graph = m.ToolCallGraph(graph_id="g", calls=calls(**{f"c{at}": each for at, each in enumerate(needs)})[::-1])
    for call in graph.calls:
        call.dependencies = _Counted(call.dependencies)
    _Counted.walks = 0
    assert graph.validate_dag()
    assert _Counted.walks <= 5 * size


@st.composite
def graphs(draw: st.DrawFn, *, acyclic: bool) -> list[m.ToolCall]:
    """Up to nine calls, listed in any order, that depend on earlier (or on any) of them."""
    size = draw(st.integers(0, 9))
    needs = {
        f"c{at}": draw(st.lists(st.sampled_from([f"c{n}" for n in range(at if acyclic else size)] or [""]), max_size=3))
        for at in range(size)
    }
    return draw(st.permutations(calls(**{name: [n for n in each if n] for name, each in needs.items()})))


@settings(deadline=None)
@given(graph=graphs(acyclic=True), last_first=st.booleans())
def test_order_is_a_permutation_that_respects_dependencies(graph: list[m.ToolCall], last_first: bool) -> None:
    """Every call of an acyclic graph comes once, after all it depends on."""
    order = m.topological_order(graph, last_first=last_first)
    assert sorted(order) == sorted(call.call_id for call in graph)
    assert all(order.index(each) < order.index(call.call_id) for call in graph for each in call.dependencies)


@settings(deadline=None)
@given(graph=graphs(acyclic=False), last_first=st.booleans())
def test_order_breaks_ties_by_position(graph: list[m.ToolCall], last_first: bool) -> None:
    """The order is that of always taking the first (or last) call that is ready, until there is none."""
    order: list[str] = []
    while ready := [c.call_id for c in graph if c.call_id not in order and {*c.dependencies} <= {*order}]:
        order.append(ready[-1 if last_first else 0])
    assert m.topological_order(graph, last_first=last_first) == order


def test_depth_counts_the_longest_chain(gold: list[m.GoldTrace]) -> None:
    """The depth of a graph is the number of calls in its longest chain; calls side by side do not add up."""
    longest: dict[str, m.GoldTrace] = {}
    for trace in gold:
        scenario = trace.metadata["scenario"]
        longest[scenario] = max(trace, longest.get(scenario, trace), key=lambda each: len(each.graph.calls))

    assert longest["renew"].graph.depth() == 4
    assert longest["busiest_titles"].graph.depth() == 1


def test_a_record_with_other_fields_is_a_record_of_its_own() -> None:
    """`replace_fields` gives what `model_copy` gives, and leaves the record as it was."""
    call = m.ToolCall(call_id="a", tool_id="zoo.feed", dependencies=["b"])
    other = m.replace_fields(call, dependencies=[], arguments={"limit": 3})

    assert other == call.model_copy(update={"dependencies": [], "arguments": {"limit": 3}})
    assert (call.dependencies, call.arguments) == (["b"], {})
