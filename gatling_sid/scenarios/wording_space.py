"""All wordings of a scenario, numbered, so that no two requests of a scenario have the same wording.

A wording is a phrasing, one variant of it, and a frame: an opening, a reason and a closing, each of which may be left
out. `WordingSpace.at(n)` computes the n-th wording from n alone. Since it needs no memory of the wordings before, traces
can be made in any order and on any machine.

Terms:

- A shape says which of opening, reason and closing a frame has. `_SHAPES` is a list of shapes, used again and again.
- A turn is the number of earlier requests that have the same phrasing.
- A position is a place in `_SHAPES`, at which the shape of a request is read.
- A serial number is the number of earlier turns of the phrasing that had the same shape.

The number n is split like a number whose digits have different bases (as seconds are split into days, hours, minutes):

1. The phrasings take turns: `turn, phrasing = divmod(n, number of phrasings)`.
2. The shapes take turns: turn 0 of a phrasing has the shape at a position that follows from its text, and each further
   turn the shape at the next position.
3. The serial number is computed from the position and the number of complete rounds of `_SHAPES`.
4. The serial number is permuted among all wordings with this phrasing and shape, so that successive requests differ in
   every part and not only in the last digit. It starts at another number for each phrasing, so that two scenarios do not
   use the same frames in the same order.
5. The permuted number is read as digits, the lowest first: variant, then opening, reason and closing if the shape has
   them. The base of a digit is the number of choices.

Each step can be inverted, so two numbers never give the same wording.

A worked example. Two phrasings, the first in two variants; 3 openings, 2 reasons, 4 closings:

>>> choices = FrameChoices(
...     openings=("Hi.", "Hello.", "Good morning."),
...     reasons=("I am moving.", "It is for my files."),
...     closings=("Thanks.", "Thank you.", "Cheers.", "Many thanks."),
... )
>>> space = WordingSpace((Phrasing("[List|Show] my loans."), Phrasing("Which loans do I have?")), (choices, choices))

The first phrasing begins at position 35. For n = 16 it is turn 8 of this phrasing, so position 43, which is position 3 of
the second round. `_SHAPES[3]` is (0, 1, 0), a reason alone, for the first time since turn 0: serial number 0.
There are 2 · 2 = 4 such wordings. The permutation makes 0 into (0 + 3) · 3 mod 4 = 1, where the first 3 is the start of
this phrasing and the second one the step for 4. The digits of 1 in the bases 2 and 2 are 1 and 0, since 1 = 1 + 2 · 0:
variant 1, reason 0.

>>> phrasing, variant_index, frame = space.at(16)
>>> "".join(phrasing.variant_parts(variant_index)), frame
('Show my loans.', Frame(opening='', reason='I am moving.', closing=''))

A shape can run out of wordings: a request without a frame has only as many as its phrasing has variants. From then on,
the requests that would have this shape get an opening instead and, when the openings run out too, a full frame.
Ordinary openings and full frames are counted upwards from 0, these replacements downwards from the last, one for each
turn. `capacity()` is the number of requests before both counters can reach the same full frame. For n = 8, turn 4 of
phrasing 0, the shape is (0, 0, 0) for the fourth time (serial number 3), but there are only two variants, and too few
openings. So the request gets number 48 - 1 - 4 = 43 of the 2 · 3 · 2 · 4 = 48 wordings with a full frame:

>>> space.at(8).frame
Frame(opening='Hello.', reason='I am moving.', closing='Thank you.')
>>> space.capacity()
42
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from gatling_sid.errors import OracleError
from gatling_sid.schemas.composition.openers import FEWEST_PHRASINGS
from gatling_sid.schemas.composition.sentences import TaskPhrasings
from gatling_sid.schemas.composition.table import ScenarioTable
from gatling_sid.schemas.composition.unserved import PHRASINGS_KEPT
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.language.phrasing import Phrasing, phrasing_of
from gatling_sid.schemas.language.shared_voice import Register, part_of_split, thanks, voice_of_split
from gatling_sid.seeding import permute, seed_of

FrameShape = tuple[int, int, int]
"""1 or 0 for opening, reason and closing: whether a frame has it."""

_SHAPES: tuple[FrameShape, ...] = (
    (0, 0, 0), (1, 0, 0), (0, 0, 0), (0, 1, 0), (0, 0, 0), (0, 0, 0), (0, 0, 1), (0, 0, 0), (0, 0, 0), (1, 0, 0),
    (0, 0, 0), (0, 0, 0), (1, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 1), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0),
    (1, 0, 1), (0, 0, 0), (0, 0, 0), (1, 0, 0), (0, 0, 0), (0, 0, 0), (0, 1, 0), (0, 0, 0), (0, 0, 0), (0, 0, 1),
    (0, 0, 0), (1, 1, 1), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (1, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0),
)  # fmt: skip
"""The order in which shapes take turns, which is also their distribution.

