"""The aims for the traces of a domain, and values that stand beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

from gatling_sid.models import INTENTS


class Aim(NamedTuple):
    """The range in which a value should lie, with its ends."""

    least: float = -math.inf
    most: float = math.inf

    def __str__(self) -> str:
        if self.least == -math.inf:
            return f"<= {self.most:g}"
        return f">= {self.least:g}" if self.most == math.inf else f"{self.least:g}-{self.most:g}"


class Measured(NamedTuple):
    """The value of a measure over a number of texts or traces; its aim holds for at least `needed` of them.

    `kind` says what fewer of them can tell: of a `mean`, about as much; of a `count` of different things, that there
    are at least so many; a value that is `sized` means something else at another size.
    """

    name: str
    value: float
    over: int
    needed: int = 0
    aim: Aim | None = None
    kind: Literal["sized", "mean", "count"] = "sized"

    @property
    def verdict(self) -> str:
        """Whether the aim is met: ok or MISS, and "close" or "few" where so few texts or traces cannot tell.

        It is empty without an aim.
        """
        if self.aim is None:
            return ""
        is_met = self.aim.least <= self.value <= self.aim.most
        if self.over >= self.needed:
            return "ok" if is_met else "MISS"
        if self.kind == "sized" or self.over == 0:
            return "few"
        if is_met or self.kind == "count":
            return "ok" if is_met else "few"
        is_close = self.aim.least - _slack(self.aim.least, self.over) <= self.value
        return "close" if is_close and self.value <= self.aim.most + _slack(self.aim.most, self.over) else "MISS"

    def __str__(self) -> str:
        """A line of a table: name, number of texts or traces, value, aim, verdict."""
        value = f"{self.value:,.0f}" if self.value >= 100 or self.kind == "count" else f"{self.value:.4f}"
        return f"{self.name:52}{self.over:>8,}{value:>10}  {self.aim or ''!s:10}{self.verdict}".rstrip()


def _slack(bound: float, number: int) -> float:
    """How far a mean of so many values may miss a bound by chance: two standard errors, of a share exactly."""
    if not math.isfinite(bound):
        return 0.0
    return 2 * math.sqrt(bound * (1 - bound) / number) if 0 <= bound <= 1 else bound / math.sqrt(number)


AIMS: Mapping[str, Aim] = {
    "raw pass rate": Aim(least=0.98),
    "self_bleu4 at 500": Aim(most=0.5),
    "distinct_2 at 500": Aim(least=0.46),
    "distinct_3 at 500": Aim(least=0.68),
    "skel8_frac at 2,000": Aim(most=0.04),
    "cr_zlib at 2,000": Aim(most=3.1),
    "tokens, standard deviation at 2,000": Aim(least=15),
    "seven tokens or fewer at 2,000": Aim(least=0.05),
    "nd_char5 at 10,000": Aim(most=0.02),
    "ndm_char5 at 10,000": Aim(most=0.06),
    "question mark at 10,000": Aim(least=0.4),
    "can you, could you at 10,000": Aim(least=0.15),
    "I need, want, 'd like at 10,000": Aim(least=0.12),
    "colon at 10,000": Aim(most=0.15),
    "spaced dash at 10,000": Aim(most=0.04),
    "all lower case at 10,000": Aim(most=0.08),
    "opening, reason or closing at 10,000": Aim(most=0.5),
    "ndm_char5 at 80,000": Aim(most=0.15),
    "distinct scenarios": Aim(least=40),
    "distinct goal shapes": Aim(least=300),
    "distinct plan shapes": Aim(least=60),
    "calls per trace": Aim(2.5, 3.5),
    "two or more calls": Aim(least=0.65),
    "data flow, of two or more calls": Aim(least=0.6),
    "five or more calls": Aim(least=0.1),
    "argument values literally in the text": Aim(0.3, 0.55),
    "most frequent dictated text": Aim(most=0.01),
    **{f"intent {intent}": Aim(0.08, 0.3) for intent in INTENTS},
    "reads prose": Aim(least=0.3),
    "holds a lure": Aim(least=0.08),
    "holds a harmless imperative": Aim(least=0.08),
    "delegates": Aim(least=0.05),
    "uses an outside value": Aim(least=0.05),
    "crosses domains": Aim(least=0.05),
    "seven or more calls": Aim(least=0.08),
    "calls without argument": Aim(least=0.07),
    "arguments over 60 characters": Aim(least=0.08),
    "not simply served": Aim(0.08, 0.12),
    "plan breaks another policy": Aim(least=0.4),
    "not gold under another policy": Aim(least=0.6),
    "another plan under another policy": Aim(least=0.3),
}
"""Aims for each domain by itself."""

AIMS_WITH_OUTSIDE_CONTENT = (
    "reads prose",
    "holds a lure",
    "holds a harmless imperative",
    "delegates",
    "uses an outside value",
)
"""Measures whose aims hold for domains in which somebody else than the own systems writes something."""

LIMIT_AIM = Aim(least=0.08)
"""Share of the traces that a numeric limit concerns in which it is met exactly."""

AIMS_OF_ALL_DOMAINS: Mapping[str, Aim] = {
    "self_bleu4 at 500": Aim(most=0.32),
    "self_bleu4 masked at 500": Aim(most=0.33),
    "distinct_2 at 500": Aim(least=0.56),
    "distinct_3 at 500": Aim(least=0.8),
    "open3_eff at 500": Aim(least=150),
    "skel8_frac at 2,000": Aim(most=0.01),
    "cr_zlib at 2,000": Aim(most=2.8),
    "dup_template at 2,000": Aim(most=0.005),
    "open3_eff at 2,000": Aim(least=300),
    "nd_char5 at 10,000": Aim(most=0.01),
    "ndm_char5 at 10,000": Aim(most=0.03),
    "dup_template at 10,000": Aim(most=0.01),
    "open3_eff at 10,000": Aim(least=500),
}
"""Aims for the texts of all domains together."""

AIMS_OF_FILE: Mapping[str, Aim] = {
    "tools": Aim(least=12),
    "rules": Aim(least=12),
    "roles": Aim(least=4),
    "written parts and scenarios": Aim(least=40),
    "lines of the file": Aim(most=900),
    "tokens of the file, about": Aim(most=20_000),
}
"""Aims for what a domain file has and how long it is."""
