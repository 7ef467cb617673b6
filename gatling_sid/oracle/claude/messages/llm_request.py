"""What is asked of Claude and what comes back: the seam between the phases and the engine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class LLMRequest:
    """One question.

    `work_id` matches `^[a-zA-Z0-9_-]{1,64}$` and is unique for ever: the same id is never paid twice. `system` is
    stable per (domain, phase), since it is the cached prefix; `user` is the part that varies. `schema` is the JSON
    schema of the answer, already through `anthropic.transform_schema`.
    """

    work_id: str
    phase: str
    domain: str
    system: str
    user: str
    schema: dict[str, Any]
    max_tokens: int


def work_id_of(phase: str, slug: str, *words: object) -> str:
    """The id of an ask that follows from its words: model, system, user, schema, and what else tells it from others."""
    digest = blake2b(json.dumps(words, sort_keys=True).encode(), digest_size=14).hexdigest()
    return f"{phase}-{slug}"[:35] + f"-{digest}"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer; `input_tokens` is only what was neither written to nor read from the cache."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_tokens: int = 0
    cache_read_tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        """All tokens of the prompt, cached or not."""
        return self.input_tokens + self.cache_creation_tokens + self.cache_read_tokens


@dataclass(frozen=True, slots=True)
class LLMResponse:
    """`text` is the JSON text if the model ended its turn, else None.

    `problem` is then `refusal:<category>`, `max_tokens` or `error:<type>`; after an error, no answer came and `says` are
    the words of whoever refused it.
    """

    work_id: str
    text: str | None
    problem: str | None
    usage: Usage
    cost_usd: float
    error_text: str = ""

    @property
    def arrived(self) -> bool:
        """Whether the API answered at all; a refusal by the model is an answer."""
        return not (self.problem or "").startswith("error:")


def failed_response(request: LLMRequest, problem: str, error_text: str = "") -> LLMResponse:
    """What stands for an answer that did not come; nothing was paid."""
    return LLMResponse(request.work_id, None, problem, Usage(), 0.0, error_text)


class AsyncClient(Protocol):
    """Whatever answers asks: the online engine, message batches, or a stand-in of a test."""

    async def complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        """In the order of the asks; every answer is in the ledger before it is returned."""
        ...


class SyncClient(Protocol):
    """Whatever answers asks to synchronous code: `running.Running`."""

    def complete(self, requests: Sequence[LLMRequest]) -> list[LLMResponse]:
        """In the order of the asks."""
        ...