Most requests have no frame, as those of most people; few have more than one part.
"""
_FULL: FrameShape = (1, 1, 1)
"""The shape with the most wordings."""
_REPLACEMENT: FrameShape = (1, 0, 0)
"""The shape that replaces one that has no wordings left; if it has none left itself, the full one does."""
_COUNT_BEFORE = {
    shape: tuple(_SHAPES[:position].count(shape) for position in range(len(_SHAPES) + 1)) for shape in set(_SHAPES)
}
"""For each shape: how often it occurs before each position of `_SHAPES`; the last number is that in the whole list."""


class Frame(NamedTuple):
    """What surrounds a phrasing; a part that a request does not have is empty."""

    opening: str
    reason: str
    closing: str


class Wording(NamedTuple):
    """Everything that decides the words of a request, except how its values are stated."""

    phrasing: Phrasing
    variant_index: int
    frame: Frame


class FrameChoices(NamedTuple):
    """The openings, reasons and closings that may stand around a phrasing."""

    openings: tuple[str, ...]
    reasons: tuple[str, ...]
    closings: tuple[str, ...]


class WordingSpace(NamedTuple):
    """All ways in which one split may word one scenario: its phrasings, and what may stand around each of them."""

    phrasings: Sequence[Phrasing]
    frames: Sequence[FrameChoices]

    def capacity(self) -> int:
        """How many requests can be worded without a repetition; below this number, `at` does not raise.

        After t turns of a phrasing, at most t full frames were counted down from the last, and about one for each round
        of `_SHAPES` was counted up from 0. The counters cannot meet while t / 40 + 1 < size - 1 - t.
        """
        size = min(_size(phrasing, choices, _FULL) for phrasing, choices in self._pairs())
        turns = len(_SHAPES) * (size - 2) // (len(_SHAPES) + 1)
        return len(self.phrasings) * max(turns, 0)

    def _pairs(self) -> Iterator[tuple[Phrasing | None, FrameChoices]]:
        """Each phrasing with what may stand around it; None for a composed one, which counts as one variant."""
        is_composed = isinstance(self.phrasings, TaskPhrasings)
        for index, choices in enumerate(self.frames):
            yield None if is_composed else self.phrasings[index], choices

    def at(self, wording_index: int) -> Wording:
        """The wording with this number; no two numbers give the same. The module's docstring explains the steps.

        Raises:
            OracleError: all wordings of the phrasing whose turn it is are used up; never below `capacity`.

        """
        turn, phrasing_index = divmod(wording_index, len(self.phrasings))
        phrasing, choices = self.phrasings[phrasing_index], self.frames[phrasing_index]
        start = _start_of(phrasing.text) % len(_SHAPES)
        shape = _SHAPES[(start + turn) % len(_SHAPES)]
        serial = _count_until(start + turn, shape) - _count_until(start, shape)
        size = _size(phrasing, choices, shape)
        if serial >= size or (shape == _REPLACEMENT and not _is_unused(turn, start, size, shape)):
            shape = (
                _REPLACEMENT if _is_unused(turn, start, _size(phrasing, choices, _REPLACEMENT), _REPLACEMENT) else _FULL
            )
            size = _size(phrasing, choices, shape)
            serial = size - 1 - turn
        if shape == _FULL and not _is_unused(turn, start, size, _FULL):
            raise OracleError(
                f"phrasing {phrasing.text!r} has no unused wording for request {wording_index} of its scenario; "
                "add alternatives or phrasings"
            )
        return _decode(permute(serial, size, _start_of(phrasing.text)), phrasing, choices, shape)


def _is_unused(turn: int, start: int, size: int, shape: FrameShape) -> bool:
    """Whether the counter of a shape's own requests and that of its replacements, which counts down, have not met."""
    return _count_until(start + turn, shape) - _count_until(start, shape) < size - 1 - turn


def _count_until(place: int, shape: FrameShape) -> int:
    """How often a shape occurs before a place, if `_SHAPES` is used again and again."""
    rounds, position = divmod(place, len(_SHAPES))
    return rounds * _COUNT_BEFORE[shape][-1] + _COUNT_BEFORE[shape][position]


def _size(phrasing: Phrasing | None, frame_choices: FrameChoices, shape: FrameShape) -> int:
    """How many wordings have this phrasing and shape: the product of the bases of the digits."""
    size = phrasing.variants if phrasing is not None else 1
    for is_present, choices in zip(shape, frame_choices, strict=True):
        size *= len(choices) if is_present else 1
    return size


