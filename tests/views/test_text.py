"""Traces as text: nothing that a reader needs to judge one is left out."""

from __future__ import annotations

import json
from collections.abc import Iterator

from gatling_sid.models import (
    ArgumentSource,
    GoldTrace,
    ProvenancePointer,
    ScopeMetadata,
    SystemPolicy,
    ToolCall,
    ToolCallGraph,
    TrustTier,
    UserRequest,
)
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.constraints import parameters_of
from gatling_sid.simulator.execution import execute
from gatling_sid.simulator.world import world_of
from gatling_sid.views.text import to_text


def flat(text: str) -> str:
    """The text on one line, without indents and the branches of the tree."""
    return " ".join(text.replace("│", " ").split())


def test_gold_is_shown_in_full(gold: list[GoldTrace], registry: DomainRegistry) -> None:
    """The text has principal, request and date, the rules that concern the calls, and every call with its sources."""
    for trace in gold[:120]:
        shown, principal = flat(to_text(trace, registry)), trace.request.principal
        assert principal is not None
        assert shown.startswith(f"{trace.trace_id} Library · {trace.request.intent_category} · gold ")
        assert f"{principal.attributes['name']} ({principal.role}) asks on " in shown
        assert flat(f"“{trace.request.text}”") in shown
        assert {rule for rule in trace.policy.rules if f"· {rule}" in shown} == set(concerning(trace))
        assert f"{len(trace.policy.rules) - len([*concerning(trace)])} others do not concern these calls" in shown
        for call in trace.graph.calls:
            after = f" after {', '.join(call.dependencies)}" if call.dependencies else ""
            assert f"─ {call.call_id} {call.tool_id}{after} " in shown
            for source in call.argument_sources:
                assert argument(trace, call, source) in shown


def concerning(trace: GoldTrace) -> Iterator[str]:
    """Yields the rules that bind the principal's role at a tool of the plan."""
    role = trace.request.principal.role if trace.request.principal else None
    exports = any(call.tool_id.partition(".")[2].startswith("export") for call in trace.graph.calls)
    for each in trace.policy.constraints:
        is_idle = each.kind.startswith("export_") and not exports
        if not is_idle and any(parameters_of(each).binds(role, call.tool_id) for call in trace.graph.calls):
            yield trace.policy.rules[each.rule]


def argument(trace: GoldTrace, call: ToolCall, source: ArgumentSource) -> str:
    """The expected text of an argument: its value and the source of that."""
    value = call.arguments[source.argument]
    if source.origin == "call":
        return f"{source.argument} = {value}"
    spelled = json.dumps(value, ensure_ascii=False)
    if source.origin == "request":
        return flat(f"{source.argument} = {spelled} ← “{trace.request.text[source.start : source.end]}”")
    return f"{source.argument} = {spelled} ← {source.origin} {source.reference}"


def test_results_are_those_of_a_replay(gold: list[GoldTrace], registry: DomainRegistry) -> None:
    """The results shown are those of executing the plan: a record in full, a list by its length and first rows."""
    for trace in gold[:120]:
        shown = flat(to_text(trace, registry))
        world = world_of(registry.domain("library"), trace.metadata["seed"], trace.metadata["world"])
        for result in execute(trace.graph.calls, world).results.values():
            items = result.value.get("items")
            if items is None:
                assert flat(f"→ {json.dumps(result.value, ensure_ascii=False)}") in shown
            else:
                first = "; ".join(", ".join(map(str, item.values())) for item in items[:3])
                assert flat(f"→ {len(items)} found: {first}{'; …' if len(items) > 3 else ''}") in shown


def test_calls_of_rules_show_the_rule(gold: list[GoldTrace], registry: DomainRegistry) -> None:
    """A call that a rule demands is shown with the rule."""
    calls_of_rules = 0
    for trace in gold[:120]:
        for call in trace.graph.calls:
            if call.provenance is not None and call.provenance.source_type is TrustTier.SYSTEM:
                calls_of_rules += 1
                assert f"because: {call.provenance.content_snippet}" in flat(to_text(trace, registry))
    assert calls_of_rules


def test_lines_fit_a_screen(gold: list[GoldTrace], registry: DomainRegistry) -> None:
    """No line is longer than 110 columns, unless a single word is."""
    lines = [line for trace in gold[:120] for line in to_text(trace, registry).splitlines()]

    assert [line for line in lines if len(line) > 110 and max(map(len, line.split())) < 60] == []


def bakery() -> GoldTrace:
    """A hand-made trace of a domain that no catalogue has: no principal, no goal, nothing to replay."""
    words = ProvenancePointer(source_type=TrustTier.USER, source_id="r", content_snippet="five loaves")
    rule = ProvenancePointer(source_type=TrustTier.SYSTEM, source_id="p", content_snippet="Weigh what you sell.")
    return GoldTrace(
        trace_id="bakery_1",
        request=UserRequest(
            request_id="r", domain="Bakery", text="Weigh the first of five loaves", intent_category="retrieve",
            expected_scope=ScopeMetadata(rows_requested=5, time_range_days=2, export_target="shop"),
        ),
        policy=SystemPolicy(policy_id="p", domain="Bakery", rules=["Be kind.", "Weigh what you sell."]),
        graph=ToolCallGraph(
            graph_id="g",
            calls=[
                ToolCall(
                    call_id="a", tool_id="bakery.list_loaves", arguments={"limit": 5, "kind": "rye"}, provenance=words,
                    argument_sources=[
                        ArgumentSource(argument="limit", origin="request", start=19, end=23),
                        ArgumentSource(argument="kind", origin="default"),
                    ],
                ),
                ToolCall(
                    call_id="b", tool_id="bakery.weigh", arguments={"loaf": "$a.items[0]"}, dependencies=["a"],
                    provenance=rule,
                ),
            ],
            execution_order=["a", "b"],
        ),
    )  # fmt: skip


def test_a_hand_made_trace_is_shown() -> None:
    """Of a trace of an unknown domain, everything is shown except results of calls."""
    assert to_text(bakery()).splitlines() == [
        "bakery_1   Bakery · retrieve",
        "",
        "somebody asks:",
        "  “Weigh the first of five loaves”",
        "",
        "Rules in force (p):",
        "  · Be kind.",
        "  · Weigh what you sell.",
        "",
        "Plan:",
        "  ├─ a  bakery.list_loaves",
        "  │       limit = 5   ← “five”",
        '  │       kind = "rye"   ← default',
        "  └─ b  bakery.weigh   after a",
        "          loaf = $a.items[0]",
        "          because: Weigh what you sell.",
        "",
        "Entitled to: 5 rows, internal data, 2 days, to shop",
    ]
