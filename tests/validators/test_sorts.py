"""An order that a call asks for is judged: by the tier of its field, and by whether anything needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gatling_sid.models import (
    ArgumentSource,
    Constraint,
    Goal,
    GoldTrace,
    Principal,
    Showing,
    SystemPolicy,
    ToolCall,
    ToolCallGraph,
    UserRequest,
)
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.yaml_loading import load_yaml
from gatling_sid.simulator.world import World, world_of
from gatling_sid.validators.minimality import no_scope_can_be_narrowed
from gatling_sid.validators.policy.kinds import breaches
from gatling_sid.validators.trace_context import TraceContext

SOURCE = Path(__file__).parent.parent / "catalogue" / "library.yaml"
RANK = """{operation: list, entity: member, description: x, returns: [member_id, first_name], order: first_name, parameters: {
  order: {does: sort, description: x, values: [-fines, -first_name], words: {-fines: [worst], -first_name: [last]}},
  limit: {does: limit, description: x}}}"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> DomainRegistry:
    """The library with a tool that ranks members."""
    content = load_yaml(SOURCE)
    content["tools"]["rank_members"] = yaml.safe_load(RANK)
    folder = tmp_path_factory.mktemp("sorts")
    (folder / "library.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return DomainRegistry(folder)


@pytest.fixture(scope="module")
def world(registry: DomainRegistry) -> World:
    """A world of the library."""
    return world_of(registry.domain("library"), 1, "train-0")


def context_of(registry: DomainRegistry, world: World, shown: list[str], origin: str, **arguments: Any) -> TraceContext:
    """A librarian's plan of one call that ranks members, for the goal of showing some; all arguments have one origin."""
    sources = [ArgumentSource(argument=name, origin=origin) for name in arguments]
    call = ToolCall(call_id="a", tool_id="library.rank_members", arguments=arguments, argument_sources=sources)
    me = next(row for row in world.tables["member"].values() if row["job"] == "librarian")
    ceiling = Constraint(constraint_id="it", kind="sensitivity_ceiling", rule=0, parameters={"max_tier": "internal"})
    request = UserRequest(
        request_id="r",
        domain="Library",
        text="Please.",
        intent_category="retrieve",
        principal=Principal(principal_id=me["member_id"], role="librarian"),
    )
    trace = GoldTrace(
        trace_id="one",
        request=request,
        policy=SystemPolicy(policy_id="own", domain="Library", rules=["It."], constraints=[ceiling]),
        graph=ToolCallGraph(graph_id="g", calls=[call], execution_order=["a"]),
        metadata={"catalogue": world.domain.digest, "seed": 1, "world": world.name},
        goal=Goal(shows=[Showing(entity="member", rows=shown, fields=["first_name"])]),
    )
    return TraceContext(trace, registry)


def first(world: World, order: str, count: int) -> list[str]:
    """The keys of the first members in an order."""
    return [row["member_id"] for row in world.sorted_rows("member", order)[:count]]


@pytest.mark.parametrize(
    ("arguments", "keeps"), [({"order": "-fines"}, False), ({"order": "-first_name"}, True), ({}, True)]
)
def test_sorting_by_a_field_reads_it(
    registry: DomainRegistry, world: World, arguments: dict[str, Any], keeps: bool
) -> None:
    """Whoever sorts by a field uses data of its tier, since the order tells of the values."""
    context = context_of(registry, world, [], "request", **arguments)
    assert (list(breaches(context)) == []) is keeps


@pytest.mark.parametrize(
    ("order", "origin", "limit", "is_needed"),
    [("-first_name", "policy", 3, True), ("-first_name", "policy", 40, False), ("-first_name", "request", 40, True)],
)
def test_an_order_that_changes_nothing_is_not_needed(
    registry: DomainRegistry, world: World, order: str, origin: str, limit: int, is_needed: bool
) -> None:
    """An order that the request does not state is needed only if other rows would come first without it."""
    context = context_of(registry, world, first(world, order, limit), origin, order=order, limit=limit)
    found = [] if is_needed else ["a (library.rank_members): order is not needed; the goal is met without it"]
    assert list(no_scope_can_be_narrowed(context)) == found
