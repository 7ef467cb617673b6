"""Converts between our classes and those of the API: a request to the body of an API call, a message to a response."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, cast

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.messages.llm_request import (
    LLMRequest,
    LLMResponse,
    ProblemKind,
    ResponseProblem,
    Usage,
)
from gatling_sid.oracle.claude.messages.prices import price_table

if TYPE_CHECKING:  # the client takes more than a second to import, and an estimate sends nothing
    from anthropic.types import Message
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

DEFAULT_MODEL = "claude-haiku-5-5"
_WORK_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
# More than what the API adds to a prompt and its schema.
_OVERHEAD_TOKENS = 600


def check_request(request: LLMRequest) -> None:
    """Refuses a request that the API or the ledger could not process.

    Raises:
        OracleError: says which request it is and what is wrong with it.

    """
    if not _WORK_ID.fullmatch(request.work_id):
        raise OracleError(f"work id {request.work_id!r}: only letters, digits, _ and - are allowed, 1 to 64 of them")
    if request.max_tokens < 1:
        raise OracleError(f"{request.work_id}: max_tokens is {request.max_tokens}; it must be at least 1")


def body_of(request: LLMRequest, model: str, *, cached: bool = True) -> MessageCreateParamsNonStreaming:
    """The parameters of `messages.create`; if `cached`, the prefix up to the system text goes into the prompt cache."""
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": request.max_tokens,
        "system": [{"type": "text", "text": request.system}],
        "messages": [{"role": "user", "content": request.user}],
        "output_config": {"format": {"type": "json_schema", "schema": request.schema}, "effort": "low"},
    }
    if cached:
        body["system"][0]["cache_control"] = {"type": "ephemeral"}
    thinking = price_table().model(model).thinking
    if thinking != "always":
        body["thinking"] = {"type": thinking}
    return cast("MessageCreateParamsNonStreaming", body)


def request_digest(request: LLMRequest, model: str) -> str:
    """A digest of everything that decides the response, to notice when a work id is used again with another prompt."""
    parts = [model, request.system, request.user, request.max_tokens, request.schema]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def prefix_of(request: LLMRequest) -> str:
    """Identifies the cached part of a request; requests with the same value share a cache entry."""
    return hashlib.sha256(json.dumps([request.schema, request.system], sort_keys=True).encode()).hexdigest()[:32]


def worst_usage(request: LLMRequest) -> Usage:
    """The most tokens an API call can use: a token has at least one byte, and the whole prompt may be written to the cache."""
    prompt = (
        len(request.system.encode()) + len(request.user.encode()) + len(json.dumps(request.schema)) + _OVERHEAD_TOKENS
    )
    return Usage(output_tokens=request.max_tokens, cache_creation_tokens=prompt)


def response_of(work_id: str, message: Message, model: str, *, batch: bool = False) -> LLMResponse:
    """The response that a message contains, with its cost by the price table.

    Raises:
        ValueError: it is not a message; the SDK does not check what it receives.

    """
    from anthropic.types import Usage as ApiUsage  # noqa: PLC0415 - whoever has a message has imported it already

    api_usage = getattr(message, "usage", None)
    if (
        not isinstance(api_usage, ApiUsage)
        or not isinstance(getattr(api_usage, "output_tokens", None), int)
        or not isinstance(getattr(api_usage, "input_tokens", None), int)
        or not isinstance(getattr(message, "content", None), list)
        or not getattr(message, "id", None)
    ):
        raise ValueError("the HTTP response is not a message")
    usage = Usage(
        api_usage.input_tokens,
        api_usage.output_tokens,
        api_usage.cache_creation_input_tokens or 0,
        api_usage.cache_read_input_tokens or 0,
    )
    cost = price_table().cost(model, usage, batch=batch)
    if message.stop_reason == "end_turn":
        text = next((block.text for block in message.content if block.type == "text"), "")
        return LLMResponse(work_id, text, None, usage, cost)
    return LLMResponse(work_id, None, _problem(message), usage, cost)


def _problem(message: Message) -> ResponseProblem:
    if message.stop_reason == "refusal":
        details = message.stop_details
        return ResponseProblem(ProblemKind.REFUSAL, (details.category if details else None) or "unnamed")
    if message.stop_reason in {"max_tokens", "model_context_window_exceeded"}:
        return ResponseProblem(ProblemKind.MAX_TOKENS)
    return ResponseProblem(ProblemKind.ERROR, str(message.stop_reason))
