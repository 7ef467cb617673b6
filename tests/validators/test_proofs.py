"""Proving a plan once accepts exactly the traces that proving it every time would accept."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import pytest
from pydantic import ValidationError

from gatling_sid.models import (
    ArgumentSource,
    Constraint,
    Effect,
    Goal,
    GoldTrace,
    Lure,
    LuredCall,
    MeasuredValue,
    Measurement,
    Observation,
    Outcome,
    Principal,
    ProvenancePointer,
    ScopeMetadata,
    Showing,
    SystemPolicy,
    ToolCall,
    ToolCallGraph,
    TrustTier,
    UserRequest,
    construct_trusted,
)
from gatling_sid.models.base import ModelT
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas import registry as registry_module
from gatling_sid.schemas.domain import Domain
from gatling_sid.validators import TraceValidator
from gatling_sid.validators.checks import CHECKS, run_checks
from gatling_sid.validators.proofs import WORDING_FIELDS, ProvenPlans, plan_keys
from gatling_sid.validators.trace_context import TraceContext
from tests.conftest import CATALOGUE, CREATED_AT
from tests.validators.test_checks import REJECTED, edit, largest, put

WORDLESS = [name for name, check in CHECKS.items() if not check.reads_wording]


@pytest.fixture
def rewordings(library: Domain, oracle: ScenarioOracle) -> tuple[GoldTrace, GoldTrace]:
    """Two traces of one instance, in different words; their plan has four calls."""
    first: dict[tuple[object, object], GoldTrace] = {}
    for index in range(1000):
        trace = oracle.trace(Task(library, "train", index))
        assert isinstance(trace, GoldTrace)
        key = (trace.metadata["scenario"], trace.metadata["instance"])
        if key in first and len(trace.graph.calls) == 4:
            return first[key].model_copy(deep=True), trace.model_copy(deep=True)
        first.setdefault(key, trace)
    raise AssertionError("no case was worded twice")


def key_of(trace: GoldTrace) -> bytes | None:
    """The key under which the proof of a trace is kept."""
    return plan_keys([trace])[0]


def test_another_wording_of_a_proven_plan_is_judged_by_its_words(
    rewordings: tuple[GoldTrace, GoldTrace], validator: TraceValidator
) -> None:
    """It passes if its words are right and fails if they are not, and its plan is not proven again."""
    one, other = rewordings
    proofs = ProvenPlans(validator)
    assert one.request.text != other.request.text
    assert key_of(one) == key_of(other) is not None
    assert proofs.verdicts([one, other]) == [([], []), ([], [])]
    assert proofs.full_proofs == 1

    other.request.text = "Hm."

    assert {each.rule for each in proofs.findings(other)} >= {
        "words_give_the_values",
        "words_follow_from_coordinates",
    }
    assert proofs.full_proofs == 1


def test_an_edit_in_place_is_seen(rewordings: tuple[GoldTrace, GoldTrace], validator: TraceValidator) -> None:
    """A proof is kept by content: a trace that is edited after its proof is judged again."""
    one, _ = rewordings
    proofs = ProvenPlans(validator)
    assert proofs.findings(one) == []

    one.policy.rules[0] = "Anything goes."
    changed = proofs.findings(one)
    one.graph.calls[0].arguments["limit"] = 99

    assert [each.rule for each in changed] == ["policy_is_as_published"]
    assert len(proofs.findings(one)) > 1


@pytest.mark.parametrize(
    "edit",
    [
        lambda policy: policy.rules.append("Nobody may do anything."),
        lambda policy: setattr(policy.constraints[0], "rule", 99),
        lambda policy: policy.constraints.append(Constraint(constraint_id="x", kind="nonsense", rule=0)),
        lambda policy: policy.constraints[0].parameters.update(max_rows={1, 2}),
    ],
)
def test_the_catalogues_own_policy_edited_in_place_is_seen(edit: Callable[[SystemPolicy], object]) -> None:
    """The oracle's traces share a policy; an edit of it is refused by both judges, and unedited traces stay gold."""
    registry_module._domain_of.cache_clear()  # loaded apart: what is broken here is nobody else's
    registry = DomainRegistry(CATALOGUE)
    validator = TraceValidator(registry)
    trace = ScenarioOracle(1, CREATED_AT).trace(Task(registry.domain("library"), "train", 1))
    assert isinstance(trace, GoldTrace)
    right = trace.model_copy(deep=True)
    assert trace.policy is registry.domain("library").family.policy_by_id(trace.policy.policy_id)

    edit(trace.policy)

    for judge in (validator, ProvenPlans(validator)):
        edited, kept = judge.verdicts([trace, right])
        assert edited.findings
        assert kept == ([], [])
    registry_module._domain_of.cache_clear()


def test_a_policy_of_other_types_is_not_taken_for_the_published_one(registry: DomainRegistry) -> None:
    """A policy with True in place of 1 is refused, though the two are equal in Python."""
    library = registry.domain("library")
    policy = library.family.default_policy.model_copy(deep=True)
    assert library.family.own_record(policy) is library.family.default_policy

    policy.constraints[0].rule = False

    assert policy == library.family.default_policy
    assert library.family.own_record(policy) is None


