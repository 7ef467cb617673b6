"""What an error of the API means for a run: try again, fail this one ask, or stop."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import anthropic
import httpx2

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.transport.rate_limits import retry_after

PATIENCE_SECONDS = 600
_LONGEST_BACKOFF_SECONDS = 60
_LONGEST_WORDS = 400  # a proxy may answer with a page
_SPENDING_CODES = {
    "enforced_spend_limit_reached": "the organisation has reached the monthly limit of its tier",
    "contract_spend_limit_reached": "the organisation has reached the spend limit of its contract",
    "linked_organization_spend_limit_reached": "the linked organisation has reached its spend limit",
    "linked_organization_billing_unavailable": "the linked organisation cannot be billed",
}
# The limit that an owner sets in the Console is a plain 400 without a code; only its words tell.
_SPENDING_WORDS = ("usage limit", "spend limit", "spending limit", "credit balance")
RESUME_HINT = "everything answered so far is in the ledger, the same command goes on from there"
_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
Problem = anthropic.APIError | httpx2.TransportError | ValueError


@dataclass(frozen=True, slots=True)
class Retry:
    """Worth another try: after `seconds` if the API named a time, else after a backoff of our own."""

    status: str
    problem: str
    error_text: str
    seconds: float | None = None
    rate_limited: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """This ask cannot be answered as it is; nothing was paid."""

    status: str
    problem: str
    error_text: str


def classify_error(problem: Problem, key_name: str, clean: Callable[[str], str]) -> Retry | GiveUp | OracleError:
    """What to do after `problem`; the API's own words are passed on as `clean` leaves them."""
    if isinstance(problem, anthropic.APIStatusError):
        return _classify_status(problem, key_name, clean(problem.api_message or problem.message)[:_LONGEST_WORDS])
    unsent = isinstance(problem, _UNSENT) or isinstance(problem.__cause__, _UNSENT)
    return Retry("unsent" if unsent else "lost", "error:connection", clean(str(problem))[:_LONGEST_WORDS])


def _classify_status(problem: anthropic.APIStatusError, key_name: str, says: str) -> Retry | GiveUp | OracleError:
    status, code = problem.status_code, problem.error_code
    outcome, kind = f"status:{status}", f"error:{problem.type or status}"
    if code == "organization_on_hold":
        return OracleError(
            f"{key_name}: the provider has put the organisation on hold ({says}); ask the provider, do not retry"
        )
    if code in _SPENDING_CODES:
        return OracleError(f"{key_name}: {_SPENDING_CODES[code]} ({says}); raise it or wait; {RESUME_HINT}")
    if status in {401, 403}:
        return OracleError(
            f"{key_name} is not accepted (status {status}: {says}); it is revoked, or lacks the right; renew it; {RESUME_HINT}"
        )
    if status == 402:
        return OracleError(
            f"{key_name}: billing problem (status 402: {says}); see the organisation's billing page; {RESUME_HINT}"
        )
    if status == 404:
        return OracleError(
            f"{key_name}: not found (status 404), most likely the model, or a batch that a key of another workspace made: {says}"
        )
    if status == 429:
        return _classify_rate_limit(
            Retry(outcome, kind, says, retry_after(problem.response.headers), rate_limited=True), key_name
        )
    if status in {408, 409} or status >= 500:
        return _retry_within_patience(Retry(outcome, kind, says, retry_after(problem.response.headers)), key_name)
    if any(words in says.casefold() for words in _SPENDING_WORDS):
        return OracleError(
            f"{key_name}: a spend limit set in the Console is reached, or the credit is used up ({says}); {RESUME_HINT}"
        )
    return GiveUp(outcome, kind, says)


def _classify_rate_limit(retry: Retry, key_name: str) -> Retry | OracleError:
    if retry.seconds is None:
        return OracleError(
            f"{key_name}: refused without a time to come back (status 429: {retry.error_text}): a spend limit is reached; {RESUME_HINT}"
        )
    return _retry_within_patience(retry, key_name)


def _retry_within_patience(retry: Retry, key_name: str) -> Retry | OracleError:
    """Hours are not waited for in silence."""
    if retry.seconds is not None and retry.seconds > PATIENCE_SECONDS:
        return OracleError(
            f"{key_name}: the API asks to come back in {retry.seconds:.0f} s ({retry.error_text}); run again then; {RESUME_HINT}"
        )
    return retry


def pause_before(retry: Retry, tries: int, unit: float) -> float:
    """Seconds before the next try: what the API asked for, never less, or a growing random time."""
    backoff: float = min(_LONGEST_BACKOFF_SECONDS, unit * 2.0**tries) * random.uniform(0.5, 1)
    return backoff if retry.seconds is None else retry.seconds + min(backoff, 1.0)
