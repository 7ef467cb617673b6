"""What a guard can know of a call before it is made: request, principal, policy, tool, values, and what was read so far.

Nothing is taken from what a plan says about itself (provenance, argument sources, scopes), so that a plan that obeys a
lure cannot be found by its labels. Arguments are taken without references, since an agent passes values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks.broken_plans import WRITING
from gatling_sid.models import GoldTrace, Observation, ToolCall, TrustTier
from gatling_sid.models.tiers import SensitivityTier
from gatling_sid.schemas import constraints as c
from gatling_sid.schemas.conditions import DAY_MATCHES
from gatling_sid.simulator.compiled_tools import CompiledTool
from tests.validators.tampering.gold_traces import execution_of, tool_of

Features = dict[str, float]


@dataclass
class ReadSoFar:
    """What the calls before this one returned: the values by who wrote them, and rows by entity."""

    by_systems: set[str] = field(default_factory=set)
    by_outsiders: set[str] = field(default_factory=set)
    outside_text: str = ""
    rows: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def add(self, tool: CompiledTool, arguments: Mapping[str, Any], observation: Observation) -> None:
        """Adds what a call returned; a row that was read by its key has the key too."""
        key = arguments.get(tool.parameter_for.get("key", ""))
        for at, row in enumerate(_rows_of(observation)):
            self.rows.append((tool.entity, {tool.key_field: key, **row}))
            for name, value in row.items():
                if _tier(observation, at, name) is TrustTier.UNVERIFIED_RAG:
                    self.by_outsiders.add(plain(value))
                    self.outside_text += f" {plain(value)}"
                else:
                    self.by_systems.add(plain(value))


class CallToJudge(NamedTuple):
    """A call, its tool and its arguments, the trace that it is part of, and what was read before it."""

    trace: GoldTrace
    call: ToolCall
    tool: CompiledTool
    arguments: Mapping[str, Any]
    earlier: tuple[CompiledTool, ...]
    read: ReadSoFar

    @property
    def role(self) -> str | None:
        """The role of who asks."""
        return self.trace.request.principal.role if self.trace.request.principal else None

    @property
    def targets(self) -> list[Any]:
        """The keys of the rows that the call is about."""
        names = (self.tool.parameter_for.get(each, "") for each in ("key", "keys", "about"))
        return [each for name in names for each in elements(self.arguments.get(name))]


def features_of_calls(trace: GoldTrace) -> dict[str, Features]:
    """The features of each call by its id; calls after one that is refused are never made, and have none."""
    return {each.call.call_id: features_of_call(each) for each in calls_to_judge(trace)}


def calls_to_judge(trace: GoldTrace) -> Iterator[CallToJudge]:
    """Yields each call with what was read before it; only valid until the next one is taken."""
    by_id = {call.call_id: call for call in trace.graph.calls}
    observations = {each.call_id: each for each in trace.observations or ()}
    execution, read, earlier = execution_of(trace), ReadSoFar(), list[CompiledTool]()
    for call in (by_id[each] for each in trace.graph.execution_order):
        tool, arguments = tool_of(trace, call), execution.arguments.get(call.call_id, call.arguments)
        yield CallToJudge(trace, call, tool, arguments, tuple(earlier), read)
        if call.call_id not in execution.results:
            return
        earlier.append(tool)
        if call.call_id in observations:
            read.add(tool, arguments, observations[call.call_id])


def features_of_call(call: CallToJudge) -> Features:
    """All features of a call."""
    found: Features = {}
    for family in (_place, _arguments, _wordings, _rules, _words):
        for name in family(call):
            found[name] = found.get(name, 0.0) + 1.0
    arguments = list(call.arguments.values())
    found["share not in request"] = share_not_in_request(call.trace, arguments)
    return found


# --- values ------------------------------------------------------------------------------------------------------


def plain(value: Any) -> str:
    """A value as the text in which it is compared."""
    return str(value).casefold()


def elements(value: Any) -> list[Any]:
    """The elements of a list, or the value alone; none of None."""
    return value if isinstance(value, list) else [] if value is None else [value]


def share_not_in_request(trace: GoldTrace, values: list[Any]) -> float:
    """The share of values, lists by their elements, that do not stand in the request as they are."""
    all_elements = [each for value in values for each in elements(value)]
    text = plain(trace.request.text)
    return sum(not _stands_in(each, text) for each in all_elements) / max(1, len(all_elements))


def _stands_in(value: Any, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(plain(value))}(?!\w)", text) is not None


def _rows_of(observation: Observation) -> list[Mapping[str, Any]]:
    rows = observation.result.get("items")
    return rows if isinstance(rows, list) else [observation.result]


def _tier(observation: Observation, at: int, name: str) -> TrustTier | None:
    paths = (name, f"items[*].{name}", f"items[{at}].{name}")
    return next((observation.trust[each] for each in paths if each in observation.trust), None)


def _where_it_stands(call: CallToJudge, name: str, value: Any) -> str:
    """Letters for where a value stands: request, wording in it, principal, own systems, outsiders, text of outsiders."""
    trace, text, read = call.trace, plain(call.trace.request.text), call.read
    wordings = call.tool.domain.wordings_to_render(call.tool.tool, name)
    said = wordings.get(value, ()) if isinstance(value, (str, int, float)) else ()
    attributes = trace.request.principal.attributes if trace.request.principal else {}
    places = {
        "r": _stands_in(value, text),
        "w": any(_stands_in(each, text) for each in said),
        "p": value in attributes.values(),
        "s": plain(value) in read.by_systems,
        "o": plain(value) in read.by_outsiders,
        "t": _stands_in(value, read.outside_text),
    }
    return "".join(letter for letter, stands in places.items() if stands)


def _arguments(call: CallToJudge) -> Iterator[str]:
    operation, purposes = call.tool.tool.operation, call.tool.tool.parameters
    for name, value in call.arguments.items():
        if name not in purposes:
            continue
        letters = [_where_it_stands(call, name, each) for each in elements(value)[:5]] or [""]
        common = "".join(letter for letter in letters[0] if all(letter in each for each in letters))
        does = purposes[name].does
        yield f"argument {does} stands in {common}"
        yield f"{operation} argument {does} stands in {common}"
        yield f"{call.tool.tool_id} {name} stands in {common}"
        if not set(common) & set("rwps"):
            yield f"nobody to be trusted states it, outsiders: {bool(common)}"
            yield f"{operation} nobody to be trusted states it, outsiders: {bool(common)}"


# --- place and words ---------------------------------------------------------------------------------------------


def _place(call: CallToJudge) -> Iterator[str]:
    operation = call.tool.tool.operation
    before = call.earlier[-1] if call.earlier else None
    last = before.tool.operation if before else "nothing"
    yield from (f"operation {operation}", f"tool {call.tool.tool_id}", f"number {min(len(call.earlier), 6)}")
    yield f"{operation} after {last}"
    yield f"same entity as before: {before is not None and before.entity == call.tool.entity}"
    yield f"entity new in {operation}: {all(each.entity != call.tool.entity for each in call.earlier)}"
    yield f"same tool before: {call.tool in call.earlier}"
    yield f"{operation} after text of outsiders: {bool(call.read.outside_text)}"
    known = {plain(row.get(call.tool.key_field)) for entity, row in call.read.rows if entity == call.tool.entity}
    if call.targets:
        yield f"{operation} of a row that was read: {all(plain(each) in known for each in call.targets)}"


def _words(call: CallToJudge) -> Iterator[str]:
    """The tool beside each word of the request, and which words of its name request and outsiders use."""
    words = set(re.findall(r"[a-z]{3,}", plain(call.trace.request.text)))
    yield from (f"{call.tool.tool_id} beside {each}" for each in sorted(words))
    verb, *nouns = call.tool.tool_id.partition(".")[2].split("_")
    yield f"verb in request: {_has_stem(verb, words)}"
    yield f"noun in request: {any(_has_stem(each, words) for each in nouns)}"
    outside = set(re.findall(r"[a-z]{3,}", call.read.outside_text))
    yield f"verb by outsiders: {_has_stem(verb, outside)}, in request: {_has_stem(verb, words)}"


def _has_stem(word: str, words: set[str]) -> bool:
    return any(each[:4] == word[:4] for each in words)


def _wordings(call: CallToJudge) -> Iterator[str]:
    """Filters that the call has, and those whose wordings stand in the request although it lacks them."""
    text, operation = plain(call.trace.request.text), call.tool.tool.operation
    filters = [name for name, _, _ in call.tool.filters]
    given = sum(each in call.arguments for each in filters)
    if operation not in ("list", "export", "aggregate"):
        return
    yield f"{operation} filters {min(given, 4)}"
    for name in (each for each in filters if each not in call.arguments):
        wordings = call.tool.domain.wordings_to_render(call.tool.tool, name)
        if any(_stands_in(words, text) for said in wordings.values() for words in said):
            yield "filter is stated and not given"
            yield f"{call.tool.tool_id} {name} is stated and not given"


# --- rules -------------------------------------------------------------------------------------------------------


def _rules(call: CallToJudge) -> Iterator[str]:
    for _, kind, rule in c.read_constraints(call.trace.policy):
        if not isinstance(rule, str) and rule.binds(call.role, call.tool.tool_id):
            yield f"bound by {kind}"
            if isinstance(rule, c.Precondition):
                yield f"{kind} {call.tool.tool.operation}: {_evidence(call, rule)}"
            elif kind in _SEEMS_BROKEN:
                seems_broken = _SEEMS_BROKEN[kind](call, rule)
                yield f"{kind} broken: {seems_broken}"
                if seems_broken:
                    yield "some rule broken"


def _evidence(call: CallToJudge, rule: c.Precondition) -> str:
    """Whether the look-up that a precondition demands was done, of the rows that are changed, and allows the call."""
    known = [row for entity, row in call.read.rows if entity == rule.entity and {*rule.evidence} <= row.keys()]
    if rule.entity == call.tool.entity and call.targets:
        keys = {plain(row.get(call.tool.key_field)) for row in known}
        if not all(plain(each) in keys for each in call.targets):
            return "not shown"
        known = [row for row in known if row.get(call.tool.key_field) in call.targets]
    if not known:
        return "not shown"
    return "shown" if all(_allows(call, rule, row) for row in known) else "shown and against it"


def _allows(call: CallToJudge, rule: c.Precondition, row: Mapping[str, Any]) -> bool:
    value = row[rule.evidence[0]]
    principal = call.trace.request.principal
    match rule:
        case c.StateBeforeChange():
            return value in rule.allowed
        case c.AmountLimit():
            return value is None or value <= rule.max_value
        case c.Consent():
            return bool(value)
        case c.ApprovedBy():
            return value is not None and principal is not None and value != principal.attributes.get(rule.attribute)
        case c.AtMostField():
            wanted = call.arguments.get(rule.argument)
            return value is None or wanted is None or wanted <= rule.share * value
        case _:
            return True


def _arguments_are(call: CallToJudge, name: str, test: Callable[[Any], bool]) -> bool:
    return all(test(each) for each in elements(call.arguments.get(name)))


def _own_number(call: CallToJudge, attribute: str) -> float:
    """A number of the principal; 0 if they have none, so that nothing is within it."""
    principal = call.trace.request.principal
    return float(principal.attributes.get(attribute) or 0) if principal is not None else 0.0


def _is_above_tier(call: CallToJudge, highest: SensitivityTier) -> bool:
    return call.tool.sensitivity(call.tool.fields(dict(call.arguments))).rank > highest.rank


def _looks_back_more(call: CallToJudge, days: int) -> bool:
    names = [name for name, _, match in call.tool.filters if match in DAY_MATCHES]
    return not all(_arguments_are(call, name, lambda value: value <= days) for name in names)


def _is_not_own(call: CallToJudge, rule: c.OwnRecords) -> bool:
    """Whether a read is not narrowed to the principal's rows by the field that says so."""
    principal = call.trace.request.principal
    own = principal.attributes.get(rule.attribute) if principal else None
    names = [name for name, of, _ in call.tool.filters if of == rule.field]
    return rule.entity == call.tool.entity and bool(names) and own not in [call.arguments.get(each) for each in names]


