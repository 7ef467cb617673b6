"""Descriptions of parameters: those of the file, and those that follow from field, match and purpose."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.descriptions import describe_parameter
from gatling_sid.schemas.domain import Domain


def describe(domain: Domain, tool: str, **parameter: Any) -> str:
    """The description of a parameter of a tool."""
    return describe_parameter(domain.file, domain.file.tools[tool], c.Parameter.model_validate(parameter))


@pytest.mark.parametrize(
    ("tool", "parameter", "text"),
    [
        ("list_repairs", {"does": "filter", "field": "bicycle"}, "Only repairs whose kind of bicycle is this."),
        (
            "list_repairs",
            {"does": "filter", "field": "customer_name", "match": "contains"},
            "Only repairs whose customer contains this text.",
        ),
        (
            "list_repairs",
            {"does": "filter", "field": "price", "match": "at_least"},
            "Only repairs whose price is this or more.",
        ),
        (
            "list_repairs",
            {"does": "filter", "field": "brought_on", "match": "within_days"},
            "Only repairs whose arrival date lies within this many days before today.",
        ),
        ("list_repairs", {"does": "limit"}, "Most repairs to return."),
        ("export_repairs", {"does": "limit"}, "Most repairs to write."),
        ("measure_repairs", {"does": "limit"}, "Only this many of the largest groups."),
        (
            "list_repairs",
            {"does": "select"},
            "Which fields to return; if left out, repair number, kind of bicycle, status, arrival date.",
        ),
        ("get_repair", {"does": "key"}, "The repair number of the repair."),
        ("delete_repairs", {"does": "keys"}, "Exactly the repairs with these repair numbers."),
        ("change_repair", {"does": "set", "field": "price"}, "The price that the repair gets."),
        ("add_note", {"does": "set", "field": "text"}, "The text of the new note."),
        (
            "write_customer",
            {"does": "recipient"},
            "The address of the recipient. Only customer_email of the repair it is about.",
        ),
        ("get_repair", {"does": "key", "description": "Its number."}, "Its number."),
    ],
)
def test_descriptions_follow(tool: str, parameter: dict[str, Any], text: str, workshop: Domain) -> None:
    """What a parameter does is said in the nouns and names of the entity; a description of the file stays."""
    assert describe(workshop, tool, **parameter) == text


@pytest.mark.parametrize("purpose", get_args(c.ParameterPurpose))
def test_every_purpose_has_words(purpose: str, workshop: Domain) -> None:
    """No parameter is without a description, whatever it does."""
    assert describe(workshop, "list_repairs", does=purpose, field="price").endswith(".")


@pytest.mark.parametrize("match", get_args(c.Match))
def test_every_match_has_words(match: str, workshop: Domain) -> None:
    """No filter is without a description, whatever it tests."""
    assert describe(workshop, "list_repairs", does="filter", field="price", match=match).startswith(
        "Only repairs whose price "
    )
