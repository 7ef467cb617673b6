"""Executing the calls of a plan in a world, and comparing their results with a goal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from gatling_sid.models import Effect, Goal, Measurement, ToolCall
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.references import ALL_ELEMENTS, MissingPathError, follow, reference_in, references_in
from gatling_sid.simulator.arguments import argument_problems
from gatling_sid.simulator.compiled_tools import CompiledTool, compile_tools
from gatling_sid.simulator.operations import CallRefusedError, CallResult, Change, RefusalReason, State, operate
from gatling_sid.simulator.world import World


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a tool did not run a call; `detail` names the values that caused it."""

    call_id: str
    reason: RefusalReason
    detail: str

    def __str__(self) -> str:
        return f"{self.call_id} was refused ({self.reason}): {self.detail}"


@dataclass(frozen=True, slots=True)
class Execution:
    """What a plan does: results and resolved arguments by call id, and the refusal that ended it, or None.

    After a refusal no further call runs. Calls whose results were already known have no entry in `arguments`.
    """

    results: dict[str, CallResult]
    arguments: dict[str, dict[str, Any]]
    refusal: Refusal | None


_MAX_MEMOISED_RESULTS = 4_000
"""Call results that a world keeps before all are deleted: enough for the plans of a shard and their ablations."""


@lru_cache(maxsize=64)
def tools_of(domain: Domain) -> dict[str, CompiledTool]:
    """The compiled tools of a domain, by full id; cached per domain."""
    return compile_tools(domain)


def execute(
    calls: Iterable[ToolCall],
    world: World,
    *,
    known_results: Mapping[str, CallResult] | None = None,
    replaced_arguments: Mapping[str, dict[str, Any]] | None = None,
) -> Execution:
    """Executes calls in the given order, each in the state after the calls before it.

    Calls in `known_results` are not executed again; this is correct only for calls that neither read nor write what
    has changed. `replaced_arguments` holds, by call id, arguments to use instead of a call's own.
    """
    tools, state = tools_of(world.domain), State(world)
    results: dict[str, CallResult] = {}
    resolved: dict[str, dict[str, Any]] = {}
    for call in calls:
        call_id = call.call_id
        if known_results is not None and call_id in known_results:
            results[call_id] = known_results[call_id]
            continue
        arguments = call.arguments if replaced_arguments is None else replaced_arguments.get(call_id, call.arguments)
        try:
            values = resolve(arguments, results)
            results[call_id] = run_call(tools, call.tool_id, values, state)
            resolved[call_id] = values
        except CallRefusedError as refused:
            return Execution(results, resolved, Refusal(call_id, refused.reason, refused.detail))
    return Execution(results, resolved, None)


def resolve(arguments: Mapping[str, Any], results: Mapping[str, CallResult]) -> dict[str, Any]:
    """Arguments with every reference replaced by what it refers to; raises CallRefusedError if that is missing."""
    return {name: _resolve_value(name, value, results) for name, value in arguments.items()}


def _resolve_value(name: str, value: Any, results: Mapping[str, CallResult]) -> Any:
    """A value or what it refers to; in a list, a reference with `[*]` is replaced by all values that it refers to."""
    if isinstance(value, list) and references_in(value):
        elements: list[Any] = []
        for each in value:
            reference, resolved = reference_in(each), _resolve_value(name, each, results)
            elements += resolved if reference is not None and ALL_ELEMENTS in reference.path else [resolved]
        return elements
    reference = reference_in(value)
    if reference is None:
        return value
    if reference.root not in results:
        raise CallRefusedError(
            RefusalReason.MISSING_REFERENCE, f"{name} refers to {reference.root}, which has no result yet"
        )
    try:
        return follow(reference.path, results[reference.root].value)
    except MissingPathError as error:
        raise CallRefusedError(RefusalReason.MISSING_REFERENCE, f"{name} refers to {value}, but {error}") from None


def run_call(tools: Mapping[str, CompiledTool], tool_id: str, arguments: dict[str, Any], state: State) -> CallResult:
    """Runs one call, which may change the state; raises CallRefusedError if the tool refuses it."""
    tool = tools.get(tool_id)
    if tool is None:
        raise CallRefusedError(RefusalReason.UNKNOWN_TOOL, f"there is no tool {tool_id!r}")
    # A call is a pure function of the world, the changes before it and its arguments, so its world memoises them.
    memoised: dict[tuple[str, str, str], tuple[CallResult, tuple[Change, ...]]] = state.world.memoised_results
    key = (state.write_history, tool_id, repr(arguments))
    known = memoised.get(key)
    if known is None:
        for problem in argument_problems(tool, arguments):
            raise CallRefusedError(RefusalReason.INVALID_ARGUMENT, problem)
        before = len(state.changes)
        result = operate(tool, arguments, state)
        if len(memoised) >= _MAX_MEMOISED_RESULTS:
            memoised.clear()
        known = memoised[key] = (result, tuple(state.changes[before:]))
    else:
        for change in known[1]:
            state.write(*change)
    if known[1]:
        state.write_history = f"{state.write_history}\n{tool_id} {key[2]}"
    return known[0]


