"""Shapes of composed tasks: every part leads its share of each world, and file and world alone decide which shapes there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from gatling_sid.schemas.catalogue import DomainFile
from gatling_sid.schemas.composition.conditions import StatedCondition
from gatling_sid.schemas.composition.interference import _may_belong_to, _seems_to_be_of
from gatling_sid.schemas.composition.shape_types import Group, Shape, Target
from gatling_sid.schemas.composition.shapes import draw_shapes
from gatling_sid.schemas.composition.table import SCENARIOS_OF_WORLD
from gatling_sid.schemas.domain import Domain

WORLDS = ("train-0", "train-1", "test-0")


def edited(domain: Domain, edit: Callable[[dict[str, Any]], None]) -> Domain:
    """The domain with an edit of its file."""
    content = domain.file.model_dump(by_alias=True, exclude_unset=True)
    edit(content)
    return Domain(domain.slug, DomainFile.model_validate(content), domain.pools, domain.voice)


def tools_of_group(domain: Domain, group: Group) -> list[str]:
    """The operations of the parts of a group, in order."""
    return [domain.file.tools[domain.file.parts[use.part].tool].operation for use in group.uses]


def all_shapes(domain: Domain) -> list[Shape]:
    """The shapes of some worlds."""
    return [shape for world in WORLDS for shape in domain.scenarios_of(world).shapes.values()]


def test_every_part_role_and_tool_occurs(workshop: Domain) -> None:
    """In a world each part occurs, each role asks for something, and each tool is called."""
    scenarios = workshop.scenarios_of("train-0")
    shapes = scenarios.shapes
    assert {
        use.part for each in shapes.values() for group in each.groups for use in group.uses
    } == workshop.file.parts.keys()
    assert {each.role for each in shapes.values()} == workshop.file.roles.keys()
    tools = {step.tool for name in list(shapes)[::2] for step in scenarios[name].plan}
    assert tools == workshop.file.tools.keys()


@pytest.mark.parametrize(
    "numbers", [{"see_repairs": 9, "reprice": 3}, {"reprice": 1}, {"note_down": 5, "figures": 7, "drop_repairs": 2}]
)
def test_parts_lead_as_often_as_asked(workshop: Domain, numbers: dict[str, int]) -> None:
    """So many different shapes are drawn for each part, in which it is used."""
    shapes = draw_shapes(workshop, numbers, "train-0")
    assert len({shape.name for shape in shapes}) == len(shapes) == sum(numbers.values())
    uses = Counter(part for shape in shapes for part in {use.part for group in shape.groups for use in group.uses})
    assert all(uses[part] >= number for part, number in numbers.items())


def test_weights_are_shares(workshop: Domain) -> None:
    """A part with three times the weight leads about three times as many shapes; every shape comes once in a world."""
    weights = workshop.scenarios_of("train-0").weights
    assert set(weights.values()) == {1}
    assert 0.9 * SCENARIOS_OF_WORLD <= len(weights) <= 1.1 * SCENARIOS_OF_WORLD
    total = sum(part.weight for part in workshop.file.parts.values())
    uses = Counter(part for name in weights for part in workshop.file.parts if part in name)
    for name, part in workshop.file.parts.items():
        assert uses[name] >= 0.4 * len(weights) * part.weight / total, (name, uses)


def test_worlds_have_shapes_of_their_own(workshop: Domain) -> None:
    """Most shapes of a world are in none of some others, and no two of a world are said alike."""
    worlds = [{each.said for each in workshop.scenarios_of(world).shapes.values()} for world in WORLDS]
    assert [len(each) for each in worlds] == [len(workshop.scenarios_of(world).shapes) for world in WORLDS]
    assert len(set.union(*worlds)) >= 0.5 * sum(map(len, worlds))


def test_the_same_file_has_the_same_shapes(workshop: Domain) -> None:
    """Shapes depend on file and world alone: not on worlds asked for before, nor on words that leave rows in their place."""
    assert workshop.scenarios_of("train-1").shapes
    reworded = edited(workshop, lambda file: file["parts"]["reprice"].update(says=["ask {price} for {it}"]))
    assert list(reworded.scenarios_of("train-0").shapes) == list(workshop.scenarios_of("train-0").shapes)


def test_a_further_part_leaves_the_shapes_of_others(workshop: Domain) -> None:
    """A part that no other can join changes only how many shapes the others lead."""

    def add_part(file: dict[str, Any]) -> None:
        file["roles"]["visitor"] = {**file["roles"]["mechanic"], "description": "Looks around."}
        file["parts"]["look_around"] = {"tool": "measure_repairs", "roles": ["visitor"], "with": {"measure": ["count"]}}

    more = edited(workshop, add_part)
    shapes = more.scenarios_of("train-0").shapes
    others = {name for name in shapes if "look_around" not in name}
    assert len(others) < len(shapes)
    assert len(others & workshop.scenarios_of("train-0").shapes.keys()) >= 0.95 * len(others)


def test_parts_of_a_group_go_together(workshop: Domain) -> None:
    """Parts about the same rows have a role in common, come in order, and nobody has rows deleted and then changed."""
    order = ["aggregate", "list", "get", "update", "create", "export", "send", "delete"]
    clashing = [{"update", "delete"}, {"create", "delete"}, {"aggregate", "update"}, {"list", "get"}, {"get", "update"}]
    pairs = set()
    for shape in all_shapes(workshop):
        parts = [use.part for group in shape.groups for use in group.uses]
        assert len({*parts}) == len(parts)
        assert all(shape.role in workshop.file.parts[name].roles for name in parts)
        for group in shape.groups:
            operations = tools_of_group(workshop, group)
            assert operations == sorted(operations, key=order.index)
            assert {*operations} not in clashing
            pairs |= {tuple(operations)} if len(operations) > 1 else set()
    assert len(pairs) >= 10


def test_groups_do_not_interfere(workshop: Domain) -> None:
    """What one group changes no other group reads, changes or measures; only one has a period."""
    for shape in all_shapes(workshop):
        if len(shape.groups) < 2:
            continue
        changing = [{*tools_of_group(workshop, group)} & {"update", "delete"} != set() for group in shape.groups]
        about_repairs = [group.target is not None and group.target.entity == "repair" for group in shape.groups]
        assert not (any(changing) and sum(about_repairs) > 1), shape.name
        conditions = [each for group in shape.groups if group.target for each in group.target.conditions]
        assert sum(each.is_period for each in conditions) <= 1


def test_conditions_fit_the_parts(workshop: Domain) -> None:
    """Nobody is asked to start started repairs or to reprice finished ones; no field is described twice."""
    for shape in all_shapes(workshop):
        for group in shape.groups:
            conditions = group.target.conditions if group.target else ()
            said = {str(each) for each in conditions}
            parts = {use.part for use in group.uses}
            assert len({each.field for each in conditions}) == len(conditions)
            assert not (parts & {"reprice", "move_pick_up"} and "status=done" in said)
            assert not (parts == {"drop_repairs"} and said & {"status=waiting", "status=started"})
            assert not any(
                dict(use.choices).get("status") == "started" and "status=started" in said for use in group.uses
            )


def test_only_single_rows_are_named(workshop: Domain) -> None:
    """A name or a number singles out one row; several rows are never described by it."""
    for shape in all_shapes(workshop):
        for target in (group.target for group in shape.groups if group.target):
            entity = workshop.file.entities[target.entity]
            is_named = (
                shape.is_ambiguous
                or target.by_key
                or target.search is None
                or any(each.may_identify(entity) for each in target.conditions)
            )
            assert is_named if not target.is_many else not any(each.identifies(entity) for each in target.conditions)


def test_names_say_what_a_task_is(workshop: Domain) -> None:
    """Two shapes of one name are the same shape, except for the policies under which they may be asked for."""
    by_name: dict[str, Shape] = {}
    for shape in all_shapes(workshop):
        assert by_name.setdefault(shape.name, shape)[:2] == shape[:2]
    assert {"manager: reprice for one by key", "mechanic: reprice for one by key"} & {*by_name}
    assert "mechanic: see_repairs [price, deposit] for many by person_id.mine, first by price" in by_name or any(
        "first by" in name for name in by_name
    )


def test_requests_ask_for_little_at_once(workshop: Domain) -> None:
    """At most five things are asked for, in three groups.

    Rows are described by two conditions, beside those that rules demand.
    """
    for shape in all_shapes(workshop):
        assert sum(len(group.uses) for group in shape.groups) <= 5, shape.name
        assert len(shape.groups) <= 3
        for group in shape.groups:
            must_say = {said for use in group.uses for said in workshop.file.parts[use.part].must_say}
            conditions = group.target.conditions if group.target else ()
            assert len(conditions) <= 2 + len(must_say), shape.name


def test_the_first_rows_are_of_some_kind(workshop: Domain) -> None:
    """Who asks for the first rows of an order says of which: "my newest repairs" could leave out the finished ones."""
    ordered = [
        group.target
        for shape in all_shapes(workshop)
        for group in shape.groups
        if group.target and group.target.order is not None
    ]
    assert len(ordered) > 20
    assert all(any(each.how != "mine" for each in target.conditions) for target in ordered)


def test_what_follows_is_not_of_what_was_named(workshop: Domain) -> None:
    """After a customer was named, no task goes on with repairs that could be taken for theirs."""
    followed = 0
    for shape in all_shapes(workshop):
        entities = [group.target.entity for group in shape.groups if group.target]
        followed += len(entities) > 1
        last = shape.groups[-1].target
        if entities == ["customer", "repair"] and last and not last.by_key:
            assert any(each.how == "mine" or each.field == "customer_name" for each in last.conditions), shape.name
    assert followed > 20


def test_what_follows_is_not_of_a_person_who_was_named(workshop: Domain) -> None:
    """After the repair of a customer, notes on customers would be taken for notes on that one, unless they say on whom."""

    def note_on_customers(content: dict[str, Any]) -> None:
        content["entities"]["note"]["fields"]["repair_id"] = {"type": "ref", "populate": {"ref": "customer"}}

    domain = edited(workshop, note_on_customers)
    of_customer = StatedCondition("customer_id", "equals", "via", "name")
    repair = Target("repair", "list_repairs", (of_customer,), is_many=False)
    notes = Target("note", None, (), is_many=True)
    said = Target("note", None, (StatedCondition("repair_id", "equals", "via", "name"),), is_many=True)
    assert _seems_to_be_of(domain, notes, repair)
    assert not _seems_to_be_of(domain, said, repair)
    assert not _seems_to_be_of(domain, notes, repair._replace(conditions=()))
    assert _seems_to_be_of(workshop, notes, Target("customer", None, (), is_many=False)), (
        "notes are on customers' repairs"
    )


def test_what_is_named_first_does_not_belong_to_what_follows(workshop: Domain) -> None:
    """To delete the waiting repairs and then see Ada: are they hers? One that says whose it is, and a key, are clear."""
    customer = Target("customer", "list_customers", (), is_many=False)
    waiting = Target(
        "repair", "list_repairs", (StatedCondition("status", "equals", "choice", "waiting"),), is_many=True
    )
    of_somebody = waiting._replace(conditions=(StatedCondition("customer_name", "contains", "value"),))
    assert _may_belong_to(workshop, waiting, customer)
    assert not _may_belong_to(workshop, of_somebody, customer)
    assert not _may_belong_to(workshop, waiting._replace(by_key=True), customer)
    assert not _may_belong_to(workshop, customer, waiting)
    for shape in all_shapes(workshop):
        targets = [group.target for group in shape.groups]
        assert len(targets) == 1 or not _may_belong_to(workshop, targets[0], targets[1]), shape.name


def test_one_row_is_opened_and_not_listed(workshop: Domain) -> None:
    """Who may open a repair and asks to see one gets its record; without columns, no single repair is listed."""
    found = 0
    for shape in all_shapes(workshop):
        opens = any(shape.role in part.roles for part in workshop.file.parts.values() if part.tool == "get_repair")
        for group in shape.groups:
            for use in group.uses if group.target is not None and not group.target.is_many else ():
                if workshop.file.parts[use.part].tool == "list_repairs":
                    found += 1
                    assert use.columns or not opens, shape.name
    assert found


def test_nobody_singles_out_a_row_by_a_range(workshop: Domain) -> None:
    """A single row is named by values; a range such as "of 50 or more" describes several, if none of them is measured."""
    ranges = 0
    for shape in all_shapes(workshop):
        for group in shape.groups:
            target = group.target
            if target is None:
                continue
            said = {each.field for each in target.conditions if each.is_range}
            assert target.is_many or not said, shape.name
            assert not any(str(value) in said for use in group.uses for _, value in use.choices), shape.name
            ranges += bool(said)
    assert ranges > 20


def test_no_two_shapes_are_said_alike(workshop: Domain) -> None:
    """In a world, two roles never ask for the same in the same words, or one text would be the request of two tasks."""
    for world in WORLDS:
        said = Counter(name.partition(": ")[2] for name in workshop.scenarios_of(world).shapes)
        assert [name for name, times in said.items() if times > 1] == []


def test_parts_with_the_same_words_are_one_to_the_reader(workshop: Domain) -> None:
    """If two roles' parts have a text in common, no two tasks of a world are asked for in these words."""

    def divide(file: dict[str, Any]) -> None:
        part = file["parts"]["reprice"]
        file["parts"]["reprice"] = {
            **part,
            "roles": ["manager"],
            "says": ["price {it} at {price}", "[ask|take] {price} for {it}"],
        }
        file["parts"]["reprice_mine"] = {
            **part,
            "roles": ["mechanic"],
            "says": ["take {price} for {it}", "charge {price} for {it}"],
        }

    shapes = edited(workshop, divide).scenarios_of("train-0").shapes.values()
    repriced = [[str(group).replace("reprice_mine", "reprice") for group in each.groups] for each in shapes]
    alone = Counter(each[0] for each in repriced if len(each) == 1 and each[0].startswith("reprice for"))
    assert sum(alone.values()) > 3
    assert max(alone.values()) == 1


def test_shapes_that_are_said_alike_share_their_phrasings(workshop: Domain) -> None:
    """If another world has a task that is said alike, it has the same phrasings, of which each world uses others."""
    worlds = [workshop.scenarios_of(world) for world in ("train-0", "train-1")]
    by_said = [{shape.said: name for name, shape in each.shapes.items()} for each in worlds]
    shared = sorted(by_said[0].keys() & by_said[1].keys())
    assert len(shared) > 10
    for said in shared[::5]:
        one, other = (scenarios.phrasings(names[said]) for scenarios, names in zip(worlds, by_said, strict=True))
        assert [each.text for each in one] == [each.text for each in other]
