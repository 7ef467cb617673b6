"""A trace as the answer that would have made it: what the worked examples of a prompt show.

The inverse of `grounding.trace_of`; an example is used only if the way back gives the same goal and the same calls.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gatling_sid.models import Effect, Goal, GoldTrace, ToolCall, TrustTier
from gatling_sid.oracle.claude.plans.answers import (
    ArgumentAnswer,
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
from gatling_sid.schemas.references import ALL, Reference, reference_in, references_in
from gatling_sid.simulator.execution import Execution, digest_of, execute, tools_of
from gatling_sid.simulator.operations import CallResult, CompiledTool
from gatling_sid.simulator.world import World

_LONGEST_QUOTE = 60
"""Longer ones are left out, which stands for the whole request: every word of an answer is paid for."""
_NAMED_BY = ("id", "ref", "email")
_TESTS = {
    "equals": "is",
    "contains": "contains",
    "one_of": "in",
    "at_least": "at_least",
    "at_most": "at_most",
    "since": "at_least",
    "until": "at_most",
    "within_days": "within_days",
    "next_days": "next_days",
}


def plan_from_trace(trace: GoldTrace, world: World) -> PlanAnswer:
    """The answer that a trace of ours corresponds to."""
    execution = execute(trace.graph.calls, world)
    return PlanAnswer(item=1, reworded="", goal=GoalReader(trace, world, execution).meant(), calls=[*_calls(trace)])


def as_json(value: Any) -> str:
    """A value as `value_json` holds it."""
    return json.dumps(value, ensure_ascii=False)


# --- calls -----------------------------------------------------------------------------------------------------


def _calls(trace: GoldTrace) -> Iterator[CallAnswer]:
    rules = {trace.policy.rules[each.rule]: each.constraint_id for each in trace.policy.constraints}
    for call in trace.graph.calls:
        pointer = call.provenance
        snippet = (pointer.content_snippet if pointer else None) or ""
        demanded = pointer is not None and pointer.source_type is TrustTier.SYSTEM
        used = {each.root for value in call.arguments.values() for each in references_in(value)}
        yield CallAnswer(
            id=call.call_id,
            tool=call.tool_id.partition(".")[2],
            arguments=[*_arguments(call, trace.request.text)],
            after=[each for each in call.dependencies if each not in used],
            rule=rules[snippet] if demanded else "",
            quote="" if demanded or len(snippet) > _LONGEST_QUOTE else snippet,
        )


def _arguments(call: ToolCall, text: str) -> Iterator[ArgumentAnswer]:
    for source in call.argument_sources:
        where = text[source.start : source.end] if source.origin == "request" else source.reference or ""
        origin: Any = source.origin
        value = as_json(call.arguments[source.argument])
        yield ArgumentAnswer(name=source.argument, value_json=value, source=origin, where=where)


# --- goal ------------------------------------------------------------------------------------------------------


class GoalReader:
    """The goal of a trace, its rows told by the conditions under which its calls found them."""

    def __init__(self, trace: GoldTrace, world: World, execution: Execution) -> None:
        self.goal = trace.goal or Goal()
        self.world, self.execution = world, execution
        self.tools = tools_of(world.domain)
        self.calls = trace.graph.calls
        self.text = trace.request.text
        values = [each for call in self.calls for value in call.arguments.values() for each in references_in(value)]
        self.singled = {each.root for each in values if each.path[:2] == ("items", 0)}
        """Calls of whose rows the first is meant, as the only one."""
        self.selections: dict[str, SelectionAnswer] = {}
        self.rows: dict[str, tuple[str, list[str]]] = {}
        for call in self.calls:
            outcome = execution.results.get(call.call_id)
            tool = self.tools[call.tool_id]
            if outcome and outcome.rows and tool.tool.operation in ("list", "get", "aggregate", "export"):
                self._add(call, tool, outcome)

    def meant(self) -> GoalAnswer:
        """The goal as it would be answered; selections that nothing needs are left out."""
        goal = self.goal
        shows = [ShowingAnswer(selection=self._of(s.entity, s.rows), fields=s.fields) for s in goal.shows]
        measures = [
            MeasureAnswer(
                selection=self._of(m.entity, None, m.rows_digest),
                measure=m.measure,
                field=m.field or "",
                group_by=m.group_by or "",
                top=self._top(m.group_by, len(m.values)),
            )
            for m in goal.measures
        ]
        effects = [self._effect(each) for each in goal.effects]
        used = {e.selection for e in shows} | {e.selection for e in measures} | {e.selection for e in effects}
        said = " ".join([*(e.target for e in effects), *(c.value_json for e in effects for c in e.changes)])
        used |= {name for name in self.selections if f"${name}." in said}
        return GoalAnswer(
            selections=[*self._needed(used)],
            shows=shows,
            measures=measures,
            effects=effects,
            time_range_days=goal.time_range_days or 0,
        )

    def _needed(self, used: set[str]) -> list[SelectionAnswer]:
        kept: list[SelectionAnswer] = []
        for each in reversed(self.selections.values()):
            if each.name in used:
                kept.append(each)
                used |= {other for other in self.selections if any(f"${other}." in c.value_json for c in each.where)}
        return kept[::-1]

    # Selections

    def _add(self, call: ToolCall, tool: CompiledTool, outcome: CallResult) -> None:
        keys = [key for key, _ in outcome.rows]
        if (tool.entity, keys) in self.rows.values():
            return
        name, limit = f"found{len(self.selections) + 1}", tool.by_role.get("limit", "")
        cut = limit in call.arguments and outcome.measured is None
        self.selections[name] = SelectionAnswer(
            name=name,
            entity=tool.entity,
            one=len(keys) == 1 and (tool.tool.operation == "get" or call.call_id in self.singled),
            where=[*self._conditions(call, tool)],
            order=(tool.tool.order or "") if cut else "",
            first=len(keys) if cut else 0,
        )
        self.rows[name] = (tool.entity, keys)

    def _conditions(self, call: ToolCall, tool: CompiledTool) -> Iterator[ConditionAnswer]:
        fields = {name: (field, _TESTS[match]) for name, field, match in tool.filters}
        fields |= {
            tool.by_role[r]: (tool.key_field, t) for r, t in (("key", "is"), ("keys", "in")) if r in tool.by_role
        }
        for name, value in call.arguments.items():
            if name in fields:
                field, test = fields[name]
                told: Any = self._linked(value, self.execution.arguments[call.call_id][name])
                yield ConditionAnswer(field=field, test=test, value_json=as_json(told))

    def _linked(self, value: Any, resolved: Any) -> Any:
        """A reference to a call's result as one to the selection of its rows, where there is one."""
        reference = reference_in(value)
        if reference is None:
            return value
        selection = self._selection_of_call(reference)
        field = reference.path[-1]
        if selection is None or not isinstance(field, str) or field == ALL or field in ("count", "value"):
            return resolved
        return f"${selection}.{field}" if self.selections[selection].one != isinstance(resolved, list) else resolved

    def _selection_of_call(self, reference: Reference) -> str | None:
        outcome = self.execution.results[reference.root]
        rows = (outcome.entity, [key for key, _ in outcome.rows])
        return next((name for name, each in self.rows.items() if each == rows), None)

    def _of(self, entity: str, rows: list[str] | None, digest: str = "") -> str:
        for name, (other, keys) in self.rows.items():
            if other == entity and (sorted(keys) == sorted(rows) if rows is not None else digest_of(keys) == digest):
                return name
        return self._by_key(entity, rows or [])

    def _by_key(self, entity: str, rows: list[str]) -> str:
        name = f"found{len(self.selections) + 1}"
        key = self.world.domain.file.entities[entity].key
        condition = ConditionAnswer(field=key, test="in", value_json=as_json(rows))
        self.selections[name] = SelectionAnswer(
            name=name, entity=entity, one=len(rows) == 1, where=[condition], order="", first=0
        )
        self.rows[name] = (entity, rows)
        return name

    def _top(self, group_by: str | None, values: int) -> int:
        limits = [self.tools[call.tool_id].by_role.get("limit", "") in call.arguments for call in self.calls]
        return values if group_by and any(limits) else 0

    # Effects

    def _effect(self, effect: Effect) -> EffectAnswer:
        export, about = effect.kind == "export", effect.kind != "create" and bool(effect.rows)
        changes: Mapping[str, Any] = {n: v for n, v in effect.changes.items() if not (export and n == "fields")}
        return EffectAnswer(
            kind=effect.kind,
            entity=effect.entity,
            selection=self._of(effect.entity, effect.rows) if about else "",
            changes=[
                FieldValueAnswer(field=name, value_json=as_json(self._named(value))) for name, value in changes.items()
            ],
            fields=effect.changes["fields"] if export else [],
            target=str(self._named(effect.target or "")),
        )

    def _named(self, value: Any) -> Any:
        """A number or address that the request does not say, by the selection that has it."""
        if not isinstance(value, str) or not value or value in self.text:
            return value
        for name, (entity, keys) in self.rows.items():
            if self.selections[name].one:
                spec, row = self.world.domain.file.entities[entity], self.world.tables[entity].get(keys[0], {})
                for field, each in spec.fields.items():
                    if each.type in _NAMED_BY and row.get(field) == value:
                        return f"${name}.{field}"
        return value
