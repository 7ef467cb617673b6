"""Very large traces are judged, or refused, in linear time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder.judging import Tally, judge_source
from builder.sources import open_source
from gatling_sid.errors import TraceFormatError
from gatling_sid.models import (
    ArgumentSource,
    Constraint,
    Effect,
    GoldTrace,
    ProvenancePointer,
    ScopeMetadata,
    Showing,
    ToolCall,
    ToolCallGraph,
    TrustTier,
)
from gatling_sid.validators import TraceValidator, size
from gatling_sid.validators.checks import CHECKS, MAX_MESSAGE_LENGTH, MAX_MESSAGES, findings_of_check, run_checks
from gatling_sid.validators.trace_context import TraceContext
from tests.validators.test_ad_hoc import bakery

SECONDS = 2.0
"""Of CPU; the slowest of these takes a tenth."""


def of_calls(calls: list[ToolCall], constraints: list[Constraint] | None = None) -> GoldTrace:
    """A trace that executes these calls in this order."""
    trace = bakery()
    trace.graph = ToolCallGraph(graph_id="g", calls=calls, execution_order=[call.call_id for call in calls])
    trace.policy.constraints = constraints or []
    return trace


def chain(length: int, **fields: Any) -> list[ToolCall]:
    """Calls of which each waits for the one before."""
    return [
        ToolCall(call_id=f"c{at}", tool_id="x.y", dependencies=[f"c{at - 1}"] if at else [], **fields)
        for at in range(length)
    ]


def limits(number: int, kind: str = "row_limit", **parameters: Any) -> list[Constraint]:
    """So many constraints that every plan keeps."""
    named = parameters or {"max_rows": 9}
    return [Constraint(constraint_id=f"k{at}", kind=kind, rule=0, parameters=named) for at in range(number)]


def with_argument(value: Any) -> GoldTrace:
    """A trace with this argument."""
    trace = bakery()
    trace.graph.calls[0].arguments["limit"] = value
    return trace


def nested(depth: int) -> list[Any]:
    """A list within a list within a list."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def many_arguments() -> GoldTrace:
    """A call with 8,000 arguments, each with its source."""
    calls = chain(2)
    calls[0].arguments = {f"a{at}": at for at in range(8000)}
    calls[0].argument_sources = [
        ArgumentSource(argument=f"a{at}", origin="policy", reference="x.y") for at in range(8000)
    ]
    return of_calls(calls)


def reference_chain() -> GoldTrace:
    """3,000 calls of which each takes a value from the one before."""
    calls = chain(3000)
    for at in range(1, 3000):
        calls[at].arguments = {"a": f"$c{at - 1}.items[0].x"}
    return of_calls(calls)


def all_wait_for(length: int, number: int) -> GoldTrace:
    """Calls that wait for each of the first ones."""
    calls = [ToolCall(call_id=f"c{at}", tool_id="x.y") for at in range(length)]
    first = [call.call_id for call in calls[:number]]
    for at, call in enumerate(calls):
        call.dependencies = first[:at]
    return of_calls(calls)


def long_quotes() -> GoldTrace:
    """10,000 calls that each quote most of a long request, and not quite."""
    pointer = ProvenancePointer(source_type=TrustTier.USER, source_id="r1", content_snippet="a" * 19_000 + "b")
    trace = of_calls([ToolCall(call_id=f"c{at}", tool_id="x.y", provenance=pointer) for at in range(10_000)])
    trace.request.text = "a" * 20_000
    return trace


def circle() -> GoldTrace:
    """10,000 calls in a circle."""
    calls = chain(10_000)
    calls[0].dependencies = ["c9999"]
    return of_calls(calls)


MONSTERS: list[tuple[str, Callable[[], GoldTrace], str | None]] = [
    ("3,000 calls, 3,000 constraints", lambda: of_calls(chain(3000), limits(3000)), "parts_are_bounded"),
    ("3,000 calls, 60 constraints", lambda: of_calls(chain(3000), limits(60)), None),
    ("3,000 calls, 60 limits of nothing", lambda: of_calls(chain(3000, scope=ScopeMetadata(rows_requested=5)),
                                                             limits(60, max_rows=0)), "constraints_hold"),
    ("constraints that allow much", lambda: of_calls(chain(900), limits(1, "export_sensitivity", max_tier="internal",
                                                     targets=[f"t{at}" for at in range(200)])), None),
    ("constraints that allow too much", lambda: of_calls(chain(900), limits(9, "export_targets",
                                                         allowed=[f"t{at}" for at in range(200)])), "parts_are_bounded"),
    ("8,000 arguments", many_arguments, None),
    ("a list of 27 million numbers", lambda: with_argument([0] * 27_000_000), "values_are_small"),
    ("27 million numbers in lists", lambda: with_argument([[0] * 9_000] * 3_000), "values_are_small"),
    ("nesting without end", lambda: with_argument(nested(100_000)), "values_are_small"),
    ("a reference chain of 3,000", reference_chain, None),
    ("a path of 3,000 steps", lambda: with_argument("$b" + ".x" * 3000), "references_are_dependencies"),
    ("3,000 dependencies each", lambda: all_wait_for(3000, 3000), "parts_are_bounded"),
    ("400 dependencies each", lambda: all_wait_for(400, 400), None),
    ("a circle of 10,000 calls", circle, "graph_is_acyclic"),
    ("long quotes", long_quotes, None),
    ("a number of 6,000 digits", lambda: with_argument(10**6000), "values_are_small"),
]  # fmt: skip


