"""What a policy allows a role at each tool, in a form that draws can refer to: `$limits.list_invoices.rows`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from gatling_sid.scenarios.drawing import NO_LIMIT
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.tool_ids import tool_id_of, tool_of_limits


class _Everything:
    """Contains every value; what is allowed where no rule says otherwise."""

    def __contains__(self, _value: object) -> bool:
        return True


EVERYTHING = _Everything()


class _StatesBefore(dict[str, list[str]]):
    """By new state, the states from which a rule lets a row be moved there; to other states, from none."""

    def __missing__(self, state: str) -> list[str]:
        return []


class _Anywhere(dict[str, _Everything]):
    """The steps of a rule that is not in force: to every state, from every state."""

    def __missing__(self, state: str) -> _Everything:
        return EVERYTHING


class _Steps(dict[str, _StatesBefore | _Anywhere]):
    """The steps that rules allow, by rule."""

    def __missing__(self, rule: str) -> _Anywhere:
        return _Anywhere()


class LimitsOfRole(dict[str, dict[str, Any]]):
    """The limits of a role at each tool, by plain name of the tool; those of a tool are read when first asked for.

    `rows` and `days` are the most that a call may take. By argument, `most` has the highest number, `allowed` the
    allowed values, and `dates` the first and last day from today and whether weekends are left out. `steps` has, by
    rule and new state, the states from which a row may be moved there; `recipients` the rule about addresses, or None.
    """

    def __init__(self, domain: Domain, role: str, member: tuple[int, ...]) -> None:
        """Reads nothing yet; `member` is a member of the domain's policy family."""
        super().__init__()
        self._domain, self._role = domain, role
        self._parsed = domain.family.parsed_constraints(domain.family.policy(member)) or []

    def __missing__(self, name: str) -> dict[str, Any]:
        """Reads the limits at one tool from the constraints that bind the role there."""
        key, name = name, tool_of_limits(name)
        tool = self._domain.file.tools[name]
        limits: dict[str, Any] = {
            "rows": next((p.maximum for p in tool.parameters.values() if p.does == "limit" and p.maximum), NO_LIMIT),
            "days": NO_LIMIT,
            "most": dict.fromkeys(tool.parameters, NO_LIMIT),
            "allowed": dict.fromkeys(tool.parameters, EVERYTHING),
            "dates": dict.fromkeys(tool.parameters, (-NO_LIMIT, NO_LIMIT, False)),
            "steps": _Steps(),
            "recipients": None,
        }
        for rule, kind, parameters in self._parsed:
            if not isinstance(parameters, str) and parameters.binds(self._role, tool_id_of(self._domain.slug, name)):
                _apply(rule, kind, parameters, limits, self._domain, name)
        self[key] = limits
        return limits


@lru_cache(maxsize=1024)
def limits_of(domain: Domain, role: str, member: tuple[int, ...]) -> LimitsOfRole:
    """What a member of the policy family allows a role."""
    return LimitsOfRole(domain, role, member)


def _apply(rule: str, kind: str, parameters: Any, limits: dict[str, Any], domain: Domain, tool: str) -> None:
    """Narrows the limits of one tool by one constraint."""
    match kind:
        case "row_limit":
            limits["rows"] = min(limits["rows"], parameters.max_rows)
        case "batch_limit":
            limits["rows"] = min(limits["rows"], parameters.max_records)
        case "time_range":
            limits["days"] = min(limits["days"], parameters.max_days)
        case "argument_max":
            limits["most"][parameters.argument] = min(limits["most"][parameters.argument], parameters.max_value)
        case "argument_values":
            limits["allowed"][parameters.argument] = parameters.allowed
        case "export_targets":
            targets = [n for n, p in domain.file.tools[tool].parameters.items() if p.does == "target"]
            limits["allowed"] |= dict.fromkeys(targets, parameters.allowed)
        case "recipients":
            limits["recipients"] = parameters
        case "argument_days":
            low, high = parameters.min_days, parameters.max_days
            bounds = (-NO_LIMIT if low is None else low, NO_LIMIT if high is None else high)
            limits["dates"][parameters.argument] = (*bounds, parameters.workdays_only)
        case "transitions":
            steps = _StatesBefore()
            for before, allowed in parameters.allowed.items():
                for after in allowed:
                    steps.setdefault(after, []).append(before)
            limits["steps"][rule] = steps
