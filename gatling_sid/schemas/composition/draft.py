"""What a composed task consists of while it is built: draws, slots, steps and parts of the goal, group by group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.composition.goal_parts import GoalPart
from gatling_sid.schemas.composition.shape_types import Shape
from gatling_sid.schemas.intents import intents_of

Arguments = dict[str, str | list[str]]
"""The arguments of a step, as expressions."""


class Evidence(NamedTuple):
    """What is still done of a group that is not served: these steps, which show these rows, if anything has to be shown."""

    steps: tuple[str, ...] = ()
    shows: c.GoalShowing | None = None


class TaskDraft:
    """What a task consists of so far."""

    def __init__(self) -> None:
        self.draws: dict[str, Any] = {}
        self.slots: dict[str, Any] = {}
        self.steps: list[c.Step] = []
        self.goal_parts: list[tuple[str, GoalPart]] = []
        """The parts of the goal, each with the letter of its group."""
        self.time_ranges: dict[str, str] = {}
        """The period that each group asks about, by its letter."""
        self.single_rows: dict[str, list[str]] = {}
        self.variant: c.Variant | None = None

    def refuse(self, letter: str, evidence: Evidence, kind: Any) -> None:
        """Leaves a group out of goal and plan, except for what shows why."""
        steps = [each for each in self.steps if each.step[0] == letter]
        is_refused = kind != "needs_question"
        self.variant = c.Variant.model_construct(
            kind=kind,
            rule=None,
            goal=self._goal([part for of, part in self.goal_parts if of == letter], self.time_ranges.get(letter)),
            plan=steps if is_refused else [],
            asked=[] if is_refused else steps,
            reason="",
        )
        self._intent = self.intent()
        self.steps = [
            each.model_copy(update={"when": [], "quotes": []}) if each.step[0] == letter else each
            for each in self.steps
            if each.step[0] != letter or each.step in evidence.steps
        ]
        self.goal_parts = [(of, part) for of, part in self.goal_parts if of != letter]
        self.goal_parts += [(letter, evidence.shows)] if evidence.shows else []
        if not evidence.steps:
            self.time_ranges.pop(letter, None)

    _intent: str | None = None

    def intent(self) -> str:
        """The intent of all that is asked for, whether it is served or not."""
        effects = [part for _, part in self.goal_parts if not isinstance(part, (c.GoalShowing, c.GoalMeasure))]
        kinds = [type(each).__name__.removesuffix("Effect").lower() for each in effects if each.when is None]
        kinds += ["aggregate" for _, part in self.goal_parts if isinstance(part, c.GoalMeasure)]
        kinds += ["show" for _, part in self.goal_parts if isinstance(part, c.GoalShowing)]
        fitting = intents_of(kinds)
        if "send" in kinds and "create" in fitting:
            return "create"  # a message is something new
        return next((each for each in kinds if each in fitting), fitting[-1])

    @staticmethod
    def _goal(parts: Sequence[GoalPart], time_range: str | None) -> c.ScenarioGoal:
        return c.ScenarioGoal.model_construct(
            shows=[each for each in parts if isinstance(each, c.GoalShowing)],
            measures=[each for each in parts if isinstance(each, c.GoalMeasure)],
            effects=[each for each in parts if not isinstance(each, (c.GoalShowing, c.GoalMeasure))],
            time_range=time_range,
        )

    def scenario(self, shape: Shape) -> c.Scenario:
        """The scenario of the shape, without phrasings, which sentences add."""
        intent: Any = self._intent or self.intent()
        time_range = next(reversed(self.time_ranges.values()), None)
        goal = self._goal([part for _, part in self.goal_parts], time_range)
        if self.variant is not None and shape.refusal is not None:
            self.variant = self.variant.model_copy(update={"rule": shape.refusal.rule})
        return c.Scenario.model_construct(
            intent=intent,
            roles=[shape.role],
            given={axis: list(values) for axis, values in shape.given},
            weight=1,
            draw=self.draws,
            slots=self.slots,
            goal=goal,
            plan=self.steps,
            phrasings=[],
            reasons=[],
            variant=self.variant,
        )

    def add_step(
        self,
        name: str,
        tool: str,
        arguments: Arguments,
        after: list[str] | None = None,
        when: list[str] | None = None,
        **more: Any,
    ) -> None:
        """Adds a step; `more` are further fields of `catalogue.Step`."""
        fields = {"step": name, "tool": tool, "arguments": arguments, "after": after or [], "when": when or []}
        # All fields are given, since defaults take pydantic long.
        self.steps.append(c.Step.model_construct(**{"after_when": {}, "unless": [], "quotes": None, **fields, **more}))
