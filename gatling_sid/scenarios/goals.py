"""The goal of a scenario for drawn values: the rows, measures and effects that serve the request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gatling_sid.models import Effect, Goal, MeasuredValue, Measurement, Showing, construct_trusted, replace_fields
from gatling_sid.scenarios.drawing import Bindings, NoDrawError, evaluate
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.domain import Domain
from gatling_sid.simulator.execution import digest_of
from gatling_sid.simulator.measures import measure_rows
from gatling_sid.simulator.world import Row


def goal_of(
    scenario: c.Scenario,
    domain: Domain,
    bindings: Bindings,
    rules: frozenset[str],
    refused: c.ScenarioGoal | None = None,
) -> Goal:
    """The goal of a scenario, or the one that it is `refused`, with these bindings under a policy with these `rules`.

    Raises:
        NoDrawError: the drawn values do not fit the goal.

    """
    spec = scenario.goal if refused is None else refused
    return construct_trusted(
        Goal,
        {
            "shows": [_build_showing(each, scenario, domain, bindings) for each in spec.shows],
            "measures": [_build_measurement(each, scenario, domain, bindings) for each in spec.measures],
            "effects": [
                effect
                for each in spec.effects
                if each.when is None or each.when in rules
                for effect in _build_effects(each, scenario, domain, bindings)
            ],
            "time_range_days": evaluate(spec.time_range, bindings) if spec.time_range else None,
        },
    )


def entity_of(scenario: c.Scenario, name: str) -> str:
    """The entity of the row or rows that are bound to a drawn name."""
    match scenario.draw[name]:
        case c.OneRowDraw(one=entity) | c.AllRowsDraw(all=entity) | c.RowByKeyDraw(row=entity):
            return entity
    raise KeyError(name)


def _bound_rows(
    name: str, scenario: c.Scenario, domain: Domain, bindings: Mapping[str, Any]
) -> tuple[str, list[Row], list[str]]:
    entity = entity_of(scenario, name)
    rows = bindings[name] if isinstance(bindings[name], list) else [bindings[name]]
    key = domain.file.entities[entity].key
    return entity, rows, [row[key] for row in rows]


def _build_showing(spec: c.GoalShowing, scenario: c.Scenario, domain: Domain, bindings: Bindings) -> Showing:
    entity, _, keys = _bound_rows(spec.rows, scenario, domain, bindings)
    return construct_trusted(Showing, {"entity": entity, "rows": keys, "fields": list(evaluate(spec.fields, bindings))})


def _build_measurement(spec: c.GoalMeasure, scenario: c.Scenario, domain: Domain, bindings: Bindings) -> Measurement:
    entity, rows, keys = _bound_rows(spec.rows, scenario, domain, bindings)
    field, group_by = evaluate(spec.field, bindings), evaluate(spec.group_by, bindings)
    top = evaluate(spec.top, bindings)
    measure = evaluate(spec.measure, bindings)
    values = measure_rows(rows, measure, field, group_by, None)
    if not values or (top is not None and (len(values) < top or _is_tie_at(values, top))):
        raise NoDrawError(f"the {measure} has no value, or a tie at the cut")
    return construct_trusted(
        Measurement,
        {
            "entity": entity,
            "measure": measure,
            "field": field,
            "group_by": group_by,
            "rows": len(keys),
            "rows_digest": digest_of(keys),
            "values": [construct_trusted(MeasuredValue, {"group": g, "value": float(v)}) for g, v in values[:top]],
        },
    )


def _is_tie_at(values: tuple[tuple[str | None, float], ...], top: int) -> bool:
    """Whether the values before and after the cut are equal, so that it would be arbitrary which of them is shown."""
    return len(values) > top and values[top - 1][1] == values[top][1]


def _build_effects(spec: Any, scenario: c.Scenario, domain: Domain, bindings: Bindings) -> Iterator[Effect]:
    """The effect or, if numbers are added, one effect per row, since the sums differ from row to row."""
    effect = _build_effect(spec, scenario, domain, bindings)
    if not isinstance(spec, c.UpdateEffect) or not (spec.add or spec.subtract):
        yield effect
        return
    _, rows, keys = _bound_rows(spec.update, scenario, domain, bindings)
    for key, row in zip(keys, rows, strict=True):
        yield replace_fields(effect, rows=[key], changes={**effect.changes, **_sums(spec, row, bindings)})


def _sums(spec: c.UpdateEffect, row: Row, bindings: Bindings) -> Row:
    """The fields of a row to which an effect adds numbers, or from which it subtracts them, with their new values."""
    sums: Row = {}
    for sign, numbers in ((1, spec.add), (-1, spec.subtract)):
        for name, number in numbers.items():
            if row[name] is None:
                raise NoDrawError(f"no {name} to add to")
            sums[name] = round(sums.get(name, row[name]) + sign * evaluate(number, bindings), 2)
    return sums


def _build_effect(spec: Any, scenario: c.Scenario, domain: Domain, bindings: Bindings) -> Effect:
    fields = {"rows": [], "changes": {}, "target": None, **dict(_effect_fields(spec, scenario, domain, bindings))}
    return construct_trusted(Effect, {name: fields[name] for name in Effect.model_fields})


def _effect_fields(spec: Any, scenario: c.Scenario, domain: Domain, bindings: Bindings) -> Iterator[tuple[str, Any]]:
    match spec:
        case c.UpdateEffect():
            entity, rows, keys = _bound_rows(spec.update, scenario, domain, bindings)
            changes = {name: evaluate(value, bindings) for name, value in spec.set.items()}
            if any(row.get(name) == value for row in rows for name, value in changes.items()):
                raise NoDrawError("a row has the new value already")
            yield from {"kind": "update", "entity": entity, "rows": keys, "changes": changes}.items()
        case c.DeleteEffect():
            entity, _, keys = _bound_rows(spec.delete, scenario, domain, bindings)
            yield from {"kind": "delete", "entity": entity, "rows": keys}.items()
        case c.CreateEffect():
            yield from {"kind": "create", "entity": spec.create}.items()
            yield "changes", {name: evaluate(value, bindings) for name, value in spec.set.items()}
        case c.ExportEffect():
            entity, _, keys = _bound_rows(spec.export, scenario, domain, bindings)
            changes = {"fields": sorted(evaluate(spec.fields, bindings))}
            if spec.format is not None:
                changes["format"] = evaluate(spec.format, bindings)
            yield from {"kind": "export", "entity": entity, "rows": sorted(keys), "changes": changes}.items()
            yield "target", evaluate(spec.target, bindings)
        case c.SendEffect():
            entity, keys = _subject_of_message(spec, scenario, domain, bindings)
            yield from {"kind": "send", "entity": entity, "rows": keys}.items()
            yield "changes", {name: evaluate(value, bindings) for name, value in spec.contents.items()}
            yield "target", evaluate(spec.send, bindings)


def _subject_of_message(
    spec: c.SendEffect, scenario: c.Scenario, domain: Domain, bindings: Bindings
) -> tuple[str, list[str]]:
    if spec.about is not None:
        entity, _, keys = _bound_rows(spec.about, scenario, domain, bindings)
        return entity, sorted(keys)
    if spec.of is not None:
        return spec.of, []
    steps = [*scenario.plan, *(scenario.variant.plan if scenario.variant else ())]
    senders = [domain.file.tools[step.tool] for step in steps]
    return next(tool.entity for tool in senders if tool.operation == "send"), []
