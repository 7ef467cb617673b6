"""A run with made-up responses, which shows all requests that a real run may send."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.estimate.estimate import BYTES_PER_TOKEN, PhaseWorkload, workloads_of
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, LLMResponse, Usage
from gatling_sid.oracle.claude.prompts.phases import DomainPrompts, answer_lengths, first_example


class OfflineClient:
    """The client of an oracle that only builds requests."""

    def complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        """Raises OracleError, since nothing may be sent."""
        raise OracleError(f"an estimate must not send requests, but {len(requests)} were about to be sent")


class DryRun:
    """Returns made-up responses that cause the most follow-up requests: texts and notes are accepted, plans never are.

    Equal requests count once, since they are paid for once.
    """

    def __init__(self, prompts: DomainPrompts, block_size: int) -> None:
        """`block_size` requests are written per API call. Raises OracleError if the domain has no example."""
        trace, _ = first_example(prompts)
        self.requests: dict[str, LLMRequest] = {}
        self._text = trace.request.text
        self._lengths = answer_lengths(prompts)
        self._block_size = block_size

    def complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        """Returns one response per request, in the same order; different requests get different responses."""
        self.requests |= {request.work_id: request for request in requests}
        return [LLMResponse(each.work_id, json.dumps(self._content(each)), None, Usage(), 0.0) for each in requests]

    def workloads(self) -> list[PhaseWorkload]:
        """API calls and tokens by phase; answers are assumed to be as long as those of the examples."""
        characters = {**self._lengths, "requests": self._lengths["requests"] * self._block_size}
        tokens = {phase: length / BYTES_PER_TOKEN for phase, length in characters.items()}
        workloads = workloads_of([*self.requests.values()])
        return [replace(each, output_tokens=tokens.get(each.phase, each.output_tokens)) for each in workloads]

    def _content(self, request: LLMRequest) -> dict[str, object]:
        text = f"{self._text} {request.work_id[-8:]}"
        if request.phase == "tuning":
            return {"notes": [f"{text} {number}" for number in (1, 2)]}
        if request.phase == "requests":
            return {"items": [{"item": number, "text": text} for number in range(1, self._block_size + 1)]}
        return {"items": []}
