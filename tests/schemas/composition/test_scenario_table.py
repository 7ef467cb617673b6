"""The scenarios of a domain by name, written ones and composed ones, which are built when they are needed."""

from __future__ import annotations

import pytest

from gatling_sid.schemas.domain import Domain


def test_a_domain_without_parts_has_its_written_scenarios(library: Domain) -> None:
    """They are the scenarios of its one deck, as often as their weights say."""
    table = library.scenarios
    assert list(table) == list(library.file.scenarios)
    assert (len(table), table.number_of_decks, table.shapes(0)) == (len(library.file.scenarios), 1, {})
    assert table.weights(0) == {name: each.weight for name, each in library.file.scenarios.items()}
    assert all(table[name] is each and not table.is_composed(name) for name, each in library.file.scenarios.items())


def test_composed_scenarios_are_found_by_name(workshop: Domain) -> None:
    """A name of any deck leads to its task, which is built once; another name is an error."""
    name = list(workshop.scenarios.shapes(workshop.scenarios.number_of_decks - 1))[7]
    assert name in workshop.scenarios
    assert workshop.scenarios.is_composed(name)
    assert workshop.scenarios.task(name) is workshop.scenarios.task(name)
    assert workshop.scenarios[name] is workshop.scenarios.task(name).scenario
    assert "manager: juggle" not in workshop.scenarios
    with pytest.raises(KeyError, match="manager: juggle"):
        workshop.scenarios["manager: juggle"]


def test_written_scenarios_come_beside_parts(library: Domain, workshop: Domain) -> None:
    """Each deck has the written scenarios by their weight, which counts like that of a part."""
    whole = {"renew": library.file.scenarios["renew"].model_copy(update={"weight": 3})}
    mixed = Domain("workshop", workshop.file.model_copy(update={"scenarios": whole}), workshop.pools, workshop.voice)
    weights = mixed.scenarios.weights(0)
    composed = {name: each for name, each in weights.items() if name != "renew"}
    leading = sum(part.weight for part in workshop.file.parts.values())
    assert weights["renew"] == pytest.approx(3 * sum(composed.values()) / leading, rel=0.15)
    assert set(composed.values()) == {1}
    assert next(iter(mixed.scenarios)) == "renew"
    assert mixed.scenarios["renew"] is whole["renew"]
