"""Is every condition in the plan: those that the request says, and those that go without saying, such as "mine"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

from gatling_sid.schemas.domain import Domain
from gatling_sid.validators.case import Case

Condition = tuple[str, str]
"""A tool and the parameter by which it picks records."""


def no_condition_is_left_out(case: Case) -> Iterator[str]:
    """A plan for a scenario of the catalogue picks records by all that the scenario picks them by.

    Also where fewer conditions happen to find the same rows: with other rows in the world, they would not.
    """
    scenario = case.trace.metadata.get("scenario")
    if not case.is_embedded or case.domain is None or not isinstance(scenario, str):
        return
    rules = frozenset(each.constraint_id for each in case.trace.policy.constraints)
    present = Counter((call.tool_id, name) for call in case.ordered for name in call.arguments)
    for (tool_id, name), times in _conditions(case.domain, scenario, rules).items():
        if present[tool_id, name] < times:
            yield f"{tool_id} is to be called {times} times with {name}, and is {present[tool_id, name]} times"


@lru_cache(maxsize=8192)
def _conditions(domain: Domain, scenario: str, rules: frozenset[str]) -> Counter[Condition]:
    """How often a scenario's plan under these rules gives each filter of each tool."""
    known = domain.file.scenarios.get(scenario)
    return Counter(
        (f"{domain.slug}.{step.tool}", name)
        for step in (known.plan if known else ())
        for name in step.arguments
        if step.stands(rules) and domain.file.tools[step.tool].parameters[name].does in ("filter", "limit")
    )
