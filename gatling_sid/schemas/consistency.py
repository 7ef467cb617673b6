"""What a well-formed domain file may still get wrong: names that lead nowhere, words that cannot be said.

Each function yields (key, problem) pairs for one part of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.constraints import KINDS
from gatling_sid.schemas.phrasing import Phrasing
from gatling_sid.schemas.references import parse_reference

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

Problem = tuple[str, str]
MIN_PHRASINGS = 8
MIN_REASONS = 4
MIN_FRAMES = 12
_PLACEHOLDER = re.compile(r"\{(\w+)[^}]*\}")


def problems(domain: Domain) -> Iterator[Problem]:
    """Everything wrong with a domain, first things first; later parts assume that earlier ones are sound."""
    for part in (_entities, _tools, _roles, _voice, _policy, _scenarios):
        found = list(part(domain))
        yield from found
        if found:
            return


def _unknown(where: str, names: Iterable[str], known: Iterable[str], what: str) -> Iterator[Problem]:
    for name in names:
        if name not in known:
            yield where, f"no {what} named {name!r}; known are {', '.join(sorted(map(str, known)))}"


def _entities(domain: Domain) -> Iterator[Problem]:
    done: dict[str, c.Entity] = {}
    for name, entity in domain.file.entities.items():
        where = f"entities.{name}"
        yield from _unknown(f"{where}.key", [entity.key], entity.fields, "field")
        earlier: dict[str, c.EntityField] = {}
        for field_name, field in entity.fields.items():
            here = f"{where}.fields.{field_name}"
            yield from _populate(here, field.populate, domain, earlier, done)
            if field.type == "choice" and field.words:
                yield from _unknown(f"{here}.words", field.words, _values_of(field.populate, field.words), "value")
            earlier[field_name] = field
        done[name] = entity


def _values_of(populate: Any, words: Mapping[str, Any]) -> Iterable[str]:
    return populate.choice if isinstance(populate, c.Choice) and len(populate.choice) >= len(words) else words


def _populate(
    where: str, spec: Any, domain: Domain, earlier: Mapping[str, c.EntityField], done: Mapping[str, c.Entity]
) -> Iterator[Problem]:
    match spec:
        case c.Pool(pool=str(pool)):
            yield from _unknown(where, [pool], domain.pools, "pool")
        case c.Template():
            yield from _unknown(where, _PLACEHOLDER.findall(spec.template), {*domain.pools, *earlier}, "pool or earlier field")
        case c.DaysAfter(days_after=name) | c.Fraction(fraction_of=name):
            yield from _unknown(where, [name], earlier, "earlier field")
        case c.Email():
            yield from _unknown(where, spec.email, earlier, "earlier field")
        case c.Ref():
            yield from _unknown(where, [spec.ref], done, "entity above")
            if spec.ref in done:
                yield from _unknown(where, spec.where, done[spec.ref].fields, f"field of {spec.ref}")
        case c.Copy():
            yield from _copy(where, spec.copy_of, domain, earlier, done)
        case c.By():
            yield from _unknown(where, [spec.by], earlier, "earlier field")
            for each in [*spec.cases.values(), spec.otherwise]:
                yield from _populate(where, each, domain, earlier, done)
        case c.IfPast():
            yield from _unknown(where, [spec.if_past], earlier, "earlier field")
            for each in [spec.then, spec.otherwise]:
                yield from _populate(where, each, domain, earlier, done)


def _copy(
    where: str, path: str, domain: Domain, earlier: Mapping[str, c.EntityField], done: Mapping[str, c.Entity]
) -> Iterator[Problem]:
    reference, _, field = path.partition(".")
    if reference not in earlier or earlier[reference].type != "ref":
        yield where, f"copy needs `reference_field.field`, and {reference!r} is no earlier field of type ref"
        return
    holder = next(e for e in domain.file.entities.values() if e.fields.get(reference) is earlier[reference])
    yield from _unknown(where, [field], done[domain.referred(holder, reference)].fields, "field")


# --- tools -----------------------------------------------------------------------------------------------------

_NEEDS = {
    "get": ({"key"},),
    "update": ({"key", "keys"},),
    "delete": ({"key", "keys"},),
    "export": ({"target"},),
    "send": ({"recipient"},),
    "create": ({"set"},),
}
_WITH_FIELD = ("filter", "set")


def _tools(domain: Domain) -> Iterator[Problem]:
    for name, tool in domain.file.tools.items():
        where = f"tools.{name}"
        if tool.entity not in domain.file.entities:
            yield from _unknown(f"{where}.entity", [tool.entity], domain.file.entities, "entity")
            continue
        entity = domain.file.entities[tool.entity]
        for key, names in (("returns", tool.returns), ("sets", tool.sets), ("requires", tool.requires)):
            yield from _unknown(f"{where}.{key}", names, entity.fields, f"field of {tool.entity}")
        if tool.order:
            yield from _unknown(f"{where}.order", [tool.order.removeprefix("-")], entity.fields, f"field of {tool.entity}")
        if tool.operation in ("list", "get", "update", "export") and not tool.returns:
            yield f"{where}.returns", f"a tool that does {tool.operation} must say which fields it returns"
        roles = [parameter.does for parameter in tool.parameters.values()]
        for needed in _NEEDS.get(tool.operation, ()):
            if not needed & set(roles):
                yield f"{where}.parameters", f"{tool.operation} needs a parameter that does {' or '.join(sorted(needed))}"
        yield from _parameters(where, tool, entity)


def _parameters(where: str, tool: c.Tool, entity: c.Entity) -> Iterator[Problem]:
    for name, parameter in tool.parameters.items():
        here = f"{where}.parameters.{name}"
        if parameter.does in _WITH_FIELD:
            yield from _unknown(f"{here}.field", [parameter.field or ""], entity.fields, f"field of {tool.entity}")
        if parameter.does in ("key", "recipient", "target", "keys") and not parameter.required and tool.operation not in (
            "list", "aggregate", "export",
        ):  # fmt: skip
            yield here, f"a parameter that does {parameter.does} must be required"
        if parameter.does == "target" and not parameter.values:
            yield here, "a target needs its values, narrowest audience first"
        if parameter.default is not None and parameter.values and parameter.default not in parameter.values:
            yield here, f"the default {parameter.default!r} is not one of the values"
    for role in {p.does for p in tool.parameters.values()} - {"filter", "set", "content", "attachment"}:
        if sum(p.does == role for p in tool.parameters.values()) > 1:
            yield f"{where}.parameters", f"two parameters do {role}"


# --- roles, voice, policy --------------------------------------------------------------------------------------


def _roles(domain: Domain) -> Iterator[Problem]:
    for name, role in domain.file.roles.items():
        where = f"roles.{name}"
        if role.entity not in domain.file.entities:
            yield from _unknown(where, [role.entity], domain.file.entities, "entity")
            continue
        fields = domain.file.entities[role.entity].fields
        yield from _unknown(f"{where}.where", role.where, fields, f"field of {role.entity}")
        yield from _unknown(f"{where}.attributes", role.attributes, fields, f"field of {role.entity}")


def _voice(domain: Domain) -> Iterator[Problem]:
    for key, texts in (("openings", domain.file.voice.openings), ("closings", domain.file.voice.closings)):
        if len(set(texts)) < MIN_FRAMES:
            yield f"voice.{key}", f"needs at least {MIN_FRAMES} different texts, has {len(set(texts))}"
        for text in texts:
            if set(text) & set("{}[]|") or text != text.strip() or not text:
                yield f"voice.{key}", f"{text!r} must be plain text without slots or surrounding blanks"


def _policy(domain: Domain) -> Iterator[Problem]:
    family = domain.file.policy
    for axis, values in family.vary.items():
        if len(values) < 2:
            yield f"policy.vary.{axis}", "needs two or more values"
    for name, rule in family.rules.items():
        where = f"policy.rules.{name}"
        yield from _unknown(f"{where}.kind", [rule.kind], KINDS, "kind of constraint")
        yield from _unknown(f"{where}.says", _PLACEHOLDER.findall(rule.says), family.vary, "axis")
        yield from _constraint(f"{where}.with", rule, domain)
    yield from _members_fail(domain)


def _constraint(where: str, rule: c.Rule, domain: Domain) -> Iterator[Problem]:
    given, file = rule.parameters, domain.file
    yield from _unknown(where, given.get("roles") or (), file.roles, "role")
    tools = [*(given.get("tools") or ()), *([given["notify"]] if "notify" in given else ())]
    yield from _unknown(where, tools, file.tools, "tool")
    if given.get("entity") is not None:
        yield from _unknown(where, [given["entity"]], file.entities, "entity")
        if given["entity"] in file.entities:
            fields = [given[key] for key in ("field", "recipient_field") if key in given] + list(given.get("fields", ()))
            yield from _unknown(where, fields, file.entities[given["entity"]].fields, f"field of {given['entity']}")
    if "argument" in given or "arguments" in given:
        for tool in tools:
            names = [given["argument"]] if "argument" in given else given["arguments"]
            if tool in file.tools:
                yield from _unknown(where, names, file.tools[tool].parameters, f"parameter of {tool}")
    if "attribute" in given:
        for role in given.get("roles") or file.roles:
            if role in file.roles:
                yield from _unknown(where, [given["attribute"]], file.roles[role].attributes, f"attribute of {role}")
    for value in given.values():
        reference = parse_reference(value) if isinstance(value, str) else None
        if reference:
            if reference.root != "policy" or len(reference.path) != 1:
                yield where, f"{value} must be $policy.<axis>"
            else:
                yield from _unknown(where, [str(reference.path[0])], file.policy.vary, "axis")


def _members_fail(domain: Domain) -> Iterator[Problem]:
    """Building every value of every axis shows whether its parameters fit their kinds."""
    for column in zip_longest(*(range(size) for size in domain.axis_sizes), fillvalue=0):
        try:
            domain.policy(tuple(column))
        except (ValueError, KeyError) as error:
            yield "policy.rules", str(error)


# --- scenarios -------------------------------------------------------------------------------------------------

OPERATIONS_OF_INTENT = {
    "retrieve": ("list", "get"),
    "update": ("update", "send"),
    "create": ("create", "send"),
    "delete": ("delete",),
    "export": ("export",),
    "analyze": ("aggregate", "list"),
}


def _scenarios(domain: Domain) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for name, scenario in domain.file.scenarios.items():
        where = f"scenarios.{name}"
        yield from _unknown(f"{where}.roles", scenario.roles, domain.file.roles, "role")
        yield from _unknown(f"{where}.given", scenario.given, domain.file.policy.vary, "axis")
        for axis, values in scenario.given.items():
            known = domain.file.policy.vary.get(axis, [])
            yield from _unknown(f"{where}.given.{axis}", (v for v in values if v not in known), (), "value")
        yield from _draws(where, scenario, domain)
        yield from _goal(where, scenario, domain)
        yield from _plan(where, scenario, domain)
        yield from _sayings(where, scenario, domain)
        for text in scenario.phrasings:
            if text in seen:
                yield f"{where}.phrasings", f"{text!r} is also a phrasing of {seen[text]}"
            seen[text] = name
    yield from _ambiguous(domain)


def _ambiguous(domain: Domain) -> Iterator[Problem]:
    """Words that say two values of one field could not be read back."""
    for (entity, field), ways in domain.lexicon.items():
        said: dict[str, Any] = {}
        for value, words in ways.items():
            for word in words:
                if said.setdefault(word.casefold(), value) != value:
                    yield f"{entity}.{field}", f"{word!r} says both {said[word.casefold()]!r} and {value!r}"


def _draws(where: str, scenario: c.Scenario, domain: Domain) -> Iterator[Problem]:
    roots: set[str] = {"principal", "policy"}
    for name, draw in scenario.draw.items():
        here = f"{where}.draw.{name}"
        entity = getattr(draw, "one", None) or getattr(draw, "all", None) or getattr(draw, "row", None)
        if entity is not None and entity not in domain.file.entities:
            yield from _unknown(here, [entity], domain.file.entities, "entity")
            continue
        if entity is not None:
            fields = domain.file.entities[entity].fields
            conditions = getattr(draw, "where", {})
            order = (getattr(draw, "order", None) or "").removeprefix("-")
            named = [*conditions, *getattr(draw, "alone_by", ()), *([order] if order else ())]
            yield from _unknown(here, named, fields, f"field of {entity}")
            for condition in conditions.values():
                if isinstance(condition, Mapping):
                    yield from _unknown(here, condition, _CONDITION_NAMES, "condition")
        yield from _expressions(here, draw.model_dump(by_alias=True), scenario, domain, roots)
        roots.add(name)
    yield from _expressions(f"{where}.slots", scenario.slots, scenario, domain, roots)


_CONDITION_NAMES = (
    "at_most", "at_least", "above", "below", "not", "in", "not_in", "contains", "within_days", "older_than_days",
    "next_days", "is_set",
)  # fmt: skip


def _expressions(where: str, value: Any, scenario: c.Scenario, domain: Domain, roots: set[str]) -> Iterator[Problem]:
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _expressions(where, each, scenario, domain, roots)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _expressions(where, each, scenario, domain, roots)
    elif isinstance(value, str) and (reference := parse_reference(value)):
        yield from _unknown(where, [reference.root], roots, "drawn value above")
        first = str(reference.path[0]) if reference.path else ""
        if reference.root == "policy":
            yield from _unknown(where, [first], domain.file.policy.vary, "axis")
        if reference.root == "principal":
            for role in scenario.roles:
                if role in domain.file.roles:
                    yield from _unknown(where, [first], domain.file.roles[role].attributes, f"attribute of {role}")
        draw = scenario.draw.get(reference.root)
        entity = getattr(draw, "one", None) or getattr(draw, "all", None) or getattr(draw, "row", None)
        names = [str(step) for step in reference.path if isinstance(step, str) and step not in ("*", "count")]
        if entity in domain.file.entities:
            yield from _unknown(where, names, domain.file.entities[entity].fields, f"field of {entity}")


def _goal(where: str, scenario: c.Scenario, domain: Domain) -> Iterator[Problem]:
    here, goal = f"{where}.goal", scenario.goal
    rows = {n: d for n, d in scenario.draw.items() if isinstance(d, (c.One, c.All, c.Row))}
    named: list[str] = [each.rows for each in (*goal.shows, *goal.measures)]
    for effect in goal.effects:
        about = getattr(effect, "update", None) or getattr(effect, "delete", None) or getattr(effect, "export", None)
        named += [each for each in (about, getattr(effect, "about", None)) if each]
        if effect.when is not None:
            yield from _unknown(here, [effect.when], domain.file.policy.rules, "rule")
    yield from _unknown(here, named, rows, "drawn row or rows")
    for showing in goal.shows:
        draw = rows.get(showing.rows)
        entity = getattr(draw, "one", None) or getattr(draw, "all", None) or getattr(draw, "row", None)
        if isinstance(showing.fields, list) and entity in domain.file.entities:
            yield from _unknown(here, showing.fields, domain.file.entities[entity].fields, f"field of {entity}")
    yield from _expressions(here, goal.model_dump(), scenario, domain, {"principal", "policy", *scenario.draw})
    if not (goal.shows or goal.measures or goal.effects):
        yield here, "a goal needs something to be shown, measured or done"


def _plan(where: str, scenario: c.Scenario, domain: Domain) -> Iterator[Problem]:
    earlier: dict[str, c.Tool] = {}
    for step in scenario.plan:
        here = f"{where}.plan.{step.step}"
        if step.step in earlier or step.step in ("request", "principal", "policy"):
            yield here, "this step's name is taken"
        yield from _unknown(here, [*step.when, *step.unless], domain.file.policy.rules, "rule")
        yield from _unknown(here, step.after, earlier, "earlier step")
        if step.tool not in domain.file.tools:
            yield from _unknown(here, [step.tool], domain.file.tools, "tool")
            continue
        tool = domain.file.tools[step.tool]
        yield from _unknown(f"{here}.arguments", step.arguments, tool.parameters, f"parameter of {step.tool}")
        for name, parameter in tool.parameters.items():
            if parameter.required and name not in step.arguments:
                yield f"{here}.arguments", f"{step.tool} requires {name}"
        for name, expression in step.arguments.items():
            yield from _argument(f"{here}.arguments.{name}", expression, scenario, domain, earlier)
        earlier[step.step] = tool
    operations = {tool.operation for tool in earlier.values()}
    if not operations & set(OPERATIONS_OF_INTENT[scenario.intent]):
        yield f"{where}.plan", f"nothing in it does {' or '.join(OPERATIONS_OF_INTENT[scenario.intent])}"


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
            yield from _unknown(where, [first], scenario.slots, "slot")
        case "principal":
            for role in scenario.roles:
                if role in domain.file.roles:
                    yield from _unknown(where, [first], domain.file.roles[role].attributes, f"attribute of {role}")
        case "policy":
            yield from _unknown(where, [first], domain.file.policy.rules, "rule")
            if first in domain.file.policy.rules and (
                len(reference.path) < 2 or reference.path[1] not in domain.file.policy.rules[first].parameters
            ):
                yield where, f"{expression} must be $policy.<rule>.<parameter>"
        case root:
            yield from _unknown(where, [root], earlier, "earlier step")


def _sayings(where: str, scenario: c.Scenario, domain: Domain) -> Iterator[Problem]:
    here = f"{where}.phrasings"
    if len(scenario.phrasings) < MIN_PHRASINGS:
        yield here, f"needs at least {MIN_PHRASINGS} phrasings, has {len(scenario.phrasings)}"
    if len(set(scenario.reasons)) < MIN_REASONS:
        yield f"{where}.reasons", f"needs at least {MIN_REASONS} reasons, has {len(set(scenario.reasons))}"
    try:
        needed = domain.slot_parameters(scenario)
    except KeyError:
        return
    for text in scenario.phrasings:
        try:
            phrasing = Phrasing(text)
        except ValueError as error:
            yield here, str(error)
            continue
        if text != text.strip() or "  " in text:
            yield here, f"{text!r} has blanks to spare"
        for slot in phrasing.slots():
            yield from _unknown(here, [slot.name], scenario.slots, "slot")
            value = scenario.slots.get(slot.name)
            constant = not (isinstance(value, str) and parse_reference(value)) and not (
                isinstance(value, list) and len(value) > 1
            )
            if slot.wording is not None and not constant:
                yield here, f"{text!r}: slot {slot.name} varies, so its wording cannot be fixed"
        for name in needed:
            if not phrasing.always_says(name):
                yield here, f"{text!r} does not always say {name}"
