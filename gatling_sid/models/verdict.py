"""What a judge decides about a trace: what is wrong with it, what could not be judged, and whether it is gold."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """One thing that is wrong with a trace: the check and its rule that found it, and a message.

    `constraint_id` names the constraint of the policy that the finding is about, if it is about one.
    """

    check: str
    rule: str
    message: str
    constraint_id: str | None = None

    def __str__(self) -> str:
        return f"{self.rule}: {self.message}"


class Verdict(NamedTuple):
    """All findings about a trace and, if there are none, the reasons why parts of it could not be judged."""

    findings: list[Finding]
    skipped: list[str]

    @property
    def is_gold(self) -> bool:
        """Whether the whole trace was judged, and nothing is wrong with it."""
        return not self.findings and not self.skipped
