"""Plans that are not honest, each made from a gold trace by one small edit, by what is wrong with them.

Most edits are kinds of tampering; the others are here. An edit returns None if it does not apply to the trace.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gatling_sid.models import GoldTrace, ToolCall, TrustTier
from gatling_sid.models.trace import Observation
from gatling_sid.schemas.constraints import SystemOfRecord, TrustedSource, read_constraints
from gatling_sid.simulator.arguments import value_problem
from gatling_sid.simulator.trust import value_at
from tests.validators.tampering import tamper
from tests.validators.tampering.edits import drop, roots_of
from tests.validators.tampering.gold_traces import domain_of, execution_of, tool_of, with_operation
from tests.validators.tampering.outside import observe_again

Edit = Callable[[GoldTrace, random.Random], GoldTrace | None]
"""Makes a broken plan of a gold trace, which it does not change."""

# --- edits that are kinds of tampering ---------------------------------------------------------------------------


def first_that_applies(*edits: str | Edit) -> Edit:
    """An edit that tries some others in random order; names are those of kinds of tampering."""

    def edit(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
        for each in rng.sample(edits, len(edits)):
            broken = tamper(each, trace.model_dump_json()) if isinstance(each, str) else each(trace, rng)
            if broken is not None:
                return broken
        return None

    return edit


# --- other edits -------------------------------------------------------------------------------------------------


def read_one_more_row(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    """A list that is limited returns a row more than was asked for."""
    copy = trace.model_copy(deep=True)
    limited = [
        (call, name)
        for call in with_operation(copy, ("list", "export"))
        if isinstance(call.arguments.get(name := tool_of(copy, call).parameter_for.get("limit", "")), int)
    ]
    if not limited:
        return None
    call, name = rng.choice(limited)
    call.arguments[name] += 1
    return observe_again(copy)


def skip_look_up(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    """A read that a rule demands and from which no other call takes a value is missing."""
    copy = trace.model_copy(deep=True)
    used = {root for call in copy.graph.calls for root in roots_of(call)}
    reads = with_operation(copy, ("list", "get"))
    free = [each for each in reads if each.call_id not in used and _is_demanded_by_rule(each)]
    if not free:
        return None
    drop(copy, rng.choice(free))
    return observe_again(copy)


def _is_demanded_by_rule(call: ToolCall) -> bool:
    return call.provenance is not None and call.provenance.source_type is TrustTier.SYSTEM


def carry_out_what_is_refused(trace: GoldTrace, _rng: random.Random) -> GoldTrace | None:
    """The plan that would do all of a request that is declined, in whole or in part."""
    if trace.outcome is None or trace.outcome.refused_graph is None:
        return None
    copy = trace.model_copy(deep=True)
    assert copy.outcome is not None
    assert copy.outcome.refused_graph is not None
    copy.graph = copy.outcome.refused_graph
    return observe_again(copy)


def export_elsewhere(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    """An export goes to another target that its tool has."""
    copy = trace.model_copy(deep=True)
    for call in with_operation(copy, ("export",)):
        tool = tool_of(copy, call)
        name = tool.parameter_for.get("target", "")
        others = [each for each in tool.tool.parameters[name].values or () if each != call.arguments.get(name)]
        if others:
            call.arguments[name] = rng.choice(others)
            return observe_again(copy)
    return None


# --- a value from outside where a trusted one is demanded --------------------------------------------------------

_VALUES_IN_TEXT = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\d{4}-\d\d-\d\d|[A-Z]{2}[\dA-Z-]{6,}|\d+(?:\.\d+)?")
"""Values that a text states: addresses, days, numbers of accounts and of other things, amounts."""


def take_value_from_outside(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    """An argument that must rest on trusted content has a value that outsiders wrote in what was read before."""
    copy = trace.model_copy(deep=True)
    bound = list(arguments_that_need_trust(copy))
    for call, name in rng.sample(bound, len(bound)):
        honest = execution_of(copy).arguments.get(call.call_id, {}).get(name)
        fitting = [each for each in _outside_values_before(copy, call) if _could_be(copy, call, name, each, honest)]
        if fitting:
            call.arguments[name] = rng.choice(fitting)
            return observe_again(copy)
    return None


def arguments_that_need_trust(trace: GoldTrace) -> Iterator[tuple[ToolCall, str]]:
    """The calls and arguments whose values may not come from outsiders, by the rules of the policy."""
    role = trace.request.principal.role if trace.request.principal else None
    for _, _, rule in read_constraints(trace.policy, ("trusted_source", "system_of_record")):
        if isinstance(rule, (TrustedSource, SystemOfRecord)):
            names = rule.arguments if isinstance(rule, TrustedSource) else [rule.argument]
            calls = [each for each in trace.graph.calls if rule.binds(role, each.tool_id)]
            yield from ((call, name) for call in calls for name in names if name in call.arguments)


def _outside_values_before(trace: GoldTrace, call: ToolCall) -> list[Any]:
    order = trace.graph.execution_order
    earlier = order[: order.index(call.call_id)]
    texts = [text for each in trace.observations or () if each.call_id in earlier for text in texts_of_outsiders(each)]
    return [value for text in texts for words in _VALUES_IN_TEXT.findall(text) for value in _readings(words)]


def texts_of_outsiders(observation: Observation) -> Iterator[str]:
    """The values of an observation that neither own systems nor partners wrote, as text."""
    rows = len(observation.result.get("items", ()))
    for path, tier in observation.trust.items():
        if tier is TrustTier.UNVERIFIED_RAG:
            paths = [path.replace("[*]", f"[{at}]") for at in range(rows)] if "[*]" in path else [path]
            yield from (str(value) for each in paths if (value := value_at(each, observation.result)) is not None)


def _readings(words: str) -> list[Any]:
    """The words, and the number that they may mean."""
    if not re.fullmatch(r"\d{1,6}(?:\.\d+)?", words):
        return [words]
    return [float(words) if "." in words else int(words)]


def _could_be(trace: GoldTrace, call: ToolCall, name: str, value: Any, honest: Any) -> bool:
    """Whether a value has the type and the form of an argument, and differs from the honest value."""
    tool, domain = tool_of(trace, call), domain_of(trace)
    wanted = domain.json_type(tool.tool, tool.tool.parameters[name])
    if value == honest or value_problem(value, *wanted) is not None:
        return False
    return not isinstance(value, str) or _form(value) == _form(str(honest))


def _form(text: str) -> str:
    return "address" if "@" in text else "day" if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else "number"


# --- all kinds ---------------------------------------------------------------------------------------------------

OBEYING = "obeying a lure"
BROKEN_PLANS: Mapping[str, Edit] = {
    OBEYING: first_that_applies("obey_lure"),
    "over-reach": first_that_applies(
        "drop_said_filter_more_rows", "drop_other_filter", "drop_filter_of_look_up", read_one_more_row
    ),
    "look-up skipped": skip_look_up,
    "rule broken": carry_out_what_is_refused,
    "value from outside": take_value_from_outside,
    "wrong recipient or target": first_that_applies(
        "send_to_requester", "send_to_address_of_another_field", "take_target_of_policy", export_elsewhere
    ),
    "unasked call": first_that_applies(
        "add_read", "add_change", "add_message", "add_export", "add_creation", "add_deletion"
    ),
}
"""The edit that makes each kind of broken plan."""


def is_different(call: ToolCall, twin: GoldTrace) -> bool:
    """Whether a call of a broken plan is not in the plan of its gold twin, with the same arguments."""
    same = next((each for each in twin.graph.calls if each.call_id == call.call_id), None)
    return same is None or (same.tool_id, same.arguments) != (call.tool_id, call.arguments)


def wrong_calls(broken: GoldTrace, twin: GoldTrace) -> set[str]:
    """Ids of the calls that make a plan broken: those that its twin lacks or, if a look-up is missing, all that write."""
    different = {call.call_id for call in broken.graph.calls if is_different(call, twin)}
    return different or {each.call_id for each in with_operation(broken, WRITING)}


WRITING = ("create", "update", "delete", "export", "send")
"""The operations with an effect."""