def _decode(code: int, phrasing: Phrasing, frame_choices: FrameChoices, shape: FrameShape) -> Wording:
    """The wording whose digits are those of `code`: variant, opening, reason, closing."""
    code, variant_index = divmod(code, phrasing.variants)
    parts = []
    for is_present, choices in zip(shape, frame_choices, strict=True):
        if is_present:
            code, choice = divmod(code, len(choices))
        parts.append(choices[choice] if is_present else "")
    return Wording(phrasing, variant_index, Frame(*parts))


@lru_cache(maxsize=65536)
def _start_of(phrasing_text: str) -> int:
    return seed_of("phrasing", phrasing_text)


class _FramesByManner(Sequence[FrameChoices]):
    """What may stand around each of the composed phrasings, by its manner."""

    def __init__(self, phrasings: TaskPhrasings, domain: Domain, split: str, *, changes: bool) -> None:
        self._phrasings, self._domain, self._split, self._changes = phrasings, domain, split, changes

    def __len__(self) -> int:
        return len(self._phrasings)

    def __getitem__(self, index: Any) -> Any:
        register, thanks_already = self._phrasings.manner(index)
        return _frame_choices(
            self._domain, register, self._split, changes=self._changes, with_thanks=not thanks_already
        )


@lru_cache(maxsize=2048)
def wording_space_of(scenarios: ScenarioTable, scenario: str) -> WordingSpace:
    """The wordings that the split of a world may use.

    Of a scenario that is written whole, the last phrasing is kept for test and the one before for validation. Composed
    phrasings, openings, closings and shared reasons are divided as `shared_voice.part_of_split` says.
    """
    domain, split = scenarios.domain, scenarios.split
    if scenarios.is_composed(scenario):
        composed = scenarios.phrasings(scenario)
        changes = scenarios[scenario].intent not in ("retrieve", "analyze")
        return WordingSpace(composed, _FramesByManner(composed, domain, split, changes=changes))
    spec = scenarios[scenario]
    parsed = tuple(phrasing_of(text) for text in spec.phrasings)
    kept = PHRASINGS_KEPT if scenario in domain.unserved else 1
    phrasings = {"test": parsed[-kept:], "validation": parsed[-2 * kept : -kept]}.get(split, parsed[: -2 * kept])
    if scenario in domain.unserved:
        choices = _frame_choices(domain, "neutral", split, changes=spec.intent not in ("retrieve", "analyze"))
        return WordingSpace(phrasings, (choices,) * len(phrasings))
    own = domain.file.voice
    choices = FrameChoices(tuple(own.openings), tuple(spec.reasons), tuple(own.closings))
    if not own.openings:
        choices = _frame_choices(domain, "neutral", split, changes=True)._replace(reasons=tuple(spec.reasons))
    return WordingSpace(phrasings, (choices,) * len(phrasings))


def wording_capacity(domain: Domain, scenario: str, split: str) -> int:
    """How many requests of a scenario a split can word without a repetition, or a lower number that is quicker to tell.

    Composed tasks have so many wordings that only what stands around their phrasings is counted.
    """
    if domain.written_scenario(scenario) is not None:
        return wording_space_of(domain.scenarios_of(f"{split}-0"), scenario).capacity()
    choices = _frame_choices(domain, "neutral", split, changes=True, with_thanks=False)
    frames = len(choices.openings) * len(choices.reasons) * len(choices.closings)
    return FEWEST_PHRASINGS * max(0, frames - 2) * len(_SHAPES) // (len(_SHAPES) + 1)


@lru_cache(maxsize=256)
def _frame_choices(
    domain: Domain, register: Register, split: str, *, changes: bool, with_thanks: bool = True
) -> FrameChoices:
    """What may stand around a composed phrasing: texts of its register and neutral ones, and reasons for what is asked."""
    voice, own = voice_of_split(domain.voice, split), domain.file.voice
    registers: tuple[Register, ...] = ("neutral",) if register == "neutral" else (register, "neutral")
    openings = [text for each in registers for text in voice.openings.of(each)]
    if "hours" not in domain.family.kinds:  # else the policy decides the hour
        openings += [*voice.openings.morning, *voice.openings.afternoon, *voice.openings.evening]
    openings += part_of_split(own.openings, split)
    closings = [*(text for each in registers for text in voice.closings.of(each)), *part_of_split(own.closings, split)]
    closings = [text for text in closings if with_thanks or not thanks(text)]
    reasons = [*(voice.reasons.change if changes else voice.reasons.read), *voice.reasons.any]
    reasons += part_of_split(own.reasons, split)
    return FrameChoices(tuple(openings), tuple(reasons), tuple(closings))
