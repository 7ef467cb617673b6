"""The names of tools in a domain file, and their full ids."""

from __future__ import annotations

_DOT = "__"


def tool_id_of(slug: str, name: str) -> str:
    """The full id of a tool that the domain `slug` calls `name`: its own `get_ticket`, or a borrowed `calendar.create_event`."""
    return name if "." in name else f"{slug}.{name}"


def limits_of_tool(name: str) -> str:
    """The expression of the limits at a tool, whose name may have a dot: `$limits.calendar__create_event`."""
    return f"$limits.{name.replace('.', _DOT)}"


def tool_of_limits(name: str) -> str:
    """The tool whose limits an expression names; the inverse of `limits_of_tool`."""
    return name.replace(_DOT, ".")


def tool_name_in(slug: str, tool_id: str) -> str:
    """What the domain `slug` calls the tool with a full id; the inverse of `tool_id_of`."""
    return tool_id.removeprefix(f"{slug}.")
