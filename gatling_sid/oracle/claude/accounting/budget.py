"""The hard limit of a run: money is set aside for the worst case of every call before it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.ledger import Ledger


class BudgetReachedError(OracleError):
    """The next call might pass the limit; everything answered so far is in the ledger."""


class Budget:
    """What the ledger has booked, what lost replies may have cost, and what calls in flight may still cost."""

    def __init__(self, ledger: Ledger, max_usd: float | None) -> None:
        self._ledger = ledger
        self._max_usd = max_usd
        self.reserved = 0.0
        self._freed = asyncio.Event()

    @property
    def highest_spending(self) -> float:
        """The most that can have been billed so far."""
        return self._ledger.booked_usd + self._ledger.at_risk_usd

    def fits(self, worst_usd: float) -> bool:
        """Whether the limit holds even if everything reserved and this cost the worst they can."""
        return self._max_usd is None or self.highest_spending + self.reserved + worst_usd <= self._max_usd

    @asynccontextmanager
    async def reserve(self, worst_usd: float) -> AsyncIterator[None]:
        """Sets money aside; waits for calls in flight, which mostly cost less than their worst case.

        Raises:
            BudgetReached: nothing is in flight and the limit might be passed.

        """
        while not self.fits(worst_usd):
            if self.reserved <= 0:
                raise self.limit_error(worst_usd)
            self._freed.clear()
            await self._freed.wait()
        self.reserved += worst_usd
        try:
            yield
        finally:
            self.release(worst_usd)

    def release(self, worst_usd: float) -> None:
        """Gives back what was set aside, once the true cost is booked."""
        self.reserved = max(0.0, self.reserved - worst_usd)
        if self.reserved < 1e-9:
            self.reserved = 0.0
        self._freed.set()

    def limit_error(self, worst_usd: float) -> BudgetReachedError:
        """The error that says where the money went."""
        return BudgetReachedError(
            f"budget of ${self._max_usd:.4f} reached: ${self._ledger.booked_usd:.4f} booked, up to "
            f"${self._ledger.at_risk_usd:.4f} for replies that were lost, and the next call may cost ${worst_usd:.4f}; "
            "run again with a larger --max-cost-usd to go on from here"
        )
