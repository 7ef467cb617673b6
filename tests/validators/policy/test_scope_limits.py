"""Short-form limits of a policy: what each name bounds, also in domains that no catalogue describes."""

from __future__ import annotations

from typing import Any

import pytest

from gatling_sid.models import (
    GoldTrace,
    ScopeMetadata,
    SensitivityTier,
    SystemPolicy,
    ToolCall,
    ToolCallGraph,
    UserRequest,
)
from gatling_sid.validators import TraceValidator
from gatling_sid.validators.policy.scope_limits import LIMIT_KINDS

AMOUNT = "it must be a number, 0 or more"
LIST = {"tool": "bakery.list_loaves", "rows_requested": 200}
EXPORT = {"tool": "bakery.export_loaves", "rows_requested": 60, "export_target": "van"}
SEND = {"tool": "bakery.send_menu", "to": ["a@x.example", "b@x.example"], "cc": "B@x.example; c@x.example"}


def trace_of(limits: dict[str, Any], *calls: dict[str, Any], domain: str = "Bakery") -> GoldTrace:
    """A trace with these calls; keys of a call that are no field of its scope become arguments."""
    tool_calls = []
    for number, call in enumerate(calls):
        scope = {name: call[name] for name in ScopeMetadata.model_fields if name in call}
        arguments = {name: value for name, value in call.items() if name != "tool" and name not in scope}
        tool_calls.append(ToolCall(call_id=f"c{number}", tool_id=call["tool"], arguments=arguments, scope=scope))
    return GoldTrace(
        trace_id="t",
        request=UserRequest(request_id="r", domain=domain, text="Loaves, please.", intent_category="retrieve"),
        policy=SystemPolicy(policy_id="p", domain=domain, scope_limits=limits),
        graph=ToolCallGraph(graph_id="g", calls=tool_calls, execution_order=[call.call_id for call in tool_calls]),
    )


def violations(limits: dict[str, Any], *calls: dict[str, Any], domain: str = "Bakery") -> list[str]:
    """The messages of the policy check, without the rule's name."""
    trace = trace_of(limits, *calls, domain=domain)
    compliant, found = TraceValidator.validate_policy_compliance(trace, trace.policy)
    assert compliant is (not found)
    return [each.removeprefix("scope_limits_hold: ") for each in found]


@pytest.mark.parametrize(
    ("name", "kept", "broken", "call", "excess"),
    [
        ("max_results", 200, 199, LIST, "c0 takes 200 rows"),
        ("maxResults", 200, 199.5, LIST, "c0 takes 200 rows"),
        ("MAX-ROWS", 200, 0, LIST, "c0 takes 200 rows"),
        ("max_results", 100, 99, {"tool": "bakery.list_loaves", "limit": 100}, "c0 takes 100 rows"),
        ("row_limit", 100, 99, {"tool": "bakery.list_loaves", "maxResults": 100}, "c0 takes 100 rows"),
        ("max_export_rows", 60, 59, EXPORT, "c0 exports 60 rows"),
        ("max_export_rows", 60, 59, {"tool": "bakery.ship", "export_target": "van", "limit": 60}, "c0 exports 60 rows"),
        ("max_days", 30, 29, {"tool": "bakery.list_loaves", "time_range_days": 30}, "c0 looks back 30 days"),
        ("maxLookbackDays", 30, 29, {"tool": "bakery.list_loaves", "days": 30}, "c0 looks back 30 days"),
        ("max_recipients", 3, 2, SEND, "the plan writes to 3 recipients"),
        ("max_calls", 1, 0, LIST, "the plan has 1 calls"),
        (
            "max_sensitivity",
            "Confidential",
            SensitivityTier.INTERNAL,
            {"tool": "bakery.list_loaves", "sensitivity_tier": "confidential"},
            "c0 takes confidential data",
        ),
        ("allowed_export_targets", ["shop", "van"], ["shop"], EXPORT, "c0 exports to van"),
        ("export_target", "van", "shop", EXPORT, "c0 exports to van"),
        ("allowed_export_targets", ["van"], [], EXPORT, "c0 exports to van"),
    ],
)
def test_a_limit_holds_up_to_its_boundary(name: str, kept: Any, broken: Any, call: dict[str, Any], excess: str) -> None:
    """A plan at the boundary of a limit keeps it; a plan beyond it is reported with amount, name and limit."""
    assert violations({name: kept}, call) == []
    limit = {"[]": "empty", "['shop']": "shop"}.get(str(broken), getattr(broken, "value", broken))
    assert violations({name: broken}, call) == [f"{excess}; the limit {name} is {limit}"]


