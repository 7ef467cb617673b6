"""How the parts of a domain file are read: strictly, and with errors that speak of the form that was meant."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import BaseModel, BeforeValidator, ConfigDict

Scalar = str | int | float | bool | None


class Strict(BaseModel):
    """A part of a domain file: nothing unknown is let in, nothing changes afterwards."""

    # Strict, and always read as JSON: there a list may be a tuple and a text an enum, but nothing else is converted.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True, allow_inf_nan=False)


def one_form_of(table: Mapping[str, type[Strict]]) -> BeforeValidator:
    """Reads a mapping as the one form whose leading key it has, so that errors speak of that form alone."""

    def read(value: object) -> object:
        if isinstance(value, Strict) or value is None:
            return value
        leading = [key for key in table if isinstance(value, Mapping) and key in value]
        if len(leading) != 1:
            raise ValueError(f"needs exactly one of {', '.join(table)}")
        return table[leading[0]].model_validate_json(json.dumps(value))

    return BeforeValidator(read)
