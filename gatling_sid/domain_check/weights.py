"""Weights of parts with which the traces of a domain meet more of the aims that weights decide.

A step of exponentiated gradient (Kivinen and Warmuth, 1997): a part gains weight if its traces lie above the mean in what
is missed, and loses weight if they lie below it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gatling_sid.domain_check.sample import parts_of_scenario
from gatling_sid.errors import CatalogueError
from gatling_sid.models import INTENTS, GoldTrace
from gatling_sid.quality.aims import AIMS
from gatling_sid.quality.trust_measures import TrustCounts
from gatling_sid.schemas.domain import Domain

LEAST_WEIGHT, MOST_WEIGHT = 2, 50
"""Within these, no part becomes so rare that its rules concern no trace, and none crowds out the others."""
_MARGIN = 1.1
"""Aims are aimed at by so much more, so that other traces meet them as well."""
_OF_TRACES = (
    "reads prose", "holds a lure", "holds a harmless imperative", "delegates", "uses an outside value", "crosses domains",
    "seven or more calls",
)  # fmt: skip
_LONGEST_STEP = 2.2
_LEAST_DEVIATION = 0.05
"""Of what few traces do; a smaller one would make it count more than everything else."""
_USUAL_WEIGHT = 8
"""The geometric mean of the weights, so that there is room below it and above."""


class Shortfall(NamedTuple):
    """How far traces miss the aims: `score` as a whole, in standard deviations of a trace; `missed` by name of the measure.

    The values of `missed` are means per trace: of a share, how far it is below its aim with the margin.
    """

    score: float
    missed: Mapping[str, float]


class PartSample:
    """Traces of a domain, with the parts that each was composed of, and by how much each exceeds the aims."""

    def __init__(self, domain: Domain, traces: Sequence[GoldTrace]) -> None:
        """Measures the traces; there must be some."""
        self._parts = [
            {*parts_of_scenario(domain.scenarios_of(str(each.metadata["world"])), str(each.metadata["scenario"]))}
            for each in traces
        ]
        rows = [dict(_excesses(each)) for each in traces]
        self._names = list(rows[0])
        self._excess = np.array([list(row.values()) for row in rows])
        deviation = self._excess.std(axis=0)
        self._deviation = np.maximum(deviation, _LEAST_DEVIATION)
        # What no trace has, no weight can give.
        self._shortfalls = np.maximum(0, -self._excess.mean(axis=0) / self._deviation) * (deviation > 0)

    def shortfall(self) -> Shortfall:
        """What is missed; a score of 0 says that all aims are met, with their margin."""
        means = self._excess.mean(axis=0)
        missed = {
            name: float(mean)
            for name, mean, short in zip(self._names, means, self._shortfalls, strict=True)
            if short > 0
        }
        return Shortfall(float(self._shortfalls.sum()), missed)

    def better_weights(self, weights: Mapping[str, int], step: float) -> dict[str, int]:
        """Weights after a step, by part, brought to a usual mean; a part that is in fewer than two traces has no slope."""
        importance = self._shortfalls / max(self._shortfalls.max(), 1e-9)
        changed = {name: weight * math.exp(step * self._slope(name, importance)) for name, weight in weights.items()}
        mean = math.exp(sum(map(math.log, changed.values())) / len(changed))
        return {
            name: round(min(max(each * _USUAL_WEIGHT / mean, LEAST_WEIGHT), MOST_WEIGHT))
            for name, each in changed.items()
        }

    def _slope(self, part: str, importance: np.ndarray) -> float:
        has_part = np.array([part in parts for parts in self._parts])
        if has_part.sum() < 2:
            return 0.0
        above_mean = (self._excess[has_part].mean(axis=0) - self._excess.mean(axis=0)) / self._deviation
        return float(np.clip((above_mean * importance).sum(), -_LONGEST_STEP, _LONGEST_STEP))


def _excesses(trace: GoldTrace) -> Iterator[tuple[str, float]]:
    """Yields (measure, excess); traces whose excess is 0 on average just meet the aim, with the margin."""
    counts = TrustCounts()
    counts.add(trace)
    for name in _OF_TRACES:
        yield name, counts.counted[name] - _MARGIN * AIMS[name].least
    for name, counted, over in (
        ("calls without argument", "calls without argument", counts.calls),
        ("arguments over 60 characters", "long texts", counts.arguments),
    ):
        yield name, counts.counted[counted] - _MARGIN * AIMS[name].least * over
    for intent in INTENTS:
        is_intent, aim = trace.request.intent_category == intent, AIMS[f"intent {intent}"]
        yield f"intent {intent}", is_intent - _MARGIN * aim.least
        yield f"intent {intent}, at most", aim.most / _MARGIN - is_intent
    yield "calls per trace", AIMS["calls per trace"].most - counts.calls


# --- the text of a domain file ---------------------------------------------------------------------------------

_WEIGHT = re.compile(r"\bweight:\s+\d+")


def weights_of(domain: Domain) -> dict[str, int]:
    """The weight of each part."""
    return {name: part.weight for name, part in domain.file.parts.items()}


def with_weights(text: str, weights: Mapping[str, int], file: str) -> str:
    """The text of a domain file with these weights of its parts, and nothing else changed.

    Raises:
        CatalogueError: a part does not stand in the file as `  name: {tool: …` or `  name:` with its keys below.

    """
    for name, weight in weights.items():
        start = re.search(r"(?m)^parts:", text)
        block = re.compile(rf"(?ms)^  {re.escape(name)}:.*?(?=^  \w|^\w|\Z)").search(text, start.end() if start else 0)
        if block is None:
            raise CatalogueError(
                file, f"parts.{name}", "begin its line with two spaces and the name, so that it is found"
            )
        text = text[: block.start()] + _with_weight(block.group(), weight) + text[block.end() :]
    return text


def _with_weight(part: str, weight: int) -> str:
    if _WEIGHT.search(part):
        return _WEIGHT.sub(f"weight: {weight}", part, count=1)
    if weight == 1:
        return part
    if "{" in part.partition("\n")[0]:
        return part.replace("{", f"{{weight: {weight},\n   ", 1)
    return part.replace("\n", f"\n    weight: {weight}\n", 1)
