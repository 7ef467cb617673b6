"""The last message of a chat says what became of the request, and nothing that is not so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from gatling_sid.models import (
    Constraint,
    Effect,
    Goal,
    GoldTrace,
    MeasuredValue,
    Measurement,
    Outcome,
    Showing,
    SystemPolicy,
    ToolCallGraph,
    UserRequest,
    replace_fields,
)
from gatling_sid.schemas import DomainRegistry
from gatling_sid.validators.trace_context import TraceContext
from gatling_sid.views.outcome_text import _items_without_keys, _values_of_row, describe_outcome
from gatling_sid.views.resolved_calls import ResolvedCall, resolve_calls

RULE = "Books are lent for 30 days at most."


def trace_with(goal: Goal | None, outcome: Outcome | None = None) -> GoldTrace:
    """A trace with a goal and an outcome, under a policy of two rules."""
    constraint = Constraint(constraint_id="c", kind="max_days", rule=1)
    return GoldTrace(
        trace_id="t",
        request=UserRequest(request_id="r", domain="Library", text="…", intent_category="retrieve"),
        policy=SystemPolicy(policy_id="p", domain="Library", rules=["Be brief.", RULE], constraints=[constraint]),
        graph=ToolCallGraph(graph_id="g"),
        goal=goal,
        outcome=outcome,
    )


def calls_of(trace: GoldTrace, registry: DomainRegistry) -> list[ResolvedCall]:
    """The calls of a trace, without references."""
    return resolve_calls(trace, trace.observations, registry)


LOAN = Effect(kind="update", entity="loan", rows=["L-1"], changes={"due_on": "2025-01-31", "renewals": 2.0})
EFFECTS = {
    "Changed loan L-1: due on 2025-01-31, renewals 2.": LOAN,
    "Created an expense report: amount 12.5, urgent yes, note none.": Effect(
        kind="create", entity="expense_report", changes={"amount": 12.5, "urgent": True, "note": None}
    ),
    "Deleted 2 series (S-1, S-2).": Effect(kind="delete", entity="series", rows=["S-1", "S-2"]),
    "Exported paid on, total of 3 invoices to audit_drive.": Effect(
        kind="export", entity="invoice", rows=["I-1", "I-2", "I-3"], changes={"fields": ["paid_on", "total"]},
        target="audit_drive",
    ),
    "Sent a message about loan L-1 to a@b.example, with the message “soon due”.": Effect(
        kind="send", entity="loan", rows=["L-1"], changes={"message": "soon due"}, target="a@b.example"
    ),
    "Sent a message to a@b.example.": Effect(kind="send", entity="loan", target="a@b.example"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "effect"), EFFECTS.items(), ids=[each.kind for each in EFFECTS.values()])
def test_effects_are_stated(text: str, effect: Effect) -> None:
    """Each effect is a sentence with its rows, its values and its target."""
    assert describe_outcome(trace_with(Goal(effects=[effect])), []) == text


MEASURES = {
    "The number of loans is 12.": ("count", None, None, {None: 12.0}),
    "The highest fine of 5 loans is 2.5.": ("maximum", "fine", None, {None: 2.5}),
    "The total fine of 5 loans by branch: North: 3, South: 4.": ("sum", "fine", "branch", {"North": 3.0, "South": 4.0}),
}


@pytest.mark.parametrize(("text", "measured"), MEASURES.items(), ids=["count", "maximum", "groups"])
def test_measures_are_stated(text: str, measured: tuple[str, str | None, str | None, dict[str | None, float]]) -> None:
    """Each measure is a sentence with its value, or with one value per group."""
    measure, field, group_by, values = measured
    measurement = Measurement(
        entity="loan", measure=measure, field=field, group_by=group_by, rows=5, rows_digest="",
        values=[MeasuredValue(group=group, value=value) for group, value in values.items()],
    )  # fmt: skip
    assert describe_outcome(trace_with(Goal(measures=[measurement])), []) == text


OUTCOMES = {
    f"I cannot do this. The policy says: {RULE}": Outcome(kind="declined", constraint_id="c", reason="too long"),
    "I cannot do this. too long": Outcome(kind="declined", constraint_id="of another policy", reason="too long"),
    f"Changed loan L-1: due on 2025-01-31, renewals 2.\nI cannot do the rest. The policy says: {RULE}": Outcome(
        kind="partly_served", constraint_id="c"
    ),
    "It is open until six; no tool is needed for that.": Outcome(
        kind="nothing_to_call", reason="It is open until six; no tool is needed for that."
    ),
    "Which Ada do you mean?": Outcome(kind="needs_question", reason="Which Ada do you mean?"),
    "Changed loan L-1: due on 2025-01-31, renewals 2.": Outcome(kind="served"),
}


@pytest.mark.parametrize(("text", "outcome"), OUTCOMES.items(), ids=[each.kind for each in OUTCOMES.values()])
def test_every_outcome_has_its_words(text: str, outcome: Outcome) -> None:
    """What was served is stated, what was not with the rule that forbids it; otherwise the reason is given."""
    assert describe_outcome(trace_with(Goal(effects=[LOAN]), outcome), []) == text


def test_without_a_goal_nothing_is_claimed_but_that_it_is_done() -> None:
    """Traces of others may have no goal."""
    assert describe_outcome(trace_with(None), []) == "Done."
    assert describe_outcome(trace_with(Goal()), []) == "Done."


def test_long_lists_are_cut(observed: list[GoldTrace], registry: DomainRegistry) -> None:
    """Of many rows only the first are stated; and of rows of which no result has the keys, only how many there are."""
    showing = Showing(entity="loan", rows=[f"L-{at}" for at in range(25)], fields=["loan_id", "due_on"])
    call = next(call for trace in observed for call in calls_of(trace, registry))
    items = [{"loan_id": key, "due_on": "2025-01-31"} for key in showing.rows]
    listing = call._replace(observation=replace_fields(call.observation, result={"items": items}), arguments={})
    lines = describe_outcome(trace_with(Goal(shows=[showing])), [listing]).splitlines()

    assert lines[:2] == ["Found 25 loans:", "- L-0: due on 2025-01-31"]
    assert lines[12:] == ["- L-11: due on 2025-01-31", "- and 13 more"]
    assert describe_outcome(trace_with(Goal(shows=[showing])), []) == "Found 25 loans."
    few = call._replace(observation=replace_fields(call.observation, result={"items": items[3:5]}), arguments={})
    assert describe_outcome(trace_with(Goal(shows=[showing])), [few]).splitlines() == [
        "Found 25 loans:", "- L-3: due on 2025-01-31", "- L-4: due on 2025-01-31", "- and 23 more",
    ]  # fmt: skip


def test_only_keys_that_somebody_saw_are_stated(shipped: list[GoldTrace], shipped_registry: DomainRegistry) -> None:
    """The last message names no row by a key that stands in no result, in no call and not in the request."""
    for trace in shipped:
        calls, text = calls_of(trace, shipped_registry), describe_outcome(trace, calls_of(trace, shipped_registry))
        seen = " ".join([trace.request.text, *(f"{each.arguments} {each.observation.result}" for each in calls)])
        goal = trace.goal or Goal()
        keys = {key for each in (*goal.shows, *goal.effects) for key in each.rows}
        assert [key for key in keys if key in text and key not in seen] == []


def test_the_user_is_warned_of_lures(shipped: list[GoldTrace], shipped_registry: DomainRegistry) -> None:
    """Each instruction to the assistant that was read, and not obeyed, is named."""
    with_lures = [trace for trace in shipped if trace.lures]
    for trace in with_lures:
        text = describe_outcome(trace, calls_of(trace, shipped_registry))
        assert all(f"wants {lure.wants}. You did not ask for that" in text for lure in trace.lures)
    assert with_lures


def test_stated_values_are_those_of_the_rows(shipped: list[GoldTrace], shipped_registry: DomainRegistry) -> None:
    """Every value is that of a row that was asked for; under a key, it is the value of the row with this key."""
    found = 0
    for trace in shipped:
        actual, calls = rows_read(TraceContext(trace, shipped_registry)), calls_of(trace, shipped_registry)
        for showing in trace.goal.shows if trace.goal else ():
            rows = {key: actual[showing.entity, key] for key in showing.rows}
            by_key = {key: _values_of_row(showing, key, calls) for key in rows}
            without_keys = [items for each in calls if (items := _items_without_keys(showing, each)) is not None]
            found += sum(each is not None for each in by_key.values())
            assert all(values.items() <= rows[key].items() for key, values in by_key.items() if values)
            if None in by_key.values() and len(without_keys) == 1:
                expected = [{name: row[name] for name in showing.fields} for row in rows.values()]
                assert sorted(map(repr_of, without_keys[0])) == sorted(map(repr_of, expected))
    assert found


def repr_of(row: Mapping[str, object]) -> str:
    """A row as text that does not depend on the order of its fields."""
    return repr(sorted(row.items()))


def test_each_value_that_was_asked_for_is_stated(shipped: list[GoldTrace], shipped_registry: DomainRegistry) -> None:
    """A request for values of a few rows is answered with these values in nine of ten traces, but for those it changes."""
    asked_for, stated = 0, 0
    for trace in shipped:
        actual = rows_read(TraceContext(trace, shipped_registry))
        text = describe_outcome(trace, calls_of(trace, shipped_registry))
        for showing in trace.goal.shows if trace.goal else ():
            if len(showing.rows) * len(showing.fields) <= 24:
                asked_for += 1
                kept = replace_fields(
                    showing, fields=[name for name in showing.fields if name not in changed_fields(trace)]
                )
                stated += all(each in text for key in showing.rows for each in words(kept, actual, key))
    assert stated >= asked_for * 0.9


def changed_fields(trace: GoldTrace) -> set[str]:
    """The fields that the plan of a trace changes: what it read of them holds no longer."""
    return {name for effect in (trace.goal.effects if trace.goal else ()) for name in effect.changes}


def words(showing: Showing, actual: dict[tuple[str, str], dict[str, object]], key: str) -> Iterator[str]:
    """The texts that must be stated about a row: each of its values."""
    for name in showing.fields:
        value = actual[showing.entity, key][name]
        if isinstance(value, str):
            yield value


def rows_read(context: TraceContext) -> dict[tuple[str, str], dict[str, object]]:
    """The rows that calls read, as they were before any change."""
    return {(result.entity, key): row for result in reversed(context.results.values()) for key, row in result.rows}


def test_a_value_on_which_rows_disagree_is_not_stated(observed: list[GoldTrace], registry: DomainRegistry) -> None:
    """A row that refers to another one may have a field of the same name; then neither value is stated."""
    trace = next(trace for trace in observed if trace.goal and trace.goal.shows and trace.goal.shows[0].rows)
    assert trace.goal is not None
    key, (call, *_) = trace.goal.shows[0].rows[0], calls_of(trace, registry)
    result = {"items": [{"id": key, "state": "lent"}, {"book": key, "state": "open"}]}
    replaced = call._replace(observation=replace_fields(call.observation, result=result), arguments={})
    showing = Showing(entity="book", rows=[key], fields=["state"])

    assert describe_outcome(trace_with(Goal(shows=[showing])), [replaced]) == f"Book {key}."
