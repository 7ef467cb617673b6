"""All scenarios of a domain by name: those that its file writes whole, and the tasks that are composed of its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.composition.sentences import TaskPhrasings
from gatling_sid.schemas.composition.shape_types import Shape
from gatling_sid.schemas.composition.shapes import draw_shapes
from gatling_sid.schemas.composition.tasks import ComposedTask, build_task
from gatling_sid.schemas.language.shared_voice import SharedVoice, voice_of_split

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

DECKS = 3
"""Lists of scenarios that the worlds of a domain with parts use in turn; each is drawn when it is first needed."""
SCENARIOS_PER_DECK = 465
"""Scenarios in such a list, about. So a world has nine requests of each, and an instance, its plan and its proof are made
once for them; 80,000 requests have some 60 of each of 1,400 scenarios."""


class ScenarioTable(Mapping[str, c.Scenario]):
    """The scenarios of a domain; composed ones are drawn deck by deck, and built when they are first needed."""

    def __init__(self, domain: Domain, voice: SharedVoice) -> None:
        """Takes the domain whose file says everything, and the shared voice."""
        self._domain = domain
        self._voice = voice
        self._decks: dict[int, dict[str, Shape]] = {}
        self._tasks: dict[str, ComposedTask] = {}
        self.number_of_decks = DECKS if domain.file.parts else 1

    def weights(self, deck: int) -> dict[str, int]:
        """How often each scenario occurs in a deck, 0 ≤ `deck` < `number_of_decks`."""
        whole, parts = self._domain.file.scenarios, self._domain.file.parts
        if not parts:
            return {name: spec.weight for name, spec in whole.items()}
        return {
            **{name: self._share(spec.weight) for name, spec in whole.items()},
            **dict.fromkeys(self.shapes(deck), 1),
        }

    def shapes(self, deck: int) -> dict[str, Shape]:
        """The shapes of the composed tasks of a deck, by name; no other deck has them."""
        for each in range(len(self._decks), deck + 1):
            taken = [shape for shapes in self._decks.values() for shape in shapes.values()]
            self._decks[each] = {shape.name: shape for shape in draw_shapes(self._domain, self._numbers, each, taken)}
        return self._decks[deck]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        """How many shapes of a deck each part leads."""
        return {name: self._share(part.weight) for name, part in self._domain.file.parts.items()}

    def _share(self, weight: int) -> int:
        """How many scenarios of a deck are due to a part, or to a scenario that is written whole, of this weight."""
        file = self._domain.file
        total = sum(each.weight for each in file.scenarios.values()) + sum(each.weight for each in file.parts.values())
        return max(1, round(SCENARIOS_PER_DECK * weight / total))

    def _shape(self, name: str) -> Shape | None:
        """The shape of that name, which is looked for in the known decks first; None if there is none."""
        known = sorted(range(self.number_of_decks), key=lambda deck: deck not in self._decks)
        return next((shapes[name] for deck in known if name in (shapes := self.shapes(deck))), None)

    def __getitem__(self, name: str) -> c.Scenario:
        """The scenario of that name. Raises KeyError."""
        whole = self._domain.file.scenarios.get(name)
        return whole if whole is not None else self.task(name).scenario

    def __iter__(self) -> Iterator[str]:
        """Yields the names of the scenarios that are written whole, then of the composed ones."""
        composed = [name for deck in range(self.number_of_decks) for name in self.shapes(deck)]
        yield from dict.fromkeys([*self._domain.file.scenarios, *composed])

    def __len__(self) -> int:
        """The number of scenarios in all decks."""
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        """Whether the domain has a scenario of that name."""
        return name in self._domain.file.scenarios or (isinstance(name, str) and self._shape(name) is not None)

    def is_composed(self, name: str) -> bool:
        """Whether the scenario is composed of parts."""
        return name not in self._domain.file.scenarios

    def task(self, name: str) -> ComposedTask:
        """The composed task of that name. Raises KeyError."""
        if name not in self._tasks:
            shape = self._shape(name)
            if shape is None:
                raise KeyError(name)
            self._tasks[name] = build_task(self._domain, shape)
        return self._tasks[name]

    def phrasings(self, name: str, split: str) -> TaskPhrasings:
        """The phrasings of a composed task in a split."""
        return TaskPhrasings(self.task(name), self._domain, voice_of_split(self._voice, split), split)
