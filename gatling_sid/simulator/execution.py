"""Running a graph of calls against a world, and comparing what happened with a goal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from gatling_sid.models import Effect, Goal, Measurement, ToolCall
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.references import ALL, MissingPathError, follow, reference_in, references_in
from gatling_sid.simulator.arguments import argument_problems
from gatling_sid.simulator.operations import (
    CallRefusedError,
    CallResult,
    Change,
    CompiledTool,
    State,
    compile_tools,
    operate,
)
from gatling_sid.simulator.world import World


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call did not run: `reason` is one of `operations.REFUSALS`."""

    call_id: str
    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.call_id} was refused ({self.reason}): {self.detail}"


@dataclass(frozen=True, slots=True)
class Execution:
    """What a graph did: outcomes and resolved arguments of the calls that ran, and the refusal, if any, that ended it."""

    results: dict[str, CallResult]
    arguments: dict[str, dict[str, Any]]
    refusal: Refusal | None


_REMEMBERED = 4_000


@lru_cache(maxsize=64)
def tools_of(domain: Domain) -> dict[str, CompiledTool]:
    """The compiled tools of a domain."""
    return compile_tools(domain)


def execute(
    calls: Iterable[ToolCall],
    world: World,
    *,
    known_results: Mapping[str, CallResult] | None = None,
    replaced_arguments: Mapping[str, dict[str, Any]] | None = None,
) -> Execution:
    """Runs calls in the order given, each against the effects of those before it.

    `known` outcomes are taken as they are instead of running the call again (sound only for calls that neither read
    nor write what has changed); `instead` replaces the arguments of some calls.
    """
    tools, state = tools_of(world.domain), State(world)
    outcomes: dict[str, CallResult] = {}
    resolved: dict[str, dict[str, Any]] = {}
    for call in calls:
        call_id = call.call_id
        if known_results is not None and call_id in known_results:
            outcomes[call_id] = known_results[call_id]
            continue
        arguments = call.arguments if replaced_arguments is None else replaced_arguments.get(call_id, call.arguments)
        try:
            values = resolve(arguments, outcomes)
            outcomes[call_id] = run_call(tools, call.tool_id, values, state)
            resolved[call_id] = values
        except CallRefusedError as refused:
            return Execution(outcomes, resolved, Refusal(call_id, refused.reason, refused.detail))
    return Execution(outcomes, resolved, None)


def resolve(arguments: Mapping[str, Any], results: Mapping[str, CallResult]) -> dict[str, Any]:
    """Arguments with every reference replaced by what it refers to; raises Refused where that is missing."""
    return {name: _resolve_value(name, value, results) for name, value in arguments.items()}


def _resolve_value(name: str, value: Any, outcomes: Mapping[str, CallResult]) -> Any:
    """A value, or what it refers to; in a list, `[*]` puts all that it leads to in its place."""
    if isinstance(value, list) and references_in(value):
        whole: list[Any] = []
        for each in value:
            reference, found = reference_in(each), _resolve_value(name, each, outcomes)
            whole += found if reference is not None and ALL in reference.path else [found]
        return whole
    reference = reference_in(value)
    if reference is None:
        return value
    if reference.root not in outcomes:
        raise CallRefusedError("missing_reference", f"{name} refers to {reference.root}, which has no result yet")
    try:
        return follow(reference.path, outcomes[reference.root].value)
    except MissingPathError as error:
        raise CallRefusedError("missing_reference", f"{name} refers to {value}, but {error}") from None


def run_call(tools: Mapping[str, CompiledTool], tool_id: str, arguments: dict[str, Any], state: State) -> CallResult:
    """What one call does to a state, which it changes; raises Refused."""
    tool = tools.get(tool_id)
    if tool is None:
        raise CallRefusedError("unknown_tool", tool_id)
    # A call is a pure function of the world, the changes before it and its arguments, so the world remembers them.
    remembered: dict[tuple[str, str, str], tuple[CallResult, tuple[Change, ...]]] = state.world.memoised_results
    key = (state.trail, tool_id, repr(arguments))
    known = remembered.get(key)
    if known is None:
        for problem in argument_problems(tool, arguments):
            raise CallRefusedError("invalid_argument", problem)
        before = len(state.changes)
        outcome = operate(tool, arguments, state)
        if len(remembered) >= _REMEMBERED:
            remembered.clear()
        known = remembered[key] = (outcome, tuple(state.changes[before:]))
    else:
        for change in known[1]:
            state.write(*change)
    if known[1]:
        state.trail = f"{state.trail}\n{tool_id} {key[2]}"
    return known[0]