def test_each_limit_bounds_only_what_its_name_says() -> None:
    """A limit on exports does not bound lists, a limit on recipients bounds the whole plan, and all limits apply."""
    assert violations({"max_export_rows": 60}, LIST, EXPORT) == []
    assert violations({"max_recipients": 2}, {**SEND, "cc": None}, {**SEND, "to": "c@x.example", "cc": None}) == [
        "the plan writes to 3 recipients; the limit max_recipients is 2"
    ]
    assert violations({"max_recipients": 1}, {"tool": "x.send", "to": [{"at": "a, b"}, {"at": "c"}]}) == [
        "the plan writes to 2 recipients; the limit max_recipients is 1"
    ]
    assert violations({"max_results": 500, "maxRows": 100}, LIST) == ["c0 takes 200 rows; the limit maxRows is 100"]


def test_tools_of_the_catalogue_are_judged_by_what_they_do() -> None:
    """The limit argument of a known tool counts rows; that of an aggregate counts groups, which no row limit bounds."""
    listed = {"tool": "finance.list_invoices", "limit": 200}
    assert violations({"max_results": 100}, listed, domain="Finance") == [
        "c0 takes 200 rows; the limit max_results is 100"
    ]
    measures = {"tool": "finance.summarise_invoices", "limit": 20, "rows_requested": 20}
    assert violations({"max_results": 10}, measures, domain="Finance") == []
    message = {"tool": "finance.write_about_invoices", "recipient": "a@x.example", "invoice_id": "b@x.example"}
    assert violations({"max_recipients": 1}, message, domain="Finance") == []
    exported = {"tool": "finance.export_invoices", "target": "board_folder", "rows_requested": 60}
    assert violations({"max_export_rows": 50, "allowed_targets": "audit_share"}, exported, domain="Finance") == [
        "c0 exports 60 rows; the limit max_export_rows is 50",
        "c0 exports to board_folder; the limit allowed_targets is audit_share",
    ]


def test_an_unknown_limit_is_reported() -> None:
    """An unknown limit is reported together with the known names; it is never ignored."""
    message = "the limit 'max_concurrent_deployments' is unknown and cannot be enforced; known limits are "
    assert violations({"max_concurrent_deployments": 5}, LIST) == [message + ", ".join(sorted(LIMIT_KINDS))]


@pytest.mark.parametrize(
    ("name", "value", "form"),
    [
        *(("max_results", value, AMOUNT) for value in ("100", None, True, -1, float("nan"), float("inf"), [5])),
        ("max_recipients", "many", AMOUNT),
        ("max_sensitivity_tier", "secret", "it must be public, internal, confidential or restricted"),
        ("max_sensitivity_tier", ["public"], "it must be public, internal, confidential or restricted"),
        ("allowed_export_targets", 5, "it must be a target or a list of targets"),
        ("allowed_export_targets", ["van", 5], "it must be a target or a list of targets"),
    ],
)
def test_an_invalid_limit_is_reported(name: str, value: Any, form: str) -> None:
    """A value that its limit cannot have is reported, not ignored."""
    assert violations({name: value}, {"tool": "bakery.list_loaves"}) == [f"the limit {name} is {value!r}; {form}"]


def test_huge_numbers_are_numbers() -> None:
    """A limit of 19 digits is accepted; one of hundreds of digits, too long for an integer column, is refused."""
    assert violations({"max_results": 2**63 - 1}, LIST) == []
    assert violations({"max_results": 10**400}, LIST) != [], "no integer of a shard is as long"


def test_recipients_are_counted_where_the_plan_ends_up_writing(
    gold: list[GoldTrace], validator: TraceValidator
) -> None:
    """In a plan that can be replayed, addresses behind references are counted too."""
    trace = next(t for t in gold if {c.tool_id for c in t.graph.calls} >= {"library.renew_loan", "library.mail_member"})
    for most, kept in ((1, True), (0, False)):
        policy = SystemPolicy(policy_id="own", domain="Library", scope_limits={"max_recipients": most})
        assert validator.validate_policy_compliance(trace, policy)[0] is kept
