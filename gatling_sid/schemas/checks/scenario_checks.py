"""What a scenario of a domain file may get wrong: draws, goals and plans that name what is not there, mute slots."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.domain import choices
from gatling_sid.schemas.intents import intents_of
from gatling_sid.schemas.language.phrasing import phrasing_of
from gatling_sid.schemas.references import parse_reference

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

Problem = tuple[str, str]
"""A key of the file, and what is wrong there."""
FEWEST_PHRASINGS = 8
FEWEST_REASONS = 4
_SPARE_BLANK = re.compile(r" [ .,;?!]")


def unknown(where: str, names: Iterable[Any], known: Iterable[str], what: str) -> Iterator[Problem]:
    """A problem for each of `names` that is not among the `known` ones."""
    known = list(known)
    for name in names:
        if name not in known:
            yield where, f"no {what} named {name!r}; known are {', '.join(sorted(map(str, known)))}"


def not_values(where: str, field: c.EntityField, values: Iterable[Any]) -> Iterator[Problem]:
    """A problem for each of `values` that a choice field never has; expressions are let pass."""
    if field.type == "choice" and choices(field):
        literal = [each for each in values if not (isinstance(each, str) and parse_reference(each))]
        yield from unknown(where, literal, choices(field), "value")


def repeated(where: str, texts: Iterable[str]) -> Iterator[Problem]:
    """A problem for each text that stands twice."""
    for text, times in Counter(texts).items():
        if times > 1:
            yield where, f"{text!r} stands {times} times; remove the repetition"


def scenario_problems(domain: Domain) -> Iterator[Problem]:
    """Everything wrong with the scenarios of a domain whose other parts are sound."""
    seen: dict[str, str] = {}
    for name, scenario in domain.file.scenarios.items():
        where = f"scenarios.{name}"
        yield from unknown(f"{where}.roles", scenario.roles, domain.file.roles, "role")
        yield from unknown(f"{where}.given", scenario.given, domain.family.axis_values, "axis")
        for axis, values in scenario.given.items():
            yield from unknown(f"{where}.given.{axis}", values, domain.family.axis_values.get(axis, []), "value")
        yield from _draws(where, scenario, domain)
        yield from _goal(where, scenario, domain)
        yield from _plan(where, scenario, domain)
        yield from _forbidden(where, scenario, domain)
        yield from _sayings(where, scenario, domain)
        yield from _idle_slots(where, name, domain)
        for text in scenario.phrasings:
            if text in seen:
                yield f"{where}.phrasings", f"{text!r} is also a phrasing of {seen[text]}"
            seen[text] = name


def _draws(where: str, scenario: c.Scenario, domain: Domain) -> Iterator[Problem]:
    roots: set[str] = {"principal", "policy"}
    for name, draw in scenario.draw.items():
        here = f"{where}.draw.{name}"
        entity = _entity(draw)
        if entity is not None and entity not in domain.file.entities:
            yield from unknown(here, [entity], domain.file.entities, "entity")
            continue
        if entity is not None:
            fields = domain.file.entities[entity].fields
            conditions = getattr(draw, "where", {})
            order = (getattr(draw, "order", None) or "").removeprefix("-")
            single = [each for each in (order, getattr(draw, "distinct", None)) if each]
            named = [*conditions, *getattr(draw, "alone_by", ()), *single]
            yield from unknown(here, named, fields, f"field of {entity}")
            for field, condition in conditions.items():
                if field in fields:
                    yield from condition_problems(f"{here}.where.{field}", fields[field], condition)
        yield from _expressions(here, draw.model_dump(by_alias=True), scenario, domain, roots)
        roots.add(name)
    yield from _expressions(f"{where}.slots", scenario.slots, scenario, domain, roots)
    for name, value in scenario.slots.items():
        if value in ([], "", None):
            yield f"{where}.slots", f"slot {name} has no value"
        for each in value if isinstance(value, list) else [value]:
            reference = parse_reference(each) if isinstance(each, str) else None
            drawn = scenario.draw.get(reference.root) if reference else None
            if reference and not reference.path and isinstance(drawn, (c.OneRowDraw, c.AllRowsDraw, c.RowByKeyDraw)):
                yield f"{where}.slots", f"slot {name} is a whole record; say which field of {each} the request tells"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_date(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(date.fromisoformat(value))
    except ValueError:
        return False


def _fits(field: c.EntityField, value: Any) -> bool:
    """Whether a value could stand in the field."""
    if field.type in ("money", "number", "integer"):
        return _is_number(value)
    if field.type == "date":
        return _is_date(value)
    return isinstance(value, bool if field.type == "flag" else str)


def _is_days(field: c.EntityField, value: Any) -> bool:
    return field.type == "date" and isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= c.MOST_DAYS


def _all_fit(field: c.EntityField, values: Any) -> bool:
    return isinstance(values, list) and bool(values) and all(_is_expression(v) or _fits(field, v) for v in values)


_CONDITIONS: dict[str, Callable[[c.EntityField, Any], bool]] = {
    **dict.fromkeys(("at_most", "at_least", "above", "below"), _fits),
    **dict.fromkeys(("in", "not_in"), _all_fit),
    **dict.fromkeys(("within_days", "older_than_days", "next_days"), _is_days),
    "not": lambda field, value: value is None or _fits(field, value),
    "contains": lambda _, value: isinstance(value, str),
    "is_set": lambda _, value: isinstance(value, bool),
}


def condition_problems(where: str, field: c.EntityField, condition: Any) -> Iterator[Problem]:
    """What is wrong with the test of one field: an unknown test, or a value that the field cannot be compared with."""
    if not isinstance(condition, Mapping):
        if not (_is_expression(condition) or condition is None or _fits(field, condition)):
            yield where, f"{condition!r} is no value of a {field.type}"
        yield from not_values(where, field, [condition])
        return
    yield from unknown(where, condition, _CONDITIONS, "condition")
    for test, value in condition.items():
        if test in _CONDITIONS and not _is_expression(value) and not _CONDITIONS[test](field, value):
            yield where, f"{test} {value!r} cannot be asked of a {field.type}"


def _is_expression(value: Any) -> bool:
    return isinstance(value, str) and parse_reference(value) is not None


def _expressions(where: str, value: Any, scenario: c.Scenario, domain: Domain, roots: set[str]) -> Iterator[Problem]:
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _expressions(where, each, scenario, domain, roots)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _expressions(where, each, scenario, domain, roots)
    elif isinstance(value, str) and (reference := parse_reference(value)):
        yield from unknown(where, [reference.root], roots, "drawn value above")
        first = str(reference.path[0]) if reference.path else ""
        if reference.root == "policy":
            yield from unknown(where, [first], domain.file.policy.vary, "axis")
        if reference.root == "principal":
            for role in scenario.roles:
                if role in domain.file.roles:
                    yield from unknown(where, [first], domain.file.roles[role].attributes, f"attribute of {role}")
        draw = scenario.draw.get(reference.root)
        entity = _entity(draw)
        names = [str(step) for step in reference.path if isinstance(step, str) and step not in ("*", "count")]
        if entity in domain.file.entities:
            yield from unknown(where, names, domain.file.entities[entity].fields, f"field of {entity}")


def _goal(where: str, scenario: c.Scenario, domain: Domain) -> Iterator[Problem]:
    here, goal = f"{where}.goal", scenario.goal
    rows = {n: d for n, d in scenario.draw.items() if isinstance(d, (c.OneRowDraw, c.AllRowsDraw, c.RowByKeyDraw))}
    named = [showing.rows for showing in goal.shows] + [measure.rows for measure in goal.measures]
    for effect in goal.effects:
        about = getattr(effect, "update", None) or getattr(effect, "delete", None) or getattr(effect, "export", None)
        named += [each for each in (about, getattr(effect, "about", None)) if each]
        if effect.when is not None:
            yield from unknown(here, [effect.when], domain.file.policy.rules, "rule")
    yield from unknown(here, named, rows, "drawn row or rows")
    for entity, names in _goal_fields(goal, rows):
        if entity is not None and entity not in domain.file.entities:
            yield from unknown(here, [entity], domain.file.entities, "entity")
        elif entity is not None:
            yield from unknown(here, names, domain.file.entities[entity].fields, f"field of {entity}")
    yield from _expressions(here, goal.model_dump(), scenario, domain, {"principal", "policy", *scenario.draw})
    done = [
        *(_kind(each) for each in goal.effects),
        *("aggregate" for _ in goal.measures),
        *("show" for _ in goal.shows),
    ]
    if not done:
        yield here, "a goal needs something to be shown, measured or done"
    elif scenario.intent not in intents_of(done):
        yield f"{where}.intent", f"{scenario.intent} is not what the goal does: {' or '.join(intents_of(done))}"


def _kind(effect: c.GoalEffect) -> str:
    """The kind of a declared effect: the name of its leading key."""
    return type(effect).__name__.removesuffix("Effect").lower()


def _goal_fields(goal: c.ScenarioGoal, rows: Mapping[str, Any]) -> list[tuple[str | None, list[str]]]:
    """(entity, fields named of it) of every part of a goal."""
    named = [(_entity(rows.get(each.rows)), _literal(each.fields)) for each in goal.shows]
    named += [(_entity(rows.get(m.rows)), [*_literal(m.field), *_literal(m.group_by)]) for m in goal.measures]
    for effect in goal.effects:
        match effect:
            case c.UpdateEffect():
                named.append((_entity(rows.get(effect.update)), list(effect.set)))
            case c.CreateEffect():
                named.append((effect.create, list(effect.set)))
            case c.ExportEffect():
                named.append((_entity(rows.get(effect.export)), _literal(effect.fields)))
    return named


def _entity(draw: Any) -> str | None:
    return getattr(draw, "one", None) or getattr(draw, "all", None) or getattr(draw, "row", None)


def _literal(names: list[str] | str | None) -> list[str]:
    listed = [names] if isinstance(names, str) else names or []
    return [name for name in listed if parse_reference(name) is None]


def _plan(where: str, scenario: c.Scenario, domain: Domain) -> Iterator[Problem]:
    earlier: dict[str, c.Tool] = {}
    for step in scenario.plan:
        here = f"{where}.plan.{step.step}"
        if step.step in earlier or step.step in ("request", "principal", "policy"):
            yield here, "this step's name is taken"
        yield from unknown(here, [*step.when, *step.unless], domain.file.policy.rules, "rule")
        yield from unknown(here, step.after, earlier, "earlier step")
        if step.tool not in domain.file.tools:
            yield from unknown(here, [step.tool], domain.file.tools, "tool")
            continue
        tool = domain.file.tools[step.tool]
        yield from unknown(f"{here}.arguments", step.arguments, tool.parameters, f"parameter of {step.tool}")
        for name, parameter in tool.parameters.items():
            if parameter.required and name not in step.arguments:
                yield f"{here}.arguments", f"{step.tool} requires {name}"
        for name, expression in step.arguments.items():
            whole = f"{here}.arguments.{name}"
            if isinstance(expression, list):
                yield from _listed(whole, expression, tool.parameters.get(name), earlier)
            else:
                yield from _argument(whole, expression, scenario, domain, earlier)
        earlier[step.step] = tool


def _listed(
    where: str, expressions: list[str], parameter: c.Parameter | None, earlier: Mapping[str, c.Tool]
) -> Iterator[Problem]:
    """A list gathers what several earlier steps found, for a parameter that takes keys."""
    if parameter is not None and parameter.does not in ("keys", "about"):
        yield where, f"a parameter that does {parameter.does} takes one expression, not a list"
    for each in expressions:
        reference = parse_reference(each)
        yield from unknown(where, [reference.root if reference else each], earlier, "earlier step")


def _forbidden(where: str, scenario: c.Scenario, domain: Domain) -> Iterator[Problem]:
    """Steps that a rule forbids to those who ask, where no member of the family that has it is left out."""
    for name, rule in domain.file.policy.rules.items():
        roles = rule.parameters.get("roles")
        if rule.kind != "may_not_call" or not (roles is None or {*roles} & {*scenario.roles}):
            continue
        for step in scenario.plan:
            leaves_out = name in step.unless or True not in scenario.given.get(name, [True])
            if step.tool in _tools_barred(rule, scenario, domain) and not (rule.sometimes and leaves_out):
                remedy = f"; let it be asked given {name}: [false] only" if rule.sometimes else ""
                yield f"{where}.plan.{step.step}", f"{name} forbids {step.tool} to those who ask{remedy}"


def _tools_barred(rule: c.Rule, scenario: c.Scenario, domain: Domain) -> Iterable[str]:
    """The tools of a rule, or those that an axis gives it where the scenario can be asked."""
    tools = rule.parameters.get("tools")
    reference = parse_reference(tools) if isinstance(tools, str) else None
    if reference is None:
        return domain.file.tools if tools is None else tools
    values = domain.family.axis_values[str(reference.path[0])]
    return [tool for value in values if value in scenario.given.get(str(reference.path[0]), values) for tool in value]


def _argument(
    where: str, expression: str, scenario: c.Scenario, domain: Domain, earlier: Mapping[str, c.Tool]
) -> Iterator[Problem]:
    reference = parse_reference(expression)
    if reference is None:
        yield where, f"{expression!r} comes from nowhere; use $request, $principal, $policy or an earlier step"
        return
    first = str(reference.path[0]) if reference.path else ""
    match reference.root:
        case "request":
            yield from unknown(where, [first], scenario.slots, "slot")
        case "principal":
            for role in scenario.roles:
                if role in domain.file.roles:
                    yield from unknown(where, [first], domain.file.roles[role].attributes, f"attribute of {role}")
        case "policy":
            yield from unknown(where, [first], domain.file.policy.rules, "rule")
            if first in domain.file.policy.rules and (
                len(reference.path) < 2 or reference.path[1] not in domain.file.policy.rules[first].parameters
            ):
                yield where, f"{expression} must be $policy.<rule>.<parameter>"
        case root:
            yield from unknown(where, [root], earlier, "earlier step")


def _idle_slots(where: str, name: str, domain: Domain) -> Iterator[Problem]:
    """Slots that a request would say and nothing would follow from."""
    scenario = domain.file.scenarios[name]
    arguments = {text for step in scenario.plan for text in step.arguments.values() if isinstance(text, str)}
    for slot in scenario.slots:
        if f"$request.{slot}" not in arguments and slot not in domain.slots_of_goal(name):
            yield f"{where}.slots", f"slot {slot} fills no argument and is no part of the goal; nothing follows from it"


def _sayings(where: str, scenario: c.Scenario, domain: Domain) -> Iterator[Problem]:
    here = f"{where}.phrasings"
    if len(scenario.phrasings) < FEWEST_PHRASINGS:
        yield here, f"needs at least {FEWEST_PHRASINGS} phrasings, has {len(scenario.phrasings)}"
    yield from repeated(f"{where}.reasons", scenario.reasons)
    if len(set(scenario.reasons)) < FEWEST_REASONS:
        yield f"{where}.reasons", f"needs at least {FEWEST_REASONS} reasons, has {len(set(scenario.reasons))}"
    try:
        needed = domain.slot_parameters(scenario)
    except KeyError:
        return
    for text in scenario.phrasings:
        try:
            phrasing = phrasing_of(text)
        except ValueError as error:
            yield here, str(error)
            continue
        for rendering in phrasing.plain_renderings():
            if rendering != rendering.strip() or _SPARE_BLANK.search(rendering):
                yield here, f"{text!r} can become {rendering!r}, which has a blank to spare"
                break
        for slot in phrasing.slots():
            yield from unknown(here, [slot.name], scenario.slots, "slot")
            value = scenario.slots.get(slot.name)
            constant = not (isinstance(value, str) and parse_reference(value)) and not (
                isinstance(value, list) and len(value) > 1
            )
            if slot.wording is not None and not constant:
                yield here, f"{text!r}: slot {slot.name} varies, so its wording cannot be fixed"
        for name in needed:
            if not phrasing.always_says(name):
                yield here, f"{text!r} does not always say {name}"
