"""Counts tokens with the API, for an estimate that is better than one from a general ratio."""

from __future__ import annotations

import json
from collections.abc import Sequence

import anthropic

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.messages.api_format import DEFAULT_MODEL, body_of
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest
from gatling_sid.oracle.claude.transport.api_errors import classify_error
from gatling_sid.oracle.claude.transport.keys import Keys

# The number of requests to count; those of a phase are alike.
_SAMPLE_SIZE = 5


async def count_bytes_per_token(
    requests: Sequence[LLMRequest], key: str, *, model: str = DEFAULT_MODEL, base_url: str | None = None
) -> float:
    """The mean number of bytes per token, as the API counts them for a few of these requests; counting is free.

    Raises:
        OracleError: the API cannot be reached, or refuses these prompts; it is better to know this before a batch is sent.

    """
    keys = Keys([key], base_url=base_url, in_flight=1)
    byte_count = token_count = 0
    try:
        for request in requests[:: max(1, len(requests) // _SAMPLE_SIZE)][:_SAMPLE_SIZE]:
            body = body_of(request, model)
            count = await keys.all[0].client.messages.count_tokens(
                model=model, system=body["system"], messages=body["messages"], output_config=body["output_config"]
            )
            token_count += count.input_tokens
            byte_count += len((request.system + request.user + json.dumps(request.schema)).encode())
    except anthropic.APIError as error:
        decision = classify_error(error, keys.all[0].name, keys.redact)
        api_message = keys.redact(error.message)
        raise (
            decision
            if isinstance(decision, OracleError)
            else OracleError(f"the API cannot count the tokens: {api_message}")
        ) from None
    finally:
        await keys.close()
    return byte_count / token_count
