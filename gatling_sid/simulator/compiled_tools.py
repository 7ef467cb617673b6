"""Tools in the form in which they are executed: their parameters by what they do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gatling_sid.models import SensitivityTier
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.conditions import DAY_MATCHES
from gatling_sid.schemas.domain import Domain


class Addition(NamedTuple):
    """A parameter whose number, times `sign`, is added to a field, unless the result would be lower than `least`."""

    parameter: str
    field: str
    sign: int
    least: float | None


@dataclass(frozen=True, slots=True)
class CompiledTool:
    """A tool with its parameters grouped by what they do, so that a call need not look them up in the catalogue."""

    tool_id: str
    tool: c.Tool
    domain: Domain
    key_field: str
    parameter_for: dict[str, str]
    filters: tuple[tuple[str, str, str], ...]
    periods: tuple[tuple[str, str], ...]
    sets: tuple[tuple[str, str], ...]
    additions: tuple[Addition, ...]
    contents: tuple[str, ...]
    defaults: dict[str, Any] = field(default_factory=dict)

    @property
    def entity(self) -> str:
        """The name of the entity that the tool acts on."""
        return self.tool.entity

    def fields(self, arguments: dict[str, Any]) -> tuple[str, ...]:
        """The fields that a call shows: those it selects, or all that the tool returns."""
        select = self.parameter_for.get("select")
        return tuple(arguments[select]) if select in arguments else tuple(self.tool.returns)

    def order(self, arguments: Mapping[str, Any]) -> str | None:
        """The order of a call's rows: the one that it asks for, or else the tool's."""
        order: str | None = arguments.get(self.parameter_for.get("sort", ""), self.tool.order)
        return order

    def sensitivity(self, fields: tuple[str, ...]) -> SensitivityTier:
        """The highest tier among fields of the tool's entity."""
        return self.domain.highest_tier(self.entity, fields)


def compile_tools(domain: Domain) -> dict[str, CompiledTool]:
    """Every tool of a domain, compiled, by its full id such as `finance.list_invoices`."""
    return {tool_id: _compile(domain, tool_id, tool) for tool_id, tool in domain.tools.items()}


_PERIOD_MATCHES = (*DAY_MATCHES, "since")
"""Ways of matching that look back or ahead a number of days from today."""
_SIGNS = {"add": 1, "subtract": -1}
_REPEATABLE_PURPOSES = ("filter", "set", "content", *_SIGNS)
"""Purposes that several parameters of a tool may have."""


def _compile(domain: Domain, tool_id: str, tool: c.Tool) -> CompiledTool:
    parameters = tool.parameters.items()
    return CompiledTool(
        tool_id=tool_id,
        tool=tool,
        domain=domain,
        key_field=domain.file.entities[tool.entity].key,
        parameter_for={p.does: name for name, p in parameters if p.does not in _REPEATABLE_PURPOSES},
        filters=tuple((name, p.field or "", p.match) for name, p in parameters if p.does == "filter"),
        periods=tuple((name, p.match) for name, p in parameters if p.does == "filter" and p.match in _PERIOD_MATCHES),
        sets=tuple((name, p.field or "") for name, p in parameters if p.does == "set"),
        additions=tuple(
            Addition(name, p.field or "", _SIGNS[p.does], p.keeps_at_least)
            for name, p in parameters
            if p.does in _SIGNS
        ),
        contents=tuple(name for name, p in parameters if p.does in ("content", "attachment")),
        defaults={name: p.default for name, p in parameters if p.default is not None},
    )
