"""A domain's simulated organisation is a function of its name, and its records are believable."""

from __future__ import annotations

import re
from collections import Counter
from copy import deepcopy
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gatling_sid.errors import CatalogueError
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.yaml_loading import load_yaml
from gatling_sid.simulator.world import LAST_DAY, Row, World, sort_rows, world_of

LIBRARY: dict[str, Any] = load_yaml(Path(__file__).parent.parent / "catalogue" / "library.yaml")
WORLDS = st.tuples(st.integers(0, 10**6), st.sampled_from(["train-0", "train-17", "validation-0", "test-3.1"]))
SOME = settings(deadline=None, max_examples=25)


def days(one: str, other: str) -> int:
    """How many days lie from one ISO date to another."""
    return (date.fromisoformat(other) - date.fromisoformat(one)).days


def with_fields(folder: Path, **fields: Any) -> Domain:
    """The library with more fields of loans, by how they are populated."""
    content = deepcopy(LIBRARY)
    for name, populate in fields.items():
        content["entities"]["loan"]["fields"][name] = {"type": "text", "populate": populate}
    (folder / "library.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return DomainRegistry(folder).domain("library")


@SOME
@given(WORLDS)
def test_a_world_is_a_function_of_its_name(library: Domain, name: tuple[int, str]) -> None:
    """The same seed and name make the same day and the same records, in the same order."""
    one, other = World(library, *name), World(library, *name)
    assert one.today == other.today
    assert repr(one.tables) == repr(other.tables)
    assert world_of(library, *name).tables == one.tables


@pytest.mark.parametrize("other", [(2, "train-0"), (1, "train-1"), (1, "test-0"), (1, "train-0.1")])
def test_other_names_are_other_worlds(library: Domain, other: tuple[int, str]) -> None:
    """Another seed, split or number makes other people and other records."""
    one, two = World(library, 1, "train-0"), World(library, *other)
    assert one.tables["member"] != two.tables["member"]
    assert one.tables["loan"] != two.tables["loan"]


def test_a_changed_field_changes_no_other(library: Domain, tmp_path: Path) -> None:
    """A field that is added to an entity is another version of the world, and leaves all other values as they are."""
    changed = with_fields(tmp_path, note={"value": "x"})
    assert changed.version.changed_parts(library.digest) == ["world"]
    one, two = World(library, 1, "train-0"), World(changed, 1, "train-0")
    without = {
        entity: {key: {name: value for name, value in row.items() if name != "note"} for key, row in table.items()}
        for entity, table in two.tables.items()
    }
    assert without == one.tables != two.tables


@SOME
@given(WORLDS)
def test_records_are_whole(library: Domain, name: tuple[int, str]) -> None:
    """Every entity has as many rows as declared, each with every field, in order, under its own key."""
    world = World(library, *name)
    assert list(world.tables) == list(LIBRARY["entities"])
    for entity, declared in LIBRARY["entities"].items():
        table = world.tables[entity]
        assert len(table) == declared["count"]
        assert {tuple(row) for row in table.values()} == {tuple(declared["fields"])}
        assert [row[declared["key"]] for row in table.values()] == list(table)


@SOME
@given(WORLDS)
def test_relations_hold(library: Domain, name: tuple[int, str]) -> None:
    """A reference leads to an existing row, and a field that is copied from it has the value of that row."""
    tables = World(library, *name).tables
    for loan in tables["loan"].values():
        assert tables["member"][loan["member_id"]]["email"] == loan["member_email"]
        assert tables["book"][loan["book_id"]]["title"] == loan["title"]
    assert {row["loan_id"] for row in tables["reminder"].values()} <= tables["loan"].keys()


@SOME
@given(WORLDS)
def test_records_are_believable(library: Domain, name: tuple[int, str]) -> None:
    """Loans begin before today and are due three weeks later; those past their date are overdue, others are out."""
    world = World(library, *name)
    assert date(2024, 7, 1) <= world.today <= LAST_DAY
    for loan in world.tables["loan"].values():
        assert 1 <= days(loan["lent_on"], world.today.isoformat()) <= 90
        assert days(loan["lent_on"], loan["due_on"]) == 21
        past = loan["due_on"] < world.today.isoformat()
        assert loan["state"] in ({"overdue", "returned"} if past else {"out", "returned"})
        assert 0 <= loan["renewals"] <= 3
    for member in world.tables["member"].values():
        assert 1 <= member["fines"] <= 60
        assert member["fines"] * 2 == int(member["fines"] * 2)
        assert member["name"].startswith(f"{member['first_name']} ")
        assert member["name"].removeprefix(f"{member['first_name']} ") in library.pools["family_names"]
        assert re.fullmatch(r"[a-z]+@elm\.example", member["email"])


@SOME
@given(WORLDS)
def test_unique_fields_are_unique(library: Domain, name: tuple[int, str]) -> None:
    """No two rows share a value that is declared unique, nor an address, nor a number of a sequence."""
    tables = World(library, *name).tables
    for entity, field in (("member", "first_name"), ("member", "email"), ("member", "card_number"), ("book", "title")):
        values = [row[field] for row in tables[entity].values()]
        assert len(set(values)) == len(values)
    numbers = [int(key.removeprefix("L-")) for key in tables["loan"]]
    assert all(1 <= later - earlier <= 3 for earlier, later in pairwise(numbers))
    assert numbers[0] >= 1000


def test_states_are_mixed(library: Domain) -> None:
    """Weights are followed: more readers than librarians, and every state of a loan occurs."""
    tables = World(library, 1, "train-0").tables
    jobs = [row["job"] for row in tables["member"].values()]
    assert jobs.count("reader") > jobs.count("librarian") > 0
    assert {row["state"] for row in tables["loan"].values()} == {"out", "overdue", "returned"}


# How a field may be populated, and what then holds of it in a row, given the world's day.
FILLED: dict[str, tuple[Any, Any]] = {
    "days_ahead": ({"days_ahead": [3, 9]}, lambda value, _row, today: 3 <= days(today, value) <= 9),
    "days_after_by_today": (
        {"days_after": "lent_on", "days": [5, 60], "by_today": True},
        lambda value, row, today: value == today or (value < today and days(row["lent_on"], value) >= 5),
    ),
    "fraction": (
        {"fraction_of": "renewals", "between": [0.25, 0.75], "round": 0.25},
        lambda value, row, _today: (
            0.25 * row["renewals"] - 0.13 <= value <= 0.75 * row["renewals"] + 0.13 and value * 4 == int(value * 4)
        ),
    ),
    "chance": ({"chance": 0.5}, lambda value, _row, _today: value in (True, False)),
    "always": ({"chance": 1}, lambda value, _row, _today: value is True),
    "never": ({"chance": 0}, lambda value, _row, _today: value is False),
    "value": ({"value": "fixed"}, lambda value, _row, _today: value == "fixed"),
    "nothing": (None, lambda value, _row, _today: value is None),
    "listed": ({"pool": ["a", 2, None]}, lambda value, _row, _today: value in ("a", 2, None)),
    "by": (
        {"by": "state", "cases": {"out": {"value": 1}, "overdue": None}, "otherwise": {"value": 3}},
        lambda value, row, _today: value == {"out": 1, "overdue": None, "returned": 3}[row["state"]],
    ),
    "if_past": (
        {"if_past": "due_on", "then": {"value": "past"}, "otherwise": {"value": "to come"}},
        lambda value, row, today: value == ("past" if row["due_on"] < today else "to come"),
    ),
    "where": ({"ref": "member", "where": {"job": "librarian"}}, lambda value, _row, _today: value.startswith("M-")),
    "worded": (
        {"template": "{title} ({state})"},
        lambda value, row, _today: value == f"{row['title']} ({row['state']})",
    ),
}


@pytest.mark.parametrize("form", FILLED)
def test_ways_to_populate(tmp_path: Path, form: str) -> None:
    """Each way to populate a field gives what it says, in every row."""
    populate, holds = FILLED[form]
    world = World(with_fields(tmp_path, extra=populate), 1, "train-0")
    rows = list(world.tables["loan"].values())
    assert [row for row in rows if not holds(row["extra"], row, world.today.isoformat())] == []
    if form == "where":
        assert {world.tables["member"][row["extra"]]["job"] for row in rows} == {"librarian"}


def test_too_few_values_are_an_error(tmp_path: Path) -> None:
    """A unique field whose pool is too small is an error that names the file and the pool."""
    domain = with_fields(tmp_path, extra={"pool": ["a", "b"], "unique": True})
    with pytest.raises(
        CatalogueError, match=r"^library\.yaml: entities: too few different values for pool \['a', 'b'\]$"
    ):
        World(domain, 1, "train-0")


def test_values_that_run_out_in_some_worlds_are_no_error(tmp_path: Path) -> None:
    """Where chance gives more rows than a pool has values, which is rare, the world is populated again as a whole."""
    pool = [f"value {at}" for at in range(80)]  # for 75 of 150 loans on average, and for more in one world of five
    coin = {"choice": {"heads": 1, "tails": 1}}
    name = {"by": "coin", "cases": {"heads": {"pool": pool, "unique": True}}, "otherwise": None}
    domain = with_fields(tmp_path, coin=coin, extra=name)
    for number in range(12):
        named = [row["extra"] for row in World(domain, 1, f"train-{number}").tables["loan"].values() if row["extra"]]
        assert len(named) == len({*named}) > 50


def test_just_enough_values_are_enough(tmp_path: Path) -> None:
    """A unique field whose pool has one value for each row gets each of them, in every world."""
    pool = [f"value {at}" for at in range(150)]
    domain = with_fields(tmp_path, extra={"pool": pool, "unique": True})
    for name in range(10):
        assert sorted(row["extra"] for row in World(domain, 1, f"train-{name}").tables["loan"].values()) == sorted(pool)


def test_addresses_are_plain_and_unique(tmp_path: Path) -> None:
    """Namesakes get numbers, accents and blanks are dropped; a domain may come from another field."""
    names = {"pool": ["Zoë Łukasz", "İpek"]}
    domain = with_fields(tmp_path, extra=names, mail={"email": ["extra"], "at": "x.example"})
    mails = [row["mail"] for row in World(domain, 1, "train-0").tables["loan"].values()]
    counts = Counter(re.sub(r"\d*@x\.example$", "", mail) for mail in mails)
    assert (len(set(mails)), set(counts)) == (150, {"zoelukasz", "ipek"})


def with_jobs(folder: Path, **weights: float) -> Domain:
    """The library with other shares of jobs among its members."""
    content = deepcopy(LIBRARY)
    content["entities"]["member"]["fields"]["job"]["populate"] = {"choice": weights}
    (folder / "library.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return DomainRegistry(folder).domain("library")


def test_every_role_has_somebody(tmp_path: Path) -> None:
    """However rare a job, each world has somebody who does it; if nobody can, that is an error."""
    rare = with_jobs(tmp_path, reader=50, librarian=1, director=1)
    for name in range(10):
        jobs = {row["job"] for row in World(rare, 1, f"train-{name}").tables["member"].values()}
        assert jobs == {"reader", "librarian", "director"}
    never = with_jobs(tmp_path, reader=1, librarian=0, director=1)
    with pytest.raises(
        CatalogueError,
        match=r"^library\.yaml: entities: no valid population in \d+ attempts: nobody has the role librarian$",
    ):
        World(never, 1, "train-0")


def test_lookups(library: Domain) -> None:
    """The look-ups of a world: rows by value in table order, the number of equal rows, and ages from today."""
    world = World(library, 1, "train-0")
    loans = list(world.tables["loan"].values())
    assert world.index("loan", "state")["overdue"] == [row for row in loans if row["state"] == "overdue"]
    assert "lost" not in world.index("loan", "state")
    likeness = [row for row in loans if (row["title"], row["state"]) == (loans[0]["title"], loans[0]["state"])]
    assert world.count_alike("loan", ("title", "state"), loans[0]) == len(likeness)
    assert [world.age((world.today + timedelta(days=shift)).isoformat()) for shift in (-3, 0, 4)] == [3, 0, -4]


VALUES = st.none() | st.integers(0, 3)


@given(st.lists(VALUES, max_size=8), st.booleans(), st.randoms(use_true_random=False))
def test_order(values: list[int | None], descending: bool, rng: Any) -> None:
    """Rows are sorted by value either way, ties by key, rows without a value last."""
    rows: list[Row] = [{"key": f"k{at}", "value": value} for at, value in enumerate(values)]
    shuffled = rng.sample(rows, len(rows))
    sign = -1 if descending else 1
    expected = sorted(rows, key=lambda row: (row["value"] is None, sign * (row["value"] or 0), row["key"]))
    assert sort_rows(shuffled, "-value" if descending else "value", "key") == expected
    assert sort_rows(shuffled, None, "key") == shuffled
