"""What a judge says of a trace: findings, and whether the trace is gold."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """One breach: which check, which rule of it, what is wrong."""

    check: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.message}"


class Verdict(NamedTuple):
    """What is wrong with a trace or, if nothing is, why it could be judged in part only; of gold, neither."""

    findings: list[Finding]
    skipped: list[str]

    @property
    def is_gold(self) -> bool:
        """Whether all of it was judged, and nothing is wrong."""
        return not self.findings and not self.skipped
