"""The tools of a domain as they are published, with a JSON Schema of their parameters."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from gatling_sid.models.base import TraceModel
from gatling_sid.models.tiers import SensitivityTier


class ToolParameter(TraceModel):
    """One parameter of a tool; `constraints` holds JSON Schema keywords (`minimum`, `enum`, …)."""

    name: str
    type: str
    description: str = ""
    required: bool = False
    default: Any = None
    constraints: dict[str, Any] = Field(default_factory=dict)


class ToolSchema(TraceModel):
    """One tool of a domain; `returns` is a JSON Schema of its results, or a sentence about them."""

    tool_id: str
    domain: str
    name: str
    description: str = ""
    parameters: list[ToolParameter] = Field(default_factory=list)
    returns: dict[str, Any] | str = Field(default_factory=dict)
    sensitivity: SensitivityTier = SensitivityTier.INTERNAL
    requires_auth: bool = True

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of the tool's arguments: an object that allows no other properties."""
        properties = {
            each.name: {
                "type": each.type,
                "description": each.description,
                **each.constraints,
                **({} if each.default is None else {"default": each.default}),
            }
            for each in self.parameters
        }
        required = [each.name for each in self.parameters if each.required]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
