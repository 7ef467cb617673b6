"""All errors that this project raises for its users.

SidError
├── CatalogueError      (ValueError) a domain file that has a problem
├── UnknownDomainError  (LookupError) a domain that does not exist
├── UnknownToolError    (LookupError) a tool that does not exist
├── TraceFormatError    (ValueError) a line or row that is not a trace
├── GenerationError     a run that cannot start or continue
├── ShardError          (OSError) a shard that cannot be read or written
├── PublishError        a release that could not be published
└── OracleError         an oracle that cannot continue
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class SidError(Exception):
    """Base of all errors of this project; its text says what is wrong, where, and what to do."""

    def __reduce__(self) -> tuple[object, ...]:
        """Lets an error be pickled with all its values, whatever arguments its constructor takes."""
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[SidError], args: tuple[object, ...], values: dict[str, object]) -> SidError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(values)
    return error


class CatalogueError(SidError, ValueError):
    """A domain file has a problem: `source` names the file, `where` the key."""

    def __init__(self, source: str, where: str, problem: str) -> None:
        super().__init__(f"{source}: {where}: {problem}" if where else f"{source}: {problem}")
        self.source = source
        self.where = where
        self.problem = problem


def suggest_name(name: str, known: Iterable[str]) -> str:
    """The nearest of the known names as the end of a message, or all of them if none is near."""
    spelled = {each.casefold(): each for each in known}
    near = get_close_matches(name.casefold(), spelled, n=1, cutoff=0.5)
    return f"; did you mean {spelled[near[0]]!r}?" if near else f"; known are {', '.join(sorted(spelled.values()))}"


class UnknownDomainError(SidError, LookupError):
    """No domain has this name; the message suggests the most similar name, or lists all names."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"no domain named {name!r}{suggest_name(name, known)}")
        self.name = name


class UnknownToolError(SidError, LookupError):
    """No tool has this id; the message suggests the most similar id, or lists all ids."""

    def __init__(self, tool_id: str, known: Iterable[str]) -> None:
        super().__init__(f"no tool named {tool_id!r}{suggest_name(tool_id, known)}")
        self.tool_id = tool_id


class TraceFormatError(SidError, ValueError):
    """A line or row of the input is not a trace; `where` names its place."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where


class GenerationError(SidError):
    """A run cannot start, or cannot continue."""


class ShardError(SidError, OSError):
    """A shard cannot be read or written."""


class PublishError(SidError):
    """A release could not be published; readers still get the previous version."""


class OracleError(SidError):
    """An oracle cannot continue: it has no key, no budget or no unused wordings left."""
