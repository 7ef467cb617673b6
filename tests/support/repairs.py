"""Conditions on repairs of the small Workshop, and the rows that they describe."""

from __future__ import annotations

from gatling_sid.schemas.composition.conditions import StatedCondition
from gatling_sid.schemas.composition.shape_types import Target

WAITING = StatedCondition("status", "equals", "choice", "waiting")
DONE = StatedCondition("status", "equals", "choice", "done")
MINE = StatedCondition("person_id", "equals", "mine", "person_id")
NAME = StatedCondition("customer_name", "contains", "value")
RECENT = StatedCondition("brought_on", "within_days", "value")
DEAR = StatedCondition("price", "at_least", "value")
CUSTOMER = StatedCondition("customer_id", "equals", "via", "name")
OWN_ENTRY = StatedCondition("person_id", "equals", "mine", "person_id")


def searched(*conditions: StatedCondition, is_many: bool = False, order: str | None = None) -> Target:
    """Repairs that a search finds."""
    return Target("repair", "list_repairs", conditions, is_many=is_many, order=order)


def filtered(*conditions: StatedCondition) -> Target:
    """Repairs that the tools themselves select."""
    return Target("repair", None, conditions, is_many=True)


BY_KEY = Target("repair", None, (), is_many=False, by_key=True)
