"""Drawing what a scenario is about: rows, values and the principal."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from gatling_sid.scenarios.drawing import NoDrawError, draw, draw_principal, evaluate
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.conditions import CONDITIONS as DECLARED_CONDITIONS
from gatling_sid.schemas.conditions import PLAIN
from gatling_sid.schemas.domain import Domain
from gatling_sid.simulator.world import Row, World

FORMS: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, c.Draw])
POLICY = {"max_rows": 20, "lookback": 30, "targets": ["archive"]}
EVERY = {"count": [0, 999], "order": "loan_id"}


@pytest.fixture(scope="module")
def world(library: Domain) -> World:
    """One library on one day."""
    return World(library, 1, "train-0")


def drawn(world: World, *, given: dict[str, list[Any]] | None = None, seed: int = 1, **specs: Any) -> dict[str, Any]:
    """The bindings that these declarations give, drawn in this order for the first librarian."""
    scenario = world.domain.file.scenarios["renew"]
    scenario = scenario.model_copy(update={"draw": FORMS.validate_python(specs), "given": given or {}})
    principal = next(row for row in world.tables["member"].values() if row["job"] == "librarian")
    bindings = draw(scenario, world, {"principal": principal, "policy": POLICY}, random.Random(seed))
    return {name: bindings[name] for name in specs}


def no_draw(world: World, **specs: Any) -> str:
    """The error text of declarations that nothing fits."""
    with pytest.raises(NoDrawError) as caught:
        drawn(world, **specs)
    return str(caught.value)


def loans(world: World, fits: Callable[[Row], bool]) -> list[Row]:
    """Loans that pass a test, in the order of their ids."""
    return sorted((row for row in world.tables["loan"].values() if fits(row)), key=lambda row: row["loan_id"])


# --- expressions -----------------------------------------------------------------------------------------------

BINDINGS = {"loan": {"id": "L1", "tags": ["a"]}, "rows": [{"id": "L1"}, {"id": "L2"}], "n": 3}


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("$loan.id", "L1"), ("$rows.id", ["L1", "L2"]), ("$rows[*].id", ["L1", "L2"]), ("$rows[1].id", "L2"),
        ("$rows.count", 2), ("$n", 3), ("$loan.tags[0]", "a"), ("plain", "plain"), ("$50", "$50"), (7, 7), (["$n"], ["$n"]),
    ],
)  # fmt: skip
def test_expressions(value: Any, result: Any) -> None:
    """An expression gives the value at its path, over a list the values in all elements; any other value stays as it is."""
    assert evaluate(value, BINDINGS) == result


@pytest.mark.parametrize("value", ["$nobody.id", "$loan.age", "$rows.age", "$rows[5].id", "$n.id"])
def test_expressions_that_lead_nowhere(value: str) -> None:
    """An expression that leads nowhere raises NoDrawError, whose text begins with the expression."""
    with pytest.raises(NoDrawError, match=r"^\$"):
        evaluate(value, BINDINGS)


# --- rows ------------------------------------------------------------------------------------------------------

CONDITIONS: dict[str, tuple[str, Any, Callable[[Row, World], bool]]] = {
    "at_most": ("renewals", 1, lambda row, _: row["renewals"] <= 1),
    "at_least": ("renewals", 2, lambda row, _: row["renewals"] >= 2),
    "above": ("renewals", 1, lambda row, _: row["renewals"] > 1),
    "below": ("renewals", 2, lambda row, _: row["renewals"] < 2),
    "not": ("state", "out", lambda row, _: row["state"] != "out"),
    "in": ("state", ["out", "overdue"], lambda row, _: row["state"] in ("out", "overdue")),
    "not_in": ("state", ["out", "overdue"], lambda row, _: row["state"] == "returned"),
    "contains": ("title", "THE", lambda row, _: "the" in row["title"].casefold()),
    "within_days": ("lent_on", 20, lambda row, world: world.age(row["lent_on"]) <= 20),
    "older_than_days": ("lent_on", 20, lambda row, world: world.age(row["lent_on"]) > 20),
    "next_days": ("due_on", 5, lambda row, world: 0 <= -world.age(row["due_on"]) <= 5),
    "also_in": ("state", ["out", "overdue"], lambda row, _: row["state"] in ("out", "overdue")),
    "also_at_most": ("renewals", 1, lambda row, _: row["renewals"] <= 1),
    "allowed_dates": (
        "due_on",
        [-5, 5, True],
        lambda row, world: abs(world.age(row["due_on"])) <= 5 and date.fromisoformat(row["due_on"]).weekday() < 5,
    ),
    "is_set": ("returned_on", True, lambda row, _: row["returned_on"] is not None),
}


@pytest.fixture(scope="module")
def returns(library: Domain) -> World:
    """A library in which returned loans have a date of return; other loans have no value in that field."""
    world = World(library, 2, "train-0")
    for row in world.tables["loan"].values():
        row["returned_on"] = row["due_on"] if row["state"] == "returned" else None
    return world


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions(returns: World, name: str) -> None:
    """Each condition is passed by all the rows that it describes and by no others."""
    field, want, fits = CONDITIONS[name]
    expected = loans(returns, lambda row: fits(row, returns))
    assert 0 < len(expected) < 150
    assert drawn(returns, rows={"all": "loan", "where": {field: {name: want}}, **EVERY}) == {"rows": expected}


@pytest.mark.parametrize(
    "name", ["at_most", "at_least", "above", "below", "contains", "within_days", "older_than_days"]
)
def test_rows_without_a_value_meet_no_comparison(returns: World, name: str) -> None:
    """A row without a value in a field passes no comparison of it, but `is_set: false`."""
    want = 10_000 if name.endswith("days") else "2026-01-01"
    found = drawn(returns, rows={"all": "loan", "where": {"returned_on": {name: want}}, **EVERY})["rows"]
    assert [row for row in found if row["returned_on"] is None] == []
    unset = drawn(returns, rows={"all": "loan", "where": {"returned_on": {"is_set": False}}, **EVERY})["rows"]
    assert unset == loans(returns, lambda row: row["state"] != "returned")


def test_no_condition_is_missing_here() -> None:
    """What the catalogue may say, the oracle can draw."""
    assert CONDITIONS.keys() == DECLARED_CONDITIONS.keys() - {PLAIN}


def test_conditions_hold_together(world: World) -> None:
    """A row must have all given values and pass all conditions; both may be expressions."""
    rows = {
        "all": "loan",
        "where": {"state": "overdue", "renewals": {"above": 0, "at_most": "$most"}, "book_id": "$book.book_id"},
    }
    found = drawn(world, most={"number": [2, 2]}, book={"one": "book"}, rows={**rows, **EVERY})
    assert found["rows"] == loans(
        world,
        lambda row: (
            row["state"] == "overdue" and 0 < row["renewals"] <= 2 and row["book_id"] == found["book"]["book_id"]
        ),
    )


def test_one(world: World) -> None:
    """One of the rows that fit is drawn, by the random stream alone."""
    spec = {"one": "loan", "where": {"state": "out"}}
    rows = [drawn(world, row=spec, seed=seed)["row"] for seed in range(20)]
    assert rows == [drawn(world, row=spec, seed=seed)["row"] for seed in range(20)]
    assert {row["state"] for row in rows} == {"out"}
    assert len({row["loan_id"] for row in rows}) > 3
    assert no_draw(world, row={"one": "loan", "where": {"state": "lost"}}) == "no loan fits"


def test_one_with_alone_by(world: World) -> None:
    """With `alone_by`, no other row has the same values in these fields, whether it passes the conditions or not."""
    spec = {"one": "loan", "where": {"state": "out"}, "alone_by": ["title", "state"]}
    titles = Counter(row["title"] for row in loans(world, lambda row: row["state"] == "out"))
    assert {titles[drawn(world, row=spec, seed=seed)["row"]["title"]] for seed in range(20)} == {1}
    assert no_draw(world, row={"one": "loan", "alone_by": ["state"]}) == "no loan fits"


def test_all(world: World) -> None:
    """All rows that fit are drawn in the given order, if their number is within `count`."""
    out = loans(world, lambda row: row["state"] == "out")
    newest = sorted(out, key=lambda row: row["lent_on"], reverse=True)
    spec = {"all": "loan", "where": {"state": "out"}, "order": "-lent_on"}
    for count in ([0, 999], [len(out), len(out)], ["$n", "$n"]):
        assert drawn(world, n={"number": [len(out)] * 2}, rows={**spec, "count": count})["rows"] == newest
    for count in ([0, len(out) - 1], [len(out) + 1, 999], [1, 10]):
        assert no_draw(world, rows={**spec, "count": count}) == f"{len(out)} loan fit"


def test_the_first_few(world: World) -> None:
    """With `first`, that many rows are drawn in order, however many fit; fewer are an error."""
    spec = {"all": "loan", "where": {"state": "out"}, "order": "lent_on"}
    out = sorted(loans(world, lambda row: row["state"] == "out"), key=lambda row: row["lent_on"])
    assert drawn(world, rows={**spec, "first": 3})["rows"] == out[:3]
    assert drawn(world, n={"number": [2, 2]}, rows={**spec, "first": "$n"})["rows"] == out[:2]
    assert no_draw(world, rows={**spec, "first": 999}) == "fewer than 999 loan fit"


def test_distinct(world: World) -> None:
    """With `distinct`, it is an error if two of the rows have the same value in that field."""
    same = {"all": "loan", "where": {"state": "out"}, "count": [0, 999], "distinct": "state"}
    assert no_draw(world, rows=same) == "two loan have the same state"
    assert len(drawn(world, rows={**same, "distinct": "loan_id"})["rows"]) > 1


def test_row(world: World) -> None:
    """The row with the given key is drawn; it is an error if there is none."""
    found = drawn(world, loan={"one": "loan"}, holder={"row": "member", "key": "$loan.member_id"})
    assert found["holder"] == world.tables["member"][found["loan"]["member_id"]]
    assert no_draw(world, loan={"one": "loan"}, holder={"row": "member", "key": "$loan.title"}).startswith("no member ")


def test_rows_by_what_they_refer_to(world: World) -> None:
    """A condition may concern a field of the row that a reference points to."""
    where = {"member_id.fines": {"at_least": 30}, "member_id.job": "reader", "state": "out"}
    members = world.tables["member"]
    expected = loans(
        world,
        lambda row: (
            members[row["member_id"]]["fines"] >= 30
            and members[row["member_id"]]["job"] == "reader"
            and row["state"] == "out"
        ),
    )
    assert expected
    assert drawn(world, rows={"all": "loan", "where": where, **EVERY})["rows"] == expected


# --- values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "left"),
    [
        ({"choose": [14, 30, 60]}, {14, 30, 60}),
        ({"choose": [14, 30, 60], "at_most": "$policy.lookback"}, {14, 30}),
        ({"choose": ["archive", "council"], "among": "$policy.targets"}, {"archive"}),
        ({"choose": ["out", "overdue"], "but_not": "$loan.state"}, {"overdue"}),
        ({"choose": [14, 30, 60], "but_not": "$policy.lookback", "at_most": "$policy.lookback"}, {14}),
        ({"choose": ["a {loan.state} one", "{loan.state}{loan.state}"]}, {"a out one", "outout"}),
        ({"choose": [None, True]}, {None, True}),
    ],
)
def test_choose(world: World, spec: dict[str, Any], left: set[Any]) -> None:
    """Any value that is not excluded may be chosen, and no other; expressions in texts are evaluated."""
    loan = {"one": "loan", "where": {"state": "out"}}
    assert {drawn(world, loan=loan, it=spec, seed=seed)["it"] for seed in range(40)} == left


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        ({"number": [2, 4]}, {2, 3, 4}),
        ({"amount": [15, 40], "step": 10}, {20, 30, 40}),
        ({"amount": [10, 30]}, {10, 20, 30}),
        ({"amount": ["$low", 2], "step": 0.5}, {1, 1.5, 2}),
        ({"amount": [-5, 5], "step": 5}, {-5, 0, 5}),
        ({"amount": [0.1, 0.3], "step": 0.1}, {0.1, 0.2, 0.3}),
    ],
)
def test_numbers_and_amounts(world: World, spec: dict[str, Any], values: set[float]) -> None:
    """Numbers and amounts lie between both ends, which are included; amounts are multiples of the step."""
    found = [drawn(world, low={"number": [1, 1]}, it=spec, seed=seed)["it"] for seed in range(60)]
    assert {repr(value) for value in found} == {repr(value) for value in values}


def test_no_value_fits(world: World) -> None:
    """It is an error if no value is left, or if no multiple of the step lies between the ends."""
    assert no_draw(world, it={"choose": [60, 90], "at_most": "$policy.lookback"}) == "no choice is left"
    assert no_draw(world, it={"amount": [11, 19]}) == "no multiple of 10 between 11.0 and 19.0"


def test_days(world: World) -> None:
    """Dates are drawn around today; only a past date has an age."""
    ahead = {drawn(world, it={"days_from_today": [-1, 1]}, seed=seed)["it"] for seed in range(40)}
    assert ahead == {(world.today + timedelta(days=shift)).isoformat() for shift in (-1, 0, 1)}
    found = drawn(world, loan={"one": "loan"}, it={"age": "$loan.lent_on"})
    assert found["it"] == world.age(found["loan"]["lent_on"])
    assert no_draw(world, day={"days_from_today": [0, 0]}, it={"age": "$day"}) == "not in the past"


def test_given(world: World) -> None:
    """A scenario that is given for some values of the policy cannot be drawn under others."""
    assert drawn(world, given={"lookback": [30, 60]}, n={"number": [1, 1]}) == {"n": 1}
    with pytest.raises(NoDrawError, match=r"^the policy has another lookback$"):
        drawn(world, given={"lookback": [60]}, n={"number": [1, 1]})


def test_principals(world: World, library: Domain) -> None:
    """The principal has the role; it is an error if nobody has it."""
    librarian = library.file.roles["librarian"]
    asked = [draw_principal(world, librarian, random.Random(seed)) for seed in range(30)]
    assert {row["job"] for row in asked} == {"librarian"}
    assert len({row["member_id"] for row in asked}) > 1
    with pytest.raises(NoDrawError, match=r"^nobody has the role$"):
        draw_principal(world, librarian.model_copy(update={"where": {"job": "poet"}}), random.Random(1))


def test_the_first_rows_may_not_end_in_a_tie(world: World) -> None:
    """With `without_tie`, the last of the first rows and the one after it differ in the order; without, they need not."""
    rows = sorted(world.tables["loan"].values(), key=lambda row: row["lent_on"], reverse=True)
    tied = [at for at in range(1, 20) if rows[at - 1]["lent_on"] == rows[at]["lent_on"]]
    free = [at for at in range(1, 20) if at not in tied]
    assert tied
    assert free
    for number in range(1, 20):
        spec = {"all": "loan", "order": "-lent_on", "first": number}
        assert len(drawn(world, rows=spec)["rows"]) == number
        if number in tied:
            assert no_draw(world, rows={**spec, "without_tie": True}) == "loan tie in lent_on"
        else:
            assert len(drawn(world, rows={**spec, "without_tie": True})["rows"]) == number
