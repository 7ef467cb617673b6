"""What a well-formed domain file may still get wrong: names that lead nowhere, words that cannot be said.

Each function yields (key, problem) pairs for one part of the file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, get_args

from gatling_sid.models import Constraint
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas import population as p
from gatling_sid.schemas.checks.scenario_checks import (
    Problem,
    condition_problems,
    not_values,
    repeated,
    scenario_problems,
    unknown,
)
from gatling_sid.schemas.constraints import KINDS, parameters_of
from gatling_sid.schemas.references import parse_reference

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

FEWEST_OPENINGS_AND_CLOSINGS = 12
_PLACEHOLDER = re.compile(r"\{(\w+)[^}]*\}")


def domain_problems(domain: Domain) -> Iterator[Problem]:
    """Everything wrong with a domain, first things first; later parts assume that earlier ones are sound."""
    for part in (_entities, _tools, _roles, _voice, _policy, _members, scenario_problems, _ambiguous):
        found = list(part(domain))
        yield from found
        if found:
            return


def _entities(domain: Domain) -> Iterator[Problem]:
    done: dict[str, c.Entity] = {}
    for name, entity in domain.file.entities.items():
        where = f"entities.{name}"
        yield from unknown(f"{where}.key", [entity.key], entity.fields, "field")
        if entity.key in entity.fields and entity.fields[entity.key].type != "id":
            yield f"{where}.key", f"{entity.key} is not of type id"
        earlier: dict[str, c.EntityField] = {}
        for field_name, field in entity.fields.items():
            here = f"{where}.fields.{field_name}"
            yield from _populate(here, field.populate, domain, earlier, done)
            if field.type == "choice" and field.words:
                yield from unknown(f"{here}.words", field.words, _values_of(field.populate, field.words), "value")
            earlier[field_name] = field
        done[name] = entity


def _values_of(populate: Any, words: Mapping[str, Any]) -> Iterable[str]:
    return populate.choice if isinstance(populate, p.ChoiceFill) and len(populate.choice) >= len(words) else words


def _populate(
    where: str, spec: Any, domain: Domain, earlier: Mapping[str, c.EntityField], done: Mapping[str, c.Entity]
) -> Iterator[Problem]:
    yield from _ranges(where, spec)
    match spec:
        case p.PoolFill(pool=str(pool)):
            yield from unknown(where, [pool], domain.pools, "pool")
        case p.TemplateFill():
            yield from unknown(
                where, _PLACEHOLDER.findall(spec.template), {*domain.pools, *earlier}, "pool or earlier field"
            )
        case p.DaysAfterFill(days_after=name) | p.FractionFill(fraction_of=name):
            yield from unknown(where, [name], earlier, "earlier field")
        case p.EmailFill():
            yield from unknown(where, spec.email, earlier, "earlier field")
        case p.ReferenceFill():
            yield from unknown(where, [spec.ref], done, "entity above")
            if spec.ref in done:
                yield from unknown(where, spec.where, done[spec.ref].fields, f"field of {spec.ref}")
        case p.CopyFill():
            yield from _copy(where, spec.copy_of, domain, earlier, done)
        case p.ByFieldFill():
            yield from unknown(where, [spec.by], earlier, "earlier field")
            for each in [*spec.cases.values(), spec.otherwise]:
                yield from _populate(where, each, domain, earlier, done)
        case p.IfPastFill():
            yield from unknown(where, [spec.if_past], earlier, "earlier field")
            for each in [spec.then, spec.otherwise]:
                yield from _populate(where, each, domain, earlier, done)


def _ranges(where: str, spec: Any) -> Iterator[Problem]:
    """Declarations that nothing could be drawn from."""
    match spec:
        case (
            p.IntegerFill(integer=(low, high)) | p.MoneyFill(money=(low, high)) | p.DaysAgoFill(days_ago=(low, high))
            | p.DaysAheadFill(days_ahead=(low, high)) | p.DaysAfterFill(days=(low, high)) | p.FractionFill(between=(low, high))
        ) if low > high:  # fmt: skip
            yield where, f"{low} to {high} runs backwards"
        case p.MoneyFill(money=(low, _)) if low <= 0:
            yield where, f"an amount starts above 0, not at {low:g}"
        case p.ChoiceFill(choice=weights) if not weights or min(weights.values()) < 0 or not any(weights.values()):
            yield where, "a choice needs values, and weights above 0"
        case p.PoolFill(pool=[]):
            yield where, "the list is empty"


def _copy(
    where: str, path: str, domain: Domain, earlier: Mapping[str, c.EntityField], done: Mapping[str, c.Entity]
) -> Iterator[Problem]:
    reference, _, field = path.partition(".")
    if reference not in earlier or earlier[reference].type != "ref":
        yield where, f"copy needs `reference_field.field`, and {reference!r} is no earlier field of type ref"
        return
    holder = next(e for e in domain.file.entities.values() if e.fields.get(reference) is earlier[reference])
    if domain.referenced_entity(holder, reference) in done:
        yield from unknown(where, [field], done[domain.referenced_entity(holder, reference)].fields, "field")


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
            yield from unknown(f"{where}.entity", [tool.entity], domain.file.entities, "entity")
            continue
        entity = domain.file.entities[tool.entity]
        for key, names in (("returns", tool.returns), ("sets", tool.sets), ("requires", tool.requires)):
            yield from unknown(f"{where}.{key}", names, entity.fields, f"field of {tool.entity}")
        for key, given in (("sets", {f: [v] for f, v in tool.sets.items()}), ("requires", tool.requires)):
            for field, values in given.items():
                if field in entity.fields:
                    yield from not_values(f"{where}.{key}", entity.fields[field], values)
        if tool.order:
            yield from unknown(
                f"{where}.order", [tool.order.removeprefix("-")], entity.fields, f"field of {tool.entity}"
            )
        if tool.operation in ("list", "get", "update", "export") and not tool.returns:
            yield f"{where}.returns", f"a tool that does {tool.operation} must say which fields it returns"
        roles = [parameter.does for parameter in tool.parameters.values()]
        for needed in _NEEDS.get(tool.operation, ()):
            if not needed & set(roles):
                yield (
                    f"{where}.parameters",
                    f"{tool.operation} needs a parameter that does {' or '.join(sorted(needed))}",
                )
        yield from _addressee(where, tool, entity)
        yield from _parameters(where, tool, entity)


def _addressee(where: str, tool: c.Tool, entity: c.Entity) -> Iterator[Problem]:
    """Whom a message may go to is said by addresses of the record that the message is about."""
    if not tool.addressee:
        return
    here = f"{where}.addressee"
    yield from unknown(here, tool.addressee, entity.fields, f"field of {tool.entity}")
    for name in tool.addressee:
        if name in entity.fields and entity.fields[name].type != "email":
            yield here, f"{name} is not of type email"
    if tool.operation != "send":
        yield here, f"a tool that does {tool.operation} writes to nobody"
    elif not any(each.does == "about" for each in tool.parameters.values()):
        yield here, "needs a parameter that does about"


def _parameters(where: str, tool: c.Tool, entity: c.Entity) -> Iterator[Problem]:
    for name, parameter in tool.parameters.items():
        here = f"{where}.parameters.{name}"
        if parameter.does in _WITH_FIELD:
            yield from unknown(f"{here}.field", [parameter.field or ""], entity.fields, f"field of {tool.entity}")
        if parameter.does in ("key", "recipient", "target", "keys") and not parameter.required and tool.operation not in (
            "list", "aggregate", "export",
        ):  # fmt: skip
            yield here, f"a parameter that does {parameter.does} must be required"
        if parameter.does in ("select", "measured", "group"):
            yield from unknown(here, parameter.values or (), entity.fields, f"field of {tool.entity}")
        if parameter.does == "measure":
            yield from unknown(here, parameter.values or (), get_args(c.Measure), "measure")
        if parameter.does == "target" and not parameter.values:
            yield here, "a target needs its values, narrowest audience first"
        if parameter.does == "target" and not parameter.required:
            yield here, "a target must be required, so that every export says where it goes"
        if parameter.default is not None and parameter.values and parameter.default not in parameter.values:
            yield here, f"the default {parameter.default!r} is not one of the values"
    for role, times in Counter(parameter.does for parameter in tool.parameters.values()).items():
        if times > 1 and role not in ("filter", "set", "content", "attachment"):
            yield f"{where}.parameters", f"{times} parameters do {role}"


# --- roles, voice, policy --------------------------------------------------------------------------------------


def _roles(domain: Domain) -> Iterator[Problem]:
    for name, role in domain.file.roles.items():
        where = f"roles.{name}"
        if role.entity not in domain.file.entities:
            yield from unknown(where, [role.entity], domain.file.entities, "entity")
            continue
        fields = domain.file.entities[role.entity].fields
        yield from unknown(f"{where}.where", role.where, fields, f"field of {role.entity}")
        for field, value in role.where.items():
            if field in fields:
                yield from condition_problems(f"{where}.where.{field}", fields[field], value)
        yield from unknown(f"{where}.attributes", role.attributes, fields, f"field of {role.entity}")


def _voice(domain: Domain) -> Iterator[Problem]:
    for key, texts in (("openings", domain.file.voice.openings), ("closings", domain.file.voice.closings)):
        yield from repeated(f"voice.{key}", texts)
        if len(set(texts)) < FEWEST_OPENINGS_AND_CLOSINGS:
            yield (
                f"voice.{key}",
                f"needs at least {FEWEST_OPENINGS_AND_CLOSINGS} different texts, has {len(set(texts))}",
            )
        for text in texts:
            if set(text) & set("{}[]|") or text != text.strip() or not text:
                yield f"voice.{key}", f"{text!r} must be plain text without slots or surrounding blanks"


def _policy(domain: Domain) -> Iterator[Problem]:
    family = domain.file.policy
    for axis, values in family.vary.items():
        if len(values) < 2:
            yield f"policy.vary.{axis}", "needs two or more values"
        if any(value in ([], "", None) for value in values):
            yield f"policy.vary.{axis}", "one of its values is empty"
    for name, rule in family.rules.items():
        where = f"policy.rules.{name}"
        yield from unknown(f"{where}.kind", [rule.kind], KINDS, "kind of constraint")
        if rule.sometimes and name in family.vary:
            yield where, f"{name} is an axis already, and a rule that is in force sometimes is one too"
        yield from unknown(f"{where}.says", _PLACEHOLDER.findall(rule.says), family.vary, "axis")
        yield from _axes_named(f"{where}.with", rule, domain)
        problem = _misshapen(name, rule, family.vary)
        if problem:
            yield f"{where}.with", problem
        else:
            yield from _constraint(f"{where}.with", rule, domain)


def _misshapen(name: str, rule: c.Rule, vary: Mapping[str, list[Any]]) -> str | None:
    """Why the rule's parameters are not those of its kind, with the first value of each axis."""
    first = {f"$policy.{axis}": values[0] for axis, values in vary.items() if values}
    given = {
        key: first.get(value, value) if isinstance(value, str) else value for key, value in rule.parameters.items()
    }
    try:
        parameters_of(Constraint(constraint_id=name, kind=rule.kind, parameters=given, rule=0))
    except ValueError as error:
        return str(error)
    return None


