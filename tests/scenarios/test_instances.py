"""Instances of scenarios: who asks, for which rows."""

from __future__ import annotations

from gatling_sid.scenarios.instances import instance_at
from gatling_sid.schemas.domain import Domain
from gatling_sid.simulator.world import world_of


def test_nobody_asks_for_themselves_by_name(workshop: Domain) -> None:
    """A request never states a name that its principal has, too: it would be unclear who is meant."""
    named = 0
    for world in (world_of(workshop, 3, f"train-{number}") for number in range(3)):
        for scenario in world.scenarios:
            instance = instance_at(world, scenario, 0, 0)
            if instance is None:
                continue
            person = world.tables["person"][instance.principal.principal_id]
            own = {person["given_name"], person["name"]}
            stated = {str(value) for slot, value in instance.slots.items() if "name" in slot}
            named += bool(stated)
            assert own.isdisjoint(stated), scenario
    assert named > 50
