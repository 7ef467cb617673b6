"""Instances of scenarios: the principal, the policy, the goal and the values that are drawn for a request."""

from __future__ import annotations

import random
from collections import Counter
from functools import lru_cache
from typing import Any, NamedTuple

from gatling_sid.models import Goal, Outcome, Principal, SystemPolicy, construct_trusted
from gatling_sid.scenarios.composed_text import value_as_text
from gatling_sid.scenarios.drawing import Bindings, NoDrawError, draw, draw_principal, evaluate
from gatling_sid.scenarios.goals import entity_of, goal_of
from gatling_sid.scenarios.limits import limits_of
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.domain import Domain
from gatling_sid.seeding import stream
from gatling_sid.simulator.world import Row, World

_POLICIES_PER_WORLD = 48
"""Policies in use in one world: an organisation has some dozens in force, not the thousands of a family."""
_MAX_DRAWS = 120
"""Draws after which a scenario counts as impossible in a world; most instances need one draw, the rarest fewer than 100."""
_MAX_DRAWS_WITH_SAME_REASON = 20
"""Draws that fail for the same reason, such as "19 employee fit", after which it is taken not to depend on chance."""


SERVED = Outcome(kind="served")
"""The outcome of a request that the plan serves in full."""


class Instance(NamedTuple):
    """A drawn scenario without plan and words; `slots` are the values that the request states, `rules` the ids in force."""

    principal: Principal
    policy: SystemPolicy
    rules: frozenset[str]
    goal: Goal
    slots: dict[str, Any]
    outcome: Outcome = SERVED


@lru_cache(maxsize=8)
def members_in_world(world: World) -> list[tuple[int, ...]]:
    """The members of the policy family that are in use in a world.

    Each axis has its own random stream, so that another value on one axis changes no other. The values of an axis
    are spread, not drawn: each is in force as often as any other, so that none is missing from a world by chance.
    """
    path = (world.seed, world.domain.slug, "policies", world.name)
    spread = [_spread(stream(*path, name), len(values)) for name, values in world.domain.family.axis_values.items()]
    return [tuple(values[number] for values in spread) for number in range(_POLICIES_PER_WORLD)]


def _spread(rng: random.Random, size: int) -> list[int]:
    """The value that each of the policies of a world has on an axis of this size."""
    first = rng.randrange(size)
    values = [(first + number) % size for number in range(_POLICIES_PER_WORLD)]
    rng.shuffle(values)
    return values


@lru_cache(maxsize=2048)
def _members_that_allow(world: World, scenario_id: str) -> list[tuple[int, ...]]:
    """The members in use in a world under which a scenario may be asked for."""
    given, family = world.scenarios[scenario_id].given, world.domain.family
    axes = [(member, family.axis_values_of(member)) for member in members_in_world(world)]
    return [member for member, values in axes if all(values[axis] in allowed for axis, allowed in given.items())]


def _names_of(person: Row, domain: Domain, entity: str) -> set[str]:
    """The names of a person, in full and in part; who asks for "Ada's meeting" does not mean their own."""
    fields = domain.file.entities[entity].fields
    names = [person[name] for name, field in fields.items() if field.type == "person" and person[name]]
    return {*names, *(each.split()[0] for each in names)}


@lru_cache(maxsize=2048)
def instance_at(world: World, scenario_id: str, instance_index: int, attempt: int) -> Instance | None:
    """The instance of a scenario with this number in a world, or None if nothing in the world fits.

    Instances are cached, since several requests share one.
    """
    found = _find_instance(world, scenario_id, instance_index, attempt)
    return found if isinstance(found, Instance) else None


def why_no_instance(world: World, scenario_id: str, instance_index: int, attempt: int) -> str:
    """What most draws of an instance that does not exist failed at, such as "15 invoices fit"."""
    found = _find_instance(world, scenario_id, instance_index, attempt)
    return "" if isinstance(found, Instance) else found


def _find_instance(world: World, scenario_id: str, instance_index: int, attempt: int) -> Instance | str:
    """The instance, or why there is none."""
    scenario = world.scenarios[scenario_id]
    members = _members_that_allow(world, scenario_id)
    if not members:
        return "no policy of the world allows it"
    rng = stream(world.seed, world.domain.slug, world.name, scenario_id, instance_index, attempt)
    reasons: Counter[str] = Counter()
    for _ in range(_MAX_DRAWS):
        member, role = rng.choice(members), rng.choice(scenario.roles)
        try:
            return _draw_instance(world, scenario, role, member, rng)
        except NoDrawError as error:
            reasons[str(error)] += 1
            if reasons[str(error)] == _MAX_DRAWS_WITH_SAME_REASON:
                break
    return reasons.most_common(1)[0][0]


def _draw_instance(
    world: World, scenario: c.Scenario, role: str, member: tuple[int, ...], rng: random.Random
) -> Instance:
    """An instance under a member of the policy family; raises NoDrawError."""
    domain = world.domain
    definition, rules = domain.file.roles[role], domain.family.rules_in_force(member)
    person = draw_principal(world, definition, rng)
    attributes = {name: person[name] for name in definition.attributes}
    known = {
        "principal": attributes,
        "policy": domain.family.axis_values_of(member),
        "limits": limits_of(domain, role, member),
    }
    bindings = draw(scenario, world, known, rng)
    goal = goal_of(scenario, domain, bindings, rules)
    outcome = _outcome_of(scenario, world, role, bindings, rules, member)
    slots = {name: evaluate(value, bindings) for name, value in scenario.slots.items()}
    if not _names_of(person, domain, definition.entity).isdisjoint(map(str, slots.values())):
        raise NoDrawError("the principal is named like somebody else")
    key = domain.file.entities[definition.entity].key
    principal = construct_trusted(Principal, {"principal_id": person[key], "role": role, "attributes": attributes})
    return Instance(principal, domain.family.policy(member), rules, goal, slots, outcome)


def _outcome_of(
    scenario: c.Scenario,
    world: World,
    role: str,
    bindings: Bindings,
    rules: frozenset[str],
    member: tuple[int, ...],
) -> Outcome:
    """What becomes of the request, without the plan that would serve what is refused."""
    variant, domain = scenario.variant, world.domain
    if variant is None:
        return SERVED
    refused, reason = None, variant.reason
    if variant.rule is not None:
        refused = goal_of(scenario, domain, bindings, rules - {variant.rule}, variant.goal)
        policy = domain.family.policy(member)
        reason = next(policy.rules[each.rule] for each in policy.constraints if each.constraint_id == variant.rule)
    elif variant.kind == "needs_question":
        showing = scenario.goal.shows[0]
        entity = domain.file.entities[entity_of(scenario, showing.rows)]
        plural = next(iter(entity.noun.values()), "records")
        reason = f"{len(bindings[showing.rows])} {plural} fit what the request names as one."
    elif variant.own is not None:
        entity_name, value = domain.file.roles[role].entity, bindings["principal"][variant.own]
        if value is None:
            raise NoDrawError("the principal does not have what is asked about")
        reason = reason.replace("{value}", value_as_text(domain, entity_name, variant.own, value, world.today))
    fields = {"kind": variant.kind, "reason": reason, "constraint_id": variant.rule}
    return construct_trusted(Outcome, {**fields, "refused_goal": refused, "refused_graph": None})