@pytest.mark.parametrize("value", [1.0, True, "1", [1], (1,), None])
def test_values_of_another_type_make_another_plan(rewordings: tuple[GoldTrace, GoldTrace], value: object) -> None:
    """Plans that differ only in 1, 1.0, True or "1", or in list or tuple, have different keys."""
    one, other = rewordings
    one.graph.calls[0].arguments["limit"] = 1
    other.graph.calls[0].arguments["limit"] = value

    assert key_of(one) != key_of(other)


@pytest.mark.parametrize("value", [{1, 2}, datetime(2026, 1, 1), object()], ids=["set", "time", "object"])  # noqa: DTZ001
def test_what_has_no_plain_content_is_proven_each_time(
    rewordings: tuple[GoldTrace, GoldTrace], validator: TraceValidator, value: object
) -> None:
    """A trace that holds such a value is never taken for one that was proven before."""
    proofs = ProvenPlans(validator)
    for trace in rewordings:
        trace.metadata["odd"] = [value]
        assert proofs.findings(trace) == validator.findings(trace)

    assert proofs.full_proofs == 2 or isinstance(value, set)


# --- the two halves of a trace ---------------------------------------------------------------------------------

OWNERS: dict[type, str] = {
    GoldTrace: "",
    UserRequest: "request.",
    ToolCallGraph: "graph.",
    ArgumentSource: "graph.calls.argument_sources.",
    ProvenancePointer: "graph.calls.provenance.",
}
"""Where in a trace the records stand that have words."""
_IN_PLAN = [f"{OWNERS[model]}{field}" for model, fields in WORDING_FIELDS.items() for field in fields]
SAYING = (*_IN_PLAN, *(f"outcome.refused_{each}" for each in _IN_PLAN if each.startswith("graph.")))
RECORDS = (
    ArgumentSource, Constraint, Effect, Goal, GoldTrace, Lure, LuredCall, MeasuredValue, Measurement, Observation, Outcome,
    Principal, ProvenancePointer, ScopeMetadata, Showing, SystemPolicy, ToolCall, ToolCallGraph, UserRequest,
)  # fmt: skip


def altered(data: Any) -> Iterator[tuple[str, Any]]:
    """(dotted path, all of the data with what stands there altered) of every place in plain data."""
    if isinstance(data, dict):
        yield from (
            (f".{key}{path}", {**data, key: each}) for key, value in data.items() for path, each in altered(value)
        )
    elif isinstance(data, list):
        yield "", [*data, data[-1] if data else "x"]
        yield from (
            (path, [*data[:at], each, *data[at + 1 :]]) for at, v in enumerate(data) for path, each in altered(v)
        )
    elif isinstance(data, Enum):
        yield "", next(each for each in type(data) if each is not data)
    elif isinstance(data, bool):
        yield "", not data
    elif isinstance(data, datetime):
        yield "", data + timedelta(days=1)
    elif data is None:
        yield from (("", each) for each in (1, "x", datetime(2026, 1, 1, tzinfo=UTC)))
    else:
        yield "", data + ("x" if isinstance(data, str) else 1)


def everything(gold: list[GoldTrace]) -> Iterator[dict[str, Any]]:
    """Traces as plain data which together have every field."""
    yield from (largest(gold, scenario) for scenario in ("busiest_titles", "overdue_of_member"))
    trace = largest(gold, "renew")
    call = {"tool_id": "library.delete_loan", "arguments": {"loan_id": "L-1"}}
    where = {"call_id": "call_1", "path": "title", "start": 0, "end": 9}
    how = {"aim": "delete", "wants": "a loan deleted", "guise": "plain", "place": "end", "language": "en"}
    refused = {"refused_goal": trace["goal"], "refused_graph": trace["graph"]}
    outcome = {"kind": "declined", "reason": "Rules.", "constraint_id": "renewable", **refused}
    yield {**trace, "lures": [{**where, **how, "calls": [call]}], "outcome": outcome}


def test_a_plan_is_everything_but_the_words(gold: list[GoldTrace]) -> None:
    """A change of any single value changes the key of the plan, unless the value is one of `WORDING_FIELDS`.

    A rule that a call quotes is part of the plan.
    """
    seen: set[str] = set()
    for data in everything(gold):
        key, quoted = key_of(GoldTrace.model_validate(data)), rules_quoted(GoldTrace.model_validate(data))
        for path, other in altered(data):
            with suppress(ValidationError):  # another value would have fitted
                trace = GoldTrace.model_validate(other)
                same_rules = rules_quoted(trace) == quoted
                assert (key_of(trace) == key) == (path[1:].startswith(SAYING) and same_rules), path
                seen.update(path.split("."))
    assert {name for record in RECORDS for name in record.model_fields} - seen == set()


