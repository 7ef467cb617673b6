"""What a plan's results lack for a goal, and their effects beyond it."""

from __future__ import annotations

from typing import Any

import pytest

from gatling_sid.models import Effect, Goal, MeasuredValue, Measurement, Showing, ToolCall
from gatling_sid.schemas.domain import Domain
from gatling_sid.simulator.execution import digest_of, execute, unmet_goal_parts
from gatling_sid.simulator.operations import CallResult
from gatling_sid.simulator.world import Row, World

Step = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def world(library: Domain) -> World:
    """One library on one day."""
    return World(library, 1, "train-0")


def results_of(world: World, *steps: Step) -> list[CallResult]:
    """The results of calls of these tools with these arguments, executed one after the other."""
    calls = [
        ToolCall(call_id=str(at), tool_id=f"library.{tool}", arguments=args) for at, (tool, args) in enumerate(steps)
    ]
    execution = execute(calls, world)
    assert execution.refusal is None
    return list(execution.results.values())


def messages(goal: Goal, results: list[CallResult], days: int | None = None) -> list[str]:
    """The messages for all parts of the goal that are not met."""
    return list(unmet_goal_parts(goal, results, days))


def newest(world: World, state: str, count: int = 2) -> list[Row]:
    """The newest loans in a state."""
    return [row for row in world.sorted_rows("loan", "-lent_on") if row["state"] == state][:count]


# --- showing ---------------------------------------------------------------------------------------------------


def test_what_is_shown(world: World) -> None:
    """Every row must be seen with every field, over all calls together."""
    one, two = (row["loan_id"] for row in newest(world, "out"))
    goal = Goal(shows=[Showing(entity="loan", rows=[one, two], fields=["title", "renewals"])])
    listed = ("list_loans", {"state": "out", "limit": 2})
    assert messages(goal, results_of(world, listed)) == [
        f"no call shows renewals of loan {one}",
        f"no call shows renewals of loan {two}",
    ]
    assert messages(goal, results_of(world, listed, ("get_loan", {"loan_id": one}))) == [
        f"no call shows renewals of loan {two}"
    ]
    both = (("get_loan", {"loan_id": one}), ("get_loan", {"loan_id": two}))
    assert messages(goal, results_of(world, *both)) == []
    assert messages(goal, []) == [f"no call shows renewals, title of loan {key}" for key in (one, two)]


@pytest.mark.parametrize("step", ["count", "export", "delete", "send"])
def test_what_shows_nothing(world: World, step: str) -> None:
    """Rows that are measured, exported, deleted or written about are not thereby shown."""
    row = newest(world, "returned")[0]
    key = row["loan_id"]
    steps: dict[str, Step] = {
        "count": ("count_loans", {"group_by": "title", "state": "returned"}),
        "export": ("export_loans", {"loan_ids": [key], "fields": ["title"], "target": "archive"}),
        "delete": ("delete_loan", {"loan_id": key}),
        "send": ("mail_member", {"recipient": row["member_email"], "loan_id": key}),
    }
    results = results_of(world, steps[step])
    goal = Goal(
        shows=[Showing(entity="loan", rows=[key], fields=["title"])],
        effects=[effect for result in results for effect in result.effects],
    )
    assert messages(goal, results) == [f"no call shows title of loan {key}"]


# --- measuring -------------------------------------------------------------------------------------------------


def measurement(world: World, **changes: Any) -> Measurement:
    """The number of overdue loans as a part of a goal, with some fields changed."""
    keys = [row["loan_id"] for row in newest(world, "overdue", 999)]
    known = {
        "entity": "loan", "measure": "count", "field": None, "group_by": None, "rows": len(keys),
        "rows_digest": digest_of(keys), "values": [MeasuredValue(group=None, value=len(keys))],
    }  # fmt: skip
    return Measurement.model_validate({**known, **changes})


def test_what_is_measured(world: World) -> None:
    """A measurement is met by the same measure over the same rows."""
    late: Step = ("count_loans", {"state": "overdue"})
    everything: Step = ("count_loans", {})
    goal, rows = Goal(measures=[measurement(world)]), measurement(world).rows
    assert messages(goal, results_of(world, everything, late)) == []
    assert messages(goal, results_of(world, everything)) == [
        f"no call computes the count of loan over the {rows} rows of the goal"
    ]
    assert messages(goal, results_of(world, ("list_loans", {"state": "overdue"}))) != []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"entity": "book"}, "the count of book over the {rows} rows"),
        ({"measure": "sum", "field": "renewals"}, "the sum of renewals over the {rows} rows"),
        ({"group_by": "title"}, "the count of loan by title over the {rows} rows"),
        ({"rows": 3}, "the count of loan over the 3 rows"),
        ({"rows_digest": digest_of(["L-1"])}, "the count of loan over the {rows} rows"),
        ({"values": [{"group": None, "value": 0}]}, "the count of loan over the {rows} rows"),
        ({"values": []}, "the count of loan over the {rows} rows"),
    ],
)
def test_what_is_another_measurement(world: World, changes: dict[str, Any], text: str) -> None:
    """A measure that differs in any field does not meet the goal, even if its value is equal."""
    results = results_of(world, ("count_loans", {"state": "overdue"}))
    expected = f"no call computes {text.format(rows=measurement(world).rows)} of the goal"
    assert messages(Goal(measures=[measurement(world, **changes)]), results) == [expected]


