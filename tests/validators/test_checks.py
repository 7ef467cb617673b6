"""Every rule rejects the mistake that it exists for; cases are data."""

from __future__ import annotations

from copy import deepcopy
from datetime import date
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatling_sid.models import GoldTrace
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.constraints import KINDS
from gatling_sid.simulator.world import world_of
from gatling_sid.validators import TraceValidator
from gatling_sid.validators.checks import CHECKS
from gatling_sid.validators.policy.kinds import CONSTRAINT_RULES

HERE = Path(__file__).parent
REJECTED = yaml.safe_load((HERE / "rejected.yaml").read_text())
CONSTRAINTS = yaml.safe_load((HERE / "constraints.yaml").read_text())


def largest(gold: list[GoldTrace], scenario: str) -> dict[str, Any]:
    """The gold trace of a scenario with the most calls, as plain data."""
    return max((t for t in gold if t.metadata["scenario"] == scenario), key=lambda t: len(t.graph.calls)).model_dump()


def put(data: Any, path: str, value: Any) -> None:
    """Sets the value at a dotted path.

    `+1` adds one to what is there, `=path` takes what stands elsewhere, `repeat` and `times` make a long one.
    """
    *way, last = steps(path)
    place = reduce(getitem, way, data)
    if value == "+1":
        place[last] += 1
    elif isinstance(value, str) and value.startswith("="):
        place[last] = deepcopy(reduce(getitem, steps(value[1:]), data))
    elif isinstance(value, dict) and value.keys() == {"repeat", "times"}:
        place[last] = value["repeat"] * value["times"]
    else:
        place[last] = value


def steps(path: str) -> list[Any]:
    """The keys and indices of a dotted path."""
    return [int(step) if step.isdecimal() else step for step in path.split(".")]


def call_again(
    data: dict[str, Any], call: int, name: str, arguments: dict[str, Any], dependencies: list[str] | None = None
) -> None:
    """Adds a copy of a call under another id, with some arguments changed."""
    copy = {**data["graph"]["calls"][call], "call_id": name}
    copy["arguments"] = {**copy["arguments"], **arguments}
    copy["dependencies"] = copy["dependencies"] + (dependencies or [])
    data["graph"]["calls"].append(copy)
    data["graph"]["execution_order"].append(name)


def add_call(data: dict[str, Any], tool_id: str, arguments: dict[str, Any]) -> None:
    """Adds a call of another tool, after the first."""
    call = {"call_id": "call_8", "tool_id": tool_id, "arguments": arguments, "dependencies": ["call_1"]}
    data["graph"]["calls"].append(call)
    data["graph"]["execution_order"].append("call_8")


def edit(data: dict[str, Any], case: dict[str, Any]) -> None:
    """Applies the edit of a case to a trace given as plain data."""
    if "add" in case:
        add_call(data, **case["add"])
    if "repeat_call" in case:
        repeat = case["repeat_call"]
        call_again(data, repeat["call"], repeat["as"], repeat["arguments"], repeat.get("dependencies"))
    for path, value in case.get("set", {}).items():
        put(data, path, value)


@pytest.mark.parametrize("case", REJECTED, ids=lambda case: case["description"])
def test_rule_rejects_what_it_is_for(case: dict[str, Any], gold: list[GoldTrace], validator: TraceValidator) -> None:
    """One edit of a gold trace is rejected by the rule that the edit breaks."""
    data = largest(gold, case["scenario"])
    assert validator.findings(GoldTrace.model_validate(data)) == []
    edit(data, case)

    found = validator.findings(GoldTrace.model_validate(data))

    assert case["violates"] in {each.rule for each in found}, [str(each) for each in found]


def test_every_rule_has_a_case_that_it_rejects() -> None:
    """Every rule of every check has a case in rejected.yaml, and every case names a rule."""
    rules = {
        rule.__name__ for check in CHECKS.values() for rule in (*check.rules, *check.domain_rules, *check.replay_rules)
    }

    assert {case["violates"] for case in REJECTED} == rules


def test_every_kind_of_constraint_has_a_judge_and_a_case() -> None:
    """Every kind of constraint has a rule that judges it and a case in constraints.yaml."""
    assert CONSTRAINT_RULES.keys() == KINDS.keys() == {case["kind"] for case in CONSTRAINTS}


def sent_without_request(gold: list[GoldTrace]) -> dict[str, Any]:
    """A trace whose goal does not have the message that the plan sends."""
    data = largest(gold, "renew")
    data["goal"]["effects"] = data["goal"]["effects"][:1]
    return data


