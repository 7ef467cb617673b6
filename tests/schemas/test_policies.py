"""A domain's family of policies: each rule of a member is a sentence and a constraint."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatling_sid.models import Constraint, GoldTrace, SystemPolicy
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.constraints import KINDS, parameters_of
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.yaml_loading import load_yaml
from gatling_sid.validators import TraceValidator
from tests.conftest import CREATED_AT

LIBRARY: dict[str, Any] = load_yaml(Path(__file__).parent.parent / "catalogue" / "library.yaml")
SAYS = {name: rule["says"] for name, rule in LIBRARY["policy"]["rules"].items()}
ALWAYS = {"rows", "history", "ceiling", "renewable", "deletable", "places", "directors_delete", "inside", "cards"}
DEFAULT = [
    ("rows", "At most 20 records a call.", {"max_rows": 20}),
    ("history", SAYS["history"].replace("{lookback}", "60"), {"max_days": 60}),
    ("ceiling", "Librarians see nothing above internal.", {"roles": ["librarian"], "max_tier": "internal"}),
    ("open_first", "A loan is opened before it is renewed.", {
        "tools": ["library.renew_loan"], "entity": "loan", "fields": ["renewals"],
    }),
    ("renewable", "Only loans seen to be out or overdue are renewed.", {
        "tools": ["library.renew_loan"], "entity": "loan", "field": "state", "allowed": ["out", "overdue"],
    }),
    ("deletable", "Only loans seen to be returned are deleted.", {
        "tools": ["library.delete_loan"], "entity": "loan", "field": "state", "allowed": ["returned"],
    }),
    ("tell", "The member is told of every renewal.", {
        "tools": ["library.renew_loan"], "entity": "loan", "notify": "library.mail_member",
        "recipient_field": "member_email",
    }),
    ("places", "Exports go to archive and council only.", {"allowed": ["archive", "council"]}),
    ("directors_delete", "Librarians delete nothing.", {"roles": ["librarian"], "tools": ["library.delete_loan"]}),
    ("inside", "Mail stays at elm.example.", {"tools": ["library.mail_member"], "endings": ["@elm.example"]}),
    ("cards", "Card numbers leave with nothing.", {
        "tools": ["library.mail_member", "library.export_loans"], "entity": "member", "fields": ["card_number"],
    }),
]  # fmt: skip


def members(domain: Domain) -> list[tuple[int, ...]]:
    """Every member of a family."""
    return list(product(*map(range, domain.family.axis_sizes)))


def rules_of(policy: SystemPolicy) -> list[tuple[str, str, dict[str, Any]]]:
    """(name, sentence, parameters) of every rule of a policy."""
    return [(each.constraint_id, policy.rules[each.rule], each.parameters) for each in policy.constraints]


def with_policy(folder: Path, **policy: Any) -> Domain:
    """The library with parts of its policy, or its scenarios, replaced."""
    rules = {**LIBRARY["policy"]["rules"], **policy.pop("rules", {})}
    scenarios = policy.pop("scenarios", LIBRARY["scenarios"])
    content = {**LIBRARY, "policy": {**LIBRARY["policy"], **policy, "rules": rules}, "scenarios": scenarios}
    (folder / "library.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return DomainRegistry(folder).domain("library")


def test_default_member(library: Domain) -> None:
    """The default member takes the first value of every axis and has every rule, in the order of the file."""
    policy = library.family.default_policy
    assert rules_of(policy) == DEFAULT
    assert (policy.policy_id, policy.domain) == ("library-0.0.0.0.0.0", "Library")
    assert policy.description == "How the library's records may be used."
    assert policy.scope_limits == {
        "max_results": 20, "max_time_range_days": 60, "allowed_export_targets": ["archive", "council"],
    }  # fmt: skip
    assert policy.forbidden_operations == []


def test_another_member(library: Domain) -> None:
    """A member takes its own value of every axis and lacks the rules that it switches off."""
    policy = library.family.policy((1, 2, 1, 1, 1, 0))
    others = [each for each in DEFAULT if each[0] != "open_first"]
    others[0] = ("rows", "At most 10 records a call.", {"max_rows": 10})
    others[1] = ("history", SAYS["history"].replace("{lookback}", "90"), {"max_days": 90})
    others[6] = ("places", "Exports go to archive only.", {"allowed": ["archive"]})
    assert rules_of(policy) == others
    assert policy.policy_id == "library-1.2.1.1.1.0"
    assert policy.scope_limits == {"max_results": 10, "max_time_range_days": 90, "allowed_export_targets": ["archive"]}


def test_every_sentence_has_the_boundary_of_its_constraint(library: Domain) -> None:
    """In each member, each sentence is backed by one constraint, and names the very value that is enforced."""
    for member in members(library):
        policy, axes = library.family.policy(member), library.family.axis_values_of(member)
        assert [each.rule for each in policy.constraints] == list(range(len(policy.rules)))
        held = {name: (sentence, parameters) for name, sentence, parameters in rules_of(policy)}
        assert held["rows"] == (f"At most {axes['max_rows']} records a call.", {"max_rows": axes["max_rows"]})
        assert held["history"][1] == {"max_days": axes["lookback"]}
        assert f" {axes['lookback']} days" in held["history"][0]
        targets = axes["targets"]
        assert held["places"] == (f"Exports go to {' and '.join(targets)} only.", {"allowed": targets})


def test_rules_in_force(library: Domain) -> None:
    """A member has every rule that is always there, and those of the others that it switches on."""
    assert library.family.axis_sizes == (3, 3, 2, 2, 2, 2)
    for member in members(library):
        switched = {name for name, off in zip(("open_first", "tell"), member[4:], strict=True) if not off}
        assert library.family.rules_in_force(member) == ALWAYS | switched
        assert {each.constraint_id for each in library.family.policy(member).constraints} == ALWAYS | switched


def test_members_differ(library: Domain) -> None:
    """The family has as many members as it says, each with an id of its own, and the same one is the same record."""
    ids = {library.family.policy(member).policy_id for member in members(library)}
    assert len(ids) == library.family.size == 3 * 3 * 2 * 2 * 2 * 2
    assert library.family.policy((0, 1, 0, 0, 0, 1)) is library.family.policy((0, 1, 0, 0, 0, 1))


def test_constraints_are_well_formed(library: Domain) -> None:
    """Every constraint of every member parses by its kind, and the domain hands out what it parsed."""
    for member in members(library):
        policy = library.family.policy(member)
        parsed = [(each.constraint_id, each.kind, parameters_of(each)) for each in policy.constraints]
        assert library.family.parsed_constraints(policy) == parsed
        assert library.family.parsed_constraints(policy.model_copy()) is None, "a copy may have been edited"


def test_what_nobody_may_call_is_forbidden(tmp_path: Path) -> None:
    """A tool forbidden to everyone is a forbidden operation while the rule is in force; one forbidden to a role is not."""
    closing = {"says": "Nobody closes loans.", "kind": "may_not_call", "with": {"tools": ["close_loans"]}}
    noting = {
        "says": "Directors close none.",
        "kind": "may_not_call",
        "with": {"roles": ["director"], "tools": ["close_loans"]},
    }
    always = with_policy(tmp_path, rules={"closing": closing, "noting": noting})
    assert always.family.default_policy.forbidden_operations == ["library.close_loans"]
    assert always.family.always_forbidden_tools == {"library.close_loans"}
    sometimes = with_policy(tmp_path, rules={"closing": {**closing, "sometimes": True}})
    assert sometimes.family.default_policy.forbidden_operations == ["library.close_loans"]
    assert sometimes.family.policy((0, 0, 0, 0, 0, 0, 1)).forbidden_operations == []
    assert sometimes.family.always_forbidden_tools == frozenset()


def test_an_axis_may_say_what_is_forbidden(tmp_path: Path) -> None:
    """Tools that an axis names are forbidden by their full ids, member by member."""
    forbidden = [["close_loans"], ["close_loans", "delete_loan"]]
    rule = {"says": "Nobody may call {forbidden}.", "kind": "may_not_call", "with": {"tools": "$policy.forbidden"}}
    scenario = {**LIBRARY["scenarios"]["delete_record"], "given": {"forbidden": [["close_loans"]]}}
    domain = with_policy(
        tmp_path,
        vary={**LIBRARY["policy"]["vary"], "forbidden": forbidden},
        rules={"none": rule},
        scenarios={**LIBRARY["scenarios"], "delete_record": scenario},
    )
    assert domain.family.default_policy.forbidden_operations == ["library.close_loans"]
    stricter = domain.family.policy((0, 0, 0, 0, 1, 0, 0))
    assert stricter.forbidden_operations == ["library.close_loans", "library.delete_loan"]
    assert stricter.rules[-1] == "Nobody may call close_loans and delete_loan."


def test_a_scenario_needs_a_policy_that_allows_its_tools(tmp_path: Path) -> None:
    """A scenario whose tool a rule forbids at times is drawn only with members that lack the rule."""
    hold = {"says": "No deleting.", "kind": "may_not_call", "sometimes": True, "with": {"tools": ["delete_loan"]}}
    scenario = {**LIBRARY["scenarios"]["delete_record"], "given": {"hold": [False]}}
    domain = with_policy(tmp_path, rules={"hold": hold}, scenarios={**LIBRARY["scenarios"], "delete_record": scenario})
    oracle, validator = ScenarioOracle(1, CREATED_AT), TraceValidator(DomainRegistry(tmp_path))
    traces = [oracle.trace(Task(domain, "train", index)) for index in range(0, 2000, 7)]
    held = {"delete_record": 0, "renew": 0}
    for trace in traces:
        assert isinstance(trace, GoldTrace)
        held[trace.metadata["scenario"]] = held.get(trace.metadata["scenario"], 0) + bool(
            trace.policy.forbidden_operations
        )
    assert held["delete_record"] == 0
    assert held["renew"] > 0
    deleting = next(trace for trace in traces if trace.metadata["scenario"] == "delete_record")
    assert validator.findings(deleting) == []
    under_hold = domain.family.policy(tuple(0 for _ in domain.family.axis_sizes))
    assert validator.validate_policy_compliance(deleting, under_hold)[1] == [
        "forbidden_operations_are_absent: call_2 calls library.delete_loan; 'library.delete_loan' is forbidden",
        "constraints_hold: hold: call_2 calls library.delete_loan, which is forbidden to everyone (may_not_call)",
    ]


@pytest.mark.parametrize(
    ("name", "kind", "parameters", "limits"),
    [
        ("rows", "row_limit", {"max_rows": 7}, {"max_results": 7}),
        ("rows", "row_limit", {"max_rows": 7, "roles": None, "tools": None}, {"max_results": 7}),
        ("rows", "row_limit", {"max_rows": 7, "tools": ["list_loans"]}, {}),
        ("rows", "row_limit", {"max_rows": 7, "roles": ["director"]}, {}),
        ("rows", "sensitivity_ceiling", {"max_tier": "internal"}, {"max_sensitivity_tier": "internal"}),
        ("rows", "sensitivity_ceiling", {"max_tier": "internal", "entity": "member"}, {}),
        ("rows", "batch_limit", {"max_records": 3}, {}),
    ],
)
def test_scope_limits_bind_everyone(
    tmp_path: Path, name: str, kind: str, parameters: dict[str, Any], limits: dict[str, Any]
) -> None:
    """The short form holds the limits that bind everyone at every call, and no others."""
    policy = with_policy(
        tmp_path, rules={name: {"says": "So do directors.", "kind": kind, "with": parameters}}
    ).family.default_policy
    others = {"max_time_range_days": 60, "allowed_export_targets": ["archive", "council"]}
    assert policy.scope_limits == {**limits, **others}


def test_sentences_are_said_as_people_write(tmp_path: Path) -> None:
    """Large numbers get commas, lists an `and`; texts stand as they are."""
    vary = {**LIBRARY["policy"]["vary"], "places": [["a", "b", "c"], ["a"]], "most": [12500, 2.5], "who": ["you", "me"]}
    rule = {"says": "{most} to {places} for {who}.", "kind": "row_limit", "with": {"max_rows": 1}}
    domain = with_policy(tmp_path, vary=vary, rules={"said": rule})
    assert domain.family.default_policy.rules[-1] == "12,500 to a, b and c for you."
    assert domain.family.policy((0, 0, 0, 0, 1, 1, 1, 0, 0)).rules[-1] == "2.5 to a for me."


def test_each_member_has_its_own_steps(tmp_path: Path) -> None:
    """Allowed steps may differ between members; the sentence names each step."""
    steps = [{"out": ["overdue", "returned"], "returned": []}, {"out": ["returned"]}]
    parameters = {"entity": "loan", "field": "state", "allowed": "$policy.steps"}
    rule = {"says": "Steps: {steps}.", "kind": "transitions", "with": parameters}
    domain = with_policy(tmp_path, vary={**LIBRARY["policy"]["vary"], "steps": steps}, rules={"moves": rule})
    default, other = domain.family.default_policy, domain.family.policy((0, 0, 0, 0, 1, 0, 0))

    assert [policy.constraints[-1].parameters["allowed"] for policy in (default, other)] == steps
    assert default.rules[-1] == "Steps: out to overdue or returned, returned to nothing."
    assert other.rules[-1] == "Steps: out to returned."


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_refuses_what_does_not_fit(kind: str) -> None:
    """Each kind of constraint refuses parameters that it does not know, by name."""
    constraint = Constraint(constraint_id="one", kind=kind, rule=0, parameters={"misspelt": 1})
    with pytest.raises(ValueError, match=rf"^constraint 'one' \({kind}\): \w+: (Field required|Extra inputs are not)"):
        parameters_of(constraint)


def test_unknown_kinds_are_refused() -> None:
    """A constraint of no known kind is an error that names both."""
    constraint = Constraint(constraint_id="one", kind="mood", rule=0)
    with pytest.raises(ValueError, match=r"^constraint 'one' is of unknown kind 'mood'$"):
        parameters_of(constraint)


@pytest.mark.parametrize(
    ("given", "role", "tool", "binds"),
    [
        ({}, None, "a.b", True),
        ({"roles": ["clerk"]}, "clerk", "a.b", True),
        ({"roles": ["clerk"]}, "boss", "a.b", False),
        ({"roles": ["clerk"]}, None, "a.b", False),
        ({"tools": ["a.b"]}, "boss", "a.b", True),
        ({"tools": ["a.b"]}, "boss", "a.c", False),
        ({"roles": ["clerk"], "tools": ["a.b"]}, "clerk", "a.c", False),
        ({"roles": [], "tools": ["a.b"]}, "clerk", "a.b", False),
    ],
)
def test_whom_a_constraint_binds(given: dict[str, Any], role: str | None, tool: str, binds: bool) -> None:
    """Without roles it binds everyone, without tools every call; it concerns a plan if it binds one of its calls."""
    parameters = KINDS["may_not_call"].model_validate(given)
    assert parameters.binds(role, tool) is binds
    assert parameters.concerns(role, {tool, "x.y"}) is binds


def test_an_id_states_the_member(library: Domain) -> None:
    """Every member is found by the id of its policy; ids of other domains, of too few axes and out of range are not."""
    family = library.family
    for member in product(*map(range, family.axis_sizes)):
        assert family.member_of(family.policy(member).policy_id) == member
    largest = ".".join(str(size) for size in family.axis_sizes)
    for policy_id in ("hr-0", "library", "library-0", "library-x", f"library-{largest}", ""):
        assert family.member_of(policy_id) is None
