"""What the parameters of a tool mean, in words: as the file says it or, where it says nothing, as field and purpose do."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gatling_sid.models import SensitivityTier
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.language.wording import plain_words

_TESTS: Mapping[c.Match, str] = {
    "equals": "Only {rows} whose {field} is this.",
    "contains": "Only {rows} whose {field} contains this text.",
    "one_of": "Only {rows} whose {field} is one of these.",
    "at_least": "Only {rows} whose {field} is this or more.",
    "at_most": "Only {rows} whose {field} is this or less.",
    "since": "Only {rows} whose {field} is this day or later.",
    "until": "Only {rows} whose {field} is this day or earlier.",
    "within_days": "Only {rows} whose {field} lies within this many days before today.",
    "next_days": "Only {rows} whose {field} lies within this many days from today.",
}
"""What a filter does, by the condition that it tests."""
_PURPOSES: Mapping[c.ParameterPurpose, str] = {
    "key": "The {key} of the {row}.",
    "keys": "Exactly the {rows} with these {key}s.",
    "set": "The {field} that the {row} gets.",
    "add": "By how much the {field} grows.",
    "subtract": "By how much the {field} shrinks.",
    "limit": "Most {rows} to return.",
    "sort": "In which order, if not in the usual one.",
    "select": "Which fields to return; if left out, {returned}.",
    "target": "Where the file goes.",
    "format": "Which format the file has.",
    "measure": "Which figure.",
    "measured": "Of which field; a count needs none.",
    "group": "One figure for each value of this field.",
    "recipient": "The address of the recipient.",
    "about": "The {key} of the {row} it is about.",
    "content": "What to write.",
    "attachment": "What to attach.",
}
"""What every other parameter does, by its purpose."""
_PURPOSES_OF_OPERATIONS: Mapping[tuple[c.Operation, c.ParameterPurpose], str] = {
    ("aggregate", "limit"): "Only this many of the largest groups.",
    ("export", "select"): "Which fields to write; if left out, {returned}.",
    ("export", "limit"): "Most {rows} to write.",
    ("create", "set"): "The {field} of the new {row}.",
}


def describe_tool(file: c.DomainFile, tool: c.Tool, fields: Collection[str]) -> str:
    """The description of a tool; names fields that are confidential or restricted, and currencies other than dollars."""
    by_tier = {
        tier: [name for name in fields if file.entities[tool.entity].fields[name].sensitivity is tier]
        for tier in (SensitivityTier.CONFIDENTIAL, SensitivityTier.RESTRICTED)
    }
    classes = [f"{tier.value.capitalize()}: {', '.join(names)}." for tier, names in by_tier.items() if names]
    money = [file.entities[tool.entity].fields[name] for name in fields]
    currencies = sorted({each.currency for each in money if each.type == "money"} - {"USD"})
    amounts = [f"Amounts are in {' or '.join(currencies)}."] if currencies else []
    return " ".join([tool.description, *classes, *amounts])


def describe_parameter(file: c.DomainFile, tool: c.Tool, parameter: c.Parameter) -> str:
    """The description of a parameter; of a recipient, it says which addresses the tool accepts."""
    text = parameter.description or _derive(file, tool, parameter)
    if parameter.does != "recipient" or not tool.addressee:
        return text
    about = next(each for each in tool.parameters.values() if each.does == "about")
    of_any = "" if about.required else ", or of any if it is about none"
    whom = f"{' or '.join(tool.addressee)} of the {plain_words(tool.entity)} it is about{of_any}"
    return f"{text} Only {whom}."


def _derive(file: c.DomainFile, tool: c.Tool, parameter: c.Parameter) -> str:
    entity = file.entities[tool.entity]
    row, rows = next(iter(entity.noun.items()), (plain_words(tool.entity), f"{plain_words(tool.entity)} rows"))
    purpose = _PURPOSES_OF_OPERATIONS.get((tool.operation, parameter.does)) or _PURPOSES.get(parameter.does)
    return (purpose or _TESTS[parameter.match]).format(
        row=row,
        rows=rows,
        field=_name_of(entity, parameter.field or ""),
        key=_name_of(entity, entity.key),
        returned=", ".join(_name_of(entity, name) for name in tool.returns) or "none",
    )


def _name_of(entity: c.Entity, field: str) -> str:
    """What people call a field; a field without such a name is called as the file calls it."""
    declared = entity.fields.get(field)
    return declared.called[0] if declared is not None and declared.called else plain_words(field)
