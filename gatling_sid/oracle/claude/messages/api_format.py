"""One ask as the body of a call, and one message as an answer: the border to the API's own shapes."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, cast

from anthropic.types import Message
from anthropic.types import Usage as ApiUsage
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, LLMResponse, Usage
from gatling_sid.oracle.claude.messages.prices import price_table

DEFAULT_MODEL = "claude-haiku-5-5"
_WORK_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_OVERHEAD_TOKENS = 600  # what the API wraps around a prompt and its schema, generously


def check_request(request: LLMRequest) -> None:
    """Refuses an ask that the API or the ledger would trip over later.

    Raises:
        OracleError: names the ask and what is wrong with it.

    """
    if not _WORK_ID.fullmatch(request.work_id):
        raise OracleError(f"work id {request.work_id!r}: only letters, digits, _ and - are allowed, 1 to 64 of them")
    if request.max_tokens < 1:
        raise OracleError(f"{request.work_id}: max_tokens is {request.max_tokens}; ask for at least 1")


def body_of(request: LLMRequest, model: str, *, cached: bool = True) -> MessageCreateParamsNonStreaming:
    """The parameters of `messages.create`; the prefix up to the system text is the part that is cached."""
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
    """Tells whether a work id is asked with the same words again."""
    parts = [model, request.system, request.user, request.max_tokens, request.schema]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def prefix_of(request: LLMRequest) -> str:
    """Asks with the same prefix share a cache entry: the schema is part of it."""
    return hashlib.sha256(json.dumps([request.schema, request.system], sort_keys=True).encode()).hexdigest()[:32]


def worst_usage(request: LLMRequest) -> Usage:
    """No answer can use more than this: a token is at least one byte, and the whole prompt may be a cache write."""
    prompt = (
        len(request.system.encode()) + len(request.user.encode()) + len(json.dumps(request.schema)) + _OVERHEAD_TOKENS
    )
    return Usage(output_tokens=request.max_tokens, cache_creation_tokens=prompt)


def response_of(work_id: str, message: Message, model: str, *, batch: bool = False) -> LLMResponse:
    """What a message says, and what it costs by the table.

    Raises:
        ValueError: no message; the SDK checks nothing of what it is sent.

    """
    used = getattr(message, "usage", None)
    if (
        not isinstance(used, ApiUsage)
        or not isinstance(getattr(used, "output_tokens", None), int)
        or not isinstance(getattr(used, "input_tokens", None), int)
        or not isinstance(getattr(message, "content", None), list)
        or not getattr(message, "id", None)
    ):
        raise ValueError("the answer is not a message")
    usage = Usage(
        used.input_tokens,
        used.output_tokens,
        used.cache_creation_input_tokens or 0,
        used.cache_read_input_tokens or 0,
    )
    cost = price_table().cost(model, usage, batch=batch)
    if message.stop_reason == "end_turn":
        text = next((block.text for block in message.content if block.type == "text"), "")
        return LLMResponse(work_id, text, None, usage, cost)
    return LLMResponse(work_id, None, _problem(message), usage, cost)


def _problem(message: Message) -> str:
    if message.stop_reason == "refusal":
        details = message.stop_details
        return f"refusal:{(details.category if details else None) or 'unnamed'}"
    if message.stop_reason in {"max_tokens", "model_context_window_exceeded"}:
        return "max_tokens"
    return f"error:{message.stop_reason}"