def _is_at_wrong_hour(call: CallToJudge, rule: c.Hours) -> bool:
    times = (each.provenance.timestamp for each in call.trace.graph.calls if each.provenance)
    time = next((each for each in times if each is not None), None)
    return time is not None and not rule.allows(time.hour)


_SEEMS_BROKEN: Mapping[str, Callable[[CallToJudge, Any], bool]] = {
    "may_not_call": lambda _call, _rule: True,
    "argument_max": lambda call, rule: not _arguments_are(call, rule.argument, lambda v: v <= rule.max_value),
    "at_most_own": lambda call, rule: (
        not _arguments_are(call, rule.argument, lambda v: v <= _own_number(call, rule.attribute))
    ),
    "argument_values": lambda call, rule: not _arguments_are(call, rule.argument, lambda v: v in rule.allowed),
    "argument_required": lambda call, rule: not call.arguments.get(rule.argument),
    "export_targets": lambda call, rule: (
        not _arguments_are(call, call.tool.parameter_for.get("target", ""), lambda v: v in rule.allowed)
    ),
    "recipients": lambda call, rule: (
        not _arguments_are(call, call.tool.parameter_for.get("recipient", ""), rule.allows)
    ),
    "row_limit": lambda call, rule: (
        not _arguments_are(call, call.tool.parameter_for.get("limit", ""), lambda v: v <= rule.max_rows)
    ),
    "sensitivity_ceiling": lambda call, rule: _is_above_tier(call, rule.max_tier),
    "export_sensitivity": lambda call, rule: (
        call.arguments.get(call.tool.parameter_for.get("target", "")) in rule.targets
        and _is_above_tier(call, rule.max_tier)
    ),
    "field_limit": lambda call, rule: len(call.tool.fields(dict(call.arguments))) > rule.max_fields,
    "narrowed_by": lambda call, rule: not any(each in call.arguments for each in rule.arguments),
    "time_range": lambda call, rule: _looks_back_more(call, rule.max_days),
    "own_records": _is_not_own,
    "hours": _is_at_wrong_hour,
    "batch_limit": lambda call, rule: call.tool.tool.operation in WRITING and len(call.targets) > rule.max_records,
}
"""By kind of constraint, whether a call seems to break it; coarser than the validator, which replays the plan."""
