"""The varying half of an ask: a scene in words, after the cached prefix."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from gatling_sid.models import GoldTrace, SystemPolicy
from gatling_sid.oracle.claude.plans.answers import Plan
from gatling_sid.oracle.claude.plans.from_trace import plan_told
from gatling_sid.oracle.claude.plans.request_context import Records, Setting
from gatling_sid.schemas.domain import Domain
from gatling_sid.simulator.execution import execute
from gatling_sid.simulator.world import World

_MOST_SHOWN = 3
_MOST_FINDINGS = 12


def policy_line(domain: Domain, policy: SystemPolicy) -> str:
    """What tells this member of the family from others; the sentences stand in the prefix."""
    _, _, code = policy.policy_id.partition("-")
    parts = [int(each) for each in code.split(".") if each.isdecimal()]
    family = domain.file.policy
    if len(parts) != len(domain.family.axis_sizes):
        return "Policy in force: " + " ".join(policy.rules)
    values = domain.family.axes(tuple(parts))
    axes = ", ".join(f"{name} {_plain(values[name])}" for name in family.vary)
    names = domain.family.in_force(tuple(parts))
    absent = [name for name in family.rules if name not in names]
    return f"Policy in force: {axes or 'as written'}. Not in force: {', '.join(absent) or 'none'}."


def asker(setting: Setting) -> str:
    """Who asks, and what the session knows of them."""
    return f"{setting.principal.role} {_plain(setting.principal.attributes)}"


def record_lines(records: Records) -> Iterator[str]:
    """Rows as one line each; what is empty is left out."""
    for entity, rows in records.items():
        for row in rows:
            yield f"{entity} {_plain({name: value for name, value in row.items() if value is not None})}"


def item_text(number: int, setting: Setting) -> str:
    """One item of a requests ask."""
    manner = "; ".join(f"{name}: {way}" for name, way in setting.manner)
    lines = [
        f"Item {number}",
        f"asked by: {asker(setting)}",
        f"intent: {setting.intent}; tools that should be enough: {', '.join(setting.tools)}",
        manner,
        *record_lines(setting.records),
    ]
    return "\n".join(each for each in lines if each)


def block_text(settings: Sequence[Setting]) -> str:
    """The user message of a requests ask."""
    first = settings[0]
    items = "\n\n".join(item_text(number, each) for number, each in enumerate(settings, start=1))
    return f"{_day(first)}\n{policy_line(first.domain, first.policy)}\n\n{items}"


def request_text(text: str, setting: Setting) -> str:
    """One request to be planned."""
    lines = [
        policy_line(setting.domain, setting.policy),
        f"Asked by: {asker(setting)}",
        f"Intent: {setting.intent}",
        "Some records:",
        *record_lines(setting.records),
        f"Request: {text}",
    ]
    return "\n".join(lines)


def requests_text(requests: Sequence[tuple[str, Setting]]) -> str:
    """The user message of a graph ask."""
    items = [f"Item {number}\n{request_text(*each)}" for number, each in enumerate(requests, start=1)]
    return "\n\n".join([_day(requests[0][1]), *items])


def _day(setting: Setting) -> str:
    return f"Today is {setting.world.today:%A} {setting.world.today.isoformat()}."


def repair_text(text: str, setting: Setting, answer: str, findings: Sequence[str], previous: GoldTrace | None) -> str:
    """The user message of a graph ask that comes again: the plan as it was, what it did, what was found."""
    lines = [requests_text([(text, setting)]), "", "An earlier plan for it was:", answer]
    if previous is not None:
        lines += ["What its calls did:", *did(previous, setting.world)]
    listed = [f"- {each}" for each in findings[:_MOST_FINDINGS]]
    return "\n".join([*lines, "It was rejected:", *listed, "Give the whole goal and plan again, mended."])


def did(trace: GoldTrace, world: World) -> Iterator[str]:
    """What each call of a plan returned, in short."""
    execution = execute(trace.graph.calls, world)
    for call_id, outcome in execution.outcomes.items():
        value = dict(outcome.value)
        for name, inside in value.items():
            if isinstance(inside, list) and len(inside) > _MOST_SHOWN:
                value[name] = [*inside[:_MOST_SHOWN], f"… {len(inside)} in all"]
        yield f"{call_id} -> {_plain(value)}"
    if execution.refusal is not None:
        yield str(execution.refusal)


def verdict_text(trace: GoldTrace, setting: Setting) -> str:
    """The user message of a judgement ask."""
    plan = plan_told(trace, setting.world)
    lines = [
        _day(setting),
        policy_line(setting.domain, setting.policy),
        f"Asked by: {asker(setting)}",
        f"Request: {trace.request.text}",
        "Goal and plan:",
        compact(plan),
        "What its calls did:",
        *did(trace, setting.world),
    ]
    return "\n".join(lines)


def compact(plan: Plan) -> str:
    """A plan as the answer that holds it."""
    return plan.model_dump_json()


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
