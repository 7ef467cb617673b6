"""Checking arguments: the simulator and the published JSON Schema of a tool agree on what fits."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatling_sid.models import ToolParameter
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import Domain
from gatling_sid.simulator.arguments import argument_problems, has_json_type, signature_problems, value_problem
from gatling_sid.simulator.execution import tools_of
from tests.conftest import CATALOGUE

SCHEMAS = {each.tool_id: each for each in DomainRegistry(CATALOGUE).domain("library").schemas}
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 400)
    | st.floats(allow_nan=False).filter(lambda value: not value.is_integer())
    | st.text(max_size=3)
    | st.dates().map(str)
    | st.sampled_from(["20260314", "2026-3-1", "2026-02-30", "2026-W10-1", "count", "title"])
)
ANYTHING = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=2), SCALARS, max_size=2)


def fitting(parameter: ToolParameter) -> st.SearchStrategy[Any]:
    """Values of the right type for a parameter, often within its limits."""
    rules = parameter.constraints
    items = rules.get("items", {})
    known = {"string": st.text(max_size=4), "integer": st.integers(-1, 400), "number": st.floats(0, 9)}
    if parameter.type == "array":
        element = st.sampled_from(items["enum"]) if "enum" in items else known[items["type"]]
        return st.lists(element, max_size=4)
    if rules.get("format") == "date":
        return st.dates().map(str)
    return st.sampled_from(rules["enum"]) if "enum" in rules else known[parameter.type]


@st.composite
def arguments(draw: st.DrawFn, tool_id: str) -> dict[str, Any]:
    """Arguments of a tool: most of its parameters, mostly of the right type, and sometimes an unknown one."""
    parameters = SCHEMAS[tool_id].parameters
    values = {p.name: draw(fitting(p) | fitting(p) | ANYTHING) for p in parameters if draw(st.integers(0, 3))}
    return values | draw(st.just({}) | st.just({}) | st.dictionaries(st.text(max_size=3), SCALARS, max_size=1))


def checker(tool_id: str) -> jsonschema.Draft202012Validator:
    """A validator of the `jsonschema` library for the published schema of a tool."""
    schema = SCHEMAS[tool_id].json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker(["date"]))


@settings(deadline=None)
@given(st.data())
@pytest.mark.parametrize("tool_id", SCHEMAS)
def test_simulator_and_published_schema_agree(library: Domain, tool_id: str, data: st.DataObject) -> None:
    """For every tool, the simulator finds a problem exactly where JSON Schema finds one."""
    given_arguments = data.draw(arguments(tool_id))
    problems = list(argument_problems(tools_of(library)[tool_id], given_arguments))
    assert (problems == []) == checker(tool_id).is_valid(given_arguments)


@pytest.mark.parametrize("value", [5.0, 1.0, -3.0])
def test_whole_floats_are_judged_as_json_schema_does(library: Domain, value: float) -> None:
    """JSON has one kind of number: simulator and JSON Schema agree whether 5.0 is the integer 5."""
    problems = list(argument_problems(tools_of(library)["library.list_loans"], {"limit": value}))
    assert (problems == []) == checker("library.list_loans").is_valid({"limit": value})


@pytest.mark.parametrize(
    ("tool", "given_arguments", "problems"),
    [
        ("get_loan", {"loan_id": "L-1"}, []),
        ("get_loan", {}, ["loan_id is required"]),
        ("get_loan", {"loan_id": ""}, ["loan_id must not be empty"]),
        ("get_loan", {"loan_id": None}, ["loan_id must be string, not NoneType"]),
        ("get_loan", {"loan_id": ["L-1"]}, ["loan_id must be string, not list"]),
        ("get_loan", {"loan_id": "$a.b"}, []),
        ("find_members", {"limit": 50, "first_name": "Zoë"}, []),
        ("find_members", {"limit": 51}, ["limit must be at most 50, not 51"]),
        ("find_members", {"limit": 0}, ["limit must be at least 1, not 0"]),
        ("find_members", {"limit": True}, ["limit must be integer, not bool"]),
        ("find_members", {"limit": "5"}, ["limit must be integer, not str"]),
        ("find_members", {"fields": []}, ["fields must not be empty"]),
        ("find_members", {"fields": ["name", "name"]}, ["fields must not repeat an element"]),
        ("find_members", {"fields": "name"}, ["fields must be array, not str"]),
        (
            "find_members",
            {"fields": ["name", "age"]},
            ["fields [1] must be one of member_id, first_name, name, email, job, fines, card_number, not 'age'"],
        ),
        ("find_members", {"age": 3}, ["there is no parameter 'age'; the tool has first_name, limit, fields"]),
        ("list_loans", {"state": "lost"}, ["state must be one of out, overdue, returned, not 'lost'"]),
        ("renew_loan", {"loan_id": "L", "due_on": "2026-02-30"}, [
            "due_on must be a date such as 2026-03-14, not '2026-02-30'",
        ]),
        ("renew_loan", {"due_on": "20260228"}, [
            "loan_id is required", "due_on must be a date such as 2026-03-14, not '20260228'",
        ]),
    ],
)  # fmt: skip
def test_problems(library: Domain, tool: str, given_arguments: dict[str, Any], problems: list[str]) -> None:
    """Each message names the parameter, what it must be and what it is."""
    assert list(argument_problems(tools_of(library)[f"library.{tool}"], given_arguments)) == problems


def test_open_references(library: Domain) -> None:
    """With open references, a reference may stand for any value; text that only looks like one may not."""
    tool = tools_of(library)["library.list_loans"]
    assert list(argument_problems(tool, {"limit": "$find.count"}, open_references=True)) == []
    assert list(argument_problems(tool, {"limit": "$50"}, open_references=True)) == ["limit must be integer, not str"]
    assert list(argument_problems(tool, {"limit": "$find.count"})) == ["limit must be integer, not str"]


def test_a_tool_without_parameters() -> None:
    """The message says that the tool takes no parameters."""
    assert list(signature_problems({}, (), {"x": 1})) == ["there is no parameter 'x'; the tool has none"]


VALUES: list[Any] = ["", "a", 0, -5, 1.5, True, False, [], [1], {}, {"a": 1}, None]


@pytest.mark.parametrize(
    ("json_type", "values"),
    [
        ("string", ["", "a"]),
        ("integer", [0, -5]),
        ("number", [0, -5, 1.5]),
        ("boolean", [True, False]),
        ("array", [[], [1]]),
        ("object", [{}, {"a": 1}]),
        ("unheard of", VALUES),
    ],
)
def test_types(json_type: str, values: list[Any]) -> None:
    """Each JSON type has its own values and no others; integers are numbers, booleans are not."""
    assert repr([value for value in VALUES if has_json_type(value, json_type)]) == repr(values)


def test_long_values_are_quoted_briefly() -> None:
    """A message shows the first 60 characters of a long value."""
    problem = value_problem("x" * 1000, "string", {"enum": ["a"]})
    assert problem == f"must be one of a, not '{'x' * 60}'"
