"""Converts a goal as Claude states it to a goal in terms of rows of the simulated world.

Claude states by conditions which rows are meant. The rows, and the values of measures over them, are computed with the
code that also computes the goals of the embedded oracle.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from gatling_sid.models import Goal
from gatling_sid.oracle.claude.plans.answers import (
    BadAnswerError,
    ConditionAnswer,
    EffectAnswer,
    FieldValueAnswer,
    GoalAnswer,
    MeasureAnswer,
    SelectionAnswer,
    parse_value,
)
from gatling_sid.oracle.claude.plans.request_context import RequestContext
from gatling_sid.scenarios.drawing import Bindings, NoDrawError, draw, evaluate
from gatling_sid.scenarios.goals import goal_of
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.conditions import CONDITION_OF_TEST, PLAIN, Operand
from gatling_sid.schemas.domain import Domain
from gatling_sid.seeding import stream
from gatling_sid.simulator.arguments import has_json_type

# More than a century; dates that are farther from today may be outside the calendar.
_MAX_DAYS = 40_000
# More rows than any table of a world has.
_MAX_ROWS = 5000
_RESERVED_NAMES = ("principal", "policy", "number")


def goal_from_answer(answer: GoalAnswer, context: RequestContext) -> Goal:
    """The goal in terms of rows of the context's world.

    Raises:
        BadAnswerError: the answer names something unknown, selects no rows, or compares values of different types.

    """
    try:
        return _GoalBuilder(answer, context).goal()
    except NoDrawError as error:
        raise BadAnswerError(f"goal: {error}") from None


class _GoalBuilder:
    """Builds a goal as a domain file would declare it: each selection becomes a draw, which may refer to earlier ones."""

    def __init__(self, answer: GoalAnswer, context: RequestContext) -> None:
        self.answer, self.context, self.domain = answer, context, context.domain
        self.bindings: Bindings = {"principal": context.principal.attributes, "policy": {}}
        self.draws: dict[str, c.Draw] = {}
        for each in answer.selections:
            if each.name in self.draws or each.name in _RESERVED_NAMES:
                raise BadAnswerError(f"goal: the selection name {each.name!r} is already in use; choose another one")
            self._select(each)

    def goal(self) -> Goal:
        """The goal in terms of rows."""
        answer = self.answer
        spec = c.ScenarioGoal(
            shows=[
                c.GoalShowing(
                    rows=self._check_selection(each.selection), fields=self._check_fields(each.selection, each.fields)
                )
                for each in answer.shows
            ],
            measures=[self._measure(at, each) for at, each in enumerate(answer.measures)],
            effects=[self._effect(each) for each in answer.effects],
            time_range=self._bind_number("time_range", answer.time_range_days),
        )
        if not (spec.shows or spec.measures or spec.effects):
            raise BadAnswerError("goal: it is empty; something must be shown, measured or changed")
        goal = goal_of(self._scenario(spec), self.domain, self.bindings, frozenset())
        return Goal.model_validate(goal.model_dump())  # values of the answer were not checked before

    def _scenario(self, goal: c.ScenarioGoal) -> c.Scenario:
        senders = [each.entity for each in self.answer.effects if each.kind == "send" and not each.selection]
        tools = self.domain.file.tools.items()
        plan = [c.Step(step=n, tool=n) for n, t in tools if t.operation == "send" and t.entity in senders]
        if senders and not plan:
            raise BadAnswerError(f"goal: nothing can be sent about {senders[0]}")
        intent: Any = self.context.intent
        roles = [self.context.principal.role]
        return c.Scenario(intent=intent, roles=roles, draw=self.draws, goal=goal, plan=plan, phrasings=[])

    # Selections

    def _select(self, selection: SelectionAnswer) -> None:
        entity = self._check_entity(selection.entity)
        where: dict[str, Any] = {}
        for each in selection.where:
            _check_field(each.field, self.domain, entity)
            where.setdefault(each.field, {}).update(self._condition(each, entity))
        order = selection.order or None
        if order is not None:
            _check_field(order.removeprefix("-"), self.domain, entity)
        first = self._bind_number(f"first_{selection.name}", selection.first)
        count = (1, 1) if selection.one else (1, _MAX_ROWS)
        spec = c.AllRowsDraw(all=entity, where=where, count=count, order=order, first=first)
        self.draws[selection.name] = spec
        scenario = self._scenario(c.ScenarioGoal()).model_copy(update={"draw": {selection.name: spec}})
        try:
            rows = draw(scenario, self.context.world, self.bindings, stream("nothing is drawn"))[selection.name]
        except NoDrawError as error:
            requirement = "exactly one is needed" if selection.one else "at least one is needed"
            raise BadAnswerError(f"goal: selection {selection.name}: {error}, {requirement}") from None
        self.bindings[selection.name] = rows[0] if selection.one else rows

    def _condition(self, condition: ConditionAnswer, entity: str) -> dict[str, Any]:
        value = self._value(condition.value_json)
        named, field = CONDITION_OF_TEST[condition.test], self.domain.file.entities[entity].fields[condition.field]
        if not _fits(field, named.operand, value):
            name = f"{condition.field} ({field.type})"
            raise BadAnswerError(f"goal: {name} cannot be tested for {condition.test} {value!r}")
        return {"in": [value]} if named.name == PLAIN else {named.name: value}

    # Parts of the goal

    def _measure(self, at: int, measure: MeasureAnswer) -> c.GoalMeasure:
        names = [each for each in (measure.field, measure.group_by) if each]
        self._check_fields(measure.selection, names)
        if (measure.measure == "count") == bool(measure.field):
            raise BadAnswerError("goal: a count has no field; any other measure needs one")
        if measure.field:
            kind = self.domain.file.entities[self._entity_of(measure.selection)].fields[measure.field].type
            if c.JSON_TYPES.get(kind, "boolean") == "boolean":
                raise BadAnswerError(f"goal: {measure.field} is not a number, so it has no {measure.measure}")
        return c.GoalMeasure(
            rows=measure.selection,
            measure=measure.measure,
            field=measure.field or None,
            group_by=measure.group_by or None,
            top=self._bind_number(f"top_{at}", measure.top),
        )

    def _effect(self, effect: EffectAnswer) -> c.GoalEffect:
        match effect.kind:
            case "update":
                self._check_selection(effect.selection)
                changes = self._changes(effect.changes, self._entity_of(effect.selection))
                return c.UpdateEffect(update=effect.selection, set=changes)
            case "create":
                entity = self._check_entity(effect.entity)
                return c.CreateEffect(create=entity, set=self._changes(effect.changes, entity))
            case "delete":
                return c.DeleteEffect(delete=self._check_selection(effect.selection))
            case "export":
                form = next((str(self._value(e.value_json)) for e in effect.changes if e.field == "format"), None)
                fields = self._check_fields(self._check_selection(effect.selection), effect.fields)
                return c.ExportEffect(export=effect.selection, fields=fields, target=effect.target, format=form)
        selection = self._check_selection(effect.selection) if effect.selection else None
        address = str(self._value(effect.target))
        return c.SendEffect(send=address, about=selection, contents=self._changes(effect.changes, None))

    def _changes(self, changes: list[FieldValueAnswer], entity: str | None) -> dict[str, Any]:
        for each in changes:
            if entity is not None:
                _check_field(each.field, self.domain, entity)
        return {each.field: self._value(each.value_json) for each in changes}

    # Names and values

    def _value(self, text: str) -> Any:
        """A value; `$selection.field` and `$principal.attribute` are replaced by the values that they refer to."""
        return evaluate(parse_value(text), self.bindings)

    def _bind_number(self, name: str, number: int) -> str | None:
        """Binds a number to a name and returns a reference to it, as goals of the catalogue need expressions; None for 0."""
        if not number:
            return None
        self.bindings[f"number_{name}"] = number
        return f"$number_{name}"

    def _check_entity(self, name: str) -> str:
        if name not in self.domain.file.entities:
            raise BadAnswerError(f"goal: no entity {name!r}; there are {', '.join(self.domain.file.entities)}")
        return name

    def _check_selection(self, selection: str) -> str:
        if selection not in self.draws:
            raise BadAnswerError(f"goal: no selection {selection!r}; there are {', '.join(self.draws) or 'none'}")
        return selection

    def _entity_of(self, selection: str) -> str:
        spec = self.draws[self._check_selection(selection)]
        assert isinstance(spec, c.AllRowsDraw)
        return spec.all

    def _check_fields(self, selection: str, fields: list[str]) -> list[str]:
        for each in fields:
            _check_field(each, self.domain, self._entity_of(selection))
        return fields


def _check_field(field: str, domain: Domain, entity: str) -> None:
    known = domain.file.entities[entity].fields
    if field not in known:
        raise BadAnswerError(f"goal: {entity} has no field {field!r}; it has {', '.join(known)}")


def _fits(field: c.EntityField, operand: Operand, value: Any) -> bool:
    """Whether Claude may compare the field with this value.

    Values that no row has are allowed, since they select nothing. Bounds must have exactly the field's type. Domain files
    have other rules.
    """
    json_type = c.JSON_TYPES.get(field.type, "string")
    match operand:
        case "flag":
            return isinstance(value, bool)
        case "text":
            return isinstance(value, str)
        case "values":
            return isinstance(value, list) and all(map(_is_scalar, value))
        case "days":
            return field.type == "date" and has_json_type(value, "integer") and 0 <= value <= _MAX_DAYS
        case "bound" if field.type == "date":
            return _is_iso_date(value)
        case "bound":
            return json_type != "boolean" and has_json_type(value, json_type)
    return _is_scalar(value)


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


def _is_iso_date(value: Any) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False
