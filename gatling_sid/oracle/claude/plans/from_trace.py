"""Converts a trace to the answer that gives it, for the worked examples of a prompt.

This is the inverse of `to_trace.trace_from_plan`; a trace is used as an example only if its answer gives the same goal
and the same arguments again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gatling_sid.models import ArgumentSource, Effect, Goal, GoldTrace, ToolCall, TrustTier
from gatling_sid.oracle.claude.plans.answers import (
    ArgumentAnswer,
    BadAnswerError,
    CallAnswer,
    ConditionAnswer,
    EffectAnswer,
    FieldValueAnswer,
    GoalAnswer,
    MeasureAnswer,
    PlanAnswer,
    SelectionAnswer,
    ShowingAnswer,
)
from gatling_sid.schemas.conditions import CONDITION_OF_MATCH, ConditionTest
from gatling_sid.schemas.references import ALL_ELEMENTS, Reference, reference_in, references_in
from gatling_sid.schemas.tool_ids import tool_name_in
from gatling_sid.simulator.compiled_tools import CompiledTool
from gatling_sid.simulator.execution import Execution, digest_of, execute, tools_of
from gatling_sid.simulator.operations import CallResult
from gatling_sid.simulator.world import World

_MAX_QUOTE_LENGTH = 60
"""In characters. Longer quotes are left empty, which means the whole request, since every word of an answer costs tokens."""
_IDENTIFYING_TYPES = ("id", "ref", "email")
_TESTS_OF_KEYS: tuple[tuple[str, ConditionTest], ...] = (("key", "is"), ("keys", "in"))
"""The condition test that corresponds to a parameter for keys, by what the parameter does."""


def plan_from_trace(trace: GoldTrace, world: World) -> PlanAnswer:
    """The answer that gives this trace; its calls must be executable in `world`.

    Raises:
        BadAnswerError: no answer gives it, since answers serve requests in full, with values that they can point to.

    """
    if trace.outcome is not None and trace.outcome.kind != "served":
        raise BadAnswerError(f"no answer states that a request is {trace.outcome.kind}")
    if not trace.graph.calls:
        raise BadAnswerError("no answer states that there is nothing to call")
    for call in trace.graph.calls:
        for source in call.argument_sources:
            if not _can_be_stated(source, call):
                raise BadAnswerError(
                    f"no answer states a text, or a value read in one: {call.call_id}.{source.argument}"
                )
    execution = execute(trace.graph.calls, world)
    return PlanAnswer(
        item=1,
        reworded="",
        goal=_GoalReader(trace, world, execution).answer(),
        calls=[*_calls(trace, world.domain.slug)],
    )


def _can_be_stated(source: ArgumentSource, call: ToolCall) -> bool:
    """Whether an answer has a form for this source: values of calls are passed on as they are, by a reference."""
    if source.origin == "call":
        return bool(references_in(call.arguments.get(source.argument)))
    return source.origin != "composed"


def as_json(value: Any) -> str:
    """A value as the JSON text of a `value_json`."""
    return json.dumps(value, ensure_ascii=False)


# --- calls -----------------------------------------------------------------------------------------------------


def _calls(trace: GoldTrace, slug: str) -> Iterator[CallAnswer]:
    rules = {trace.policy.rules[each.rule]: each.constraint_id for each in trace.policy.constraints}
    for call in trace.graph.calls:
        provenance = call.provenance
        snippet = (provenance.content_snippet if provenance else None) or ""
        is_from_rule = provenance is not None and provenance.source_type is TrustTier.SYSTEM
        referenced = {each.root for value in call.arguments.values() for each in references_in(value)}
        yield CallAnswer(
            id=call.call_id,
            tool=tool_name_in(slug, call.tool_id),
            arguments=[*_arguments(call, trace.request.text)],
            after=[each for each in call.dependencies if each not in referenced],
            rule=rules[snippet] if is_from_rule else "",
            quote="" if is_from_rule or len(snippet) > _MAX_QUOTE_LENGTH else snippet,
        )


def _arguments(call: ToolCall, text: str) -> Iterator[ArgumentAnswer]:
    for source in call.argument_sources:
        where = text[source.start : source.end] if source.origin == "request" else source.reference or ""
        origin: Any = source.origin
        value = as_json(call.arguments[source.argument])
        yield ArgumentAnswer(name=source.argument, value_json=value, source=origin, where=where)


# --- goal ------------------------------------------------------------------------------------------------------


class _GoalReader:
    """States the goal of a trace by conditions, which are those of the calls that returned the rows."""

    def __init__(self, trace: GoldTrace, world: World, execution: Execution) -> None:
        self.goal = trace.goal or Goal()
        self.world, self.execution = world, execution
        self.tools = tools_of(world.domain)
        self.calls = trace.graph.calls
        self.text = trace.request.text
        values = [each for call in self.calls for value in call.arguments.values() for each in references_in(value)]
        self.single_row_calls = {each.root for each in values if each.path[:2] == ("items", 0)}
        """Calls that should find one row, since a reference takes the first of their items."""
        self.selections: dict[str, SelectionAnswer] = {}
        self.rows: dict[str, tuple[str, list[str]]] = {}
        for call in self.calls:
            result = execution.results.get(call.call_id)
            tool = self.tools[call.tool_id]
            if result and result.rows and tool.tool.operation in ("list", "get", "aggregate", "export"):
                self._add_selection(call, tool, result)

    def answer(self) -> GoalAnswer:
        """The goal as an answer states it, without selections that are not needed."""
        goal = self.goal
        shows = [
            ShowingAnswer(selection=self._selection_of_rows(s.entity, s.rows), fields=s.fields) for s in goal.shows
        ]
        measures = [
            MeasureAnswer(
                selection=self._selection_of_rows(m.entity, None, m.rows_digest),
                measure=m.measure,
                field=m.field or "",
                group_by=m.group_by or "",
                top=self._top(m.group_by, len(m.values)),
            )
            for m in goal.measures
        ]
        effects = [self._effect(each) for each in goal.effects]
        used = {e.selection for e in shows} | {e.selection for e in measures} | {e.selection for e in effects}
        values = " ".join([*(e.target for e in effects), *(c.value_json for e in effects for c in e.changes)])
        used |= {name for name in self.selections if f"${name}." in values}
        return GoalAnswer(
            selections=[*self._needed_selections(used)],
            shows=shows,
            measures=measures,
            effects=effects,
            time_range_days=goal.time_range_days or 0,
        )

    def _needed_selections(self, used: set[str]) -> list[SelectionAnswer]:
        needed: list[SelectionAnswer] = []
        for each in reversed(self.selections.values()):
            if each.name in used:
                needed.append(each)
                used |= {other for other in self.selections if any(f"${other}." in c.value_json for c in each.where)}
        return needed[::-1]

    # Selections

    def _add_selection(self, call: ToolCall, tool: CompiledTool, result: CallResult) -> None:
        keys = [key for key, _ in result.rows]
        if (tool.entity, keys) in self.rows.values():
            return
        name, limit = f"found{len(self.selections) + 1}", tool.parameter_for.get("limit", "")
        is_limited = limit in call.arguments and result.measured_rows is None
        self.selections[name] = SelectionAnswer(
            name=name,
            entity=tool.entity,
            one=len(keys) == 1 and (tool.tool.operation == "get" or call.call_id in self.single_row_calls),
            where=[*self._conditions(call, tool)],
            order=(tool.order(call.arguments) or "") if is_limited else "",
            first=len(keys) if is_limited else 0,
        )
        self.rows[name] = (tool.entity, keys)

    def _conditions(self, call: ToolCall, tool: CompiledTool) -> Iterator[ConditionAnswer]:
        fields = {name: (field, CONDITION_OF_MATCH[match].answer_name) for name, field, match in tool.filters}
        fields |= {
            tool.parameter_for[r]: (tool.key_field, test) for r, test in _TESTS_OF_KEYS if r in tool.parameter_for
        }
        for name, value in call.arguments.items():
            if name in fields:
                field, test = fields[name]
                resolved = self.execution.arguments[call.call_id][name]
                value_json = as_json(self._as_selection_reference(value, resolved))
                yield ConditionAnswer(field=field, test=test, value_json=value_json)

    def _as_selection_reference(self, value: Any, resolved: Any) -> Any:
        """Replaces a reference to a call's result by one to the selection with the same rows, or else by the resolved value."""
        reference = reference_in(value)
        if reference is None:
            return value
        selection = self._selection_of_call(reference)
        field = reference.path[-1]
        if selection is None or not isinstance(field, str) or field == ALL_ELEMENTS or field in ("count", "value"):
            return resolved
        return f"${selection}.{field}" if self.selections[selection].one != isinstance(resolved, list) else resolved

    def _selection_of_call(self, reference: Reference) -> str | None:
        result = self.execution.results[reference.root]
        rows = (result.entity, [key for key, _ in result.rows])
        return next((name for name, each in self.rows.items() if each == rows), None)

    def _selection_of_rows(self, entity: str, rows: list[str] | None, digest: str = "") -> str:
        for name, (other, keys) in self.rows.items():
            if other == entity and (sorted(keys) == sorted(rows) if rows is not None else digest_of(keys) == digest):
                return name
        return self._add_selection_by_key(entity, rows or [])

    def _add_selection_by_key(self, entity: str, rows: list[str]) -> str:
        name = f"found{len(self.selections) + 1}"
        key = self.world.domain.file.entities[entity].key
        condition = ConditionAnswer(field=key, test="in", value_json=as_json(rows))
        self.selections[name] = SelectionAnswer(
            name=name, entity=entity, one=len(rows) == 1, where=[condition], order="", first=0
        )
        self.rows[name] = (entity, rows)
        return name

    def _top(self, group_by: str | None, values: int) -> int:
        limits = [self.tools[call.tool_id].parameter_for.get("limit", "") in call.arguments for call in self.calls]
        return values if group_by and any(limits) else 0

    # Effects

    def _effect(self, effect: Effect) -> EffectAnswer:
        export, has_rows = effect.kind == "export", effect.kind != "create" and bool(effect.rows)
        changes: Mapping[str, Any] = {n: v for n, v in effect.changes.items() if not (export and n == "fields")}
        return EffectAnswer(
            kind=effect.kind,
            entity=effect.entity,
            selection=self._selection_of_rows(effect.entity, effect.rows) if has_rows else "",
            changes=[
                FieldValueAnswer(field=name, value_json=as_json(self._as_selection_field(value)))
                for name, value in changes.items()
            ],
            fields=effect.changes["fields"] if export else [],
            target=str(self._as_selection_field(effect.target or "")),
        )

    def _as_selection_field(self, value: Any) -> Any:
        """Replaces a value that the request does not state by a reference to the selected row that has it as a key or email."""
        if not isinstance(value, str) or not value or value in self.text:
            return value
        for name, (entity, keys) in self.rows.items():
            if self.selections[name].one:
                spec, row = self.world.domain.file.entities[entity], self.world.tables[entity].get(keys[0], {})
                for field, each in spec.fields.items():
                    if each.type in _IDENTIFYING_TYPES and row.get(field) == value:
                        return f"${name}.{field}"
        return value