def subject(gold: list[GoldTrace], name: str) -> dict[str, Any]:  # noqa: C901, PLR0912 - a list of cases
    """A gold trace with the boundary that a constraint case speaks of."""
    if name == "sent_without_request":
        return sent_without_request(gold)
    if name == "five_rows":
        return next(
            t for t in gold if t.metadata["scenario"] == "export_overdue" and t.graph.calls[0].arguments["limit"] == 5
        ).model_dump()
    if name == "thirty_days":
        return next(t for t in gold if t.graph.calls[0].arguments.get("days") == 30).model_dump()
    if name == "thirty_days_of_one's_own":
        data = subject(gold, "thirty_days")
        data["request"]["principal"]["attributes"] |= {"most_days": 30, "fewer_days": 29}
        return data
    if name == "to_archive":
        return next(t for t in gold if t.graph.calls[-1].arguments.get("target") == "archive").model_dump()
    if name == "own_loan":
        data = largest(gold, "renew")
        data["request"]["principal"]["attributes"]["email"] = data["goal"]["effects"][1]["target"]
        return data
    if name == "own_overdue":
        data = largest(gold, "overdue_of_member")
        loan = loans(data["metadata"]["world"])[data["goal"]["shows"][0]["rows"][0]]
        data["request"]["principal"]["attributes"]["email"] = loan["member_email"]
        return data
    if name == "renewed_twice":
        return next(t for t in gold if len(t.graph.calls) == 4 and renewals(t) == 2).model_dump()
    if name == "reminded_of_two":  # the note says "2"; the loan was renewed twice
        data = next(t for t in gold if len(t.graph.calls) == 4 and renewals(t) == 2).model_dump()
        loan_id = data["goal"]["effects"][0]["rows"][0]
        add_call(data, "library.get_loan", {"loan_id": loan_id})
        arguments = {"loan_id": loan_id, "text": "2"}
        call_again(data, -1, "call_9", arguments, ["call_8"])
        data["graph"]["calls"][-1]["tool_id"] = "library.write_reminder"
        return data
    if name == "closed":
        data = largest(gold, "renew")
        add_call(data, "library.close_loans", {"loan_ids": data["goal"]["effects"][0]["rows"]})
        return data
    if name == "due_in_thirty_days":
        return next(t for t in gold if days_to_due_date(t) == 30).model_dump()
    if name in ("due_on_friday", "due_on_saturday"):
        day = ("due_on_friday", "due_on_saturday").index(name) + 4
        return next(t for t in gold if days_to_due_date(t) and due_date(t).weekday() == day).model_dump()
    if name == "at_nine":
        return next(t for t in gold if t.graph.calls[0].provenance.timestamp.hour == 9).model_dump()
    return largest(gold, name)


def due_date(trace: GoldTrace) -> date:
    """The new due date of a loan that a trace renews."""
    return next(date.fromisoformat(c.arguments["due_on"]) for c in trace.graph.calls if "due_on" in c.arguments)


def days_to_due_date(trace: GoldTrace) -> int | None:
    """The days from today to the new due date of a loan; None if the trace renews none."""
    if trace.metadata["scenario"] != "renew":
        return None
    return (due_date(trace) - date.fromisoformat(trace.metadata["today"])).days


def renewals(trace: GoldTrace) -> int:
    """How often the loan that a trace renews was renewed before."""
    assert trace.goal is not None
    return int(loans(trace.metadata["world"])[trace.goal.effects[0].rows[0]]["renewals"])


def loans(world: str) -> dict[str, Any]:
    """The loans of a world of the library, by key."""
    return world_of(DomainRegistry(HERE.parent / "catalogue").domain("library"), 1, world).tables["loan"]


@pytest.mark.parametrize("case", CONSTRAINTS, ids=lambda case: f"{case['kind']}: {case['breaks']}")
def test_constraint_holds_up_to_its_boundary(
    case: dict[str, Any], gold: list[GoldTrace], validator: TraceValidator
) -> None:
    """A constraint admits a gold trace at its boundary and rejects it one step inside."""
    data = subject(gold, case["scenario"])
    verdicts = {}
    for which in ("keeps", "breaks"):
        constraint = {"constraint_id": "it", "kind": case["kind"], "rule": 0, "parameters": case[which]}
        data["policy"] = {"policy_id": "own", "domain": "Library", "rules": ["It."], "constraints": [constraint]}
        verdicts[which] = validator.validate_policy_compliance(GoldTrace.model_validate(data))

    assert verdicts["keeps"] == (True, [])
    assert not verdicts["breaks"][0]
    assert "constraints_hold: it: call_" in verdicts["breaks"][1][0] or case["kind"] == "batch_limit"
