"""How lures are put, in any domain: the guises of `lures.yaml`, and where in a text they stand."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError

from gatling_sid.errors import CatalogueError
from gatling_sid.schemas.language.alternatives import expanded
from gatling_sid.schemas.strict import StrictModel
from gatling_sid.schemas.yaml_loading import parse_yaml_bytes

Texts = Annotated[list[str], AfterValidator(expanded)]


class LurePlace(StrictModel):
    """Where a lure stands: texts with `{text}` for what the sender wrote and `{lure}`; only some `guises` may fit there."""

    says: Texts = Field(min_length=1)
    guises: list[str] = Field(min_length=1)


class LureForms(StrictModel):
    """The guises of lures, by name and language, with `{order}` for what the domain's lure orders; and their places."""

    guises: dict[str, dict[str, Texts]]
    places: dict[str, LurePlace]

    def languages(self) -> list[str]:
        """The languages that every guise has; an order in one of them can stand in every place."""
        having = [set(by_language) for by_language in self.guises.values()]
        return sorted(set.intersection(*having)) if having else []


NO_FORMS = LureForms(guises={}, places={})
"""Those of a domain without lures."""


@lru_cache(maxsize=2)
def parse_lure_forms(content: bytes, name: str) -> LureForms:
    """The forms in a file. Raises CatalogueError, which names the key that is wrong."""
    try:
        forms = LureForms.model_validate_json(json.dumps(parse_yaml_bytes(content, name)))
    except ValidationError as error:
        first = error.errors()[0]
        raise CatalogueError(name, ".".join(map(str, first["loc"])), first["msg"]) from None
    for place, spec in forms.places.items():
        unknown = sorted({*spec.guises} - forms.guises.keys())
        if unknown:
            raise CatalogueError(name, f"places.{place}.guises", f"there is no guise {unknown[0]!r}")
        for text in spec.says:
            if text.count("{lure}") != 1 or text.count("{text}") != 1:
                raise CatalogueError(name, f"places.{place}.says", f"{text!r} needs {{text}} and {{lure}}, once each")
    for guise, by_language in forms.guises.items():
        for language, texts in by_language.items():
            if any(text.count("{order}") != 1 for text in texts):
                raise CatalogueError(name, f"guises.{guise}.{language}", "each text needs {order}, once")
    return forms
