"""Draws the rows of a task: one row first, from which the values of the conditions follow, then all that meet them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.composition.conditions import StatedCondition, name_search
from gatling_sid.schemas.composition.rules import Where, merge
from gatling_sid.schemas.composition.shape_types import Target
from gatling_sid.schemas.tool_ids import limits_of_tool

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_PERIODS = [3, 7, 14, 21, 30, 45, 60, 90, 120, 180, 270, 365]
"""Days that people name when they limit a period."""
_FIRST_FEW = [2, 3, 4, 5, 6, 8, 10]
"""Numbers of rows that people ask for when they mean the first ones of an order."""
_MAX_ROWS, _MAX_ROWS_MEASURED = 25, 400
_NUMBER_IF_AMBIGUOUS = (2, 5)
"""Rows that fit what is named as one; with more, nobody would name it so."""


class RowDraws:
    """The draws and slots for the rows of one group; `draws` and `slots` belong to the whole task.

    `seed` is the row that is drawn first, `name` the rows that are meant: those of `all` if there are many.
    """

    def __init__(
        self, domain: Domain, letter: str, target: Target, draws: dict[str, Any], slots: dict[str, Any]
    ) -> None:
        """Takes the lists to which draws and slots are added."""
        self._domain, self._letter, self._target = domain, letter, target
        self._draws, self._slots = draws, slots
        self._entity = domain.file.entities[target.entity]
        self.seed = f"{letter}_seed"
        self.name = f"{letter}_rows" if target.is_many else self.seed
        self.condition_slots: dict[StatedCondition, str] = {}
        self.time_range: str | None = None

    def draw(self, allowed: Where, tools: Sequence[str], *, measures_only: bool, is_ambiguous: bool = False) -> None:
        """Draws rows that are `allowed`, as many as the tools may take; several that are named as one if `is_ambiguous`."""
        target = self._target
        where: Where = {field: dict(operand) for field, operand in allowed.items()}
        for each in target.conditions:
            if each.how == "choice":
                where.setdefault(each.field, {}).pop("in", None) if isinstance(
                    where.get(each.field, {}).get("in"), str
                ) else None
                merge(where, each.field, {"in": [typed_value(self._entity, each)]})
            elif each.how == "mine":
                merge(where, each.field, {"in": [f"$principal.{each.key}"]})
            else:
                merge(where, each.field, {"is_set": True})
        self._draws[self.seed] = c.OneRowDraw.model_construct(one=target.entity, where=_plain(where), alone_by=[])
        if target.by_key:
            self._slots[f"{self._letter}_key"] = f"${self.seed}.{self._entity.key}"
        elif target.search is not None or target.is_many:
            number = (2, _MAX_ROWS_MEASURED if measures_only else _MAX_ROWS) if target.is_many else (1, 1)
            self._draw_all(allowed, tools, _NUMBER_IF_AMBIGUOUS if is_ambiguous else number)

    def _draw_all(self, allowed: Where, tools: Sequence[str], number: tuple[int, int]) -> None:
        target, first = self._target, f"{self._letter}_first"
        where = {each.field: self._operand(each, tools) for each in target.conditions}
        kinds = {name: self._domain.file.tools[name].operation for name in tools}
        limits = [f"{limits_of_tool(name)}.rows" for name, kind in kinds.items() if kind != "aggregate"]
        if target.order is not None:
            self._draws[first] = _choice(_FIRST_FEW, limits)
            self._slots[first] = f"${first}"
            if target.order:
                self._slots[f"{self._letter}_order"] = target.order
        search = self._domain.file.tools[target.search] if target.search else None
        self._draws[f"{self._letter}_rows"] = c.AllRowsDraw.model_construct(
            all=target.entity,
            where=where,
            each=_plain(allowed),
            count=number,
            limits=limits,
            order=target.order or (search.order if search else None),
            first=f"${first}" if target.order is not None else None,
            without_tie=target.order is not None,
            distinct=None,
        )

    def _operand(self, condition: StatedCondition, tools: Sequence[str]) -> Any:
        """What the rows must have in the field of a condition; its value is drawn and becomes a slot."""
        field, name = condition.field, f"{self._letter}_{condition.field}"
        of_seed = f"${self.seed}.{field}"
        if condition.how == "mine":
            return f"$principal.{condition.key}"
        self.condition_slots[condition] = name
        self._slots[name] = f"${name}"
        if condition.how == "via":
            self._draw_reference(condition, name, of_seed)
            return of_seed
        match condition.match:
            case "contains":
                self._draws[name] = _mention(of_seed, self._entity.fields[field])
                return {"contains": f"${name}"}
            case "at_least" | "since":
                self._draws[name] = c.NearDraw.model_construct(near=of_seed, side="below")
                return {"at_least": f"${name}"}
            case "at_most" | "until":
                self._draws[name] = c.NearDraw.model_construct(near=of_seed, side="above")
                return {"at_most": f"${name}"}
            case "within_days" | "next_days" as match:
                is_back = match == "within_days"
                days = (
                    c.AgeDraw.model_construct(age=of_seed)
                    if is_back
                    else c.DaysUntilDraw.model_construct(days_until=of_seed)
                )
                self._draws[f"{name}_days"] = days
                self._draws[name] = _choice(
                    _PERIODS, [f"{limits_of_tool(tool)}.days" for tool in tools], at_least=f"${name}_days"
                )
                self.time_range = f"${name}"
                return {match: f"${name}"}
        self._slots[name] = typed_value(self._entity, condition) if condition.how == "choice" else of_seed
        return self._slots[name]

    def _draw_reference(self, condition: StatedCondition, name: str, of_seed: str) -> None:
        """Draws what the request says of the row that the seed refers to; only that row must have it."""
        referenced = self._domain.referenced_entity(self._entity, condition.field)
        found = name_search(self._domain, referenced, condition.key)
        assert found is not None
        tool, parameter = found
        by_part = self._domain.file.tools[tool].parameters[parameter].match == "contains"
        self._draws[f"{name}_row"] = c.RowByKeyDraw.model_construct(row=referenced, key=of_seed)
        stated = f"${name}_row.{condition.key}"
        if by_part:
            self._draws[name] = _mention(stated, self._domain.file.entities[referenced].fields[condition.key])
            stated = f"${name}"
        self._slots[name] = stated
        self._draws[f"{name}_only"] = c.AllRowsDraw.model_construct(
            all=referenced,
            where={condition.key: {"contains": stated} if by_part else stated},
            each={},
            count=(1, 1),
            limits=[],
            order=None,
            first=None,
            distinct=None,
        )


def typed_value(entity: c.Entity, condition: StatedCondition) -> Any:
    """The value of a choice condition; that of a flag is true or false."""
    return condition.key == "true" if entity.fields[condition.field].type == "flag" else condition.key


def _mention(value: str, field: c.EntityField) -> c.MentionDraw:
    return c.MentionDraw.model_construct(mention=value, may_be_short=field.type == "person")


def _choice(values: list[int], limits: list[str], at_least: str | None = None) -> c.ChoiceDraw:
    return c.ChoiceDraw.model_construct(
        choose=values, but_not=None, at_least=at_least, at_most=None, limits=limits, among=None, edge=True
    )


def _plain(where: Where) -> Where:
    """The conditions with a single allowed value as equality, which is looked up in an index."""
    return {field: _single(operand) for field, operand in where.items()}


def _single(operand: Any) -> Any:
    is_single = isinstance(operand, Mapping) and operand.keys() == {"in"} and isinstance(operand["in"], list)
    return operand["in"][0] if is_single and len(operand["in"]) == 1 else operand
