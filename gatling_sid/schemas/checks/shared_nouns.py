"""Finds nouns that two domains of a catalogue share, since both could then be asked in the same words.

A request whose rows nothing describes ("Show me all the desks", "How many complaints do we have?") consists of shared
words but for the noun. So such rows go by the first noun of their entity, which must be no other domain's first noun.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.checks.problems import FileProblem
from gatling_sid.schemas.composition.targets import MOST_EXPECTED_ROWS

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


def shared_nouns(file: c.DomainFile, others: Mapping[str, c.DomainFile]) -> Iterator[FileProblem]:
    """Yields entities of a file whose first noun stands alone in requests of another domain, too; `others` are by slug."""
    own = nouns_alone(file)
    for slug, other in others.items():
        for noun in own.keys() & nouns_alone(other).keys():
            problem = (
                f"{noun!r} is also the first noun of {slug}.yaml, so requests such as 'show me all the {noun}' would "
            )
            yield f"entities.{own[noun]}.noun", f"{problem}be the same; begin with a noun of this domain alone"
