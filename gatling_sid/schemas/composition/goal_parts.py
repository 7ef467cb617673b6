"""What a part of a task adds to the goal: rows that are shown, a measure, or an effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.composition.shape_types import Use

GoalPart = (
    c.GoalShowing | c.GoalMeasure | c.UpdateEffect | c.CreateEffect | c.DeleteEffect | c.ExportEffect | c.SendEffect
)


def goal_part_of(use: Use, tool: c.Tool, rows: str, values: Mapping[str, Any]) -> GoalPart:
    """The goal of a part that is applied to drawn rows; `values` has its arguments in terms of draws, by parameter."""
    choices, columns = dict(use.choices), list(use.columns or tool.returns)
    by_purpose: dict[str, str] = {parameter.does: name for name, parameter in tool.parameters.items()}
    fields: dict[str, Any] = {**tool.sets, **_values_for("set", tool, values)}
    match tool.operation:
        case "list" | "get":
            return c.GoalShowing.model_construct(rows=rows, fields=columns)
        case "aggregate":
            return c.GoalMeasure.model_construct(
                rows=rows,
                measure=choices.get(by_purpose.get("measure", ""), "count"),
                field=choices.get(by_purpose.get("measured", "")),
                group_by=choices.get(by_purpose.get("group", "")),
                top=None,
            )
        case "update":
            added, subtracted = (_values_for(purpose, tool, values) for purpose in ("add", "subtract"))
            return c.UpdateEffect.model_construct(update=rows, set=fields, add=added, subtract=subtracted, when=None)
        case "create":
            return c.CreateEffect.model_construct(create=tool.entity, set=fields, when=None)
        case "delete":
            return c.DeleteEffect.model_construct(delete=rows, when=None)
        case "export":
            file_format = values.get(by_purpose.get("format", ""))
            target = values[by_purpose["target"]]
            return c.ExportEffect.model_construct(
                export=rows, fields=columns, target=target, format=file_format, when=None
            )
        case "send":
            names = [name for name, each in tool.parameters.items() if each.does in ("content", "attachment")]
            contents = {name: values[name] for name in names if name in values}
            recipient = values[by_purpose["recipient"]]
            about = rows if rows and "about" in by_purpose else None
            entity = tool.entity if about is None else None
            return c.SendEffect.model_construct(send=recipient, about=about, of=entity, contents=contents, when=None)


def _values_for(purpose: str, tool: c.Tool, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that arguments of a purpose give to fields, by field."""
    given = [
        (each.field or "", values[name])
        for name, each in tool.parameters.items()
        if each.does == purpose and name in values
    ]
    return dict(given)
