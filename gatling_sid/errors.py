"""All errors that this project raises for its users.

SidError
├── CatalogueError      (ValueError) a domain file is not acceptable
├── UnknownDomainError  (LookupError) no domain of that name
├── UnknownToolError    (LookupError) no tool of that name
├── TraceFormatError    (ValueError) a record that is not a trace
├── GenerationError     a run that cannot go on
├── ShardError          (OSError) a shard that cannot be read or written
├── PublishError        a release that could not be published
└── OracleError         an oracle that cannot answer
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class SidError(Exception):
    """Base of all errors of this project; its text says what, where and what to do."""

    def __reduce__(self) -> tuple[object, ...]:
        """Lets an error be pickled with all its values, whatever arguments its constructor takes."""
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[SidError], args: tuple[object, ...], values: dict[str, object]) -> SidError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(values)
    return error


class CatalogueError(SidError, ValueError):
    """A domain file is not acceptable: `source` names the file, `where` the key."""

    def __init__(self, source: str, where: str, problem: str) -> None:
        super().__init__(f"{source}: {where}: {problem}" if where else f"{source}: {problem}")
        self.source = source
        self.where = where
        self.problem = problem


def _suggest(name: str, known: Iterable[str]) -> str:
    spelled = {each.casefold(): each for each in known}
    near = get_close_matches(name.casefold(), spelled, n=1, cutoff=0.5)
    return f"; did you mean {spelled[near[0]]!r}?" if near else f"; known are {', '.join(sorted(spelled.values()))}"


class UnknownDomainError(SidError, LookupError):
    """No domain has this name; the message suggests one that is spelled alike or lists all."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"no domain named {name!r}{_suggest(name, known)}")
        self.name = name


class UnknownToolError(SidError, LookupError):
    """No tool has this id; the message suggests one that is spelled alike or lists all."""

    def __init__(self, tool_id: str, known: Iterable[str]) -> None:
        super().__init__(f"no tool named {tool_id!r}{_suggest(tool_id, known)}")
        self.tool_id = tool_id


class TraceFormatError(SidError, ValueError):
    """A record is not a trace; `where` names its place in the input."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where


class GenerationError(SidError):
    """A run cannot start, or cannot go on."""


class ShardError(SidError, OSError):
    """A shard cannot be read, or cannot be written."""


class PublishError(SidError):
    """A release could not be published; readers are still on the previous version."""


class OracleError(SidError):
    """An oracle cannot go on: it has no key, no budget or no unused words left."""
