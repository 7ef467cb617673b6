"""Which intents fit a goal, and which operations an intent is served with."""

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
"""The operations that serve a request of each intent."""
_CHANGES = ("update", "create", "delete", "export")


def intents_of(kinds: Iterable[str]) -> tuple[str, ...]:
    """The intents that fit a goal with these kinds of parts.

    A kind is that of an effect, `aggregate` for a measure, or any other text for rows that are shown. Changes decide
    the intent before messages, messages before measures, measures before rows.
    """
    distinct = set(kinds)
    changes = tuple(each for each in _CHANGES if each in distinct)
    if changes:
        return changes
    reads = ("analyze",) if "aggregate" in distinct else ("retrieve",)
    if "send" in distinct:  # beside what is read, the message may be a notice that a rule demands
        return ("create", "update", *(reads if distinct - {"send"} else ()))
    return reads