# --- goals -----------------------------------------------------------------------------------------------------


def digest_of(keys: Iterable[str]) -> str:
    """A short digest of a set of row keys."""
    return blake2b("\n".join(sorted(keys)).encode(), digest_size=8).hexdigest()


def unmet_goal_parts(goal: Goal, results: Sequence[CallResult], days: int | None) -> Iterator[str]:
    """Yields a message for each part of a goal that a plan's results lack, and for each effect that the goal lacks.

    `days` is the shortest period that a call of the plan looks back, or None. Yields nothing if the goal is met.
    """
    yield from _unmet_showings(goal, results)
    yield from _unmet_measures(goal.measures, results)
    yield from _unmet_effects(goal.effects, [effect for result in results for effect in result.effects])
    if (goal.time_range_days or 0) > (days or 0):
        yield f"the plan looks back {days or 0} days; the request asks for {goal.time_range_days}"


def _unmet_showings(goal: Goal, results: Sequence[CallResult]) -> Iterator[str]:
    if not goal.shows:
        return
    seen: dict[tuple[str, str], set[str]] = {}
    for result in results:
        if result.measured_rows is None and result.value.keys() != {"export_id", "target", "count"}:
            for key, _ in result.rows:
                seen.setdefault((result.entity, key), set()).update(result.fields)
    for showing in goal.shows:
        for key in showing.rows:
            missing = set(showing.fields) - seen.get((showing.entity, key), set())
            if missing:
                yield f"no call shows {', '.join(sorted(missing))} of {showing.entity} {key}"


def _unmet_measures(measures: Iterable[Measurement], results: Sequence[CallResult]) -> Iterator[str]:
    computed_measures = [
        (result.entity, result.measured_rows) for result in results if result.measured_rows is not None
    ]
    for measurement in measures:
        values = tuple((each.group, each.value) for each in measurement.values)
        if not any(
            entity == measurement.entity
            and computed.measure == measurement.measure
            and computed.field == measurement.field
            and computed.group_by == measurement.group_by
            and len(computed.rows) == measurement.rows
            and computed.values == values
            and digest_of(computed.rows) == measurement.rows_digest
            for entity, computed in computed_measures
        ):
            by = f" by {measurement.group_by}" if measurement.group_by else ""
            of = measurement.field or measurement.entity
            yield f"no call computes the {measurement.measure} of {of}{by} over the {measurement.rows} rows of the goal"


EffectPart = tuple[str, str, str | tuple[str, ...], str, str | None]
"""(kind, entity, key or keys, changes as text, target); two effects are equal if their parts are equal."""


def _unmet_effects(expected_effects: Iterable[Effect], actual_effects: Iterable[Effect]) -> Iterator[str]:
    expected = sorted(part for effect in expected_effects for part in split_effect(effect))
    actual = sorted(part for effect in actual_effects for part in split_effect(effect))
    if expected == actual:
        return
    for part in (Counter(expected) - Counter(actual)).elements():
        yield f"the plan lacks an effect of the goal: {_describe_effect_part(part)}"
    for part in (Counter(actual) - Counter(expected)).elements():
        yield f"the plan has an effect that the goal lacks: {_describe_effect_part(part)}"


def split_effect(effect: Effect) -> Iterator[EffectPart]:
    """The parts of an effect that are compared: a change of several rows equals several changes of one row each."""
    changes = repr(sorted((name, _normalise_number(value)) for name, value in effect.changes.items()))
    if effect.kind in ("update", "delete"):
        for key in effect.rows:
            yield effect.kind, effect.entity, key, changes, ""
    else:
        yield effect.kind, effect.entity, tuple(effect.rows), changes, effect.target or ""


def _normalise_number(value: Any) -> Any:
    """A whole float as an integer, since 12.0 and 12 are the same amount; any other value as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _describe_effect_part(part: EffectPart) -> str:
    kind, entity, rows, changes, target = part
    which = rows if isinstance(rows, str) else ", ".join(rows)
    return " ".join(each for each in (kind, entity, which, changes, f"to {target}" if target else "") if each)
