"""LLM requests and responses: the interface between the phases, which write prompts, and the clients, which send them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class LLMRequest:
    """One prompt for Claude.

    `work_id` matches `^[a-zA-Z0-9_-]{1,64}$` and names this prompt in the ledger, where each id is paid for only once.
    `system` is the same for all requests of a (domain, phase), since it is the cached prefix; `user` is the part that
    varies. `schema` is the JSON schema of the answer, from `schemas/prompts/answers.json`.
    """

    work_id: str
    phase: str
    domain: str
    system: str
    user: str
    schema: dict[str, Any]
    max_tokens: int


def work_id_of(phase: str, slug: str, *content: object) -> str:
    """The work id computed from a request's content: model, system, user, schema, and whatever else identifies it."""
    digest = blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=14).hexdigest()
    return f"{phase}-{slug}"[:35] + f"-{digest}"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one response; `input_tokens` counts only those neither written to nor read from the prompt cache."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_tokens: int = 0
    cache_read_tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        """All tokens of the prompt, whether they are cached or not."""
        return self.input_tokens + self.cache_creation_tokens + self.cache_read_tokens


class ProblemKind(StrEnum):
    """The kinds of problems; a response with a problem contains no answer."""

    REFUSAL = "refusal"
    """The model refused to answer."""
    MAX_TOKENS = "max_tokens"
    """The text was cut at the limit of output tokens."""
    ERROR = "error"
    """No message came, because the API refused the API call or the API call failed."""


@dataclass(frozen=True, slots=True)
class ResponseProblem:
    """Why a response contains no answer; `detail` is the category of a refusal or the type of an error."""

    kind: ProblemKind
    detail: str = ""

    @classmethod
    def from_text(cls, text: str) -> ResponseProblem:
        """Parses the text that `str` of a problem gives, for instance one from the ledger."""
        kind, _, detail = text.partition(":")
        return cls(ProblemKind(kind), detail)

    def __str__(self) -> str:
        return f"{self.kind}:{self.detail}" if self.detail else str(self.kind)


@dataclass(frozen=True, slots=True)
class LLMResponse:
    """What came back for one request.

    `text` is the JSON text if the model ended its turn; otherwise it is None and `problem` says why. `error_text` is the
    message of the API, or of the connection, that came with an error.
    """

    work_id: str
    text: str | None
    problem: ResponseProblem | None
    usage: Usage
    cost_usd: float
    error_text: str = ""

    @property
    def has_arrived(self) -> bool:
        """Whether the API delivered a message; a refusal by the model is one too."""
        return self.problem is None or self.problem.kind is not ProblemKind.ERROR


def failed_response(request: LLMRequest, problem: ResponseProblem, error_text: str = "") -> LLMResponse:
    """The response to a request that got no message; its cost is 0."""
    return LLMResponse(request.work_id, None, problem, Usage(), 0.0, error_text)


class AsyncClient(Protocol):
    """Completes LLM requests: `MessagesClient`, `BatchesClient`, or a replacement in a test."""

    async def complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        """Returns one response per request, in the same order, after all of them are in the ledger."""
        ...


class SyncClient(Protocol):
    """Completes LLM requests for synchronous code: `BlockingClient`."""

    def complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        """Returns one response per request, in the same order."""
        ...
