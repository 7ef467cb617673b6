"""Instances of scenarios: who asks, for which rows."""

from __future__ import annotations

from collections import Counter

from gatling_sid.scenarios.instances import instance_at, members_in_world
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


def test_every_value_of_a_policy_is_in_force_somewhere_in_a_world(workshop: Domain) -> None:
    """No value of an axis is missing from a world by chance: each is in force as often as any other, or once less."""
    for world in (world_of(workshop, seed, f"train-{number}") for seed in range(3) for number in range(3)):
        members = members_in_world(world)
        assert len(set(members)) > 1
        for axis, size in enumerate(workshop.family.axis_sizes):
            often = Counter(member[axis] for member in members)
            assert len(often) == size
            assert max(often.values()) - min(often.values()) <= 1