def _constraint(where: str, rule: c.Rule, domain: Domain) -> Iterator[Problem]:
    # What an axis of the family gives is checked when its members are built.
    given = {key: value for key, value in rule.parameters.items() if not _is_axis(value)}
    file = domain.file
    yield from unknown(where, given.get("roles") or (), file.roles, "role")
    tools = [*_tools_named(rule, domain), *([given["notify"]] if "notify" in given else ())]
    yield from unknown(where, tools, file.tools, "tool")
    yield from _fields_named(where, given, file)
    for tool in tools:
        if tool in file.tools:
            yield from _arguments_named(where, rule.kind, given, tool, file.tools[tool])
    if "attribute" in given:
        for role in given.get("roles") or file.roles:
            if role in file.roles:
                yield from unknown(where, [given["attribute"]], file.roles[role].attributes, f"attribute of {role}")
    if given.get("notify") in file.tools:
        yield from _notice(where, given, file.tools[given["notify"]])


def _fields_named(where: str, given: Mapping[str, Any], file: c.DomainFile) -> Iterator[Problem]:
    if given.get("entity") is None:
        return
    yield from unknown(where, [given["entity"]], file.entities, "entity")
    if given["entity"] in file.entities:
        fields = [given[key] for key in ("field", "recipient_field") if key in given] + list(given.get("fields", ()))
        known = file.entities[given["entity"]].fields
        yield from unknown(where, fields, known, f"field of {given['entity']}")
        if given.get("field") in known:
            yield from not_values(where, known[given["field"]], given.get("allowed", ()))


