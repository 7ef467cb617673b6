"""Display names: each means one domain, and an error about two names both files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatling_sid.errors import CatalogueError
from gatling_sid.schemas import DomainRegistry
from tests.conftest import CATALOGUE

LIBRARY = (CATALOGUE / "library.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["Library", "library", " LIBRARY", "Reading-Room"])
def test_a_name_that_two_domains_have_is_refused(name: str, tmp_path: Path) -> None:
    """Two names or slugs that are written alike are an error of both files, in whatever way they are asked for."""
    (tmp_path / "library.yaml").write_text(LIBRARY, encoding="utf-8")
    text = LIBRARY.replace("name: Library", f"name: '{name}'", 1)
    (tmp_path / "reading_room.yaml").write_text(text, encoding="utf-8")
    if name == "Reading-Room":
        assert DomainRegistry(tmp_path).domain("reading room").name == name
        return
    for ask_for_domain in (
        lambda: DomainRegistry(tmp_path).domain("library"),
        lambda: DomainRegistry(tmp_path).domain("reading_room"),
        lambda: DomainRegistry(tmp_path).get_all_domains(),
    ):
        with pytest.raises(
            CatalogueError, match=r"^library.yaml: .*reading_room.yaml|^reading_room.yaml: .*library.yaml"
        ):
            ask_for_domain()


def test_a_neighbour_that_is_being_written_does_no_harm(tmp_path: Path) -> None:
    """A domain loads although another file has no name yet."""
    (tmp_path / "library.yaml").write_text(LIBRARY, encoding="utf-8")
    (tmp_path / "new.yaml").write_text("", encoding="utf-8")
    assert DomainRegistry(tmp_path).domain("library").name == "Library"
