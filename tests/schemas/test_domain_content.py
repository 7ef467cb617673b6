"""A domain file and its continuation: what may be continued, and what is refused."""

from __future__ import annotations

import pytest

from gatling_sid.errors import CatalogueError
from gatling_sid.schemas.domain_content import parse_domain

FILE = b"name: Zoo\npools: {cages: [north, south]}\n"


def test_a_continuation_adds_entries() -> None:
    """Entries stand beside those of the file, in sections that it has and in new ones; without a continuation, none do."""
    more = b"pools: {meals: [hay]}\nunserved: {print: {}}\n"
    assert parse_domain(FILE, more, "zoo") == {
        "name": "Zoo",
        "pools": {"cages": ["north", "south"], "meals": ["hay"]},
        "unserved": {"print": {}},
    }
    assert parse_domain(FILE, b"", "zoo") == {"name": "Zoo", "pools": {"cages": ["north", "south"]}}


@pytest.mark.parametrize(
    ("file", "more", "problem"),
    [
        (FILE, b"tools: {}", "outside/zoo.yaml: is a mapping that has only the keys pools, lures, unserved"),
        (FILE, b"- pools", "outside/zoo.yaml: is a mapping that has only the keys pools, lures, unserved"),
        (FILE, b"pools: [hay]", "outside/zoo.yaml: pools: is a mapping"),
        (b"name: Zoo\npools: [hay]", b"pools: {meals: [hay]}", "outside/zoo.yaml: pools: is a mapping"),
        (
            FILE,
            b"pools: {cages: [east]}",
            "outside/zoo.yaml: pools.cages: stands in zoo.yaml, too; remove one of them",
        ),
        (
            FILE,
            b"pools: {}\npools: {}",
            "outside/zoo.yaml: line 2: 'pools' appears twice in the same mapping; remove one",
        ),
    ],
)
def test_bad_continuations(file: bytes, more: bytes, problem: str) -> None:
    """What may not be continued, or stands in both files, is refused with file and key."""
    with pytest.raises(CatalogueError) as caught:
        parse_domain(file, more, "zoo")
    assert str(caught.value) == problem
