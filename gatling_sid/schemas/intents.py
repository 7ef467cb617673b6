"""The intents that what is done can be asked for under."""

from __future__ import annotations

from collections.abc import Iterable

OPERATIONS_OF_INTENT = {
    "retrieve": ("list", "get"),
    "update": ("update", "send"),
    "create": ("create", "send"),
    "delete": ("delete",),
    "export": ("export",),
    "analyze": ("aggregate",),
}
_CHANGES = ("update", "create", "delete", "export")


def intents_of(done: Iterable[str]) -> tuple[str, ...]:
    """The intents that fit what is done: kinds of effects, `aggregate` for figures, any other name for reading.

    Changes decide before messages, messages before figures, figures before reading.
    """
    kinds = set(done)
    changes = tuple(each for each in _CHANGES if each in kinds)
    if changes:
        return changes
    if "send" in kinds:
        return "create", "update"
    return ("analyze",) if "aggregate" in kinds else ("retrieve",)
