"""The spending limit of a run: before an API call is sent, the most it can cost is reserved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.ledger import Ledger

# Sums of reservations differ from 0 by less than this when nothing is reserved.
_ROUNDING_USD = 1e-9


class BudgetReachedError(OracleError):
    """The next API call might exceed the limit; every response so far is in the ledger."""


class Budget:
    """Keeps three sums together under the limit: what is booked, what lost API calls may have cost, and the reservations.

    All amounts are in USD.
    """

    def __init__(self, ledger: Ledger, max_usd: float | None) -> None:
        self._ledger = ledger
        self._max_usd = max_usd
        self.reserved_usd = 0.0
        self._release_event = asyncio.Event()

    @property
    def highest_spending(self) -> float:
        """The most that the provider can have billed so far."""
        return self._ledger.booked_usd + self._ledger.at_risk_usd

    def fits(self, worst_usd: float) -> bool:
        """Whether an API call of this worst cost can be sent, even if all API calls in flight cost as much as they can."""
        return self._max_usd is None or self.highest_spending + self.reserved_usd + worst_usd <= self._max_usd

    @asynccontextmanager
    async def reserve(self, worst_usd: float) -> AsyncIterator[None]:
        """Reserves the worst cost of an API call while it is in flight.

        If that does not fit, waits for other API calls to end, since most cost less than their worst case.

        Raises:
            BudgetReachedError: no other API call is in flight and the limit might be exceeded.

        """
        while not self.fits(worst_usd):
            if self.reserved_usd <= 0:
                raise self.limit_error(worst_usd)
            self._release_event.clear()
            await self._release_event.wait()
        self.reserved_usd += worst_usd
        try:
            yield
        finally:
            self.release(worst_usd)

    def release(self, worst_usd: float) -> None:
        """Releases the reservation of an API call that has ended."""
        self.reserved_usd = max(0.0, self.reserved_usd - worst_usd)
        if self.reserved_usd < _ROUNDING_USD:
            self.reserved_usd = 0.0
        self._release_event.set()

    def limit_error(self, worst_usd: float) -> BudgetReachedError:
        """The error to raise when an API call of this worst cost does not fit; says how much is spent."""
        return BudgetReachedError(
            f"budget of ${self._max_usd:.4f} reached: ${self._ledger.booked_usd:.4f} booked, up to "
            f"${self._ledger.at_risk_usd:.4f} for responses that were lost, and the next API call may cost up to ${worst_usd:.4f}; "
            "to continue, run again with a larger --max-cost-usd"
        )
