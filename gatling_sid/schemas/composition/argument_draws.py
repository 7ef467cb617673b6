"""Draws the values of arguments that a request states: first those that the shape fixes, later those that rows decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.composition.draft import TaskDraft
from gatling_sid.schemas.composition.look_ups import fields_to_tell
from gatling_sid.schemas.composition.rules import rules_binding
from gatling_sid.schemas.composition.shape_types import RefusedGroup, Target, Use
from gatling_sid.schemas.tool_ids import limits_of_tool

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_DRAW: TypeAdapter[Any] = TypeAdapter(c.Draw)


class ArgumentDraws:
    """The draws and slots for the arguments of one group of a task.

    Values keep to what rules allow, but for the rule of a refusal, which they break.
    """

    def __init__(
        self,
        domain: Domain,
        role: str,
        letter: str,
        target: Target | None,
        refusal: RefusedGroup | None,
        draft: TaskDraft,
    ) -> None:
        """Takes the group by its letter; draws and slots are added to the draft."""
        self._domain, self._role, self._letter, self._draft = domain, role, letter, draft
        self._target, self._refusal = target, refusal

    def slot(self, number: int, argument: str) -> str:
        """The slot of an argument of the part with this number."""
        return f"{self._letter}{number}_{argument}"

    def first(self, number: int, use: Use) -> Iterator[tuple[str, str]]:
        """Draws the arguments that do not depend on rows, and yields the slot of each."""
        part, slots = self._domain.file.parts[use.part], self._draft.slots
        tool = self._domain.file.tools[part.tool]
        fixed = dict(use.choices)
        if use.columns:
            slots[self.slot(number, "columns")] = list(use.columns)
            yield parameter_that(tool, "select"), self.slot(number, "columns")
        for argument, value in part.arguments.items():
            slot = self.slot(number, argument)
            if fields_to_tell(value):
                continue
            if argument in fixed or (isinstance(value, list) and len(value) == 1 and tool.operation != "aggregate"):
                slots[slot] = fixed.get(argument, value[0])
                yield argument, slot
            elif isinstance(value, list) and argument != part.by_value and tool.operation != "aggregate":
                allowed = (
                    f"{limits_of_tool(part.tool)}.allowed.{argument}" if self._is_limited(part.tool, argument) else None
                )
                beyond = allowed if self._is_refused(part.tool, argument) else None
                among = None if beyond else allowed
                self._draft.draws[slot] = c.ChoiceDraw.model_construct(
                    choose=value,
                    but_not=None,
                    at_least=None,
                    at_most=None,
                    limits=[],
                    among=among,
                    edge=False,
                    beyond=beyond,
                )
                slots[slot] = f"${slot}"
                yield argument, slot

    def _is_limited(self, tool: str, argument: str) -> bool:
        is_target = self._domain.file.tools[tool].parameters[argument].does == "target"
        rules = [rule for _, rule in rules_binding(self._domain, self._role, tool)]
        return any(
            (rule.kind == "argument_values" and rule.parameters["argument"] == argument)
            or (rule.kind == "export_targets" and is_target)
            for rule in rules
        )

    def _is_refused(self, tool: str, argument: str) -> bool:
        """Whether the rule that refuses the group limits this argument by its value."""
        if self._refusal is None or self._refusal.way != "value":
            return False
        rule = self._domain.file.policy.rules[self._refusal.rule]
        if rule.kind == "export_targets":
            return self._domain.file.tools[tool].parameters[argument].does == "target"
        return bool(rule.parameters["argument"] == argument)

    def later(self, number: int, use: Use, known: dict[str, str]) -> dict[str, str]:
        """Draws the arguments that may depend on rows; returns the slots of all arguments."""
        part = self._domain.file.parts[use.part]
        slots = dict(known)
        for argument, value in part.arguments.items():
            if argument in slots or not isinstance(value, Mapping) or fields_to_tell(value):
                continue
            slot = self.slot(number, argument)
            draw = _DRAW.validate_python(value)
            if isinstance(draw, (c.AmountDraw, c.NumberDraw, c.DateDraw, c.ChoiceDraw)):
                limits = dict(self._limits_of(part.tool, argument))
                beyond = (
                    limits.pop(self._refusal.rule, None) if self._refusal and self._refusal.way == "value" else None
                )
                draw = draw.model_copy(update={"limits": [*draw.limits, *limits.values()], "beyond": beyond})
                if isinstance(draw, c.ChoiceDraw):
                    most = self._domain.file.tools[part.tool].parameters[argument].maximum
                    draw = draw.model_copy(update={"edge_below": most})
            self._draft.draws[slot] = draw
            self._draft.slots[slot] = f"${slot}"
            slots[argument] = slot
        return slots

    def _limits_of(self, tool: str, argument: str) -> Iterator[tuple[str, str]]:
        """(rule, expression of its limit) of the rules that limit an argument."""
        for name, rule in rules_binding(self._domain, self._role, tool):
            given = rule.parameters
            if given.get("argument") != argument:
                continue
            if rule.kind == "argument_max":
                yield name, f"{limits_of_tool(tool)}.most.{argument}"
            elif rule.kind == "at_most_own":
                yield name, f"$principal.{given['attribute']}"
            elif rule.kind == "argument_days":
                yield name, f"{limits_of_tool(tool)}.dates.{argument}"
            elif rule.kind == "at_most_field" and self._target is not None and given["entity"] == self._target.entity:
                yield name, self._share_of(f"${self._letter}_seed.{given['field']}", given.get("share", 1), name)

    def _share_of(self, number: str, share: float | str, rule: str) -> str:
        """The expression of a share of a number, which is drawn first."""
        if share == 1:
            return number
        slot = f"{self._letter}_{rule}"
        self._draft.draws[slot] = c.ShareDraw.model_construct(share_of=number, share=share)
        return f"${slot}"


def parameter_that(tool: c.Tool, purpose: str) -> str:
    """The parameter of a tool that does this."""
    return next(name for name, each in tool.parameters.items() if each.does == purpose)