@pytest.mark.parametrize(("monster", "rule"), [each[1:] for each in MONSTERS], ids=[each[0] for each in MONSTERS])
def test_monsters_are_judged_in_linear_time(monster: Callable[[], GoldTrace], rule: str | None) -> None:
    """Each very large trace gets its verdict within two seconds; if it is refused, then by the rule given."""
    trace = monster()
    start = time.process_time()
    valid, report = TraceValidator().validate_trace(trace)
    seconds = time.process_time() - start
    messages = [str(each) for check in report["checks"].values() for key in ("errors", "violations", "warnings")
                for each in check.get(key, ())]  # fmt: skip

    assert seconds < SECONDS
    assert (valid, [each.partition(":")[0] for each in messages[:1]]) == (rule is None, [rule] if rule else [])


LINES: list[tuple[str, Callable[[], bytes], str]] = [
    ("27 million numbers", lambda: b'{"metadata": {"x": [' + b"0," * 27_000_000 + b"0]}}", "is longer than 10,000,000 bytes"),
    ("four million numbers", lambda: b'{"metadata": {"x": [' + b"0," * 4_000_000 + b"0]}}", "trace_id: Field required"),
    ("nesting without end", lambda: b'{"metadata": ' + b'{"x":' * 1_000_000, "is not the JSON object of a trace"),
    ("a number without end", lambda: b'{"metadata": {"x": ' + b"9" * 1_000_000 + b"}}", "is not the JSON object of a trace"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "says"), [each[1:] for each in LINES], ids=[each[0] for each in LINES])
def test_monstrous_lines_are_refused_in_linear_time(line: Callable[[], bytes], says: str, tmp_path: Path) -> None:
    """A line that is too large to be a trace is named within two seconds, without reading it to its end."""
    (tmp_path / "x.jsonl").write_bytes(line())
    start = time.process_time()
    with pytest.raises(TraceFormatError, match=rf"^x\.jsonl, line 1: {says}"):
        list(judge_source(open_source(str(tmp_path / "x.jsonl"))))

    assert time.process_time() - start < SECONDS


def test_monsters_in_lines_are_judged_in_linear_time(tmp_path: Path) -> None:
    """A very large trace that is read from a line gets the same verdict, in the same time."""
    for name, monster, rule in MONSTERS:
        if name.startswith(("27", "a list of 27", "nesting", "3,000 dep", "a number", "long quotes")):
            continue  # as lines, too long to be read: see above
        (tmp_path / "x.jsonl").write_text(monster().model_dump_json())
        start = time.process_time()
        tally = sum(judge_source(open_source(str(tmp_path / "x.jsonl"))), Tally())

        assert time.process_time() - start < SECONDS, name
        assert list(tally.rejected_by_rule) == ([rule] if rule else []), name


def test_a_trace_at_the_bounds_is_judged(gold: list[GoldTrace], validator: TraceValidator) -> None:
    """A trace at a bound is accepted; one beyond it is refused with a message that says how much is allowed."""
    trace = gold[0].model_copy(deep=True)
    trace.request.text = "x" * size.MAX_TEXT
    trace.metadata["values"] = [0] * 40_000
    trace.metadata["deep"] = nested(size.MAX_DEPTH - 2)
    assert run_checks(TraceContext(trace, validator.registry), ("length", "size")) == []

    trace.request.text += "x"
    trace.metadata["deep"] = nested(size.MAX_DEPTH)
    assert [str(each) for each in findings_of_check(TraceContext(trace, validator.registry), "length")] == [
        "request_is_short: the request has 20,001 characters; at most 20,000 are allowed"
    ]
    assert [str(each) for each in findings_of_check(TraceContext(trace, validator.registry), "size")] == [
        "values_are_small: arguments, scopes, attributes, limits, parameters and metadata are nested deeper than 16 levels"
    ]


def test_goals_are_bounded_too(gold: list[GoldTrace], validator: TraceValidator) -> None:
    """The cells that a goal shows and the rows that it changes are bounded."""
    for part in (
        {"shows": [Showing(entity="member", rows=["x"] * 500, fields=["y"] * 500)]},
        {"effects": [Effect(kind="delete", entity="member", rows=["x"] * 200_001)]},
    ):
        assert gold[0].goal is not None
        trace = gold[0].model_copy(update={"goal": gold[0].goal.model_copy(update=part)})
        assert [each.rule for each in validator.findings(trace)] == ["parts_are_bounded"]


def test_of_many_breaches_the_first_are_reported() -> None:
    """A report is limited in the number and length of messages, however often a rule is broken."""
    name = "x" * 5_000
    trace = of_calls([ToolCall(call_id=f"c{at}", tool_id="x.y", dependencies=[name]) for at in range(1_000)])
    _, report = TraceValidator().validate_trace(trace)
    messages = report["checks"]["structure"]["errors"]

    assert len(messages) == MAX_MESSAGES
    assert all(len(each) <= MAX_MESSAGE_LENGTH + len("dependencies_exist: ") for each in messages)
    assert [
        report["checks"][check].get("skipped") for check in CHECKS if check not in ("length", "size", "structure")
    ] == ["the structure is broken"] * (len(CHECKS) - 3)