def rules_quoted(trace: GoldTrace) -> list[tuple[str | None] | None]:
    """The policy rule that each call quotes as its reason; None for a call that quotes no rule."""
    refused = trace.outcome.refused_graph if trace.outcome else None
    pointers = [call.provenance for call in (*trace.graph.calls, *(refused.calls if refused else ()))]
    return [(each.content_snippet,) if each and each.source_type is TrustTier.SYSTEM else None for each in pointers]


def test_only_rules_about_words_read_the_words(gold: list[GoldTrace], validator: TraceValidator) -> None:
    """Rules outside the wording check find the same in a trace with and without its words, gold or not."""
    rejected = [case for case in REJECTED if case["violates"] in rules_of(WORDLESS)]
    for case in [{"scenario": "renew"}, *rejected]:
        data = largest(gold, case["scenario"])
        edit(data, case)
        trace = GoldTrace.model_validate(data)
        with_words, without = (
            run_checks(TraceContext(each, validator.registry), WORDLESS) for each in (trace, wordless(trace))
        )
        assert with_words == without
        assert bool(without) == ("violates" in case)


def rules_of(checks: Sequence[str]) -> set[str]:
    """The names of the rules of some checks."""
    return {
        rule.__name__
        for name in checks
        for rule in (*CHECKS[name].rules, *CHECKS[name].domain_rules, *CHECKS[name].replay_rules)
    }


def wordless(trace: GoldTrace) -> GoldTrace:
    """A copy of the trace without the fields of its words; reading one raises AttributeError."""
    calls = [_unsaid(call) for call in trace.graph.calls]
    return _stripped(trace, request=_stripped(trace.request), graph=_stripped(trace.graph, calls=calls))


def _unsaid(call: ToolCall) -> ToolCall:
    sources, pointer = [_stripped(each) for each in call.argument_sources], call.provenance
    if pointer is not None:
        rule = {"content_snippet": pointer.content_snippet} if pointer.source_type is TrustTier.SYSTEM else {}
        pointer = _stripped(pointer, **rule)
    return _stripped(call, argument_sources=sources, provenance=pointer)


def _stripped(record: ModelT, **parts: Any) -> ModelT:
    kept = {name: value for name, value in vars(record).items() if name not in WORDING_FIELDS.get(type(record), ())}
    return construct_trusted(type(record), {**kept, **parts})


@pytest.mark.parametrize("field", ["request", "graph"])
def test_a_trace_without_words_has_none(gold: list[GoldTrace], field: str) -> None:
    """`wordless` removes the words and nothing else; the test above relies on it."""
    bare = wordless(gold[0])
    with pytest.raises(AttributeError):
        _ = (bare.request.text, bare.graph.graph_id)[field == "graph"]
    assert bare.policy == gold[0].policy


# --- many traces -----------------------------------------------------------------------------------------------


def test_proofs_agree_with_the_validator(library: Domain, oracle: ScenarioOracle, validator: TraceValidator) -> None:
    """Gold and tampered wordings judged together get the verdicts that they get alone, with far fewer full proofs."""
    traces = [
        trace for index in range(400) if isinstance(trace := oracle.trace(Task(library, "train", index)), GoldTrace)
    ]
    rng = random.Random(5)
    for at in range(0, 400, 4):
        data = traces[at].model_dump()
        path, value = rng.choice(TAMPERED)
        put(data, path, value)
        traces[at] = GoldTrace.model_validate(data)
    proofs = ProvenPlans(validator)
    together = [each for start in range(0, 400, 50) for each in proofs.verdicts(traces[start : start + 50])]
    reports = [validator.validate_trace(trace)[1] for trace in traces]

    assert [each.findings for each in together] == [validator.findings(trace) for trace in traces]
    assert [not each.findings for each in together] == [report["overall_valid"] for report in reports]
    assert [each == ([], []) for each in together] == [report["validated"] for report in reports]
    assert proofs.full_proofs < 240


TAMPERED: list[tuple[str, Any]] = [
    ("request.text", "Hello"),
    ("request.principal.role", "member"),
    ("graph.calls.0.arguments.limit", 77),
    ("graph.calls.0.scope.rows_requested", "+1"),
    ("graph.calls.0.provenance", None),
    ("policy.rules.0", "Anything goes."),
    ("metadata.today", "2001-01-01"),
    ("metadata.catalogue", "another"),
    ("goal.time_range_days", 400),
]


def test_the_oldest_proofs_are_forgotten_one_by_one(
    library: Domain, oracle: ScenarioOracle, validator: TraceValidator
) -> None:
    """However few plans are kept, verdicts are the same; the last plan is kept, the first is judged in full again."""
    traces = [
        trace for index in range(200) if isinstance(trace := oracle.trace(Task(library, "train", index)), GoldTrace)
    ]
    proofs = ProvenPlans(validator, max_plans_kept=3)

    assert proofs.verdicts(traces) == [([], [])] * 200
    full_proofs = proofs.full_proofs
    for trace, new_proofs in ((traces[-1], 0), (traces[0], 1)):
        assert proofs.verdicts([trace]) == [([], [])]
        assert proofs.full_proofs == full_proofs + new_proofs
