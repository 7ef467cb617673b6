"""What the goals and plans of traces look like: their shapes, their sizes, and where their argument values come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gatling_sid.models import INTENTS, Effect, GoldTrace, ToolCall
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.references import references_in
from gatling_sid.simulator.execution import tools_of

_VALUE_LENGTHS = range(2, 201)
"""Lengths of the values that are looked for in texts: a single character stands in any text by chance."""

_DICTATED = 30
"""Characters from which on a text in a request is a message or a note, and no name."""

PlanShape = tuple[Any, ...]


@dataclass
class PlanCounts:
    """Counts over the traces of a domain; memory grows only with the number of distinct shapes."""

    traces: int = 0
    calls: int = 0
    multi_call: int = 0
    with_data_flow: int = 0
    with_five_calls: int = 0
    values: int = 0
    literal_values: int = 0
    intents: Counter[str] = field(default_factory=Counter)
    dictated: Counter[str] = field(default_factory=Counter)
    scenarios: set[str] = field(default_factory=set)
    goal_shapes: set[PlanShape] = field(default_factory=set)
    plan_shapes: set[PlanShape] = field(default_factory=set)

    def add(self, trace: GoldTrace, domain: Domain, values: frozenset[str]) -> None:
        """Counts a trace; `values` are its argument values, as `values_of_arguments` gives them."""
        calls, text = trace.graph.calls, trace.request.text.lower()
        self.traces += 1
        self.calls += len(calls)
        self.multi_call += len(calls) > 1
        self.with_data_flow += any(references_in(value) for call in calls for value in call.arguments.values())
        self.with_five_calls += len(calls) >= 5
        self.values += len(values)
        self.literal_values += sum(value.lower() in text for value in values)
        self.intents[trace.request.intent_category] += 1
        self.dictated.update(_dictated_texts(calls))
        self.scenarios.add(str(trace.metadata["scenario"]))
        self.goal_shapes.add(goal_shape(trace, domain))
        self.plan_shapes.add(plan_shape(trace))

    def means(self) -> Iterator[tuple[str, float]]:
        """Yields (name, value) of every mean and share."""
        yield "calls per trace", self.calls / self.traces
        yield "two or more calls", self.multi_call / self.traces
        yield "data flow, of two or more calls", self.with_data_flow / max(1, self.multi_call)
        yield "five or more calls", self.with_five_calls / self.traces
        yield "argument values literally in the text", self.literal_values / max(1, self.values)
        yield "most frequent dictated text", max(self.dictated.values(), default=0) / self.traces
        for intent in INTENTS:
            yield f"intent {intent}", self.intents[intent] / self.traces


def _dictated_texts(calls: Sequence[ToolCall]) -> set[str]:
    """The messages and notes that a request states word for word; addresses are no words."""
    values = (
        call.arguments[each.argument] for call in calls for each in call.argument_sources if each.origin == "request"
    )
    return {each for each in values if isinstance(each, str) and len(each) >= _DICTATED and " " in each}


def values_of_arguments(trace: GoldTrace) -> frozenset[str]:
    """The different values that the arguments of all calls hold, as text; references to earlier results are values too."""
    texts = (str(leaf) for call in trace.graph.calls for leaf in _leaves(call.arguments))
    return frozenset(text for text in texts if len(text) in _VALUE_LENGTHS)


def _leaves(value: object) -> Iterator[object]:
    match value:
        case Mapping():
            for each in value.values():
                yield from _leaves(each)
        case list():
            for each in value:
                yield from _leaves(each)
        case str() | int() | float() if not isinstance(value, bool):
            yield value


def plan_shape(trace: GoldTrace) -> PlanShape:
    """The tools of a plan and its edges, by position."""
    position = {call.call_id: at for at, call in enumerate(trace.graph.calls)}
    return tuple((call.tool_id, tuple(position[each] for each in call.dependencies)) for call in trace.graph.calls)


def goal_shape(trace: GoldTrace, domain: Domain) -> PlanShape:
    """What is asked for without its values: fields of conditions, fields shown, measures, and effects with their fields.

    Every part names its entity.
    """
    goal = trace.goal
    assert goal is not None
    return (
        frozenset(field for call in trace.graph.calls for field in _condition_fields(call, domain)),
        frozenset((each.entity, frozenset(each.fields)) for each in goal.shows),
        frozenset((each.entity, each.measure, each.field, each.group_by) for each in goal.measures),
        frozenset((each.kind, each.entity, _fields_of_effect(each)) for each in goal.effects),
    )


def _condition_fields(call: ToolCall, domain: Domain) -> Iterator[tuple[str, str | None]]:
    """(entity, field) of each filter that a call gives."""
    tool = tools_of(domain)[call.tool_id].tool
    for name in call.arguments:
        if tool.parameters[name].does == "filter":
            yield tool.entity, tool.parameters[name].field


def _fields_of_effect(effect: Effect) -> frozenset[str]:
    """The fields that an effect changes or, for an export, those that it exports."""
    return frozenset(effect.changes["fields"] if effect.kind == "export" else effect.changes)