def _arguments_named(where: str, kind: str, given: Mapping[str, Any], name: str, tool: c.Tool) -> Iterator[Problem]:
    names = [given["argument"]] if "argument" in given else given.get("arguments", ())
    yield from unknown(where, names, tool.parameters, f"parameter of {name}")
    for argument in names:
        parameter = tool.parameters.get(argument)
        if kind == "argument_values" and parameter is not None and _may_be_left_out(parameter):
            yield where, f"{argument} of {name} may be left out, which takes every value; make it required"


def _may_be_left_out(parameter: c.Parameter) -> bool:
    """Whether a call can do without this filter; it then takes what every value of it would take."""
    return parameter.does == "filter" and not parameter.required and parameter.default is None


def _notice(where: str, given: Mapping[str, Any], tool: c.Tool) -> Iterator[Problem]:
    """A notice that a rule demands can be sent: by a tool that writes about the record, to that address."""
    if tool.operation != "send" or tool.entity != given.get("entity", tool.entity):
        yield where, f"{given['notify']} does not write about {given.get('entity')}"
    field = given.get("recipient_field", "")
    if tool.addressee and field and field not in tool.addressee:
        yield where, f"{given['notify']} writes to {' or '.join(tool.addressee)} alone, never to {field}"


def _tools_named(rule: c.Rule, domain: Domain) -> list[str]:
    """The tools that a rule names itself, or by an axis."""
    tools = rule.parameters.get("tools")
    reference = parse_reference(tools) if isinstance(tools, str) else None
    lists = domain.file.policy.vary.get(str(reference.path[0]), []) if reference and reference.path else [tools]
    return [tool for each in lists if isinstance(each, list) for tool in each]


