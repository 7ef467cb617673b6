"""A run rehearsed with made-up answers, to know all that it may ask before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.estimate.estimate import BYTES_PER_TOKEN, PhaseWorkload, workloads_of
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, LLMResponse, Usage
from gatling_sid.oracle.claude.prompts.phases import DomainPrompts, answer_lengths


class DryRun:
    """Answers every ask so that most more are asked: requests like an example, notes, and never a plan.

    What is asked twice with the same words counts once, as it is paid once.
    """

    def __init__(self, phases: DomainPrompts, block: int) -> None:
        """`block` requests are written per call. Raises OracleError: there is no example to go by."""
        if not phases.examples:
            raise OracleError(
                f"{phases.domain.slug}: none of its scenarios gives a proven trace; mend the domain file first"
            )
        self.requests: dict[str, LLMRequest] = {}
        self._text = phases.examples[0][0].request.text
        self._lengths = answer_lengths(phases)
        self._block = block

    def complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        """In the order of the asks; other words get another answer."""
        self.requests |= {ask.work_id: ask for ask in requests}
        return [LLMResponse(ask.work_id, json.dumps(self._said(ask)), None, Usage(), 0.0) for ask in requests]

    def workloads(self) -> list[PhaseWorkload]:
        """Calls and tokens by phase; answers as long as the examples'."""
        characters = {**self._lengths, "requests": self._lengths["requests"] * self._block}
        tokens = {phase: length / BYTES_PER_TOKEN for phase, length in characters.items()}
        planned = workloads_of([*self.requests.values()])
        return [replace(each, output_tokens=tokens.get(each.phase, each.output_tokens)) for each in planned]

    def _said(self, ask: LLMRequest) -> dict[str, object]:
        own = f"{self._text} {ask.work_id[-8:]}"
        if ask.phase == "tuning":
            return {"notes": [f"{own} {number}" for number in (1, 2)]}
        if ask.phase == "requests":
            return {"items": [{"item": number, "text": own} for number in range(1, self._block + 1)]}
        return {"items": []}
