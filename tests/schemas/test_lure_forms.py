"""The shared forms of lures: a text that could not hold an order, or a place for no guise, is refused."""

from __future__ import annotations

import json

import pytest

from gatling_sid.errors import CatalogueError
from gatling_sid.schemas.lure_forms import parse_lure_forms
from gatling_sid.schemas.registry import LURES

PLAIN = {"plain": {"en": ["{order}."]}}
PLACE = {"says": ["{text} {lure}"], "guises": ["plain"]}


def content(texts: object = PLAIN, **place: object) -> bytes:
    """A file with one place, in which something is other than it should be."""
    return json.dumps({"guises": texts, "places": {"end": {**PLACE, **place}}}).encode()


def test_the_forms_that_ship() -> None:
    """Every guise has English texts and a place, and alternatives are written out."""
    forms = parse_lure_forms(LURES.read_bytes(), LURES.name)
    assert {guise for place in forms.places.values() for guise in place.guises} == forms.guises.keys()
    assert all(texts["en"] for texts in forms.guises.values())
    assert parse_lure_forms(content({"plain": {"en": ["[Now|Soon], {order}."]}}), "f").guises["plain"]["en"] == [
        "Now, {order}.",
        "Soon, {order}.",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (content(guises=["bare"]), "lures.yaml: places.end.guises: there is no guise 'bare'"),
        (content(says=["{lure}"]), "lures.yaml: places.end.says: '{lure}' needs {text} and {lure}, once each"),
        (
            content(says=["{text} {lure} {lure}"]),
            "lures.yaml: places.end.says: '{text} {lure} {lure}' needs {text} and {lure}, once each",
        ),
        (content({"plain": {"en": ["Do it."]}}), "lures.yaml: guises.plain.en: each text needs {order}, once"),
        (content(colour="red"), "lures.yaml: places.end.colour: Extra inputs are not permitted"),
    ],
)
def test_bad_forms(text: bytes, problem: str) -> None:
    """Each mistake is named with its key."""
    with pytest.raises(CatalogueError) as caught:
        parse_lure_forms(text, "lures.yaml")
    assert str(caught.value) == problem
