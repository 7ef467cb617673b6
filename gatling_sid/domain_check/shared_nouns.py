"""Finds nouns that two domains of a catalogue share, since both could then be asked in the same words.

A request whose rows nothing describes ("Show me all the desks", "How many complaints do we have?") consists of shared
words but for the noun. So such rows go by the first noun of their entity, which must be no other domain's first noun.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gatling_sid.errors import CatalogueError
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.checks.problems import FileProblem
from gatling_sid.schemas.composition.targets import MOST_EXPECTED_ROWS
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.registry import read_domain_file

_ABOUT_NO_ROWS_OR_ONE = ("create", "get", "send")


def nouns_alone(file: c.DomainFile) -> dict[str, str]:
    """The plurals by which rows go that nothing describes, and the entities of these rows.

    Where the number of rows decides whether people ask for all of them, this may name more than are ever asked for.
    """
    found = {}
    for part in file.parts.values():
        tool = file.tools.get(part.tool)
        if tool is None or part.must_say or part.number == "one" or tool.operation in _ABOUT_NO_ROWS_OR_ONE:
            continue
        entity = file.entities.get(part.of or tool.entity)
        is_short = entity is not None and (tool.operation == "aggregate" or entity.count <= MOST_EXPECTED_ROWS)
        if entity is not None and is_short and entity.noun:
            found[next(iter(entity.noun.values()))] = part.of or tool.entity
    return found


def shared_nouns(domain: Domain, folder: Path) -> Iterator[FileProblem]:
    """Yields entities whose first noun stands alone in requests of another domain of the folder, too; skips drafts."""
    own = nouns_alone(domain.file)
    for other in sorted(folder.glob("*.yaml")):
        shared = own.keys() & _nouns_alone_in(other) if other.stem != domain.slug else set()
        for noun in sorted(shared):
            problem = (
                f"{noun!r} is also the first noun of {other.name}, so requests such as 'show me all the {noun}' would"
            )
            yield f"entities.{own[noun]}.noun", f"{problem} be the same; begin with a noun of this domain alone"


def _nouns_alone_in(path: Path) -> set[str]:
    try:
        return {*nouns_alone(read_domain_file(path))}
    except CatalogueError:  # it is being written
        return set()
