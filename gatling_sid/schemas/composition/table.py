"""The scenarios of a world: those that a domain file writes whole, and tasks that are composed of its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.composition.sentences import TaskPhrasings
from gatling_sid.schemas.composition.shape_types import Shape
from gatling_sid.schemas.composition.shapes import draw_shapes
from gatling_sid.schemas.composition.tasks import ComposedTask, build_task
from gatling_sid.schemas.language.shared_voice import voice_of_split
from gatling_sid.seeding import stream

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

SCENARIOS_OF_WORLD = 465
"""Scenarios that a world of a domain with parts has, about. So it has nine requests of each, for which tasks and words
are made once, and 80,000 requests have the tasks of 20 worlds."""
UNSERVED_OF_WORLD = 12
"""Scenarios of a world in which nothing is to be called, if the domain has so many: one in forty."""


class ScenarioTable(Mapping[str, c.Scenario]):
    """The scenarios of a world by name; composed ones are drawn together, and each is built when it is first needed.

    Every world has the scenarios that are written whole, and composed tasks of its own, of which another may have some.
    """

    def __init__(self, domain: Domain, world: str) -> None:
        """Takes the domain whose file says everything, and the name of the world, such as `train-3`."""
        self.domain = domain
        self.world = world
        self.split = world.partition("-")[0]
        self._tasks: dict[str, ComposedTask] = {}

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The shapes of the composed tasks, by name."""
        numbers = {name: self._share(part.weight) for name, part in self.domain.file.parts.items()}
        return {shape.name: shape for shape in draw_shapes(self.domain, numbers, self.world)}

    @cached_property
    def weights(self) -> dict[str, int]:
        """How often each scenario occurs in a round of the world."""
        whole, parts = self.domain.file.scenarios, self.domain.file.parts
        if not parts:
            return {name: spec.weight for name, spec in whole.items()}
        weights = {name: self._share(spec.weight) for name, spec in whole.items()}
        return weights | dict.fromkeys([*self._unserved, *self.shapes], 1)

    @cached_property
    def _unserved(self) -> list[str]:
        """The scenarios of this world in which nothing is to be called."""
        names = list(self.domain.unserved)
        return stream(self.domain.slug, "unserved", self.world).sample(names, min(UNSERVED_OF_WORLD, len(names)))

    def _share(self, weight: int) -> int:
        """How many scenarios of a world are due to a part, or to a scenario that is written whole, of this weight."""
        file = self.domain.file
        total = sum(each.weight for each in file.scenarios.values()) + sum(each.weight for each in file.parts.values())
        return max(1, round(SCENARIOS_OF_WORLD * weight / total))

    def __getitem__(self, name: str) -> c.Scenario:
        """The scenario of that name. Raises KeyError."""
        whole = self.domain.written_scenario(name)
        return whole if whole is not None else self.task(name).scenario

    def __iter__(self) -> Iterator[str]:
        """Yields the names of the scenarios that are written whole, then of the composed ones."""
        return iter(self.weights)

    def __len__(self) -> int:
        """How many scenarios the world has."""
        return len(self.weights)

    def __contains__(self, name: object) -> bool:
        """Whether the world has a scenario of that name."""
        return self.domain.written_scenario(str(name)) is not None or name in self.shapes

    def __hash__(self) -> int:
        """Two tables are the same only if they are one object."""
        return id(self)

    def __eq__(self, other: object) -> bool:
        """Two tables are the same only if they are one object."""
        return self is other

    def is_composed(self, name: str) -> bool:
        """Whether the scenario is composed of parts."""
        return self.domain.written_scenario(name) is None

    def task(self, name: str) -> ComposedTask:
        """The composed task of that name. Raises KeyError."""
        if name not in self._tasks:
            self._tasks[name] = build_task(self.domain, self.shapes[name])
        return self._tasks[name]

    def phrasings(self, name: str) -> TaskPhrasings:
        """The phrasings of a composed task in the split of the world."""
        return TaskPhrasings(self.task(name), self.domain, voice_of_split(self.domain.voice, self.split), self.split)
