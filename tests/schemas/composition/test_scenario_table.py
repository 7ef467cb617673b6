"""The scenarios of a world by name, written ones and composed ones, which are built when they are needed."""

from __future__ import annotations

import pytest

from gatling_sid.schemas.domain import Domain


def test_a_domain_without_parts_has_its_written_scenarios(library: Domain) -> None:
    """They are the scenarios of every world, as often as their weights say."""
    for world in ("train-0", "test-12"):
        table = library.scenarios_of(world)
        assert list(table) == list(library.file.scenarios)
        assert (len(table), table.shapes) == (len(library.file.scenarios), {})
        assert table.weights == {name: each.weight for name, each in library.file.scenarios.items()}
        assert all(table[name] is each and not table.is_composed(name) for name, each in library.file.scenarios.items())


def test_composed_scenarios_are_found_by_name(workshop: Domain) -> None:
    """A name leads to its task, which is built once; another name is an error."""
    scenarios = workshop.scenarios_of("train-2")
    name = list(scenarios.shapes)[7]
    assert name in scenarios
    assert scenarios.is_composed(name)
    assert scenarios.task(name) is scenarios.task(name)
    assert scenarios[name] is scenarios.task(name).scenario
    assert "manager: juggle" not in scenarios
    with pytest.raises(KeyError, match="manager: juggle"):
        scenarios["manager: juggle"]


def test_written_scenarios_come_beside_parts(library: Domain, workshop: Domain) -> None:
    """Each world has the written scenarios by their weight, which counts like that of a part."""
    whole = {"renew": library.file.scenarios["renew"].model_copy(update={"weight": 3})}
    mixed = Domain("workshop", workshop.file.model_copy(update={"scenarios": whole}), workshop.pools, workshop.voice)
    scenarios = mixed.scenarios_of("train-0")
    composed = {name: each for name, each in scenarios.weights.items() if name != "renew"}
    leading = sum(part.weight for part in workshop.file.parts.values())
    assert scenarios.weights["renew"] == pytest.approx(3 * sum(composed.values()) / leading, rel=0.15)
    assert set(composed.values()) == {1}
    assert next(iter(scenarios)) == "renew"
    assert scenarios["renew"] is whole["renew"]
