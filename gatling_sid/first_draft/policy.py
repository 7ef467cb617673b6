"""The roles and rules of a draft: a few rules of each kind, most of which decide how tasks are done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gatling_sid.first_draft.declaration import STAFF
from gatling_sid.first_draft.nouns import DraftEntity
from gatling_sid.first_draft.tools import EXPORT_TARGETS, Tools

ROLES = {
    "agent": "Does the daily work.",
    "specialist": "Takes care of what is difficult.",
    "manager": "Answers for everything.",
    "auditor": "Looks at everything, and changes nothing.",
}
_CHANGES = ("update", "create", "delete", "send")

Rules = dict[str, dict[str, Any]]


def roles() -> dict[str, Any]:
    """The roles of a draft, by the function of a colleague."""
    attributes = ["staff_id", "name", "email"]
    return {
        role: {"description": text, "entity": STAFF, "where": {"function": role}, "attributes": attributes}
        for role, text in ROLES.items()
    }


def policy(entities: Sequence[DraftEntity], tools: Tools) -> dict[str, Any]:
    """The policy family of a draft."""
    main = [entity for entity in entities if not entity.is_staff]
    axes: dict[str, Any] = {
        "max_rows": [8, 5, 12, 20],
        "lookback": [60, 30, 90, 180],
        "allowed_targets": [
            [EXPORT_TARGETS[0]],
            [EXPORT_TARGETS[0], EXPORT_TARGETS[1]],
            list(EXPORT_TARGETS),
            [EXPORT_TARGETS[1], EXPORT_TARGETS[2]],
        ],
    }
    rules: Rules = {
        "row_cap": _rule("A single call returns, changes or exports at most {max_rows} rows.", "row_limit",
                         max_rows="$policy.max_rows"),
        "horizon": _rule("A search over a period reaches {lookback} days back or ahead at most.", "time_range",
                         max_days="$policy.lookback"),
        "export_places": _rule("Files are exported to {allowed_targets} only.", "export_targets",
                               tools=_named(tools, "export"), allowed="$policy.allowed_targets"),
        "auditors_change_nothing": _rule("Auditors change, create, delete and send nothing.", "may_not_call",
                                         roles=["auditor"], tools=_named(tools, *_CHANGES)),
        "deleting_is_for_managers": _rule("Agents and specialists delete nothing.", "may_not_call",
                                          roles=["agent", "specialist"], tools=_named(tools, "delete")),
        "legal_hold": {**_rule("Nobody deletes anything while the legal hold lasts.", "may_not_call",
                               tools=_named(tools, "delete")), "sometimes": True},
    }  # fmt: skip
    rules = {name: rule for name, rule in rules.items() if rule["with"].get("tools") != []}
    for entity in main:
        rules |= dict(_rules_of(entity, tools, axes))
    return {"description": "Who may see, change, export and delete what.", "vary": axes, "rules": rules}


def _rule(says: str, kind: str, **parameters: Any) -> dict[str, Any]:
    return {"says": says, "kind": kind, "with": parameters}


def _named(tools: Tools, *operations: str) -> list[str]:
    return [name for name, tool in tools.items() if tool["operation"] in operations]


def _rules_of(entity: DraftEntity, tools: Tools, axes: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the rules about the rows of one entity, and adds their axes."""
    update, create, message = f"update_{entity.many}", f"create_{entity.slug}", f"write_about_{entity.slug}"
    if not {update, f"list_{entity.many}", f"get_{entity.slug}"} <= tools.keys():
        return
    shown = tools[f"list_{entity.many}"]["returns"]
    seen_first = [name for name in tools[f"get_{entity.slug}"]["returns"] if name not in shown]
    if seen_first:
        words = entity.words(seen_first[-1])
        text = f"The {words} of {entity.plural} is read before anybody changes them."
        rule = _rule(text, "read_before_change", tools=[update], entity=entity.slug, fields=seen_first[-1:])
        yield f"{entity.slug}_first", {**rule, "sometimes": True}
    if message in tools:
        text = f"Whom {entity.plural} concern is notified after they were changed."
        rule = _rule(text, "notify_after", tools=[update], entity=entity.slug, notify=message,
                     recipient_field=entity.address)  # fmt: skip
        yield f"{entity.slug}_notice", {**rule, "sometimes": True}
    if entity.owner:
        text = f"Agents change no {entity.plural} but their own."
        yield f"own_{entity.many}", _rule(text, "own_records", roles=["agent"], tools=[update], entity=entity.slug,
                                          field=entity.owner, attribute="staff_id")  # fmt: skip
    for number in [name for name in entity.of_type("money") if entity.is_settable(name)][:1]:
        low, high = entity.range_of(number)
        axis = f"{entity.slug}_{number}_cap"
        axes[axis] = [_round(low + (high - low) * share) for share in (0.5, 0.3, 0.7, 0.9)]
        text = f"Agents set {entity.words(number)} of {entity.plural} to {{{axis}}} at most."
        given = [name for name in (update, create) if number in tools.get(name, {}).get("parameters", ())]
        yield axis, _rule(text, "argument_max", roles=["agent"], tools=given, argument=number,
                          max_value=f"$policy.{axis}")  # fmt: skip


def _round(value: float) -> float:
    return float(f"{value:.2g}") if value < 100 else int(float(f"{value:.2g}"))
