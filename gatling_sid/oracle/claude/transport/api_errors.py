"""Decides what an error of the API means for a run: retry the API call, fail this one request, or stop the run."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import anthropic
import httpx2

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.ledger import RESUME_HINT, AttemptStatus, refused_status
from gatling_sid.oracle.claude.messages.llm_request import ProblemKind, ResponseProblem
from gatling_sid.oracle.claude.transport.rate_limits import retry_after

# Longer than the API usually asks for; a user would not wait that long without a message.
MAX_WAIT_SECONDS = 600
# An overloaded API is back within minutes, so longer pauses would only lose time.
_MAX_BACKOFF_SECONDS = 60
# A proxy may send a whole HTML page as its error.
_MAX_ERROR_CHARACTERS = 400
_SPENDING_CODES = {
    "enforced_spend_limit_reached": "the organisation has reached the monthly limit of its tier",
    "contract_spend_limit_reached": "the organisation has reached the spend limit of its contract",
    "linked_organization_spend_limit_reached": "the linked organisation has reached its spend limit",
    "linked_organization_billing_unavailable": "the linked organisation cannot be billed",
}
# The limit that an owner sets in the Console is a plain 400 without a code and can be recognised only by its text.
_SPENDING_PHRASES = ("usage limit", "spend limit", "spending limit", "credit balance")
_UNSENT_ERRORS = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
ApiCallError = anthropic.APIError | httpx2.TransportError | ValueError


@dataclass(frozen=True, slots=True)
class Retry:
    """The API call may be sent again: after `seconds` if the API named a time, otherwise after a backoff of our own."""

    status: str
    problem: ResponseProblem
    error_text: str
    seconds: float | None = None
    rate_limited: bool = False

    @property
    def may_have_succeeded(self) -> bool:
        """Whether the API may have processed the API call although no HTTP response came back."""
        return not self.rate_limited and self.status != AttemptStatus.UNSENT


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """The API refuses this request for its own content; nothing was paid."""

    status: str
    problem: ResponseProblem
    error_text: str


def classify_error(
    error: ApiCallError, key_name: str, redact: Callable[[str], str]
) -> Retry | RequestRefused | OracleError:
    """What to do after an error; an `OracleError` is returned if the run must stop.

    Args:
        error: what the API call raised.
        key_name: the name of the API key, for messages.
        redact: removes API keys from the texts of the API before they become part of a message.

    """
    if isinstance(error, anthropic.APIStatusError):
        return _classify_status(error, key_name, redact(error.api_message or error.message)[:_MAX_ERROR_CHARACTERS])
    unsent = isinstance(error, _UNSENT_ERRORS) or isinstance(error.__cause__, _UNSENT_ERRORS)
    return Retry(
        AttemptStatus.UNSENT if unsent else AttemptStatus.LOST,
        ResponseProblem(ProblemKind.ERROR, "connection"),
        redact(str(error))[:_MAX_ERROR_CHARACTERS],
    )


def _classify_status(error: anthropic.APIStatusError, key_name: str, text: str) -> Retry | RequestRefused | OracleError:
    code = error.status_code
    if stop := _stop_error(error, key_name, text):
        return stop
    status, problem = refused_status(code), ResponseProblem(ProblemKind.ERROR, str(error.type or code))
    if code == 429:
        retry = Retry(status, problem, text, retry_after(error.response.headers), rate_limited=True)
        return _classify_rate_limit(retry, key_name)
    if code in {408, 409} or code >= 500:
        return _refuse_long_wait(Retry(status, problem, text, retry_after(error.response.headers)), key_name)
    if any(phrase in text.casefold() for phrase in _SPENDING_PHRASES):
        return OracleError(
            f"{key_name}: a spend limit set in the Console is reached, or the credit is used up ({text}); {RESUME_HINT}"
        )
    return RequestRefused(status, problem, text)


def _stop_error(error: anthropic.APIStatusError, key_name: str, text: str) -> OracleError | None:
    """The error that ends the run, if no request with this key can succeed."""
    if error.error_code == "organization_on_hold":
        return OracleError(
            f"{key_name}: the provider has put the organisation on hold ({text}); contact the provider, do not retry"
        )
    if error.error_code in _SPENDING_CODES:
        return OracleError(
            f"{key_name}: {_SPENDING_CODES[error.error_code]} ({text}); raise the limit or wait; {RESUME_HINT}"
        )
    if error.status_code in {401, 403}:
        return OracleError(
            f"{key_name} is not accepted (status {error.status_code}: {text}); it is revoked or lacks the permission; "
            f"use another key; {RESUME_HINT}"
        )
    if error.status_code == 402:
        return OracleError(
            f"{key_name}: billing problem (status 402: {text}); see the organisation's billing page; {RESUME_HINT}"
        )
    if error.status_code == 404:
        return OracleError(
            f"{key_name}: not found (status 404), most likely the model, or a batch that was created with a key of "
            f"another workspace: {text}"
        )
    return None


def _classify_rate_limit(retry: Retry, key_name: str) -> Retry | OracleError:
    if retry.seconds is None:
        return OracleError(
            f"{key_name}: rate limited without a retry time (status 429: {retry.error_text}): a spend limit is reached; "
            f"{RESUME_HINT}"
        )
    return _refuse_long_wait(retry, key_name)


def _refuse_long_wait(retry: Retry, key_name: str) -> Retry | OracleError:
    """Returns an error instead of a wait longer than `MAX_WAIT_SECONDS`, so that the user decides when to resume."""
    if retry.seconds is not None and retry.seconds > MAX_WAIT_SECONDS:
        return OracleError(
            f"{key_name}: the API asks to wait {retry.seconds:.0f} s ({retry.error_text}), "
            f"more than this run waits; run the command again after that; "
            f"{RESUME_HINT}"
        )
    return retry


def pause_before(retry: Retry, attempts: int, unit: float) -> float:
    """Seconds to wait before the next attempt.

    At least what the API asked for; otherwise a random time that doubles with each attempt, starting from `unit` seconds.
    """
    backoff: float = min(_MAX_BACKOFF_SECONDS, unit * 2.0**attempts) * random.uniform(0.5, 1)
    return backoff if retry.seconds is None else retry.seconds + min(backoff, 1.0)