def test_digests() -> None:
    """The digest of keys does not depend on their order, and every other set has another digest."""
    assert digest_of(["a", "b"]) == digest_of(["b", "a"])
    assert len({digest_of(keys) for keys in ([], ["a"], ["ab"], ["a", "b"], ["a", "c"])}) == 5


# --- effects ---------------------------------------------------------------------------------------------------


def test_effects_that_are_missing_and_that_are_too_many(world: World) -> None:
    """Exactly the effects of the goal must happen; each that is missing or not asked for is named."""
    one, two = newest(world, "out")
    key, other, mail = one["loan_id"], two["loan_id"], one["member_email"]
    renewed = Effect(kind="update", entity="loan", rows=[key], changes={"due_on": "2030-01-01"})
    sent = Effect(kind="send", entity="loan", rows=[key], target=mail)
    renew = ("renew_loan", {"loan_id": key, "due_on": "2030-01-01"})
    tell = ("mail_member", {"recipient": mail, "loan_id": key})
    goal = Goal(effects=[sent, renewed])
    assert messages(goal, results_of(world, renew, tell)) == []
    assert messages(goal, results_of(world, renew)) == [
        f"the plan lacks an effect of the goal: send loan {key} [] to {mail}"
    ]
    collateral = f"the plan has an effect that the goal lacks: update loan {other} [('state', 'returned')]"
    assert messages(goal, results_of(world, renew, tell, ("close_loans", {"loan_ids": [other]}))) == [collateral]
    twice = f"the plan has an effect that the goal lacks: send loan {key} [] to {mail}"
    assert messages(goal, results_of(world, renew, tell, tell)) == [twice]
    later = ("renew_loan", {"loan_id": key, "due_on": "2030-01-02"})
    assert messages(goal, results_of(world, later, tell)) == [
        f"the plan lacks an effect of the goal: update loan {key} [('due_on', '2030-01-01')]",
        f"the plan has an effect that the goal lacks: update loan {key} [('due_on', '2030-01-02')]",
    ]


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"rows": ["<two>"]}, "export loan <two> [('fields', ['title'])] to archive"),
        ({"target": "council"}, "export loan <one>, <two> [('fields', ['title'])] to council"),
        (
            {"changes": {"fields": ["due_on", "title"]}},
            "export loan <one>, <two> [('fields', ['due_on', 'title'])] to archive",
        ),
        ({"entity": "book"}, "export book <one>, <two> [('fields', ['title'])] to archive"),
    ],
)
def test_exports_are_compared_whole(world: World, changes: dict[str, Any], missing: str) -> None:
    """An export of other rows, fields or to another target is another effect."""
    one, two = sorted(row["loan_id"] for row in newest(world, "out"))
    results = results_of(world, ("export_loans", {"loan_ids": [one, two], "fields": ["title"], "target": "archive"}))
    (happened,) = results[0].effects
    wanted = Effect.model_validate({**happened.model_dump(), **changes})
    wanted.rows = [two if key == "<two>" else key for key in wanted.rows]
    assert messages(Goal(effects=[wanted]), results) == [
        f"the plan lacks an effect of the goal: {missing.replace('<one>', one).replace('<two>', two)}",
        f"the plan has an effect that the goal lacks: export loan {one}, {two} [('fields', ['title'])] to archive",
    ]


def test_several_rows_at_once_or_one_by_one(world: World) -> None:
    """A change of two rows is met by one call or by two, in any order."""
    one, two = (row["loan_id"] for row in newest(world, "out"))
    goal = Goal(effects=[Effect(kind="update", entity="loan", rows=[one, two], changes={"state": "returned"})])
    at_once = ("close_loans", {"loan_ids": [one, two]})
    assert messages(goal, results_of(world, at_once)) == []
    assert (
        messages(goal, results_of(world, ("close_loans", {"loan_ids": [two]}), ("close_loans", {"loan_ids": [one]})))
        == []
    )
    assert len(messages(goal, results_of(world, ("close_loans", {"loan_ids": [two]})))) == 1


@pytest.mark.parametrize(
    ("wanted", "looked", "message"),
    [
        (None, None, []),
        (None, 30, []),
        (30, 30, []),
        (30, 60, []),
        (30, 7, ["the plan looks back 7 days; the request asks for 30"]),
        (30, None, ["the plan looks back 0 days; the request asks for 30"]),
    ],
)
def test_days(wanted: int | None, looked: int | None, message: list[str]) -> None:
    """A plan looks back as far as the request asks."""
    assert messages(Goal(time_range_days=wanted), [], looked) == message


def test_equal_numbers_are_equal_changes() -> None:
    """12 and 12.0 are the same amount; true is not the number 1."""
    goal = Goal(effects=[Effect(kind="create", entity="book", changes={"price": 12})])
    same = [
        CallResult(value={}, entity="book", effects=(Effect(kind="create", entity="book", changes={"price": 12.0}),))
    ]
    other = [
        CallResult(value={}, entity="book", effects=(Effect(kind="create", entity="book", changes={"price": True}),))
    ]
    assert messages(goal, same) == []
    assert len(messages(goal, other)) == 2
