"""What the server of `claude_server` sends and charges: responses, errors, prices and rate limits of the Claude API."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Body = dict[str, Any]
# 1e-12 USD per token of claude-haiku-5-5; not read from the package's price table, so that the two can be compared.
RATES = {"input": 100_000, "output": 500_000, "write": 125_000, "read": 10_000}
LONG_PROMPT, LONG_FACTOR = 100_000, 5
TOP_LEVEL = {"model", "max_tokens", "system", "messages", "output_config", "thinking", "metadata", "stream", "tools"}
ERRORS: dict[str, tuple[int, str, str, dict[str, str]]] = {
    "500": (500, "api_error", "", {}),
    "529": (529, "overloaded_error", "", {}),
    "429": (429, "rate_limit_error", "", {"retry-after": "1"}),
    "ramp": (429, "rate_limit_error", "ramp_limit_exceeded", {"retry-after": "1"}),
    "spend_429": (429, "rate_limit_error", "", {}),
    "tier": (429, "rate_limit_error", "enforced_spend_limit_reached", {"retry-after": "5"}),
    "spend_400": (400, "invalid_request_error", "", {}),
    "on_hold": (400, "invalid_request_error", "organization_on_hold", {}),
    "invalid": (400, "invalid_request_error", "", {}),
    "revoked": (401, "authentication_error", "", {}),
    "unpaid": (402, "billing_error", "", {}),
    "forbidden": (403, "permission_error", "", {}),
    "unknown": (404, "not_found_error", "", {}),
    "model": (400, "invalid_request_error", "", {}),
    "credit": (400, "invalid_request_error", "", {}),
}
ERROR_MESSAGES = {
    "529": "Overloaded",
    "spend_400": "You have reached your specified API usage limits.",
    "invalid": "max_tokens: too large",
    "revoked": "invalid bearer token",
    "unpaid": "There is an issue with your payment information.",
    "forbidden": "Your API key does not have permission to use the specified resource.",
    "unknown": "model: claude-haiku-5-5",
    "model": "model: this model is not available to your organization",
    "credit": "Your credit balance is too low to access the API. Please go to Plans & Billing to purchase credits.",
}


def tokens(text: str) -> int:
    """The number of tokens that this server counts for a text."""
    return len(text) // 4 + 1


class Hangup(Exception):  # noqa: N818 - a normal event, not an error
    """Closes the connection after the bytes `sent`."""

    def __init__(self, sent: bytes = b"") -> None:
        super().__init__()
        self.sent = sent


class HttpResponse(NamedTuple):
    """The response to one HTTP request."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}


@dataclass
class Bucket:
    """A rate limit of `limit` per minute, of which `capacity` may be used at once."""

    limit: float
    capacity: float
    level: float = 0.0
    updated_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.level = self.capacity

    def missing(self, amount: float) -> float:
        """Seconds until `amount` is available."""
        now = time.monotonic()
        self.level = min(self.capacity, self.level + (now - self.updated_at) * self.limit / 60)
        self.updated_at = now
        return max(0.0, (amount - self.level) * 60 / self.limit)


@dataclass
class BilledMessage:
    """One message that is on the bill, at `cost` in 1e-12 USD; `delivered` unless a fault lost it."""

    message_id: str
    user_text: str
    cost: int
    batch: bool
    delivered: bool = True


@dataclass
class Batch:
    """One batch; `results` is None until it has ended."""

    batch_id: str
    created: float
    workspace: str
    requests: list[Body]
    results: list[Body] | None = None
    cancelled: bool = False


@dataclass
class Account:
    """The organisation and workspace that a key belongs to."""

    organisation: str = "org-1"
    workspace: str = "wrk-1"


def prefix_of_body(body: Body) -> str:
    """The cached part of a body: schema and system text."""
    system = body.get("system", "")
    text = system if isinstance(system, str) else "".join(block["text"] for block in system)
    return json.dumps(body.get("output_config", {}).get("format", {}), sort_keys=True) + text


def reason_to_refuse(body: Body) -> str:
    """The reason why the API would refuse a body, or an empty text."""
    if unknown := body.keys() - TOP_LEVEL:
        return f"{min(unknown)}: Extra inputs are not permitted"
    return "" if body.get("max_tokens", 0) >= 1 and body.get("messages") else "max_tokens, messages: Field required"


def cost_of(usage: Mapping[str, int]) -> int:
    """The price of a message in 1e-12 USD."""
    parts = {"input": "input_tokens", "write": "cache_creation_input_tokens", "read": "cache_read_input_tokens"}
    factor = LONG_FACTOR if sum(usage[name] for name in parts.values()) > LONG_PROMPT else 1
    prompt = sum(RATES[kind] * usage[name] for kind, name in parts.items())
    return factor * (prompt + RATES["output"] * usage["output_tokens"])


def error_body(kind: str, message: str, code: str = "") -> Body:
    """The JSON body of an error."""
    details = {"details": {"error_code": code}} if code else {}
    return {"type": "error", "error": {"type": kind, "message": message, **details}}


def error_response(fault: str, headers: Mapping[str, str]) -> HttpResponse:
    """The response with one of the errors in `ERRORS`."""
    status, kind, code, more = ERRORS[fault]
    return json_response(status, error_body(kind, ERROR_MESSAGES.get(fault, fault), code), {**headers, **more})


def account_headers(account: Account) -> dict[str, str]:
    """The headers that name organisation and workspace."""
    return {"anthropic-organization-id": account.organisation, "anthropic-workspace-id": account.workspace}


def json_response(status: int, body: Body, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """A response whose body is JSON."""
    return HttpResponse(status, json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})})


def bytes_of(response: HttpResponse) -> bytes:
    """The bytes of a response, as they are sent over the connection."""
    lines = [f"HTTP/1.1 {response.status} Status", f"content-length: {len(response.body)}", "request-id: req_1"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + response.body
