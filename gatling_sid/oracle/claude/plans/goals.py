"""A goal as Claude states it, worked out in the simulated world.

Claude says by conditions which records are meant; which rows those are, and what figures over them come to, is
computed with the code that the embedded oracle's goals come from.
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
)
from gatling_sid.oracle.claude.plans.answers import parse_value as read_value
from gatling_sid.oracle.claude.plans.request_context import RequestContext
from gatling_sid.scenarios.drawing import Bindings, NoDrawError, draw, evaluate
from gatling_sid.scenarios.goals import goal_of
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.domain import Domain
from gatling_sid.seeding import stream
from gatling_sid.simulator.arguments import is_a

_COUNTED = ("within_days", "older_than_days", "next_days")
_COMPARED = ("at_most", "at_least", "above", "below")
_MOST_ROWS = 5000
_TAKEN = ("principal", "policy", "number")


def goal_from_answer(answer: GoalAnswer, context: RequestContext) -> Goal:
    """The goal, worked out in the setting's world.

    Raises:
        BadAnswerError: it names what is not there, selects nothing, or compares what cannot be compared.

    """
    try:
        return _GoalBuilder(answer, context).goal()
    except NoDrawError as error:
        raise BadAnswerError(f"goal: {error}") from None


class _GoalBuilder:
    """A stated goal with its selections as drawn values of the catalogue, taken one after the other."""

    def __init__(self, meant: GoalAnswer, setting: RequestContext) -> None:
        self.meant, self.setting, self.domain = meant, setting, setting.domain
        self.bindings: Bindings = {"principal": setting.principal.attributes, "policy": {}}
        self.draws: dict[str, c.Draw] = {}
        for each in meant.selections:
            if each.name in self.draws or each.name in _TAKEN:
                raise BadAnswerError(f"goal: the selection name {each.name!r} is taken")
            self._select(each)

    def goal(self) -> Goal:
        """The goal in terms of rows."""
        meant = self.meant
        spec = c.ScenarioGoal(
            shows=[
                c.GoalShowing(rows=self._known(each.selection), fields=self._fields(each.selection, each.fields))
                for each in meant.shows
            ],
            measures=[self._measure(at, each) for at, each in enumerate(meant.measures)],
            effects=[self._effect(each) for each in meant.effects],
            time_range=self._number("time_range", meant.time_range_days),
        )
        if not (spec.shows or spec.measures or spec.effects):
            raise BadAnswerError("goal: something must be shown, measured or done")
        goal = goal_of(self._scenario(spec), self.domain, self.bindings, frozenset())
        return Goal.model_validate(goal.model_dump())  # literals of the answer, so far only trusted

    def _scenario(self, goal: c.ScenarioGoal) -> c.Scenario:
        senders = [each.entity for each in self.meant.effects if each.kind == "send" and not each.selection]
        tools = self.domain.file.tools.items()
        plan = [c.Step(step=n, tool=n) for n, t in tools if t.operation == "send" and t.entity in senders]
        if senders and not plan:
            raise BadAnswerError(f"goal: nothing can be sent about {senders[0]}")
        intent: Any = self.setting.intent
        roles = [self.setting.principal.role]
        return c.Scenario(intent=intent, roles=roles, draw=self.draws, goal=goal, plan=plan, phrasings=[])

    # Selections

    def _select(self, selection: SelectionAnswer) -> None:
        entity = self._entity(selection.entity)
        where: dict[str, Any] = {}
        for each in selection.where:
            _among(each.field, self.domain, entity)
            where.setdefault(each.field, {}).update(self._condition(each, entity))
        order = selection.order or None
        if order is not None:
            _among(order.removeprefix("-"), self.domain, entity)
        first = self._number(f"first_{selection.name}", selection.first)
        count = (1, 1) if selection.one else (1, _MOST_ROWS)
        spec = c.AllRowsDraw(all=entity, where=where, count=count, order=order, first=first)
        self.draws[selection.name] = spec
        alone = self._scenario(c.ScenarioGoal()).model_copy(update={"draw": {selection.name: spec}})
        try:
            drawn = draw(alone, self.setting.world, self.bindings, stream("nothing is drawn"))
        except NoDrawError as error:
            wanted = "exactly one is meant" if selection.one else "at least one is meant"
            raise BadAnswerError(f"goal: selection {selection.name}: {error}, {wanted}") from None
        rows = drawn[selection.name]
        self.bindings[selection.name] = rows[0] if selection.one else rows

    def _condition(self, condition: ConditionAnswer, entity: str) -> dict[str, Any]:
        value = self._value(condition.value_json)
        test, field = condition.test, self.domain.file.entities[entity].fields[condition.field]
        json_type = c.JSON_TYPES.get(field.type, "string")
        fits = {
            "is_set": isinstance(value, bool),
            "contains": isinstance(value, str),
            "in": isinstance(value, list) and all(_is_scalar(each) for each in value),
            "not_in": isinstance(value, list) and all(_is_scalar(each) for each in value),
        }.get(test, _is_scalar(value))
        if test in _COUNTED:
            fits = field.type == "date" and is_a(value, "integer") and 0 <= value <= 40_000
        if test in _COMPARED:
            fits = _is_day(value) if field.type == "date" else json_type != "boolean" and is_a(value, json_type)
        if not fits:
            raise BadAnswerError(f"goal: {condition.field} ({field.type}) cannot be tested for {test} {value!r}")
        match test:
            case "is":
                return {"in": [value]}
            case "is_not":
                return {"not": value}
        return {test: value}

    # Parts of the goal

    def _measure(self, at: int, figure: MeasureAnswer) -> c.GoalMeasure:
        names = [each for each in (figure.field, figure.group_by) if each]
        self._fields(figure.selection, names)
        if (figure.measure == "count") == bool(figure.field):
            raise BadAnswerError("goal: a count is of no field, any other measure is of one")
        if figure.field:
            kind = self.domain.file.entities[self._entity_of(figure.selection)].fields[figure.field].type
            if c.JSON_TYPES.get(kind, "boolean") == "boolean":
                raise BadAnswerError(f"goal: {figure.field} is no number, it has no {figure.measure}")
        return c.GoalMeasure(
            rows=figure.selection,
            measure=figure.measure,
            field=figure.field or None,
            group_by=figure.group_by or None,
            top=self._number(f"top_{at}", figure.top),
        )

    def _effect(self, effect: EffectAnswer) -> c.GoalEffect:
        match effect.kind:
            case "update":
                self._known(effect.selection)
                changes = self._changes(effect.changes, self._entity_of(effect.selection))
                return c.UpdateEffect(update=effect.selection, set=changes)
            case "create":
                entity = self._entity(effect.entity)
                return c.CreateEffect(create=entity, set=self._changes(effect.changes, entity))
            case "delete":
                return c.DeleteEffect(delete=self._known(effect.selection))
            case "export":
                form = next((str(self._value(e.value_json)) for e in effect.changes if e.field == "format"), None)
                fields = self._fields(self._known(effect.selection), effect.fields)
                return c.ExportEffect(export=effect.selection, fields=fields, target=effect.target, format=form)
        about = self._known(effect.selection) if effect.selection else None
        address = str(self._value(effect.target))
        return c.SendEffect(send=address, about=about, contents=self._changes(effect.changes, None))

    def _changes(self, changes: list[FieldValueAnswer], entity: str | None) -> dict[str, Any]:
        for each in changes:
            if entity is not None:
                _among(each.field, self.domain, entity)
        return {each.field: self._value(each.value_json) for each in changes}

    # Names and values

    def _value(self, text: str) -> Any:
        """A value; `$selection.field` and `$principal.attribute` stand for what they lead to."""
        return evaluate(read_value(text), self.bindings)

    def _number(self, name: str, number: int) -> str | None:
        """A number as a drawn value, since the catalogue's goals hold expressions; None for 0."""
        if not number:
            return None
        self.bindings[f"number_{name}"] = number
        return f"$number_{name}"

    def _entity(self, name: str) -> str:
        if name not in self.domain.file.entities:
            raise BadAnswerError(f"goal: no entity {name!r}; there are {', '.join(self.domain.file.entities)}")
        return name

    def _known(self, selection: str) -> str:
        if selection not in self.draws:
            raise BadAnswerError(f"goal: no selection {selection!r}; there are {', '.join(self.draws) or 'none'}")
        return selection

    def _entity_of(self, selection: str) -> str:
        spec = self.draws[self._known(selection)]
        assert isinstance(spec, c.AllRowsDraw)
        return spec.all

    def _fields(self, selection: str, fields: list[str]) -> list[str]:
        for each in fields:
            _among(each, self.domain, self._entity_of(selection))
        return fields


def _among(field: str, domain: Domain, entity: str) -> None:
    known = domain.file.entities[entity].fields
    if field not in known:
        raise BadAnswerError(f"goal: {entity} has no field {field!r}; it has {', '.join(known)}")


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


def _is_day(value: Any) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False
