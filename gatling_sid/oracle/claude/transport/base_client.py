"""What the clients for single API calls and for batches share: API keys, ledger and budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from gatling_sid.oracle.claude.accounting.budget import Budget
from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.messages.prices import price_table
from gatling_sid.oracle.claude.transport.keys import Keys


class BaseClient:
    """Belongs to one event loop; close it, or use `async with`. It does not close the ledger, which the caller opened."""

    def __init__(
        self,
        keys: Sequence[str],
        ledger: Ledger,
        *,
        model: str,
        max_cost_usd: float | None,
        base_url: str | None,
        in_flight: int,
    ) -> None:
        """Sends nothing yet; `in_flight` is the number of simultaneous API calls that the connection pools are made for.

        Raises:
            OracleError: there is no key, a key has a wrong form, or the model has no price.

        """
        price_table().model(model)
        self.model = model
        self.ledger = ledger
        self._keys = Keys(keys, base_url=base_url, in_flight=in_flight)
        self._budget = Budget(ledger, max_cost_usd)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._keys.close()