# --- goals -----------------------------------------------------------------------------------------------------


def digest_of(keys: Iterable[str]) -> str:
    """A short digest of a set of row keys."""
    return blake2b("\n".join(sorted(keys)).encode(), digest_size=8).hexdigest()


def unmet_goal_parts(goal: Goal, results: Sequence[CallResult], days: int | None) -> Iterator[str]:
    """What is missing from, or too much in, the outcomes of a plan whose shortest look back is `days`; empty if met."""
    yield from _unmet_showings(goal, results)
    yield from _unmet_measures(goal.measures, results)
    yield from _other_effects(goal.effects, [effect for outcome in results for effect in outcome.effects])
    if (goal.time_range_days or 0) > (days or 0):
        yield f"the request asks for {goal.time_range_days} days, the plan looks back {days or 0}"


def _unmet_showings(goal: Goal, outcomes: Sequence[CallResult]) -> Iterator[str]:
    if not goal.shows:
        return
    seen: dict[tuple[str, str], set[str]] = {}
    for outcome in outcomes:
        if outcome.measured is None and outcome.value.keys() != {"export_id", "target", "count"}:
            for key, _ in outcome.rows:
                seen.setdefault((outcome.entity, key), set()).update(outcome.fields)
    for showing in goal.shows:
        for key in showing.rows:
            missing = set(showing.fields) - seen.get((showing.entity, key), set())
            if missing:
                yield f"the user never sees {', '.join(sorted(missing))} of {showing.entity} {key}"


def _unmet_measures(measures: Iterable[Measurement], outcomes: Sequence[CallResult]) -> Iterator[str]:
    figures = [(outcome.entity, outcome.measured) for outcome in outcomes if outcome.measured is not None]
    for wanted in measures:
        values = tuple((each.group, each.value) for each in wanted.values)
        if not any(
            entity == wanted.entity
            and figure.measure == wanted.measure
            and figure.field == wanted.field
            and figure.group_by == wanted.group_by
            and len(figure.rows) == wanted.rows
            and figure.values == values
            and digest_of(figure.rows) == wanted.rows_digest
            for entity, figure in figures
        ):
            by = f" by {wanted.group_by}" if wanted.group_by else ""
            yield f"the user never sees the {wanted.measure} of {wanted.field or wanted.entity}{by} over {wanted.rows} rows"


EffectPart = tuple[str, str, str | tuple[str, ...], str, str | None]


def _other_effects(wanted: Iterable[Effect], happened: Iterable[Effect]) -> Iterator[str]:
    expected = sorted(atom for effect in wanted for atom in split_effect(effect))
    actual = sorted(atom for effect in happened for atom in split_effect(effect))
    if expected == actual:
        return
    for atom in (Counter(expected) - Counter(actual)).elements():
        yield f"this effect does not happen: {_describe(atom)}"
    for atom in (Counter(actual) - Counter(expected)).elements():
        yield f"this effect was not asked for: {_describe(atom)}"


def split_effect(effect: Effect) -> Iterator[EffectPart]:
    """An effect in comparable pieces: a change of several rows equals several changes of one."""
    changes = repr(sorted((name, _plain(value)) for name, value in effect.changes.items()))
    if effect.kind in ("update", "delete"):
        for key in effect.rows:
            yield effect.kind, effect.entity, key, changes, ""
    else:
        yield effect.kind, effect.entity, tuple(effect.rows), changes, effect.target or ""


def _plain(value: Any) -> Any:
    """12.0 is 12."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _describe(atom: EffectPart) -> str:
    kind, entity, rows, changes, target = atom
    which = rows if isinstance(rows, str) else ", ".join(rows)
    return " ".join(each for each in (kind, entity, which, changes, f"to {target}" if target else "") if each)
