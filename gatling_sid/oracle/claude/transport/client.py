"""What answers online and by batches have in common: keys, ledger, budget, and a life within one event loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from gatling_sid.oracle.claude.accounting.budget import Budget
from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.messages.prices import price_table
from gatling_sid.oracle.claude.transport.keys import Keys


class BaseClient:
    """Belongs to one event loop; close it, or use `async with`. The ledger stays open, it is the caller's."""

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
        """Nothing is sent yet. Raises OracleError: a key that cannot be one, or a model without a price."""
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
