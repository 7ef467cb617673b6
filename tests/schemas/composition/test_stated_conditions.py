"""Conditions that requests can state: filters of a tool whose fields tell how people say them."""

from __future__ import annotations

import pytest

from gatling_sid.schemas.composition.conditions import (
    StatedCondition,
    conditions_of,
    name_search,
    own_attribute,
    parameter_of,
)
from gatling_sid.schemas.composition.expected_rows import expected_rows
from gatling_sid.schemas.domain import Domain

REPAIRS = {
    "customer_id.name", "customer_name.contains", "bicycle", "status=waiting", "status=started", "status=done", "urgent=true",
    "price.at_least", "price.at_most", "brought_on.within_days", "person_id.mine",
}  # fmt: skip


@pytest.mark.parametrize(
    ("tool", "conditions"),
    [
        ("list_repairs", REPAIRS),
        (
            "export_repairs",
            {"bicycle", "status=waiting", "status=started", "status=done", "brought_on.within_days", "person_id.mine"},
        ),
        ("list_people", {"name.contains", "bench"}),
        ("list_customers", set()),
        ("change_repair", set()),
    ],
)
def test_conditions_of_a_tool(workshop: Domain, tool: str, conditions: set[str]) -> None:
    """Each filter gives the conditions that its field says, whatever the tool's other parameters are."""
    assert {str(each) for each in conditions_of(workshop, tool, "mechanic")} == conditions


def test_a_condition_has_its_parameter(workshop: Domain) -> None:
    """A condition is passed to the parameter with its field and match, if the tool has one."""
    tools = workshop.file.tools
    found = {
        str(each): parameter_of(tools["list_repairs"], each)
        for each in conditions_of(workshop, "list_repairs", "mechanic")
    }
    assert found["price.at_least"] == "price_from"
    assert found["price.at_most"] == "price_to"
    assert found["customer_id.name"] == "customer_id"
    assert parameter_of(tools["export_repairs"], StatedCondition("price", "at_least", "value")) is None


def test_names_are_searched(workshop: Domain) -> None:
    """The row that a reference points to is found by a list that filters by the name and returns the key."""
    assert name_search(workshop, "customer", "name") == ("list_customers", "name")
    assert name_search(workshop, "person", "name") == ("list_people", "name")
    assert name_search(workshop, "repair", "fault") is None


@pytest.mark.parametrize(
    ("role", "entity", "field", "attribute"),
    [
        ("mechanic", "repair", "person_id", "person_id"),
        ("mechanic", "person", "person_id", "person_id"),
        ("mechanic", "repair", "customer_id", None),
        ("mechanic", "note", "repair_id", None),
    ],
)
def test_what_is_ones_own(workshop: Domain, role: str, entity: str, field: str, attribute: str | None) -> None:
    """Rows are the principal's own by a reference to them, if it may refer to people of their role."""
    assert own_attribute(workshop, entity, field, role) == attribute


def condition(workshop: Domain, tool: str, text: str) -> StatedCondition:
    """The condition of a tool with this name."""
    return next(each for each in conditions_of(workshop, tool, "mechanic") if str(each) == text)


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("status=waiting", "bicycle", True), ("price.at_least", "brought_on.within_days", True),
        ("customer_name.contains", "status=done", True), ("person_id.mine", "customer_name.contains", True),
    ],
)  # fmt: skip
def test_conditions_that_go_together(workshop: Domain, one: str, other: str, together: bool) -> None:
    """Two conditions go together if some of their phrases can stand in one noun phrase."""
    entity = workshop.file.entities["repair"]
    first, second = (condition(workshop, "list_repairs", each) for each in (one, other))
    assert first.goes_with(second, entity) is together
    assert second.goes_with(first, entity) is together


def test_a_name_takes_only_what_follows_it(workshop: Domain) -> None:
    """A person's bench can follow the name; with an adjective alone it could not."""
    name, bench = (condition(workshop, "list_people", each) for each in ("name.contains", "bench"))
    entity = workshop.file.entities["person"]
    assert name.goes_with(bench, entity)
    fields = {**entity.fields, "bench": entity.fields["bench"].model_copy(update={"said": ["{}-bench ~"]})}
    assert not name.goes_with(bench, entity.model_copy(update={"fields": fields}))


@pytest.mark.parametrize(
    ("conditions", "low", "high"),
    [
        ([], 150, 150), (["status=waiting"], 45, 45), (["urgent=true"], 60, 60), (["bicycle"], 40, 55),
        (["customer_id.name"], 3.75, 3.75), (["status=done", "urgent=true"], 24, 24), (["customer_name.contains"], 3, 6),
        (["person_id.mine"], 4, 8),
    ],
)  # fmt: skip
def test_rows_that_are_expected(workshop: Domain, conditions: list[str], low: float, high: float) -> None:
    """How many rows meet the conditions follows from the way in which the fields are filled."""
    found = [condition(workshop, "list_repairs", each) for each in conditions]
    expected = expected_rows(workshop, "repair", found)
    assert low - 0.01 <= expected <= high + 0.01
