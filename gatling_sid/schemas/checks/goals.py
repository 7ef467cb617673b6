"""Checks the goal of a scenario: the rows, fields and rules it names, and that it fits the intent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.checks.expressions import check_expressions, entity_of_draw
from gatling_sid.schemas.checks.problems import FileProblem, find_unknown
from gatling_sid.schemas.conditions import is_expression
from gatling_sid.schemas.intents import intents_of

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain


def check_goal(where: str, scenario: c.Scenario, domain: Domain) -> Iterator[FileProblem]:
    """Yields what is wrong with the goal of a scenario."""
    here, goal = f"{where}.goal", scenario.goal
    entities = {name: entity for name, draw in scenario.draw.items() if (entity := entity_of_draw(draw)) is not None}
    for effect in goal.effects:
        if effect.when is not None:
            yield from find_unknown(here, [effect.when], domain.file.policy.rules, "rule")
    yield from find_unknown(here, _names_of_rows(goal), entities, "drawn row or rows")
    yield from _check_fields_of_goal(here, goal, entities, domain)
    yield from check_expressions(here, goal.model_dump(), scenario, domain, {"principal", "policy", *scenario.draw})
    yield from _check_intent(where, scenario)


def _names_of_rows(goal: c.ScenarioGoal) -> list[str]:
    """The drawn row or rows that the parts of a goal are about."""
    names = [showing.rows for showing in goal.shows] + [measure.rows for measure in goal.measures]
    for effect in goal.effects:
        match effect:
            case (
                c.UpdateEffect(update=rows) | c.DeleteEffect(delete=rows) | c.ExportEffect(export=rows)
                | c.SendEffect(about=str(rows))
            ):  # fmt: skip
                names.append(rows)
    return names


def _check_fields_of_goal(
    where: str, goal: c.ScenarioGoal, entities: Mapping[str, str], domain: Domain
) -> Iterator[FileProblem]:
    for entity, names in _names_of_fields(goal, entities):
        if entity is not None and entity not in domain.file.entities:
            yield from find_unknown(where, [entity], domain.file.entities, "entity")
        elif entity is not None:
            yield from find_unknown(where, names, domain.file.entities[entity].fields, f"field of {entity}")


def _names_of_fields(goal: c.ScenarioGoal, entities: Mapping[str, str]) -> list[tuple[str | None, list[str]]]:
    """(entity, names of its fields) for every part of a goal; `entities` are those of the drawn rows."""
    names_by_entity = [(entities.get(each.rows), _literals(each.fields)) for each in goal.shows]
    names_by_entity += [(entities.get(m.rows), [*_literals(m.field), *_literals(m.group_by)]) for m in goal.measures]
    for effect in goal.effects:
        match effect:
            case c.UpdateEffect():
                names_by_entity.append((entities.get(effect.update), [*effect.set, *effect.add, *effect.subtract]))
            case c.CreateEffect():
                names_by_entity.append((effect.create, list(effect.set)))
            case c.ExportEffect():
                names_by_entity.append((entities.get(effect.export), _literals(effect.fields)))
    return names_by_entity


def _literals(names: list[str] | str | None) -> list[str]:
    """The names that are not expressions."""
    listed = [names] if isinstance(names, str) else names or []
    return [name for name in listed if not is_expression(name)]


def _check_intent(where: str, scenario: c.Scenario) -> Iterator[FileProblem]:
    goal = scenario.goal
    kinds = [
        *(_kind_of_effect(each) for each in goal.effects),
        *("aggregate" for _ in goal.measures),
        *("show" for _ in goal.shows),
    ]
    if not kinds:
        yield f"{where}.goal", "a goal needs something to be shown, measured or done"
    elif scenario.intent not in intents_of(kinds):
        yield (
            f"{where}.intent",
            f"{scenario.intent} does not fit the goal; the intent must be {' or '.join(intents_of(kinds))}",
        )


def _kind_of_effect(effect: c.GoalEffect) -> str:
    """The kind of a declared effect, which is the name of its leading key."""
    return type(effect).__name__.removesuffix("Effect").lower()