def _axes_named(where: str, rule: c.Rule, domain: Domain) -> Iterator[Problem]:
    """Expressions in a rule name an axis of the family, whole."""
    for value in rule.parameters.values():
        reference = parse_reference(value) if isinstance(value, str) else None
        if reference:
            if reference.root != "policy" or len(reference.path) != 1:
                yield where, f"{value} must be $policy.<axis>"
            else:
                yield from unknown(where, [str(reference.path[0])], domain.file.policy.vary, "axis")


def _is_axis(value: object) -> bool:
    return isinstance(value, str) and parse_reference(value) is not None


def _members(domain: Domain) -> Iterator[Problem]:
    """Building every value of every axis shows whether its parameters fit their kinds."""
    for column in zip_longest(*(range(size) for size in domain.family.axis_sizes), fillvalue=0):
        try:
            domain.family.policy(tuple(column))
        except (ValueError, KeyError) as error:
            yield "policy.rules", str(error)


def _ambiguous(domain: Domain) -> Iterator[Problem]:
    """Words that say two values of one field could not be read back."""
    for (entity, field), ways in domain.lexicon.items():
        said: dict[str, Any] = {}
        for value, words in ways.items():
            for word in words:
                if said.setdefault(word.casefold(), value) != value:
                    yield f"{entity}.{field}", f"{word!r} says both {said[word.casefold()]!r} and {value!r}"
