"""What an author does about a trace that is not gold, by the rule that it breaks."""

from __future__ import annotations

from collections.abc import Mapping

REMEDIES: Mapping[str, str] = {
    "plan_executes": "a tool refuses the call: see its `requires`, `keeps_at_least`, `addressee` and required parameters",
    "goal_is_met": "the plan does not do what is asked: compare `with`, `columns` and `where` with what the tool does",
    "order_does_not_matter": "two calls disturb each other: let the parts concern other rows, by `where` or `by`",
    "constraints_hold": "a rule forbids it: take the role or value out of the part, or say in `where` which rows are allowed",
    "changes_follow_look_ups": "a tool `get`, or a list with `keys`, must show the fields that the rule wants to be read",
    "scope_is_within_request": "the plan takes more than was asked: see the limits and periods that the part may state",
    "no_call_can_be_dropped": "a call is not needed: the search `returns` already what it shows",
    "rows_are_needed": "the search finds rows that nobody asked for: give more fields `said`, or `must_say` one of them",
    "fields_are_needed": "a call shows sensitive fields that nobody asked for: take them out of `returns`",
    "no_dependency_can_be_dropped": "an order is not needed: no rule and no value demands it",
    "no_scope_can_be_narrowed": "a limit or period is wider than its rows: state it, or leave the parameter out",
    "known_values_are_not_looked_up": "the request states already what is looked up: use the stated value",
    "no_call_returns_only_known_values": "the request states already all that the call shows: ask for other `columns`",
    "no_two_calls_could_be_one": "two calls read the same rows: make it one part with both columns",
    "every_stated_value_is_used": "a phrase states a value that no argument takes: see the slots of `says` and `said`",
    "words_give_the_values": "the words cannot be read back as the value: give it other `words`, or another phrase",
    "every_argument_has_one_source": "an argument could come from two places: leave one of them out",
    "sources_give_the_values": "an argument does not follow from its source: use `$found.<field>` or a stated value",
    "arguments_fit_schemas": "the tool does not take this value: see `minimum`, `maximum` and `values` of the parameter",
}
"""By name of the rule; most files meet only these."""
REMEDIES_OF_CHECKS: Mapping[str, str] = {
    "length": "the request is too long: shorten free texts and names",
    "size": "the plan is too large: let the part concern fewer rows",
    "structure": "the plan is not well formed: see `after` of its steps",
    "domain": "the plan does not belong to the domain: see `intent` and the tools of the part",
    "arguments": "the tool does not take this value: see its parameter",
    "replay": "the plan does not do what is asked: compare the part with its tool",
    "observations": "tiers or lures differ from the replay: see `trust`, `stated_in` and `lures` of the fields",
    "outcome": "what a rule is said to forbid is not just that: see which other rules or tools concern the part",
    "policy": "the policy forbids it: see the rule, and the roles and `where` of the part",
    "policy_wording": "the policy forbids it at this time: see the hours of the rule",
    "informed_change": "something must be read first: give the entity a tool that shows it",
    "minimal_scope": "the plan does more than was asked: see what the tools return",
    "words": "the words do not fit the request: see the phrases of the part",
    "grounding": "a value does not come from where the plan says: see `with`",
    "provenance": "a value is not stated in the words: see the phrases of the part and `words` of the field",
}
"""By name of the check, for all other rules."""


def remedy_for(check: str, rule: str) -> str:
    """What to do about traces that break a rule of a check."""
    return REMEDIES.get(rule) or REMEDIES_OF_CHECKS[check]
